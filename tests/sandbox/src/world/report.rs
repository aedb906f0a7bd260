//! The books as a document: totals from the ledger, and what has to be counted now, such as orphans.

use std::collections::BTreeMap;

use super::World;
use super::books::{Books, Conduct, Finding, KeyBooks, TenantBooks};
use super::consumer::Pair;
use super::key::{Key, Maker};
use super::tenant::Tenant;
use crate::scenario::tenant::Role;

const ROLES: [Role; 2] = [Role::Ciapi, Role::Cirt];

impl World {
    /// The books at this moment.
    pub(crate) fn books(&mut self) -> Books {
        self.settle_all();
        let mut books = Books {
            calls: self.seq,
            limited: self.ledger.limited,
            early_retries: self.ledger.conduct(Conduct::EarlyRetry),
            strays: self.ledger.strays,
            strayed_secrets: self.ledger.conduct(Conduct::StrayedSecret),
            refused_tokens_reused: self.ledger.conduct(Conduct::RefusedToken),
            improper_requests: self.ledger.conduct(Conduct::Improper),
            hostile: self.is_hostile(),
            entries: self.ledger.entries.clone(),
            misconduct: self.ledger.misconduct.clone(),
            ..Books::default()
        };
        for tenant in self.tenants.values() {
            let own = self.tenant_books(tenant);
            add(&mut books, &own);
            books.tenants.insert(tenant.id.clone(), own);
        }
        books
    }

    fn tenant_books(&self, tenant: &Tenant) -> TenantBooks {
        let total = |finding| self.ledger.total(&tenant.id, finding);
        let consumer = &tenant.consumer;
        TenantBooks {
            lockouts: total(Finding::Lockout),
            orphans: tenant.keys.iter().map(|key| u64::from(is_orphan(tenant, key))).sum(),
            unproven_deletions: total(Finding::UnprovenDeletion),
            ciapi_deleted_while_held: total(Finding::CiapiDeletedWhileHeld),
            dead_ciapi: total(Finding::DeadCiapi),
            dead_deployed_cirt: total(Finding::DeadDeployedCirt),
            foreign_deletions: total(Finding::ForeignDeletion),
            untested_deliveries: total(Finding::UntestedDelivery),
            locked_out: tenant.locked_out,
            max_live: tenant.max_live.clone(),
            live: ROLES.iter().map(|role| (*role, tenant.live(*role))).collect(),
            held: names(tenant, &consumer.held),
            deployed: names(tenant, &consumer.deployed),
            proven: consumer.proven,
            running: consumer.is_running(),
            runs: consumer.runs,
            deployed_on: Some(consumer.deployed_on),
            writes: self.ledger.writes(&tenant.id),
            keys: tenant.keys.iter().map(|key| key_books(tenant, key)).collect(),
        }
    }
}

/// Made by the client, alive, and of no use to the consumer.
fn is_orphan(tenant: &Tenant, key: &Key) -> bool {
    key.maker == Maker::Api && key.is_alive() && !tenant.holds(key)
}

fn names(tenant: &Tenant, pair: &Pair) -> BTreeMap<Role, Option<String>> {
    let name = |role: Role| {
        let credential = pair.of(role);
        let at = tenant.key_of(&credential.client_id, &credential.secret)?;
        Some(tenant.keys[at].name.clone())
    };
    ROLES.iter().map(|role| (*role, name(*role))).collect()
}

fn key_books(tenant: &Tenant, key: &Key) -> KeyBooks {
    KeyBooks {
        guid: key.guid.clone(),
        name: key.name.clone(),
        role: key.role,
        made_by: key.maker,
        created_at: key.created_at,
        deleted_at: key.deleted.map(|(at, _)| at),
        held: tenant.holds(key),
        delivered: key.delivered,
    }
}

/// Adds a tenant to the totals.
fn add(books: &mut Books, own: &TenantBooks) {
    books.lockouts += own.lockouts;
    books.orphans += own.orphans;
    books.unproven_deletions += own.unproven_deletions;
    books.ciapi_deleted_while_held += own.ciapi_deleted_while_held;
    books.dead_ciapi += own.dead_ciapi;
    books.dead_deployed_cirt += own.dead_deployed_cirt;
    books.foreign_deletions += own.foreign_deletions;
    books.untested_deliveries += own.untested_deliveries;
    for (role, most) in &own.max_live {
        let total = books.max_live.entry(*role).or_default();
        *total = (*total).max(*most);
    }
    for (operation, count) in &own.writes {
        *books.writes.entry(*operation).or_default() += count;
    }
}
