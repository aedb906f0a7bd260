//! One success is none: proofs are counted over a span, and a flap starts them over.

use std::time::Duration;

use rekeyd::domain::event::Event;
use rekeyd::domain::observation::Verdict;
use rekeyd::domain::policy::Policy;
use rekeyd::domain::stage::{Phase, Stage};

use super::policy;
use super::walk::{count, is_settled_again, phase, timeline, walk};
use super::world::{Manners, World};

fn thorough() -> Policy {
    Policy { proofs: 3, proof_span: Duration::from_mins(2), ..policy() }
}

fn worked(world: &World) -> u32 {
    match world.record.as_ref().map(|record| &record.stage) {
        Some(Stage::Provisioning { watch, .. }) => watch.worked.as_ref().map_or(0, |worked| worked.count),
        _ => 0,
    }
}

#[test]
fn so_many_proofs_over_so_long() {
    let mut world = World::new(thorough(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Soaking)), "{}", timeline(&world));
    let works: Vec<_> = world.journal.iter().filter(|entry| entry.event.name() == "works").collect();
    let proven = world.journal.iter().find(|entry| entry.event.name() == "proven").unwrap();
    assert_eq!(works.len(), 2, "the third is the proof itself");
    assert!(proven.at - works[0].at >= chrono::TimeDelta::minutes(2));
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
}

#[test]
fn a_success_that_flaps_is_counted_from_the_beginning() {
    let mut world = World::new(thorough(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| worked(world) == 2), "{}", timeline(&world));
    world.verdict = Verdict::Error;
    assert!(walk(&mut world, 10, |world, _| count(world, "falters") == 1), "{}", timeline(&world));
    assert_eq!(worked(&world), 0);
    assert_eq!(count(&world, "turned-back"), 0, "once is not believed");
    world.verdict = Verdict::Success;
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Soaking)), "{}", timeline(&world));
    assert_eq!(count(&world, "works"), 4, "{}", timeline(&world));
}

#[test]
fn a_failure_that_stays_turns_back() {
    let mut world = World::new(thorough(), 1, 0, Manners { fails: 1, ..Manners::default() });
    assert!(walk(&mut world, 400, |world, _| count(world, "turned-back") == 1), "{}", timeline(&world));
    let at = |name: &str| world.journal.iter().find(|entry| entry.event.name() == name).unwrap().at;
    assert!(at("turned-back") - at("falters") >= chrono::TimeDelta::seconds(15), "a poll apart");
}

#[test]
fn a_fresh_key_that_is_refused_while_proving_starts_the_proofs_over() {
    use rekeyd::domain::failure::{Class, Failure};
    let mut world = World::new(thorough(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| worked(world) == 2), "{}", timeline(&world));
    let failed = |class| {
        let failure = Failure::new(class, "refused");
        Event::StepFailed {
            step: "confirm".to_owned(),
            failure,
            retry_at: "2026-01-02T00:00:00Z".parse().unwrap(),
        }
    };
    world.write(failed(Class::Timeout));
    assert_eq!(worked(&world), 2, "what could not be asked says nothing");
    world.write(failed(Class::Unauthorized));
    assert_eq!(worked(&world), 0);
}

#[test]
fn who_is_at_work_again_starts_the_proofs_over() {
    let mut world = World::new(thorough(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| worked(world) == 2), "{}", timeline(&world));
    world.verdict = Verdict::InProgress;
    assert!(walk(&mut world, 10, |world, _| worked(world) == 0), "{}", timeline(&world));
    world.verdict = Verdict::Success;
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Soaking)), "{}", timeline(&world));
    assert_eq!(count(&world, "works"), 4, "{}", timeline(&world));
}
