//! Names: of tenants, credentials, roles, keys and rotations.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a name: {expected}")]
pub struct BadName {
    found: String,
    expected: &'static str,
}

const WORD: &str = "expected 1 to 48 characters of a-z, 0-9 and `-`, the first a letter or digit";

fn is_word(text: &str) -> bool {
    (1..=48).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

// Names stand in every entry and every lease, and are copied with them: the text itself is shared.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                if is_word(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(BadName { found: text.chars().take(64).collect(), expected: WORD })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

word! {
    /// One customer subaccount or data-space connector: the unit of configuration, isolation and lease.
    TenantId
}
word! {
    /// What a credential is called inside its tenant, for example `dataplane`.
    CredentialName
}

/// One credential of one tenant, written `tenant/credential`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CredentialId {
    /// The tenant.
    pub tenant: TenantId,
    /// The credential inside it.
    pub name: CredentialName,
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.name)
    }
}

impl FromStr for CredentialId {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let (tenant, name) = text.split_once('/').ok_or(BadName {
            found: text.chars().take(64).collect(),
            expected: "expected `tenant/credential`, for example `acme-prod/dataplane`",
        })?;
        Ok(Self { tenant: tenant.parse()?, name: name.parse()? })
    }
}

impl TryFrom<String> for CredentialId {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<CredentialId> for String {
    fn from(id: CredentialId) -> Self {
        id.to_string()
    }
}

/// The tenant that stands for rekeyd itself in the journal; no operator's tenant may be called so.
pub const RESERVED_TENANT: &str = "rekeyd";

impl CredentialId {
    /// The stream of the journal that is the fleet's own.
    pub fn fleet() -> Self {
        Self { tenant: TenantId(RESERVED_TENANT.into()), name: CredentialName("fleet".into()) }
    }

    /// Whether this is the fleet's own stream.
    pub fn is_fleet(&self) -> bool {
        &*self.tenant.0 == RESERVED_TENANT
    }
}

/// The part a key plays in its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Process Integration Runtime, plan `api`: deployments use it.
    Ciapi,
    /// Process Integration Runtime, plan `integration-flow`: data transfer uses it.
    Cirt,
    /// The only key of a credential that has one.
    Sole,
}

impl Role {
    /// Every role there is.
    pub const ALL: [Self; 3] = [Self::Ciapi, Self::Cirt, Self::Sole];

    /// The roles of a data plane's credential, in the order in which old keys are retired: a dead `ciapi` stops
    /// deployments, a dead `cirt` stops data transfer.
    pub const PAIR: [Self; 2] = [Self::Ciapi, Self::Cirt];

    /// The role as it is written in configuration, metrics and key names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ciapi => "ciapi",
            Self::Cirt => "cirt",
            Self::Sole => "sole",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(BadName {
            found: text.chars().take(64).collect(),
            expected: "expected `ciapi`, `cirt` or `sole`",
        })
    }
}

/// The id an issuer gave to a key. Opaque.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a key at its issuer. Ours are made by [`KeyName::ours`]; others may be anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyName(pub String);

/// The longest key name the SAP cockpit shows (facts: service keys, k2).
pub const KEY_NAME_LIMIT: usize = 32;

/// What the name of a key of ours says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OurName {
    /// The role the key was made for.
    pub role: Role,
    /// The generation of its credential.
    pub generation: u32,
    /// Five characters that stand for the credential, so that two tenants may share a service instance.
    pub owner: String,
}

impl KeyName {
    /// The name of a fresh key: `rekeyd-<role>-g<generation>-<tag>`, at most 32 characters. The tag is five
    /// characters of the credential's hash and six of `nonce`.
    pub fn ours(role: Role, generation: u32, owner: &CredentialId, nonce: u64) -> Self {
        let name = format!("rekeyd-{role}-g{generation}-{}{}", owner_tag(owner), base32(nonce, 6));
        assert!(name.len() <= KEY_NAME_LIMIT || generation > 99_999, "a key name of ours fits the cockpit");
        Self(name)
    }

    /// Reads a name of ours; `None` for anybody else's.
    pub fn parse_ours(&self) -> Option<OurName> {
        let mut parts = self.0.strip_prefix("rekeyd-")?.splitn(3, '-');
        let role = parts.next()?.parse().ok()?;
        let generation = parts.next()?.strip_prefix('g')?.parse().ok()?;
        let tag = parts.next()?;
        (tag.len() == 11 && tag.is_ascii()).then(|| OurName { role, generation, owner: tag[..5].to_owned() })
    }

    /// Whether rekeyd made this key for `owner`.
    pub fn is_of(&self, owner: &CredentialId) -> bool {
        self.parse_ours().is_some_and(|name| name.owner == owner_tag(owner))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn owner_tag(owner: &CredentialId) -> String {
    base32(fnv1a(owner.to_string().as_bytes()), 5)
}

/// FNV-1a, 64 bit: small, stable over releases and machines, and not for secrets.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn base32(mut number: u64, length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    // The low bits of FNV differ least between similar inputs, so the high half is folded in.
    number ^= number >> 29;
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        let index = usize::try_from(number & 31).expect("five bits fit");
        text.push(char::from(ALPHABET[index]));
        number >>= 5;
    }
    text
}

/// One rotation of one credential; the same in log, journal, history and metrics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RotationId(pub String);

impl RotationId {
    /// The id of the rotation that makes `generation` of `credential`.
    pub fn new(credential: &CredentialId, generation: u32, nonce: u64) -> Self {
        Self(format!(
            "{}-g{generation}-{}",
            base32(fnv1a(credential.to_string().as_bytes()), 5),
            base32(nonce, 6)
        ))
    }
}

impl fmt::Display for RotationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
