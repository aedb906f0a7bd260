//! The stops that only a person ends, each with its reason and the command that ends it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::names::{CredentialId, KeyName, Role};

/// Why a credential has stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum HaltReason {
    /// Several keys bear the name of the one that was made.
    DuplicateName {
        /// The role.
        role: Role,
        /// The name.
        name: KeyName,
        /// How many bear it.
        found: usize,
    },
    /// The consumer has no delivery endpoint: a person must enter the keys in its user interface.
    ManualDelivery {
        /// The names of the keys to enter.
        keys: Vec<KeyName>,
    },
    /// A person was to put the keys in place, and nobody said that it was done.
    HandOver {
        /// The names of the keys.
        keys: Vec<KeyName>,
    },
    /// The consumer took the delivery and never said what came of it.
    Indeterminate,
    /// With the old key gone, the consumer fails: it does not hold the fresh credential.
    ExclusionFailed {
        /// What the consumer said.
        detail: String,
    },
    /// The consumer was deployed again after the proof, and it was not rekeyd.
    ConsumerChanged {
        /// When, on the consumer's clock.
        deployed_at: Timestamp,
    },
    /// The consumer fails with the old credential too, after it was put back.
    RestoreFailed {
        /// What the consumer said.
        detail: String,
    },
    /// A deleted key still gets a token.
    OldKeyStillWorks {
        /// Its role.
        role: Role,
    },
    /// The fresh secret equals the old one: the instance has one secret for all its keys.
    SameSecret {
        /// The role.
        role: Role,
    },
    /// A key in use is gone from the issuer, and it was not rekeyd.
    LiveKeyGone {
        /// Its role.
        role: Role,
        /// Its name.
        name: KeyName,
    },
    /// A key of ours that the journal does not know exists: a restored backup, or a second instance.
    NewerGeneration {
        /// Its name.
        name: KeyName,
    },
    /// A person put this journal in its place while a rotation was under way in it.
    OldJournal,
    /// The configuration points somewhere else than the journal says.
    PinMismatch {
        /// What differs.
        what: String,
    },
    /// Too many attempts at one step were refused.
    AttemptsExhausted {
        /// The step.
        step: String,
        /// The first cause.
        cause: String,
    },
    /// Too many rotations in a row turned back.
    CyclesExhausted {
        /// How many.
        cycles: u32,
        /// Why the last one did.
        cause: String,
    },
    /// A stage lasted too long.
    TimeInStage {
        /// The stage.
        stage: String,
    },
    /// A secret was reset in place, and the consumer could not be shown to work with the fresh one: the old one is dead.
    NoWayBack {
        /// What went wrong.
        why: String,
    },
}

impl HaltReason {
    /// The reason as a short code, for logs and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DuplicateName { .. } => "duplicate-name",
            Self::ManualDelivery { .. } => "manual-delivery",
            Self::HandOver { .. } => "hand-over",
            Self::Indeterminate => "indeterminate",
            Self::ExclusionFailed { .. } => "exclusion-failed",
            Self::ConsumerChanged { .. } => "consumer-changed",
            Self::RestoreFailed { .. } => "restore-failed",
            Self::OldKeyStillWorks { .. } => "old-key-still-works",
            Self::SameSecret { .. } => "same-secret",
            Self::LiveKeyGone { .. } => "live-key-gone",
            Self::NewerGeneration { .. } => "newer-generation",
            Self::OldJournal => "old-journal",
            Self::PinMismatch { .. } => "pin-mismatch",
            Self::AttemptsExhausted { .. } => "attempts-exhausted",
            Self::CyclesExhausted { .. } => "cycles-exhausted",
            Self::TimeInStage { .. } => "time-in-stage",
            Self::NoWayBack { .. } => "no-way-back",
        }
    }

    /// What a person must do, with the command that ends the halt.
    pub fn remedy(&self, credential: &CredentialId) -> String {
        match self {
            Self::DuplicateName { name, .. } => format!(
                "delete all but one key named `{name}` at the issuer (rekeyd does not guess), then `rekeyd resume {credential}`"
            ),
            Self::ManualDelivery { keys } => format!(
                "manual UI update needed: in Integration Suite open Settings > Data Spaces > Edit, paste the keys {} in the second tab, \
                 save, wait five minutes, onboard the data plane again in the third tab, then `rekeyd confirm {credential}`",
                keys.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
            ),
            Self::HandOver { keys } => format!(
                "put the keys {} in place as the tenant's file says, then `rekeyd confirm {credential}`; if the consumer does not work with them, \
                 `rekeyd restore {credential}`",
                keys.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
            ),
            Self::Indeterminate => format!(
                "look at the data plane in Integration Suite (Settings > Data Spaces); if it works with the new keys, `rekeyd confirm {credential}`, \
                 else `rekeyd restore {credential}`; `rekeyd resume {credential}` watches it again: onboard the data plane once more after it"
            ),
            Self::ExclusionFailed { .. } => format!(
                "the old `ciapi` is gone and the consumer cannot deploy, data transfer goes on with the old `cirt`, which is kept; enter the fresh keys \
                 in Integration Suite (Settings > Data Spaces > Edit), then `rekeyd resume {credential}`"
            ),
            Self::ConsumerChanged { .. } => format!(
                "all keys are kept; if somebody entered other keys in Integration Suite and they are to stay, `rekeyd hold {credential}` first; \
                 `rekeyd resume {credential}` delivers the keys of rekeyd again and proves them anew"
            ),
            Self::RestoreFailed { .. } => format!(
                "all keys of both generations are kept; repair the data plane in Integration Suite, then `rekeyd resume {credential}`"
            ),
            Self::OldKeyStillWorks { .. } => format!(
                "ask SAP why a deleted key is still accepted (component BC-CP-IS-DSI); then `rekeyd resume {credential}`"
            ),
            Self::SameSecret { .. } => format!(
                "move the service instance to binding secrets (`credential-types`), since a new key with the same secret rotates nothing; \
                 then `rekeyd resume {credential}`"
            ),
            Self::LiveKeyGone { .. } => format!(
                "if the consumer was given another key by hand, `rekeyd confirm {credential}` takes what is at the issuer as the keys in use; \
                 else `rekeyd resume {credential}` after the key is back; during a soak `rekeyd restore {credential}` goes back to the other keys"
            ),
            Self::NewerGeneration { .. } => format!(
                "another rekeyd or a newer journal rotated this credential: stop the other instance or restore the newer journal; \
                 if this one is right, `rekeyd confirm {credential}`"
            ),
            Self::OldJournal => format!(
                "compare the keys at the issuer and at the consumer with `rekeyd history {credential}`: if nothing was done since the copy was made, \
                 `rekeyd resume {credential}`; else name the keys in use with `credential.keys.<role>.key` where the issuer has several, \
                 and `rekeyd confirm {credential}`"
            ),
            Self::PinMismatch { .. } => format!(
                "put the configuration back, or, if the credential really moved, `rekeyd confirm {credential}`"
            ),
            Self::AttemptsExhausted { .. } | Self::TimeInStage { .. } | Self::CyclesExhausted { .. } => {
                format!(
                    "remove the cause (`rekeyd history {credential}` shows every attempt), then `rekeyd resume {credential}`"
                )
            }
            Self::NoWayBack { .. } => format!(
                "see to the consumer: it holds a dead secret until it is given the fresh one, which is kept; then `rekeyd resume {credential}` \
                 gives it the fresh one again, or, where a person puts it in place, `rekeyd confirm {credential}` says that it is done"
            ),
        }
    }
}

impl fmt::Display for HaltReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateName { role, name, found } => {
                write!(f, "{found} keys at the issuer of `{role}` are named `{name}`, one was made")
            }
            Self::ManualDelivery { .. } => f.write_str(
                "the consumer has no endpoint to deliver to (404, 405 or 501): manual UI update needed",
            ),
            Self::HandOver { .. } => {
                f.write_str("a person was to put the keys in place, and nobody said that it was done")
            }
            Self::Indeterminate => {
                f.write_str("the consumer took the delivery and never showed what came of it")
            }
            Self::ExclusionFailed { detail } => write!(
                f,
                "with the old `ciapi` deleted the consumer fails ({detail}): it accepted the fresh credential and does not hold it"
            ),
            Self::ConsumerChanged { deployed_at } => write!(
                f,
                "the consumer was deployed again at {}, after the proof and not by rekeyd: somebody may have given it other keys",
                deployed_at.format("%Y-%m-%dT%H:%M:%SZ")
            ),
            Self::RestoreFailed { detail } => {
                write!(
                    f,
                    "the consumer fails with the old credential too ({detail}), so the rotation is not the cause"
                )
            }
            Self::OldKeyStillWorks { role } => write!(f, "the deleted `{role}` key still gets a token"),
            Self::SameSecret { role } => {
                write!(
                    f,
                    "the fresh `{role}` key has the secret of the old one: the rotation would change nothing"
                )
            }
            Self::LiveKeyGone { role, name } => {
                write!(
                    f,
                    "the `{role}` key `{name}` in use is gone from the issuer, and rekeyd did not delete it"
                )
            }
            Self::NewerGeneration { name } => {
                write!(
                    f,
                    "the issuer has `{name}`, which rekeyd made and this journal does not know: another instance, or an older journal"
                )
            }
            Self::OldJournal => f.write_str(
                "the journal was put in its place, and in it this rotation was under way: what was done since is not known",
            ),
            Self::PinMismatch { what } => {
                write!(f, "the configuration points elsewhere than the journal: {what}")
            }
            Self::AttemptsExhausted { step, cause } => {
                write!(f, "`{step}` was refused too often; the first cause: {cause}")
            }
            Self::CyclesExhausted { cycles: 1, cause } => {
                write!(f, "a rotation turned back, and none may be tried again: {cause}")
            }
            Self::CyclesExhausted { cycles, cause } => {
                write!(f, "{cycles} rotations in a row turned back, the last because {cause}")
            }
            Self::TimeInStage { stage } => write!(f, "the stage `{stage}` lasts too long"),
            Self::NoWayBack { why } => write!(
                f,
                "the secret is reset in place, so there is only the way forward, and that is barred: {why}"
            ),
        }
    }
}
