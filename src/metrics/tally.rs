//! The counters that grow with the fleet. They are written with the snapshot: as children of the registry they were
//! most of the time and memory of a scrape.

use std::collections::BTreeMap;

use crate::domain::Timestamp;
use crate::domain::names::{CredentialId, TenantId};

/// A counter.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count(u32);

impl Count {
    pub(super) fn add(&mut self) {
        self.0 = self.0.saturating_add(1);
    }

    pub(super) fn as_value(self) -> usize {
        self.0 as usize
    }
}

/// What is counted of a credential.
#[derive(Debug, Default)]
pub(super) struct OfCredential {
    /// Rotations that turned back or halted.
    pub(super) failures: Count,
    /// Rotations after which the previous keys were put back.
    pub(super) restorations: Count,
    /// Deliveries that failed.
    pub(super) delivery_failures: Count,
}

/// What is counted of a tenant.
#[derive(Debug, Default)]
pub(super) struct OfTenant {
    /// Its checks.
    pub(super) checks: Count,
    /// Those in which something could not be seen.
    pub(super) failures: Count,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    credentials: BTreeMap<CredentialId, OfCredential>,
    tenants: BTreeMap<TenantId, OfTenant>,
    /// When keys were last put back, of the few of which they were.
    restored: BTreeMap<CredentialId, Timestamp>,
}

impl Tally {
    pub(super) fn know(&mut self, id: &CredentialId) {
        self.credential(id);
        self.tenant(&id.tenant);
    }

    pub(super) fn forget(&mut self, id: &CredentialId, last: bool) {
        self.credentials.remove(id);
        self.restored.remove(id);
        if last {
            self.tenants.remove(&id.tenant);
        }
    }

    pub(super) fn credential(&mut self, id: &CredentialId) -> &mut OfCredential {
        self.credentials.entry(id.clone()).or_default()
    }

    pub(super) fn tenant(&mut self, id: &TenantId) -> &mut OfTenant {
        self.tenants.entry(id.clone()).or_default()
    }

    pub(super) fn credentials(&self) -> impl Iterator<Item = (&CredentialId, &OfCredential)> {
        self.credentials.iter()
    }

    pub(super) fn tenants(&self) -> impl Iterator<Item = (&TenantId, &OfTenant)> {
        self.tenants.iter()
    }

    /// The previous keys were put back and proven.
    pub(super) fn restored(&mut self, id: &CredentialId, at: Timestamp) {
        self.credential(id).restorations.add();
        self.restored.insert(id.clone(), at);
    }

    pub(super) fn restored_at(&self, id: &CredentialId) -> Option<Timestamp> {
        self.restored.get(id).copied()
    }
}
