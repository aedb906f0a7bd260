//! A journal that forgets everything with the process: for tests and simulations.
//!
//! It applies the same rules as the durable one and answers the same, including the round trip through JSON. Clones
//! share what they hold, like two instances that share a file. Its hooks make the next appends fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::chain::{Head, Line};
use super::rules;
use crate::domain::Timestamp;
use crate::domain::event::Entry;
use crate::domain::names::{CredentialId, TenantId};
use crate::ports::{Draft, Journal, JournalError, Lease};

/// A journal in memory.
#[derive(Clone, Default)]
pub struct MemoryJournal {
    store: Arc<Mutex<Store>>,
}

#[derive(Clone)]
struct Store {
    entries: Vec<(Entry, Line, Head)>,
    head: Head,
    last: BTreeMap<CredentialId, u64>,
    leases: BTreeMap<TenantId, Lease>,
    failures_left: u32,
    lost_answers_left: u32,
    full: bool,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            head: Head::GENESIS,
            last: BTreeMap::new(),
            leases: BTreeMap::new(),
            failures_left: 0,
            lost_answers_left: 0,
            full: false,
        }
    }
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another journal that holds the same: a backup, or the disk of a clone.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { store: Arc::new(Mutex::new(self.store().clone())) }
    }

    /// Makes the next `appends` fail as if the disk were full: nothing is written.
    pub fn fail_next(&self, appends: u32) {
        self.store().failures_left = appends;
    }

    /// Makes the next `appends` that are not refused succeed and answer that they failed, as if the disk had gone
    /// away between the write and the answer.
    pub fn lose_next_answers(&self, appends: u32) {
        self.store().lost_answers_left = appends;
    }

    /// Makes everything that writes fail until it is told otherwise: a disk that is full, leases included.
    pub fn fill(&self, full: bool) {
        self.store().full = full;
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("nothing panics while it holds the journal")
    }
}

impl Store {
    fn has_space(&self) -> Result<(), JournalError> {
        if self.full {
            return Err(JournalError::Unavailable("the disk is made to be full".to_owned()));
        }
        Ok(())
    }

    fn append(&mut self, lease: &Lease, draft: Draft) -> Result<Entry, JournalError> {
        self.has_space()?;
        if self.failures_left > 0 {
            self.failures_left -= 1;
            return Err(JournalError::Unavailable("the append was made to fail".to_owned()));
        }
        let line = Line::of(&draft)?;
        rules::holds(self.leases.get(&lease.tenant), lease)?;
        let found = self.last.get(&draft.credential).copied().unwrap_or(0);
        rules::follows(&draft.credential, draft.follows, found)?;

        let head = self.head.next(&line);
        let entry = Entry {
            sequence: head.sequence,
            at: draft.at,
            credential: draft.credential.clone(),
            event: draft.event,
        };
        self.head = head;
        self.last.insert(draft.credential, head.sequence);
        self.entries.push((entry.clone(), line, head));
        if self.lost_answers_left > 0 {
            self.lost_answers_left -= 1;
            return Err(JournalError::Unavailable("the answer was made to get lost".to_owned()));
        }
        Ok(entry)
    }
}

#[async_trait::async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, lease: &Lease, draft: Draft) -> Result<Entry, JournalError> {
        assert_eq!(lease.tenant, draft.credential.tenant, "an append carries the lease of its own tenant");
        self.store().append(lease, draft)
    }

    async fn read(&self, tenant: Option<&TenantId>, after: u64) -> Result<Vec<Entry>, JournalError> {
        let store = self.store();
        // The numbers run from 1 without a gap.
        let known = usize::try_from(after).unwrap_or(usize::MAX).min(store.entries.len());
        let Some(tenant) = tenant else {
            return Ok(store.entries[known..].iter().map(|(entry, ..)| entry.clone()).collect());
        };
        let wanted = |entry: &&Entry| entry.credential.tenant == *tenant;
        Ok(store.entries[known..].iter().map(|(entry, ..)| entry).filter(wanted).cloned().collect())
    }

    async fn acquire(
        &self,
        tenant: &TenantId,
        holder: &str,
        now: Timestamp,
        life: Duration,
    ) -> Result<Option<Lease>, JournalError> {
        let mut store = self.store();
        store.has_space()?;
        let granted = rules::grant(store.leases.get(tenant), tenant, holder, now, life);
        if let Some(lease) = &granted {
            store.leases.insert(tenant.clone(), lease.clone());
        }
        Ok(granted)
    }

    async fn release(&self, lease: &Lease) -> Result<(), JournalError> {
        let mut store = self.store();
        store.has_space()?;
        if let Some(record) = store.leases.get_mut(&lease.tenant)
            && rules::holds(Some(record), lease).is_ok()
        {
            record.until = rules::GIVEN_BACK;
        }
        Ok(())
    }

    async fn verify(&self) -> Result<u64, JournalError> {
        let store = self.store();
        let mut head = Head::GENESIS;
        for (entry, line, expected) in &store.entries {
            head = head.next(line);
            if head != *expected || line.event().as_ref() != Ok(&entry.event) {
                return Err(JournalError::Damaged(format!(
                    "entry {} is not what was written",
                    head.sequence
                )));
            }
        }
        Ok(head.sequence)
    }
}
