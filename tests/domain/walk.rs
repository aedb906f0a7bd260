//! Whole rotations, and what holds at every step of them.

use std::time::Duration;

use proptest::prelude::*;
use rekeyd::domain::after;
use rekeyd::domain::event::{Event, Trigger, Wish};
use rekeyd::domain::evidence::{Baseline, Grade};
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::fleet::Pass;
use rekeyd::domain::fold;
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::key::KeySet;
use rekeyd::domain::names::{KeyName, Role};
use rekeyd::domain::observation::{Looks, Seen, Verdict};
use rekeyd::domain::plan::{self, NextLook, Plan, Step};
use rekeyd::domain::policy::{Policy, Provision};
use rekeyd::domain::record::{Asking, Record, Trouble};
use rekeyd::domain::stage::{Phase, Stage};

use super::policy;
use super::world::script::How;
use super::world::{Manners, World};

/// What holds after every step, whatever happens.
fn check(world: &World) {
    let record = world.record.as_ref();
    let may_hold = record.map(|record| record.stage.may_hold()).unwrap_or_default();
    for id in may_hold {
        assert!(world.exists(id), "a key the consumer may hold exists: `{id}` does not\n{}", timeline(world));
    }
    let cirt = &world.held[&Role::Cirt];
    assert!(world.exists(cirt), "data transfer works: `{cirt}` is gone\n{}", timeline(world));
    if !world.manners.ignores_put {
        let ciapi = &world.held[&Role::Ciapi];
        assert!(world.exists(ciapi), "deployments work: `{ciapi}` is gone\n{}", timeline(world));
    }
    for (role, keys) in &world.keys {
        assert!(keys.len() <= 3, "at most three `{role}` keys live\n{}", timeline(world));
    }
}

pub(crate) fn timeline(world: &World) -> String {
    let lines = world
        .journal
        .iter()
        .map(|entry| format!("{} {}", entry.at, rekeyd::domain::story::tell(&entry.event)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Walks until `done` or so many turns; checks every step.
pub(crate) fn walk(world: &mut World, turns: usize, mut done: impl FnMut(&World, &Plan) -> bool) -> bool {
    for _ in 0..turns {
        let plan = world.turn();
        check(world);
        if done(world, &plan) {
            return true;
        }
    }
    false
}

pub(crate) fn phase(world: &World) -> Option<Phase> {
    world.record.as_ref().map(rekeyd::domain::record::Record::phase)
}

pub(crate) fn count(world: &World, name: &str) -> usize {
    world.journal.iter().filter(|entry| entry.event.name() == name).count()
}

pub(crate) fn is_settled_again(world: &World) -> bool {
    count(world, "completed") > 0 && phase(world) == Some(Phase::Settled)
}

#[test]
fn a_due_credential_goes_all_the_way_round() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| is_settled_again(world)), "{}", timeline(&world));
    let record = world.record.as_ref().unwrap();
    assert_eq!((record.generation, record.cycles, record.grade), (1, 0, Grade::Excluded));
    assert_eq!(world.creates, 2);
    assert_eq!(world.deletes.len(), 2);
    assert!(world.deletes[0].0.starts_with("ciapi"), "least harm first");
    let order: Vec<&str> = world.journal.iter().map(|entry| entry.event.name()).collect();
    let expected = [
        "adopted",
        "begun",
        "create-sent",
        "made",
        "create-sent",
        "made",
        "tested",
        "tested",
        "ready",
        "delivered",
        "provision-sent",
        "provisioned",
        "moving",
        "proven",
    ];
    assert_eq!(&order[..expected.len()], expected);
    // The old ciapi goes on grade 4 and the soak, the old cirt only on grade 5.
    let (mut grade, mut grades) = (Grade::Nothing, Vec::new());
    for entry in &world.journal {
        match &entry.event {
            Event::Proven { evidence } => grade = evidence.grade,
            Event::DeleteSent { .. } => grades.push(grade),
            _ => {}
        }
    }
    assert_eq!(grades, [Grade::Acted, Grade::Excluded]);
}

#[test]
fn nothing_due_does_nothing() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    for key in world.keys.values_mut().flatten() {
        key.key.created_at = Some(world.now);
    }
    walk(&mut world, 300, |_, _| false);
    assert_eq!(world.journal.len(), 1, "{}", timeline(&world));
    assert_eq!(world.creates, 0);
}

#[test]
fn an_unknown_age_is_never_due() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    world.keys.get_mut(&Role::Cirt).unwrap()[0].key.created_at = None;
    walk(&mut world, 100, |_, _| false);
    assert_eq!(world.creates, 0);
    let plan = world.plan();
    assert_eq!(plan.reason.code, "age-unknown");
    assert!(plan.reason.person.is_some());
}

#[test]
fn a_consumer_that_ignores_the_delivery_ends_in_a_halt_and_keeps_its_cirt() {
    let manners = Manners { ignores_put: true, ..Manners::default() };
    let mut world = World::new(policy(), 1, 0, manners);
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    let halt = world.record.as_ref().unwrap().halt.clone().unwrap();
    assert!(matches!(halt.reason, HaltReason::ExclusionFailed { .. }), "{halt:?}");
    assert_eq!(world.deletes.len(), 1, "only the first ciapi is lost");
    // It stays halted.
    walk(&mut world, 50, |_, _| false);
    assert_eq!(world.deletes.len(), 1);
    // A person enters the keys by hand and resumes.
    let fresh: KeySet = world.record.as_ref().unwrap().stage.in_use().clone();
    world.held = fresh.iter().map(|(role, key)| (*role, key.id.clone())).collect();
    world.manners.ignores_put = false;
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 200, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!(world.deletes.len(), 2);
}

#[test]
fn a_consumer_that_fails_gets_the_old_keys_back() {
    let mut world = World::new(policy(), 1, 0, Manners { fails: 1, ..Manners::default() });
    let first = world.held.clone();
    assert!(walk(&mut world, 300, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!(world.held, first, "the old keys are back");
    let record = world.record.clone().unwrap();
    assert_eq!(record.cycles, 1);
    assert!(record.outcome.unwrap().turned_back.is_some());
    // The next cycle succeeds.
    assert!(walk(&mut world, 400, |world, _| count(world, "completed") == 2), "{}", timeline(&world));
    assert_ne!(world.held, first);
    assert_eq!(world.record.as_ref().unwrap().cycles, 0);
    assert!(world.keys.values().all(|keys| keys.len() == 1), "nothing is left over");
}

#[test]
fn a_consumer_that_always_fails_halts_with_its_old_keys() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    let first = world.held.clone();
    let mut halted = false;
    for _ in 0..3000 {
        let forward = world.record.as_ref().is_some_and(|record| record.stage.phase() == Phase::Provisioning);
        world.manners.fails = u32::from(forward);
        world.turn();
        check(&world);
        if phase(&world) == Some(Phase::Halted) {
            halted = true;
            break;
        }
    }
    assert!(halted, "{}", timeline(&world));
    assert!(matches!(
        world.record.as_ref().unwrap().halt.as_ref().unwrap().reason,
        HaltReason::CyclesExhausted { cycles: 3, .. }
    ));
    assert_eq!(world.held, first);
    assert!(world.creates <= 6);
}

#[test]
fn no_endpoint_is_a_manual_update_and_confirm_ends_it() {
    let mut world = World::new(policy(), 1, 0, Manners { no_put: true, no_post: true, ..Manners::default() });
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    let record = world.record.clone().unwrap();
    let reason = record.halt.unwrap().reason;
    let HaltReason::ManualDelivery { keys } = &reason else { panic!("{reason:?}") };
    assert_eq!(keys.len(), 2);
    assert!(reason.remedy(&world.policy.credential).contains("rekeyd confirm acme/dataplane"));
    // The person pastes the keys and onboards again: the consumer deploys.
    let Stage::Delivering { fresh, .. } = &record.stage else { panic!("{:?}", record.stage) };
    world.held = fresh.iter().map(|(role, key)| (*role, key.id.clone())).collect();
    world.deployed_at = world.now;
    world.wish(Wish::Confirm).unwrap();
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!(world.deletes.len(), 2);
}

#[test]
fn a_stuck_consumer_halts_and_keeps_both_generations() {
    let mut world = World::new(policy(), 1, 0, Manners { stuck: true, ..Manners::default() });
    assert!(walk(&mut world, 2000, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    assert_eq!(world.record.as_ref().unwrap().halt.as_ref().unwrap().reason, HaltReason::Indeterminate);
    assert!(world.deletes.is_empty());
    world.manners.stuck = false;
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
}

#[test]
fn the_same_secret_stops_before_any_delivery() {
    let mut world = World::new(policy(), 1, 0, Manners { same_secret: true, ..Manners::default() });
    assert!(walk(&mut world, 300, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    assert_eq!(count(&world, "delivered"), 0);
    assert!(world.keys.values().all(|keys| keys.len() == 1), "the useless keys are cleared away");
}

#[test]
fn a_fresh_key_that_is_listed_late_is_cleared_away_all_the_same() {
    let manners = Manners { same_secret: true, list_lag: 45, ..Manners::default() };
    let mut world = World::new(policy(), 1, 0, manners);
    assert!(walk(&mut world, 300, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    assert!(world.keys.values().all(|keys| keys.len() == 1), "{:?}\n{}", world.keys, timeline(&world));
}

#[test]
fn a_key_that_is_listed_late_is_not_asked_for_twice() {
    for seed in 0..60 {
        let mut world = World::new(policy(), seed, 3, Manners { list_lag: 45, ..Manners::default() });
        walk(&mut world, 400, |world, _| count(world, "tested") > 0);
        assert!(count(&world, "tested") > 0, "{}", timeline(&world));
        assert_eq!(world.taken, 0, "{}", timeline(&world));
    }
}

#[test]
fn nothing_is_retired_while_the_consumer_cannot_be_seen() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Soaking)));
    world.manners.unseen = true;
    walk(&mut world, 300, |_, _| false);
    assert!(world.deletes.is_empty(), "{}", timeline(&world));
    world.manners.unseen = false;
    assert!(walk(&mut world, 200, |world, _| is_settled_again(world)), "{}", timeline(&world));
}

#[test]
fn foreign_keys_stay_unless_the_tenant_says_otherwise() {
    let mut policy = policy();
    policy.retire_foreign = false;
    let mut world = World::new(policy, 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert!(world.deletes.is_empty());
    assert_eq!(count(&world, "left"), 2);
    // The next rotation retires what the first one made.
    world
        .wish(Wish::Rotate { trigger: Trigger::Command, reason: "test".to_owned(), pass: Pass::default() })
        .unwrap();
    assert!(walk(&mut world, 300, |world, _| count(world, "completed") == 2), "{}", timeline(&world));
    assert_eq!(world.deletes.len(), 2);
}

#[test]
fn an_old_cirt_stays_where_the_old_ciapi_does() {
    let mut policy = policy();
    policy.retire_foreign = false;
    let mut world = World::new(policy, 1, 0, Manners { ignores_put: true, ..Manners::default() });
    // The ciapi key was made by hand, the cirt key by rekeyd.
    let name = KeyName::ours(Role::Cirt, 0, &world.policy.credential, 7);
    world.keys.get_mut(&Role::Cirt).unwrap()[0].key.name = name.clone();
    world.policy.in_use = [(Role::Ciapi, KeyName("first-ciapi".to_owned())), (Role::Cirt, name)].into();
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!((count(&world, "left"), world.deletes.len()), (2, 0));
}

#[test]
fn a_change_of_the_policy_does_not_replace_the_proof_by_exclusion() {
    let mut world = World::new(policy(), 1, 0, Manners { ignores_put: true, ..Manners::default() });
    assert!(walk(&mut world, 400, |world, _| count(world, "gone") == 1), "{}", timeline(&world));
    world.policy.provision = Provision::Never;
    walk(&mut world, 400, |_, _| false);
    assert_eq!(world.deletes.len(), 1, "{}", timeline(&world));
    assert!(world.plan().reason.person.is_some());
    world.policy.provision = Provision::WhenNeeded;
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    assert_eq!(world.deletes.len(), 1);
}

/// The consumer was set in motion by us, and nobody heard the answer: it does not redeploy by itself for that.
#[test]
fn a_run_that_was_asked_for_is_not_the_consumers_own_although_the_answer_was_lost() {
    let lost = || How::Lost(Failure::new(Class::Timeout, "no answer within 30 s"));
    for how in [lost(), How::DiesAfter] {
        let mut world = World::new(policy(), 1, 0, Manners { ignores_put: true, ..Manners::default() });
        world.script.plan("provision", 0, 1, how.clone());
        assert!(walk(&mut world, 400, |world, _| count(world, "provision-sent") == 1));
        world.policy.provision = Provision::Never;
        assert!(walk(&mut world, 400, |world, _| count(world, "gone") == 1), "{how:?}\n{}", timeline(&world));
        walk(&mut world, 400, |_, _| false);
        assert_eq!(world.deletes.len(), 1, "{how:?}\n{}", timeline(&world));
    }
    // A refusal sets nothing in motion.
    let mut world = World::new(policy(), 1, 0, Manners::default());
    world.script.plan("provision", 0, 1, How::Refused(Failure::new(Class::Timeout, "no connection")));
    assert!(walk(&mut world, 400, |world, _| count(world, "step-failed") == 1));
    assert_eq!(world.record.as_ref().unwrap().asked_to_provision, Asking::No);
    // A refusal says nothing of what was asked before.
    world.write(Event::ProvisionSent);
    world.write(Event::ProvisionSent);
    world.write(Event::CannotProvision);
    assert_eq!(world.record.as_ref().unwrap().asked_to_provision, Asking::Yes);
}

#[test]
fn a_consumer_that_can_no_longer_be_deployed_keeps_its_old_cirt() {
    let mut world = World::new(policy(), 1, 0, Manners { ignores_put: true, ..Manners::default() });
    assert!(walk(&mut world, 400, |world, _| count(world, "gone") == 1), "{}", timeline(&world));
    world.manners.no_post = true;
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    world.wish(Wish::Resume).unwrap();
    walk(&mut world, 400, |_, _| false);
    assert_eq!(world.deletes.len(), 1, "{}", timeline(&world));
}

#[test]
fn without_redeployment_a_second_soak_stands_in() {
    let mut policy = policy();
    policy.provision = Provision::Never;
    let mut world = World::new(policy, 1, 0, Manners::default());
    // The consumer redeploys by itself, whatever the reason.
    let done = (0..600).any(|_| {
        if world.record.as_ref().is_some_and(|record| record.stage.phase() == Phase::Provisioning) {
            world.deployed_at = world.now;
        }
        world.turn();
        check(&world);
        is_settled_again(&world)
    });
    assert!(done, "{}", timeline(&world));
    let deleted: Vec<_> = world
        .journal
        .iter()
        .filter(|entry| entry.event.name() == "delete-sent")
        .map(|entry| entry.at)
        .collect();
    assert!(deleted[1] - deleted[0] >= chrono::TimeDelta::hours(48));
}

#[test]
fn a_hold_stops_the_deletion_and_the_start() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Soaking)));
    world.wish(Wish::Hold { until: None, reason: "audit".to_owned() }).unwrap();
    walk(&mut world, 300, |_, _| false);
    assert!(world.deletes.is_empty());
    world.wish(Wish::Unhold).unwrap();
    assert!(walk(&mut world, 200, |world, _| is_settled_again(world)), "{}", timeline(&world));

    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 1, |world, _| phase(world) == Some(Phase::Settled)));
    world.wish(Wish::Hold { until: None, reason: "audit".to_owned() }).unwrap();
    walk(&mut world, 50, |_, _| false);
    assert_eq!(world.creates, 0);
}

#[test]
fn restore_goes_back_at_once() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    let first = world.held.clone();
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Soaking)));
    assert_ne!(world.held, first);
    world.wish(Wish::Restore { reason: "partners complain".to_owned() }).unwrap();
    let plan = world.turn();
    assert!(matches!(plan.step, Step::Note(Event::TurnedBack { .. })));
    world.turn();
    assert_eq!(world.held, first);
    assert!(walk(&mut world, 300, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!(world.held, first);
}

/// The consumer is still busy with the fresh keys when the old ones are put back, and it takes no notice of that.
#[test]
fn a_run_with_the_fresh_keys_does_not_prove_that_the_old_ones_are_back() {
    let mut policy = policy();
    policy.provision = Provision::Always;
    let mut world = World::new(policy, 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| count(world, "moving") == 1), "{}", timeline(&world));
    world.wish(Wish::Restore { reason: "test".to_owned() }).unwrap();
    world.manners.ignores_put = true;
    world.manners.no_post = true;
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    assert_eq!(count(&world, "proven"), 0, "{}", timeline(&world));
    assert!(world.deletes.is_empty());
}

/// A consumer that cannot be asked to deploy, with the first old key gone and a deployment since that nobody explains.
fn deployed_by_a_stranger() -> World {
    let policy = Policy { provision: Provision::Never, ..policy() };
    let mut world = World::new(policy, 1, 0, Manners { no_post: true, ..Manners::default() });
    assert!(walk(&mut world, 50, |world, _| count(world, "delivered") == 1), "{}", timeline(&world));
    world.run = Some((2, false));
    assert!(walk(&mut world, 900, |world, _| count(world, "gone") == 1), "{}", timeline(&world));
    world.now = after(world.now, Duration::from_hours(1));
    world.deployed_at = world.now;
    world
}

/// Another copy of rekeyd may have given it the old keys again, and only that shows it.
#[test]
fn an_unexplained_deployment_keeps_the_last_key_where_nothing_can_be_excluded() {
    let mut world = deployed_by_a_stranger();
    assert!(walk(&mut world, 900, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    let halt = world.record.as_ref().unwrap().halt.clone().unwrap().reason;
    assert!(matches!(halt, HaltReason::ConsumerChanged { .. }), "{halt:?}");
    assert_eq!(world.deletes.len(), 1, "the `cirt` key is kept");
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 900, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!(
        (count(&world, "delivered"), world.deletes.len()),
        (2, 2),
        "it is given the fresh keys once more"
    );
}

/// The same where only a person can give it the keys again: his own onboarding is no further surprise.
#[test]
fn what_a_person_enters_again_by_hand_is_no_deployment_of_a_stranger() {
    let mut world = deployed_by_a_stranger();
    world.manners.no_put = true;
    let halted = |world: &World| {
        world.record.as_ref().and_then(|record| record.halt.as_ref()).map(|halt| halt.reason.code())
    };
    assert!(
        walk(&mut world, 900, |world, _| halted(world) == Some("consumer-changed")),
        "{}",
        timeline(&world)
    );
    world.wish(Wish::Resume).unwrap();
    assert!(
        walk(&mut world, 900, |world, _| halted(world) == Some("manual-delivery")),
        "{}",
        timeline(&world)
    );
    world.wish(Wish::Confirm).unwrap();
    world.now = after(world.now, Duration::from_mins(5));
    world.deployed_at = world.now;
    assert!(walk(&mut world, 900, |world, _| is_settled_again(world)), "{}", timeline(&world));
}

/// A person resumes, and meanwhile somebody deletes a key in use: what does not exist is not given to anybody.
#[test]
fn keys_that_are_gone_are_not_given_again() {
    let mut world = deployed_by_a_stranger();
    assert!(walk(&mut world, 900, |world, _| phase(world) == Some(Phase::Halted)), "{}", timeline(&world));
    world.keys.get_mut(&Role::Ciapi).unwrap().clear();
    world.wish(Wish::Resume).unwrap();
    for _ in 0..40 {
        world.turn();
    }
    let halt = world.record.as_ref().unwrap().halt.clone().unwrap().reason;
    assert!(matches!(halt, HaltReason::LiveKeyGone { .. }), "{halt:?}");
    assert_eq!(count(&world, "delivered"), 1, "{}", timeline(&world));
}

/// The run with the fresh keys would pass for what proves the old ones.
#[test]
fn one_word_of_rest_does_not_end_the_run_of_before() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| count(world, "moving") == 1), "{}", timeline(&world));
    world.wish(Wish::Restore { reason: "test".to_owned() }).unwrap();
    world.run = Some((12, false));
    assert!(walk(&mut world, 50, |world, _| count(world, "delivered") == 2), "{}", timeline(&world));
    for _ in 0..2 {
        world.lies.push(Verdict::Success);
        walk(&mut world, 3, |_, _| false);
    }
    assert_eq!((count(&world, "resting"), count(&world, "rested")), (2, 0), "{}", timeline(&world));
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!(count(&world, "rested"), 1, "{}", timeline(&world));
}

#[test]
fn a_clock_that_is_set_back_does_not_make_the_renewals_go_round_in_circles() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| count(world, "gone") == 1), "{}", timeline(&world));
    world.now -= chrono::TimeDelta::hours(3);
    let before = count(&world, "renewed");
    let from = world.now;
    walk(&mut world, 10, |_, _| false);
    let renewed = i64::try_from(count(&world, "renewed") - before).unwrap();
    assert!(renewed <= 2 + (world.now - from).num_hours() / 6, "{}", timeline(&world));
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
}

/// What the consumer is at while its status cannot be seen, nobody knows: it is watched as one that may be at anything.
#[test]
fn who_turns_back_while_the_consumer_is_hidden_takes_it_for_restless() {
    let baseline = |class: Option<Class>| {
        let mut world = World::new(policy(), 1, 0, Manners::default());
        assert!(walk(&mut world, 200, |world, _| count(world, "moving") == 1), "{}", timeline(&world));
        world.wish(Wish::Restore { reason: "test".to_owned() }).unwrap();
        let mut seen = world.observe(Looks { keys: true, status: true, content: true });
        if let Some(class) = class {
            seen.status = Seen::Unknown(Failure::new(class, "a fault"));
        }
        let plan = plan::plan(&world.policy, world.record.as_ref(), &seen, world.now);
        let Step::Note(Event::TurnedBack { baseline, .. }) = plan.step else { panic!("{:?}", plan.step) };
        baseline.status.map(|status| status.verdict)
    };
    assert_eq!(baseline(None), Some(Verdict::InProgress));
    assert_eq!(baseline(Some(Class::Timeout)), Some(Verdict::Unknown));
    assert_eq!(baseline(Some(Class::NotFound)), None, "it has no status at all");
}

/// An operator's finding: whoever asked for the way back during an outage waited for hours after it.
#[test]
fn the_way_back_is_tried_every_few_minutes_however_long_an_outage_lasts() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| count(world, "moving") == 1), "{}", timeline(&world));
    world.wish(Wish::Restore { reason: "test".to_owned() }).unwrap();
    assert!(walk(&mut world, 10, |world, _| count(world, "turned-back") == 1), "{}", timeline(&world));
    let record = world.record.clone().unwrap();
    let now = after(record.entered_at, Duration::from_hours(3));
    let soon = after(now, Duration::from_mins(5));
    let again = |class, not_before| {
        let failure = Failure { not_before, ..Failure::new(class, "a fault") };
        let keys = record.stage.in_use().clone();
        plan::retry_at(
            &world.policy,
            &Record { trouble: Trouble { failures: 20, ..Trouble::default() }, ..record.clone() },
            &Step::Deliver { keys },
            &failure,
            now,
        )
    };
    assert!(again(Class::Timeout, None) <= soon);
    let later = after(now, Duration::from_hours(1));
    assert_eq!(again(Class::Throttled, Some(later)), later, "who was told when is not early");
    assert!(again(Class::Unauthorized, None) > soon, "no account is locked");
    let mut seen = world.observe(Looks { keys: true, status: true, content: true });
    seen.status = Seen::Unknown(Failure::new(Class::ServerError, "503"));
    seen.blind = 20;
    let plan = plan::plan(&world.policy, Some(&record), &seen, now);
    assert!(matches!(plan.next_look, NextLook::At(at) if at <= soon), "{plan:?}");
}

/// The same operator's: a hold that ended by itself woke nobody before the next tick of the schedule.
#[test]
fn a_hold_that_ends_by_itself_is_looked_at_then() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 5, |world, _| count(world, "adopted") == 1), "{}", timeline(&world));
    let until = after(world.now, Duration::from_mins(10));
    world.wish(Wish::Hold { until: Some(until), reason: "audit".to_owned() }).unwrap();
    let plan = world.plan();
    assert_eq!((plan.reason.code, plan.next_look), ("held", NextLook::At(until)), "{plan:?}");
}

/// What was seen at rest before the consumer was asked to deploy says nothing of that run.
#[test]
fn a_look_at_rest_is_forgotten_once_the_consumer_is_asked_to_deploy() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| count(world, "moving") == 1), "{}", timeline(&world));
    world.wish(Wish::Restore { reason: "test".to_owned() }).unwrap();
    assert!(walk(&mut world, 200, |world, _| count(world, "resting") == 1), "{}", timeline(&world));
    world.write(Event::ProvisionSent);
    world.write(Event::Provisioned { baseline: Baseline::default(), upstream_at: None });
    world.write(Event::Moving);
    assert!(world.record.as_ref().unwrap().stage.watch().unwrap().moving, "{}", timeline(&world));
}

#[test]
fn a_clock_that_is_set_back_does_not_keep_the_second_look_at_rest_waiting() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| count(world, "moving") == 1), "{}", timeline(&world));
    world.wish(Wish::Restore { reason: "test".to_owned() }).unwrap();
    assert!(walk(&mut world, 200, |world, _| count(world, "resting") == 1), "{}", timeline(&world));
    world.now -= chrono::TimeDelta::days(30);
    let from = world.now;
    assert!(walk(&mut world, 100, |world, _| count(world, "rested") == 1), "{}", timeline(&world));
    assert!(world.now < from + chrono::TimeDelta::hours(1), "{}", timeline(&world));
}

#[test]
fn a_clock_that_is_set_back_does_not_make_a_short_wait_a_long_one() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 20, |world, _| count(world, "begun") == 1));
    world.now += chrono::TimeDelta::days(400);
    let failure = Failure::new(Class::Timeout, "a fault");
    let retry_at = after(world.now, Duration::from_secs(30));
    world.write(Event::StepFailed { step: "create".to_owned(), failure, retry_at });
    world.now -= chrono::TimeDelta::days(400);
    assert_ne!(world.plan().reason.code, "backoff");
}

#[test]
fn two_keys_of_one_name_halt() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 20, |world, _| count(world, "begun") == 1));
    let Some(Stage::Creating { names, .. }) = world.record.as_ref().map(|record| &record.stage) else {
        panic!()
    };
    let name = names[&Role::Ciapi].clone();
    world.add(Role::Ciapi, name.clone(), world.now);
    world.add(Role::Ciapi, name, world.now);
    walk(&mut world, 10, |world, _| phase(world) == Some(Phase::Halted));
    assert!(matches!(
        world.record.as_ref().unwrap().halt.as_ref().unwrap().reason,
        HaltReason::DuplicateName { found: 2, .. }
    ));
    assert_eq!((world.creates, world.deletes.len()), (0, 0));
}

#[test]
fn a_newer_generation_at_the_issuer_halts() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    walk(&mut world, 1, |_, _| true);
    let name = KeyName::ours(Role::Cirt, 9, &world.policy.credential, 7);
    world.add(Role::Cirt, name, world.now);
    walk(&mut world, 10, |world, _| phase(world) == Some(Phase::Halted));
    let reason = &world.record.as_ref().unwrap().halt.as_ref().unwrap().reason;
    assert!(matches!(reason, HaltReason::NewerGeneration { .. }), "{reason:?}");
    assert_eq!((world.creates, world.deletes.len()), (0, 0));
}

#[test]
fn a_live_key_deleted_by_hand_halts_and_confirm_adopts() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    walk(&mut world, 1, |_, _| true);
    let now = world.now;
    let id = world.add(Role::Ciapi, KeyName("by-hand".to_owned()), now);
    world.keys.get_mut(&Role::Ciapi).unwrap().retain(|seen| seen.key.id == id);
    world.held.insert(Role::Ciapi, id);
    world.turn();
    assert_eq!(phase(&world), Some(Phase::Halted));
    world.wish(Wish::Confirm).unwrap();
    world.turn();
    assert_eq!(phase(&world), Some(Phase::Settled));
    assert_eq!(count(&world, "adopted"), 2);
}

#[test]
fn another_environment_stops_before_the_first_call() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    walk(&mut world, 1, |_, _| true);
    world.policy.pin.consumer = "https://elsewhere.example".to_owned();
    let looks = rekeyd::domain::plan::looks(&world.policy, world.record.as_ref(), world.now);
    assert_eq!(looks, rekeyd::domain::observation::Looks::default());
    world.turn();
    let reason = &world.record.as_ref().unwrap().halt.as_ref().unwrap().reason;
    assert!(matches!(reason, HaltReason::PinMismatch { .. }), "{reason:?}");
}

#[test]
fn several_keys_are_not_adopted_unless_one_is_named() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    let now = world.now;
    world.add(Role::Cirt, KeyName("another".to_owned()), now);
    let plan = world.turn();
    assert_eq!(plan.reason.code, "not-adopted");
    assert!(world.record.is_none());
    world.policy.in_use.insert(Role::Cirt, KeyName("first-cirt".to_owned()));
    world.turn();
    assert_eq!(phase(&world), Some(Phase::Settled));
}

#[test]
fn a_full_house_creates_nothing() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| is_settled_again(world)), "{}", timeline(&world));
    let before = world.creates;
    // Two of ours of an older generation that nobody knows any more.
    for nonce in [1, 2] {
        let name = KeyName::ours(Role::Ciapi, 0, &world.policy.credential, nonce);
        let now = world.now;
        world.add(Role::Ciapi, name, now);
    }
    world
        .wish(Wish::Rotate { trigger: Trigger::Command, reason: "test".to_owned(), pass: Pass::default() })
        .unwrap();
    let plan = world.turn();
    assert_eq!(plan.reason.code, "no-room");
    assert_eq!(world.creates, before);
}

/// Each call goes wrong in each way, one at a time: it is settled all the same, with one fresh key per role.
#[test]
fn every_call_may_go_wrong_in_every_way() {
    let timeout = || Failure::new(Class::Timeout, "no answer within 30 s");
    let ways = || [How::Refused(timeout()), How::Lost(timeout()), How::DiesBefore, How::DiesAfter];
    for step in ["create", "test", "deliver", "provision", "confirm", "renew", "delete", "probe"] {
        for how in ways() {
            for pass in 0..3 {
                let mut world = World::new(policy(), 1, 0, Manners::default());
                world.script.plan(step, pass, 1, how.clone());
                let done = walk(&mut world, 400, |world, _| is_settled_again(world));
                assert!(done, "{step} {pass} {how:?}\n{}", timeline(&world));
                let single = world.keys.values().all(|keys| keys.len() == 1);
                assert!(single && world.creates == 2, "{step} {pass} {how:?}\n{}", timeline(&world));
            }
        }
    }
}

#[test]
fn while_it_is_held_nobody_is_called_for_nothing() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Retiring)));
    world.wish(Wish::Hold { until: None, reason: "audit".to_owned() }).unwrap();
    assert_eq!(world.plan().next_look, NextLook::Schedule);
    world.wish(Wish::Unhold).unwrap();
    let until = after(world.now, Duration::from_hours(30));
    world.wish(Wish::Hold { until: Some(until), reason: "audit".to_owned() }).unwrap();
    assert_eq!(world.plan().next_look, NextLook::At(until));
}

#[test]
fn a_gate_that_nobody_opens_is_looked_at_seldom() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Retiring)));
    world.verdict = Verdict::Error;
    let NextLook::At(at) = world.plan().next_look else { panic!("it is looked at again") };
    assert!(at >= after(world.now, Duration::from_mins(15)), "{at}");
}

fn settles_or_halts(mut world: World, crash: u64) {
    let done = |world: &World| is_settled_again(world) || phase(world) == Some(Phase::Halted);
    for _ in 0..6000 {
        world.turn();
        check(&world);
        if world.dice.one_in(crash) {
            let before = world.record.clone();
            world.crash();
            assert_eq!(world.record, before, "the journal is the whole truth");
        }
        if done(&world) {
            let known = fold::fold(&world.journal).unwrap().remove(&world.policy.credential);
            assert_eq!(known, world.record);
            return;
        }
    }
    panic!("neither settled nor halted\n{}", timeline(&world));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn whatever_fails_it_settles_or_halts_and_nobody_is_locked_out(seed: u64, fault in 3_u64..30, crash in 2_u64..40) {
        settles_or_halts(World::new(policy(), seed, fault, Manners::default()), crash);
    }

    /// Whatever people ask for, whenever: `World::write` refuses an event that does not fit.
    #[test]
    fn wishes_at_odd_moments_fit_everywhere(
        seed: u64,
        fault in 4_u64..40,
        odd in 2_u64..30,
        ignores_put: bool,
        fails in 0_u32..4,
        no_put: bool,
        no_post: bool,
        list_lag in 0_i64..50,
        provision in prop_oneof![Just(Provision::WhenNeeded), Just(Provision::Always), Just(Provision::Never)],
    ) {
        let manners = Manners { ignores_put, fails, no_put, no_post, list_lag, ..Manners::default() };
        let mut world = World::new(Policy { provision, ..policy() }, seed, fault, manners);
        for _ in 0..500 {
            world.turn();
            check(&world);
            if world.dice.one_in(odd) {
                let wishes = [
                    Wish::Rotate { trigger: Trigger::Command, reason: "test".to_owned(), pass: Pass::default() },
                    Wish::Withdraw { reason: "test".to_owned() },
                    Wish::Restore { reason: "test".to_owned() },
                    Wish::Hold { until: Some(after(world.now, Duration::from_hours(3))), reason: "test".to_owned() },
                    Wish::Unhold,
                    Wish::Resume,
                    Wish::Confirm,
                ];
                let one = usize::try_from(world.dice.roll() % 7).unwrap();
                let taken = world.wish(wishes[one].clone()).is_ok();
                if taken && wishes[one] == Wish::Confirm {
                    let newest = world.record.as_ref().unwrap().stage.newest().clone();
                    // Who confirms has done it.
                    world.held = newest.into_iter().map(|(role, key)| (role, key.id)).collect();
                    world.deployed_at = world.now;
                }
            }
            if world.dice.one_in(odd * 4) {
                world.policy.retire_foreign = !world.policy.retire_foreign;
                world.policy.provision = [Provision::WhenNeeded, Provision::Always, Provision::Never]
                    [usize::try_from(world.dice.roll() % 3).unwrap()];
            }
            if world.dice.one_in(odd * 4) {
                world.crash();
            }
            if world.dice.one_in(odd * 8) {
                world.now -= chrono::TimeDelta::hours(2);
            }
        }
    }

    #[test]
    fn the_same_with_a_consumer_that_misbehaves(
        seed: u64,
        fault in 4_u64..40,
        crash in 2_u64..40,
        ignores_put: bool,
        fails in 0_u32..4,
        no_put: bool,
        no_post: bool,
    ) {
        let manners = Manners { ignores_put, fails, no_put, no_post, ..Manners::default() };
        settles_or_halts(World::new(policy(), seed, fault, manners), crash);
    }
}
