//! Where one credential's rotation stands. Each stage carries exactly the facts that hold in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::evidence::{Evidence, Grade, Watch};
use super::key::{Key, KeySet};
use super::names::{KeyId, KeyName, Role};
use super::retirement::Retirement;

/// How a rotation that is being finished came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "why")]
pub enum Course {
    /// The fresh keys replace the old ones.
    Forward,
    /// The old keys were put back, and the fresh ones are retired instead; with the reason.
    Back(String),
}

/// One credential's rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "stage")]
pub enum Stage {
    /// One key per role, in use.
    Settled {
        /// The keys in use.
        live: KeySet,
    },
    /// The fresh keys are being made. Their names were journalled before the first create.
    Creating {
        /// The keys in use.
        live: KeySet,
        /// The names of the fresh keys.
        names: BTreeMap<Role, KeyName>,
        /// When the create of a role was last sent; journalled before the call.
        sent: BTreeMap<Role, Timestamp>,
        /// Those that exist.
        made: KeySet,
    },
    /// Both generations exist; the fresh one is not proven.
    Testing {
        /// The keys in use.
        live: KeySet,
        /// The fresh keys.
        fresh: KeySet,
        /// How far each fresh key was tested.
        tested: BTreeMap<Role, Grade>,
    },
    /// The consumer may hold either: the delivery is repeated until it is answered.
    Delivering {
        /// The old keys.
        live: KeySet,
        /// The fresh keys.
        fresh: KeySet,
        /// What the consumer looked like before the first delivery.
        baseline: super::evidence::Baseline,
    },
    /// Accepted; not yet proven.
    Provisioning {
        /// The old keys.
        live: KeySet,
        /// The fresh keys.
        fresh: KeySet,
        /// What is being watched for.
        watch: Watch,
    },
    /// Proven; the old set is kept until the soak ends.
    Soaking {
        /// The keys in use.
        fresh: KeySet,
        /// The keys to retire.
        old: KeySet,
        /// The proof.
        evidence: Evidence,
        /// Which way this came about.
        course: Course,
    },
    /// The old set goes, least harm first, with proof in between.
    Retiring {
        /// The keys in use.
        fresh: KeySet,
        /// How far it is.
        retirement: Retirement,
        /// Which way this came about.
        course: Course,
    },
    /// The fresh keys were never delivered and are being cleared away, or the old set is being put back and proven.
    Restoring {
        /// The keys to go back to.
        live: KeySet,
        /// The keys that failed.
        fresh: KeySet,
        /// Fresh keys whose create was sent and whose fate is not known, by name.
        pending: BTreeMap<Role, KeyName>,
        /// Whether the consumer may hold the fresh keys.
        delivered: bool,
        /// What the consumer looked like before.
        baseline: super::evidence::Baseline,
        /// What is being watched for, once the old set was put back.
        watch: Option<Watch>,
        /// Why.
        why: String,
    },
}

/// The name of a stage: the values of the label `phase`, `halted` beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// See [`Stage::Settled`].
    Settled,
    /// See [`Stage::Creating`].
    Creating,
    /// See [`Stage::Testing`].
    Testing,
    /// See [`Stage::Delivering`].
    Delivering,
    /// See [`Stage::Provisioning`].
    Provisioning,
    /// See [`Stage::Soaking`].
    Soaking,
    /// See [`Stage::Retiring`].
    Retiring,
    /// See [`Stage::Restoring`].
    Restoring,
    /// A mark beside the stage: a person is needed.
    Halted,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 9] = [
        Self::Settled,
        Self::Creating,
        Self::Testing,
        Self::Delivering,
        Self::Provisioning,
        Self::Soaking,
        Self::Retiring,
        Self::Restoring,
        Self::Halted,
    ];

    /// The phase as a label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Creating => "creating",
            Self::Testing => "testing",
            Self::Delivering => "delivering",
            Self::Provisioning => "provisioning",
            Self::Soaking => "soaking",
            Self::Retiring => "retiring",
            Self::Restoring => "restoring",
            Self::Halted => "halted",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Stage {
    /// The name of the stage.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Settled { .. } => Phase::Settled,
            Self::Creating { .. } => Phase::Creating,
            Self::Testing { .. } => Phase::Testing,
            Self::Delivering { .. } => Phase::Delivering,
            Self::Provisioning { .. } => Phase::Provisioning,
            Self::Soaking { .. } => Phase::Soaking,
            Self::Retiring { .. } => Phase::Retiring,
            Self::Restoring { .. } => Phase::Restoring,
        }
    }

    /// The set that is in use as far as is proven: what the age of the credential is measured by.
    pub fn in_use(&self) -> &KeySet {
        match self {
            Self::Settled { live }
            | Self::Creating { live, .. }
            | Self::Testing { live, .. }
            | Self::Delivering { live, .. }
            | Self::Provisioning { live, .. }
            | Self::Restoring { live, .. } => live,
            Self::Soaking { fresh, .. } | Self::Retiring { fresh, .. } => fresh,
        }
    }

    /// The set that is newest at the consumer or on its way there: the one to look at the content with.
    pub fn newest(&self) -> &KeySet {
        match self {
            Self::Settled { live } | Self::Creating { live, .. } | Self::Restoring { live, .. } => live,
            Self::Testing { fresh, .. }
            | Self::Delivering { fresh, .. }
            | Self::Provisioning { fresh, .. }
            | Self::Soaking { fresh, .. }
            | Self::Retiring { fresh, .. } => fresh,
        }
    }

    /// Every key the consumer may hold. From the first delivery both generations, after the proof only the set in
    /// use. What is in this set is never deleted.
    pub fn may_hold(&self) -> BTreeSet<&KeyId> {
        fn ids(set: &KeySet) -> impl Iterator<Item = &KeyId> {
            set.values().map(|key| &key.id)
        }
        match self {
            Self::Settled { live } | Self::Creating { live, .. } | Self::Testing { live, .. } => {
                ids(live).collect()
            }
            Self::Delivering { live, fresh, .. } | Self::Provisioning { live, fresh, .. } => {
                ids(live).chain(ids(fresh)).collect()
            }
            Self::Restoring { live, fresh, delivered, .. } => {
                if *delivered {
                    ids(live).chain(ids(fresh)).collect()
                } else {
                    ids(live).collect()
                }
            }
            Self::Soaking { fresh, old, .. } => ids(fresh).chain(ids(old)).collect(),
            Self::Retiring { fresh, retirement, .. } => {
                // The exclusion failed: the consumer may hold what is left of the old set after all.
                let suspected = retirement.exclusion_failed.is_some();
                ids(fresh).chain(ids(&retirement.old).filter(move |_| suspected)).collect()
            }
        }
    }

    /// What is watched for after a delivery, there or back.
    pub fn watch(&self) -> Option<&Watch> {
        match self {
            Self::Provisioning { watch, .. } => Some(watch),
            Self::Restoring { watch, .. } => watch.as_ref(),
            _ => None,
        }
    }

    /// Every key that belongs to this credential.
    pub fn keys(&self) -> Vec<(Role, &Key)> {
        fn all(set: &KeySet) -> impl Iterator<Item = (Role, &Key)> {
            set.iter().map(|(role, key)| (*role, key))
        }
        match self {
            Self::Settled { live } => all(live).collect(),
            Self::Creating { live, made, .. } => all(live).chain(all(made)).collect(),
            Self::Testing { live, fresh, .. }
            | Self::Delivering { live, fresh, .. }
            | Self::Provisioning { live, fresh, .. }
            | Self::Restoring { live, fresh, .. } => all(live).chain(all(fresh)).collect(),
            Self::Soaking { fresh, old, .. } => all(fresh).chain(all(old)).collect(),
            Self::Retiring { fresh, retirement, .. } => all(fresh).chain(all(&retirement.old)).collect(),
        }
    }
}
