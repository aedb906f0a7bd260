//! The rules over the whole fleet: who may begin to rotate now, and when everybody must stop.
//!
//! A credential's own plan says that a rotation is due; the fleet says whether it may begin. In prose:
//!
//! 1. A halted fleet begins nothing until a person resumes it. It halts when the canary fails, when too large a share
//!    of the rotations fails, or when one rotation shows that a consumer can be locked out.
//! 2. Nothing begins outside a tenant's maintenance windows, unless none is left before the keys end.
//! 3. The first rotation of a release goes alone, until it is proven and has soaked; then a growing share goes.
//! 4. At most so many rotations begin in 24 hours: the fuse. Only a person who says so passes it.
//! 5. At most so many are under way at once, and those with the least time left go first.
//!
//! An admission is journalled under the fleet's own lease before the rotation begins, so that two instances cannot
//! both take the last place. Nothing here stops a rotation that has begun: half-way is the worst place to stand.

mod gates;
mod overview;
mod record;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::event::Event;
use super::names::CredentialId;

pub use gates::{Admission, Candidate, Share, admit, begun, gates, halt_gate, most_at_once, time_to_end};
pub use overview::{Overview, overview};
pub use record::{Attempt, Fleet, Progress};

/// How long a success speaks for the next rotations; after that a canary goes first again.
pub const TRUST: Duration = Duration::from_hours(90 * 24);

/// Failures are counted over the rotations admitted in this time.
pub const FAILURE_SPAN: Duration = Duration::from_hours(7 * 24);

/// With fewer rotations than this no share of failures means anything.
pub const FEWEST_FOR_A_SHARE: usize = 5;

/// The fuse counts over this time.
pub const FUSE_SPAN: Duration = Duration::from_hours(24);

/// An admission that no rotation followed is void after this time. It still counts for the fuse.
pub const LAPSE: Duration = Duration::from_hours(1);

/// What the operator wants for the whole fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Rotations that may begin in 24 hours, whatever the size of the fleet.
    pub fuse_rotations: usize,
    /// Rotations that may begin in 24 hours, in percent of the fleet; the larger of both counts.
    pub fuse_percent: usize,
    /// Whether a canary and growing shares go first.
    pub canary: bool,
    /// The share that may go once the canary has soaked, in percent of the fleet.
    pub first_share_percent: usize,
    /// The share that may go once the first share has soaked, in percent of the fleet.
    pub second_share_percent: usize,
    /// The fleet halts when more rotations fail than this, in percent.
    pub halt_percent: usize,
    /// Rotations that may be under way at once, counted until they are proven.
    pub rotations_at_once: usize,
    /// The release of rekeyd: what another one did speaks for nothing.
    pub release: String,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            fuse_rotations: 10,
            fuse_percent: 10,
            canary: true,
            first_share_percent: 5,
            second_share_percent: 25,
            halt_percent: 20,
            rotations_at_once: 32,
            release: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl Rules {
    /// How many rotations of a fleet of `size` the fuse lets begin in 24 hours.
    pub fn fuse_limit(&self, size: usize) -> usize {
        self.fuse_rotations.max(share(size, self.fuse_percent))
    }
}

/// `percent` of `size`, at least one.
fn share(size: usize, percent: usize) -> usize {
    (size * percent / 100).max(1)
}

/// Whether a tenant's maintenance windows are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It has none: always.
    Always,
    /// Open until this instant.
    Open(Timestamp),
    /// Closed until this instant; `None` where none ever opens.
    Closed(Option<Timestamp>),
}

/// What a person lets a rotation pass by. No gate before a deletion is ever passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pass {
    /// "I mean it": the fuse is passed, and still counts.
    #[serde(default)]
    pub fuse: bool,
    /// The keys are exposed: windows are passed, and a share goes on once the one before it is proven, without a soak.
    #[serde(default)]
    pub emergency: bool,
}

/// The reason that stands for exposed keys: who gives it declares an emergency.
pub const EXPOSED: &str = "exposed";

impl Pass {
    /// What a person passes who gives `reason`, and says that it is meant or does not.
    pub fn of(reason: &str, meant: bool) -> Self {
        Self { fuse: meant, emergency: reason == EXPOSED }
    }

    /// Whether it passes everything that `other` does.
    pub fn covers(self, other: Self) -> bool {
        self == self.and(other)
    }

    /// What both pass together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { fuse: self.fuse || other.fuse, emergency: self.emergency || other.emergency }
    }
}

/// Why the fleet has stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum FleetHaltReason {
    /// The first rotation failed.
    CanaryFailed {
        /// Whose.
        credential: CredentialId,
        /// Why.
        cause: String,
    },
    /// Too large a share failed.
    TooManyFailures {
        /// How many failed.
        failed: usize,
        /// Of how many.
        of: usize,
        /// Why the last one did.
        cause: String,
    },
    /// A consumer was, or could have been, locked out.
    LockOut {
        /// Whose.
        credential: CredentialId,
        /// Why.
        cause: String,
    },
}

impl FleetHaltReason {
    /// The reason as a short code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::CanaryFailed { .. } => "canary-failed",
            Self::TooManyFailures { .. } => "too-many-failures",
            Self::LockOut { .. } => "lock-out",
        }
    }

    /// What a person must do, with the command that ends the halt.
    pub fn remedy(&self) -> String {
        let look = match self {
            Self::CanaryFailed { credential, .. } | Self::LockOut { credential, .. } => {
                format!("`rekeyd history {credential}` shows what happened")
            }
            Self::TooManyFailures { .. } => "`rekeyd status` shows which rotations failed".to_owned(),
        };
        format!("{look}; remove the cause, then `rekeyd resume --fleet`; rotations under way go on")
    }
}

impl std::fmt::Display for FleetHaltReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CanaryFailed { credential, cause } => {
                write!(f, "the first rotation, of `{credential}`, failed: {cause}")
            }
            Self::TooManyFailures { failed, of, cause } => {
                write!(f, "{failed} of {of} rotations failed, the last because {cause}")
            }
            Self::LockOut { credential, cause } => {
                write!(f, "a consumer could be locked out, seen at `{credential}`: {cause}")
            }
        }
    }
}

/// What happened to the fleet as a whole: the entries of its own stream in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fleet")]
pub enum FleetEvent {
    /// A rotation may begin.
    Admitted {
        /// Whose.
        credential: CredentialId,
        /// What it passes.
        #[serde(default)]
        pass: Pass,
        /// Whether it begins in a closed window, since none is left before the end.
        #[serde(default)]
        window_overridden: bool,
        /// The release of rekeyd that admitted it.
        release: String,
    },
    /// Nothing begins any more.
    Halted(FleetHaltReason),
    /// A person ends the halt.
    Resumed {
        /// Why, in the operator's words.
        reason: String,
    },
}

impl FleetEvent {
    /// The name of the event, as in the journal and in `history`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Admitted { .. } => "admitted",
            Self::Halted(_) => "fleet-halted",
            Self::Resumed { .. } => "fleet-resumed",
        }
    }
}

/// Whether `event` of a credential may let others begin, or must stop them.
pub fn stirs(event: &Event) -> bool {
    matches!(
        event,
        Event::Proven { .. }
            | Event::RetireBegun
            | Event::TurnedBack { .. }
            | Event::SameSecret { .. }
            | Event::ExclusionFailed { .. }
            | Event::Halted(_)
    )
}
