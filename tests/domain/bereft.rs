//! Keys in use that go while a rotation rests on them, and steps that fail for ever: both end in a halt that ends.

use std::time::Duration;

use rekeyd::domain::after;
use rekeyd::domain::event::{Event, Wish};
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::key::KeySet;
use rekeyd::domain::names::{KeyName, Role};
use rekeyd::domain::plan::Step;
use rekeyd::domain::stage::Phase;

use super::policy;
use super::walk::{is_settled_again, phase, timeline, walk};
use super::world::{Manners, World};

fn reason(world: &World) -> Option<HaltReason> {
    world.record.as_ref()?.halt.as_ref().map(|halt| halt.reason.clone())
}

/// Somebody deletes the fresh `cirt` key.
fn bereave(world: &mut World) {
    let gone = world.record.as_ref().unwrap().stage.in_use()[&Role::Cirt].id.clone();
    world.keys.get_mut(&Role::Cirt).unwrap().retain(|seen| seen.key.id != gone);
    world.now = after(world.now, Duration::from_mins(2));
}

/// A person makes one new key per role, enters the pair, and deletes all others.
fn start_over_by_hand(world: &mut World) {
    world.keys.clear();
    let now = world.now;
    for role in Role::PAIR {
        let id = world.add(role, KeyName(format!("by-hand-{role}")), now);
        world.held.insert(role, id);
    }
}

#[test]
fn a_key_in_use_that_goes_after_the_proof_halts_and_confirm_takes_what_a_person_put_there() {
    for wanted in [Phase::Soaking, Phase::Retiring] {
        let mut world = World::new(policy(), 1, 0, Manners::default());
        assert!(walk(&mut world, 400, |world, _| phase(world) == Some(wanted)), "{}", timeline(&world));
        let deletes = world.deletes.len();
        bereave(&mut world);
        for _ in 0..40 {
            world.turn();
        }
        let halt = reason(&world);
        assert!(matches!(halt, Some(HaltReason::LiveKeyGone { .. })), "{wanted}: {halt:?}");
        assert_eq!(world.deletes.len(), deletes, "{wanted}");
        start_over_by_hand(&mut world);
        world.wish(Wish::Confirm).unwrap();
        for _ in 0..5 {
            world.turn();
        }
        let record = world.record.clone().unwrap();
        assert_eq!(record.phase(), Phase::Settled, "{wanted}: {}", timeline(&world));
        let names = |set: &KeySet| set.values().map(|key| key.name.0.clone()).collect::<Vec<_>>();
        assert_eq!(names(record.stage.in_use()), ["by-hand-ciapi", "by-hand-cirt"]);
        // The next rotation is one like any other.
        world.now = after(world.now, Duration::from_hours(340 * 24));
        assert!(walk(&mut world, 600, |world, _| is_settled_again(world)), "{}", timeline(&world));
        assert!(world.record.as_ref().unwrap().outcome.as_ref().unwrap().turned_back.is_none());
    }
}

/// A person makes a new pair, enters it, and says so.
fn confirm_ends_it(world: &mut World) {
    start_over_by_hand(world);
    world.wish(Wish::Confirm).unwrap();
    for _ in 0..5 {
        world.turn();
    }
    assert_eq!(phase(world), Some(Phase::Settled), "{}", timeline(world));
}

#[test]
fn a_key_in_use_that_goes_while_the_fresh_ones_are_compared_with_it_halts() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Testing)), "{}", timeline(&world));
    bereave(&mut world);
    for _ in 0..10 {
        world.turn();
    }
    assert!(matches!(reason(&world), Some(HaltReason::LiveKeyGone { .. })), "{}", timeline(&world));
    assert!(world.deletes.is_empty(), "the fresh keys stay: the consumer may have been given one of them");
    confirm_ends_it(&mut world);
}

#[test]
fn a_fresh_key_that_goes_before_it_is_tested_turns_back() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Testing)), "{}", timeline(&world));
    let fresh = world.record.as_ref().unwrap().stage.newest()[&Role::Cirt].id.clone();
    world.keys.get_mut(&Role::Cirt).unwrap().retain(|seen| seen.key.id != fresh);
    assert!(walk(&mut world, 20, |world, _| phase(world) == Some(Phase::Restoring)), "{}", timeline(&world));
    assert!(walk(&mut world, 600, |world, _| is_settled_again(world)), "{}", timeline(&world));
}

#[test]
fn a_key_that_cannot_be_put_back_because_it_is_gone_halts_and_confirm_ends_that() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Soaking)), "{}", timeline(&world));
    world.wish(Wish::Restore { reason: "test".to_owned() }).unwrap();
    world.turn();
    assert_eq!(phase(&world), Some(Phase::Restoring));
    bereave(&mut world);
    for _ in 0..5 {
        world.turn();
    }
    assert!(matches!(reason(&world), Some(HaltReason::LiveKeyGone { .. })), "{}", timeline(&world));
    confirm_ends_it(&mut world);
}

#[test]
fn a_step_that_fails_long_after_its_stage_should_be_over_halts() {
    for wanted in [Phase::Provisioning, Phase::Soaking, Phase::Retiring] {
        let mut world = World::new(policy(), 1, 0, Manners::default());
        assert!(walk(&mut world, 400, |world, _| phase(world) == Some(wanted)), "{}", timeline(&world));
        for _ in 0..world.policy.limits.attempts {
            let failure = Failure::new(Class::Conflict, "there is no such key");
            let retry_at = world.now;
            world.write(Event::StepFailed { step: "renew".to_owned(), failure, retry_at });
        }
        let halts = |world: &mut World| {
            let step = world.plan().step;
            matches!(step, Step::Note(Event::Halted(HaltReason::AttemptsExhausted { .. })))
        };
        assert!(!halts(&mut world), "{wanted}: what may pass is waited for");
        world.now = after(world.now, Duration::from_hours(24 * 30));
        assert!(halts(&mut world), "{wanted}");
    }
}

#[test]
fn a_person_who_onboards_brings_the_proof_about() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Retiring)), "{}", timeline(&world));
    // It was asked to provision, so the proof by exclusion is needed; now the endpoint is gone.
    world.manners.no_post = true;
    let halted = |world: &World| reason(world) == Some(HaltReason::Indeterminate);
    assert!(walk(&mut world, 400, |world, _| halted(world)), "{}", timeline(&world));
    assert_eq!(world.deletes.len(), 1, "the `cirt` key is kept");
    world.wish(Wish::Resume).unwrap();
    for _ in 0..6 {
        world.turn();
    }
    world.deployed_at = world.now;
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!(world.deletes.len(), 2);
}
