//! Upgrades: a journal of every older schema is taken up by this release, which rotates nothing because of that.
//!
//! The journals in `tests/fixtures` are as an older release wrote them; `deploy/scripts/simulate` writes today's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rekeyd::domain::Timestamp;
use rekeyd::domain::event::Entry;
use rekeyd::domain::fleet::{Opening, Rules};
use rekeyd::domain::fold;
use rekeyd::domain::names::{KeyName, Role};
use rekeyd::domain::plan::rotation_due;
use rekeyd::domain::policy::{Policy, Provision};
use rekeyd::domain::record::Record;
use rekeyd::domain::stage::{Phase, Stage};
use rekeyd::domain::window::Window;
use rekeyd::journal::memory::MemoryJournal;
use rekeyd::metrics::Metrics;
use rekeyd::ports::{Draft, Journal};

use super::chance::Dice;
use super::consumer::{Manners, Pair};
use super::hosts::{Plant, keep_up};
use super::ports::spawn;
use super::run::runtime;
use super::sim::{Host, Sim, World, tenant_of};
use super::store::Line;
use super::story::{Draw, Rates, drawn_policy};
use super::tenant::{By, Maker, Tenant, place_of};
use super::time::{DAY, Timers, moment};

/// The journals of older releases, by the commit that wrote them: the first 572 entries of its seed 0xb6.
const JOURNALS: [(&str, &str); 1] = [("b821921", include_str!("../fixtures/journal-b821921.jsonl"))];

#[test]
fn an_upgrade_takes_every_older_journal_up_and_rotates_nothing() {
    for (release, text) in JOURNALS {
        let entries: Vec<Entry> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let records: Vec<Record> = fold::fold(&entries).unwrap().into_values().collect();
        let phases: BTreeSet<Phase> = records.iter().map(Record::phase).collect();
        assert!(records.len() >= 20 && phases.len() >= 3, "{release}: {} {phases:?}", records.len());
        let timers = Arc::new(Timers::starting_at(moment(entries.last().unwrap().at) + 1000));
        let begun = runtime(Arc::clone(&timers)).block_on(take_up(timers, &entries, &records));
        let expected: BTreeSet<usize> =
            records.iter().filter(|record| is_due(record, entries.last().unwrap().at)).map(number).collect();
        assert!(begun.is_subset(&expected), "{release}: {begun:?} began, {expected:?} were due");
        assert!(expected.len() * 2 < records.len(), "{release}: most are not due");
    }
}

fn number(record: &Record) -> usize {
    tenant_of(&record.credential)
}

fn policy(number: usize) -> Policy {
    let mut dice = Dice::new(1);
    Policy {
        window: Window::DEFAULT,
        spread: Duration::ZERO,
        soak: Duration::from_hours(48),
        retire_foreign: true,
        ..drawn_policy(&mut dice, Draw::First, number, Provision::WhenNeeded)
    }
}

/// Whether it would have begun a rotation within a day without any upgrade.
fn is_due(record: &Record, now: Timestamp) -> bool {
    let Stage::Settled { live } = &record.stage else { return false };
    let due = rotation_due(&policy(number(record)), live).ok().flatten();
    let soon = now + chrono::TimeDelta::days(1);
    record.halt.is_none() && (record.asked.is_some() || due.is_some_and(|due| due <= soon))
}

/// Runs this release on the journal for a day; answers who began to rotate.
async fn take_up(timers: Arc<Timers>, entries: &[Entry], records: &[Record]) -> BTreeSet<usize> {
    let rates = Rates { crash: 0, idle_crash: 0, pause: 0, meddle: 0, hostility: 0 };
    let rules = Rules { fuse_rotations: 1000, canary: false, ..Rules::default() };
    let mut world = World::empty(Dice::new(1), rates, rules);
    world.calm = true;
    world.hosts.push(Host::default());
    world.stores[0].memory = rewritten(entries).await;
    for record in records {
        let line = Line { record: record.clone(), proven: 0, delete_sent: 0, hold: 0 };
        world.stores[0].lines.insert(record.credential.clone(), line);
    }
    let known: BTreeMap<usize, &Record> = records.iter().map(|record| (number(record), record)).collect();
    for tenant in 0..=*known.keys().max().unwrap() {
        world.policies.push(Arc::new(policy(tenant)));
        world.maintenance.push(Arc::new(|_| Opening::Always));
        world.outages.push(Vec::new());
        world.tenants.push(peopled(tenant, known[&tenant]));
    }
    let periods = Arc::new(vec![(DAY / 4, 0); world.tenants.len()]);
    let sim = Sim::new(timers, world);
    let plant = Plant { sim: Arc::clone(&sim), metrics: Arc::new(Metrics::new()), concurrency: 8, periods };
    spawn(keep_up(plant, 0));
    sim.sleep(DAY).await;
    let world = sim.world();
    assert!(world.violations.is_empty(), "{:?}", world.violations);
    let begun = world.stores[0].lines.iter().filter(|(id, line)| {
        let before = known[&tenant_of(id)].rotation.as_ref().map(|rotation| &rotation.id);
        line.record.rotation.as_ref().map(|rotation| &rotation.id) != before
    });
    begun.map(|(id, _)| tenant_of(id)).collect()
}

/// The journal as this release stores it.
async fn rewritten(entries: &[Entry]) -> MemoryJournal {
    let memory = MemoryJournal::new();
    let mut last: BTreeMap<_, u64> = BTreeMap::new();
    for entry in entries {
        let tenant = &entry.credential.tenant;
        let lease = memory.acquire(tenant, "old", entry.at, Duration::from_secs(1)).await.unwrap().unwrap();
        let follows = last.get(&entry.credential).copied().unwrap_or(0);
        let draft =
            Draft { at: entry.at, credential: entry.credential.clone(), follows, event: entry.event.clone() };
        let written = memory.append(&lease, draft).await.unwrap();
        last.insert(entry.credential.clone(), written.sequence);
        memory.release(&lease).await.unwrap();
    }
    memory
}

/// The tenant whose keys are those that the journal names.
fn peopled(number: usize, record: &Record) -> Tenant {
    let mut tenant = Tenant::new(number, Manners::default(), [0, 0], Dice::new(7));
    let mut found = Vec::new();
    for place in [0, 1] {
        tenant.delete(place, By::Hand, 0, (0, 0), &mut found);
    }
    for (role, key) in record.stage.keys() {
        let wanted = place_of(&key.id.0);
        while tenant.keys.len() <= wanted {
            let place = tenant.add(Role::Ciapi, KeyName("nobody".to_owned()), Maker::Hand, 0);
            tenant.delete(place, By::Hand, 0, (0, 0), &mut found);
        }
        let ours = key.name.is_of(&record.credential);
        let entry = &mut tenant.keys[wanted];
        entry.name = key.name.clone();
        entry.role = role;
        entry.maker = if ours { Maker::Rekeyd } else { Maker::Hand };
        entry.created =
            key.created_at.map_or(0, |at| at.timestamp_millis() - super::time::stamp(0).timestamp_millis());
        entry.deleted = None;
        entry.delivered = true;
    }
    let newest = record.stage.newest();
    let place = |role| place_of(&newest[&role].id.0);
    tenant.consumer.held = Pair { ciapi: place(Role::Ciapi), cirt: place(Role::Cirt) };
    tenant.consumer.deployed = tenant.consumer.held;
    tenant.locked_out = false;
    tenant
}
