//! What was seen at issuer and consumer just now, and what could not be seen.
//!
//! An answer is yes, no or unknown. Unknown never opens a way to anything destructive.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::failure::Failure;
use super::key::Sightings;
use super::names::Role;

/// What came of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// It was not looked at, since the stage does not need it.
    NotAsked,
    /// It was seen.
    Yes(T),
    /// It could not be seen.
    Unknown(Failure),
}

impl<T> Seen<T> {
    /// What was seen, if anything.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Yes(value) => Some(value),
            Self::NotAsked | Self::Unknown(_) => None,
        }
    }

    /// Why it could not be seen.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Unknown(failure) => Some(failure),
            Self::NotAsked | Self::Yes(_) => None,
        }
    }
}

/// How the consumer describes its state, after tolerant reading (facts: DSI, section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The words mean nothing to us: never success.
    Unknown,
    /// Nothing is provisioned.
    NotProvisioned,
    /// Under way.
    InProgress,
    /// It works.
    Success,
    /// It does not.
    Error,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 5] =
        [Self::Unknown, Self::NotProvisioned, Self::InProgress, Self::Success, Self::Error];

    /// The verdict as a label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotProvisioned => "not_provisioned",
            Self::InProgress => "in_progress",
            Self::Success => "success",
            Self::Error => "error",
        }
    }

    /// Whether the consumer has come to an end, one way or the other.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Error)
    }

    /// Whether it is at work, as far as anybody can tell: a word that means nothing to us may say just that.
    pub fn may_be_under_way(self) -> bool {
        matches!(self, Self::InProgress | Self::Unknown)
    }
}

/// The consumer's own word on its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// What it amounts to.
    pub verdict: Verdict,
    /// The consumer's own word, shortened.
    pub word: String,
    /// When the consumer says this was so, on its clock. Most answers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What the consumer says is wrong, redacted and shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The consumer's integration content, read independently of its own word with the fresh `ciapi` key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// When the newest piece was deployed, on the runtime's clock; `None` where nothing is deployed.
    pub deployed_at: Option<Timestamp>,
    /// Whether every piece has started.
    pub started: bool,
}

/// Which looks a stage needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looks {
    /// List the keys at the issuer.
    pub keys: bool,
    /// Ask the consumer for its status.
    pub status: bool,
    /// Look at the integration content with the `ciapi` key of the set in use.
    pub content: bool,
}

/// Everything that was seen in one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// When.
    pub at: Timestamp,
    /// The keys at the issuer.
    pub keys: Seen<Sightings>,
    /// The consumer's own word.
    pub status: Seen<Status>,
    /// The integration content.
    pub content: Seen<Content>,
    /// How many looks in a row could not see what they were for, this one included. Not journalled.
    pub blind: u32,
}

impl Observation {
    /// An observation in which nothing was asked.
    pub fn nothing(at: Timestamp) -> Self {
        Self { at, keys: Seen::NotAsked, status: Seen::NotAsked, content: Seen::NotAsked, blind: 0 }
    }

    /// The sightings of `role`; `None` while unknown.
    pub fn of_role(&self, role: Role) -> Option<&[super::key::Sighting]> {
        self.keys.known().map(|keys| keys.get(&role).map_or(&[][..], Vec::as_slice))
    }
}
