//! How far the retirement of an old set is.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::evidence::{Evidence, Watch};
use super::key::KeySet;
use super::names::{KeyName, Role};

/// A key that is on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// Its role.
    pub role: Role,
    /// When its deletion was last asked for; the intent is journalled before the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// When it was seen to be gone from the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
    /// When a token request with it still succeeded although it was gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still_works_at: Option<Timestamp>,
}

/// What somebody else did to the consumer before the proof by exclusion, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "at")]
pub enum Change {
    /// Nothing that is known: who deploys the consumer now is somebody else.
    #[default]
    None,
    /// Somebody deployed it, and it is to be given the set in use again.
    Undo,
    /// It accepted that at this time.
    Undone(Timestamp),
    /// A deployment was sought for the proof: what deploys the consumer from here on may be just that. Before that it
    /// may have accepted the set in use again, at this time.
    Sought(Option<Timestamp>),
}

impl Change {
    /// When the consumer was given the set in use again.
    pub(super) fn undone_at(self) -> Option<Timestamp> {
        match self {
            Self::Undone(at) | Self::Sought(Some(at)) => Some(at),
            Self::None | Self::Undo | Self::Sought(None) => None,
        }
    }

    /// The same once a deployment was sought.
    pub(super) fn sought(self) -> Self {
        Self::Sought(self.undone_at())
    }
}

/// How far the retirement is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retirement {
    /// The old keys that still exist, or whose absence is not confirmed.
    pub old: KeySet,
    /// The proof that the consumer works with the set that stays.
    pub evidence: Evidence,
    /// The key being deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Leaving>,
    /// When the last old key went, if any went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_gone_at: Option<Timestamp>,
    /// Whether the keys in use were tried since the last old key went. The journal's order says so, not the clock,
    /// which may have been set back in between.
    #[serde(default)]
    pub proven_since: bool,
    /// The redeployment that seeks the proof by exclusion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
    /// Whether the consumer said that it cannot be redeployed on demand.
    #[serde(default)]
    pub cannot_redeploy: bool,
    /// What the consumer said when it failed without the old key; the fresh credential is then delivered again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusion_failed: Option<String>,
    /// Whether that second delivery was accepted.
    #[serde(default)]
    pub redelivered: bool,
    /// What somebody else did to the consumer since the first old key went.
    #[serde(default)]
    pub change: Change,
    /// Old keys that stay because rekeyd did not make them.
    #[serde(default)]
    pub left: BTreeSet<KeyName>,
}

impl Retirement {
    /// Whether no old key was seen to be gone yet, and nothing was left in place. The deletion of one may have been asked for.
    pub fn is_whole(&self) -> bool {
        let gone = self.leaving.as_ref().is_some_and(|leaving| leaving.gone_at.is_some());
        !gone && self.last_gone_at.is_none() && self.left.is_empty()
    }

    /// A retirement in which nothing has gone yet.
    pub fn new(old: KeySet, evidence: Evidence) -> Self {
        Self {
            old,
            evidence,
            leaving: None,
            last_gone_at: None,
            proven_since: false,
            watch: None,
            cannot_redeploy: false,
            exclusion_failed: None,
            redelivered: false,
            change: Change::None,
            left: BTreeSet::new(),
        }
    }
}
