//! Which keys work, as a document: `GET /v1/probe?credential=…`.

use serde::{Deserialize, Serialize};

use crate::domain::names::{CredentialId, Role};
use crate::engine::Tried;

/// The keys of one credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probing {
    /// `tenant/credential`.
    pub credential: CredentialId,
    /// Every key that the journal knows of; none before the keys in use were recognised.
    pub keys: Vec<ProbedKey>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbedKey {
    /// Its role.
    pub role: Role,
    /// Its name at the issuer.
    pub name: String,
    /// Whether it belongs to the set in use.
    pub in_use: bool,
    /// 1: it got a token. 2: it also read. 0: it did not work, or that could not be told.
    pub evidence: u8,
    /// Why it did not work.
    pub failure: Option<String>,
    /// Whether it was refused, and did not merely go unanswered.
    pub refused: bool,
}

impl Probing {
    /// What came of it.
    pub fn of(credential: &CredentialId, tried: &[Tried]) -> Self {
        let key = |tried: &Tried| ProbedKey {
            role: tried.role,
            name: tried.key.name.to_string(),
            in_use: tried.in_use,
            evidence: tried.outcome.as_ref().map_or(0, |grade| u8::from(*grade)),
            failure: tried.outcome.as_ref().err().map(|failure| {
                let so = if tried.was_read { "" } else { "not tried, for its issuer does not show it: " };
                format!("{so}{failure}")
            }),
            refused: tried.was_read
                && tried.outcome.as_ref().is_err_and(|failure| !failure.class.is_passing()),
        };
        Self { credential: credential.clone(), keys: tried.iter().map(key).collect() }
    }
}
