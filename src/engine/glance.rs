//! The fleet as people and metrics see it. Nothing is decided here.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::fleet::UNPOISONED;
use crate::domain::fleet::{self, Fleet, Overview, Pass, Rules};
use crate::domain::names::CredentialId;
use crate::domain::stage::Phase;
use crate::domain::{Timestamp, after};

/// The fleet as it was last seen.
#[derive(Debug, Clone)]
pub struct FleetView {
    /// What the journal says.
    pub fleet: Arc<Fleet>,
    /// What the operator wants.
    pub rules: Arc<Rules>,
    /// Who waits for the fleet.
    pub waiting: Vec<CredentialId>,
    /// How many credentials there are.
    pub size: usize,
}

impl FleetView {
    /// The fleet at a glance.
    pub fn overview(&self, now: Timestamp) -> Overview {
        fleet::overview(&self.rules, &self.fleet, self.waiting.len(), self.size, now)
    }
}

/// An emergency that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emergency {
    /// Rotations that are still to be proven.
    pub remaining: usize,
    /// When the last of them will be, as far as can be said.
    pub ends_at: Timestamp,
}

impl Engine {
    /// The fleet as it was last seen.
    pub fn fleet(&self) -> FleetView {
        FleetView {
            fleet: Arc::clone(&self.turnstile.view.lock().expect(UNPOISONED)),
            rules: self.rules(),
            waiting: self.turnstile.most_urgent(usize::MAX),
            size: self.size(),
        }
    }

    /// The emergency that is under way, if one is.
    pub fn emergency(&self) -> Option<Emergency> {
        let (view, now) = (self.fleet(), self.clock.now());
        let mut remaining = view.fleet.emergencies_under_way(now);
        let (mut each, mut pass) = (Duration::ZERO, Pass { fuse: true, emergency: true });
        for desk in self.views() {
            let Some(record) = &desk.record else { continue };
            let asked = record.asked.as_ref().filter(|asked| asked.pass.emergency);
            let waits = asked.filter(|_| record.stage.phase() == Phase::Settled && record.halt.is_none());
            if let Some(asked) = waits {
                remaining += 1;
                pass.fuse &= asked.pass.fuse;
            }
            let policy = &desk.policy;
            each = each.max(policy.propagation + policy.settle + policy.deadline + policy.proof_span);
        }
        let spent = fleet::time_to_end(&view.rules, &view.fleet, remaining, each, pass, view.size, now);
        (remaining > 0).then(|| Emergency { remaining, ends_at: after(now, spent) })
    }
}
