//! The whole simulated world behind one lock, and what happens when somebody asks something of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use rekeyd::domain::failure::Failure;
use rekeyd::domain::fleet::Rules;
use rekeyd::domain::names::{CredentialId, Role};
use rekeyd::domain::policy::Policy;
use rekeyd::domain::record::Asking;
use rekeyd::domain::stage::Stage;
use rekeyd::engine::{Engine, Maintenance};

use tokio::sync::Notify;

use super::chance::{Dice, mix};
use super::faults::{self, Outage, Trip, Weather};
use super::judge::{Finding, violation};
use super::operators;
use super::ports::{Life, spawn};
use super::request::{Reply, Request};
use super::store::{DiskFate, Store};
use super::story::Rates;
use super::tenant::Tenant;
use super::time::{HOUR, Millis, SECOND, Sleep, Timers, stamp};

/// Calls that a story has room for, for each tenant: one that needs more goes on for nothing, and is ended.
const CALLS_LIMIT: u64 = 100_000;

/// One instance, dead or alive.
#[derive(Default)]
pub(crate) struct Host {
    /// Which journal it works on.
    pub(crate) store: usize,
    /// How far its wall clock is ahead.
    pub(crate) offset: i64,
    /// How often it was started.
    pub(crate) lives: u64,
    /// It is not started until then.
    pub(crate) down_until: Millis,
    pub(crate) life: Option<Arc<Life>>,
    pub(crate) engine: Option<Arc<Engine>>,
}

/// Everything that is true, and what was found.
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) rates: Rates,
    pub(crate) weather: Weather,
    /// Faults and meddling are over.
    pub(crate) calm: bool,
    pub(crate) policies: Vec<Arc<Policy>>,
    pub(crate) maintenance: Vec<Maintenance>,
    pub(crate) rules: Rules,
    /// No wall clock is ever set in this story.
    pub(crate) clocks_are_right: bool,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) outages: Vec<Vec<Outage>>,
    pub(crate) stores: Vec<Store>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) rotations: u64,
    /// Requests that were sent.
    pub(crate) calls: u64,
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) violations: Vec<String>,
    /// Somebody's keys were not replaced before their window ended.
    pub(crate) late: bool,
    /// The timeline, where somebody wants to read it.
    pub(crate) timeline: Option<Vec<String>>,
    /// What stands for the timeline.
    pub(crate) hash: u64,
}

/// The simulation.
pub(crate) struct Sim {
    pub(crate) timers: Arc<Timers>,
    world: Mutex<World>,
    /// The seed has failed in a way that goes on for ever.
    pub(crate) over: Notify,
}

/// The number of a tenant, from the name of its credential.
pub(crate) fn tenant_of(id: &CredentialId) -> usize {
    id.tenant.as_str()[1..].parse().unwrap()
}

impl World {
    /// A world with one empty journal and nobody in it.
    pub(crate) fn empty(dice: Dice, rates: Rates, rules: Rules) -> Self {
        Self {
            dice,
            rates,
            weather: Weather::default(),
            calm: false,
            policies: Vec::new(),
            maintenance: Vec::new(),
            rules,
            clocks_are_right: true,
            tenants: Vec::new(),
            outages: Vec::new(),
            stores: vec![Store::default()],
            hosts: Vec::new(),
            rotations: 0,
            calls: 0,
            counts: BTreeMap::new(),
            violations: Vec::new(),
            late: false,
            timeline: None,
            hash: 0,
        }
    }

    /// Something happened.
    pub(crate) fn tell(&mut self, now: Millis, code: u64, text: impl FnOnce() -> String) {
        self.hash = mix(self.hash ^ mix(now).wrapping_add(code));
        if let Some(timeline) = &mut self.timeline {
            timeline.push(format!("{} {}", stamp(now).format("%Y-%m-%d %H:%M:%S%.3f"), text()));
        }
    }

    pub(crate) fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn find(&mut self, now: Millis, finding: Finding) {
        let Finding { kind, is_violation, text } = finding;
        self.count(kind);
        let mark = if is_violation { "VIOLATION" } else { "note" };
        self.tell(now, 7, || format!("{mark}: {kind}: {text}"));
        if is_violation {
            self.violations.push(format!("{} {kind}: {text}", stamp(now).format("%Y-%m-%d %H:%M:%S%.3f")));
        }
    }

    pub(crate) fn find_all(&mut self, now: Millis, found: Vec<Finding>) {
        for finding in found {
            self.find(now, finding);
        }
    }

    /// What must hold when an instance sends something that changes the world.
    fn check_send(
        &mut self,
        life: &Life,
        tenant: usize,
        request: &Request,
        now: Millis,
        host_now: rekeyd::domain::Timestamp,
    ) {
        let id = &self.policies[tenant].credential;
        let leased = life.leases.lock().unwrap().get(&id.tenant).is_some_and(|until| host_now < *until);
        let mut wrong = Vec::new();
        if !leased {
            wrong.push("its lease has ended");
        }
        if let Some(line) = self.stores[life.store].lines.get(id) {
            let record = &line.record;
            if record.halt.is_some() {
                wrong.push("the credential is halted");
            }
            match request {
                Request::Create { role, name } => {
                    let intended = matches!(&record.stage, Stage::Creating { names, sent, .. }
                        if names.get(role) == Some(name) && sent.contains_key(role));
                    if !intended {
                        wrong.push("the journal holds no intent to create");
                    }
                }
                Request::Provision if record.asked_to_provision == Asking::No => {
                    wrong.push("the journal holds no intent to provision");
                }
                Request::Delete { place } => {
                    wrong.extend(self.check_delete(line, tenant, *place, host_now));
                    if self.is_early(line, tenant, *place, now) {
                        wrong.push("the soak is not over");
                    }
                }
                _ => {}
            }
        } else {
            wrong.push("the journal knows nothing of the credential");
        }
        let (id, host) = (id.clone(), life.host);
        for why in wrong {
            self.find(now, violation("unfounded act", format!("host{host} {id} {request:?}: {why}")));
        }
    }

    /// Whether an old key is to go before the soak is over, by a clock that is right.
    fn is_early(&self, line: &super::store::Line, tenant: usize, place: usize, now: Millis) -> bool {
        let soak = u64::try_from(self.policies[tenant].soak.as_millis()).unwrap();
        let retires = matches!(line.record.stage, Stage::Retiring { .. });
        let delivered = self.tenants[tenant].keys[place].delivered;
        retires && delivered && self.clocks_are_right && now < line.proven + soak
    }

    fn check_delete(
        &self,
        line: &super::store::Line,
        tenant: usize,
        place: usize,
        host_now: rekeyd::domain::Timestamp,
    ) -> Vec<&'static str> {
        let tenant = &self.tenants[tenant];
        let mut wrong = Vec::new();
        let intended = match &line.record.stage {
            Stage::Retiring { retirement, .. } => retirement
                .leaving
                .as_ref()
                .and_then(|leaving| retirement.old.get(&leaving.role).map(|key| key.name.clone())),
            _ => line.record.delete_sent.as_ref().map(|(name, _)| name.clone()),
        };
        if intended.as_ref() != Some(&tenant.keys[place].name) {
            wrong.push("the journal holds no intent to delete");
        }
        if line.record.stage.may_hold().contains(&tenant.id_of(place)) {
            wrong.push("the consumer may hold the key");
        }
        if line.record.is_held(host_now) && line.hold < line.delete_sent {
            wrong.push("it is held");
        }
        wrong
    }
}

impl Sim {
    pub(crate) fn new(timers: Arc<Timers>, world: World) -> Arc<Self> {
        Arc::new(Self { timers, world: Mutex::new(world), over: Notify::new() })
    }

    pub(crate) fn now(&self) -> Millis {
        self.timers.now()
    }

    pub(crate) fn sleep(&self, time: Millis) -> Sleep {
        self.timers.sleep(time)
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// A request goes out.
    pub(crate) fn send(self: &Arc<Self>, life: &Arc<Life>, tenant: usize, request: &Request) -> Trip {
        let (now, host_now) = (self.now(), life.now(self));
        let mut guard = self.world();
        let world = &mut *guard;
        world.calls += 1;
        if world.calls == CALLS_LIMIT * world.tenants.len() as u64 {
            world.find(now, violation("busy", format!("{} calls were made", world.calls)));
            self.over.notify_one();
        }
        if request.changes() {
            world.check_send(life, tenant, request, now, host_now);
        }
        let weather = if world.calm { Weather::default() } else { world.weather };
        let outages = if world.calm { &[][..] } else { &world.outages[tenant][..] };
        let trip = faults::trip(&mut world.dice, weather, outages, request, now);
        if request.changes() {
            let (host, fate) = (life.host, &trip.fate);
            let text = format!("host{host} t{tenant} sends {request:?} ({fate:?})");
            world.tell(now, 1, || text);
        }
        if !world.calm {
            self.make_mischief(world, life, tenant, request, &trip);
        }
        trip
    }

    /// Something may go wrong just now with the process, or with people.
    fn make_mischief(
        self: &Arc<Self>,
        world: &mut World,
        life: &Arc<Life>,
        tenant: usize,
        request: &Request,
        trip: &Trip,
    ) {
        let rates = world.rates;
        let (share, crash) = if request.changes() { (1, rates.crash) } else { (20, rates.idle_crash) };
        let dice = &mut world.dice;
        if dice.happens(crash) {
            let after = dice.below(trip.out + trip.back + 1);
            let (sim, life) = (Arc::clone(self), Arc::clone(life));
            spawn(async move {
                sim.sleep(after).await;
                life.kill();
            });
        } else if dice.happens(rates.pause / share) {
            let lasts = SECOND + dice.skewed(6 * HOUR);
            life.pause_until(self.now() + lasts);
            world.count("pauses");
        }
        if world.dice.happens(rates.meddle / share) {
            let after = world.dice.skewed(12 * HOUR);
            spawn(operators::meddle(Arc::clone(self), tenant, after));
        }
    }

    /// A request that was given up takes effect. Of keys that had been made and deleted meanwhile it makes second ones, which
    /// are cleared away; of deliveries it may be the last.
    pub(crate) fn apply_late(&self, life: &Life, tenant: usize, request: &Request, deliveries: u64) {
        let before = {
            let mut world = self.world();
            world.tenants[tenant].late = true;
            world.tenants[tenant].consumer.delivered
        };
        let _ = self.apply(life, tenant, request);
        let mut world = self.world();
        world.tenants[tenant].late = false;
        if let Request::Deliver { .. } = request {
            world.tenants[tenant].consumer.came_late(deliveries, before);
        }
    }

    /// A request takes effect.
    pub(crate) fn apply(&self, life: &Life, tenant: usize, request: &Request) -> Result<Reply, Failure> {
        let now = self.now();
        let mut world = self.world();
        let mut found = Vec::new();
        if *request == Request::Status {
            let believes = world.believes(life.store, tenant);
            world.tenants[tenant].believed = believes;
        }
        let reply = world.tenants[tenant].apply(request, now, &mut found);
        if request.changes() {
            let text = format!("host{} t{tenant} effect of {request:?}: {}", life.host, short(&reply));
            world.tell(now, 2, || text);
        }
        world.find_all(now, found);
        reply
    }

    /// An answer has arrived.
    pub(crate) fn answered(&self, life: &Life, tenant: usize, reply: &Result<Reply, Failure>) {
        let code = u64::from(reply.is_ok()) + 10 * tenant as u64 + 1000 * life.host as u64;
        let now = self.now();
        let mut world = self.world();
        world.hash = mix(world.hash ^ mix(now).wrapping_add(code));
    }

    /// What becomes of one use of the disk.
    pub(crate) fn disk(&self, life: &Life, writes: bool) -> DiskFate {
        let mut world = self.world();
        if world.calm {
            return DiskFate::Fine;
        }
        let (rate, crash) = (world.weather.journal, world.rates.crash);
        if world.dice.happens(rate) {
            return if world.dice.below(2) == 0 { DiskFate::Refused } else { DiskFate::Lost };
        }
        if writes && world.dice.happens(crash / 4) {
            let (before, now) = (world.dice.below(2) == 0, self.now());
            let host = life.host;
            world.tell(now, 3, || format!("host{host} dies at the journal, before the write: {before}"));
            return if before { DiskFate::DiesBefore } else { DiskFate::DiesAfter };
        }
        DiskFate::Fine
    }
}

fn short(reply: &Result<Reply, Failure>) -> String {
    match reply {
        Ok(Reply::Made(key)) => format!("made {}", key.id),
        Ok(_) => "done".to_owned(),
        Err(failure) => format!("{:?}: {}", failure.class, failure.cause),
    }
}

/// Both roles, in the order in which the simulation names them.
pub(crate) const ROLES: [Role; 2] = Role::PAIR;
