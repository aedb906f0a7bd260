//! SIGKILL at every reply of a rotation, and a restart.
//!
//! The test counts the replies itself: it lets one rotation run and reads the sandbox's call log. Then for each of
//! those calls it holds the reply (the effect has taken place), kills the process, lets go, and starts it again.
//!
//! The sandbox is kind here: the n-th call of a kind must be the same in every run.

use sap_sandbox::faults::{Fault, Rule};
use sap_sandbox::request::Operation;

use crate::fleet::{Fleet, Knobs};
use crate::{one, prompt};

/// The calls of one whole rotation, in order: operation, and the how-manieth of its kind.
async fn calls_of_a_rotation() -> Vec<(Operation, u64)> {
    let fleet = Fleet::new(one(prompt()).kindly(), Knobs::default()).await;
    let _rekeyd = fleet.start().await;
    fleet.until_rotated("acme").await;
    let mut seen: Vec<(Operation, u64)> = Vec::new();
    for call in fleet.sandbox.calls(0) {
        let nth = seen.iter().filter(|(operation, _)| *operation == call.operation).count() as u64 + 1;
        seen.push((call.operation, nth));
    }
    seen
}

/// Kills at the held reply and checks what comes of it. Answers whether the reply was reached.
async fn kill_at(operation: Operation, nth: u64) -> bool {
    let fleet = Fleet::new(one(prompt()).kindly(), Knobs::default()).await;
    fleet.sandbox.inject(Rule::once(Fault::Hold).on(operation).from_nth(nth));
    let rekeyd = fleet.launch();
    let reached = fleet.until_held_or_rotated("acme").await;
    rekeyd.kill();
    fleet.sandbox.clear_faults();
    fleet.sandbox.release_all();
    let _rekeyd = fleet.start().await;
    fleet.until_rotated("acme").await;
    let context = format!("killed at {operation:?} number {nth}");
    let books = fleet.sandbox.books();
    assert_eq!((books.lockouts, books.orphans, books.unproven_deletions), (0, 0, 0), "{context}: {books:#?}");
    let events = fleet.events("acme");
    let count = |name: &str| events.iter().filter(|event| **event == name).count();
    assert_eq!((count("begun"), count("made"), count("completed")), (1, 2, 1), "{context}: {events:?}");
    for (role, most) in &books.max_live {
        assert!(*most <= 2, "{context}: {most} `{role:?}` keys lived at once");
    }
    reached
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_reply() {
    let calls = calls_of_a_rotation().await;
    let total = calls.len();
    let mut reached = 0;
    // A few at a time: each has a sandbox, a folder and a process of its own.
    for some in calls.chunks(4) {
        let kills: Vec<_> =
            some.iter().map(|(operation, nth)| tokio::spawn(kill_at(*operation, *nth))).collect();
        for kill in kills {
            reached += usize::from(kill.await.expect("every kill ends well"));
        }
    }
    println!("kill: replies={total} reached={reached}");
    // How often something is polled differs from run to run; everything else is reached.
    let polled = [
        Operation::GetDataplane,
        Operation::PollJob,
        Operation::ListKeys,
        Operation::TestKey,
        Operation::Token,
    ];
    let steady = calls.iter().filter(|(operation, _)| !polled.contains(operation)).count();
    assert!(reached >= steady, "only {reached} of {total} replies were reached, {steady} are in every run");
}
