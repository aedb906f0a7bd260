//! What came of a step, or what a person asked for: what the journal holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::evidence::{Baseline, Basis, Evidence, Grade};
use super::failure::Failure;
use super::fleet::{FleetEvent, Pass};
use super::halt::HaltReason;
use super::key::{Key, KeySet};
use super::names::{CredentialId, KeyName, Role, RotationId};
use super::observation::Verdict;
use super::policy::Pin;

/// The name of the step that tries every fresh key once more; its failure ends a run of successes.
pub const CONFIRM: &str = "confirm";

/// The step that sets the consumer in motion, as its failures are journalled.
pub const PROVISION: &str = "provision";

/// What made a rotation start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// The window: it was due.
    Schedule,
    /// A signal that asks for all.
    Signal,
    /// A command.
    Command,
    /// The start of the daemon.
    Recovery,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 4] = [Self::Schedule, Self::Signal, Self::Command, Self::Recovery];

    /// The trigger as a label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Signal => "signal",
            Self::Command => "command",
            Self::Recovery => "recovery",
        }
    }
}

/// What a person asks of a credential. Journalled, and then read by the plan like everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "wish")]
pub enum Wish {
    /// Rotate although it is not due.
    Rotate {
        /// Who asked.
        trigger: Trigger,
        /// Why, in the operator's words.
        reason: String,
        /// What it passes.
        #[serde(default)]
        pass: Pass,
    },
    /// Take back what was asked by `Rotate`, before the rotation begins.
    Withdraw {
        /// Why, in the operator's words.
        reason: String,
    },
    /// Go back to the old keys during the soak.
    Restore {
        /// Why, in the operator's words.
        reason: String,
    },
    /// Retire nothing.
    Hold {
        /// Until when; `None` is until it is lifted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// Why, in the operator's words.
        reason: String,
    },
    /// Lift the hold.
    Unhold,
    /// End the halt and try again.
    Resume,
    /// "I updated it by hand."
    Confirm,
}

/// One event of one credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// The keys in use were recognised.
    Adopted {
        /// The keys in use.
        live: KeySet,
        /// The highest generation seen.
        generation: u32,
        /// The environment.
        pin: Pin,
        /// Keys that rekeyd made and that are not in use: they are known, and stay.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        others: BTreeMap<KeyName, Role>,
    },
    /// A person asked for something.
    Wished(Wish),
    /// Backoff is over because somebody pushed.
    Pushed,
    /// The clock was ahead and was set back: times that are still to come become now, and waits start over.
    ClockSetBack,
    /// A rotation begins; the names of its keys are chosen.
    Begun {
        /// Its id.
        rotation: RotationId,
        /// What made it start.
        trigger: Trigger,
        /// The generation of its keys.
        generation: u32,
        /// Their names.
        names: BTreeMap<Role, KeyName>,
        /// Why, in words.
        reason: String,
    },
    /// A create is about to be sent.
    CreateSent {
        /// The role.
        role: Role,
    },
    /// A fresh key exists.
    Made {
        /// The role.
        role: Role,
        /// The key.
        key: Key,
    },
    /// A fresh key was tested.
    Tested {
        /// The role.
        role: Role,
        /// How far.
        grade: Grade,
    },
    /// A fresh key has the secret of the one it was to replace.
    SameSecret {
        /// The role.
        role: Role,
    },
    /// Every fresh key works; from here on the consumer may hold either set.
    Ready {
        /// What the consumer looks like before the delivery.
        baseline: Baseline,
    },
    /// The consumer accepted a delivery.
    Delivered {
        /// When, on the consumer's clock, where its answer said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upstream_at: Option<Timestamp>,
    },
    /// Only a person can put the keys in place, and say that the consumer works with them.
    HandedOver {
        /// The keys.
        keys: Vec<KeyName>,
        /// What the person was asked to do, in the operator's words.
        instruction: String,
    },
    /// The consumer is about to be asked to provision. Whatever becomes of the answer, it may be set in motion.
    ProvisionSent,
    /// The consumer accepted to provision.
    Provisioned {
        /// What it looked like before.
        baseline: Baseline,
        /// When, on the consumer's clock, where its answer said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upstream_at: Option<Timestamp>,
    },
    /// The consumer cannot be asked to provision (404, 405, 501).
    CannotProvision,
    /// The consumer was under way before the delivery, or nobody could tell, and was seen at rest, once.
    Resting,
    /// It was seen at rest again.
    Rested {
        /// What it looks like: what news is measured by from here on.
        baseline: Baseline,
    },
    /// The consumer was seen under way.
    Moving,
    /// The consumer was seen to work with every fresh key, once: proofs are counted.
    Works {
        /// What that rests on.
        basis: Basis,
    },
    /// The consumer was seen to fail, once: the proofs start over.
    Falters {
        /// What it said.
        detail: String,
    },
    /// The consumer was proven to work.
    Proven {
        /// The proof.
        evidence: Evidence,
    },
    /// Every fresh key still works, and the consumer does not report an error.
    Renewed {
        /// What the consumer said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verdict: Option<Verdict>,
    },
    /// The soak is over and every gate is open: the old keys go.
    RetireBegun,
    /// A deletion is about to be sent.
    DeleteSent {
        /// The role.
        role: Role,
        /// The key.
        name: KeyName,
        /// What permits it, in words.
        permit: String,
    },
    /// A key is confirmed gone.
    Gone {
        /// The role.
        role: Role,
        /// The key.
        name: KeyName,
    },
    /// A deleted key was tried: `Some(true)` where it is refused, `Some(false)` where it still works, `None` where
    /// its secret is no longer known.
    Probed {
        /// The role.
        role: Role,
        /// The answer.
        refused: Option<bool>,
    },
    /// An old key stays, because rekeyd did not make it or because one that does less harm stays.
    Left {
        /// The role.
        role: Role,
        /// The key.
        name: KeyName,
    },
    /// The consumer fails without the old key.
    ExclusionFailed {
        /// What it said.
        detail: String,
    },
    /// The way back begins.
    TurnedBack {
        /// Why.
        why: String,
        /// What the consumer looked like then.
        baseline: Baseline,
    },
    /// The rotation is over.
    Completed,
    /// A step failed.
    StepFailed {
        /// Which.
        step: String,
        /// How.
        failure: Failure,
        /// When it is tried again.
        retry_at: Timestamp,
    },
    /// Only a person goes on from here.
    Halted(HaltReason),
    /// Something of the whole fleet; only in the fleet's own stream.
    Fleet(FleetEvent),
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The running number in the whole journal.
    pub sequence: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Whose it is.
    pub credential: CredentialId,
    /// What happened.
    pub event: Event,
}

impl Event {
    /// The name of the event, as in the journal and in `history`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Adopted { .. } => "adopted",
            Self::Wished(_) => "wished",
            Self::Pushed => "pushed",
            Self::ClockSetBack => "clock-set-back",
            Self::Begun { .. } => "begun",
            Self::CreateSent { .. } => "create-sent",
            Self::Made { .. } => "made",
            Self::Tested { .. } => "tested",
            Self::SameSecret { .. } => "same-secret",
            Self::Ready { .. } => "ready",
            Self::Delivered { .. } => "delivered",
            Self::HandedOver { .. } => "handed-over",
            Self::ProvisionSent => "provision-sent",
            Self::Provisioned { .. } => "provisioned",
            Self::CannotProvision => "cannot-provision",
            Self::Resting => "resting",
            Self::Rested { .. } => "rested",
            Self::Moving => "moving",
            Self::Works { .. } => "works",
            Self::Falters { .. } => "falters",
            Self::Proven { .. } => "proven",
            Self::Renewed { .. } => "renewed",
            Self::RetireBegun => "retire-begun",
            Self::DeleteSent { .. } => "delete-sent",
            Self::Gone { .. } => "gone",
            Self::Probed { .. } => "probed",
            Self::Left { .. } => "left",
            Self::ExclusionFailed { .. } => "exclusion-failed",
            Self::TurnedBack { .. } => "turned-back",
            Self::Completed => "completed",
            Self::StepFailed { .. } => "step-failed",
            Self::Halted(_) => "halted",
            Self::Fleet(event) => event.name(),
        }
    }
}
