//! Whether the keys of a credential work just now. Read-only calls; nothing is journalled, and nothing rests on it.

use std::sync::Arc;

use super::desk::Hand;
use super::look::material;
use super::{Engine, Unit};
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
            let outcome = test(&unit, &mut hand, role, key).await;
            tried.push(Tried { role, key: key.clone(), in_use, outcome });
        }
        Some(tried)
    }
}

async fn test(unit: &Unit, hand: &mut Hand, role: Role, key: &Key) -> Result<Grade, Failure> {
    let secret = material(unit, hand, role, key).await?;
    unit.consumer.test(role, &secret).await
}
