//! Keys on the service instances of the tenants that belong to nobody: made by people and never handed to rekeyd, or made
//! by a rekeyd whose journal is not here.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::key::Sightings;
use super::names::{CredentialId, KeyName, Role};
use super::record::Record;
use super::stage::Stage;

/// What kind of a stray a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrayKind {
    /// Somebody else made it.
    Unmanaged,
    /// It has a name that rekeyd gives, and the journal does not know it.
    Orphan,
}

/// A key of nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// On whose instance it is.
    pub credential: CredentialId,
    /// The role of the instance.
    pub role: Role,
    /// What kind it is.
    pub kind: StrayKind,
    /// Its name at the issuer.
    pub name: String,
    /// Its id at the issuer.
    pub id: String,
    /// When it was made, where that is known.
    pub created_at: Option<Timestamp>,
}

/// What is known of one credential: what the journal says, and what was seen at its issuer.
pub type Known<'a> = (&'a CredentialId, &'a Record, &'a Sightings);

/// Every key of nobody's, once, sorted by credential, role and name. Credentials may share an instance: a key of one is no
/// stray to the others.
pub fn strays(all: &[Known<'_>]) -> Vec<Stray> {
    let managed: BTreeSet<&str> =
        all.iter().flat_map(|(_, record, _)| record.stage.keys()).map(|(_, key)| key.id.0.as_str()).collect();
    // A key of ours is known by its name before its id is: it is being made, or it was.
    let named: BTreeSet<&KeyName> = all.iter().flat_map(|(_, record, _)| names(record)).collect();
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for (credential, _, sightings) in all {
        for (role, seen) in *sightings {
            for key in seen.iter().map(|seen| &seen.key) {
                let is_known = managed.contains(key.id.0.as_str()) || named.contains(&key.name);
                if is_known || !told.insert(key.id.0.as_str()) {
                    continue;
                }
                found.push(Stray {
                    credential: (*credential).clone(),
                    role: *role,
                    kind: if key.name.parse_ours().is_some() {
                        StrayKind::Orphan
                    } else {
                        StrayKind::Unmanaged
                    },
                    name: key.name.to_string(),
                    id: key.id.to_string(),
                    created_at: key.created_at,
                });
            }
        }
    }
    found.sort_by(|one, other| {
        (&one.credential, one.role, &one.name).cmp(&(&other.credential, other.role, &other.name))
    });
    found
}

/// The names that the journal knows beside those of the keys in the stage.
fn names(record: &Record) -> Vec<&KeyName> {
    let chosen = match &record.stage {
        Stage::Creating { names, .. } | Stage::Restoring { pending: names, .. } => Some(names),
        _ => None,
    };
    let chosen = chosen.into_iter().flat_map(std::collections::BTreeMap::values);
    chosen.chain(record.abandoned.keys()).chain(record.left.keys()).chain(&record.gone).collect()
}
