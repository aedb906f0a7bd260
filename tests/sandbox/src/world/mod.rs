//! The world as it really is: tenants, keys, consumers, tokens. Requests change it under one lock, and the
//! books are made up inside that lock.

pub mod books;
pub mod change;
pub(crate) mod consumer;
pub(crate) mod judge;
pub mod key;
pub(crate) mod limits;
pub mod portal;
pub(crate) mod report;
pub(crate) mod service;
pub(crate) mod tenant;
pub(crate) mod token;

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use self::books::{Call, KEPT, Ledger};
use self::limits::Meter;
use self::tenant::{OwnLogin, Tenant};
use self::token::{CloudFoundryLogin, Tokens};
use crate::chance::Chance;
use crate::clock;
use crate::scenario::hostile::Rates;
use crate::scenario::tenant::{Issuer, Role};
use crate::scenario::{Hostility, Scenario, Scheme};
use crate::tls::Authority;

/// Where the listeners are.
#[derive(Clone, Debug)]
pub(crate) struct Bases {
    pub(crate) http: String,
    pub(crate) https: String,
    /// Another host, where no client has any business.
    pub(crate) elsewhere: String,
}

/// A creation or deletion that the issuer reports on.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) tenant: String,
    pub(crate) binding: String,
    pub(crate) deletes: bool,
    pub(crate) polls: u32,
    pub(crate) fails: bool,
    /// It cannot be asked any more once it is complete.
    pub(crate) vanishes: bool,
    pub(crate) created_at: DateTime<Utc>,
}

/// What the token service of the global account calls itself.
pub(crate) const ACCOUNT: &str = "global-account";

/// A subaccount that no tenant is in.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub(crate) guid: String,
    pub(crate) name: String,
    pub(crate) state: &'static str,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) scenario: Scenario,
    pub(crate) bases: Bases,
    pub(crate) hostility: Hostility,
    /// Whether it was hostile at the start: paths and clocks stay as they are.
    pub(crate) began_hostile: bool,
    /// What stands before every path but the root links', so that nobody can know paths by heart.
    room: String,
    pub(crate) tenants: BTreeMap<String, Tenant>,
    /// Guid of a binding to its tenant and its place there.
    pub(crate) bindings: BTreeMap<String, (String, usize)>,
    /// Guid of a service instance to its tenant and role.
    pub(crate) instances: BTreeMap<String, (String, Role)>,
    pub(crate) jobs: BTreeMap<String, Job>,
    pub(crate) tokens: Tokens,
    pub(crate) login: CloudFoundryLogin,
    /// The space in which the technical user develops.
    pub(crate) space: String,
    /// The space in which it only reads.
    pub(crate) audited_space: String,
    /// The technical user, as a guid.
    pub(crate) user: String,
    pub(crate) organization: String,
    /// The guid of the global account.
    pub(crate) account: String,
    /// The key that shows it.
    pub(crate) cis: OwnLogin,
    /// The subaccounts that no tenant is in.
    pub(crate) others: Vec<Other>,
    pub(crate) meter: Meter,
    pub(crate) ledger: Ledger,
    pub(crate) calls: VecDeque<Call>,
    pub(crate) seq: u64,
    started: DateTime<Utc>,
    moved: TimeDelta,
}

impl World {
    /// The world at the start of `scenario`.
    pub(crate) fn new(scenario: Scenario, bases: Bases, authority: &Authority) -> Result<Self, String> {
        let mut chance = Chance::new(scenario.seed);
        let started = clock::machine_time();
        let login = CloudFoundryLogin::new(&scenario.cloud_foundry, &mut chance);
        let (space, organization) = (chance.guid("space"), chance.guid("organization"));
        let (audited_space, user) = (chance.guid("audited space"), chance.guid("user"));
        let began_hostile = scenario.hostility != Hostility::Kind;
        let room = if began_hostile { format!("/r{:08x}", chance.draw("room") >> 32) } else { String::new() };
        let account = chance.guid("global account");
        let cis = OwnLogin {
            client_id: format!("sb-{}!b100003|cis-central!b2", chance.guid("cis")),
            secret: chance.secret("cis"),
            certificate: None,
            works: true,
            created_at: started - TimeDelta::days(100),
        };
        let plan = &scenario.cis;
        let named = plan.uncovered.iter().map(|name| (name, "OK"));
        let named = named.chain(plan.deleting.iter().map(|name| (name, "DELETING")));
        let others = named
            .map(|(name, state)| Other {
                guid: chance.guid(&format!("{name}/subaccount")),
                name: name.clone(),
                state,
            })
            .collect();
        let mut world = Self {
            chance,
            bases,
            hostility: scenario.hostility,
            began_hostile,
            room,
            tenants: BTreeMap::new(),
            bindings: BTreeMap::new(),
            instances: BTreeMap::new(),
            jobs: BTreeMap::new(),
            tokens: Tokens::default(),
            login,
            space,
            audited_space,
            user,
            organization,
            account,
            cis,
            others,
            meter: Meter::default(),
            ledger: Ledger::default(),
            calls: VecDeque::new(),
            seq: 0,
            started,
            moved: TimeDelta::zero(),
            scenario: Scenario { tenants: Vec::new(), ..scenario.clone() },
        };
        for plan in scenario.tenants {
            world.settle_in(plan, authority)?;
        }
        Ok(world)
    }

    /// Whether the technical user may only read where the instances of a tenant are.
    pub(crate) fn only_reads(&self, tenant: &Tenant) -> bool {
        tenant.space == self.audited_space
    }

    /// The sandbox's time: the machine's, moved forward by hand.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        clock::machine_time() + self.moved
    }

    pub(crate) fn move_clock(&mut self, by: TimeDelta) {
        self.moved += by.max(TimeDelta::zero());
    }

    /// Whether faults come by themselves right now.
    pub(crate) fn is_hostile(&self) -> bool {
        match self.hostility {
            Hostility::Kind => false,
            Hostility::Safety => true,
            Hostility::Liveness => {
                let end = self.started + TimeDelta::seconds(i64::from(self.scenario.hostile_seconds));
                clock::machine_time() < end
            }
        }
    }

    pub(crate) fn rates(&self) -> &Rates {
        &self.scenario.rates
    }

    /// True at `rate` while the world is hostile.
    pub(crate) fn mischief(&mut self, question: &str, rate: f64) -> bool {
        self.is_hostile() && self.chance.happens(question, rate)
    }

    /// A base with the room that everything but the root links is in.
    pub(crate) fn inside(&self, base: &str) -> String {
        format!("{base}{}", self.room)
    }

    /// A path as the endpoints know it. One that is in no room leads nowhere, but for the root links.
    pub(crate) fn enter<'p>(&self, path: &'p str) -> &'p str {
        match path.strip_prefix(&self.room) {
            Some(inside) => inside,
            None if path.trim_end_matches('/') == "/cf" => path,
            None => "/nowhere",
        }
    }

    /// From when on every read shows what has just been done to a key.
    pub(crate) fn settled_from(&mut self, guid: &str) -> DateTime<Utc> {
        let seconds = if self.is_hostile() { self.scenario.waits.lag_seconds } else { 0 };
        self.now() + self.some_of(&format!("{guid}/lag"), seconds)
    }

    /// A state in progress, as the hostile modes call it now and then: the documented first state, or one that nobody
    /// knows. It does not change from look to look.
    pub(crate) fn in_progress(&self, thing: &str) -> &'static str {
        let strange = f64::from(u32::try_from(self.chance.of(thing) >> 32).unwrap_or_default());
        match strange / f64::from(u32::MAX) {
            share if !self.is_hostile() || share >= self.rates().unknown_states => "in progress",
            share if share < self.rates().unknown_states / 2.0 => "reconciling",
            _ => "initial",
        }
    }

    /// `kind`, or a number drawn in its place while the world is hostile.
    pub(crate) fn patience(&mut self, question: &str, kind: u32) -> u32 {
        if !self.is_hostile() {
            return kind;
        }
        let most = self.rates().polls;
        kind.max(self.chance.up_to(question, most))
    }

    /// The base of the root links that clients are told of.
    pub(crate) fn public_base(&self) -> &str {
        match self.scenario.scheme {
            Scheme::Http => &self.bases.http,
            Scheme::Https => &self.bases.https,
        }
    }

    /// The base for URLs inside service keys.
    pub(crate) fn key_base(&self) -> String {
        self.inside(self.public_base())
    }

    /// Ends the runs whose time has come.
    pub(crate) fn settle_all(&mut self) {
        let ids: Vec<String> = self.tenants.keys().cloned().collect();
        for id in ids {
            self.settle(&id);
        }
    }

    /// Applies a late PUT of one tenant and ends its run, where their time has come, and makes up its books.
    pub(crate) fn settle(&mut self, id: &str) {
        let now = self.now();
        let Some(tenant) = self.tenants.get_mut(id) else { return };
        if tenant.consumer.applies_late(now) {
            tenant.next_tick();
            let runs = tenant.consumer.traits.redeploy_on_put;
            self.reckon(id, "put_credentials, applied late");
            if runs {
                self.start_run(id);
            }
        }
        let Some(tenant) = self.tenants.get(id) else { return };
        let Some(works) =
            tenant.consumer.run_to_end(now).map(|pair| tenant.accepts(Role::Ciapi, &pair.ciapi))
        else {
            return;
        };
        let rate = self.rates().run_failed;
        let unlucky = self.mischief(&format!("{id}/run failed"), rate);
        let Some(tenant) = self.tenants.get_mut(id) else { return };
        tenant.consumer.end_run(now, works && !unlucky);
        self.reckon(id, "provisioning run");
    }

    /// Begins a run of one tenant's consumer with the pair that it holds.
    pub(crate) fn start_run(&mut self, id: &str) {
        let now = self.now();
        let Some(tenant) = self.tenants.get_mut(id) else { return };
        let tick = tenant.next_tick();
        let (polls, stale) = (tenant.consumer.traits.polls, tenant.consumer.traits.stale_polls);
        let polls = self.patience(&format!("{id}/run"), polls);
        let stale = self.patience(&format!("{id}/end of the run before"), stale);
        if let Some(tenant) = self.tenants.get_mut(id) {
            tenant.consumer.start_run(now, tick, polls, stale);
        }
    }

    /// Whether a tenant has its keys from this issuer.
    pub(crate) fn issues(&self, issuer: Issuer, tenant: &str) -> bool {
        self.tenants.get(tenant).is_some_and(|tenant| tenant.issuer == issuer)
    }

    /// The tenant of a binding and its place there, where this issuer knows it.
    pub(crate) fn bound(&self, issuer: Issuer, guid: &str) -> Option<(String, usize)> {
        self.bindings.get(guid).filter(|(tenant, _)| self.issues(issuer, tenant)).cloned()
    }

    pub(crate) fn log(&mut self, call: Call) {
        if self.calls.len() == KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }
}
