//! How many series a credential has, whatever becomes of it, and what calls for attention.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rekeyd::domain::after;
use rekeyd::domain::event::Wish;
use rekeyd::domain::names::{KeyName, Role};
use rekeyd::domain::observation::Looks;
use rekeyd::domain::record::Record;
use rekeyd::domain::stage::Phase;
use rekeyd::domain::view::View;
use rekeyd::metrics::{Detail, FULL, Metrics, SUMMARY};

use super::policy;
use super::world::{Manners, World};

/// What is told of the world's credential.
fn told(world: &mut World, metrics: &Metrics, detail: Detail) -> Vec<String> {
    let plan = world.plan();
    let observation = world.observe(Looks { keys: true, status: true, content: true });
    let view = View {
        credential: world.policy.credential.clone(),
        policy: Arc::new(world.policy.clone()),
        record: world.record.clone().map(Arc::new),
        observation: Some(Arc::new(observation)),
        checked_at: Some(world.now),
        reason: Some(plan.reason),
        next_look: Some(world.now),
        rested_at: Some(world.now),
        look: None,
        stopped: None,
        lease_held: true,
        lease_until: Some(world.now),
        next_tick: Some(world.now),
    };
    metrics.tell(detail);
    let text = String::from_utf8(metrics.render(&[view], None, world.now)).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn with(lines: &[String], label: &str) -> Vec<String> {
    lines.iter().filter(|line| line.contains(label)).cloned().collect()
}

/// Walks, looks at every step, and gives back the most series that were there.
fn most(world: &mut World, turns: usize, classes: &mut BTreeSet<String>) -> (usize, usize) {
    let metrics = Metrics::new();
    metrics.know_credential(&world.policy.credential);
    metrics.checked(&world.policy.credential.tenant, true);
    let mut most = (0, 0);
    for turn in 0..turns {
        world.turn();
        match turn % 40 {
            7 => drop(world.wish(Wish::Hold { until: None, reason: "a test".to_owned() })),
            11 => drop(world.wish(Wish::Unhold)),
            _ => {}
        }
        let full = told(world, &metrics, Detail::Full);
        let summary = told(world, &metrics, Detail::Summary);
        let of_credential = (with(&full, "credential=\""), with(&summary, "credential=\""));
        assert!(of_credential.0.len() <= FULL, "{:#?}", of_credential.0);
        assert!(of_credential.1.len() <= SUMMARY, "{:#?}", of_credential.1);
        most = (most.0.max(of_credential.0.len()), most.1.max(of_credential.1.len()));
        let tenant = |lines: &[String]| with(lines, "tenant=\"acme\"").len();
        assert!(tenant(&full) - of_credential.0.len() <= 9 && tenant(&summary) - of_credential.1.len() <= 5);
        let class = with(&summary, "rekeyd_credential_attention{");
        assert_eq!(class.len(), usize::from(world.record.is_some()), "exactly one calls for attention");
        classes.extend(
            class
                .iter()
                .map(|line| line.split("class=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()),
        );
        // The rules need both, or miss neither.
        for lines in [&full, &summary] {
            let phases = with(lines, "rekeyd_rotation_phase{");
            assert_eq!(phases.len(), usize::from(world.record.is_some()));
        }
    }
    most
}

#[test]
fn no_credential_has_more_series_than_it_may() {
    let mut classes = BTreeSet::new();
    let mut of_all = (0, 0);
    let odd = [
        Manners::default(),
        Manners { ignores_put: true, ..Manners::default() },
        Manners { fails: 1, ..Manners::default() },
        Manners { no_put: true, no_post: true, ..Manners::default() },
        Manners { stuck: true, ..Manners::default() },
        Manners { list_lag: 100, ..Manners::default() },
    ];
    for manners in odd {
        for (seed, fault) in [(1, 0), (2, 5)] {
            let mut world = World::new(policy(), seed, fault, manners);
            let (full, summary) = most(&mut world, 100, &mut classes);
            of_all = (of_all.0.max(full), of_all.1.max(summary));
        }
    }
    assert_eq!(of_all.1, SUMMARY, "the limit is no larger than it must be");
    assert!(classes.contains("none") && classes.contains("person"), "{classes:?}");
}

#[test]
fn a_second_soak_has_as_many_as_may_be() {
    let metrics = Metrics::new();
    let mut world = World::new(policy(), 1, 0, Manners::default());
    metrics.know_credential(&world.policy.credential);
    let until = |world: &mut World, test: &dyn Fn(&Record) -> bool| {
        let mut turns = 0..500;
        while !world.record.as_ref().is_some_and(test) {
            turns.next().expect("it comes to that");
            world.turn();
        }
    };
    let phase = |is: Phase| move |record: &Record| record.stage.phase() == is;
    until(&mut world, &|record| record.succeeded_at.is_some() && phase(Phase::Settled)(record));
    world.now = after(world.now, Duration::from_hours(24 * 350));
    until(&mut world, &phase(Phase::Soaking));
    let full = with(&told(&mut world, &metrics, Detail::Full), "credential=\"");
    let summary = with(&told(&mut world, &metrics, Detail::Summary), "credential=\"");
    assert_eq!((full.len(), summary.len()), (FULL, SUMMARY), "{full:#?}");
}

#[test]
fn the_most_pressing_is_told() {
    let metrics = Metrics::new();
    let mut world = World::new(policy(), 1, 0, Manners::default());
    let class = |world: &mut World| {
        let line = with(&told(world, &metrics, Detail::Summary), "rekeyd_credential_attention{").concat();
        line.split("class=\"").nth(1).map(|rest| rest.split('"').next().unwrap().to_owned())
    };
    while world.record.is_none() {
        world.turn();
    }
    let (now, credential) = (world.now, world.policy.credential.clone());
    assert_eq!(class(&mut world).as_deref(), Some("none"));
    world.add(Role::Cirt, KeyName("somebody's".to_owned()), now);
    assert_eq!(class(&mut world).as_deref(), Some("unmanaged"));
    world.add(Role::Cirt, KeyName::ours(Role::Cirt, 99, &credential, 7), now);
    assert_ne!(class(&mut world).as_deref(), Some("unmanaged"), "what is more pressing comes first");
}
