//! A look without a step: what would happen now, and why.

use std::sync::Arc;

use super::desk::Hand;
use super::look::look;
use super::{Engine, Unit};
use crate::domain::Timestamp;
use crate::domain::event::{Entry, Event};
use crate::domain::fold::fold;
use crate::domain::names::CredentialId;
use crate::domain::observation::Observation;
use crate::domain::plan::{self, Plan, Step};
use crate::domain::proof::{Gate, retire_gates, soak_gates};
use crate::domain::record::Record;
use crate::domain::stage::Stage;

/// What a peek saw.
#[derive(Debug, Clone)]
pub struct Peek {
    /// The plan.
    pub plan: Plan,
    /// What was seen.
    pub observation: Observation,
    /// What the journal says.
    pub record: Option<Record>,
    /// What would come once the keys in use are recognised, where they are not yet.
    pub then: Option<Plan>,
    /// The gates before the next deletion, or before a rotation may begin.
    pub gates: Vec<Gate>,
    /// The next tick of the schedule.
    pub tick: Option<Timestamp>,
}

impl Engine {
    /// Looks and plans, and does nothing: read-only calls only.
    pub async fn peek_at(&self, id: &CredentialId) -> Option<Peek> {
        let desk = self.desk(id)?;
        let unit = desk.unit();
        let record = desk.read(|view| view.record.clone());
        let now = self.clock.now();
        let looks = plan::looks(&unit.policy, record.as_deref(), now);
        let mut hand = Hand::of(record);
        let observation = look(&unit, &mut hand, looks, self.clock.as_ref()).await;
        let now = self.clock.now();
        let plan = plan::plan(&unit.policy, hand.record.as_deref(), &observation, now);
        let plan = self.foresee(&unit, hand.record.as_deref(), plan, now);
        let record = hand.record.map(Arc::unwrap_or_clone);
        let presumed = presumed(id, &plan, now);
        let then = presumed.as_ref().map(|record| {
            let then = plan::plan(&unit.policy, Some(record), &observation, now);
            self.foresee(&unit, Some(record), then, now)
        });
        let gates = self.gates(&unit, record.as_ref().or(presumed.as_ref()), &observation, now);
        Some(Peek { plan, observation, record, then, gates, tick: (unit.next_tick)(now) })
    }

    /// Looks, and takes what is seen for recognised where the journal knows nothing, for whoever reads without a daemon.
    /// Nothing is written.
    pub async fn presume(&self, id: &CredentialId) {
        let (Some(desk), Some(peek)) = (self.desk(id), self.peek_at(id).await) else { return };
        if peek.record.is_none()
            && let Some(record) = presumed(id, &peek.plan, self.clock.now())
        {
            desk.publish(|view| view.record = Some(Arc::new(record)));
        }
    }

    fn gates(
        &self,
        unit: &Unit,
        record: Option<&Record>,
        observation: &Observation,
        now: Timestamp,
    ) -> Vec<Gate> {
        let Some(record) = record else { return Vec::new() };
        match &record.stage {
            Stage::Settled { .. } => {
                let keys = observation.keys.known();
                let mut gates = plan::begin_gates(&unit.policy, record, keys, &observation.status, now);
                gates.extend(self.fleet_gates(unit, record, now));
                gates
            }
            Stage::Soaking { .. } => soak_gates(&unit.policy, record, observation, now),
            Stage::Retiring { retirement, .. } => {
                let next = unit.policy.roles.iter().find(|role| retirement.old.contains_key(role));
                next.map_or_else(Vec::new, |role| retire_gates(&unit.policy, record, observation, *role, now))
            }
            _ => Vec::new(),
        }
    }
}

/// What the journal would say once `plan` has recognised the keys in use.
fn presumed(id: &CredentialId, plan: &Plan, now: Timestamp) -> Option<Record> {
    let Step::Note(event @ Event::Adopted { .. }) = &plan.step else { return None };
    let entry = Entry { sequence: 1, at: now, credential: id.clone(), event: event.clone() };
    fold(&[entry]).ok()?.remove(id)
}
