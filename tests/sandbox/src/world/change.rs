//! Changes made to the world by hand: what an operator, an administrator or bad luck would do.

use chrono::TimeDelta;
use serde::Deserialize;

use super::judge::Deleter;
use super::key::Maker;
use super::{Other, World};
use crate::scenario::Hostility;
use crate::scenario::tenant::Role;

/// One change. Over HTTP it is `POST /world/<tenant>/<change>` or `POST /world/<change>`, with the other
/// fields as a JSON object.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// Changes how a consumer behaves; what is not given stays.
    Set {
        /// The tenant.
        tenant: String,
        /// As in the scenario.
        ignore_put: Option<bool>,
        /// As in the scenario; 0 ends it.
        put_status: Option<u16>,
        /// As in the scenario.
        redeploy_on_put: Option<bool>,
        /// As in the scenario.
        redeploy_allowed: Option<bool>,
        /// As in the scenario.
        stuck: Option<bool>,
        /// So many of the coming runs fail although the credential is fine.
        fail_next: Option<u32>,
        /// As in the scenario.
        stale_polls: Option<u32>,
        /// As in the scenario.
        polls: Option<u32>,
        /// As in the scenario.
        milliseconds: Option<u32>,
    },
    /// The manual way: somebody pastes these two keys in the user interface and onboards again.
    UiUpdate {
        /// The tenant.
        tenant: String,
        /// The name of the `ciapi` key.
        ciapi: String,
        /// The name of the `cirt` key.
        cirt: String,
    },
    /// Whether the DSI key of a tenant is accepted.
    DsiLogin {
        /// The tenant.
        tenant: String,
        /// False: 401 from now on.
        works: bool,
    },
    /// Whether the Service Manager key of a tenant is accepted.
    SmLogin {
        /// The tenant.
        tenant: String,
        /// False: 401 from now on.
        works: bool,
    },
    /// Whether the key of the global account is accepted.
    CisLogin {
        /// False: 401 from now on.
        works: bool,
    },
    /// Somebody makes a subaccount that no tenant is in.
    AddSubaccount {
        /// Its name.
        name: String,
    },
    /// Whether the password of the Cloud Foundry user is accepted; also unlocks the account.
    CfLogin {
        /// False: 401 from now on.
        works: bool,
    },
    /// Live keys allowed per service instance; no limit without a number.
    Quota {
        /// The limit.
        limit: Option<u32>,
    },
    /// A second key with the name of an existing one.
    DuplicateKey {
        /// The tenant.
        tenant: String,
        /// The role of the key.
        role: Role,
        /// Its name.
        name: String,
    },
    /// A key that somebody else made for another purpose.
    AddForeignKey {
        /// The tenant.
        tenant: String,
        /// The service instance.
        role: Role,
        /// Its name.
        name: String,
        /// Its age.
        #[serde(default)]
        age_days: u32,
    },
    /// Somebody deletes a key in the cockpit. It counts for lock-outs, but not as the client's deletion.
    DeleteKey {
        /// The tenant.
        tenant: String,
        /// The role of the key.
        role: Role,
        /// Its name.
        name: String,
    },
    /// All tokens are refused from now on, as after a forced rotation of the signing key.
    RevokeTokens {},
    /// Moves the sandbox's clock forward.
    Clock {
        /// By how much.
        advance_seconds: u32,
    },
    /// Sets how unpleasant the sandbox is.
    Hostility {
        /// The mode.
        mode: Hostility,
    },
}

impl World {
    /// Makes a change, or says why it cannot be made.
    pub(crate) fn change(&mut self, change: Change) -> Result<(), String> {
        self.settle_all();
        match change {
            Change::Set { .. } => self.set_traits(change),
            Change::UiUpdate { tenant, ciapi, cirt } => self.update_by_hand(&tenant, &ciapi, &cirt),
            Change::DsiLogin { tenant, works } => {
                self.tenants.get_mut(&tenant).ok_or_else(|| no_tenant(&tenant))?.dsi.works = works;
                Ok(())
            }
            Change::SmLogin { tenant, works } => {
                self.tenants.get_mut(&tenant).ok_or_else(|| no_tenant(&tenant))?.manager.works = works;
                Ok(())
            }
            Change::CfLogin { works } => {
                self.login.set(works);
                Ok(())
            }
            Change::CisLogin { works } => {
                self.cis.works = works;
                Ok(())
            }
            Change::AddSubaccount { name } => {
                let guid = self.chance.guid(&format!("{name}/subaccount"));
                self.others.push(Other { guid, name, state: "OK" });
                Ok(())
            }
            Change::Quota { limit } => {
                self.scenario.cloud_foundry.quota = limit;
                Ok(())
            }
            Change::DuplicateKey { tenant, role, name } => {
                self.find(&tenant, role, &name)?;
                self.add_by_hand(&tenant, role, name, Maker::Foreign, 0)
            }
            Change::AddForeignKey { tenant, role, name, age_days } => {
                self.add_by_hand(&tenant, role, name, Maker::Foreign, age_days)
            }
            Change::DeleteKey { tenant, role, name } => {
                let at = self.find(&tenant, role, &name)?;
                self.delete(&tenant, at, Deleter::ByHand);
                Ok(())
            }
            Change::RevokeTokens {} => {
                self.tokens.revoke_all();
                Ok(())
            }
            Change::Clock { advance_seconds } => {
                self.move_clock(TimeDelta::seconds(i64::from(advance_seconds)));
                Ok(())
            }
            Change::Hostility { mode } => {
                self.hostility = mode;
                Ok(())
            }
        }
    }

    fn set_traits(&mut self, change: Change) -> Result<(), String> {
        let Change::Set {
            tenant,
            ignore_put,
            put_status,
            redeploy_on_put,
            redeploy_allowed,
            stuck,
            fail_next,
            stale_polls,
            polls,
            milliseconds,
        } = change
        else {
            return Ok(());
        };
        let traits = &mut self.tenants.get_mut(&tenant).ok_or_else(|| no_tenant(&tenant))?.consumer.traits;
        replace(&mut traits.ignore_put, ignore_put);
        replace(&mut traits.redeploy_on_put, redeploy_on_put);
        replace(&mut traits.redeploy_allowed, redeploy_allowed);
        replace(&mut traits.stuck, stuck);
        replace(&mut traits.fail_first, fail_next);
        replace(&mut traits.stale_polls, stale_polls);
        replace(&mut traits.polls, polls);
        replace(&mut traits.milliseconds, milliseconds);
        replace(&mut traits.put_status, put_status.map(|status| (status != 0).then_some(status)));
        Ok(())
    }

    fn update_by_hand(&mut self, id: &str, ciapi: &str, cirt: &str) -> Result<(), String> {
        let (ciapi, cirt) = (self.find(id, Role::Ciapi, ciapi)?, self.find(id, Role::Cirt, cirt)?);
        let tenant = self.tenants.get(id).ok_or_else(|| no_tenant(id))?;
        let pair = super::consumer::Pair {
            ciapi: self.stored(id, &tenant.keys[ciapi]),
            cirt: self.stored(id, &tenant.keys[cirt]),
        };
        let tenant = self.tenants.get_mut(id).ok_or_else(|| no_tenant(id))?;
        tenant.keys[ciapi].delivered = true;
        tenant.keys[cirt].delivered = true;
        tenant.next_tick();
        tenant.consumer.store(pair);
        self.start_run(id);
        self.reckon(id, "by hand");
        Ok(())
    }

    fn add_by_hand(
        &mut self,
        id: &str,
        role: Role,
        name: String,
        maker: Maker,
        age: u32,
    ) -> Result<(), String> {
        let tenant = self.tenants.get(id).ok_or_else(|| no_tenant(id))?;
        let instance = tenant.instance(role).clone();
        let created = self.now() - TimeDelta::days(i64::from(age));
        let key = self.new_key(&instance, id, role, name, maker, created, &[]);
        self.add_key(id, key);
        Ok(())
    }

    fn find(&self, id: &str, role: Role, name: &str) -> Result<usize, String> {
        let tenant = self.tenants.get(id).ok_or_else(|| no_tenant(id))?;
        let missing = || format!("tenant `{id}` has no `{}` key `{name}` that is alive", role.name());
        tenant.key_named(role, name).ok_or_else(missing)
    }
}

fn no_tenant(id: &str) -> String {
    format!("there is no tenant `{id}`")
}

fn replace<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}
