//! The rules over the whole fleet: gates, stages, the fuse and the halt, folded from the journal.

use std::time::Duration;

use proptest::prelude::*;
use rekeyd::domain::event::{Entry, Event, Trigger, Wish};
use rekeyd::domain::evidence::{Baseline, Basis, Evidence, Grade};
use rekeyd::domain::fleet::{
    self, Candidate, Fleet, FleetEvent, FleetHaltReason, Opening, Pass, Progress, Rules, admit, time_to_end,
};
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::key::{Key, KeySet};
use rekeyd::domain::names::{CredentialId, KeyId, KeyName, Role, RotationId};
use rekeyd::domain::observation::Observation;
use rekeyd::domain::plan::rotation_due;
use rekeyd::domain::policy::Policy;
use rekeyd::domain::{Timestamp, after, before};

use super::{at, policy};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn id(number: usize) -> CredentialId {
    format!("t{number:05}/dataplane").parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-06-01T12:00:00Z")
}

/// A fleet whose journal the test writes.
#[derive(Default)]
struct Story {
    fleet: Fleet,
    sequence: u64,
}

impl Story {
    fn write(&mut self, at: Timestamp, credential: CredentialId, event: Event) {
        self.sequence += 1;
        let entry = Entry { sequence: self.sequence, at, credential, event };
        let text = serde_json::to_string(&entry).unwrap();
        self.fleet.apply(&serde_json::from_str(&text).unwrap());
    }

    fn own(&mut self, at: Timestamp, event: FleetEvent) {
        self.write(at, CredentialId::fleet(), Event::Fleet(event));
    }

    fn admit(&mut self, number: usize, at: Timestamp) {
        let (pass, release) = (Pass::default(), Rules::default().release);
        self.own(
            at,
            FleetEvent::Admitted { credential: id(number), pass, window_overridden: false, release },
        );
    }

    fn begin(&mut self, number: usize, at: Timestamp) {
        let event = Event::Begun {
            rotation: RotationId("r".to_owned()),
            trigger: Trigger::Schedule,
            generation: 1,
            names: [].into(),
            reason: "test".to_owned(),
        };
        self.write(at, id(number), event);
    }

    fn prove(&mut self, number: usize, at: Timestamp) {
        let evidence = Evidence::seen(Grade::Acted, Basis::Report, &Observation::nothing(at), at);
        self.write(at, id(number), Event::Proven { evidence });
    }

    fn soak(&mut self, number: usize, at: Timestamp) {
        self.write(at, id(number), Event::RetireBegun);
    }

    fn fail(&mut self, number: usize, at: Timestamp) {
        let event = Event::TurnedBack { why: "it fails".to_owned(), baseline: Baseline::default() };
        self.write(at, id(number), event);
    }

    /// A rotation from its admission to the end of its soak.
    fn whole(&mut self, number: usize, at: Timestamp) {
        self.admit(number, at);
        self.begin(number, at);
        self.prove(number, after(at, HOUR));
        self.soak(number, after(at, 49 * HOUR));
    }
}

fn candidate(credential: &CredentialId, size: usize) -> Candidate<'_> {
    Candidate {
        credential,
        ends_at: Some(after(now(), 30 * DAY)),
        pass: Pass::default(),
        soak: 48 * HOUR,
        opening: Opening::Always,
        ahead: 0,
        size,
    }
}

/// The closed gates, by name.
fn closed(rules: &Rules, fleet: &Fleet, candidate: &Candidate<'_>, now: Timestamp) -> Vec<&'static str> {
    match admit(rules, fleet, candidate, now) {
        Ok(_) => Vec::new(),
        Err(gates) => gates.iter().filter(|gate| !gate.open).map(|gate| gate.name).collect(),
    }
}

fn check(story: &Story, size: usize, now: Timestamp, expected: &[&str]) {
    let id = id(99_999);
    assert_eq!(closed(&Rules::default(), &story.fleet, &candidate(&id, size), now), expected);
}

#[test]
fn the_canary_goes_alone_until_it_has_soaked_then_growing_shares() {
    let mut story = Story::default();
    check(&story, 100, now(), &[]);
    story.admit(0, now());
    check(&story, 100, now(), &["share"]);
    story.begin(0, now());
    story.prove(0, after(now(), HOUR));
    check(&story, 100, after(now(), HOUR), &["share"]);
    story.soak(0, after(now(), 49 * HOUR));
    // Five of a hundred next.
    for number in 1..=5 {
        check(&story, 100, after(now(), 50 * HOUR), &[]);
        story.admit(number, after(now(), 50 * HOUR));
    }
    check(&story, 100, after(now(), 50 * HOUR), &["share"]);
    for number in 1..=5 {
        story.begin(number, after(now(), 50 * HOUR));
        story.prove(number, after(now(), 51 * HOUR));
        story.soak(number, after(now(), 100 * HOUR));
    }
    // Then 25, of which the fuse lets ten begin a day.
    for number in 6..16 {
        check(&story, 100, after(now(), 101 * HOUR), &[]);
        story.admit(number, after(now(), 101 * HOUR));
    }
    check(&story, 100, after(now(), 101 * HOUR), &["fuse"]);
}

#[test]
fn once_the_second_share_has_soaked_all_may_go() {
    let mut story = Story::default();
    for number in 0..31 {
        story.whole(number, after(now(), DAY * u32::try_from(number).unwrap()));
    }
    let later = after(now(), 40 * DAY);
    for number in 31..41 {
        check(&story, 100, later, &[]);
        story.admit(number, later);
    }
    check(&story, 100, later, &["fuse"]);
    check(&story, 100, after(later, DAY), &[]);
}

#[test]
fn what_another_release_did_or_what_is_long_ago_speaks_for_nothing() {
    let mut story = Story::default();
    story.whole(0, now());
    let rules = Rules { release: "next".to_owned(), ..Rules::default() };
    assert_eq!(story.fleet.successes(&Rules::default(), false, after(now(), 50 * HOUR)), 1);
    assert_eq!(story.fleet.successes(&rules, false, after(now(), 50 * HOUR)), 0);
    assert_eq!(story.fleet.successes(&Rules::default(), false, after(now(), 120 * DAY)), 0);
}

#[test]
fn in_a_hurry_a_proof_is_enough_and_a_halt_still_holds() {
    let mut story = Story::default();
    story.admit(0, now());
    story.begin(0, now());
    let id = id(1);
    let hurried = Candidate { pass: Pass { fuse: false, emergency: true }, ..candidate(&id, 100) };
    let near = Candidate { ends_at: Some(after(now(), 3 * DAY)), ..candidate(&id, 100) };
    let rules = Rules::default();
    assert_eq!(closed(&rules, &story.fleet, &hurried, now()), ["share"]);
    story.prove(0, after(now(), HOUR));
    assert_eq!(closed(&rules, &story.fleet, &hurried, after(now(), HOUR)), [""; 0]);
    assert_eq!(closed(&rules, &story.fleet, &near, after(now(), HOUR)), [""; 0]);
    check(&story, 100, after(now(), HOUR), &["share"]);
    story.own(
        after(now(), HOUR),
        FleetEvent::Halted(FleetHaltReason::LockOut { credential: id.clone(), cause: "x".to_owned() }),
    );
    assert_eq!(closed(&rules, &story.fleet, &hurried, after(now(), HOUR)), ["fleet halt"]);
}

#[test]
fn a_canary_that_fails_halts_the_fleet_until_a_person_resumes_it() {
    let mut story = Story::default();
    story.admit(0, now());
    story.begin(0, now());
    story.fail(0, after(now(), HOUR));
    let alarm = story.fleet.alarm(&Rules::default(), 100, after(now(), HOUR)).unwrap();
    assert!(matches!(&alarm, FleetHaltReason::CanaryFailed { credential, .. } if *credential == id(0)));
    assert_eq!(
        story.fleet.alarm(&Rules::default(), 1, after(now(), HOUR)),
        None,
        "a fleet of one has its own limits"
    );
    story.own(after(now(), HOUR), FleetEvent::Halted(alarm));
    check(&story, 100, after(now(), 200 * DAY), &["fleet halt"]);
    assert_eq!(story.fleet.alarm(&Rules::default(), 100, after(now(), HOUR)), None, "it is said once");
    story.own(after(now(), 2 * HOUR), FleetEvent::Resumed { reason: "fixed".to_owned() });
    check(&story, 100, after(now(), 2 * HOUR), &[]);
    assert_eq!(
        story.fleet.alarm(&Rules::default(), 100, after(now(), 2 * HOUR)),
        None,
        "older failures are forgiven"
    );
}

/// Failures are counted for a week; a canary may take longer than that.
#[test]
fn a_canary_that_fails_after_a_long_time_halts_the_fleet() {
    let mut story = Story::default();
    story.admit(0, now());
    story.begin(0, now());
    story.fail(0, after(now(), 10 * DAY));
    let alarm = story.fleet.alarm(&Rules::default(), 100, after(now(), 10 * DAY));
    assert!(matches!(&alarm, Some(FleetHaltReason::CanaryFailed { .. })), "{alarm:?}");
}

#[test]
fn too_large_a_share_of_failures_halts() {
    let mut story = Story::default();
    story.whole(0, now());
    let later = after(now(), 50 * HOUR);
    for number in 1..=9 {
        story.admit(number, later);
        story.begin(number, later);
    }
    for (number, halts) in [(1, false), (2, false), (3, true)] {
        story.fail(number, after(later, HOUR));
        let alarm = story.fleet.alarm(&Rules::default(), 100, after(later, HOUR));
        assert_eq!(alarm.is_some(), halts, "{number} of 10 failed, 20 % may: {alarm:?}");
    }
}

#[test]
fn any_lock_out_halts_at_once() {
    for event in [
        Event::ExclusionFailed { detail: "x".to_owned() },
        Event::Halted(HaltReason::RestoreFailed { detail: "x".to_owned() }),
    ] {
        let mut story = Story::default();
        for number in 0..40 {
            story.whole(number, now());
        }
        story.write(after(now(), 50 * HOUR), id(3), event);
        let alarm = story.fleet.alarm(&Rules::default(), 100, after(now(), 50 * HOUR));
        assert!(matches!(alarm, Some(FleetHaltReason::LockOut { .. })), "{alarm:?}");
    }
}

#[test]
fn a_halt_of_a_credential_at_rest_is_no_failure_of_the_fleet() {
    let mut story = Story::default();
    story.whole(0, now());
    story.write(after(now(), 50 * HOUR), id(0), Event::Halted(HaltReason::Indeterminate));
    assert!(matches!(story.fleet.attempts[&id(0)].progress, Progress::Soaked(_)));
}

#[test]
fn a_person_who_sees_to_a_stop_makes_it_count_again() {
    let mut story = Story::default();
    story.admit(0, now());
    story.begin(0, now());
    story.write(now(), id(0), Event::Halted(HaltReason::Indeterminate));
    assert!(matches!(story.fleet.attempts[&id(0)].progress, Progress::Failed { .. }));
    story.write(now(), id(0), Event::Wished(Wish::Confirm));
    story.prove(0, now());
    assert_eq!(story.fleet.attempts[&id(0)].progress, Progress::Proven);
}

#[test]
fn a_rotation_whose_proof_is_void_after_its_soak_is_no_success_and_counts_as_under_way_again() {
    let mut story = Story::default();
    let begun = before(now(), 60 * HOUR);
    story.whole(0, begun);
    let rules = Rules { rotations_at_once: 1, ..Rules::default() };
    assert_eq!(story.fleet.successes(&rules, false, now()), 1);
    let changed = HaltReason::ConsumerChanged { deployed_at: before(now(), 2 * HOUR) };
    story.write(before(now(), HOUR), id(0), Event::Halted(changed));
    assert_eq!(story.fleet.successes(&rules, false, now()), 0);
    story.write(now(), id(0), Event::Wished(Wish::Resume));
    let closed = closed(&rules, &story.fleet, &candidate(&id(1), 20), now());
    assert!(closed.contains(&"at once"), "{closed:?}");
    story.prove(0, now());
    story.soak(0, after(now(), 49 * HOUR));
    assert_eq!(story.fleet.successes(&rules, false, after(now(), 50 * HOUR)), 1);
}

#[test]
fn a_rotation_that_is_over_holds_up_nobody() {
    let rules = Rules::default();
    // It turned back and ended, the credential halted, and a person saw to it.
    let mut resumed = Story::default();
    resumed.whole(1, before(now(), 10 * DAY));
    resumed.admit(0, now());
    resumed.begin(0, now());
    resumed.fail(0, now());
    resumed.write(now(), id(0), Event::Completed);
    let halt = HaltReason::CyclesExhausted { cycles: 3, cause: "it fails".to_owned() };
    resumed.write(now(), id(0), Event::Halted(halt));
    resumed.write(now(), id(0), Event::Wished(Wish::Resume));
    // It was given up half-way, since a person put other keys in place.
    let mut given_up = Story::default();
    given_up.whole(1, before(now(), 10 * DAY));
    given_up.admit(0, now());
    given_up.begin(0, now());
    given_up.prove(0, now());
    let halt = HaltReason::LiveKeyGone { role: Role::Cirt, name: KeyName("gone".to_owned()) };
    given_up.write(now(), id(0), Event::Halted(halt));
    given_up.write(now(), id(0), Event::Wished(Wish::Confirm));
    let pin = policy().pin;
    let adopted = Event::Adopted { live: KeySet::new(), generation: 1, pin, others: [].into() };
    given_up.write(now(), id(0), adopted);
    for story in [resumed, given_up] {
        assert!(closed(&rules, &story.fleet, &candidate(&id(0), 5), now()).is_empty(), "{:?}", story.fleet);
    }
}

#[test]
fn who_stopped_half_way_counts_again_although_the_halt_of_the_fleet_was_ended_first() {
    let rules = Rules { rotations_at_once: 1, canary: false, ..Rules::default() };
    let mut story = Story::default();
    story.admit(0, now());
    story.begin(0, now());
    story.write(now(), id(0), Event::Halted(HaltReason::Indeterminate));
    story.own(now(), FleetEvent::Resumed { reason: "it was looked at".to_owned() });
    assert_eq!(story.fleet.alarm(&rules, 1, now()), None, "it is forgiven");
    assert!(closed(&rules, &story.fleet, &candidate(&id(1), 5), now()).is_empty());
    story.write(now(), id(0), Event::Wished(Wish::Resume));
    assert_eq!(closed(&rules, &story.fleet, &candidate(&id(1), 5), now()), ["at once"]);
    story.write(now(), id(0), Event::Halted(HaltReason::Indeterminate));
    assert!(story.fleet.alarm(&Rules::default(), 5, now()).is_some(), "what comes of it now counts");
}

#[test]
fn the_fuse_counts_a_day_back_and_what_was_admitted_on_a_clock_that_was_ahead() {
    let rules = Rules { canary: false, ..Rules::default() };
    let id = id(500);
    let mut story = Story::default();
    for number in 0..10 {
        story.admit(number, after(now(), 400 * DAY));
    }
    assert_eq!(closed(&rules, &story.fleet, &candidate(&id, 50), now()), ["fuse"], "the clock was set back");
    assert_eq!(closed(&rules, &story.fleet, &candidate(&id, 50), after(now(), 401 * DAY)), [""; 0]);
    let meant = Candidate { pass: Pass { fuse: true, emergency: false }, ..candidate(&id, 50) };
    assert_eq!(closed(&rules, &story.fleet, &meant, now()), [""; 0]);
    assert_eq!(Rules::default().fuse_limit(1000), 100, "a percentage of a large fleet");
}

#[test]
fn a_rotation_that_nobody_admitted_counts_for_the_fuse() {
    let mut story = Story::default();
    story.begin(0, now());
    assert_eq!(story.fleet.admitted_lately(now()), 1);
    story.admit(1, now());
    story.begin(1, now());
    assert_eq!(story.fleet.admitted_lately(now()), 2, "an admission and its begin are one");
}

#[test]
fn an_admission_that_nothing_followed_lapses() {
    let mut story = Story::default();
    story.admit(0, now());
    assert!(story.fleet.is_admitted(&id(0), now()));
    check(&story, 100, after(now(), HOUR), &[]);
    assert!(!story.fleet.is_admitted(&id(0), after(now(), HOUR)));
    assert_eq!(story.fleet.admitted_lately(after(now(), HOUR)), 1, "and still counts for the fuse");
}

#[test]
fn windows_are_closed_normally_and_open_to_safety() {
    let (story, id) = (Story::default(), id(1));
    let in_week = after(now(), 7 * DAY);
    let with = |opening, ends_at, emergency| Candidate {
        opening,
        ends_at,
        pass: Pass { fuse: false, emergency },
        ..candidate(&id, 100)
    };
    let far = Some(after(now(), 60 * DAY));
    let rules = Rules::default();
    let shut = |candidate: &Candidate<'_>| closed(&rules, &story.fleet, candidate, now());
    assert_eq!(shut(&with(Opening::Closed(Some(in_week)), far, false)), ["maintenance window"]);
    assert_eq!(shut(&with(Opening::Open(in_week), far, false)), [""; 0]);
    assert_eq!(shut(&with(Opening::Closed(None), far, false)), [""; 0]);
    assert_eq!(shut(&with(Opening::Closed(Some(in_week)), Some(in_week), false)), [""; 0]);
    assert_eq!(shut(&with(Opening::Closed(Some(in_week)), far, true)), [""; 0], "the keys are exposed");
    let overridden = with(Opening::Closed(Some(in_week)), Some(in_week), false);
    assert!(admit(&rules, &story.fleet, &overridden, now()).unwrap().window_overridden);
}

#[test]
fn who_has_the_least_time_left_goes_first() {
    let (story, id) = (Story::default(), id(1));
    let second = Candidate { ahead: 1, ..candidate(&id, 100) };
    assert_eq!(
        closed(&Rules::default(), &story.fleet, &second, now()),
        ["share"],
        "another one is the canary"
    );
    let rules = Rules { canary: false, ..Rules::default() };
    assert_eq!(closed(&rules, &story.fleet, &second, now()), [""; 0], "there is room for both");
    let tenth = Candidate { ahead: 10, ..candidate(&id, 100) };
    assert_eq!(closed(&rules, &story.fleet, &tenth, now()), ["fuse"]);
}

#[test]
fn only_so_many_are_under_way_at_once() {
    let (mut story, id) = (Story::default(), id(500));
    let rules = Rules { canary: false, rotations_at_once: 2, ..Rules::default() };
    for number in 0..2 {
        assert_eq!(closed(&rules, &story.fleet, &candidate(&id, 100), now()), [""; 0]);
        story.admit(number, now());
        story.begin(number, now());
    }
    assert_eq!(closed(&rules, &story.fleet, &candidate(&id, 100), now()), ["at once"]);
    story.prove(0, after(now(), HOUR));
    assert_eq!(closed(&rules, &story.fleet, &candidate(&id, 100), after(now(), HOUR)), [""; 0]);
}

#[test]
fn the_time_to_the_end_counts_lanes_stages_and_days() {
    let fleet = Fleet::default();
    let rules = Rules { rotations_at_once: 10, canary: false, ..Rules::default() };
    let meant = Pass { fuse: true, emergency: true };
    assert_eq!(time_to_end(&rules, &fleet, 100, HOUR, meant, 1000, now()), 10 * HOUR);
    assert_eq!(time_to_end(&rules, &fleet, 0, HOUR, meant, 1000, now()), Duration::ZERO);
    let paced = time_to_end(&rules, &fleet, 1000, HOUR, Pass::default(), 1000, now());
    assert!(paced >= 9 * DAY, "a hundred a day: {paced:?}");
}

fn of_age(policy: &Policy, created: Timestamp) -> KeySet {
    let key = |role: Role| Key {
        id: KeyId(format!("{role}-of-{}", policy.credential)),
        name: KeyName("x".to_owned()),
        created_at: Some(created),
        expires_at: None,
    };
    Role::PAIR.into_iter().map(|role| (role, key(role))).collect()
}

/// Failure story 17: a thousand credentials of one age.
#[test]
fn credentials_of_one_age_are_spread_and_none_is_late() {
    let spread = 3 * DAY;
    let due = |number: usize| {
        let policy = Policy { credential: id(number), spread, ..policy() };
        rotation_due(&policy, &of_age(&policy, now())).unwrap().unwrap()
    };
    let latest = rotation_due(&policy(), &of_age(&policy(), now())).unwrap().unwrap();
    let all: Vec<Timestamp> = (0..1000).map(due).collect();
    assert!(all.iter().all(|at| *at <= latest && after(*at, spread) >= latest), "none past its lead");
    assert_eq!(all, (0..1000).map(due).collect::<Vec<_>>(), "a restart changes nothing");
    for eighth in 0..8_u32 {
        let from = latest - chrono::TimeDelta::hours(9 * i64::from(eighth + 1));
        let count = all.iter().filter(|at| **at > from && **at <= after(from, 9 * HOUR)).count();
        assert!((60..200).contains(&count), "{count} of 1000 in one eighth of the spread");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whoever asks whenever: never more than the fuse in any 24 hours, and nothing while the fleet is halted.
    #[test]
    fn the_fuse_holds_over_any_day(
        steps in proptest::collection::vec((0_usize..60, 0_i64..400, 0_u8..8), 1..300),
        size in 1_usize..60,
        canary: bool,
    ) {
        let rules = Rules { canary, fuse_rotations: 3, fuse_percent: 5, ..Rules::default() };
        let mut story = Story::default();
        let mut admitted: Vec<Timestamp> = Vec::new();
        let mut now = now();
        for (number, minutes, what) in steps {
            now += chrono::TimeDelta::minutes(minutes);
            let id = id(number);
            let attempt = story.fleet.attempts.get(&id).map(|attempt| attempt.progress.clone());
            match (what, attempt) {
                (0..=3, None | Some(Progress::Soaked(_) | Progress::Failed { .. })) => {
                    if let Some(reason) = story.fleet.alarm(&rules, size, now) {
                        story.own(now, FleetEvent::Halted(reason));
                    }
                    if admit(&rules, &story.fleet, &candidate(&id, size), now).is_ok() {
                        prop_assert!(story.fleet.halt.is_none());
                        story.admit(number, now);
                        story.begin(number, now);
                        admitted.push(now);
                    }
                }
                (4, Some(Progress::UnderWay)) => story.prove(number, now),
                (5, Some(Progress::Proven)) => story.soak(number, now),
                (6, Some(Progress::UnderWay)) => story.fail(number, now),
                (7, _) if story.fleet.halt.is_some() => {
                    story.own(now, FleetEvent::Resumed { reason: "test".to_owned() });
                }
                _ => {}
            }
        }
        let limit = rules.fuse_limit(size);
        for from in &admitted {
            let day = admitted.iter().filter(|at| *at >= from && **at < after(*from, fleet::FUSE_SPAN)).count();
            prop_assert!(day <= limit, "{day} in 24 hours, {limit} allowed");
        }
    }
}
