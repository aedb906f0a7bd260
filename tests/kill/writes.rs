//! SIGKILL at every write, sync, cut and unlink of the journal's files, and errors of the disk at the same places.
//!
//! `strace` counts the calls of one rotation on those files, and then stops the process at each of them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::audit::audited;
use crate::chance::{Chance, base_seed};
use crate::ground::{Arrival, Course, Ground};
use crate::is_long;
use crate::process::Wrap;
use crate::tally::Tally;
use crate::width::each;

/// The calls with which the journal reaches the disk.
const CALLS: [&str; 5] = ["pwrite64", "fsync", "ftruncate", "unlink", "openat"];

/// What is done at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// SIGKILL.
    Kill,
    /// An error, once.
    Once(&'static str),
    /// An error, from there on.
    Always(&'static str),
}

/// What is there when the process starts. `strace` counts the calls of each thread for itself: with no journal the
/// main thread makes it, with an empty one the first calls are those of the thread that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Nothing,
    Empty,
}

#[derive(Debug, Clone)]
struct Point {
    course: Course,
    start: Start,
    call: &'static str,
    nth: u64,
    blow: Blow,
    /// The write of the next process at which that one is killed, too.
    again: Option<u64>,
    seed: u64,
}

async fn ground_of(course: Course, start: Start, seed: u64) -> Ground {
    let ground = Ground::new(course, seed).await;
    if start == Start::Empty {
        ground.make_empty_journal();
    }
    ground
}

fn strace(ground: &Ground, call: &str, injection: Option<&str>) -> Wrap {
    let mut options = vec!["-o".to_owned(), trace_path(ground), "-e".to_owned(), format!("trace={call}")];
    // The quick way; but this strace forgets the signals with it.
    if injection.is_none_or(|injection| !injection.contains("signal")) {
        options.push("--seccomp-bpf".to_owned());
    }
    let inject = injection.map(|injection| ["-e".to_owned(), format!("inject={call}:{injection}")]);
    options.extend(inject.into_iter().flatten());
    for file in ["state", "state/journal.db", "state/journal.db-wal"] {
        options.extend(["-P".to_owned(), ground.fleet.path(file).display().to_string()]);
    }
    Wrap::strace(options)
}

fn trace_path(ground: &Ground) -> String {
    ground.fleet.path("trace").display().to_string()
}

/// How often the busiest thread makes a call on the journal's files in one rotation.
async fn count(course: Course, start: Start, call: &'static str, seed: u64) -> u64 {
    let ground = ground_of(course, start, seed).await;
    let mut process = ground.launch_in(&strace(&ground, call, None));
    let arrival = ground.drive(&mut process).await;
    assert_eq!(arrival, Ok(Arrival::Over), "{}", process.tail());
    process.stop().await.unwrap();
    let trace = fs::read_to_string(trace_path(&ground)).unwrap();
    let mut threads: BTreeMap<&str, u64> = BTreeMap::new();
    for line in trace.lines().filter(|line| line.contains(&format!("{call}("))) {
        *threads.entry(line.split_whitespace().next().unwrap_or_default()).or_default() += 1;
    }
    threads.into_values().max().unwrap_or(0)
}

/// Strikes once, and says how it went: whether the call was reached, and how the process fared.
async fn blow(point: &Point, ground: &Ground) -> Result<bool, String> {
    let when = point.nth;
    let injection = match point.blow {
        Blow::Kill => format!("signal=KILL:when={when}"),
        Blow::Once(error) => format!("error={error}:when={when}"),
        Blow::Always(error) => format!("error={error}:when={when}+"),
    };
    let mut process = ground.launch_in(&strace(ground, point.call, Some(&injection)));
    let is_lasting = matches!(point.blow, Blow::Always(_));
    let arrival = ground.drive_for(&mut process, Duration::from_secs(if is_lasting { 4 } else { 60 })).await;
    let ended = process.ended();
    let reached = match (point.blow, arrival?) {
        (Blow::Kill, Some(Arrival::Ended)) => process.was_killed(),
        (Blow::Kill, Some(Arrival::Over)) => return Ok(false),
        // With an error it may refuse to start: a person starts it again when the disk is mended.
        (_, Some(Arrival::Ended)) => !process.was_killed() && ended.is_some_and(|status| !status.success()),
        (Blow::Once(_), Some(Arrival::Over)) | (Blow::Always(_), Some(Arrival::Over) | None) => {
            return Ok(fs::read_to_string(trace_path(ground)).unwrap_or_default().contains("(INJECTED)"));
        }
        _ => false,
    };
    if reached { Ok(true) } else { Err(format!("{ended:?}\n{}", process.tail())) }
}

async fn strike(point: Point) -> Tally {
    let ground = ground_of(point.course, point.start, point.seed).await;
    let mut points = match blow(&point, &ground).await {
        Ok(reached) => u64::from(reached),
        Err(problem) => return Tally::failed(1, problem),
    };
    if let Some(nth) = point.again {
        let second = Point { call: "pwrite64", nth, blow: Blow::Kill, ..point };
        match blow(&second, &ground).await {
            Ok(reached) => points += u64::from(reached),
            Err(problem) => return Tally::failed(2, problem),
        }
    }
    let tally = ground.finish(points).await;
    audited(&ground, tally).await
}

async fn points_of(course: Course, blows: &[(&'static str, Blow)], chance: &mut Chance) -> Vec<Point> {
    let mut points = Vec::new();
    for (call, blow) in blows {
        for start in [Start::Nothing, Start::Empty] {
            let calls = count(course, start, call, chance.next()).await;
            println!("kill: course={course:?} start={start:?} {call}={calls} {blow:?}");
            for nth in 1..=calls {
                let again = (*blow == Blow::Kill && chance.below(3) == 0).then(|| 1 + chance.below(60));
                points.push(Point { course, start, call, nth, blow: *blow, again, seed: chance.next() });
            }
        }
    }
    points
}

async fn at_every_write(course: Course, blows: &[(&'static str, Blow)], short: usize, what: &str) {
    let mut chance = Chance::of(base_seed());
    let mut points = points_of(course, blows, &mut chance).await;
    if !is_long() {
        points = chance.some(&points, short);
    }
    each(points, |point| format!("{point:?}"), strike).await.close(what);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_write() {
    let blows = CALLS.map(|call| (call, Blow::Kill));
    at_every_write(Course::Success, &blows, 24, "writes-kill").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_write_on_the_way_back() {
    let blows = [("pwrite64", Blow::Kill), ("fsync", Blow::Kill)];
    at_every_write(Course::TurnBack, &blows, 10, "writes-kill-back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_once() {
    let blows = [
        ("fsync", Blow::Once("EIO")),
        ("pwrite64", Blow::Once("EIO")),
        ("pwrite64", Blow::Once("ENOSPC")),
        ("openat", Blow::Once("EIO")),
        ("ftruncate", Blow::Once("EIO")),
    ];
    at_every_write(Course::Success, &blows, 16, "writes-error-once").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_from_then_on() {
    let blows = [
        ("fsync", Blow::Always("EIO")),
        ("pwrite64", Blow::Always("ENOSPC")),
        ("pwrite64", Blow::Always("EROFS")),
    ];
    at_every_write(Course::Success, &blows, 12, "writes-error-always").await;
}
