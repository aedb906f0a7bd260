//! SIGSTOP for longer than the lease and than every token lives, and SIGCONT: the process takes its lease again before
//! it changes anything. And a clone, started on a copy of the state directory while the first one sleeps.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rekeyd::clock::Clock as _;
use rusqlite::{Connection, OpenFlags};
use sap_sandbox::faults::{Fault, Rule};
use sap_sandbox::holds::Release;
use sap_sandbox::request::Operation;
use sap_sandbox::world::key::Maker;

use crate::chance::{Chance, base_seed};
use crate::ground::{Arrival, Course, Ground};
use crate::is_long;
use crate::process::{Process, Wrap};
use crate::tally::Tally;
use crate::width::each;

/// The calls that change something.
const WRITES: [Operation; 4] =
    [Operation::CreateKey, Operation::PutCredentials, Operation::StartDataplane, Operation::DeleteKey];

/// Longer than the lease of these tests and than every token.
const SLEEP: Duration = Duration::from_millis(3200);

/// Who slept so many milliseconds has slept longer than the lease.
const LONG: u64 = 2500;

/// A ground with a lease of two seconds.
async fn ground_of(course: Course, seed: u64) -> Ground {
    let ground = Ground::new(course, seed).await;
    let config = ground.fleet.config();
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("life = \"5 s\""));
    fs::write(&config, text.replace("life = \"5 s\"", "life = \"2 s\"")).unwrap();
    ground
}

/// Until when the lease of the tenant is held, as the journal says.
fn lease_end(ground: &Ground) -> Option<DateTime<Utc>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(ground.journal_path(), flags).ok()?;
    let until: String = connection.query_row("SELECT until FROM lease", [], |row| row.get(0)).ok()?;
    until.parse().ok()
}

#[derive(Debug, Clone)]
struct Nap {
    course: Course,
    /// The call at which it falls asleep.
    nth: u64,
    before: bool,
    seed: u64,
}

async fn nap(case: Nap) -> Tally {
    let ground = ground_of(case.course, case.seed).await;
    let fault = if case.before { Fault::HoldBefore } else { Fault::Hold };
    ground.inject(Rule::once(fault).from_nth(case.nth));
    let mut process = ground.launch();
    match ground.drive(&mut process).await {
        Ok(Arrival::Held) => {}
        Ok(Arrival::Over) => return Tally::default(),
        other => return Tally::failed(1, format!("{other:?}\n{}", process.tail())),
    }
    process.signal("STOP");
    ground.clock.sleep(SLEEP).await;
    ground.let_go(Release::Continue);
    for operation in WRITES {
        ground.inject(Rule::always(Fault::HoldBefore).on(operation));
    }
    process.signal("CONT");
    let mut problems = Vec::new();
    let arrival = loop {
        match ground.drive(&mut process).await {
            Ok(Arrival::Held) => {
                let (now, end) = (ground.clock.now(), lease_end(&ground));
                if end.is_none_or(|end| end < now) {
                    problems
                        .push(format!("{:?} at {now}, the lease ends {end:?}", ground.fleet.sandbox.held()));
                }
                ground.fleet.sandbox.release_all();
            }
            other => break other,
        }
    };
    ground.let_go(Release::Continue);
    if arrival != Ok(Arrival::Over) {
        return Tally::failed(1, format!("{arrival:?}\n{}", process.tail()));
    }
    let mut tally = ground.judge(process, 1).await;
    if !problems.is_empty() {
        tally.resumed = 0;
    }
    tally.problems.extend(problems);
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sleeps_longer_than_the_lease_takes_it_again_first() {
    let mut chance = Chance::of(base_seed());
    let mut cases = Vec::new();
    for course in [Course::Success, Course::TurnBack] {
        for nth in 1..90 {
            for before in [false, true] {
                cases.push(Nap { course, nth, before, seed: chance.next() });
            }
        }
    }
    if !is_long() {
        cases = chance.some(&cases, 8);
    }
    each(cases, |case| format!("{case:?}"), nap).await.close("naps");
}

/// When the first one falls asleep and is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asleep {
    /// Both begin from nothing, the first one from what it saw before it slept.
    Nothing,
    /// It is about to read the first secret that it tests.
    Testing,
    /// Its journal has so many entries.
    After(usize),
}

#[derive(Debug, Clone)]
struct Twin {
    asleep: Asleep,
    /// How long the first one sleeps, in milliseconds.
    sleep: u64,
    seed: u64,
}

/// The clone's configuration: the same tenants, a copy of the state.
fn clone_of(ground: &Ground) -> PathBuf {
    let folder = ground.fleet.path("clone");
    fs::create_dir_all(folder.join("state")).unwrap();
    for name in ["journal.db", "journal.db-wal", "journal.head"] {
        let from = ground.fleet.path("state").join(name);
        if from.exists() {
            fs::copy(from, folder.join("state").join(name)).unwrap();
        }
    }
    let text = fs::read_to_string(ground.fleet.config()).unwrap();
    let here = ground.fleet.dir.path().display();
    let text = text.replace(&format!("{here}/state"), &format!("{here}/clone/state"));
    let text = text.replace(&format!("{here}/control.sock"), &format!("{here}/clone/control.sock"));
    fs::write(folder.join("rekeyd.toml"), text).unwrap();
    fs::create_dir_all(folder.join("tenants.d")).unwrap();
    let tenants = ground.fleet.path("tenants.d/acme.toml");
    fs::copy(tenants, folder.join("tenants.d/acme.toml")).unwrap();
    folder.join("rekeyd.toml")
}

async fn until_asleep(ground: &Ground, asleep: Asleep) -> Process {
    let operation = match asleep {
        Asleep::Nothing => Operation::ListKeys,
        Asleep::Testing => Operation::ReadKey,
        Asleep::After(entries) => {
            let mut process = ground.launch();
            ground.until_entries(&mut process, entries).await;
            return process;
        }
    };
    if asleep == Asleep::Nothing {
        ground.make_empty_journal();
    }
    ground.inject(Rule::once(Fault::Hold).on(operation));
    let mut process = ground.launch();
    let arrival = ground.drive(&mut process).await;
    assert_eq!(arrival, Ok(Arrival::Held), "{}", process.tail());
    process
}

/// How it ends for the one who slept, once it is awake.
async fn end_of_a_sleeper(ground: &Ground, process: &mut Process) -> Result<Option<Arrival>, String> {
    let arrival = ground.drive_for(process, Duration::from_secs(20)).await?;
    if arrival.is_some() {
        return Ok(arrival);
    }
    if ground.has_code("not-adopted").await {
        // The clone was done before this one knew anything: a person says what is in use.
        return Ok(Some(Arrival::Halted("newer-generation".to_owned())));
    }
    Err(format!("it neither ends nor arrives: {:?}", ground.status().await))
}

/// Whether a key of the beginning is really gone: who finds that halts.
fn has_lost_a_first_key(ground: &Ground) -> bool {
    let books = ground.fleet.sandbox.books();
    let first =
        books.tenants.values().flat_map(|tenant| &tenant.keys).filter(|key| key.made_by != Maker::Api);
    first.into_iter().any(|key| key.deleted_at.is_some())
}

/// Both work for a while. The sandbox says what they did to each other.
async fn twins(case: Twin) -> Tally {
    let ground = ground_of(Course::Success, case.seed).await;
    let mut process = until_asleep(&ground, case.asleep).await;
    process.signal("STOP");
    let clone = Process::start(&clone_of(&ground), &Wrap::default());
    ground.clock.sleep(Duration::from_millis(case.sleep)).await;
    ground.let_go(Release::Continue);
    process.signal("CONT");
    let arrival = end_of_a_sleeper(&ground, &mut process).await;
    ground.clock.sleep(Duration::from_secs(4)).await;
    let mut tally = Tally { points: 1, resumed: 1, ..Tally::default() };
    tally.read(&ground.fleet.sandbox.books());
    // What a clone made stays until a person decides.
    tally.orphans = 0;
    tally.problems.retain(|problem| !problem.contains(" orphans: "));
    if case.sleep < LONG {
        // Both may have acted on what they saw in the same second.
        tally.problems.retain(|problem| !problem.starts_with("3 `"));
    }
    let is_fair = match &arrival {
        // Both know the same names: whoever comes second finds what the other has made.
        Ok(Some(Arrival::Over)) => true,
        Ok(Some(Arrival::Halted(code))) if code == "live-key-gone" => has_lost_a_first_key(&ground),
        Ok(Some(Arrival::Halted(code))) => code == "newer-generation",
        _ => false,
    };
    // Who slept longer than the lease looks again first, and makes nothing beside what the clone made.
    let made = ground.fleet.sandbox.books().writes.get(&Operation::CreateKey).copied().unwrap_or(0);
    if !is_fair || (made > 2 && case.sleep >= LONG) {
        tally.problems.push(format!("{arrival:?}, {made} keys made"));
    }
    println!("kill: {case:?} {arrival:?} {:?}", ground.fleet.sandbox.books().writes);
    if !tally.problems.is_empty() {
        tally.resumed = 0;
        tally.problems.extend([process.tail(), clone.tail()]);
    }
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_of_a_sleeper_harms_nobody() {
    let mut chance = Chance::of(base_seed());
    let mut of = |asleep, count, sleep: std::ops::Range<u64>| -> Vec<Twin> {
        let mut twin = || Twin {
            asleep,
            sleep: sleep.start + chance.below(sleep.end - sleep.start),
            seed: chance.next(),
        };
        (0..count).map(|_| twin()).collect()
    };
    let any = 300..4300;
    let nothing = of(Asleep::Nothing, if is_long() { 40 } else { 4 }, any.clone());
    // The clone is done by then.
    let testing = of(Asleep::Testing, if is_long() { 8 } else { 1 }, 5000..7000);
    let mut rest: Vec<Twin> =
        (1..24).flat_map(|entries| of(Asleep::After(entries), 4, any.clone())).collect();
    if !is_long() {
        rest = chance.some(&rest, 4);
    }
    let cases = [nothing, testing, rest].concat();
    each(cases, |case| format!("{case:?}"), twins).await.close("clones");
}
