//! The clock of the machine jumps while a rotation is under way: a day ahead, a day back, an hour for the summer, 300
//! days, 400 days. No key is deleted sooner than the soak allows, measured by a clock that stays. A leap may shorten a
//! soak by the pause between two renewals of the evidence (`docs/adr/0011-a-soak-is-watched-time.md`), and no more.
//! By a clock that is 400 days ahead fresh keys are older than a year: the next rotation is due then, and is held to
//! the same.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rekeyd::clock::Clock as _;
use rekeyd::domain::event::{Entry, Event};
use rekeyd::domain::stage::Phase;
use rekeyd::domain::{Timestamp, fold};
use sap_sandbox::request::Operation;
use sap_sandbox::world::books::Call;

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
const JUMPS: [&str; 9] = ["+1d", "-1d", HOUR, "-1h", "+300d", AGES, "+30d", "-30d", "+2s"];
/// Who finds the clock set back by this waits until it is there again, and finds no fault with it.
const HOUR: &str = "+1h";
/// Further than the window of a key.
const AGES: &str = "+400d";
/// Who planned by the clock before has acted by then.
const SETTLE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
struct Case {
    course: Course,
    jumps: Vec<&'static str>,
    /// In seconds.
    soak: u64,
    seed: u64,
}

/// When the keys of each way, forward or back, were seen proven, by the clock of the sandbox.
type Proven = BTreeMap<usize, Timestamp>;

async fn watch(
    ground: &Ground,
    process: &mut Process,
    while_: Duration,
    proven: &mut Proven,
) -> Result<bool, String> {
    let end = ground.clock.monotonic() + while_;
    while ground.clock.monotonic() < end {
        let arrival = ground.drive_for(process, Duration::from_millis(50)).await?;
        match arrival {
            None => {}
            Some(Arrival::Over) => return Ok(true),
            other => return Err(format!("{other:?}")),
        }
        let entries = ground.history().await.unwrap_or_default();
        let records = fold::fold(&entries).unwrap_or_default();
        if records.values().any(|record| record.stage.phase() == Phase::Soaking) {
            proven.entry(ways(&entries)).or_insert_with(|| ground.clock.now());
        }
    }
    Ok(false)
}

/// How many ways were gone so far: each rotation is one, and each way back.
fn ways(entries: &[Entry]) -> usize {
    let begins = |entry: &&Entry| matches!(entry.event, Event::Begun { .. } | Event::TurnedBack { .. });
    entries.iter().filter(begins).count()
}

/// Deletions that came sooner after their way's proof than `bound`. A key that no delivery brought to the consumer has no
/// soak: a leap before the delivery may end the time that a stage has, and then it is cleared away.
async fn early(ground: &Ground, proven: &Proven, bound: Duration) -> Result<Vec<String>, String> {
    let entries = ground.entries().await?;
    let sent =
        |entry: &Entry, key: &str| matches!(&entry.event, Event::DeleteSent { name, .. } if name.0 == key);
    let mut problems = Vec::new();
    let calls = ground.fleet.sandbox.calls(0);
    for (number, call) in calls.iter().enumerate().filter(|(_, call)| call.operation == Operation::DeleteKey)
    {
        if was_never_delivered(&calls[..number], call.key.as_deref()) {
            continue;
        }
        let key = call.key.clone().unwrap_or_default();
        let at = entries.iter().position(|entry| sent(entry, &key));
        let proof = at.and_then(|at| proven.get(&ways(&entries[..at])));
        if proof.is_none_or(|at| call.at + LATE < *at + bound) {
            problems.push(format!("early: `{key}` proven {proof:?} of {proven:?}, deleted {}", call.at));
        }
    }
    if !problems.is_empty() {
        problems.extend(entries.iter().map(|entry| format!("{} {:?}", entry.at, entry.event)));
    }
    Ok(problems)
}

/// Whether nothing was delivered since this key was made, by the books of the sandbox.
fn was_never_delivered(before: &[Call], key: Option<&str>) -> bool {
    let is_made = |call: &Call| call.operation == Operation::CreateKey && call.key.as_deref() == key;
    let is_delivered = |call: &Call| call.operation == Operation::PutCredentials && call.effect;
    key.is_some()
        && before.iter().position(is_made).is_some_and(|made| !before[made..].iter().any(is_delivered))
}

async fn trial(case: Case) -> Tally {
    let knobs = Knobs { settle: "50 ms", proofs: (2, "50 ms"), ..Knobs::default() };
    let mut ground = Ground::with(case.course, case.seed, knobs).await;
    ground.may_begin_again = case.jumps.contains(&AGES);
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
    let mut process = ground.launch_in(&wrap);
    let mut proven = Proven::new();
    let leaps = match leap(&case, &ground, &mut process, &mut proven, &set).await {
        Ok(leaps) => leaps,
        Err(problem) => return Tally::failed(1, format!("{problem}\n{}", process.tail())),
    };
    let mut tally = ground.judge(process, 1).await;
    let bound = Duration::from_secs(case.soak).saturating_sub(PAUSE * leaps);
    match early(&ground, &proven, bound).await {
        Ok(problems) => tally.problems.extend(problems),
        Err(problem) => tally.problems.push(problem),
    }
    if !tally.problems.is_empty() {
        tally.resumed = 0;
    }
    tally
}

/// Sets the clock to one thing after the other, and right again, and sees every rotation end: how often it leapt.
async fn leap(
    case: &Case,
    ground: &Ground,
    process: &mut Process,
    proven: &mut Proven,
    set: &impl Fn(&str),
) -> Result<u32, String> {
    let mut chance = Chance::of(case.seed);
    let mut leaps = 0;
    for jump in &case.jumps {
        // Spread over the time before the proof and the soak.
        let pause = Duration::from_millis(200 + chance.below(1000 * case.soak / case.jumps.len() as u64));
        if watch(ground, process, pause, proven).await? {
            break;
        }
        set(jump);
        leaps += 1;
    }
    let pause = Duration::from_millis(200 + chance.below(1000 * case.soak / case.jumps.len() as u64));
    let is_over = watch(ground, process, pause, proven).await?;
    set("+0");
    leaps += u32::from(!is_over || ground.may_begin_again);
    let mut may_wait = case.jumps.contains(&HOUR);
    loop {
        let patience = Duration::from_secs(case.soak + if may_wait { 30 } else { 120 });
        if !watch(ground, process, patience, proven).await? {
            if !may_wait {
                return Err("it does not end".to_owned());
            }
            // A clock that was set back by an hour is waited for. It gets there.
            set(HOUR);
            (may_wait, leaps) = (false, leaps + 1);
            continue;
        }
        // The next rotation may have begun by the clock that was ahead.
        ground.clock.sleep(SETTLE).await;
        if ground.under_way().await?.is_none() {
            return Ok(leaps);
        }
    }
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
