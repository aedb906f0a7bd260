//! Whether the keys of a credential work just now. Read-only calls; nothing is journalled, and nothing rests on it.

use std::sync::Arc;

use super::Engine;
use super::desk::Hand;
use super::look::material;
use crate::domain::evidence::Grade;
use crate::domain::failure::Failure;
use crate::domain::key::Key;
use crate::domain::names::{CredentialId, Role};

/// One key that was tried.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Its role.
    pub role: Role,
    /// Which.
    pub key: Key,
    /// Whether it belongs to the set in use.
    pub in_use: bool,
    /// How far it got, or why it did not.
    pub outcome: Result<Grade, Failure>,
    /// Whether the key itself was tried: it could be read at its issuer.
    pub was_read: bool,
}

impl Engine {
    /// Tries every key that the journal knows of: a token that was not cached, and one read with a `ciapi` key. `None`
    /// where there is no such credential.
    pub async fn probe(&self, id: &CredentialId) -> Option<Vec<Tried>> {
        let desk = self.desk(id)?;
        let unit = desk.unit();
        let Some(record) = desk.read(|view| view.record.clone()) else { return Some(Vec::new()) };
        let mut hand = Hand::of(Some(Arc::clone(&record)));
        let mut tried = Vec::new();
        for (role, key) in record.stage.keys() {
            let in_use = record.stage.in_use().values().any(|used| used.id == key.id);
            let read = material(&unit, &mut hand, role, key).await;
            let was_read = read.is_ok();
            let outcome = match read {
                Ok(secret) => unit.consumer.test(role, &secret).await,
                Err(failure) => Err(failure),
            };
            tried.push(Tried { role, key: key.clone(), in_use, outcome, was_read });
        }
        Some(tried)
    }
}
