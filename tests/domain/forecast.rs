//! The forecast against the rules it is made of, and against a rotation that is then really walked.

use std::time::Duration;

use rekeyd::domain::event::{Entry, Event, Trigger, Wish};
use rekeyd::domain::fleet::{Fleet, FleetEvent, FleetHaltReason, Opening, Pass, Rules};
use rekeyd::domain::forecast::{Forecast, Member, forecast};
use rekeyd::domain::names::CredentialId;
use rekeyd::domain::policy::{Policy, Provision};
use rekeyd::domain::record::{Asked, Record};
use rekeyd::domain::stage::Phase;
use rekeyd::domain::{Timestamp, after, between};

use super::policy;
use super::walk::{phase, timeline, walk};
use super::world::{Manners, World};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The next full hour.
fn hour_after(at: Timestamp) -> Timestamp {
    let hours = at.timestamp().div_euclid(3600) + 1;
    Timestamp::from_timestamp(hours * 3600, 0).unwrap()
}

fn always(_: Timestamp) -> Opening {
    Opening::Always
}

fn member<'a>(policy: &'a Policy, record: Option<&'a Record>) -> Member<'a> {
    Member { policy, record, tick: &|at| Some(hour_after(at)), opening: &always }
}

fn of_one(world: &World, months: u32) -> Forecast {
    let until = world.now.checked_add_months(chrono::Months::new(months)).unwrap();
    let members = [member(&world.policy, world.record.as_ref())];
    forecast(&Rules::default(), &Fleet::default(), &members, world.now, until)
}

/// A credential whose keys are ten months from due.
fn settled(policy: Policy) -> World {
    let mut world = World::new(policy, 1, 0, Manners::default());
    let now = world.now;
    for seen in world.keys.values_mut().flatten() {
        seen.key.created_at = Some(now);
    }
    assert!(walk(&mut world, 5, |world, _| phase(world) == Some(Phase::Settled)));
    world
}

/// What came of it: when it began, when the old keys began to go, and when it was over.
fn walked(world: &mut World) -> [Timestamp; 3] {
    assert!(walk(world, 4000, |world, _| super::walk::count(world, "completed") == 1), "{}", timeline(world));
    let at = |name: &str| world.journal.iter().find(|entry| entry.event.name() == name).unwrap().at;
    [at("begun"), at("retire-begun"), at("completed")]
}

/// Whatever it is compared with: the schedule ticks each hour here and each six in the walk.
fn is_near(foretold: Timestamp, real: Timestamp) -> bool {
    between(foretold, real).max(between(real, foretold)) <= 13 * HOUR
}

#[test]
fn what_is_foretold_comes_true() {
    for provision in [Provision::WhenNeeded, Provision::Always] {
        let mut world = settled(Policy { provision, ..policy() });
        let told = of_one(&world, 14);
        assert!(told.stopped.is_empty());
        let first = told.coming[0].clone();
        assert_eq!(first.begins_at, hour_after(first.due_at.unwrap() - chrono::TimeDelta::seconds(1)));
        let [begun, retired, over] = walked(&mut world);
        assert!(is_near(first.begins_at, begun), "{first:?} {begun}");
        assert!(is_near(first.retires_at, retired), "{first:?} {retired}");
        assert!(is_near(first.over_at, over), "{first:?} {over}");
        // The next one, told from afterwards, is the second of the first forecast.
        let second = of_one(&world, 14).coming[0].clone();
        let told = of_one(&settled(Policy { provision, ..policy() }), 24);
        assert_eq!(told.coming.len(), 2);
        assert!(is_near(told.coming[1].begins_at, second.begins_at), "{second:?}");
    }
}

#[test]
fn a_rotation_under_way_is_told_from_where_it_is() {
    for stop in [Phase::Creating, Phase::Provisioning, Phase::Soaking, Phase::Retiring] {
        let mut world = settled(policy());
        assert!(walk(&mut world, 4000, |world, _| phase(world) == Some(stop)), "{stop}");
        let told = of_one(&world, 10).coming;
        assert_eq!(told.len(), 1, "{stop}");
        assert!(told[0].under_way && told[0].generation == 1, "{stop}");
        let [begun, retired, over] = walked(&mut world);
        assert_eq!(told[0].begins_at, begun, "{stop}");
        assert!(is_near(told[0].retires_at, retired), "{stop}: {told:?} {retired}");
        assert!(is_near(told[0].over_at, over), "{stop}: {told:?} {over}");
    }
}

#[test]
fn who_does_not_rotate_is_named_with_what_to_do() {
    let check = |world: &World, why: &str, remedy: &str| {
        let told = of_one(world, 14);
        assert!(told.coming.is_empty(), "{why}");
        assert!(told.stopped[0].why.contains(why), "{:?}", told.stopped);
        assert!(told.stopped[0].remedy.contains(remedy), "{:?}", told.stopped);
    };
    let hold = |until| Wish::Hold { until, reason: "audit".to_owned() };
    let mut pinned = settled(policy());
    pinned.wish(hold(None)).unwrap();
    check(&pinned, "held: audit", "rekeyd unhold");
    let mut unknown = World::new(policy(), 1, 0, Manners::default());
    for seen in unknown.keys.values_mut().flatten() {
        seen.key.created_at = None;
    }
    check(&unknown, "not recognised", "rekeyd explain");
    assert!(walk(&mut unknown, 5, |world, _| world.record.is_some()));
    check(&unknown, "is not known", "rekeyd rotate");
    let mut halted = settled(policy());
    halted.manners.stuck = true;
    assert!(walk(&mut halted, 4000, |world, _| phase(world) == Some(Phase::Halted)));
    check(&halted, "halted", "rekeyd");
    // A hold that ends is waited for.
    let mut holiday = settled(policy());
    let due = of_one(&holiday, 14).coming[0].begins_at;
    let until = Some(after(due, 10 * DAY));
    holiday.wish(hold(until)).unwrap();
    let told = of_one(&holiday, 14).coming[0].clone();
    assert_eq!((Some(told.begins_at), told.held_until), (until, until));
}

#[test]
fn a_hold_that_ends_keeps_the_old_keys_until_then() {
    for stop in [Phase::Creating, Phase::Soaking, Phase::Retiring] {
        let mut world = settled(policy());
        assert!(walk(&mut world, 4000, |world, _| phase(world) == Some(stop)), "{stop}");
        let free = of_one(&world, 10).coming[0].clone();
        let until = after(world.now, 20 * DAY);
        world.wish(Wish::Hold { until: Some(until), reason: "audit".to_owned() }).unwrap();
        let told = of_one(&world, 10).coming[0].clone();
        assert_eq!((free.held_until, told.held_until), (None, Some(until)), "{stop}");
        assert!(told.retires_at == until || stop == Phase::Retiring, "{stop}: {told:?}");
        let [_, _, over] = walked(&mut world);
        assert!(told.over_at > until && is_near(told.over_at, over), "{stop}: {told:?} {over}");
    }
}

/// As many credentials as that, of one age.
fn fleet_of(size: usize) -> Vec<(Policy, Record)> {
    let world = settled(policy());
    let one = |number: usize| {
        let credential: CredentialId = format!("t{number:05}/dataplane").parse().unwrap();
        let record = Record { credential: credential.clone(), ..world.record.clone().unwrap() };
        (Policy { credential, ..policy() }, record)
    };
    (0..size).map(one).collect()
}

fn of_fleet(known: &[(Policy, Record)], fleet: &Fleet, opening: &dyn Fn(Timestamp) -> Opening) -> Forecast {
    let members: Vec<Member<'_>> =
        known.iter().map(|(policy, record)| Member { opening, ..member(policy, Some(record)) }).collect();
    let now = settled(policy()).now;
    forecast(&Rules::default(), fleet, &members, now, after(now, 400 * DAY))
}

#[test]
fn a_fleet_is_foretold_by_its_own_rules() {
    let told = of_fleet(&fleet_of(60), &Fleet::default(), &always);
    assert!(told.stopped.is_empty());
    let begins: Vec<Timestamp> = told.coming.iter().map(|coming| coming.begins_at).collect();
    let names: std::collections::BTreeSet<_> = told.coming.iter().map(|coming| &coming.credential).collect();
    assert_eq!((names.len(), begins.len()), (60, 60), "everybody once in 400 days");
    assert!(told.coming.iter().all(|coming| !coming.is_late()));
    // The canary soaks alone, then the fuse of ten a day holds for everybody.
    assert!(begins[1] >= after(begins[0], 48 * HOUR), "{begins:?}");
    for pair in begins.windows(11) {
        assert!(pair[10] >= after(pair[0], DAY), "{begins:?}");
    }
    assert_eq!(told.coming[1].waited_for.as_deref(), Some("share"));
    assert_eq!(told.coming[1].goes_before.as_ref(), Some(&told.coming[0].credential), "the canary is named");
}

#[test]
fn who_waits_for_a_canary_that_is_held_waits_for_the_end_of_the_hold() {
    let mut fleet = fleet_of(3);
    let mut canary = settled(policy());
    assert!(walk(&mut canary, 4000, |world, _| phase(world) == Some(Phase::Soaking)));
    let (now, first) = (canary.now, fleet[0].0.credential.clone());
    let hold = |until| Wish::Hold { until, reason: "audit".to_owned() };
    let of_canary = canary.journal.iter().map(|entry| (first.clone(), entry.clone()));
    let admitted = FleetEvent::Admitted {
        credential: first.clone(),
        pass: Pass::default(),
        window_overridden: false,
        release: Rules::default().release,
    };
    let mut entries: Vec<Entry> =
        of_canary.map(|(credential, entry)| Entry { credential, ..entry }).collect();
    let begun = entries.iter().position(|entry| entry.event.name() == "begun").unwrap();
    let event = Event::Fleet(admitted);
    let admitted = Entry { credential: CredentialId::fleet(), event, ..entries[begun].clone() };
    entries.insert(begun, admitted);
    let known = Fleet::fold(&entries);
    let asked = Asked { trigger: Trigger::Command, reason: "now".to_owned(), pass: Pass::default() };
    for (_, record) in &mut fleet[1..] {
        record.asked = Some(asked.clone());
    }
    let mut tell = |until: Option<Timestamp>| {
        canary.wish(hold(until)).unwrap();
        fleet[0].1 = Record { credential: first.clone(), ..canary.record.clone().unwrap() };
        let members: Vec<Member<'_>> =
            fleet.iter().map(|(policy, record)| member(policy, Some(record))).collect();
        forecast(&Rules::default(), &known, &members, now, after(now, 15 * DAY))
    };
    // Nobody hurries yet so long before the end of the window.
    let until = after(now, 10 * DAY);
    let told = tell(Some(until));
    assert_eq!(told.coming[0].credential, first);
    let next = &told.coming[1];
    assert!(next.begins_at >= until, "{next:?}");
    assert_eq!(next.goes_before.as_ref(), Some(&first), "{next:?}");
    // One that nobody ends keeps everybody waiting, who are told whom they wait for.
    let told = tell(None);
    assert!(told.coming.is_empty(), "{:?}", told.coming);
    let why: Vec<&str> = told.stopped.iter().map(|stopped| stopped.why.as_str()).collect();
    let waits = format!("due, and the gate `share` stays closed until then: `{first}` goes before");
    assert_eq!(why, ["held: audit", &waits, &waits]);
}

#[test]
fn who_comes_too_late_is_shown() {
    let mut fleet = fleet_of(40);
    for (policy, _) in &mut fleet {
        policy.lead = DAY;
    }
    let told = of_fleet(&fleet, &Fleet::default(), &always);
    // Forty are due in one day, and the fuse lets ten of them begin.
    let late: Vec<_> = told.coming.iter().filter(|coming| coming.is_late()).collect();
    assert!(!late.is_empty() && late.len() < 40, "{} late", late.len());
    assert!(late.iter().all(|coming| coming.waited_for.is_some()));
}

#[test]
fn a_closed_window_is_waited_for_until_none_is_left() {
    // Open for an hour on the first day of each hundred.
    let seldom = |at: Timestamp| {
        let hour = u64::try_from(at.timestamp()).unwrap() / 3600 % 2400;
        if hour == 0 {
            Opening::Open(hour_after(at))
        } else {
            let to_the_hour = between(at, hour_after(at));
            Opening::Closed(Some(after(at, to_the_hour + HOUR * u32::try_from(2399 - hour).unwrap())))
        }
    };
    let told = of_fleet(&fleet_of(1), &Fleet::default(), &seldom);
    let coming = &told.coming[0];
    let is_open = matches!(seldom(coming.begins_at), Opening::Open(_));
    let none_left =
        matches!(seldom(coming.begins_at), Opening::Closed(Some(next)) if next >= coming.ends_at.unwrap());
    assert!(is_open || none_left, "{coming:?}");
    assert!(!coming.is_late());
}

#[test]
fn a_halted_fleet_is_told_as_if_it_were_resumed() {
    let halt = FleetHaltReason::TooManyFailures { failed: 3, of: 5, cause: "it says no".to_owned() };
    let entry = rekeyd::domain::event::Entry {
        sequence: 1,
        at: settled(policy()).now,
        credential: CredentialId::fleet(),
        event: Event::Fleet(FleetEvent::Halted(halt)),
    };
    let told = of_fleet(&fleet_of(3), &Fleet::fold(&[entry]), &always);
    assert!(told.fleet_halted);
    assert_eq!(told.coming.len(), 3);
}
