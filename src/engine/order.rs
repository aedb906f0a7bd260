//! Who goes first is who has the least time left, and not who looks first.
//!
//! Many look at the same moment: at the start, at a tick of the schedule. Whoever was woken and may turn out to be due
//! therefore stands in line until his look is over; then those who wait and may begin look again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Engine;
use super::desk::Desk;
use super::fleet::{UNPOISONED, Urgency, urgency_of};
use crate::domain::Timestamp;
use crate::domain::fleet;
use crate::domain::names::CredentialId;
use crate::domain::plan::rotation_due;
use crate::domain::stage::Stage;
use crate::domain::view::View;

impl Engine {
    /// A desk is woken: until it has looked, it may want to begin.
    pub(super) fn expect(&self, desk: &Desk) {
        let now = self.clock.now();
        if let Some(urgency) = desk.read(|view| standing(view, now)) {
            let id = urgency.2.clone();
            self.expect_as(&id, urgency);
        }
    }

    /// It is known by now how urgent it is.
    pub(super) fn expect_as(&self, id: &CredentialId, urgency: Urgency) {
        self.turnstile.expected.lock().expect(UNPOISONED).insert(id.clone(), urgency);
    }

    /// It has looked, or cannot.
    pub(super) fn expect_no_more(&self, id: &CredentialId) {
        self.turnstile.expected.lock().expect(UNPOISONED).remove(id);
    }

    /// Wakes those who wait and could begin now.
    pub(super) fn let_in(self: &Arc<Self>) {
        let (rules, now) = (self.rules(), self.clock.now());
        for id in self.turnstile.most_urgent(rules.rotations_at_once) {
            let Some(desk) = self.desk(&id).filter(|desk| !desk.walking.load(Ordering::Acquire)) else {
                continue;
            };
            let Some(record) = desk.read(|view| view.record.clone()) else { continue };
            let fleet = Arc::clone(&self.turnstile.view.lock().expect(UNPOISONED));
            let unit = desk.unit();
            if fleet::admit(&rules, &fleet, &self.candidate(&unit, &record, now), now).is_ok() {
                self.wake_one(&desk, false);
            }
        }
    }
}

/// How urgent one is that was woken, if it may want to begin. Of one that was never seen nothing is known: it may be
/// the most urgent of all.
fn standing(view: &View, now: Timestamp) -> Option<Urgency> {
    let id = &view.credential;
    let Some(record) = &view.record else { return Some((false, Timestamp::MIN_UTC, id.clone())) };
    let rests =
        matches!(record.stage, Stage::Settled { .. }) && record.halt.is_none() && !record.is_held(now);
    let due = rotation_due(&view.policy, record.stage.in_use()).ok().flatten().is_some_and(|at| at <= now);
    (rests && (due || record.asked.is_some())).then(|| urgency_of(&view.policy, record))
}
