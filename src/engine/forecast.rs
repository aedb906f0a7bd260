//! What comes, for people: the domain's forecast over everything that is in hand. Nothing is asked and nothing written.

use std::sync::Arc;

use super::fleet::UNPOISONED;
use super::{Desk, Engine, Unit};
use crate::domain::Timestamp;
use crate::domain::forecast::{Forecast, Member, forecast};
use crate::domain::record::Record;

impl Engine {
    /// The rotations between now and `until`, as far as they can be told from here.
    pub fn forecast(&self, until: Timestamp) -> Forecast {
        let desks: Vec<Arc<Desk>> = self.desks.read().expect(UNPOISONED).values().cloned().collect();
        let known: Vec<(Unit, Option<Arc<Record>>)> =
            desks.iter().map(|desk| (desk.unit(), desk.view().record)).collect();
        let members: Vec<Member<'_>> = known
            .iter()
            .map(|(unit, record)| Member {
                policy: &unit.policy,
                record: record.as_deref(),
                tick: unit.next_tick.as_ref(),
                opening: unit.maintenance.as_ref(),
            })
            .collect();
        let fleet = self.fleet();
        forecast(&fleet.rules, &fleet.fleet, &members, self.clock.now(), until)
    }
}
