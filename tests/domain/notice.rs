//! What people elsewhere are told.

use std::time::Duration;

use rekeyd::domain::event::Wish;
use rekeyd::domain::notice::{DUE_SOON, Notice, Severity, Teller, standing};
use rekeyd::domain::stage::Phase;
use rekeyd::domain::view::View;
use rekeyd::domain::{after, before};

use super::walk::{is_settled_again, phase, timeline, walk};
use super::world::{Manners, World};
use super::{credential, policy};

fn told(world: &World) -> Vec<Notice> {
    let mut teller = Teller::default();
    world.journal.iter().filter_map(|entry| teller.of(entry)).collect()
}

fn kinds(world: &World) -> Vec<&'static str> {
    told(world).iter().map(|notice| notice.kind).collect()
}

#[test]
fn a_rotation_that_goes_well_is_one_notice() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| is_settled_again(world)));
    let told = told(&world);
    assert_eq!(kinds(&world), ["rotated"]);
    assert_eq!((told[0].severity, &told[0].command), (Severity::Notice, &None));
    assert!(told[0].text.starts_with("`acme/dataplane`: rotated"), "{}", told[0].text);
    assert_eq!(told[0].credential, Some(credential()));
}

#[test]
fn the_way_back_is_a_failure_and_then_the_old_keys() {
    let mut world = World::new(policy(), 1, 0, Manners { fails: 1, ..Manners::default() });
    assert!(walk(&mut world, 300, |world, _| is_settled_again(world)));
    assert_eq!(kinds(&world), ["failed", "restored"], "{}", timeline(&world));
    // The next one goes well, and is told as such.
    assert!(walk(&mut world, 400, |world, _| kinds(world).len() == 3));
    assert_eq!(kinds(&world)[2], "rotated");
}

#[test]
fn a_halt_names_the_command() {
    let manners = Manners { ignores_put: true, ..Manners::default() };
    let mut world = World::new(policy(), 1, 0, manners);
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Halted)));
    let told = told(&world);
    let last = told.last().unwrap();
    assert_eq!((last.kind, last.severity), ("halted", Severity::Critical));
    assert_eq!(last.command.as_deref(), Some("rekeyd explain acme/dataplane"));
    world.wish(Wish::Resume).unwrap();
    let ids: std::collections::BTreeSet<_> = told.iter().map(|notice| &notice.id).collect();
    assert_eq!(ids.len(), told.len(), "each has an id of its own");
}

/// A world whose keys have just been made.
fn young() -> World {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    for key in world.keys.values_mut().flatten() {
        key.key.created_at = Some(world.now);
    }
    world
}

fn view(world: &mut World) -> View {
    walk(world, 3, |_, _| false);
    let looks = rekeyd::domain::observation::Looks { keys: true, status: false, content: false };
    View {
        credential: credential(),
        policy: world.policy.clone().into(),
        observation: Some(world.observe(looks).into()),
        record: world.record.clone().map(Into::into),
        checked_at: None,
        reason: None,
        next_look: None,
        rested_at: None,
        look: None,
        stopped: None,
        lease_held: true,
        lease_until: None,
        next_tick: None,
    }
}

#[test]
fn what_is_due_soon_is_told_a_week_before_under_one_name() {
    let mut world = young();
    let view = view(&mut world);
    let due = rekeyd::domain::plan::rotation_due(&world.policy, view.record.as_ref().unwrap().stage.in_use());
    let due = due.unwrap().unwrap();
    let soon = before(due, DUE_SOON);
    assert!(standing(&view, before(soon, Duration::from_secs(1))).is_empty());
    let told = standing(&view, soon);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].kind, told[0].severity), ("due-soon", Severity::Notice));
    assert_eq!(standing(&view, after(soon, Duration::from_hours(1)))[0].id, told[0].id);
}

#[test]
fn a_key_that_nobody_manages_is_told_when_it_ages() {
    let mut world = young();
    let now = world.now;
    let mut view = view(&mut world);
    let created = before(now, Duration::from_hours(24 * 340));
    world.add(
        rekeyd::domain::names::Role::Cirt,
        rekeyd::domain::names::KeyName("of-somebody".to_owned()),
        created,
    );
    let looks = rekeyd::domain::observation::Looks { keys: true, status: false, content: false };
    view.observation = Some(world.observe(looks).into());
    let told = standing(&view, now);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].kind, "unmanaged");
    assert!(told[0].text.contains("`of-somebody`"), "{}", told[0].text);
    assert!(standing(&view, before(now, Duration::from_hours(24 * 60))).is_empty(), "not while it is young");
}
