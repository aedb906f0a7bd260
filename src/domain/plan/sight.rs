//! What a stage's rule may look at, and the plans that several of them make.

use super::{NextLook, Plan, refusal, settled};
use crate::domain::event::Event;
use crate::domain::evidence::Baseline;
use crate::domain::failure::{Class, Failure};
use crate::domain::halt::HaltReason;
use crate::domain::names::{KeyName, Role};
use crate::domain::observation::Observation;
use crate::domain::policy::Policy;
use crate::domain::proof::Gate;
use crate::domain::record::{Asking, Record};
use crate::domain::stage::Stage;
use crate::domain::{Timestamp, after};

/// Everything a stage's rule may look at.
pub(super) struct Sight<'a> {
    pub(super) policy: &'a Policy,
    pub(super) record: &'a Record,
    pub(super) observation: &'a Observation,
    pub(super) now: Timestamp,
}

impl Sight<'_> {
    pub(super) fn poll(&self, code: &'static str, text: impl Into<String>) -> Plan {
        if self.record.deadline(self.policy).is_some_and(|deadline| self.now >= deadline) {
            return self.seldom(code, text);
        }
        Plan::rest(NextLook::At(after(self.now, self.policy.poll)), code, text)
    }

    /// A rest until somebody or something outside gives way, which nobody knows when: no reason to call often.
    pub(super) fn seldom(&self, code: &'static str, text: impl Into<String>) -> Plan {
        let pause = self.policy.poll.max(self.policy.evidence_life);
        Plan::rest(NextLook::At(after(self.now, pause)), code, text)
    }

    /// A rest until the hold ends. Lifting it wakes the walk.
    pub(super) fn held(&self, text: impl Into<String>) -> Plan {
        let until = self.record.hold.as_ref().and_then(|hold| hold.until);
        Plan::rest(until.map_or(NextLook::Schedule, NextLook::At), "held", text)
    }

    /// A gate before a deletion is closed.
    pub(super) fn shut(&self, gate: &Gate) -> Plan {
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

    pub(super) fn unhold(&self) -> String {
        format!("`rekeyd unhold {}` lifts the hold", self.record.credential)
    }

    /// A rest because something could not be seen, longer each time.
    pub(super) fn blind(&self, what: &str, failure: &Failure) -> Plan {
        let at = refusal::wait(self.policy, self.record, failure, self.observation.blind.max(1), self.now);
        refusal::unseen(what, failure, at)
    }

    /// Too many refused attempts at the step in trouble.
    pub(super) fn exhausted(&self) -> Option<(String, String)> {
        let trouble = &self.record.trouble;
        if trouble.attempts < self.policy.limits.attempts {
            return None;
        }
        let cause =
            trouble.first.as_ref().map_or_else(|| "unknown".to_owned(), |failure| failure.cause.clone());
        Some((trouble.step.clone().unwrap_or_default(), cause))
    }

    /// Whether the stage has lasted longer than it may.
    pub(super) fn overtime(&self) -> bool {
        self.record
            .deadline(self.policy)
            .is_some_and(|deadline| self.now >= after(deadline, self.policy.limits.stage_time))
    }

    /// Whether a deletion of `name` was sent so recently that a listing may still show it.
    pub(super) fn just_deleted(&self, name: &KeyName) -> bool {
        let sent = self.record.delete_sent.as_ref().filter(|(sent, _)| sent == name);
        sent.is_some_and(|(_, at)| self.now < after(*at, self.policy.poll * 2))
    }

    /// Whether the secret in use may have died already with the making of the fresh one: then there is no way back.
    pub(super) fn burnt(&self) -> bool {
        let may_be = match &self.record.stage {
            Stage::Settled { .. } => false,
            // Where a person was to reset it and the secret in use is still there, nobody did.
            Stage::Creating { live, sent, .. } => {
                let seen = |keys| settled::missing(live, keys).is_none();
                let untouched =
                    refusal::by_hand(self.record) && self.observation.keys.known().is_some_and(seen);
                !sent.is_empty() && !untouched
            }
            _ => true,
        };
        self.record.pin.in_place && may_be
    }

    /// Halts, with the way back where there is one.
    pub(super) fn give_up(&self, reason: HaltReason) -> Plan {
        Plan::halt(if self.burnt() { HaltReason::NoWayBack { why: reason.to_string() } } else { reason })
    }

    /// A fresh key that was made and is gone from the issuer.
    pub(super) fn lost(&self, role: Role, name: &KeyName) -> Plan {
        if self.burnt() {
            return Plan::halt(HaltReason::LiveKeyGone { role, name: name.clone() });
        }
        self.turn_back(format!("the fresh key `{name}` is gone from the issuer"))
    }

    pub(super) fn turn_back(&self, why: impl Into<String>) -> Plan {
        let why = why.into();
        if self.burnt() {
            return Plan::halt(HaltReason::NoWayBack { why });
        }
        // What cannot be seen may be under way, and provisioning that was asked for without an answer may begin right before
        // the old keys are put back.
        let hidden =
            self.observation.status.failure().is_some_and(|failure| failure.class != Class::NotFound);
        let unanswered = matches!(&self.record.stage, Stage::Provisioning { watch, .. } if watch.posted_at.is_none())
            && self.record.asked_to_provision != Asking::No;
        let baseline = if hidden || unanswered {
            Baseline::of_restless(self.observation)
        } else {
            Baseline::of(self.observation)
        };
        Plan::note(Event::TurnedBack { why: why.clone(), baseline }, "turn-back", why)
    }
}
