//! The instances: the real engine in the daemon's own rhythm, started again whenever it has died.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rekeyd::clock::Clock;
use rekeyd::domain::view::View;
use rekeyd::domain::{Timestamp, after};
use rekeyd::engine::{Engine, NextTick, Settings, StartError, Unit};
use rekeyd::metrics::Metrics;

use super::judge::violation;
use super::ports::{HostClock, Life, Outside};
use super::sim::Sim;
use super::store::HostJournal;
use super::time::{HOUR, MINUTE, Millis, SECOND};

/// The longest nap of the main loop. The daemon's is a minute; what could wake it in between wakes this one too.
const LONGEST_NAP: Duration = Duration::from_hours(24);

/// What all lives of the instances share.
#[derive(Clone)]
pub(crate) struct Plant {
    pub(crate) sim: Arc<Sim>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) concurrency: usize,
    /// Of each tenant: how often it is looked at while settled, and when in that time.
    pub(crate) periods: Arc<Vec<(Millis, Millis)>>,
}

/// Keeps one instance up, life after life.
pub(crate) async fn keep_up(plant: Plant, host: usize) {
    let sim = Arc::clone(&plant.sim);
    loop {
        let down = sim.world().hosts[host].down_until.saturating_sub(sim.now());
        if down > 0 {
            sim.sleep(down).await;
            continue;
        }
        let life = begin(&sim, host);
        tokio::select! {
            biased;
            () = died(&life) => {}
            () = live(&plant, &life) => {}
        }
        life.kill();
        let downtime = {
            let mut world = sim.world();
            world.hosts[host].engine = None;
            world.count("crashes");
            if world.calm { SECOND } else { SECOND + world.dice.skewed(12 * HOUR) }
        };
        sim.sleep(downtime).await;
    }
}

fn begin(sim: &Arc<Sim>, host: usize) -> Arc<Life> {
    let now = sim.now();
    let mut world = sim.world();
    let dice = world.dice.fork();
    let slot = &mut world.hosts[host];
    slot.lives += 1;
    let life = Life::new(host, slot.lives, slot.store, slot.offset, dice);
    slot.life = Some(Arc::clone(&life));
    world.tell(now, 4, || format!("host{host} starts, life {}", life.number));
    life
}

async fn died(life: &Life) {
    while !life.is_dead() {
        life.died.notified().await;
    }
}

/// One life: start, and then the main loop of the daemon.
async fn live(plant: &Plant, life: &Arc<Life>) {
    let sim = &plant.sim;
    let engine = loop {
        match start(plant, life).await {
            Ok(engine) => break engine,
            Err(StartError::Journal(_)) => sim.sleep(10 * SECOND).await,
            Err(StartError::Misfit(misfit)) => {
                sim.world().find(sim.now(), violation("misfit at start", misfit.to_string()));
                return;
            }
        }
    };
    sim.world().hosts[life.host].engine = Some(Arc::clone(&engine));
    let clock = HostClock { sim: Arc::clone(sim), life: Arc::clone(life) };
    let mut pace = Pace::default();
    loop {
        life.gate(sim).await;
        let now = life.now(sim);
        if pace.is_spinning(sim.now()) {
            tell_spin(sim, &engine, now);
            sim.over.notify_one();
            return std::future::pending().await;
        }
        engine.wake_due(now);
        let nap = engine.until_due(now, LONGEST_NAP).max(Duration::from_millis(1));
        tokio::select! {
            biased;
            () = life.stirred.notified() => {}
            () = engine.rested() => {}
            () = clock.sleep(nap) => {}
        }
    }
}

/// How often the main loop goes round.
#[derive(Default)]
struct Pace {
    since: Millis,
    turns: u64,
}

impl Pace {
    /// No hour has so much to do that a loop may go round more often.
    fn is_spinning(&mut self, now: Millis) -> bool {
        if now >= self.since + HOUR {
            *self = Self { since: now, turns: 0 };
        }
        self.turns += 1;
        self.turns > 20_000
    }
}

/// Whoever is due all the time makes the daemon spin.
fn tell_spin(sim: &Sim, engine: &Engine, now: Timestamp) {
    let mut world = sim.world();
    world.find(sim.now(), violation("spin", "an instance goes round and round"));
    let spins = |view: &View| view.next_look.is_none_or(|at| at <= after(now, Duration::from_secs(1)));
    for view in engine.views().into_iter().filter(spins) {
        let text = format!("{}: next {:?}, now {now}: {:?}", view.credential, view.next_look, view.reason);
        world.find(sim.now(), violation("spins", text));
    }
}

async fn start(plant: &Plant, life: &Arc<Life>) -> Result<Arc<Engine>, StartError> {
    let sim = &plant.sim;
    let memory = sim.world().stores[life.store].memory.clone();
    let settings = Settings {
        holder: life.holder(),
        lease_life: Duration::from_millis(2 * MINUTE),
        concurrency: plant.concurrency,
        rules: sim.world().rules.clone(),
    };
    let journal = Arc::new(HostJournal { sim: Arc::clone(sim), life: Arc::clone(life), memory });
    let clock = Arc::new(HostClock { sim: Arc::clone(sim), life: Arc::clone(life) });
    let engine = Engine::new(settings, journal, clock, Arc::clone(&plant.metrics));
    let (policies, maintenance) = {
        let world = sim.world();
        (world.policies.clone(), world.maintenance.clone())
    };
    let unit = |(tenant, policy): (usize, _)| {
        let outside = Arc::new(Outside { sim: Arc::clone(sim), life: Arc::clone(life), tenant });
        let (issuer, consumer) = (Arc::clone(&outside) as _, outside as _);
        let (next_tick, maintenance) = (ticks(plant.periods[tenant]), Arc::clone(&maintenance[tenant]));
        Unit { policy, issuer, consumer, next_tick, maintenance }
    };
    engine.start(policies.into_iter().enumerate().map(unit).collect()).await?;
    Ok(engine)
}

/// A schedule: every so often, at its own time.
fn ticks((every, phase): (Millis, Millis)) -> NextTick {
    Arc::new(move |now: Timestamp| {
        let every = i64::try_from(every).unwrap();
        let since = (now.timestamp_millis() - i64::try_from(phase).unwrap()).rem_euclid(every);
        Some(after(now, Duration::from_millis(u64::try_from(every - since).unwrap())))
    })
}

/// Sets the wall clock of one instance.
pub(crate) fn set_clock(sim: &Sim, host: usize, offset: i64) {
    let now = sim.now();
    let mut world = sim.world();
    if world.hosts[host].offset != offset {
        world.count("clocks set");
    }
    world.hosts[host].offset = offset;
    world.tell(now, 5, || format!("the clock of host{host} is now {offset} ms off"));
    if let Some(life) = &world.hosts[host].life {
        life.offset.store(offset, Ordering::SeqCst);
        life.stirred.notify_one();
    }
}
