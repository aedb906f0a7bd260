//! What the operator wrote, made certain.
//!
//! [`load`](load::load) reads `rekeyd.toml`, the environment over it, and one file per tenant, against one table of
//! [`keys`]. The result cannot be wrong in any way that is visible without the network; otherwise it is every
//! [`Problem`] at once, each with its place. Read on in this order: [`keys`], [`problem`],
//! [`environment`], [`daemon`], [`tenant`], [`schedule`], [`maintenance`], [`load`].
//!
//! Architecture Invariant: nothing of the process is read here but the [`Environment`](environment::Environment) that
//! the caller passes, and files.

pub mod keys;

pub mod problem;

pub mod excerpt;

pub mod environment;

mod document;
mod leaf;
mod reader;
mod secrets;
mod url;

pub mod cis;
mod collector;
pub mod daemon;
pub mod maintenance;
pub mod schedule;
pub mod tenant;
pub mod web;

mod assemble;
mod changes;
mod check;
mod issuers;

pub mod load;
mod local;
pub mod manual;
pub mod reference;
mod registration;
pub mod schema;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::names::TenantId;

use daemon::Daemon;
use problem::Problem;
use tenant::Tenant;

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The daemon's part.
    pub daemon: Daemon,
    /// The tenants, by id.
    pub tenants: Vec<Tenant>,
}

/// A configuration that holds, and what somebody should look at all the same.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Problems that are no errors.
    pub warnings: Vec<Problem>,
}

/// What a reload changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Whether anything of the daemon's part changed.
    pub daemon: bool,
    /// Tenants that are new.
    pub added: BTreeSet<TenantId>,
    /// Tenants of which anything changed, a secret included.
    pub changed: BTreeSet<TenantId>,
    /// Tenants that are gone.
    pub removed: BTreeSet<TenantId>,
}

impl Difference {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The tenants that log in somewhere otherwise than before: as somebody else, with another secret, or elsewhere.
pub fn other_logins(old: &Config, new: &Config) -> BTreeSet<TenantId> {
    let logins = |tenant: &Tenant| {
        let dataspace = tenant.dataspace.as_ref().map(|section| section.key.clone());
        (tenant.cloud_foundry.clone(), tenant.service_manager.clone(), dataspace)
    };
    let known: BTreeMap<&TenantId, &Tenant> = old.tenants.iter().map(|tenant| (&tenant.id, tenant)).collect();
    let is_other = |tenant: &&Tenant| known.get(&tenant.id).is_some_and(|old| logins(old) != logins(tenant));
    new.tenants.iter().filter(is_other).map(|tenant| tenant.id.clone()).collect()
}

/// What changes from `old` to `new`, by value: comments and order do not count.
pub fn difference(old: &Config, new: &Config) -> Difference {
    let by_id = |config: &'_ Config| -> BTreeSet<TenantId> {
        config.tenants.iter().map(|tenant| tenant.id.clone()).collect()
    };
    let (before, after) = (by_id(old), by_id(new));
    let known: BTreeMap<&TenantId, &Tenant> = old.tenants.iter().map(|tenant| (&tenant.id, tenant)).collect();
    let is_changed = |tenant: &&Tenant| known.get(&tenant.id).is_some_and(|old| *old != *tenant);
    Difference {
        daemon: old.daemon != new.daemon,
        changed: new.tenants.iter().filter(is_changed).map(|tenant| tenant.id.clone()).collect(),
        added: after.difference(&before).cloned().collect(),
        removed: before.difference(&after).cloned().collect(),
    }
}
