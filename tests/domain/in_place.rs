//! A secret that is reset in place: the one in use dies with the making of the fresh one, so there is only forward.

use proptest::prelude::*;
use rekeyd::domain::event::{Trigger, Wish};
use rekeyd::domain::evidence::Watch;
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::fleet::Pass;
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::names::{KeyName, Role};
use rekeyd::domain::plan::{Plan, Step};
use rekeyd::domain::policy::{Pin, Policy, Witness};
use rekeyd::domain::stage::{Phase, Stage};

use super::policy;
use super::walk::{count, is_settled_again, phase, timeline};
use super::world::script::How;
use super::world::{Manners, World};

fn in_place() -> Policy {
    Policy { pin: Pin { in_place: true, ..policy().pin }, ..policy() }
}

fn world(manners: Manners) -> World {
    World::new(in_place(), 1, 0, manners)
}

/// What holds after every step: nothing is deleted, nothing turns back once a reset may have had its effect, and the one
/// secret there is of each role is known to the rotation.
fn check(world: &World) {
    assert!(world.deletes.is_empty(), "rekeyd deletes nothing\n{}", timeline(world));
    for (role, keys) in &world.keys {
        assert_eq!(keys.len(), 1, "one secret per role, `{role}`\n{}", timeline(world));
    }
    let Some(record) = &world.record else { return };
    if matches!(record.stage, Stage::Restoring { .. }) {
        assert_eq!(world.creates, 0, "there is no way back\n{}", timeline(world));
    }
    let known = |id| record.stage.keys().iter().any(|(_, key)| key.id == id) || is_creating(world);
    for seen in world.keys.values().flatten() {
        assert!(known(seen.key.id.clone()), "`{}` is lost\n{}", seen.key.name, timeline(world));
    }
}

fn is_creating(world: &World) -> bool {
    world.record.as_ref().is_some_and(|record| matches!(record.stage, Stage::Creating { .. }))
}

fn walk(world: &mut World, turns: usize, mut done: impl FnMut(&World, &Plan) -> bool) -> bool {
    (0..turns).any(|_| {
        let plan = world.turn();
        check(world);
        done(world, &plan)
    })
}

fn ask(world: &mut World) {
    let reason = "the secret is known to others".to_owned();
    world.wish(Wish::Rotate { trigger: Trigger::Command, reason, pass: Pass::default() }).unwrap();
}

fn reason(world: &World) -> Option<HaltReason> {
    world.record.as_ref()?.halt.as_ref().map(|halt| halt.reason.clone())
}

#[test]
fn a_due_secret_is_reset_given_on_and_watched() {
    let mut world = world(Manners::default());
    let first = world.held.clone();
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
    let record = world.record.clone().unwrap();
    assert_ne!(world.held, first);
    let live: Vec<_> = record.stage.in_use().values().map(|key| &key.id).collect();
    assert_eq!(live, world.held.values().collect::<Vec<_>>());
    assert_eq!((world.creates, count(&world, "proven"), record.cycles), (2, 1, 0));
    assert!(count(&world, "renewed") > 0, "it was watched after the proof");
    assert_eq!((count(&world, "retire-begun"), count(&world, "gone"), count(&world, "left")), (1, 0, 0));
}

#[test]
fn nobody_goes_back_to_a_secret_that_is_dead() {
    let mut world = world(Manners::default());
    let asks = |world: &mut World| world.wish(Wish::Restore { reason: "a test".to_owned() });
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Provisioning)));
    assert!(asks(&mut world).unwrap_err().contains("no way back"));
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Soaking)));
    assert!(asks(&mut world).unwrap_err().contains("no way back"));
}

#[test]
fn a_reset_by_schedule_waits_for_a_consumer_that_works() {
    let mut world = world(Manners { unseen: true, ..Manners::default() });
    walk(&mut world, 30, |_, _| false);
    assert_eq!(world.creates, 0, "{}", timeline(&world));
    world.manners.unseen = false;
    world.verdict = rekeyd::domain::observation::Verdict::Error;
    walk(&mut world, 30, |_, _| false);
    let plan = world.plan();
    assert_eq!((world.creates, plan.reason.code), (0, "in-place"), "{}", timeline(&world));
    assert!(plan.reason.person.unwrap().contains("rekeyd rotate acme/dataplane"));
    // A person may have a reason to: the secret may be known to others, or dead already.
    ask(&mut world);
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
}

#[test]
fn where_a_person_puts_it_in_place_only_a_person_begins() {
    let witness = Witness::Person { instruction: "enter it".to_owned() };
    let policy = Policy { witness, ..in_place() };
    let mut world = World::new(policy, 1, 0, Manners { silent: true, ..Manners::default() });
    walk(&mut world, 30, |_, _| false);
    let plan = world.plan();
    assert_eq!((world.creates, plan.reason.code), (0, "in-place"), "{}", timeline(&world));
    ask(&mut world);
    let waits =
        |world: &World, plan: &Plan| world.creates == 2 && plan.step == Step::Rest && is_handed(world);
    assert!(walk(&mut world, 100, waits), "{}", timeline(&world));
    let told = world.plan().reason.person.unwrap();
    assert!(told.contains("enter it") && !told.contains("rekeyd restore"), "{told}");
    // Nobody does it: that ends in a halt, which a confirmation ends.
    assert!(walk(&mut world, 9000, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    assert!(matches!(reason(&world), Some(HaltReason::NoWayBack { .. })), "{}", timeline(&world));
    world.wish(Wish::Confirm).unwrap();
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
}

fn is_handed(world: &World) -> bool {
    world.record.as_ref().is_some_and(|record| record.stage.watch().is_some_and(Watch::awaits_person))
}

#[test]
fn a_consumer_that_fails_with_it_halts_and_is_given_it_again() {
    let mut world = world(Manners { fails: 1, ..Manners::default() });
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    assert!(matches!(reason(&world), Some(HaltReason::NoWayBack { .. })), "{:?}", reason(&world));
    assert!(world.wish(Wish::Confirm).is_err(), "nothing was handed to anybody");
    let delivered = count(&world, "delivered");
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!((count(&world, "delivered"), world.creates), (delivered + 1, 2));
}

#[test]
fn what_was_never_sent_is_given_up_without_a_trace() {
    let mut world = world(Manners::default());
    assert!(walk(&mut world, 50, |world, _| is_creating(world)));
    world.manners.issuer_down = true;
    // The limit of the stage goes by with nothing sent.
    world.now = rekeyd::domain::after(world.now, world.policy.limits.stage_time * 2);
    world.manners.issuer_down = false;
    assert!(walk(&mut world, 50, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!((world.creates, count(&world, "turned-back")), (0, 1));
}

#[test]
fn what_a_person_was_to_reset_and_did_not_is_given_up() {
    let mut world = world(Manners::default());
    let by_hand = Failure::new(Class::NotFound, "reset it in the portal");
    world.script.plan("create", 0, u32::MAX, How::Refused(by_hand));
    assert!(walk(&mut world, 90_000, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!((world.creates, count(&world, "turned-back")), (0, 1));
    assert!(count(&world, "halted") == 0, "{}", timeline(&world));
}

#[test]
fn a_reset_that_is_refused_for_good_halts_and_says_so() {
    let mut world = world(Manners::default());
    let refused = Failure::new(Class::Forbidden, "the technical user belongs to the provider");
    world.script.plan("create", 0, u32::MAX, How::Refused(refused));
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    let why = reason(&world).unwrap().to_string();
    assert!(why.contains("belongs to the provider"), "{why}");
    world.script.troubles.clear();
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
}

#[test]
fn a_reset_by_hand_meanwhile_halts_and_confirm_takes_what_is_there() {
    for wanted in [Phase::Testing, Phase::Delivering, Phase::Provisioning, Phase::Soaking, Phase::Settled] {
        let mut world = world(Manners::default());
        let reached = |world: &World| {
            phase(world) == Some(wanted) && (wanted != Phase::Settled || is_settled_again(world))
        };
        assert!(walk(&mut world, 400, |world, _| reached(world)), "{wanted}");
        world.keys.clear();
        world.now = rekeyd::domain::after(world.now, world.policy.lag);
        for role in Role::PAIR {
            let now = world.now;
            let id = world.add(role, KeyName(format!("by-hand-{role}")), now);
            world.held.insert(role, id);
        }
        for _ in 0..60 {
            world.turn();
        }
        assert!(
            matches!(reason(&world), Some(HaltReason::LiveKeyGone { .. })),
            "{wanted}: {:?}\n{}",
            reason(&world),
            timeline(&world)
        );
        world.wish(Wish::Confirm).unwrap();
        assert!(walk(&mut world, 50, |world, _| phase(world) == Some(Phase::Settled)), "{wanted}");
        let live: Vec<_> =
            world.record.as_ref().unwrap().stage.in_use().values().map(|key| key.id.clone()).collect();
        assert_eq!(live, world.held.values().cloned().collect::<Vec<_>>(), "{wanted}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// With faults, crashes and people anywhere: no secret is lost, nothing turns back, and it ends.
    #[test]
    fn it_goes_forward_whatever_happens(seed: u64, fault in 3_u64..12, fails in 0_u32..3) {
        let mut world = World::new(in_place(), seed, fault, Manners { fails, ..Manners::default() });
        let mut settled = false;
        for _ in 0..4000 {
            world.turn();
            check(&world);
            if world.dice.one_in(17) {
                world.crash();
            }
            if world.dice.one_in(40) {
                let _ = world.wish(Wish::Restore { reason: "a test".to_owned() });
            }
            if world.dice.one_in(60) {
                let _ = world.wish(Wish::Rotate {
                    trigger: Trigger::Command, reason: "a test".to_owned(), pass: Pass::default(),
                });
            }
            if phase(&world) == Some(Phase::Halted) {
                world.wish(Wish::Resume).unwrap();
            }
            if is_settled_again(&world) && world.creates > 1 {
                settled = true;
                break;
            }
        }
        prop_assert!(settled, "{}", timeline(&world));
        let live: Vec<_> = world.record.as_ref().unwrap().stage.in_use().values().map(|key| key.id.clone()).collect();
        let held: Vec<_> = world.held.values().cloned().collect();
        prop_assert_eq!(live, held, "{}", timeline(&world));
    }
}
