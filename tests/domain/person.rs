//! A consumer that says nothing: a person puts the one key in place, and says that it works.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use rekeyd::domain::after;
use rekeyd::domain::event::{Event, Wish};
use rekeyd::domain::evidence::Basis;
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::key::KeySet;
use rekeyd::domain::names::Role;
use rekeyd::domain::plan::{Plan, Step};
use rekeyd::domain::policy::{Pin, Policy, Provision, Witness};
use rekeyd::domain::stage::{Phase, Stage};

use super::policy;
use super::walk::{count, is_settled_again, phase, timeline};
use super::world::{Manners, World};

const DEADLINE: Duration = Duration::from_hours(7 * 24);

fn by_hand() -> Policy {
    let pin = Pin { places: BTreeMap::from([(Role::Sole, "one".to_owned())]), ..policy().pin };
    Policy {
        roles: vec![Role::Sole],
        witness: Witness::Person { instruction: "upload it".to_owned() },
        provision: Provision::Never,
        settle: Duration::ZERO,
        deadline: DEADLINE,
        pin,
        ..policy()
    }
}

fn world(seed: u64, fault: u64) -> World {
    World::new(by_hand(), seed, fault, Manners { silent: true, ..Manners::default() })
}

/// What the consumer holds exists, whatever happens, and at most two generations live.
fn check(world: &World) {
    let held = &world.held[&Role::Sole];
    assert!(world.exists(held), "the key in place is gone: `{held}`\n{}", timeline(world));
    assert!(world.keys[&Role::Sole].len() <= 3, "{}", timeline(world));
}

fn walk(world: &mut World, turns: usize, mut done: impl FnMut(&World, &Plan) -> bool) -> bool {
    (0..turns).any(|_| {
        let plan = world.turn();
        check(world);
        done(world, &plan)
    })
}

/// The set that a person is to put in place now.
fn handed(world: &World) -> Option<KeySet> {
    let stage = &world.record.as_ref()?.stage;
    let set = match stage {
        Stage::Provisioning { fresh, .. } => fresh,
        Stage::Restoring { live, .. } => live,
        _ => return None,
    };
    stage.watch().filter(|watch| watch.awaits_person()).map(|_| set.clone())
}

/// A person does as asked, and says so.
fn obey(world: &mut World) {
    let set = handed(world).expect("a person is waited for");
    world.held = set.iter().map(|(role, key)| (*role, key.id.clone())).collect();
    world.wish(Wish::Confirm).unwrap();
}

fn waits(world: &mut World) {
    assert!(
        walk(world, 100, |world, plan| handed(world).is_some() && plan.step == Step::Rest),
        "{}",
        timeline(world)
    );
}

#[test]
fn nothing_goes_until_a_person_says_that_the_key_is_in_place() {
    let mut world = world(1, 0);
    assert!(world.wish(Wish::Confirm).is_err(), "there is nothing to confirm yet");
    waits(&mut world);
    let plan = world.plan();
    let person = plan.reason.person.unwrap();
    assert!(person.contains("upload it") && person.contains("rekeyd confirm acme/dataplane"), "{person}");
    walk(&mut world, 100, |_, _| false);
    assert_eq!((world.deletes.len(), count(&world, "handed-over")), (0, 1), "{}", timeline(&world));
    obey(&mut world);
    assert!(world.wish(Wish::Confirm).is_err(), "once is enough");
    assert!(walk(&mut world, 200, |world, _| is_settled_again(world)), "{}", timeline(&world));
    let proven = world.journal.iter().find_map(|entry| match &entry.event {
        Event::Proven { evidence } => Some(evidence.basis),
        _ => None,
    });
    assert_eq!(proven, Some(Basis::Person));
    assert_eq!((world.deletes.len(), world.keys[&Role::Sole].len()), (1, 1));
}

#[test]
fn what_nobody_does_ends_in_a_halt_that_says_what_to_do() {
    let mut world = world(1, 0);
    waits(&mut world);
    let since = world.now;
    assert!(walk(&mut world, 5000, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    assert!(world.now >= after(since, DEADLINE));
    let halt = world.record.as_ref().unwrap().halt.clone().unwrap().reason;
    assert!(matches!(&halt, HaltReason::HandOver { keys } if keys.len() == 1), "{halt:?}");
    assert!(world.deletes.is_empty());
    // Who resumes without having done it is waited for once more.
    world.wish(Wish::Resume).unwrap();
    waits(&mut world);
    obey(&mut world);
    assert!(walk(&mut world, 200, |world, _| is_settled_again(world)), "{}", timeline(&world));
}

#[test]
fn a_confirmation_ends_the_halt_as_well() {
    let mut world = world(1, 0);
    waits(&mut world);
    assert!(walk(&mut world, 5000, |world, _| phase(world) == Some(Phase::Halted)));
    obey(&mut world);
    assert!(walk(&mut world, 200, |world, _| is_settled_again(world)), "{}", timeline(&world));
}

#[test]
fn the_way_back_takes_a_person_too() {
    let mut world = world(1, 0);
    let first = world.held.clone();
    waits(&mut world);
    world.wish(Wish::Restore { reason: "it does not work".to_owned() }).unwrap();
    assert!(walk(&mut world, 50, |world, _| phase(world) == Some(Phase::Restoring)));
    waits(&mut world);
    assert!(world.deletes.is_empty(), "the fresh key may be in place: it stays");
    obey(&mut world);
    assert!(walk(&mut world, 200, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!(world.held, first);
}

#[test]
fn a_key_that_is_refused_is_no_proof_whatever_a_person_says() {
    let thorough = Policy { proofs: 3, proof_span: Duration::from_mins(2), ..by_hand() };
    let mut world = World::new(thorough, 1, 0, Manners { silent: true, ..Manners::default() });
    waits(&mut world);
    world.wish(Wish::Confirm).unwrap();
    let refused =
        rekeyd::domain::failure::Failure::new(rekeyd::domain::failure::Class::Unauthorized, "invalid_client");
    world.script.plan("confirm", 0, u32::MAX, super::world::script::How::Refused(refused));
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Restoring)), "{}", timeline(&world));
    assert_eq!(count(&world, "proven"), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// With faults and crashes anywhere, what the person has put in place exists, and it ends.
    #[test]
    fn what_is_in_place_is_never_retired(seed: u64, fault in 3_u64..12, diligent in 1_u64..40) {
        let mut world = world(seed, fault);
        let mut settled = false;
        for turn in 0..3000 {
            world.turn();
            check(&world);
            if world.dice.one_in(17) {
                world.crash();
            }
            if handed(&world).is_some() && world.dice.one_in(diligent) {
                obey(&mut world);
            } else if handed(&world).is_some() && world.dice.one_in(200) {
                let _ = world.wish(Wish::Restore { reason: "a test".to_owned() });
            }
            if phase(&world) == Some(Phase::Halted) {
                world.wish(Wish::Resume).unwrap();
            }
            if is_settled_again(&world) && turn > 50 {
                settled = true;
                break;
            }
        }
        prop_assert!(settled, "{}", timeline(&world));
    }
}
