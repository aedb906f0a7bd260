//! What the journal says of one credential: its stage, and the marks beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::event::Trigger;
use super::evidence::Grade;
use super::failure::Failure;
use super::fleet::Pass;
use super::halt::HaltReason;
use super::names::{CredentialId, KeyName, Role, RotationId};
use super::policy::{Pin, Policy};
use super::stage::{Phase, Stage};

/// The rotation that is under way, or was last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// Its id.
    pub id: RotationId,
    /// What made it start.
    pub trigger: Trigger,
    /// When.
    pub begun_at: Timestamp,
    /// When the consumer was proven to work with its keys.
    pub proven_at: Option<Timestamp>,
}

/// What went wrong in the current stage.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Trouble {
    /// Failures in a row.
    pub failures: u32,
    /// Of these, the ones that count as attempts.
    pub attempts: u32,
    /// The step that fails.
    pub step: Option<String>,
    /// The first failure of the row: later ones often hide the cause.
    pub first: Option<Failure>,
    /// The last one.
    pub last: Option<Failure>,
    /// Not before this instant.
    pub retry_at: Option<Timestamp>,
}

/// A stop that only a person ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Why.
    pub reason: HaltReason,
    /// Since when.
    pub at: Timestamp,
}

/// An operator's pin: nothing is retired, and no rotation starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Until when; `None` is until it is lifted.
    pub until: Option<Timestamp>,
    /// Why, in the operator's words.
    pub reason: String,
}

/// A wish to rotate that is not due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Who asked.
    pub trigger: Trigger,
    /// Why, in the operator's words.
    pub reason: String,
    /// What it passes.
    pub pass: Pass,
}

/// Whether the consumer was asked for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asking {
    /// No, or it refused.
    #[default]
    No,
    /// It was about to be asked for the first time, and what came of that is not known.
    Perhaps,
    /// Yes, or it may have been: it did not refuse.
    Yes,
}

/// What became of the last rotation that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// When it ended.
    pub at: Timestamp,
    /// Why it turned back; `None` where the fresh keys stayed.
    pub turned_back: Option<String>,
    /// How long it took from its begin to the proof, in seconds; absent where there was none.
    pub seconds_to_proof: Option<u64>,
}

/// What the journal says of one credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whose.
    pub credential: CredentialId,
    /// Where the rotation stands.
    pub stage: Stage,
    /// Since when.
    pub entered_at: Timestamp,
    /// The highest generation ever used.
    pub generation: u32,
    /// The environment.
    pub pin: Pin,
    /// The rotation under way; the last one while settled.
    pub rotation: Option<Rotation>,
    /// What goes wrong.
    pub trouble: Trouble,
    /// Rotations in a row that turned back.
    pub cycles: u32,
    /// A stop.
    pub halt: Option<Halt>,
    /// A pin.
    pub hold: Option<Hold>,
    /// A wish to rotate.
    pub asked: Option<Asked>,
    /// A wish to go back.
    pub restore: Option<String>,
    /// Why the rotation under way turned back, once it did.
    pub turned_back: Option<String>,
    /// Whether the consumer was asked to provision in this rotation, and did not refuse. A proof that rests on that
    /// is worth less than one by exclusion, and another one can be had.
    pub asked_to_provision: Asking,
    /// A role whose fresh key had the secret of the old one.
    pub same_secret: Option<Role>,
    /// A person says that what the issuer has is right: look again at which keys are in use.
    pub readopt: bool,
    /// Names whose create was sent and which were given up before anybody was given the key.
    pub abandoned: BTreeMap<KeyName, Role>,
    /// The deletion that was sent last outside a retirement.
    pub delete_sent: Option<(KeyName, Timestamp)>,
    /// Old keys that stay because rekeyd did not make them.
    pub left: BTreeMap<KeyName, Role>,
    /// Keys of ours that went, the newest last; a listing may show one of them late.
    pub gone: Vec<KeyName>,
    /// How often the evidence was renewed since the proof, or since the last old key went.
    pub renewals: u32,
    /// The last rotation that ended.
    pub outcome: Option<Outcome>,
    /// The last that succeeded.
    pub succeeded_at: Option<Timestamp>,
    /// The grade reached for the newest set.
    pub grade: Grade,
    /// Somebody pushed: the pause after a rotation that turned back is over.
    pub pushed: bool,
    /// The sequence number of the last entry.
    pub sequence: u64,
    /// When the latest of the entries was written, by the clocks of those who wrote them.
    pub written_at: Timestamp,
}

impl Record {
    /// The phase for status and metrics: `halted` stands before the stage's own.
    pub fn phase(&self) -> Phase {
        if self.halt.is_some() { Phase::Halted } else { self.stage.phase() }
    }

    /// Whether a hold is in force at `now`.
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.until.is_none_or(|until| now < until))
    }

    /// Whether the journal knows a key of this name.
    pub fn knows(&self, name: &KeyName) -> bool {
        let chosen = match &self.stage {
            Stage::Creating { names, .. } => names.values().any(|chosen| chosen == name),
            Stage::Restoring { pending, .. } => pending.values().any(|chosen| chosen == name),
            _ => false,
        };
        chosen
            || self.stage.keys().iter().any(|(_, key)| key.name == *name)
            || self.abandoned.contains_key(name)
            || self.left.contains_key(name)
            || self.gone.contains(name)
    }

    /// When the stage counts as stuck; `None` where it may last for ever.
    pub fn deadline(&self, policy: &Policy) -> Option<Timestamp> {
        let natural = match &self.stage {
            Stage::Settled { .. } => return None,
            Stage::Creating { .. } | Stage::Testing { .. } | Stage::Delivering { .. } => {
                super::after(self.entered_at, policy.propagation + policy.deadline)
            }
            Stage::Provisioning { watch, .. } => {
                super::after(watch.deadline(policy), policy.settle + policy.deadline)
            }
            Stage::Restoring { watch, .. } => super::after(
                watch.as_ref().map_or(self.entered_at, |watch| watch.deadline(policy)),
                policy.settle + policy.deadline,
            ),
            Stage::Soaking { evidence, .. } => {
                super::after(evidence.reached_at, policy.soak + policy.deadline)
            }
            Stage::Retiring { .. } => super::after(
                self.entered_at,
                policy.token_wait() + policy.soak + 2 * (policy.settle + policy.deadline),
            ),
        };
        Some(natural)
    }
}
