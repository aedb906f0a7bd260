//! The less travelled ways: refusals that pile up, keys in odd states, wishes at odd moments, journals that do not fit.

use std::time::Duration;

use rekeyd::domain::after;
use rekeyd::domain::event::{Entry, Event, Trigger, Wish};
use rekeyd::domain::evidence::Baseline;
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::fleet::Pass;
use rekeyd::domain::fold;
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::key::KeyState;
use rekeyd::domain::names::{KeyName, Role};
use rekeyd::domain::observation::{Observation, Seen, Status, Verdict};
use rekeyd::domain::plan::{self, Plan, Step};
use rekeyd::domain::policy::Provision;
use rekeyd::domain::proof::{pin_difference, required_grade, retire_gates, soak_gates};
use rekeyd::domain::stage::{Phase, Stage};

use super::policy;
use super::world::{Manners, World};

fn phase(world: &World) -> Option<Phase> {
    world.record.as_ref().map(rekeyd::domain::record::Record::phase)
}

fn world() -> World {
    World::new(policy(), 1, 0, Manners::default())
}

/// A world that has come to `wanted`.
fn at_phase(wanted: Phase) -> World {
    let mut world = world();
    let found = (0..400).any(|_| {
        world.turn();
        phase(&world) == Some(wanted)
    });
    assert!(found, "`{wanted}` is never reached");
    world
}

fn fail(world: &mut World, step: &str, class: Class, times: u32) {
    for _ in 0..times {
        let event = Event::StepFailed {
            step: step.to_owned(),
            failure: Failure::new(class, "it says no"),
            retry_at: world.now,
        };
        world.write(event);
    }
}

/// The plan after so many refusals, long after every pause.
fn refused(mut world: World, step: &str, class: Class) -> Plan {
    let attempts = world.policy.limits.attempts;
    fail(&mut world, step, class, attempts);
    world.now = after(world.now, Duration::from_mins(30));
    world.plan()
}

fn halts_with(plan: &Plan) -> &HaltReason {
    match &plan.step {
        Step::Note(Event::Halted(reason)) => reason,
        step => panic!("{step:?}: {:?}", plan.reason),
    }
}

#[test]
fn what_is_refused_too_often_turns_back_or_halts() {
    for stage in [Phase::Creating, Phase::Testing, Phase::Delivering] {
        let plan = refused(at_phase(stage), "step", Class::ClientError);
        assert!(matches!(plan.step, Step::Note(Event::TurnedBack { .. })), "{stage}: {plan:?}");
    }
    // The login that cannot deliver cannot put back either.
    let plan = refused(at_phase(Phase::Delivering), "deliver", Class::Unauthorized);
    assert!(matches!(halts_with(&plan), HaltReason::AttemptsExhausted { .. }));
    let plan = refused(at_phase(Phase::Provisioning), "provision", Class::ClientError);
    assert!(matches!(plan.step, Step::Note(Event::TurnedBack { .. })), "{plan:?}");
}

#[test]
fn nothing_is_deleted_after_too_many_refusals() {
    let plan = refused(at_phase(Phase::Retiring), "delete", Class::ClientError);
    assert!(matches!(halts_with(&plan), HaltReason::AttemptsExhausted { step, .. } if step == "delete"));
}

#[test]
fn a_key_that_a_person_must_make_is_waited_for() {
    let mut world = at_phase(Phase::Creating);
    let failure = Failure::new(Class::NotFound, "make it by hand");
    let record = world.record.clone().unwrap();
    let step = Step::Create { role: Role::Ciapi, name: KeyName("fresh".to_owned()) };
    let again = plan::retry_at(&world.policy, &record, &step, &failure, world.now);
    assert_eq!(again, after(world.now, Duration::from_mins(1)));
    for _ in 0..20 {
        world.write(Event::StepFailed {
            step: "create".to_owned(),
            failure: failure.clone(),
            retry_at: again,
        });
    }
    let plan = world.plan();
    assert_eq!((plan.reason.code, plan.reason.person.as_deref()), ("backoff", Some("make it by hand")));
    world.now = again;
    assert!(matches!(world.plan().step, Step::Create { .. }), "it is looked for, and asked for again");
}

#[test]
fn a_fresh_key_in_an_odd_state() {
    let check = |state: KeyState, code: &str| {
        let mut world = at_phase(Phase::Creating);
        let Stage::Creating { names, .. } = &world.record.as_ref().unwrap().stage else { panic!() };
        let name = names[&Role::Ciapi].clone();
        let now = world.now;
        world.add(Role::Ciapi, name, now);
        world.keys.get_mut(&Role::Ciapi).unwrap().last_mut().unwrap().state = state;
        assert_eq!(world.plan().reason.code, code, "{state:?}");
    };
    check(KeyState::Ready, "found");
    check(KeyState::Busy, "busy");
    check(KeyState::Broken, "create-again");
    check(KeyState::Deleting, "turn-back");
}

#[test]
fn what_was_never_delivered_is_cleared_away_and_waited_for() {
    let mut world = at_phase(Phase::Testing);
    world.write(Event::TurnedBack { why: "a test".to_owned(), baseline: Baseline::default() });
    // Held, nothing goes.
    world.wish(Wish::Hold { until: None, reason: "audit".to_owned() }).unwrap();
    assert_eq!(world.plan().reason.code, "held");
    world.wish(Wish::Unhold).unwrap();
    // Under way, it is waited for.
    for seen in world.keys.values_mut().flatten().filter(|seen| seen.key.name.parse_ours().is_some()) {
        seen.state = KeyState::Deleting;
    }
    assert_eq!(world.plan().reason.code, "going");
    for seen in world.keys.values_mut().flatten() {
        seen.state = KeyState::Ready;
    }
    assert_eq!(world.plan().reason.code, "clear");
    let plan = refused(world, "delete", Class::Forbidden);
    assert!(matches!(halts_with(&plan), HaltReason::AttemptsExhausted { .. }));
}

#[test]
fn a_create_whose_fate_is_unknown_is_watched_for_after_it_was_given_up() {
    let mut world = at_phase(Phase::Creating);
    world.write(Event::CreateSent { role: Role::Ciapi });
    assert_eq!(world.plan().reason.code, "may-show-up");
    world.write(Event::TurnedBack { why: "a test".to_owned(), baseline: Baseline::default() });
    let Stage::Restoring { pending, .. } = &world.record.as_ref().unwrap().stage else { panic!() };
    let name = pending[&Role::Ciapi].clone();
    assert_eq!(world.plan().reason.code, "may-show-up");
    world.now = after(world.now, Duration::from_mins(2));
    while phase(&world) != Some(Phase::Settled) {
        world.turn();
    }
    // It turns up days later, and goes.
    let now = world.now;
    world.add(Role::Ciapi, name, now);
    let plan = world.turn();
    assert_eq!(plan.reason.code, "late-comer");
    world.turn();
    assert_eq!(world.keys[&Role::Ciapi].len(), 1);
}

#[test]
fn a_deleted_key_that_still_works_halts_after_the_time_it_may_take() {
    let mut world = at_phase(Phase::Retiring);
    while !world.journal.iter().any(|entry| entry.event.name() == "gone") {
        world.turn();
    }
    world.write(Event::Probed { role: Role::Ciapi, refused: Some(false) });
    assert_eq!(world.plan().reason.code, "probe-again");
    world.now = after(world.now, Duration::from_mins(1));
    assert!(matches!(world.plan().step, Step::Probe { .. }));
    world.now = after(world.now, Duration::from_mins(5));
    world.write(Event::Probed { role: Role::Ciapi, refused: Some(false) });
    assert!(matches!(halts_with(&world.plan()), HaltReason::OldKeyStillWorks { role: Role::Ciapi }));
}

#[test]
fn the_way_back_can_halt_too() {
    let mut world = at_phase(Phase::Provisioning);
    world.write(Event::TurnedBack { why: "a test".to_owned(), baseline: Baseline::default() });
    assert_eq!(refused(at_back(), "deliver", Class::ClientError).reason.code, "halt");
    let plan = refused(at_back(), "deliver", Class::NotFound);
    assert!(matches!(halts_with(&plan), HaltReason::ManualDelivery { .. }));
    // Put back, and it fails with the old keys too.
    world.manners.fails = 9;
    let halted = (0..60).any(|_| {
        world.turn();
        phase(&world) == Some(Phase::Halted)
    });
    assert!(halted);
    let reason = world.record.as_ref().unwrap().halt.clone().unwrap().reason;
    assert!(matches!(reason, HaltReason::RestoreFailed { .. }), "{reason:?}");
    world.manners.fails = 0;
    world.wish(Wish::Resume).unwrap();
    let settled = (0..400).any(|_| {
        world.turn();
        phase(&world) == Some(Phase::Settled)
    });
    assert!(settled);
}

fn at_back() -> World {
    let mut world = at_phase(Phase::Provisioning);
    world.write(Event::TurnedBack { why: "a test".to_owned(), baseline: Baseline::default() });
    world
}

#[test]
fn put_back_by_hand() {
    let mut world = at_back();
    world.manners.no_put = true;
    while phase(&world) != Some(Phase::Halted) {
        world.turn();
    }
    world.wish(Wish::Confirm).unwrap();
    let Stage::Restoring { watch, .. } = &world.record.as_ref().unwrap().stage else { panic!() };
    assert!(watch.is_some());
}

#[test]
fn a_stage_that_lasts_too_long_ends() {
    let check = |stage: Phase, code: &str| {
        let mut world = at_phase(stage);
        world.now = after(world.now, Duration::from_hours(24 * 30));
        assert_eq!(world.plan().reason.code, code, "{stage}");
    };
    check(Phase::Creating, "turn-back");
    check(Phase::Testing, "turn-back");
    check(Phase::Delivering, "halt");
}

#[test]
fn wishes_are_taken_where_they_make_sense() {
    let rotate =
        || Wish::Rotate { trigger: Trigger::Command, reason: "test".to_owned(), pass: Pass::default() };
    let restore = || Wish::Restore { reason: "test".to_owned() };
    let withdraw = || Wish::Withdraw { reason: "test".to_owned() };
    let mut nothing = world();
    assert!(nothing.wish(rotate()).unwrap_err().contains("nothing is known"));
    let check = |stage: Phase, wish: Wish, expected: &str| {
        let problem = at_phase(stage).wish(wish).unwrap_err();
        assert!(problem.contains(expected), "{stage}: {problem}");
    };
    check(Phase::Testing, rotate(), "under way (`testing`)");
    check(Phase::Settled, restore(), "nothing was delivered");
    check(Phase::Delivering, restore(), "not answered yet");
    check(Phase::Retiring, restore(), "too late");
    check(Phase::Settled, Wish::Resume, "not halted");
    check(Phase::Settled, Wish::Unhold, "not held");
    check(Phase::Settled, Wish::Confirm, "nothing waits");
    let mut back = at_back();
    for stage in [Phase::Restoring, Phase::Soaking, Phase::Retiring] {
        while phase(&back) != Some(stage) {
            back.turn();
        }
        let problem = back.wish(restore()).unwrap_err();
        assert!(problem.contains("back already"), "{stage}: {problem}");
    }
    let mut held = at_phase(Phase::Settled);
    held.wish(Wish::Hold { until: None, reason: "audit".to_owned() }).unwrap();
    assert!(held.wish(rotate()).unwrap_err().contains("rekeyd unhold acme/dataplane"));
    let mut asked = at_phase(Phase::Settled);
    asked.wish(rotate()).unwrap();
    assert!(asked.wish(rotate()).unwrap_err().contains("already"));
    asked.wish(withdraw()).unwrap();
    assert_eq!(asked.record.as_ref().unwrap().asked, None);
    asked.wish(rotate()).unwrap();
    check(Phase::Settled, withdraw(), "no rotation is asked for");
    check(Phase::Soaking, withdraw(), "the rotation has begun (`soaking`)");
    let mut halted = at_phase(Phase::Settled);
    halted.write(Event::Halted(HaltReason::CyclesExhausted { cycles: 3, cause: "x".to_owned() }));
    assert!(halted.wish(rotate()).unwrap_err().contains("cycles-exhausted"));
    assert!(halted.wish(Wish::Confirm).unwrap_err().contains("ends differently"));
}

#[test]
fn an_event_that_does_not_fit_is_refused() {
    let check = |world: &World, event: Event| {
        let sequence = world.journal.len() as u64 + 1;
        let entry = Entry { sequence, at: world.now, credential: world.policy.credential.clone(), event };
        let problem = fold::apply(world.record.clone(), &entry).unwrap_err();
        assert!(
            problem.to_string().contains(&format!("entry {sequence} of `acme/dataplane` does not fit")),
            "{problem}"
        );
    };
    check(&world(), Event::Completed);
    let settled = at_phase(Phase::Settled);
    check(&settled, Event::Completed);
    check(&settled, Event::Delivered { upstream_at: None });
    check(&settled, Event::Moving);
    check(&at_phase(Phase::Creating), Event::RetireBegun);
    check(
        &at_phase(Phase::Soaking),
        Event::Begun {
            rotation: rekeyd::domain::names::RotationId("x".to_owned()),
            trigger: Trigger::Schedule,
            generation: 9,
            names: std::collections::BTreeMap::new(),
            reason: String::new(),
        },
    );
    check(&at_phase(Phase::Retiring), Event::Probed { role: Role::Cirt, refused: Some(true) });
    let mut journal = settled.journal;
    journal.push(Entry {
        sequence: 2,
        at: settled.now,
        credential: settled.policy.credential,
        event: Event::Moving,
    });
    assert!(fold::fold(&journal).is_err());
}

#[test]
fn every_stage_names_its_keys_and_what_the_consumer_may_hold() {
    let check = |world: &World, keys: usize, held: usize| {
        let stage = &world.record.as_ref().unwrap().stage;
        assert_eq!((stage.keys().len(), stage.may_hold().len()), (keys, held), "{}", stage.phase());
        assert_eq!((stage.in_use().len(), stage.newest().len()), (2, 2), "{}", stage.phase());
    };
    check(&at_phase(Phase::Settled), 2, 2);
    check(&at_phase(Phase::Creating), 2, 2);
    check(&at_phase(Phase::Testing), 4, 2);
    check(&at_phase(Phase::Delivering), 4, 4);
    check(&at_phase(Phase::Provisioning), 4, 4);
    check(&at_phase(Phase::Soaking), 4, 4);
    check(&at_phase(Phase::Retiring), 4, 2);
    check(&at_back(), 4, 4);
}

#[test]
fn gates_say_why_they_are_closed() {
    let mut soaking = at_phase(Phase::Soaking);
    let record = soaking.record.clone().unwrap();
    let closed = |gates: Vec<rekeyd::domain::proof::Gate>| -> Vec<&'static str> {
        gates.into_iter().filter(|gate| !gate.open).map(|gate| gate.name).collect()
    };
    let nothing = Observation::nothing(soaking.now);
    assert_eq!(closed(soak_gates(&soaking.policy, &record, &nothing, soaking.now)), ["successors", "soak"]);
    let mut failing = nothing.clone();
    failing.status =
        Seen::Yes(Status { verdict: Verdict::Error, word: "ERROR".to_owned(), at: None, detail: None });
    assert_eq!(
        closed(soak_gates(&soaking.policy, &record, &failing, soaking.now)),
        ["consumer", "successors", "soak"]
    );
    let later = after(soaking.now, Duration::from_hours(72));
    assert_eq!(
        closed(soak_gates(&soaking.policy, &record, &nothing, later)),
        ["evidence fresh", "successors", "soak"]
    );
    soaking.policy.pin.issuer = "https://elsewhere.example".to_owned();
    assert!(closed(soak_gates(&soaking.policy, &record, &nothing, later)).contains(&"environment"));
    // Gates of another stage are closed.
    assert_eq!(closed(retire_gates(&soaking.policy, &record, &nothing, Role::Cirt, later)), ["retiring"]);
    let settled = at_phase(Phase::Settled).record.unwrap();
    assert_eq!(closed(soak_gates(&soaking.policy, &settled, &nothing, later)), ["soaking"]);
    assert_eq!(u8::from(required_grade(&soaking.policy, &settled)), 4);
    // An old set that rekeyd did not make.
    let retiring = at_phase(Phase::Retiring);
    let mut strict = retiring.policy.clone();
    strict.retire_foreign = false;
    let record = retiring.record.clone().unwrap();
    assert!(closed(retire_gates(&strict, &record, &nothing, Role::Ciapi, retiring.now)).contains(&"origin"));
}

#[test]
fn what_differs_between_two_environments_is_named() {
    let pin = policy().pin;
    assert_eq!(pin_difference(&pin, &pin), None);
    let mut other = pin.clone();
    other.places.remove(&Role::Cirt);
    assert_eq!(pin_difference(&pin, &other).unwrap(), "service instance of `cirt` `two`, now `nothing`");
    let mut other = pin.clone();
    other.issuer = "x".to_owned();
    assert!(pin_difference(&pin, &other).unwrap().starts_with("issuer"));
}

#[test]
fn blind_looks_wait_longer_each_time_and_do_nothing() {
    for stage in [Phase::Settled, Phase::Creating, Phase::Soaking, Phase::Retiring] {
        let mut world = at_phase(stage);
        world.now = after(world.now, Duration::from_hours(50));
        let record = world.record.clone();
        let unseen = || Failure::new(Class::Connect, "refused");
        let mut last = world.now;
        for blind in 1..6 {
            let observation = Observation {
                keys: Seen::Unknown(unseen()),
                status: Seen::Unknown(unseen()),
                content: Seen::Unknown(unseen()),
                blind,
                ..Observation::nothing(world.now)
            };
            let plan = plan::plan(&world.policy, record.as_ref(), &observation, world.now);
            assert_eq!((&plan.step, plan.reason.code), (&Step::Rest, "cannot-see"), "{stage}: {plan:?}");
            let plan::NextLook::At(next) = plan.next_look else { panic!("{plan:?}") };
            assert!(next >= last, "{stage}");
            last = next;
        }
    }
    let observation = Observation {
        keys: Seen::Unknown(Failure::new(Class::Tls, "x")),
        ..Observation::nothing(world().now)
    };
    assert_eq!(plan::plan(&policy(), None, &observation, world().now).reason.code, "cannot-see");
    assert_eq!(
        plan::plan(&policy(), None, &Observation::nothing(world().now), world().now).reason.code,
        "not-looked"
    );
}

#[test]
fn where_it_is_always_asked_for_provisioning_comes_first() {
    let mut policy = policy();
    policy.provision = Provision::Always;
    let mut world = World::new(policy, 1, 0, Manners::default());
    let done = (0..400).any(|_| {
        world.turn();
        world.journal.iter().any(|entry| entry.event.name() == "completed")
    });
    assert!(done);
    let events: Vec<_> = world.journal.iter().map(|entry| entry.event.name()).collect();
    let place = |name: &str| events.iter().position(|event| *event == name).unwrap();
    assert!(place("provisioned") < place("proven"));
}

#[test]
fn no_key_and_a_wrong_name_are_not_adopted() {
    let mut empty = world();
    empty.keys.insert(Role::Cirt, Vec::new());
    assert!(empty.turn().reason.person.unwrap().contains("create the first one"));
    let mut named = world();
    named.policy.in_use.insert(Role::Cirt, KeyName("nobody".to_owned()));
    assert!(named.turn().reason.person.unwrap().contains("no `cirt` key named `nobody`"));
}
