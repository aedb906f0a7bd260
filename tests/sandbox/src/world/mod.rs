//! The world as it really is: tenants, keys, consumers, tokens. Requests change it under one lock, and the
//! books are made up inside that lock.

pub mod books;
pub mod change;
pub(crate) mod consumer;
pub(crate) mod judge;
pub mod key;
pub(crate) mod report;
pub(crate) mod tenant;
pub(crate) mod token;

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use self::books::{Call, KEPT, Ledger};
use self::tenant::Tenant;
use self::token::{CloudFoundryLogin, Tokens};
use crate::chance::Chance;
use crate::clock;
use crate::scenario::tenant::Role;
use crate::scenario::{Hostility, Rates, Scenario, Scheme};
use crate::tls::Authority;

/// Where the two listeners are.
#[derive(Clone, Debug)]
pub(crate) struct Bases {
    pub(crate) http: String,
    pub(crate) https: String,
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

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) scenario: Scenario,
    pub(crate) bases: Bases,
    pub(crate) hostility: Hostility,
    pub(crate) tenants: BTreeMap<String, Tenant>,
    /// Guid of a binding to its tenant and its place there.
    pub(crate) bindings: BTreeMap<String, (String, usize)>,
    /// Guid of a service instance to its tenant and role.
    pub(crate) instances: BTreeMap<String, (String, Role)>,
    pub(crate) jobs: BTreeMap<String, Job>,
    pub(crate) tokens: Tokens,
    pub(crate) login: CloudFoundryLogin,
    pub(crate) space: String,
    pub(crate) organization: String,
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
        let mut world = Self {
            chance,
            bases,
            hostility: scenario.hostility,
            tenants: BTreeMap::new(),
            bindings: BTreeMap::new(),
            instances: BTreeMap::new(),
            jobs: BTreeMap::new(),
            tokens: Tokens::default(),
            login,
            space,
            organization,
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

    /// The sandbox's time: the machine's, moved forward by hand.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        clock::machine_time() + self.moved
    }

    pub(crate) fn move_clock(&mut self, seconds: u32) {
        self.moved += TimeDelta::seconds(i64::from(seconds));
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

    /// `kind`, or a number drawn in its place while the world is hostile.
    pub(crate) fn patience(&mut self, question: &str, kind: u32) -> u32 {
        if !self.is_hostile() {
            return kind;
        }
        let most = self.rates().polls;
        kind.max(self.chance.up_to(question, most))
    }

    /// The base for URLs inside service keys.
    pub(crate) fn key_base(&self) -> &str {
        match self.scenario.scheme {
            Scheme::Http => &self.bases.http,
            Scheme::Https => &self.bases.https,
        }
    }

    /// Ends the runs whose time has come.
    pub(crate) fn settle_all(&mut self) {
        let ids: Vec<String> = self.tenants.keys().cloned().collect();
        for id in ids {
            self.settle(&id);
        }
    }

    /// Ends the run of one tenant if its time has come, and makes up its books.
    pub(crate) fn settle(&mut self, id: &str) {
        let now = self.now();
        let Some(tenant) = self.tenants.get_mut(id) else { return };
        if let Some(pair) = tenant.consumer.run_to_end(now) {
            let works = tenant.accepts(Role::Ciapi, &pair.ciapi);
            tenant.consumer.end_run(now, works);
            self.reckon(id, "provisioning run");
        }
    }

    pub(crate) fn log(&mut self, call: Call) {
        if self.calls.len() == KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }
}
