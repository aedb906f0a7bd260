//! What stands before a rotation that is asked for: what a person is told at once, and what the plan says meanwhile.

use std::time::Duration;

use super::{Engine, Unit};
use crate::domain::fleet::halt_gate;
use crate::domain::names::CredentialId;
use crate::domain::observation::Seen;
use crate::domain::plan::{self, NextLook, Plan, Reason, Step};
use crate::domain::proof::Gate;
use crate::domain::record::Record;
use crate::domain::stage::Stage;
use crate::domain::view::View;
use crate::domain::{Timestamp, after};

/// Of more than these who wait it is told how it was when they last asked: to ask for each takes as long as there are others.
const TOLD: usize = 1000;

impl Engine {
    /// The closed gates before the rotation of `id` begins, as far as they are known without a look at the issuer. Empty
    /// where it may begin, or has begun.
    pub fn barriers(&self, id: &CredentialId) -> Vec<Gate> {
        let Some(desk) = self.desk(id) else { return Vec::new() };
        let (unit, now) = (desk.unit(), self.clock.now());
        let record = desk.read(|view| view.record.clone());
        let Some(record) = record.filter(|record| matches!(record.stage, Stage::Settled { .. })) else {
            return Vec::new();
        };
        if self.is_let_in(id, now) {
            return Vec::new();
        }
        let mut gates = plan::begin_gates(&unit.policy, &record, None, &Seen::NotAsked, now);
        // Nothing was looked at.
        gates.retain(|gate| !matches!(gate.name, "issuer" | "in place"));
        gates.extend(self.fleet_gates(&unit, &record, now));
        gates.retain(|gate| !gate.open);
        gates
    }

    /// Every credential as it was last seen. Who was turned away is told of the gates of now, not of then.
    pub fn views_by_now(&self) -> Vec<View> {
        let (mut views, fleet, now) = (self.views(), self.fleet().fleet, self.clock.now());
        let waits = |view: &&mut View| view.reason.as_ref().is_some_and(|reason| reason.code == "fleet");
        for (number, view) in views.iter_mut().filter(waits).enumerate() {
            let Some(record) = &view.record else { continue };
            if fleet.halt.is_some() {
                view.reason = Some(turned_away(record, &[halt_gate(&fleet)], true, now).reason);
            } else if let Some(desk) = self.desk(&view.credential).filter(|_| number < TOLD) {
                let gates = self.fleet_gates(&desk.unit(), record, now);
                if gates.iter().any(|gate| !gate.open) {
                    view.reason = Some(turned_away(record, &gates, false, now).reason);
                }
            }
        }
        views
    }

    /// Who is due still and rests, since the last rotation turned back.
    pub fn resting(&self) -> Vec<CredentialId> {
        let rests = |view: &View| view.reason.as_ref().is_some_and(|reason| reason.code == "pause");
        self.views().into_iter().filter(rests).map(|view| view.credential).collect()
    }

    /// What the fleet would make of a plan, without asking for anything.
    pub(super) fn foresee(&self, unit: &Unit, record: Option<&Record>, plan: Plan, now: Timestamp) -> Plan {
        let (Step::Begin { .. }, Some(record)) = (&plan.step, record) else { return plan };
        let gates = self.fleet_gates(unit, record, now);
        if self.is_let_in(&unit.policy.credential, now) || gates.iter().all(|gate| gate.open) {
            return plan;
        }
        turned_away(record, &gates, self.fleet().fleet.halt.is_some(), now)
    }

    /// Whether the fleet has let it begin, and nothing has stopped everybody since.
    fn is_let_in(&self, id: &CredentialId, now: Timestamp) -> bool {
        let fleet = self.fleet().fleet;
        fleet.halt.is_none() && fleet.attempts.get(id).is_some_and(|attempt| attempt.is_under_way(now))
    }
}

/// The gate that stops who is turned away.
pub(super) fn first_closed(gates: &[Gate]) -> &Gate {
    gates.iter().find(|gate| !gate.open).expect("who is turned away stands before a gate")
}

/// The plan of one whom the fleet does not let begin.
pub(super) fn turned_away(record: &Record, gates: &[Gate], halted: bool, now: Timestamp) -> Plan {
    let closed = first_closed(gates);
    let why = if record.asked.is_some() { "asked for" } else { "due" };
    let until =
        closed.opens_at.map_or_else(String::new, |at| format!(" until {}", at.format("%Y-%m-%d %H:%M UTC")));
    let text = format!("{why}, and the gate `{}` is closed{until}: {}", closed.name, closed.why);
    let mut plan = wait_for(now, "fleet", text, closed.opens_at);
    if halted {
        // Only a person ends the halt, and wakes whoever waits: until then nobody is asked for nothing.
        plan.next_look = NextLook::Schedule;
        plan.reason.person =
            Some("`rekeyd status` shows why; `rekeyd resume --fleet` ends the halt".to_owned());
    }
    plan
}

/// Who is turned away asks again when the gate opens, or after a while; what lets it through wakes it sooner.
pub(super) fn wait_for(
    now: Timestamp,
    code: &'static str,
    text: String,
    opens_at: Option<Timestamp>,
) -> Plan {
    let least = after(now, Duration::from_secs(30));
    let most = after(now, Duration::from_hours(1));
    let at = opens_at.unwrap_or(most).clamp(least, most);
    Plan { step: Step::Rest, reason: Reason { code, text, person: None }, next_look: NextLook::At(at) }
}
