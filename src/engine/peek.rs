//! A look without a step: what would happen now, and why.

use super::desk::Hand;
use super::look::look;
use super::{Engine, Unit};
use crate::domain::Timestamp;
use crate::domain::names::CredentialId;
use crate::domain::observation::Observation;
use crate::domain::plan::{self, Plan};
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
        let gates = self.gates(&unit, hand.record.as_deref(), &observation, now);
        let record = hand.record.map(std::sync::Arc::unwrap_or_clone);
        Some(Peek { plan, observation, record, gates, tick: (unit.next_tick)(now) })
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
