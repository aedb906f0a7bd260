//! The fleet at a glance, for people and metrics. A copy: nothing is decided from it.

use super::gates::{Share, staged};
use super::{Fleet, FleetHaltReason, Rules};
use crate::domain::Timestamp;

/// The fleet at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// How many credentials there are.
    pub size: usize,
    /// Why nothing begins, and since when.
    pub halt: Option<(FleetHaltReason, Timestamp)>,
    /// Who may go.
    pub share: Share,
    /// How many of them may be open at once; `None` is no limit.
    pub share_limit: Option<usize>,
    /// Rotations that are not proven and soaked yet.
    pub open: usize,
    /// Rotations of this release that went well.
    pub successes: usize,
    /// Rotations that began in 24 hours.
    pub fuse_used: usize,
    /// How many of them the fuse allows.
    pub fuse_limit: usize,
    /// When the fuse lets the next one begin, where it lets none.
    pub fuse_opens_at: Option<Timestamp>,
    /// Rotations that are not proven yet.
    pub under_way: usize,
    /// How many of them may be under way at once.
    pub at_once: usize,
    /// How many wait for the fleet.
    pub waiting: usize,
}

impl Overview {
    /// How many rotations the fuse still lets begin.
    pub fn fuse_left(&self) -> usize {
        self.fuse_limit.saturating_sub(self.fuse_used)
    }

    /// Whether more want to begin than the fuse lets.
    pub fn is_fuse_blown(&self) -> bool {
        self.waiting > 0 && self.fuse_left() == 0
    }
}

/// The fleet at a glance, with `waiting` credentials of `size` that wait for it.
pub fn overview(rules: &Rules, fleet: &Fleet, waiting: usize, size: usize, now: Timestamp) -> Overview {
    let successes = fleet.successes(rules, false, now);
    let (share, share_limit) = staged(rules, size, successes);
    let limit = rules.fuse_limit(size);
    let used = fleet.admitted_lately(now);
    Overview {
        size,
        halt: fleet.halt.clone(),
        share,
        share_limit,
        open: fleet.attempts.values().filter(|attempt| attempt.is_open(now)).count(),
        successes,
        fuse_used: used,
        fuse_limit: limit,
        fuse_opens_at: fleet.fuse_opens_at(limit, now).filter(|_| used >= limit),
        under_way: fleet.attempts.values().filter(|attempt| attempt.is_under_way(now)).count(),
        at_once: rules.rotations_at_once,
        waiting,
    }
}
