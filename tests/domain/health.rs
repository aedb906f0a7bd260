//! How well a credential is, for whoever watches from far away.

use std::sync::Arc;

use rekeyd::domain::event::{Event, Trigger, Wish};
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::fleet::Pass;
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::health::{Health, Rating, health};
use rekeyd::domain::plan::{NextLook, Plan};
use rekeyd::domain::stage::Phase;
use rekeyd::domain::view::View;

use super::policy;
use super::walk::{phase, walk};
use super::world::{Manners, World};

fn view(world: &World, plan: Option<Plan>) -> View {
    View {
        credential: world.policy.credential.clone(),
        policy: Arc::new(world.policy.clone()),
        record: world.record.clone().map(Arc::new),
        observation: None,
        checked_at: None,
        reason: plan.map(|plan| plan.reason),
        next_look: None,
        rested_at: None,
        look: Some(NextLook::Schedule),
        stopped: None,
        lease_held: true,
        lease_until: None,
        next_tick: None,
    }
}

fn seen(world: &mut World) -> Health {
    let plan = world.plan();
    health(&view(world, Some(plan)), world.now)
}

#[test]
fn the_worst_that_can_be_said_counts() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    let before = health(&view(&world, None), world.now);
    assert_eq!((before.rating, before.days_left), (Rating::Warning, None));
    world.turn();
    let due = seen(&mut world);
    assert_eq!(due.rating, Rating::Warning, "{due:?}");
    let days = due.days_left.unwrap();
    assert!((24.0..26.0).contains(&days), "{due:?}");
    // A rotation that goes well is nothing to worry about.
    assert!(walk(&mut world, 50, |world, _| phase(world) == Some(Phase::Provisioning)));
    assert_eq!(seen(&mut world).rating, Rating::Ok);
    world.write(Event::Halted(HaltReason::Indeterminate));
    let halted = seen(&mut world);
    assert_eq!(halted.rating, Rating::Critical, "{halted:?}");
    assert!(halted.text.starts_with("halted: "), "{halted:?}");
    world.now += chrono::TimeDelta::days(60);
    let over = seen(&mut world);
    assert_eq!(over.rating, Rating::Fatal, "{over:?}");
    assert!(over.days_left.unwrap() < 0.0, "{over:?}");
}

#[test]
fn who_is_settled_and_fresh_is_well_and_who_waits_for_a_person_is_not() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    world.now -= chrono::TimeDelta::days(200);
    world.turn();
    let well = seen(&mut world);
    assert_eq!(well.rating, Rating::Ok, "{well:?}");
    assert!(well.text.contains("the next rotation is due on"), "{well:?}");
    world.wish(Wish::Hold { until: None, reason: "a freeze".to_owned() }).unwrap();
    world.now += chrono::TimeDelta::days(200);
    let refused = world.wish(Wish::Rotate {
        trigger: Trigger::Command,
        reason: "a test".to_owned(),
        pass: Pass::default(),
    });
    assert!(refused.is_err());
    let held = seen(&mut world);
    assert_eq!(held.rating, Rating::Error, "{held:?}");
    assert!(held.text.contains("rekeyd unhold"), "{held:?}");
}

/// Failure story 52: what went wrong before the last success says nothing of how it is now.
#[test]
fn eleven_failures_and_one_success_are_well() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 50, |world, _| phase(world) == Some(Phase::Soaking)));
    for _ in 0..11 {
        let failure = Failure::new(Class::Timeout, "no answer in time");
        let retry_at = world.now;
        world.write(Event::StepFailed { step: "renew".to_owned(), failure, retry_at });
    }
    assert_eq!(world.record.as_ref().unwrap().trouble.failures, 11);
    world.write(Event::Renewed { verdict: None });
    assert_eq!(world.record.as_ref().unwrap().trouble.failures, 0);
    let health = seen(&mut world);
    assert_eq!(health.rating, Rating::Ok, "{health:?}");
}
