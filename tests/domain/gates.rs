//! Each gate on its own: with everything else open, one that is closed keeps the key.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rekeyd::domain::event::Event;
use rekeyd::domain::evidence::{Baseline, Grade};
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::key::KeyState;
use rekeyd::domain::names::{KeyName, Role};
use rekeyd::domain::observation::{Content, Observation, Seen, Status, Verdict};
use rekeyd::domain::plan::looks;
use rekeyd::domain::policy::{Policy, Provision};
use rekeyd::domain::proof::{Gate, RetireProof, UndeliveredProof, renewals_since_gone, soak_gates};
use rekeyd::domain::record::{Asking, Halt, Hold, Record};
use rekeyd::domain::retirement::Retirement;
use rekeyd::domain::stage::{Phase, Stage};
use rekeyd::domain::{Timestamp, after};

use super::policy;
use super::walk::{count, phase, walk};
use super::world::{Manners, World};

/// Everything a deletion is judged by.
#[derive(Clone)]
struct Case {
    policy: Policy,
    record: Record,
    seen: Observation,
    role: Role,
    now: Timestamp,
}

impl Case {
    /// What is in the world now.
    fn of(mut world: World, role: Role) -> Self {
        let record = world.record.clone().unwrap();
        let seen = world.observe(looks(&world.policy, Some(&record), world.now));
        Self { policy: world.policy, record, seen, role, now: world.now }
    }

    fn retirement(&mut self) -> &mut Retirement {
        let Stage::Retiring { retirement, .. } = &mut self.record.stage else { panic!("it retires") };
        retirement
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut other = self.clone();
        change(&mut other);
        other
    }

    fn proof(&self) -> Result<RetireProof, Vec<Gate>> {
        RetireProof::of(&self.policy, &self.record, &self.seen, self.role, self.now)
    }

    fn opens(&self) {
        assert!(self.proof().is_ok(), "every gate is open: {:?}", self.proof());
    }

    /// This gate is closed, and no other.
    fn is_kept_by(&self, name: &str) {
        let gates = self.proof().expect_err(name);
        let closed: Vec<_> = gates.iter().filter(|gate| !gate.open).map(|gate| gate.name).collect();
        assert_eq!(closed, [name]);
    }
}

/// The old `ciapi` is about to go.
fn first() -> Case {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Retiring)));
    Case::of(world, Role::Ciapi)
}

/// The old `cirt` is about to go, on a proof by exclusion.
fn second() -> Case {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| count(world, "proven") == 2));
    Case::of(world, Role::Cirt)
}

fn seen(verdict: Verdict) -> Seen<Status> {
    Seen::Yes(Status { verdict, word: verdict.as_str().to_owned(), at: None, detail: None })
}

fn nothing<T>() -> Seen<T> {
    Seen::Unknown(Failure::new(Class::Timeout, "no answer within 30 s"))
}

#[test]
fn evidence_must_be_good_enough() {
    let first = first();
    first.opens();
    for grade in [Grade::Nothing, Grade::Token, Grade::Read, Grade::Accepted] {
        first.with(|case| case.retirement().evidence.grade = grade).is_kept_by("evidence");
    }
    let second = second();
    second.opens();
    second.with(|case| case.retirement().evidence.grade = Grade::Acted).is_kept_by("evidence");
}

#[test]
fn evidence_must_be_fresh() {
    let first = first();
    first.with(|case| case.now = after(case.now, Duration::from_mins(16))).is_kept_by("evidence fresh");
}

#[test]
fn the_consumer_must_be_seen_and_not_fail() {
    let first = first();
    first.with(|case| case.seen.status = seen(Verdict::Error)).is_kept_by("consumer");
    first.with(|case| case.seen.status = nothing()).is_kept_by("consumer");
    let none = || Seen::Unknown(Failure::new(Class::NotFound, "404"));
    first.with(|case| case.seen.status = none()).opens();
}

#[test]
fn a_consumer_that_somebody_else_deployed_is_left_alone() {
    let first = first();
    let deploys = |case: &mut Case, after_proof: Duration| {
        let Stage::Retiring { retirement, .. } = &case.record.stage else { panic!("it retires") };
        let deployed_at = Some(after(retirement.evidence.reached_at, after_proof));
        case.seen.content = Seen::Yes(Content { deployed_at, started: true });
    };
    first.with(|case| deploys(case, Duration::from_mins(36))).is_kept_by("unchanged");
    first.with(|case| deploys(case, Duration::from_mins(35))).opens();
    // One that deploys without being asked may do so again.
    let alone = first.with(|case| case.record.asked_to_provision = Asking::No);
    alone.with(|case| deploys(case, Duration::from_mins(36))).opens();
    // A clock of ours that went back since the proof does not move what the consumer's clock said.
    let back = first.with(|case| {
        let evidence = &mut case.retirement().evidence;
        evidence.deployed_at = Some(after(evidence.reached_at, Duration::from_hours(24)));
    });
    back.with(|case| deploys(case, Duration::from_hours(24))).opens();
    back.with(|case| deploys(case, Duration::from_mins(24 * 60 + 35))).opens();
    back.with(|case| deploys(case, Duration::from_mins(24 * 60 + 36))).is_kept_by("unchanged");
}

#[test]
fn the_successors_must_be_seen() {
    let first = first();
    first.with(|case| case.seen.keys = nothing()).is_kept_by("successors");
    first.with(|case| case.seen.keys = Seen::NotAsked).is_kept_by("successors");
    for role in Role::PAIR {
        let gone = |case: &mut Case| {
            let Seen::Yes(keys) = &mut case.seen.keys else { panic!("they were seen") };
            keys.get_mut(&role).unwrap().retain(|seen| seen.key.name.parse_ours().is_none());
        };
        first.with(gone).is_kept_by("successors");
        let busy = |case: &mut Case| {
            let Seen::Yes(keys) = &mut case.seen.keys else { panic!("they were seen") };
            keys.get_mut(&role).unwrap().iter_mut().for_each(|seen| seen.state = KeyState::Deleting);
        };
        first.with(busy).is_kept_by("successors");
    }
}

#[test]
fn a_hold_and_a_halt_close_the_way() {
    let first = first();
    let hold = |until| Some(Hold { until, reason: "audit".to_owned() });
    first.with(|case| case.record.hold = hold(None)).is_kept_by("hold");
    first
        .with(|case| case.record.hold = hold(Some(after(case.now, Duration::from_secs(1)))))
        .is_kept_by("hold");
    first.with(|case| case.record.hold = hold(Some(case.now))).opens();
    let halt = |case: &mut Case| {
        case.record.halt = Some(Halt { reason: HaltReason::Indeterminate, at: case.now });
    };
    first.with(halt).is_kept_by("halt");
}

#[test]
fn the_environment_must_be_the_journalled_one() {
    let first = first();
    first.with(|case| case.policy.pin.issuer = "https://elsewhere".to_owned()).is_kept_by("environment");
    first.with(|case| case.policy.pin.consumer = "https://elsewhere".to_owned()).is_kept_by("environment");
    let moved = |case: &mut Case| {
        case.policy.pin.places.insert(Role::Cirt, "another".to_owned());
    };
    first.with(moved).is_kept_by("environment");
}

#[test]
fn a_foreign_key_stays() {
    first().with(|case| case.policy.retire_foreign = false).is_kept_by("origin");
}

#[test]
fn a_key_in_use_is_not_an_old_one() {
    let twin = |case: &mut Case| {
        let fresh = case.record.stage.in_use()[&Role::Ciapi].clone();
        case.retirement().old.insert(Role::Ciapi, fresh);
    };
    first().with(twin).is_kept_by("identity");
}

#[test]
fn after_a_failed_exclusion_nothing_goes() {
    let failed = |case: &mut Case| case.retirement().exclusion_failed = Some("it fails".to_owned());
    first().with(failed).is_kept_by("exclusion");
    second().with(failed).is_kept_by("exclusion");
}

#[test]
fn after_a_deletion_the_consumer_is_proven_again() {
    second().with(|case| case.retirement().proven_since = false).is_kept_by("proven since");
}

#[test]
fn where_no_exclusion_can_be_had_a_second_soak_passes() {
    let mut case = second().with(|case| {
        case.policy.provision = Provision::Never;
        case.record.asked_to_provision = Asking::No;
        case.retirement().evidence.grade = Grade::Acted;
    });
    let gone = case.retirement().last_gone_at.unwrap();
    case.now = after(gone, Duration::from_hours(48) - Duration::from_secs(1));
    case.retirement().evidence.renewed_at = case.now;
    case.record.renewals = renewals_since_gone(&case.policy);
    case.is_kept_by("second soak");
    case.now = after(gone, Duration::from_hours(48));
    case.opens();
    // Time that nobody watched is no soak.
    case.with(|case| case.record.renewals -= 1).is_kept_by("second soak");
    // What was asked for once can be had again, or that is for a person to say.
    for asked in [Asking::Perhaps, Asking::Yes] {
        case.with(|case| case.record.asked_to_provision = asked).is_kept_by("evidence");
    }
}

#[test]
fn the_soak_counts_from_the_proof() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Soaking)));
    let Stage::Soaking { evidence, .. } = &world.record.as_ref().unwrap().stage else { panic!("it soaks") };
    let (proven, begun) =
        (evidence.reached_at, world.record.as_ref().unwrap().rotation.as_ref().unwrap().begun_at);
    assert!(proven > after(begun, Duration::from_mins(5)), "the proof came well after the begin");
    let case = Case::of(world, Role::Ciapi);
    let watched = case.policy.renewals_over(case.policy.soak);
    let closed = |now: Timestamp, renewals: u32| -> Vec<&'static str> {
        let mut record = case.record.clone();
        record.renewals = renewals;
        let Stage::Soaking { evidence, .. } = &mut record.stage else { panic!("it soaks") };
        evidence.renewed_at = now;
        let gates = soak_gates(&case.policy, &record, &case.seen, now);
        gates.iter().filter(|gate| !gate.open).map(|gate| gate.name).collect()
    };
    assert_eq!(closed(after(begun, Duration::from_hours(48)), watched), ["soak"]);
    assert_eq!(closed(after(proven, Duration::from_hours(48) - Duration::from_secs(1)), watched), ["soak"]);
    assert_eq!(closed(after(proven, Duration::from_hours(48)), watched), [""; 0]);
    assert_eq!(closed(after(proven, Duration::from_hours(48)), watched - 1), ["soak"], "nobody watched");
}

#[test]
fn only_what_was_never_delivered_is_cleared_away() {
    let turned_back = |wanted: Phase| {
        let mut world = World::new(policy(), 1, 0, Manners::default());
        assert!(walk(&mut world, 200, |world, _| phase(world) == Some(wanted)));
        let record = world.record.as_ref().unwrap();
        let fresh = record.stage.newest()[&Role::Ciapi].clone();
        world.write(Event::TurnedBack { why: "a test".to_owned(), baseline: Baseline::default() });
        (world.record.unwrap(), fresh)
    };
    let (record, fresh) = turned_back(Phase::Testing);
    assert!(UndeliveredProof::of(&record, &fresh).is_some(), "nobody was given it");
    let mut foreign = fresh;
    foreign.name = KeyName("by-hand".to_owned());
    assert!(UndeliveredProof::of(&record, &foreign).is_none(), "rekeyd did not make it");
    for stage in [Phase::Delivering, Phase::Provisioning, Phase::Soaking] {
        let (mut record, fresh) = turned_back(stage);
        assert!(UndeliveredProof::of(&record, &fresh).is_none(), "{stage}: it was delivered");
        // Not even where the stage forgot what the consumer may hold.
        record.abandoned.insert(fresh.name.clone(), Role::Ciapi);
        assert!(UndeliveredProof::of(&record, &fresh).is_none(), "{stage}: it was delivered");
    }
}

/// The property itself, whatever the gates say: the assertion stands behind them.
#[test]
fn what_the_consumer_may_hold_is_never_permitted() {
    let failed = first().with(|case| case.retirement().exclusion_failed = Some("it fails".to_owned()));
    let key = failed.clone().retirement().old[&Role::Ciapi].id.clone();
    assert!(failed.record.stage.may_hold().contains(&key));
    let permitted = catch_unwind(AssertUnwindSafe(|| failed.proof().is_ok())).unwrap_or(false);
    assert!(!permitted, "a permit for a key that the consumer may hold");
}
