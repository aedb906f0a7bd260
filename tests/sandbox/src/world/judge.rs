//! What counts. [`World::reckon`] looks for consumers that hold dead secrets, after every change;
//! [`World::delete`] judges a deletion by the client at the moment it takes effect.
//!
//! A deletion is proven when the consumer *really* does without the key:
//! - a key that no PUT ever carried harms nobody;
//! - a `ciapi` key: the consumer holds another one that works, and a run begun after it was stored succeeded with it;
//! - a `cirt` key: the same, and where the client may start runs, one of them began after the deletion of the
//!   `ciapi` key that the consumer had held together with this one. That run is the proof by exclusion.

use super::World;
use super::books::{Entry, Finding};
use super::key::{Key, Maker};
use super::tenant::Tenant;
use crate::request::Operation;
use crate::scenario::tenant::Role;

/// Who deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleter {
    Client,
    ByHand,
}

impl World {
    /// Makes up the books of a tenant after a change: which held secrets are dead, and how many keys live.
    pub(crate) fn reckon(&mut self, id: &str, cause: &str) {
        let now = self.now();
        let Some(tenant) = self.tenants.get_mut(id) else { return };
        remember_holding(tenant);
        let consumer = &tenant.consumer;
        let dead_cirt = !tenant.accepts(Role::Cirt, &consumer.held.cirt);
        let dead_ciapi = !tenant.accepts(Role::Ciapi, &consumer.held.ciapi);
        let dead_deployed = !tenant.accepts(Role::Cirt, &consumer.deployed.cirt);
        let edges = [
            (Finding::Lockout, Role::Cirt, &mut tenant.locked_out, dead_cirt),
            (Finding::DeadCiapi, Role::Ciapi, &mut tenant.ciapi_dead, dead_ciapi),
            (Finding::DeadDeployedCirt, Role::Cirt, &mut tenant.deployed_dead, dead_deployed),
        ];
        let mut begun = Vec::new();
        for (finding, role, state, dead) in edges {
            if dead && !*state {
                begun.push((finding, role));
            }
            *state = dead;
        }
        for role in [Role::Ciapi, Role::Cirt] {
            let live = tenant.live(role);
            let most = tenant.max_live.entry(role).or_default();
            *most = live.max(*most);
        }
        for (finding, role) in begun {
            let held = tenant.consumer.held.of(role);
            let key = tenant.key_of(&held.client_id, &held.secret).map(|at| tenant.keys[at].name.clone());
            let reason = "a secret that the consumer works with is not accepted".to_owned();
            let (tenant, cause) = (id.to_owned(), cause.to_owned());
            self.ledger.note(Entry { at: now, finding, tenant, role, key, cause, reason });
        }
    }

    /// Deletes a key. Its secret is dead from this moment on.
    pub(crate) fn delete(&mut self, id: &str, at: usize, deleter: Deleter) {
        let now = self.now();
        let Some(tenant) = self.tenants.get_mut(id) else { return };
        let verdict = judge(tenant, &tenant.keys[at]);
        let tick = tenant.next_tick();
        let key = &mut tenant.keys[at];
        key.deleted = Some((now, tick));
        let (role, name) = (key.role, key.name.clone());
        let cause = match deleter {
            Deleter::Client => {
                if let Some((finding, reason)) = verdict {
                    let (tenant, cause) = (id.to_owned(), "delete_key".to_owned());
                    let (key, reason) = (Some(name.clone()), reason.to_owned());
                    self.ledger.note(Entry { at: now, finding, tenant, role, key, cause, reason });
                }
                self.ledger.wrote(id, Operation::DeleteKey);
                "delete_key"
            }
            Deleter::ByHand => "by hand",
        };
        self.reckon(id, cause);
    }
}

/// Notes on the held `cirt` key which `ciapi` secret it is held together with.
fn remember_holding(tenant: &mut Tenant) {
    let held = &tenant.consumer.held;
    let partner = held.ciapi.secret.clone();
    if let Some(at) = tenant.key_of(&held.cirt.client_id, &held.cirt.secret) {
        tenant.keys[at].held_with.insert(partner);
    }
}

/// What has to be said about the deletion of `key` right now.
fn judge(tenant: &Tenant, key: &Key) -> Option<(Finding, &'static str)> {
    match key.maker {
        Maker::Foreign | Maker::App => Some((Finding::ForeignDeletion, "the key was somebody else's")),
        Maker::Start | Maker::Api if !key.delivered => None,
        Maker::Start | Maker::Api if tenant.holds(key) => judge_held(tenant, key),
        Maker::Start | Maker::Api => {
            judge_released(tenant, key).map(|reason| (Finding::UnprovenDeletion, reason))
        }
    }
}

/// The consumer holds the key: only a `ciapi` key may be risked, to find out a consumer that ignores PUTs, and
/// only after a run that looked like a success.
fn judge_held(tenant: &Tenant, key: &Key) -> Option<(Finding, &'static str)> {
    // One secret for all keys of the instance: then nothing changes for the consumer.
    let same_secret = |other: &Key| other.role == key.role && other.is_alive() && tenant.holds(other);
    let another_lives = tenant.keys.iter().any(|other| other.guid != key.guid && same_secret(other));
    if another_lives {
        return None;
    }
    let consumer = &tenant.consumer;
    let looked_proven = match (consumer.ignored_tick, consumer.success_tick) {
        (Some(ignored), Some(success)) => success > ignored,
        _ => false,
    };
    if key.role == Role::Ciapi && looked_proven {
        return Some((Finding::CiapiDeletedWhileHeld, "the consumer had ignored the successor it was given"));
    }
    Some((Finding::UnprovenDeletion, "the consumer holds this key"))
}

/// The consumer does not hold the key: has it proved that it can do without?
fn judge_released(tenant: &Tenant, key: &Key) -> Option<&'static str> {
    let consumer = &tenant.consumer;
    if !tenant.accepts(key.role, consumer.held.of(key.role)) {
        return Some("the successor that the consumer holds does not work");
    }
    if !consumer.proven {
        return Some("no run has succeeded with the pair that the consumer holds");
    }
    if key.role == Role::Cirt && consumer.traits.redeploy_allowed {
        return judge_exclusion(tenant, key);
    }
    None
}

/// A run must have succeeded that began after every `ciapi` key was gone that the consumer held with this one.
/// A key that the consumer never held has no such partner, and where only the `cirt` key was exchanged the
/// partner is still held: then there is nothing to exclude.
fn judge_exclusion(tenant: &Tenant, key: &Key) -> Option<&'static str> {
    let held = &tenant.consumer.held.ciapi.secret;
    let partners = tenant.keys.iter().filter(|other| {
        other.role == Role::Ciapi && other.secret != *held && key.held_with.contains(&other.secret)
    });
    for partner in partners {
        let Some((_, gone)) = partner.deleted else {
            return Some("a `ciapi` key that the consumer held with this one is still there");
        };
        if tenant.consumer.success_tick.is_none_or(|success| success <= gone) {
            return Some("no run has succeeded since the `ciapi` key of the same pair was deleted");
        }
    }
    None
}
