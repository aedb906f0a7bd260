//! What to do next, and why: one step, computed from the policy, the record, the observation and the time.
//!
//! The policy of rekeyd in prose, in the order in which it is applied:
//!
//! 1. Nothing is done to a credential that is halted, or whose environment differs from the journalled one.
//! 2. A step that failed is not tried again before its time, unless somebody pushed.
//! 3. What cannot be seen is looked at again; it is never taken for a yes or a no.
//! 4. Each stage has one next step, in its own file below this one.
//! 5. A step that was refused too often turns the rotation back as long as nothing was delivered or the old set can
//!    be put back, and halts it otherwise.
//! 6. No key is deleted without a [`Permit`].

use std::collections::BTreeMap;

use serde::Serialize;

use super::Timestamp;
use super::event::{CONFIRM, Event, PROVISION, Trigger};
use super::evidence::{Baseline, Basis};
use super::halt::HaltReason;
use super::key::{Key, KeySet};
use super::names::{KeyName, Role};
use super::observation::{Looks, Observation};
use super::policy::Policy;
use super::proof::Permit;
use super::record::Record;
use super::stage::Stage;

mod adopting;
mod forward;
mod gates;
mod proving;
mod refusal;
mod restoring;
mod retiring;
mod settled;
mod sight;

pub use adopting::adoption;
pub use gates::{Again, again, begin_gates};
pub use refusal::{LOGIN_REFUSED, NOT_PERMITTED, retry_at};
pub use settled::{pause, rotation_due, window_end};

use sight::Sight;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing until the next look.
    Rest,
    /// Write this down; there is nothing to do outside.
    Note(Event),
    /// Choose names for the fresh keys, and write them down.
    Begin {
        /// The generation of the fresh keys.
        generation: u32,
        /// What made the rotation start.
        trigger: Trigger,
    },
    /// Create one key.
    Create {
        /// Its role.
        role: Role,
        /// Its name.
        name: KeyName,
    },
    /// Try one fresh key: its secret differs from the old one, it gets a token, it can read.
    Test {
        /// Its role.
        role: Role,
        /// The fresh key.
        fresh: Key,
        /// The key it replaces.
        old: Option<Key>,
    },
    /// Hand a set of keys to the consumer.
    Deliver {
        /// The set.
        keys: KeySet,
    },
    /// Ask the consumer to provision.
    Provision {
        /// What it looks like before.
        baseline: Baseline,
    },
    /// Try every fresh key once more while the consumer is seen to work.
    Confirm {
        /// The set.
        keys: KeySet,
        /// What the success rests on.
        basis: Basis,
    },
    /// Try every key in use again.
    Renew {
        /// The set in use.
        keys: KeySet,
    },
    /// Delete one key.
    Delete {
        /// Its role.
        role: Role,
        /// The key.
        key: Key,
        /// What permits it.
        permit: Permit,
    },
    /// Try a key that is gone: it must be refused.
    Probe {
        /// Its role.
        role: Role,
        /// The key.
        key: Key,
    },
}

impl Step {
    /// The step in one word, as in journal, log and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Note(_) => "note",
            Self::Begin { .. } => "begin",
            Self::Create { .. } => "create",
            Self::Test { .. } => "test",
            Self::Deliver { .. } => "deliver",
            Self::Provision { .. } => PROVISION,
            Self::Confirm { .. } => CONFIRM,
            Self::Renew { .. } => "renew",
            Self::Delete { .. } => "delete",
            Self::Probe { .. } => "probe",
        }
    }
}

/// Why a step is the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// A stable short word.
    pub code: &'static str,
    /// The reason in a sentence.
    pub text: String,
    /// What a person must do, where only a person can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NextLook {
    /// At once: the step changes something.
    Now,
    /// At this instant, or when something wakes the engine.
    At(Timestamp),
    /// At the next tick of the tenant's schedule.
    Schedule,
}

/// One step and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The step.
    pub step: Step,
    /// Why.
    pub reason: Reason,
    /// When to look again.
    pub next_look: NextLook,
}

impl Plan {
    fn go(step: Step, code: &'static str, text: impl Into<String>) -> Self {
        Self { step, reason: Reason { code, text: text.into(), person: None }, next_look: NextLook::Now }
    }

    fn note(event: Event, code: &'static str, text: impl Into<String>) -> Self {
        Self::go(Step::Note(event), code, text)
    }

    fn rest(next_look: NextLook, code: &'static str, text: impl Into<String>) -> Self {
        Self { step: Step::Rest, reason: Reason { code, text: text.into(), person: None }, next_look }
    }

    fn halt(reason: HaltReason) -> Self {
        let text = reason.to_string();
        Self::note(Event::Halted(reason), "halt", text)
    }

    fn person(mut self, what: impl Into<String>) -> Self {
        self.reason.person = Some(what.into());
        self
    }
}

/// What the engine must look at before it plans. Nothing where no look could matter.
pub fn looks(policy: &Policy, record: Option<&Record>, now: Timestamp) -> Looks {
    let Some(record) = record else { return Looks { keys: true, status: true, content: false } };
    if refusal::refusal(policy, record, now).is_some() {
        return Looks::default();
    }
    match &record.stage {
        Stage::Settled { .. } => Looks { keys: true, status: true, content: false },
        Stage::Testing { fresh, tested, .. } if tested.len() < fresh.len() => {
            // A key that cannot be read may be gone.
            Looks { keys: record.trouble.failures > 0, ..Looks::default() }
        }
        Stage::Creating { .. } | Stage::Restoring { delivered: false, .. } => {
            Looks { keys: true, ..Looks::default() }
        }
        Stage::Delivering { .. } | Stage::Restoring { watch: None, .. } => {
            Looks { keys: true, status: true, content: false }
        }
        Stage::Testing { .. } | Stage::Provisioning { .. } | Stage::Restoring { .. } => {
            // A key that cannot be read or used may be gone.
            Looks { keys: record.trouble.failures > 0, status: true, content: true }
        }
        Stage::Soaking { .. } | Stage::Retiring { .. } => Looks { keys: true, status: true, content: true },
    }
}

/// The next step of one credential.
pub fn plan(policy: &Policy, record: Option<&Record>, observation: &Observation, now: Timestamp) -> Plan {
    let Some(record) = record else { return adopting::adopt(policy, observation, now) };
    if let Some(refusal) = refusal::refusal(policy, record, now) {
        return refusal;
    }
    let halt = refusal::stranger(record, observation)
        .or_else(|| refusal::bereft(policy, record, observation, now))
        .or_else(|| refusal::worn_out(policy, record, now));
    if let Some(halt) = halt {
        return Plan::halt(halt);
    }
    let sight = Sight { policy, record, observation, now };
    match &record.stage {
        Stage::Settled { live } => settled::plan(&sight, live),
        Stage::Creating { names, sent, made, .. } => forward::creating(&sight, names, sent, made),
        Stage::Testing { live, fresh, tested } => forward::testing(&sight, live, fresh, tested),
        Stage::Delivering { fresh, baseline, .. } => forward::delivering(&sight, fresh, baseline),
        Stage::Provisioning { fresh, watch, .. } => forward::provisioning(&sight, fresh, watch),
        Stage::Soaking { fresh, evidence, course, .. } => retiring::soaking(&sight, fresh, evidence, course),
        Stage::Retiring { fresh, retirement, .. } => retiring::retiring(&sight, fresh, retirement),
        Stage::Restoring { live, fresh, pending, delivered, baseline, watch, .. } => {
            if *delivered {
                restoring::put_back(&sight, live, baseline, watch.as_ref())
            } else {
                restoring::clear(&sight, fresh, pending)
            }
        }
    }
}

/// The names of fresh keys, one per role.
pub type Names = BTreeMap<Role, KeyName>;
