//! Whom the others wait for: the rotations that were let in and have not soaked, and what each of them waits for itself.
//!
//! For people only. The fleet decides by its journal; a hold, say, stands in the journal of one credential, and keeps
//! everybody behind it waiting all the same.

use std::sync::Arc;

use super::Engine;
use crate::domain::fleet::{Attempt, Fleet};
use crate::domain::names::CredentialId;
use crate::domain::policy::Policy;
use crate::domain::proof::Gate;
use crate::domain::record::Record;
use crate::domain::stage::Stage;
use crate::domain::{Timestamp, after};

/// More than these are not named in a sentence.
const NAMES: usize = 3;

/// A rotation that others wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Whose.
    pub credential: CredentialId,
    /// How it stands, as the rest of a sentence that begins with its name.
    pub stands: String,
    /// What a person can do for those who wait, where only a person can.
    pub remedy: Option<String>,
}

impl std::fmt::Display for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.credential, self.stands)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, ", and {remedy}"))
    }
}

impl Engine {
    /// The rotations that others wait for, by name; those that only a person lets go on come first. A proof is enough for
    /// those who wait for `proofs` alone.
    pub fn unfinished(&self, fleet: &Fleet, proofs: bool, now: Timestamp) -> Vec<Unfinished> {
        let is_open =
            |attempt: &Attempt| if proofs { attempt.is_under_way(now) } else { attempt.is_open(now) };
        let open = fleet.attempts.iter().filter(|(_, attempt)| is_open(attempt));
        let mut all: Vec<Unfinished> = open.map(|(id, _)| self.stands(id, now)).collect();
        all.sort_by_key(|unfinished| unfinished.remedy.is_none());
        all
    }

    fn stands(&self, id: &CredentialId, now: Timestamp) -> Unfinished {
        let seen =
            self.desk(id).map(|desk| desk.read(|view| (Arc::clone(&view.policy), view.record.clone())));
        let (stands, remedy) = match seen {
            None => ("is not configured any more".to_owned(), None),
            Some((_, None)) => ("is about to begin".to_owned(), None),
            Some((policy, Some(record))) => standing(&policy, &record, now),
        };
        Unfinished { credential: id.clone(), stands, remedy }
    }

    /// `gates` with the names of those whom a closed one waits for.
    pub(super) fn with_names(&self, fleet: &Fleet, mut gates: Vec<Gate>, now: Timestamp) -> Vec<Gate> {
        for gate in gates.iter_mut().filter(|gate| !gate.open) {
            if ["share", "at once"].contains(&gate.name) {
                let waited_for = self.unfinished(fleet, gate.name == "at once", now);
                gate.why.push_str(&named(&waited_for));
            }
        }
        gates
    }
}

/// Who is waited for, as the end of a sentence.
fn named(unfinished: &[Unfinished]) -> String {
    let names: Vec<String> = unfinished.iter().take(NAMES).map(ToString::to_string).collect();
    let more = unfinished.len().saturating_sub(NAMES);
    match (names.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(": {}", names.join("; ")),
        (false, more) => format!(": {}; and {more} more", names.join("; ")),
    }
}

/// How a rotation stands that others wait for, and what a person can do.
fn standing(policy: &Policy, record: &Record, now: Timestamp) -> (String, Option<String>) {
    let id = &record.credential;
    if let Some(halt) = &record.halt {
        let remedy = format!("`rekeyd explain {id}` says what to do");
        return (format!("is halted ({})", halt.reason.code()), Some(remedy));
    }
    let stamp = |at: Timestamp| at.format("%Y-%m-%d %H:%M UTC");
    let stage = match &record.stage {
        Stage::Soaking { evidence, .. } => {
            format!("soaks until {}", stamp(after(evidence.reached_at, policy.soak)))
        }
        Stage::Settled { .. } => "is about to begin".to_owned(),
        stage => format!("is at `{}`", stage.phase()),
    };
    let Some(hold) = record.hold.as_ref().filter(|_| record.is_held(now)) else { return (stage, None) };
    let until =
        hold.until.map_or_else(|| "until somebody lifts it".to_owned(), |at| format!("until {}", stamp(at)));
    let remedy = format!("`rekeyd unhold {id}` lets it and all who wait go on");
    (format!("{stage} and is held {until} ({})", hold.reason), Some(remedy))
}
