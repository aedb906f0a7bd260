//! SIGKILL at every reply of a rotation, held after its effect and before it, and a restart.
//!
//! The test counts the replies itself: it lets one rotation of each course run and reads the sandbox's call log.
//! Then for each of those calls it holds the call, kills the process, lets go, and starts it again.

use sap_sandbox::faults::{Fault, Rule};
use sap_sandbox::holds::Release;
use sap_sandbox::request::Operation;

use crate::chance::{Chance, base_seed};
use crate::ground::{Arrival, Course, Ground};
use crate::is_long;
use crate::tally::Tally;
use crate::width::each;

/// One place to kill at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Point {
    course: Course,
    operation: Operation,
    nth: u64,
    /// Held before the effect, which then never comes, or after it.
    before: bool,
    /// The call after the restart at which it is killed again.
    again: Option<u64>,
    seed: u64,
}

/// The calls of one whole rotation, in order: operation, and the how-manieth of its kind.
async fn calls_of(course: Course, seed: u64) -> Vec<(Operation, u64)> {
    let ground = Ground::new(course, seed).await;
    let tally = ground.finish(1).await;
    assert_eq!(tally.problems, Vec::<String>::new(), "{course:?} without a kill");
    let mut calls: Vec<(Operation, u64)> = Vec::new();
    for call in ground.fleet.sandbox.calls(0) {
        let nth = calls.iter().filter(|(operation, _)| *operation == call.operation).count() as u64 + 1;
        calls.push((call.operation, nth));
    }
    calls
}

/// Kills at the held call, perhaps once more, and checks what comes of it.
async fn kill_at(point: Point) -> Tally {
    let ground = Ground::new(point.course, point.seed).await;
    let fault = if point.before { Fault::HoldBefore } else { Fault::Hold };
    let how = if point.before { Release::Drop } else { Release::Continue };
    let mut points = 0;
    let mut rules = vec![Rule::once(fault.clone()).on(point.operation).from_nth(point.nth)];
    rules.extend(point.again.map(|nth| Rule::once(fault).from_nth(nth)));
    for rule in rules {
        ground.inject(rule);
        let mut process = ground.launch();
        match ground.drive(&mut process).await {
            Ok(Arrival::Held) => points += 1,
            // The call does not come in this run: how often something is polled differs.
            Ok(Arrival::Over) => {}
            Ok(arrival) => return Tally::failed(1, format!("{arrival:?}\n{}", process.tail())),
            Err(problem) => return Tally::failed(1, format!("{problem}\n{}", process.tail())),
        }
        process.kill();
        ground.let_go(how);
    }
    ground.finish(points).await
}

/// Whether every run of a course makes this call; the others are polls.
fn is_steady(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::CreateKey
            | Operation::PutCredentials
            | Operation::StartDataplane
            | Operation::DeleteKey
            | Operation::ReadKey
    )
}

async fn at_every_reply(course: Course) {
    let mut chance = Chance::of(base_seed());
    // Only what is seen twice: on a busy machine a next rotation may begin before anybody looks.
    let again = calls_of(course, chance.next()).await;
    let mut calls = calls_of(course, chance.next()).await;
    calls.retain(|call| again.contains(call));
    let mut points = Vec::new();
    for (operation, nth) in &calls {
        for before in [false, true] {
            for again in [None, Some(1 + chance.below(8))] {
                let (operation, nth, seed) = (*operation, *nth, chance.next());
                points.push(Point { course, operation, nth, before, again, seed });
            }
        }
    }
    let steady = calls.iter().filter(|(operation, _)| is_steady(*operation)).count() as u64;
    let mut expected = steady * 6;
    if !is_long() {
        // Each write once before and once after its effect, and some of the rest.
        let writes = |point: &Point| is_steady(point.operation) && point.operation != Operation::ReadKey;
        let (all, rest): (Vec<_>, Vec<_>) = points.into_iter().partition(writes);
        points = all.into_iter().filter(|point| point.again.is_none()).collect();
        expected = points.len() as u64;
        points.extend(chance.some(&rest, 12));
    }
    let total = points.len();
    let tally = each(points, |point| format!("{point:?}"), kill_at).await;
    println!("kill: course={course:?} calls={} trials={total} kills={}", calls.len(), tally.points);
    assert!(tally.points >= expected, "only {} of {expected} were reached", tally.points);
    tally.close(&format!("replies-{course:?}").to_lowercase());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_way_forward() {
    at_every_reply(Course::Success).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_way_back_that_a_person_asked_for() {
    at_every_reply(Course::Restore).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_way_back_from_a_consumer_that_fails() {
    at_every_reply(Course::TurnBack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_refused_keys_are_cleared_away() {
    at_every_reply(Course::Abandon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_way_forward_with_service_manager() {
    at_every_reply(Course::Managed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_way_back_with_service_manager() {
    at_every_reply(Course::ManagedBack).await;
}
