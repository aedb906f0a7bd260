//! The outside world but time, as the engine sees it: where keys come from, where they go, and what happened.
//!
//! An adapter answers with what it saw or with a [`Failure`] that says how it went wrong and whether the effect may
//! have taken place all the same. It decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::event::{Entry, Event};
use crate::domain::evidence::Grade;
use crate::domain::failure::Failure;
use crate::domain::key::{Key, Sightings};
use crate::domain::names::{CredentialId, KeyName, Role, TenantId};
use crate::domain::observation::{Content, Status};
use crate::secret::ServiceKey;

/// Whether a login may make and delete keys, as far as read-only calls can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// It may, or nothing speaks against it.
    Writes,
    /// It surely may not.
    ReadsOnly {
        /// What it has instead.
        why: String,
        /// What a person must do.
        remedy: String,
    },
    /// That cannot be told, and why.
    Unknown(String),
}

/// Where the keys of one credential are made, read and deleted.
#[async_trait::async_trait]
pub trait Issuer: Send + Sync {
    /// Every key of every role of the credential, whoever made it. Bindings of applications are left out.
    async fn list(&self) -> Result<Sightings, Failure>;

    /// Makes one key and waits until it can be read. Not idempotent: the caller has journalled `name` before and has
    /// seen that it is not there. A lost reply is an ambiguous failure.
    async fn create(&self, role: Role, name: &KeyName) -> Result<Key, Failure>;

    /// Reads one key with its secret. May be repeated at any time while the key exists.
    async fn read(&self, role: Role, key: &Key) -> Result<Arc<ServiceKey>, Failure>;

    /// Deletes one key, by id. A key that is gone already is a success.
    async fn delete(&self, role: Role, key: &Key) -> Result<(), Failure>;

    /// Whether the login may make and delete keys: it is looked up, and nothing is tried. An issuer without a login has
    /// nothing to say against it.
    async fn access(&self) -> Access {
        Access::Writes
    }
}

/// An answer that says yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// When, on the consumer's clock (its `Date` header).
    pub upstream_at: Option<Timestamp>,
}

/// Who is given one credential.
#[async_trait::async_trait]
pub trait Consumer: Send + Sync {
    /// Tries one key without the consumer's help: a token that was not cached, and for a `ciapi` key one read.
    /// Answers how far it got: [`Grade::Token`] or [`Grade::Read`].
    async fn test(&self, role: Role, key: &ServiceKey) -> Result<Grade, Failure>;

    /// Hands the whole credential over. Idempotent. [`Class::NotFound`](crate::domain::failure::Class::NotFound)
    /// means that there is no such endpoint and a person must do it.
    async fn deliver(&self, keys: &BTreeMap<Role, Arc<ServiceKey>>) -> Result<Accepted, Failure>;

    /// Asks the consumer to take the credential into use.
    async fn provision(&self) -> Result<Accepted, Failure>;

    /// The consumer's own word on its state.
    async fn status(&self) -> Result<Status, Failure>;

    /// The consumer's integration content, read with the `ciapi` key.
    async fn content(&self, ciapi: &ServiceKey) -> Result<Content, Failure>;

    /// Whether a deleted key is refused now. A failure is "unknown".
    async fn is_refused(&self, role: Role, key: &ServiceKey) -> Result<bool, Failure>;
}

/// The exclusive right to work on one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The tenant.
    pub tenant: TenantId,
    /// Who holds it.
    pub holder: String,
    /// The fencing number: larger for each change of holder. Every append carries it.
    pub fence: u64,
    /// Until when it is held without renewal.
    pub until: Timestamp,
}

/// What an append is to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub credential: CredentialId,
    /// The sequence number of the credential's last entry as the writer knows it, 0 for none. A journal that knows
    /// better refuses.
    pub follows: u64,
    /// What happened.
    pub event: Event,
}

/// Why the journal did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Another instance has taken the lease over.
    #[error("the lease on `{tenant}` is stale: another instance works on this tenant")]
    Stale {
        /// The tenant.
        tenant: TenantId,
    },
    /// The credential's last entry is not the one the writer knows.
    #[error("`{credential}` moved on: its last journal entry is {found}, not {expected}")]
    MovedOn {
        /// The credential.
        credential: CredentialId,
        /// What the writer believed.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// Nothing was written, or it is not known whether something was.
    #[error("the journal cannot be used: {0}")]
    Unavailable(String),
    /// What is there cannot be true. Only a person can go on.
    #[error("the journal is damaged: {0}; put a backup of it back (docs/how-to/mend-the-journal.md)")]
    Damaged(String),
}

/// What happened, durably.
#[async_trait::async_trait]
pub trait Journal: Send + Sync {
    /// Appends one event. Returns when it is on disk, with its sequence number; refuses a stale lease and an event
    /// that does not follow the credential's last one.
    async fn append(&self, lease: &Lease, draft: Draft) -> Result<Entry, JournalError>;

    /// The entries after sequence number `after`, in order; of one tenant or of all.
    async fn read(&self, tenant: Option<&TenantId>, after: u64) -> Result<Vec<Entry>, JournalError>;

    /// The last entries, no more than `most`, in order; of one tenant or of all.
    async fn recent(&self, tenant: Option<&TenantId>, most: usize) -> Result<Vec<Entry>, JournalError> {
        let mut entries = self.read(tenant, 0).await?;
        let older = entries.len().saturating_sub(most);
        Ok(entries.split_off(older))
    }

    /// Takes or renews the lease on a tenant; `None` where somebody else holds it at `now`.
    async fn acquire(
        &self,
        tenant: &TenantId,
        holder: &str,
        now: Timestamp,
        life: Duration,
    ) -> Result<Option<Lease>, JournalError>;

    /// Gives the lease back, so that another instance need not wait for its end.
    async fn release(&self, lease: &Lease) -> Result<(), JournalError>;

    /// Checks the hash chain over the whole journal: how many entries are whole, or which one is not.
    async fn verify(&self) -> Result<u64, JournalError>;
}
