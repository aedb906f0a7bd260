//! What the model check found, each reduced to one story. `docs/explanation/found.md` tells of them.

use std::time::Duration;

use rekeyd::domain::event::{Entry, Event, Wish};
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::fleet::{Fleet, FleetEvent, Pass, Rules};
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::names::{CredentialId, KeyName, Role};
use rekeyd::domain::observation::Verdict;
use rekeyd::domain::policy::Policy;
use rekeyd::domain::stage::{Phase, Stage};
use rekeyd::domain::{Timestamp, after};

use super::world::script::How;
use super::world::{Manners, World};
use super::{credential, policy};

fn walk(world: &mut World, turns: usize, mut done: impl FnMut(&World) -> bool) -> bool {
    (0..turns).any(|_| {
        world.turn();
        done(world)
    })
}

fn timeline(world: &World) -> String {
    let line = |entry: &Entry| format!("{} {}", entry.at, rekeyd::domain::story::tell(&entry.event));
    world.journal.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn phase(world: &World) -> Phase {
    world.record.as_ref().unwrap().phase()
}

fn count(world: &World, name: &str) -> usize {
    world.journal.iter().filter(|entry| entry.event.name() == name).count()
}

/// Somebody deploys the consumer right before the delivery: that run works with the old keys, and its success says
/// nothing of the fresh ones.
#[test]
fn a_run_that_began_before_the_delivery_proves_nothing() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 50, |world| phase(world) == Phase::Delivering));
    world.run = Some((3, false));
    world.verdict = Verdict::InProgress;
    assert!(walk(&mut world, 100, |world| count(world, "proven") == 1));
    let order: Vec<_> = world.journal.iter().map(|entry| entry.event.name()).collect();
    let place = |name| order.iter().position(|seen| *seen == name).unwrap();
    assert!(place("provisioned") < place("moving"), "{order:?}");
    let last_ready = order.iter().rposition(|seen| *seen == "ready").unwrap();
    assert!(last_ready < place("delivered") && place("ready") < last_ready, "{order:?}");
}

/// The same on the way back: the run under way is one with the fresh keys, which are being taken away.
#[test]
fn a_run_that_began_before_the_old_keys_were_put_back_proves_nothing() {
    let mut world = World::new(policy(), 1, 0, Manners { fails: 1, ..Manners::default() });
    assert!(walk(&mut world, 100, |world| phase(world) == Phase::Restoring));
    world.run = Some((3, false));
    world.verdict = Verdict::InProgress;
    assert!(walk(&mut world, 100, |world| count(world, "proven") == 1));
    let order: Vec<_> = world.journal.iter().map(|entry| entry.event.name()).collect();
    let back = order.iter().position(|seen| *seen == "turned-back").unwrap();
    let expected =
        ["ready", "delivered", "resting", "rested", "provision-sent", "provisioned", "moving", "proven"];
    assert_eq!(order[back + 1..][..expected.len()], expected);
}

/// The same where the status is a word that nobody knows right then: it may say just that.
#[test]
fn a_word_that_nobody_knows_hides_no_run_before_a_delivery() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 50, |world| phase(world) == Phase::Delivering));
    world.verdict = Verdict::Unknown;
    assert!(walk(&mut world, 5, |world| count(world, "delivered") == 1));
    (world.run, world.verdict) = (Some((3, false)), Verdict::InProgress);
    assert!(walk(&mut world, 100, |world| count(world, "proven") == 1));
    let order: Vec<_> = world.journal.iter().map(|entry| entry.event.name()).collect();
    let place = |name| order.iter().position(|seen| *seen == name).unwrap();
    assert!(place("rested") < place("provisioned") && place("provisioned") < place("moving"), "{order:?}");
}

/// Provisioning was asked for without an answer and begins right before the old keys are put back.
#[test]
fn a_run_that_was_asked_for_with_the_fresh_keys_proves_nothing_of_the_old_ones() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    world.script.plan("provision", 0, 1, How::Refused(Failure::new(Class::Timeout, "no answer").ambiguous()));
    assert!(walk(&mut world, 100, |world| count(world, "provision-sent") == 1));
    let fresh = world.record.as_ref().unwrap().stage.newest()[&Role::Cirt].id.clone();
    world.keys.get_mut(&Role::Cirt).unwrap().retain(|seen| seen.key.id != fresh);
    assert!(walk(&mut world, 50, |world| count(world, "delivered") == 2), "{}", timeline(&world));
    (world.run, world.verdict) = (Some((3, false)), Verdict::InProgress);
    assert!(walk(&mut world, 100, |world| count(world, "proven") == 1), "{}", timeline(&world));
    let order: Vec<_> = world.journal.iter().map(|entry| entry.event.name()).collect();
    let back = order.iter().rposition(|seen| *seen == "delivered").unwrap();
    let expected = ["resting", "rested", "provision-sent", "provisioned", "moving", "proven"];
    assert_eq!(order[back + 1..][..expected.len()], expected);
}

/// One create made two keys, and its answer told of one. The other would stay for ever.
#[test]
fn a_second_key_of_the_name_in_use_halts() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world| count(world, "completed") == 1));
    let Stage::Settled { live } = world.record.as_ref().unwrap().stage.clone() else { panic!() };
    let now = world.now;
    let double = world.add(Role::Cirt, live[&Role::Cirt].name.clone(), now);
    assert!(walk(&mut world, 5, |world| phase(world) == Phase::Halted));
    let reason = world.record.as_ref().unwrap().halt.clone().unwrap().reason;
    assert!(matches!(reason, HaltReason::DuplicateName { role: Role::Cirt, found: 2, .. }), "{reason:?}");
    assert!(world.exists(&double), "a person says which one goes");
}

/// The same with keys that nobody was given: the second one goes like the first.
#[test]
fn a_second_key_of_a_name_that_was_given_up_goes() {
    let mut world = World::new(policy(), 1, 0, Manners { same_secret: true, ..Manners::default() });
    assert!(walk(&mut world, 50, |world| count(world, "made") == 2));
    let (role, key) = world.record.as_ref().unwrap().stage.newest().first_key_value().unwrap();
    let (role, name, now) = (*role, key.name.clone(), world.now);
    let double = world.add(role, name, now);
    assert!(walk(&mut world, 100, |world| phase(world) == Phase::Halted), "{}", timeline(&world));
    // Who ends the halt has seen to the secrets.
    world.manners.same_secret = false;
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 400, |world| !world.exists(&double)), "{}", timeline(&world));
}

/// The same after a delivery: the old set is put back, the fresh keys are retired, and then the second one shows up.
#[test]
fn a_second_key_of_a_name_that_was_put_back_goes() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 100, |world| phase(world) == Phase::Soaking));
    let (name, fresh) = {
        let stage = &world.record.as_ref().unwrap().stage;
        (stage.newest()[&Role::Cirt].name.clone(), stage.in_use().clone())
    };
    world.wish(Wish::Restore { reason: "test".to_owned() }).unwrap();
    assert!(walk(&mut world, 400, |world| phase(world) == Phase::Retiring), "{}", timeline(&world));
    let now = world.now;
    let double = world.add(Role::Cirt, name, now);
    assert!(walk(&mut world, 400, |world| !world.exists(&double)), "{}", timeline(&world));
    assert_eq!(phase(&world), Phase::Settled);
    assert!(fresh.values().all(|key| !world.exists(&key.id)), "the fresh set is the one that went");
    assert_eq!(count(&world, "halted"), 0);
}

/// The redeployment that is to prove by exclusion hangs. A person ends the halt, and it hangs on: that is said again.
#[test]
fn a_run_that_hangs_while_a_key_goes_halts_again() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world| count(world, "gone") == 1), "{}", timeline(&world));
    world.manners.stuck = true;
    assert!(walk(&mut world, 400, |world| phase(world) == Phase::Halted), "{}", timeline(&world));
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 4000, |world| count(world, "halted") == 2), "{}", timeline(&world));
    // Once the run is over, the next one proves it.
    world.manners.stuck = false;
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 400, |world| count(world, "completed") == 1), "{}", timeline(&world));
}

/// Before a delivery nobody was given either of the two: that is when a person can tell.
#[test]
fn a_second_key_of_a_name_halts_before_it_is_delivered() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 50, |world| phase(world) == Phase::Delivering));
    let (name, now) = (world.record.as_ref().unwrap().stage.newest()[&Role::Cirt].name.clone(), world.now);
    world.add(Role::Cirt, name, now);
    assert!(walk(&mut world, 5, |world| phase(world) == Phase::Halted), "{}", timeline(&world));
    assert_eq!(count(&world, "delivered"), 0);
}

/// The same where somebody has deleted the one that rekeyd knew: the other bears its name and is not it.
#[test]
fn a_second_key_of_a_name_halts_although_the_first_has_gone() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 50, |world| phase(world) == Phase::Delivering));
    let (key, now) = (world.record.as_ref().unwrap().stage.newest()[&Role::Cirt].clone(), world.now);
    world.add(Role::Cirt, key.name, now);
    world.keys.get_mut(&Role::Cirt).unwrap().retain(|seen| seen.key.id != key.id);
    assert!(walk(&mut world, 5, |world| phase(world) == Phase::Halted), "{}", timeline(&world));
}

/// The clock was a year ahead for a while. What was written then must not be waited for until that year is over.
#[test]
fn a_clock_that_was_ahead_for_a_while_does_not_stall_a_rotation() {
    for stop in [Phase::Creating, Phase::Testing, Phase::Provisioning, Phase::Soaking, Phase::Retiring] {
        let mut world = World::new(policy(), 1, 0, Manners::default());
        assert!(walk(&mut world, 2, |world| world.record.is_some()));
        let year = chrono::TimeDelta::days(365);
        world.now += year;
        assert!(walk(&mut world, 200, |world| phase(world) == stop), "{stop}");
        world.now -= year;
        let back = world.now;
        // The clocks of the issuer and of the consumer were right all the time.
        for seen in world.keys.values_mut().flatten() {
            seen.key.created_at = seen.key.created_at.min(Some(back));
        }
        world.deployed_at = world.deployed_at.min(back);
        let soak = world.policy.soak;
        let done = walk(&mut world, 400, |world| count(world, "completed") == 1);
        assert!(done, "{stop}:\n{}", timeline(&world));
        assert_eq!(count(&world, "clock-set-back"), 1, "{stop}");
        assert!(world.now < after(back, soak * 3), "{stop}: {}", world.now - back);
        if stop == Phase::Soaking {
            let begun = world.journal.iter().find(|entry| entry.event == Event::RetireBegun).unwrap();
            assert!(begun.at >= after(back, soak), "the soak starts over");
        }
    }
}

/// Our clock goes back while the consumer's is right: what rekeyd had deployed is then later than the proof, and is
/// nobody else's for that.
#[test]
fn a_clock_that_goes_back_takes_our_own_deployment_for_nobody_elses() {
    for stop in [Phase::Soaking, Phase::Retiring] {
        for comes_right in [false, true] {
            let mut world = World::new(policy(), 1, 0, Manners::default());
            assert!(walk(&mut world, 200, |world| phase(world) == stop), "{stop}");
            let day = chrono::TimeDelta::days(1);
            world.now -= day;
            assert!(walk(&mut world, 3, |world| count(world, "clock-set-back") == 1), "{stop}");
            if comes_right {
                world.now += day;
            }
            let done = walk(&mut world, 400, |world| count(world, "completed") == 1);
            assert!(done, "{stop}, right again: {comes_right}\n{}", timeline(&world));
            assert_eq!(count(&world, "halted"), 0, "{stop}");
        }
    }
}

/// Two clocks that differ a little do not make each other's waits start over.
#[test]
fn a_clock_that_is_a_little_behind_changes_nothing() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world| phase(world) == Phase::Soaking));
    world.now -= chrono::TimeDelta::minutes(50);
    walk(&mut world, 1, |_| true);
    assert_eq!(count(&world, "clock-set-back"), 0);
}

/// Somebody asks for something before the walk has seen that the clock was set back: it is seen all the same.
#[test]
fn a_wish_does_not_hide_that_the_clock_was_set_back() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world| phase(world) == Phase::Provisioning));
    world.now -= chrono::TimeDelta::days(365);
    world.wish(Wish::Hold { until: None, reason: "test".to_owned() }).unwrap();
    world.turn();
    assert_eq!(count(&world, "clock-set-back"), 1, "{}", timeline(&world));
}

/// Nor does the fuse stay blown until that year is over.
#[test]
fn a_clock_that_was_ahead_for_a_while_does_not_keep_the_fuse_blown() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let (ahead, back) = (start + chrono::TimeDelta::days(365), start + chrono::TimeDelta::hours(1));
    let entry = |sequence, at, event| Entry { sequence, at, credential: credential(), event };
    let admitted = |number: u64| {
        let credential: CredentialId = format!("tenant-{number}/dataplane").parse().unwrap();
        let event = FleetEvent::Admitted {
            credential,
            pass: Pass::default(),
            window_overridden: false,
            release: Rules::default().release,
        };
        Entry { credential: CredentialId::fleet(), ..entry(number, ahead, Event::Fleet(event)) }
    };
    let mut fleet = Fleet::fold(&(1..=10).map(admitted).collect::<Vec<_>>());
    assert_eq!(fleet.admitted_lately(back), 10);
    fleet.apply(&entry(11, back, Event::ClockSetBack));
    assert_eq!(fleet.admitted_lately(back), 10, "they count from now on");
    assert_eq!(fleet.admitted_lately(after(back, Duration::from_hours(25))), 0);
}

/// With the old `ciapi` gone, and before the run that proves by exclusion, the consumer reports an error for good: a
/// wait that goes on for ever says so to a person.
#[test]
fn a_consumer_that_fails_while_tokens_are_waited_for_calls_a_person() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world| count(world, "gone") == 1), "{}", timeline(&world));
    assert!(walk(&mut world, 20, |world| count(world, "probed") == 1), "{}", timeline(&world));
    world.verdict = Verdict::Error;
    let asked = (0..100).any(|_| world.turn().reason.person.is_some());
    assert!(asked, "{}", timeline(&world));
    assert_eq!(count(&world, "delete-sent"), 1);
    world.verdict = Verdict::Success;
    assert!(walk(&mut world, 400, |world| count(world, "completed") == 1), "{}", timeline(&world));
}

/// The deletion of the first old key was asked for and failed, and then somebody deployed the consumer.
#[test]
fn a_change_of_the_consumer_that_comes_between_two_tries_of_a_deletion_is_proven_anew() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 300, |world| phase(world) == Phase::Retiring), "{}", timeline(&world));
    let name = KeyName("first-ciapi".to_owned());
    world.write(Event::DeleteSent { role: Role::Ciapi, name, permit: "a test".to_owned() });
    world.deployed_at = world.now;
    assert!(walk(&mut world, 10, |world| phase(world) == Phase::Halted), "{}", timeline(&world));
    let halt = world.record.as_ref().unwrap().halt.as_ref().map(|halt| halt.reason.code());
    assert_eq!(halt, Some("consumer-changed"));
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 500, |world| count(world, "completed") == 1), "{}", timeline(&world));
    assert_eq!(count(&world, "delivered"), 2, "{}", timeline(&world));
    assert_eq!(count(&world, "halted"), 1, "{}", timeline(&world));
}

/// The first old key is gone, and somebody deploys the consumer: that halts.
fn changed_before_exclusion(policy: Policy) -> World {
    let mut world = World::new(policy, 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world| count(world, "probed") == 1), "{}", timeline(&world));
    world.now = after(world.now, Duration::from_hours(1));
    world.deployed_at = world.now;
    assert!(walk(&mut world, 100, |world| phase(world) == Phase::Halted), "{}", timeline(&world));
    world
}

/// The first old key is gone, and before the proof by exclusion somebody gives the consumer other keys: with the fresh `ciapi`
/// and the old `cirt` it would deploy, and lose the `cirt`.
#[test]
fn a_change_of_the_consumer_before_the_proof_by_exclusion_is_noticed_and_undone() {
    // A consumer that may take its time with what it is given.
    let policy = Policy { deadline: Duration::from_hours(30), ..policy() };
    let mut world = changed_before_exclusion(policy.clone());
    let halt = world.record.as_ref().unwrap().halt.as_ref().map(|halt| halt.reason.code());
    assert_eq!(halt, Some("consumer-changed"));
    assert_eq!((count(&world, "delivered"), count(&world, "provisioned")), (1, 1), "{}", timeline(&world));
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 500, |world| count(world, "completed") == 1), "{}", timeline(&world));
    assert_eq!((count(&world, "delivered"), count(&world, "halted")), (2, 1), "{}", timeline(&world));
    let order: Vec<_> = world.journal.iter().map(|entry| entry.event.name()).collect();
    let last = |name| order.iter().rposition(|seen| *seen == name).unwrap();
    assert!(
        last("delivered") < last("provision-sent") && last("provision-sent") < last("delete-sent"),
        "{order:?}"
    );
    // It has time to take over what it was given: a run with what it held before would prove nothing.
    let [given, asked] = ["delivered", "provision-sent"].map(|name| world.journal[last(name)].at);
    assert!(asked >= after(given, policy.settle + policy.deadline), "{}", timeline(&world));
}

/// The same where the consumer has no endpoint to be given keys again: a person enters them, and what he says counts.
#[test]
fn a_change_of_the_consumer_is_undone_by_hand_where_nothing_can_be_delivered() {
    let mut world = changed_before_exclusion(policy());
    world.script.plan("deliver", 0, 1, How::Refused(Failure::new(Class::NotFound, "no such endpoint")));
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 100, |world| phase(world) == Phase::Halted), "{}", timeline(&world));
    let halt = world.record.as_ref().unwrap().halt.as_ref().map(|halt| halt.reason.code());
    assert_eq!(halt, Some("manual-delivery"), "{}", timeline(&world));
    world.now = after(world.now, Duration::from_hours(1));
    world.deployed_at = world.now;
    world.wish(Wish::Confirm).unwrap();
    assert!(walk(&mut world, 500, |world| count(world, "completed") == 1), "{}", timeline(&world));
    assert_eq!((count(&world, "delivered"), count(&world, "halted")), (1, 2), "{}", timeline(&world));
}

/// The consumer fails without the retired key, is given the fresh ones again, and a person ends the halt at once: what it was
/// given may not be taken over yet, and a run with what it holds still would pass for the proof of the old `cirt` being useless.
#[test]
fn what_is_given_again_after_a_failed_exclusion_has_time_to_be_taken_over() {
    let policy = policy();
    let mut world = World::new(policy.clone(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world| count(world, "probed") == 1), "{}", timeline(&world));
    world.manners.fails = 2;
    assert!(walk(&mut world, 400, |world| phase(world) == Phase::Halted), "{}", timeline(&world));
    let halt = world.record.as_ref().unwrap().halt.as_ref().map(|halt| halt.reason.code());
    assert_eq!((halt, count(&world, "delivered")), (Some("exclusion-failed"), 2), "{}", timeline(&world));
    world.manners.fails = 0;
    world.wish(Wish::Resume).unwrap();
    let resumed = world.journal.last().unwrap().at;
    assert!(walk(&mut world, 500, |world| count(world, "completed") == 1), "{}", timeline(&world));
    let asked = world.journal.iter().rfind(|entry| entry.event.name() == "provision-sent").unwrap().at;
    assert!(asked >= after(resumed, policy.settle + policy.deadline), "{}", timeline(&world));
}

/// A consumer that deploys when it is given keys does so when it is given them again: that is nobody else's doing.
#[test]
fn a_deployment_by_what_is_given_again_is_our_own() {
    let mut world = changed_before_exclusion(policy());
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 100, |world| count(world, "delivered") == 2), "{}", timeline(&world));
    world.now = after(world.now, Duration::from_secs(10));
    world.deployed_at = world.now;
    assert!(walk(&mut world, 500, |world| count(world, "completed") == 1), "{}", timeline(&world));
    assert_eq!(count(&world, "halted"), 1, "{}", timeline(&world));
}

/// Somebody deploys the consumer when the first old key is about to go: with which keys, only the end of that tells.
#[test]
fn nothing_goes_while_somebody_deploys_the_consumer() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world| phase(world) == Phase::Retiring), "{}", timeline(&world));
    (world.run, world.verdict) = (Some((20, false)), Verdict::InProgress);
    assert!(walk(&mut world, 100, |world| world.run.is_none() && phase(world) == Phase::Halted));
    let halt = world.record.as_ref().unwrap().halt.as_ref().map(|halt| halt.reason.code());
    assert_eq!((halt, count(&world, "delete-sent")), (Some("consumer-changed"), 0), "{}", timeline(&world));
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 500, |world| count(world, "completed") == 1), "{}", timeline(&world));
    assert_eq!(count(&world, "delivered"), 2, "{}", timeline(&world));
}

/// And where it does not end, a person is called.
#[test]
fn a_deployment_that_does_not_end_before_a_deletion_halts() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world| phase(world) == Phase::Retiring), "{}", timeline(&world));
    world.manners.stuck = true;
    (world.run, world.verdict) = (Some((1, false)), Verdict::InProgress);
    assert!(!walk(&mut world, 100, |world| phase(world) != Phase::Retiring), "{}", timeline(&world));
    world.now = after(world.now, Duration::from_hours(30 * 24));
    assert!(walk(&mut world, 5, |world| phase(world) == Phase::Halted), "{}", timeline(&world));
    let halt = world.record.as_ref().unwrap().halt.as_ref().map(|halt| halt.reason.code());
    assert_eq!((halt, count(&world, "delete-sent")), (Some("time-in-stage"), 0), "{}", timeline(&world));
}

/// The same once the first old key is gone: the proof by exclusion is sought once more, although the deletion of the other key
/// was asked for.
#[test]
fn a_deletion_that_was_asked_for_does_not_hinder_the_proof_that_it_needs_once_more() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    let excluded = |world: &World| count(world, "gone") == 1 && count(world, "proven") == 2;
    assert!(walk(&mut world, 500, excluded), "{}", timeline(&world));
    let name = KeyName("first-cirt".to_owned());
    world.write(Event::DeleteSent { role: Role::Cirt, name, permit: "a test".to_owned() });
    world.now = after(world.now, Duration::from_hours(1));
    world.deployed_at = world.now;
    assert!(walk(&mut world, 10, |world| phase(world) == Phase::Halted), "{}", timeline(&world));
    world.wish(Wish::Resume).unwrap();
    assert!(walk(&mut world, 500, |world| count(world, "completed") == 1), "{}", timeline(&world));
    assert_eq!((count(&world, "proven"), count(&world, "halted")), (3, 1), "{}", timeline(&world));
}
