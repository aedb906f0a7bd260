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

use super::event::{CONFIRM, Event, PROVISION, Trigger};
use super::evidence::{Baseline, Basis};
use super::failure::Failure;
use super::halt::HaltReason;
use super::key::{Key, KeySet};
use super::names::{KeyName, Role};
use super::observation::{Looks, Observation};
use super::policy::Policy;
use super::proof::{Gate, Permit};
use super::record::{Asking, Record};
use super::stage::Stage;
use super::{Timestamp, after, backoff};

mod forward;
mod gates;
mod proving;
mod refusal;
mod restoring;
mod retiring;
mod settled;

pub use gates::begin_gates;
pub use refusal::retry_at;
pub use settled::{adoption, rotation_due, window_end};

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

/// Everything a stage's rule may look at.
struct Sight<'a> {
    policy: &'a Policy,
    record: &'a Record,
    observation: &'a Observation,
    now: Timestamp,
}

impl Sight<'_> {
    fn poll(&self, code: &'static str, text: impl Into<String>) -> Plan {
        if self.record.deadline(self.policy).is_some_and(|deadline| self.now >= deadline) {
            return self.seldom(code, text);
        }
        Plan::rest(NextLook::At(after(self.now, self.policy.poll)), code, text)
    }

    /// A rest until somebody or something outside gives way, which nobody knows when: no reason to call often.
    fn seldom(&self, code: &'static str, text: impl Into<String>) -> Plan {
        let pause = self.policy.poll.max(self.policy.evidence_life);
        Plan::rest(NextLook::At(after(self.now, pause)), code, text)
    }

    /// A rest until the hold ends. Lifting it wakes the walk.
    fn held(&self, text: impl Into<String>) -> Plan {
        let until = self.record.hold.as_ref().and_then(|hold| hold.until);
        Plan::rest(until.map_or(NextLook::Schedule, NextLook::At), "held", text)
    }

    /// A gate before a deletion is closed.
    fn shut(&self, gate: &Gate) -> Plan {
        let text = format!("gate `{}` is closed: {}", gate.name, gate.why);
        if let Some(at) = gate.opens_at {
            return Plan::rest(NextLook::At(at.max(after(self.now, self.policy.poll))), "gate", text);
        }
        if self.record.is_held(self.now) {
            return self.held(text).person(self.unhold());
        }
        let what = format!("`rekeyd explain {}` shows every gate", self.record.credential);
        self.seldom("gate", text).person(what)
    }

    fn unhold(&self) -> String {
        format!("`rekeyd unhold {}` lifts the hold", self.record.credential)
    }

    /// A rest because something could not be seen, longer each time.
    fn blind(&self, what: &str, failure: &Failure) -> Plan {
        let at = backoff::retry_at(
            &self.record.credential,
            failure,
            self.observation.blind.max(1),
            refusal::time_limit(self.policy, self.record),
            self.now,
        );
        Plan::rest(NextLook::At(at), "cannot-see", format!("{what} could not be seen: {failure}"))
    }

    /// Too many refused attempts at the step in trouble.
    fn exhausted(&self) -> Option<(String, String)> {
        let trouble = &self.record.trouble;
        if trouble.attempts < self.policy.limits.attempts {
            return None;
        }
        let cause =
            trouble.first.as_ref().map_or_else(|| "unknown".to_owned(), |failure| failure.cause.clone());
        Some((trouble.step.clone().unwrap_or_default(), cause))
    }

    /// Whether the stage has lasted longer than it may.
    fn overtime(&self) -> bool {
        self.record
            .deadline(self.policy)
            .is_some_and(|deadline| self.now >= after(deadline, self.policy.limits.stage_time))
    }

    /// Whether a deletion of `name` was sent so recently that a listing may still show it.
    fn just_deleted(&self, name: &KeyName) -> bool {
        let sent = self.record.delete_sent.as_ref().filter(|(sent, _)| sent == name);
        sent.is_some_and(|(_, at)| self.now < after(*at, self.policy.poll * 2))
    }

    fn turn_back(&self, why: impl Into<String>) -> Plan {
        let why = why.into();
        // Provisioning that was asked for without an answer may begin right before the old keys are put back.
        let unanswered = matches!(&self.record.stage, Stage::Provisioning { watch, .. } if watch.posted_at.is_none())
            && self.record.asked_to_provision != Asking::No;
        let baseline =
            if unanswered { Baseline::of_restless(self.observation) } else { Baseline::of(self.observation) };
        Plan::note(Event::TurnedBack { why: why.clone(), baseline }, "turn-back", why)
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
    let Some(record) = record else { return settled::adopt(policy, observation, now) };
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
