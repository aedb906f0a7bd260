//! One seed, from the story to the verdict.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekeyd::domain::event::Entry;
use rekeyd::domain::names::CredentialId;
use rekeyd::domain::plan::rotation_due;
use rekeyd::domain::stage::{Phase, Stage};
use rekeyd::metrics::Metrics;
use rekeyd::ports::Journal;

use super::chance::Dice;
use super::faults::Weather;
use super::helper;
use super::hosts::{Plant, keep_up, set_clock};
use super::judge::violation;
use super::operators;
use super::ports::spawn;
use super::sim::{Host, Sim, World};
use super::story::{CALM, Draw, Jump, Story};
use super::tenant::Maker;
use super::time::{DAY, HOUR, MINUTE, Millis, Timers, stamp};

/// What came of a seed.
pub(crate) struct Outcome {
    pub(crate) rotations: u64,
    pub(crate) violations: Vec<String>,
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) timeline: Vec<String>,
    pub(crate) hash: u64,
    /// The journal as it stood when the faults ended, where somebody wants to read the timeline.
    pub(crate) journal: Vec<Entry>,
}

/// Runs one seed to its end.
pub(crate) fn run(seed: u64, draw: Draw, with_timeline: bool) -> Outcome {
    let timers = Arc::new(Timers::default());
    runtime(Arc::clone(&timers)).block_on(play(seed, draw, timers, with_timeline))
}

/// A runtime with one thread whose time is virtual.
pub(crate) fn runtime(timers: Arc<Timers>) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().on_thread_park(move || timers.step()).build().unwrap()
}

async fn play(seed: u64, draw: Draw, timers: Arc<Timers>, with_timeline: bool) -> Outcome {
    let mut dice = Dice::new(seed);
    let story = Story::drawn(&mut dice, draw);
    let (span, jumps) = (story.span, story.jumps.clone());
    let (backups, clones) = (story.backups.clone(), story.clones.clone());
    let periods = Arc::new(story.cast.iter().map(|part| part.period).collect());
    let (hosts, concurrency, diligence) = (story.hosts, story.concurrency, story.diligence);
    let sim = Sim::new(timers, raise(story, dice, with_timeline));
    let metrics = Arc::new(Metrics::new());
    let plant = Plant { sim: Arc::clone(&sim), metrics: Arc::clone(&metrics), concurrency, periods };
    for host in 0..hosts {
        spawn(keep_up(plant.clone(), host));
    }
    spawn(change_weather(Arc::clone(&sim)));
    spawn(look_after(Arc::clone(&sim), diligence));
    spawn(meddle_now_and_then(Arc::clone(&sim)));
    for jump in jumps {
        spawn(jump_clock(Arc::clone(&sim), jump));
    }
    for clone in clones {
        spawn(run_clone(plant.clone(), clone));
    }
    for backup in backups {
        spawn(restore_backup(Arc::clone(&sim), backup));
    }
    let outcome = tokio::select! {
        biased;
        () = sim.over.notified() => Outcome { journal: journal(&sim).await, ..judge_end(&sim, &metrics) },
        outcome = to_the_end(&sim, &metrics, span, with_timeline) => outcome,
    };
    // The engines hold the world that holds them; over thousands of seeds that is all the memory there is.
    let hosts = std::mem::take(&mut sim.world().hosts);
    drop(hosts);
    outcome
}

async fn to_the_end(sim: &Arc<Sim>, metrics: &Metrics, span: Millis, with_timeline: bool) -> Outcome {
    sim.sleep(span).await;
    calm_down(sim);
    let journal = if with_timeline { journal(sim).await } else { Vec::new() };
    let end = span + CALM;
    while sim.now() < end {
        sim.sleep(helper::ROUND).await;
        helper::put_right(sim).await;
    }
    Outcome { journal, ..judge_end(sim, metrics) }
}

async fn journal(sim: &Sim) -> Vec<Entry> {
    let memory = {
        let world = sim.world();
        world.stores[world.hosts[0].store].memory.clone()
    };
    memory.read(None, 0).await.unwrap()
}

fn raise(story: Story, dice: Dice, with_timeline: bool) -> World {
    let mut world = World::empty(dice, story.rates, story.rules);
    world.clocks_are_right = story.jumps.is_empty();
    world.hosts = (0..story.hosts).map(|_| Host::default()).collect();
    world.timeline = with_timeline.then(Vec::new);
    for part in story.cast {
        let (number, manners, policy) = (part.tenant.number, &part.tenant.manners, &part.policy);
        let text = format!("t{number}: {manners:?} {policy:?}");
        world.tell(0, 0, || text);
        world.policies.push(part.policy);
        world.maintenance.push(part.maintenance);
        world.tenants.push(part.tenant);
        world.outages.push(part.outages);
    }
    world
}

async fn change_weather(sim: Arc<Sim>) {
    loop {
        let lasts = {
            let mut world = sim.world();
            let hostility = world.rates.hostility;
            let (weather, lasts) = Weather::drawn(&mut world.dice, hostility);
            world.weather = weather;
            lasts
        };
        sim.sleep(lasts).await;
    }
}

/// Somebody puts things right now and then.
async fn look_after(sim: Arc<Sim>, diligence: Millis) {
    loop {
        let pause = sim.world().dice.between(HOUR, 2 * diligence);
        sim.sleep(pause).await;
        if sim.world().calm {
            return;
        }
        helper::put_right(&sim).await;
    }
}

async fn meddle_now_and_then(sim: Arc<Sim>) {
    let (rate, count) = {
        let world = sim.world();
        (world.rates.meddle, world.tenants.len())
    };
    if rate == 0 {
        return;
    }
    loop {
        let (pause, tenant) = {
            let mut world = sim.world();
            (world.dice.below(60 * DAY), world.dice.index(count))
        };
        sim.sleep(pause).await;
        operators::meddle(Arc::clone(&sim), tenant, 0).await;
    }
}

async fn jump_clock(sim: Arc<Sim>, jump: Jump) {
    sim.sleep(jump.at).await;
    set_clock(&sim, jump.host, jump.by);
    sim.sleep(jump.until - jump.at).await;
    set_clock(&sim, jump.host, 0);
}

/// The journal is put back to what it was: everything is stopped, and started again on the older file.
async fn restore_backup(sim: Arc<Sim>, (taken, restored): (Millis, Millis)) {
    sim.sleep(taken).await;
    let backup = sim.world().stores[0].copy();
    sim.sleep(restored - taken).await;
    let now = sim.now();
    let doubted = backup.doubted(now).await;
    let mut world = sim.world();
    world.tell(now, 30, || format!("the journal is restored from the backup of {}", stamp(taken)));
    let store = world.stores.len();
    world.stores.push(doubted);
    for tenant in &mut world.tenants {
        tenant.forgetful = true;
    }
    for host in &mut world.hosts {
        host.store = store;
        host.down_until = now + 10 * MINUTE;
        if let Some(life) = &host.life {
            life.kill();
        }
    }
}

/// Somebody copies the machine and starts the copy too; after a while it is found and stopped.
async fn run_clone(plant: Plant, (from, until): (Millis, Millis)) {
    let sim = Arc::clone(&plant.sim);
    sim.sleep(from).await;
    let host = {
        let now = sim.now();
        let mut world = sim.world();
        world.tell(now, 31, || "a clone is started on a copy of the journal".to_owned());
        let (store, host) = (world.stores.len(), world.hosts.len());
        let copy = world.stores[world.hosts[0].store].copy();
        world.stores.push(copy);
        world.hosts.push(Host { store, ..Host::default() });
        for tenant in &mut world.tenants {
            (tenant.forgetful, tenant.cloned) = (true, true);
        }
        host
    };
    spawn(keep_up(plant, host));
    sim.sleep(until - from).await;
    let now = sim.now();
    let mut world = sim.world();
    world.tell(now, 32, || "the clone is found and stopped".to_owned());
    world.hosts[host].down_until = Millis::MAX / 2;
    for tenant in &mut world.tenants {
        tenant.cloned = false;
    }
    if let Some(life) = &world.hosts[host].life {
        life.kill();
    }
}

/// Faults and meddling are over, and every clock is right.
fn calm_down(sim: &Sim) {
    let hosts = {
        let now = sim.now();
        let mut world = sim.world();
        world.calm = true;
        world.tell(now, 40, || "the faults are over".to_owned());
        for host in &mut world.hosts {
            // A clone that was stopped stays down.
            if host.down_until < Millis::MAX / 2 {
                host.down_until = host.down_until.min(now + HOUR);
            }
        }
        world.hosts.len()
    };
    for host in 0..hosts {
        set_clock(sim, host, 0);
    }
}

fn judge_end(sim: &Sim, metrics: &Metrics) -> Outcome {
    let now = sim.now();
    let mut guard = sim.world();
    let world = &mut *guard;
    for number in 0..world.tenants.len() {
        judge_tenant(world, number, now);
    }
    *world.counts.entry("calls".to_owned()).or_default() += world.calls;
    let engine = world.hosts.iter().find_map(|host| host.engine.clone());
    let views = engine.as_ref().map(|engine| engine.views()).unwrap_or_default();
    let overview = engine.map(|engine| engine.fleet().overview(stamp(now)));
    if !world.late {
        world.count("seeds with everybody in time");
    }
    let text = String::from_utf8(metrics.render(&views, overview.as_ref(), stamp(now))).unwrap();
    if !text.contains("rekeyd_panics_total 0\n") {
        world.find(now, violation("panic", "a walk panicked"));
    }
    Outcome {
        rotations: world.rotations,
        violations: std::mem::take(&mut world.violations),
        counts: std::mem::take(&mut world.counts),
        timeline: world.timeline.take().unwrap_or_default(),
        hash: world.hash,
        journal: Vec::new(),
    }
}

/// Long after the last fault a tenant is settled and fresh, or halted with a reason.
fn judge_tenant(world: &mut World, number: usize, now: Millis) {
    let id = world.policies[number].credential.clone();
    let store = &world.stores[world.hosts[0].store];
    let Some(record) = store.lines.get(&id).map(|line| line.record.clone()) else {
        let why = last_reason(world, &id);
        world.find(now, violation("never adopted", format!("{id}: {why}")));
        return;
    };
    if world.is_late(&id, record.stage.in_use(), now) == Some(true) {
        world.late = true;
        world.count("late at the end");
    }
    let why = last_reason(world, &id);
    if let Some(halt) = &record.halt {
        world.count("halted at the end");
        world.count(&format!("end: {}", halt.reason.code()));
        return;
    }
    let begun = record.rotation.as_ref().map(|rotation| rotation.begun_at);
    let Stage::Settled { live } = &record.stage else {
        // A rotation of these days, or a stage that was entered or resumed lately, may be on its way.
        let moves = record.entered_at > stamp(now - 8 * DAY);
        if moves || begun.is_some_and(|begun| begun > stamp(now - CALM / 2)) {
            return;
        }
        world.find(now, violation("stuck", format!("{id} is {}: {why}", record.stage.phase())));
        return;
    };
    assert_eq!(record.phase(), Phase::Settled);
    let due = rotation_due(&world.policies[number], live).ok().flatten();
    if due.is_some_and(|due| due < stamp(now - CALM / 2)) {
        world.find(now, violation("overdue", format!("{id}: {why}")));
    }
    judge_leftovers(world, number, &record, now);
}

fn judge_leftovers(world: &mut World, number: usize, record: &rekeyd::domain::record::Record, now: Millis) {
    let tenant = &world.tenants[number];
    if tenant.forgetful || tenant.meddled {
        return;
    }
    let in_use: Vec<_> = record.stage.in_use().values().map(|key| key.name.clone()).collect();
    let is_left = |key: &&super::tenant::Key| {
        key.maker == Maker::Rekeyd
            && key.deleted.is_none()
            && !in_use.contains(&key.name)
            && !record.left.contains_key(&key.name)
    };
    let left: Vec<_> = tenant.keys.iter().filter(is_left).map(|key| key.name.0.clone()).collect();
    if !left.is_empty() {
        world.find(now, violation("orphan", format!("t{number}: {}", left.join(", "))));
    }
}

fn last_reason(world: &World, id: &CredentialId) -> String {
    let told = world.hosts.iter().enumerate().filter_map(|(number, host)| {
        let view = host.engine.as_ref()?.view(id)?;
        let reason = view.reason.map_or_else(|| "no reason".to_owned(), |reason| reason.text);
        let lease = if view.lease_held { " with the lease" } else { "" };
        Some(format!("host{number}{lease}, next {:?}: {reason}", view.next_look))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { "nobody looks at it".to_owned() } else { told.join("; ") }
}
