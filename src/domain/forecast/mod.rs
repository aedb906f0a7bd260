//! The calendar of coming rotations: the daemon's own rules, played through on a clock that only this module turns.
//!
//! Whether a rotation is due is asked of the plan, whether it may begin of the fleet, and what is admitted is folded
//! into a copy of the fleet like a journal's entry. What cannot be known is assumed and said: every rotation goes well
//! and takes as long as the last one, and nobody asks for anything.

mod course;
mod play;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::fleet::{Fleet, Opening, Rules};
use super::names::CredentialId;
use super::policy::Policy;
use super::record::Record;

/// No forecast holds more rotations: a window of minutes would make it endless.
pub const MOST_ROTATIONS: usize = 50_000;

/// One credential, as far as its rotations can be foretold.
pub struct Member<'a> {
    /// What the operator wants.
    pub policy: &'a Policy,
    /// What the journal says; `None` before the keys in use were recognised.
    pub record: Option<&'a Record>,
    /// The first tick of the tenant's schedule after an instant.
    pub tick: &'a dyn Fn(Timestamp) -> Option<Timestamp>,
    /// Whether the tenant's maintenance windows are open at an instant.
    pub opening: &'a dyn Fn(Timestamp) -> Opening,
}

/// One rotation that comes, or is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coming {
    /// Whose.
    pub credential: CredentialId,
    /// The generation of its keys.
    pub generation: u32,
    /// Whether it has begun already.
    pub under_way: bool,
    /// Since when it is due, where that is known.
    pub due_at: Option<Timestamp>,
    /// When it begins, or began.
    pub begins_at: Timestamp,
    /// When the old keys begin to go: the end of the soak.
    pub retires_at: Timestamp,
    /// When nothing is left of the old keys.
    pub over_at: Timestamp,
    /// When the window of the old keys ends, where that is known.
    pub ends_at: Option<Timestamp>,
    /// The gate that kept it waiting last, where one did.
    pub waited_for: Option<String>,
    /// Whose rotation goes before, where it waited for that of one other.
    #[serde(default)]
    pub goes_before: Option<CredentialId>,
    /// When the hold ends that keeps it waiting, or the old keys, where one does.
    #[serde(default)]
    pub held_until: Option<Timestamp>,
}

impl Coming {
    /// Whether the consumer is given fresh keys only after the window of the old ones.
    pub fn is_late(&self) -> bool {
        !self.under_way && self.ends_at.is_some_and(|end| self.begins_at >= end)
    }
}

/// A credential that will not rotate by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Whose.
    pub credential: CredentialId,
    /// Why.
    pub why: String,
    /// What to do, as a command where there is one.
    pub remedy: String,
    /// When the window of its keys ends, where that is known.
    pub ends_at: Option<Timestamp>,
}

/// What comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// The rotations, in the order in which they begin.
    pub coming: Vec<Coming>,
    /// Who will not rotate, by name.
    pub stopped: Vec<Stopped>,
    /// The fleet is halted: what comes is told as if a person resumed it at once.
    pub fleet_halted: bool,
    /// Whether it was cut off at [`MOST_ROTATIONS`].
    pub cut_off: bool,
}

/// What comes between `now` and `until`, if every rotation goes well and nobody asks for anything.
pub fn forecast(
    rules: &Rules,
    fleet: &Fleet,
    members: &[Member<'_>],
    now: Timestamp,
    until: Timestamp,
) -> Forecast {
    let mut play = play::Play::new(rules, fleet, members, now, until);
    play.run();
    play.end()
}
