//! Keys, as far as they are not secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::names::{KeyId, KeyName, Role};

/// One key at its issuer: what may be journalled of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The issuer's id.
    pub id: KeyId,
    /// The name at the issuer.
    pub name: KeyName,
    /// When the issuer made it. `None` is unknown: never "old", never "new".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it stops working by itself (a certificate's end). `None` where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// One key per role.
pub type KeySet = BTreeMap<Role, Key>;

/// How far along a key is at its issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// It exists and can be read.
    Ready,
    /// It is being made.
    Busy,
    /// Making it failed; the name is taken all the same.
    Broken,
    /// It is being deleted.
    Deleting,
}

/// A key seen at its issuer just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The key.
    pub key: Key,
    /// How far along it is.
    pub state: KeyState,
}

/// Everything that was seen at the issuer, by role.
pub type Sightings = BTreeMap<Role, Vec<Sighting>>;
