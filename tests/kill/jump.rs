//! The clock of the machine jumps while a rotation is under way: a day ahead, a day back, an hour for the summer, 300
//! days. No key is deleted sooner than the soak allows, measured by a clock that stays. A leap may shorten a soak by
//! the pause between two renewals of the evidence (`docs/adr/0011-a-soak-is-watched-time.md`), and no more.

use std::fs;
use std::time::Duration;

use rekeyd::clock::Clock as _;
use rekeyd::domain::Timestamp;
use sap_sandbox::request::Operation;

use crate::chance::{Chance, base_seed};
use crate::fleet::Knobs;
use crate::ground::{Arrival, Course, Ground};
use crate::is_long;
use crate::process::{Process, Wrap};
use crate::tally::Tally;
use crate::width::each;

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
/// The shortest life of evidence that a configuration may ask for: what a leap may shorten a soak by.
const PAUSE: Duration = Duration::from_secs(10);
/// The test sees the proof a look later than it is there.
const LATE: Duration = Duration::from_millis(300);
/// What the clock is set to, one after the other.
const JUMPS: [&str; 8] = ["+1d", "-1d", "+1h", "-1h", "+300d", "+30d", "-30d", "+2s"];

#[derive(Debug, Clone)]
struct Case {
    course: Course,
    jumps: Vec<&'static str>,
    /// In seconds.
    soak: u64,
    seed: u64,
}

/// When keys were seen proven, by the clock of the sandbox.
async fn watch(
    ground: &Ground,
    process: &mut Process,
    while_: Duration,
    proven: &mut Vec<Timestamp>,
) -> Result<bool, String> {
    let end = ground.clock.monotonic() + while_;
    while ground.clock.monotonic() < end {
        let arrival = ground.drive_for(process, Duration::from_millis(50)).await?;
        match arrival {
            None => {}
            Some(Arrival::Over) => return Ok(true),
            other => return Err(format!("{other:?}")),
        }
        let is_soaking = ground.status().await.is_some_and(|status| status.phase == "soaking");
        if is_soaking && proven.len() <= ground.times_turned_back().await {
            proven.push(ground.clock.now());
        }
    }
    Ok(false)
}

async fn trial(case: Case) -> Tally {
    let knobs = Knobs { settle: "50 ms", proofs: (2, "50 ms"), ..Knobs::default() };
    let ground = Ground::with(case.course, case.seed, knobs).await;
    let tenant = ground.fleet.path("tenants.d/acme.toml");
    let text = fs::read_to_string(&tenant).unwrap();
    assert!(text.contains("evidence-life = \"30 s\"") && text.contains("soak = \"1 s\""));
    let text = text.replace("evidence-life = \"30 s\"", "evidence-life = \"10 s\"");
    fs::write(&tenant, text.replace("soak = \"1 s\"", &format!("soak = \"{} s\"", case.soak))).unwrap();
    let file = ground.fleet.path("clock");
    let set = |to: &str| fs::write(&file, to).unwrap();
    set("+0");
    let variables = [
        ("LD_PRELOAD", LIBRARY.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
    ];
    let wrap = Wrap {
        before: Vec::new(),
        variables: variables.map(|(name, value)| (name.to_owned(), value)).to_vec(),
    };
    let mut chance = Chance::of(case.seed);
    let mut process = ground.launch_in(&wrap);
    let mut proven = Vec::new();
    let mut leaps = 0;
    for jump in case.jumps.iter().copied().chain(["+0"]) {
        // Spread over the time before the proof and the soak.
        let pause = Duration::from_millis(200 + chance.below(1000 * case.soak / case.jumps.len() as u64));
        match watch(&ground, &mut process, pause, &mut proven).await {
            Ok(true) => break,
            Ok(false) => {
                set(jump);
                leaps += 1;
            }
            Err(problem) => return Tally::failed(1, format!("{problem}\n{}", process.tail())),
        }
    }
    match watch(&ground, &mut process, Duration::from_mins(3), &mut proven).await {
        Ok(true) => {}
        other => return Tally::failed(1, format!("{other:?}\n{}", process.tail())),
    }
    let mut tally = ground.judge(process, 1).await;
    let calls = ground.fleet.sandbox.calls(0);
    let deletions = calls.iter().filter(|call| call.operation == Operation::DeleteKey);
    let last = proven.last().copied();
    let bound = Duration::from_secs(case.soak).saturating_sub(PAUSE * leaps);
    for call in deletions {
        if last.is_none_or(|at| call.at + LATE < at + bound) {
            tally.problems.push(format!("early: proven {last:?}, deleted {}", call.at));
            tally.resumed = 0;
        }
    }
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn no_jump_of_the_clock_shortens_the_soak() {
    let mut chance = Chance::of(base_seed());
    assert!(fs::exists(LIBRARY).unwrap(), "`{LIBRARY}` is missing: run `make setup`");
    let (count, soak, most) = if is_long() { (48, 80, 4) } else { (4, 20, 1) };
    let cases: Vec<Case> = (0..count)
        .map(|number| {
            let jumps = (0..=chance.below(most)).map(|_| *chance.pick(&JUMPS)).collect();
            let course = if number % 4 == 0 { Course::TurnBack } else { Course::Success };
            Case { course, jumps, soak, seed: chance.next() }
        })
        .collect();
    each(cases, |case| format!("{case:?}"), trial).await.close("jumps");
}
