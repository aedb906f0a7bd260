//! One tenant: two service instances with their keys, a consumer, and the login of its DSI key.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::World;
use super::consumer::{Consumer, Credential, Pair};
use super::key::{Key, Maker};
use super::portal::Portal;
use crate::scenario::tenant::{Issuer, Login, Role, TenantPlan};
use crate::tls::{Authority, ClientCertificate};

/// A service instance; all its keys share one client id.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) guid: String,
    pub(crate) name: String,
    pub(crate) client_id: String,
}

/// What a key of a tenant's own logs in with: that of DSI, and that of Service Manager.
#[derive(Debug)]
pub(crate) struct OwnLogin {
    pub(crate) client_id: String,
    pub(crate) secret: String,
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) works: bool,
    pub(crate) created_at: DateTime<Utc>,
}

/// One tenant.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) ciapi: Instance,
    pub(crate) cirt: Instance,
    pub(crate) keys: Vec<Key>,
    pub(crate) consumer: Consumer,
    pub(crate) dsi: OwnLogin,
    pub(crate) issuer: Issuer,
    pub(crate) manager: OwnLogin,
    pub(crate) portal: Portal,
    /// The key that shows the environments of its subaccount.
    pub(crate) local: OwnLogin,
    /// The guid of its subaccount.
    pub(crate) subaccount: String,
    /// The space that the instances are in.
    pub(crate) space: String,
    /// Counts the moments that have an order: deletions, stored pairs, runs.
    pub(crate) tick: u64,
    pub(crate) locked_out: bool,
    pub(crate) ciapi_dead: bool,
    pub(crate) deployed_dead: bool,
    pub(crate) max_live: BTreeMap<Role, u64>,
}

impl Tenant {
    pub(crate) fn instance(&self, role: Role) -> &Instance {
        match role {
            Role::Ciapi => &self.ciapi,
            Role::Cirt => &self.cirt,
        }
    }

    pub(crate) fn next_tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    /// The key behind a client id and secret: a living one before a dead one.
    pub(crate) fn key_of(&self, client_id: &str, secret: &str) -> Option<usize> {
        let matching = |key: &Key| key.client_id == client_id && key.secret == secret;
        let living = self.keys.iter().position(|key| matching(key) && key.is_alive());
        living.or_else(|| self.keys.iter().rposition(matching))
    }

    /// Whether the token service accepts this credential for this role right now.
    pub(crate) fn accepts(&self, role: Role, credential: &Credential) -> bool {
        self.key_of(&credential.client_id, &credential.secret)
            .map(|at| &self.keys[at])
            .is_some_and(|key| key.role == role && key.works())
    }

    /// Whether the consumer holds this key in its role.
    pub(crate) fn holds(&self, key: &Key) -> bool {
        let held = self.consumer.held.of(key.role);
        held.client_id == key.client_id && held.secret == key.secret
    }

    pub(crate) fn live(&self, role: Role) -> u64 {
        let count =
            self.keys.iter().filter(|key| key.role == role && key.is_ours() && key.is_alive()).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    pub(crate) fn key_named(&self, role: Role, name: &str) -> Option<usize> {
        self.keys.iter().position(|key| key.role == role && key.name == name && key.is_alive())
    }
}

impl World {
    /// Makes the tenant that `plan` describes.
    pub(crate) fn settle_in(&mut self, plan: TenantPlan, authority: &Authority) -> Result<(), String> {
        let id = plan.id.clone();
        let proper = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if id.is_empty() || !id.chars().all(proper) || self.tenants.contains_key(&id) {
            return Err(format!("tenant id `{id}`: expected [a-z0-9-]+, each once"));
        }
        let (ciapi, cirt) = (self.new_instance(&id, Role::Ciapi), self.new_instance(&id, Role::Cirt));
        let started = self.now();
        let mut keys = Vec::new();
        for (instance, role, ages) in
            [(&ciapi, Role::Ciapi, &plan.ciapi_age_days), (&cirt, Role::Cirt, &plan.cirt_age_days)]
        {
            for (number, age) in ages.iter().enumerate() {
                let name = format!("{}-{}", role.name(), number + 1);
                let created = started - TimeDelta::days(i64::from(*age));
                keys.push(self.new_key(instance, &id, role, name, Maker::Start, created, &keys));
            }
            let strangers = if self.is_hostile() { self.rates().foreign_keys } else { 0 };
            for number in 0..strangers {
                let maker = if number % 2 == 0 { Maker::Foreign } else { Maker::App };
                let name = format!("reporting-{number}");
                keys.push(self.new_key(instance, &id, role, name, maker, started, &[]));
            }
        }
        let pair =
            Pair { ciapi: self.first(&id, &keys, Role::Ciapi)?, cirt: self.first(&id, &keys, Role::Cirt)? };
        let onboarded = keys.iter().map(|key| key.created_at).min().unwrap_or(started);
        let tenant = Tenant {
            dsi: self.new_login(&id, ("dsi", "dsi!b30001"), plan.login, authority)?,
            issuer: plan.issuer,
            manager: self.new_login(&id, ("sm", "service-manager!b2"), plan.login, authority)?,
            portal: Portal::new(&mut self.chance, &id, started),
            local: self.new_login(&id, ("local", "cis-local!b2"), Login::Secret, authority)?,
            subaccount: self.chance.guid(&format!("{id}/subaccount")),
            consumer: Consumer::onboarded(plan.dataplane, pair, onboarded),
            id: id.clone(),
            space: if plan.auditor { self.audited_space.clone() } else { self.space.clone() },
            ciapi,
            cirt,
            keys: Vec::new(),
            tick: 0,
            locked_out: false,
            ciapi_dead: false,
            deployed_dead: false,
            max_live: BTreeMap::new(),
        };
        self.instances.insert(tenant.ciapi.guid.clone(), (id.clone(), Role::Ciapi));
        self.instances.insert(tenant.cirt.guid.clone(), (id.clone(), Role::Cirt));
        self.tenants.insert(id.clone(), tenant);
        for key in keys {
            self.add_key(&id, key);
        }
        self.reckon(&id, "start");
        Ok(())
    }

    /// Puts a key into the world.
    pub(crate) fn add_key(&mut self, tenant: &str, key: Key) {
        let Some(owner) = self.tenants.get_mut(tenant) else { return };
        self.bindings.insert(key.guid.clone(), (tenant.to_owned(), owner.keys.len()));
        owner.keys.push(key);
    }

    /// A key that has no history yet. `siblings` matter where an instance has one secret for all its keys.
    #[expect(clippy::too_many_arguments, reason = "the facts of a key, each of another type")]
    pub(crate) fn new_key(
        &mut self,
        instance: &Instance,
        tenant: &str,
        role: Role,
        name: String,
        maker: Maker,
        created_at: DateTime<Utc>,
        siblings: &[Key],
    ) -> Key {
        let shared = siblings.iter().find(|key| key.client_id == instance.client_id);
        let question = format!("{tenant}/{}/secret", role.name());
        let fresh = self.chance.secret(&question);
        let secret = match shared {
            Some(key) if self.scenario.cloud_foundry.instance_secret => key.secret.clone(),
            _ => fresh,
        };
        Key {
            guid: self.chance.guid(&format!("{tenant}/{}/guid", role.name())),
            name,
            role,
            maker,
            created_at,
            client_id: instance.client_id.clone(),
            secret,
            refusals: 0,
            deleted: None,
            pending: 0,
            unlisted: 0,
            lingering: 0,
            read_from: created_at,
            reported_failed: false,
            delivered: maker == Maker::Start,
            tested: maker == Maker::Start,
            held_with: BTreeSet::new(),
            metadata: json!({ "labels": {}, "annotations": {} }),
        }
    }

    fn new_instance(&mut self, tenant: &str, role: Role) -> Instance {
        let guid = self.chance.guid(&format!("{tenant}/{}/instance", role.name()));
        let suffix = match role {
            Role::Ciapi => "it!b20001".to_owned(),
            Role::Cirt => format!("it-rt-{tenant}!b20002"),
        };
        let client_id = format!("sb-{guid}!b100001|{suffix}");
        Instance { guid, name: format!("{tenant}-{}", role.name()), client_id }
    }

    /// A login to one of SAP's own services: what chance calls it, and how its client ids end.
    pub(crate) fn new_login(
        &mut self,
        tenant: &str,
        (service, suffix): (&str, &str),
        login: Login,
        authority: &Authority,
    ) -> Result<OwnLogin, String> {
        let question = format!("{tenant}/{service}");
        let certificate = match login {
            Login::Secret => None,
            Login::Certificate => Some(authority.client_certificate(tenant).map_err(|e| e.to_string())?),
        };
        Ok(OwnLogin {
            client_id: format!("sb-{}!b100003|{suffix}", self.chance.guid(&question)),
            secret: self.chance.secret(&question),
            certificate,
            works: true,
            created_at: self.now() - TimeDelta::days(100),
        })
    }

    /// The first key of a role, as the consumer stores it.
    fn first(&self, tenant: &str, keys: &[Key], role: Role) -> Result<Credential, String> {
        let key = keys.iter().find(|key| key.role == role && key.maker == Maker::Start).ok_or_else(|| {
            format!("tenant `{tenant}`: expected a `{}` key that the consumer holds", role.name())
        })?;
        Ok(self.stored(tenant, key))
    }

    /// A key as the consumer stores it.
    pub(crate) fn stored(&self, tenant: &str, key: &Key) -> Credential {
        let (url, token_url) = self.key_urls(tenant, key.role);
        Credential { client_id: key.client_id.clone(), secret: key.secret.clone(), url, token_url }
    }

    /// The `url` and `tokenurl` in the keys of a tenant.
    pub(crate) fn key_urls(&self, tenant: &str, role: Role) -> (String, String) {
        let base = self.key_base();
        let room = if role == Role::Ciapi { "ci" } else { "cirt" };
        (format!("{base}/{room}/{tenant}"), format!("{base}/xsuaa/{tenant}/oauth/token"))
    }
}
