//! Asking for a rotation, asking again, and what is told of the gates before it.

use std::time::Duration;

use rekeyd::domain::event::{Trigger, Wish};
use rekeyd::domain::fleet::{EXPOSED, Pass};
use rekeyd::domain::observation::Looks;
use rekeyd::domain::plan::begin_gates;
use rekeyd::domain::{after, proof::Gate};

use super::policy;
use super::world::{Manners, World};

/// A world that has just recognised its keys.
fn settled() -> World {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    while world.record.is_none() {
        world.turn();
    }
    world
}

fn rotate(pass: Pass) -> Wish {
    Wish::Rotate { trigger: Trigger::Command, reason: "test".to_owned(), pass }
}

#[test]
fn who_asks_again_is_heard_only_if_he_means_it_more() {
    let mut world = settled();
    let (plain, meant, exposed) = (Pass::default(), Pass::of("test", true), Pass::of(EXPOSED, false));
    world.wish(rotate(plain)).unwrap();
    world.wish(rotate(plain)).unwrap_err();
    world.wish(rotate(meant)).unwrap();
    world.wish(rotate(meant)).unwrap_err();
    world.wish(rotate(plain)).unwrap_err();
    world.wish(rotate(exposed)).unwrap();
    let asked = world.record.as_ref().and_then(|record| record.asked.clone()).unwrap();
    assert_eq!(asked.pass, Pass { fuse: true, emergency: true }, "what was meant before is not forgotten");
    world.wish(rotate(Pass { fuse: true, emergency: true })).unwrap_err();
}

fn gates(world: &mut World) -> Vec<Gate> {
    let observation = world.observe(Looks { keys: true, status: true, content: false });
    begin_gates(
        &world.policy,
        world.record.as_ref().unwrap(),
        observation.keys.known(),
        &observation.status,
        world.now,
    )
}

fn shown(gates: &[Gate], name: &str) -> (bool, String, bool) {
    let gate = gates.iter().find(|gate| gate.name == name).unwrap();
    (gate.open, gate.why.clone(), gate.opens_at.is_some())
}

#[test]
fn each_gate_says_why_it_is_closed_and_when_it_opens() {
    let mut world = settled();
    world.policy.lead = Duration::from_hours(1);
    let all = gates(&mut world);
    let names: Vec<_> = all.iter().map(|gate| gate.name).collect();
    assert_eq!(names, ["halt", "issuer", "due", "hold", "pause", "room"]);
    let (open, why, opens) = shown(&all, "due");
    assert!(!open && why.starts_with("due 20") && opens, "{why}");
    world.wish(rotate(Pass::default())).unwrap();
    assert_eq!(shown(&gates(&mut world), "due"), (true, "asked for: test".to_owned(), false));
    let until = after(world.now, Duration::from_hours(1));
    world.wish(Wish::Hold { until: Some(until), reason: "audit".to_owned() }).unwrap();
    assert_eq!(shown(&gates(&mut world), "hold"), (false, "held: audit".to_owned(), true));
    world.policy.limits.keys_per_role = 1;
    assert_eq!(shown(&gates(&mut world), "room"), (false, "1 of 1 keys per role exist".to_owned(), false));
}

/// A hold that is over is none.
#[test]
fn a_hold_that_is_over_refuses_no_rotation() {
    let mut world = settled();
    let until = after(world.now, Duration::from_mins(1));
    world.wish(Wish::Hold { until: Some(until), reason: "audit".to_owned() }).unwrap();
    assert!(world.wish(rotate(Pass::default())).unwrap_err().contains("held (audit)"));
    world.now = until;
    world.wish(rotate(Pass::default())).unwrap();
}
