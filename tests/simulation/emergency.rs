//! Failure story 50: the keys of a large fleet are exposed, and all of them are replaced at once, through a SAP that limits
//! the rate and loses answers. With 5 000 tenants it is the story's ten thousand keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use rekeyd::domain::event::{Entry, Event, Trigger, Wish};
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::fleet::{EXPOSED, FleetEvent, Opening, Pass, Rules};
use rekeyd::domain::names::CredentialId;
use rekeyd::domain::policy::{Policy, Provision};
use rekeyd::domain::stage::Phase;
use rekeyd::metrics::Metrics;
use rekeyd::ports::Journal;

use crate::chance::Dice;
use crate::consumer::Manners;
use crate::faults::Weather;
use crate::helper::put_right;
use crate::hosts::{Plant, keep_up};
use crate::number;
use crate::operators::ask;
use crate::ports::spawn;
use crate::run::runtime;
use crate::sim::{Host, Sim, World};
use crate::story::{Draw, Rates, drawn_policy};
use crate::tenant::Tenant;
use crate::time::{DAY, HOUR, Timers};

/// How many tenants, of two keys each; `EMERGENCY_TENANTS` sets another number.
const TENANTS: u64 = 1_000;

/// It is over long before, or never.
const LONGEST: u64 = 60 * DAY;

#[test]
fn exposed_keys_of_a_whole_fleet_are_replaced_within_the_caps_and_nobody_is_locked_out() {
    let tenants = usize::try_from(number("EMERGENCY_TENANTS").unwrap_or(TENANTS)).unwrap();
    let timers = Arc::new(Timers::default());
    let (sim, entries) = runtime(Arc::clone(&timers)).block_on(emergency(timers, tenants));
    let world = sim.world();
    assert!(world.violations.is_empty(), "{:?}", &world.violations[..world.violations.len().min(9)]);
    let rotated = world.stores[0].lines.values().filter(|line| line.record.succeeded_at.is_some()).count();
    assert_eq!(rotated, tenants, "each is rotated to its end");
    let at_once = most_at_once(&entries);
    let cap = Rules::default().rotations_at_once;
    assert!((2..=cap).contains(&at_once), "{at_once} at once, and {cap} may be");
    let failed = |class: Option<Class>| {
        let of = |failure: &Failure| class.is_none_or(|class| failure.class == class);
        entries
            .iter()
            .filter(|entry| matches!(&entry.event, Event::StepFailed { failure, .. } if of(failure)))
            .count()
    };
    let (all, throttled) = (failed(None), failed(Some(Class::Throttled)));
    assert!(throttled > tenants / 20, "SAP limited the rate: {throttled} times");
    assert!(all > 2 * tenants, "the weather was bad: {all} steps failed");
}

async fn emergency(timers: Arc<Timers>, tenants: usize) -> (Arc<Sim>, Vec<Entry>) {
    let rates = Rates { crash: 0, idle_crash: 0, pause: 0, meddle: 0, hostility: 0 };
    let mut world = World::empty(Dice::new(50), rates, Rules::default());
    world.weather = Weather { before: 300, after: 300, late: 20, journal: 0 };
    world.hosts.push(Host::default());
    for number in 0..tenants {
        let policy = drawn_policy(&mut Dice::new(50), Draw::Second, number, Provision::WhenNeeded);
        world.policies.push(Arc::new(Policy { retire_foreign: true, ..policy }));
        world.maintenance.push(Arc::new(|_| Opening::Always));
        world.outages.push(Vec::new());
        // Nobody is due for months.
        world.tenants.push(Tenant::new(
            number,
            Manners::default(),
            [30 * 86_400_000; 2],
            Dice::new(number as u64),
        ));
    }
    let periods = Arc::new(vec![(DAY, 0); tenants]);
    let sim = Sim::new(timers, world);
    let plant = Plant { sim: Arc::clone(&sim), metrics: Arc::new(Metrics::new()), concurrency: 32, periods };
    spawn(keep_up(plant, 0));
    sim.sleep(2 * DAY).await;
    let engine = sim.world().hosts[0].engine.clone().expect("it runs");
    let taken = engine.wish_all(false, Trigger::Command, EXPOSED, Pass { fuse: true, emergency: true }).await;
    assert_eq!((taken.asked, taken.refused), (tenants, Vec::new()));
    let end = sim.now() + LONGEST;
    while sim.now() < end && !is_over(&sim) {
        sim.sleep(6 * HOUR).await;
        put_right(&sim).await;
        ask_again(&sim).await;
    }
    let memory = sim.world().stores[0].memory.clone();
    let entries = memory.read(None, 0).await.expect("it is in memory");
    let hosts = std::mem::take(&mut sim.world().hosts);
    drop(hosts);
    (sim, entries)
}

/// Whom a fault turned back has his request spent: he is asked for once more.
async fn ask_again(sim: &Arc<Sim>) {
    let tenants = sim.world().tenants.len();
    for tenant in 0..tenants {
        let engine = {
            let world = sim.world();
            let record =
                world.stores[0].lines.get(&world.policies[tenant].credential).map(|line| &line.record);
            let spent = record.is_some_and(|record| {
                record.phase() == Phase::Settled && record.succeeded_at.is_none() && record.asked.is_none()
            });
            world.hosts[0].engine.clone().filter(|_| spent)
        };
        if let Some(engine) = engine {
            let pass = Pass { fuse: true, emergency: true };
            let wish = Wish::Rotate { trigger: Trigger::Command, reason: EXPOSED.to_owned(), pass };
            ask(sim, tenant, &engine, wish).await;
        }
    }
}

fn is_over(sim: &Sim) -> bool {
    let world = sim.world();
    world.stores[0].lines.values().all(|line| {
        line.record.phase() == Phase::Halted
            || (line.record.phase() == Phase::Settled && line.record.succeeded_at.is_some())
    })
}

/// How many rotations were under way at once, from their admission to their proof.
fn most_at_once(entries: &[Entry]) -> usize {
    let (mut under_way, mut most): (BTreeSet<&CredentialId>, usize) = (BTreeSet::new(), 0);
    for entry in entries {
        match &entry.event {
            Event::Fleet(FleetEvent::Admitted { credential, .. }) => {
                under_way.insert(credential);
            }
            Event::Proven { .. } | Event::TurnedBack { .. } | Event::Halted(_) => {
                under_way.remove(&entry.credential);
            }
            _ => {}
        }
        most = most.max(under_way.len());
    }
    most
}
