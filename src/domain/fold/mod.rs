//! How an event moves a record. The journal is the truth, and this is the only way to read it.
//!
//! ```text
//! settled ─► creating ─► testing ─► delivering ─► provisioning ─► soaking ─► retiring ─► settled
//!                │          │            │               │            │
//!                └──────────┴────────────┴─ restoring ◄──┴────────────┘
//! ```

mod clock;
mod delivering;
mod marks;
mod retiring;
mod stages;

use std::collections::BTreeMap;

use super::event::{Entry, Event};
use super::evidence::Grade;
use super::names::CredentialId;
use super::record::{Asking, Record, Trouble};
use super::stage::Stage;

/// A stored event that does not fit what came before it: the journal was damaged or mixed up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("journal entry {sequence} of `{credential}` does not fit: `{event}` while `{stage}`")]
pub struct Misfit {
    /// The entry.
    pub sequence: u64,
    /// Whose.
    pub credential: CredentialId,
    /// The event.
    pub event: &'static str,
    /// The stage it met.
    pub stage: &'static str,
}

/// The record after `entry`.
pub fn apply(record: Option<Record>, entry: &Entry) -> Result<Record, Misfit> {
    let Some(mut record) = record else {
        return adopted(entry).ok_or_else(|| misfit(entry, "nothing"));
    };
    advance(&mut record, entry)?;
    Ok(record)
}

fn misfit(entry: &Entry, stage: &'static str) -> Misfit {
    Misfit {
        sequence: entry.sequence,
        credential: entry.credential.clone(),
        event: entry.event.name(),
        stage,
    }
}

/// Moves `record` on by `entry`.
fn advance(record: &mut Record, entry: &Entry) -> Result<(), Misfit> {
    let phase = record.stage.phase();
    marks::before(record, entry);
    if stages::renew(&mut record.stage, entry) {
        // Nothing else of the stage changes, and there are many of these.
    } else if let Some(stage) = stages::next(record, entry) {
        record.stage = stage;
    } else if !marks::stand_beside(&record.stage, &entry.event) {
        return Err(misfit(entry, phase.as_str()));
    }
    marks::make(record, entry);
    if record.stage.phase() != phase {
        record.entered_at = entry.at;
        record.trouble = Trouble::default();
    }
    record.sequence = entry.sequence;
    // What a person or a late answer writes on a clock that was set back does not hide that it was.
    let is_corrected = entry.event == Event::ClockSetBack;
    record.written_at = if is_corrected { entry.at } else { record.written_at.max(entry.at) };
    Ok(())
}

/// Folds a whole journal, credential by credential.
pub fn fold<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
) -> Result<BTreeMap<CredentialId, Record>, Misfit> {
    let mut records: BTreeMap<CredentialId, Record> = BTreeMap::new();
    for entry in entries.into_iter().filter(|entry| !entry.credential.is_fleet()) {
        // In place: a start folds a long journal, and records are large.
        if let Some(record) = records.get_mut(&entry.credential) {
            advance(record, entry)?;
        } else {
            records.insert(entry.credential.clone(), apply(None, entry)?);
        }
    }
    Ok(records)
}

fn adopted(entry: &Entry) -> Option<Record> {
    let Event::Adopted { live, generation, pin, others } = &entry.event else { return None };
    Some(Record {
        credential: entry.credential.clone(),
        stage: Stage::Settled { live: live.clone() },
        entered_at: entry.at,
        generation: *generation,
        pin: pin.clone(),
        rotation: None,
        trouble: Trouble::default(),
        cycles: 0,
        halt: None,
        hold: None,
        asked: None,
        restore: None,
        turned_back: None,
        asked_to_provision: Asking::No,
        same_secret: None,
        readopt: false,
        abandoned: BTreeMap::new(),
        delete_sent: None,
        left: others.clone(),
        gone: Vec::new(),
        renewals: 0,
        outcome: None,
        succeeded_at: None,
        grade: Grade::Nothing,
        pushed: false,
        sequence: entry.sequence,
        written_at: entry.at,
    })
}
