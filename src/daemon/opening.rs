//! The journal, opened: one that is damaged stops everything before the first call, and one that a person put in its
//! place is not believed in everything.
//!
//! What is settled is compared with the issuer at each look. A rotation under way cannot be: the consumer may hold either
//! set by now, and a success that it reports may be another one's. So each of them halts, and a person says how it is.

use std::path::Path;
use std::time::Duration;

use tracing::warn;

use super::Fatal;
use crate::domain::Timestamp;
use crate::domain::event::Event;
use crate::domain::fold;
use crate::domain::halt::HaltReason;
use crate::domain::stage::Phase;
use crate::engine::StartError;
use crate::journal::sqlite::SqliteJournal;
use crate::ports::{Draft, Journal as _, JournalError};

/// How long the leases are taken for; nobody else is there.
const LEASE_LIFE: Duration = Duration::from_mins(1);

/// Opens the journal at `path` for this process alone.
pub(super) async fn open(path: &Path, holder: &str, now: Timestamp) -> Result<SqliteJournal, Fatal> {
    let unusable = |problem| unusable(path, &problem);
    let journal = SqliteJournal::open_alone(path).map_err(|problem| unusable(problem.into()))?;
    doubt(&journal, holder, now).await.map_err(unusable)?;
    Ok(journal)
}

/// A journal that cannot be used stops everything before the first call.
pub(super) fn unusable(path: &Path, problem: &StartError) -> Fatal {
    let text = format!("the journal `{}` cannot be used, and nothing is sent: {problem}", path.display());
    match problem {
        StartError::Journal(JournalError::Damaged(_)) | StartError::Misfit(_) => Fatal::Person(text),
        StartError::Journal(_) => Fatal::Other(text),
    }
}

/// Halts every rotation under way in a journal that was put in its place, and takes the journal for its own.
async fn doubt(journal: &SqliteJournal, holder: &str, now: Timestamp) -> Result<(), StartError> {
    if !journal.is_copy() {
        return Ok(());
    }
    let records = fold::fold(&journal.read(None, 0).await?)?;
    for record in records.values().filter(|record| record.stage.phase() != Phase::Settled) {
        let id = &record.credential;
        let lease = journal.acquire(&id.tenant, holder, now, LEASE_LIFE).await?;
        let lease = lease.ok_or_else(|| JournalError::Stale { tenant: id.tenant.clone() })?;
        let event = Event::Halted(HaltReason::OldJournal);
        let draft = Draft { at: now, credential: id.clone(), follows: record.sequence, event };
        journal.append(&lease, draft).await?;
        journal.release(&lease).await?;
        warn!("`{id}` halts: its rotation was under way in a journal that was put in its place");
    }
    Ok(journal.vouch().await?)
}
