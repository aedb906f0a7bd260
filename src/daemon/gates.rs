//! Gates as a document: what is open, why, when it opens, and what a person can do about it.

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::names::CredentialId;
use crate::domain::proof::Gate;
use crate::domain::record::Record;

/// One gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateStatus {
    /// Its name.
    pub name: String,
    /// Whether it is open.
    pub open: bool,
    /// Why.
    pub why: String,
    /// When it opens by itself.
    pub opens_at: Option<Timestamp>,
    /// What opens it, or passes it, where it is closed: in words, with the command where there is one.
    #[serde(default)]
    pub opens_with: Option<String>,
}

impl GateStatus {
    /// A gate before `credential`, for people.
    pub fn of(gate: &Gate, credential: &CredentialId) -> Self {
        Self {
            name: gate.name.to_owned(),
            open: gate.open,
            why: gate.why.clone(),
            opens_at: gate.opens_at,
            opens_with: opener(gate.name, credential).filter(|_| !gate.open),
        }
    }

    /// The gates before `credential`, of which the journal says `record`. A hold ends when its person said, whatever it keeps
    /// waiting.
    pub fn all(gates: &[Gate], credential: &CredentialId, record: Option<&Record>) -> Vec<Self> {
        let mut all: Vec<Self> = gates.iter().map(|gate| Self::of(gate, credential)).collect();
        let until = record.and_then(|record| record.hold.as_ref()?.until);
        for gate in all.iter_mut().filter(|gate| gate.name == "hold" && !gate.open) {
            gate.opens_at = until;
        }
        all
    }

    /// Whether it is a gate of the whole fleet.
    pub fn is_of_the_fleet(&self) -> bool {
        ["fleet halt", "maintenance window", "share", "fuse", "at once"].contains(&self.name.as_str())
    }

    /// Why it is closed, when it opens, and what opens it.
    pub fn sentence(&self) -> String {
        let at = self.opens_at.map(|at| format!("it opens {}", at.format("%Y-%m-%d %H:%M UTC")));
        let parts = [Some(self.why.clone()), at, self.opens_with.clone()];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// What a person can do about a gate before a rotation begins. Before a deletion no gate is passed.
fn opener(gate: &str, credential: &CredentialId) -> Option<String> {
    Some(match gate {
        "hold" => format!("`rekeyd unhold {credential}` lifts the hold"),
        "pause" | "due" => format!("`rekeyd rotate {credential}` asks for it now"),
        "fleet halt" => "`rekeyd resume --fleet` ends the halt, once its cause is removed".to_owned(),
        "maintenance window" => {
            format!("`rekeyd rotate {credential} --reason exposed` passes it, where keys are exposed")
        }
        "share" | "at once" => "`rekeyd status` shows how far each of them is".to_owned(),
        "fuse" => format!("`rekeyd rotate {credential} --i-mean-it` passes it"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_gate_says_what_opens_it() {
        let id: CredentialId = "acme/dataplane".parse().unwrap();
        let gate = |name, open, opens_at| Gate { name, open, why: "because".to_owned(), opens_at };
        let at = "2026-03-02T08:00:00Z".parse().ok();
        let check = |gate: Gate, expected| assert_eq!(GateStatus::of(&gate, &id).sentence(), expected);
        check(
            gate("fuse", false, at),
            "because; it opens 2026-03-02 08:00 UTC; `rekeyd rotate acme/dataplane --i-mean-it` passes it",
        );
        check(
            gate("fleet halt", false, None),
            "because; `rekeyd resume --fleet` ends the halt, once its cause is removed",
        );
        check(gate("hold", true, None), "because");
        check(gate("soak", false, at), "because; it opens 2026-03-02 08:00 UTC");
    }
}
