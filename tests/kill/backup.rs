//! An older copy of the journal is put back, at several stages of a rotation. With the note beside it the daemon does
//! not start; without it every credential either halts or goes on in safety.

use std::fs;
use std::time::Duration;

use rekeyd::clock::Clock as _;
use rekeyd::domain::event::Wish;
use sap_sandbox::request::Operation;

use crate::chance::{Chance, base_seed};
use crate::damage::Files;
use crate::ground::{Arrival, Course, Ground};
use crate::is_long;
use crate::process::Process;
use crate::tally::Tally;
use crate::width::each;

/// What a copy is taken of, and when it is put back: numbers of entries. `None` is the end of the rotation.
#[derive(Debug, Clone)]
struct Case {
    course: Course,
    taken_at: usize,
    put_back_at: Option<usize>,
    seed: u64,
}

async fn put_back(case: Case) -> Tally {
    let ground = Ground::new(case.course, case.seed).await;
    let state = ground.fleet.path("state");
    let mut process = ground.launch();
    ground.until_entries(&mut process, case.taken_at).await;
    process.kill();
    // It may have come further before it was killed.
    let taken = ground.entries().await.unwrap().len();
    let is_under_way = ground.under_way().await.unwrap().is_some();
    let older = Files::of(&state);
    let mut process = ground.launch();
    match case.put_back_at {
        Some(count) => ground.until_entries(&mut process, count).await,
        None => assert_eq!(ground.drive(&mut process).await, Ok(Arrival::Over), "{}", process.tail()),
    }
    process.kill();
    let newest = Files::of(&state);
    if newest.noted() <= taken as u64 {
        return Tally::default();
    }

    // What the dead process still had on its way arrives.
    ground.clock.sleep(Duration::from_millis(300)).await;

    // With the note, it is seen at once.
    Files { note: newest.note, ..older.clone() }.put(&state);
    let seen = ground.fleet.sandbox.calls(0).len() as u64;
    let mut process = ground.launch();
    let arrival = ground.drive(&mut process).await;
    let code = process.ended().and_then(|status| status.code());
    if arrival != Ok(Arrival::Ended) || code != Some(3) || !ground.fleet.sandbox.calls(seen).is_empty() {
        return Tally::failed(1, format!("it started: {arrival:?}, {code:?}\n{}", process.tail()));
    }
    // The person insists: it halts, and changes nothing.
    fs::remove_file(state.join("journal.head")).unwrap();
    let mut process = ground.launch();
    let arrival = ground.drive(&mut process).await;
    if arrival == Ok(Arrival::Over) && !is_under_way {
        // In the copy nothing was under way, and the issuer had what it says: it was right.
        return of_a_fresh_start(&ground, process).await;
    }
    let is_right =
        matches!(&arrival, Ok(Arrival::Halted(code)) if code == "old-journal" || code == "newer-generation");
    let changes = ground.fleet.sandbox.calls(seen);
    let changes = changes.iter().filter(|call| call.effect && call.operation != Operation::Token).count();
    if !is_right || changes > 0 {
        let mut books = Tally::default();
        books.read(&ground.fleet.sandbox.books());
        let books = books.problems.join("; ");
        return Tally::failed(1, format!("{arrival:?}, {changes} changes; {books}\n{}", process.tail()));
    }
    // And looks which keys the consumer holds, says so, and it goes on from there.
    let mut tally = Tally { points: 1, ..Tally::default() };
    process.kill();
    name_the_keys_in_use(&ground);
    let mut process = ground.launch();
    let arrival = confirm(&ground, &mut process).await;
    tally.read(&ground.fleet.sandbox.books());
    // What is spare stays for the person to delete, beside the two generations of the next rotation.
    tally.orphans = 0;
    tally.problems.retain(|problem| !problem.contains(" orphans: ") && !problem.starts_with("3 `"));
    if arrival != Ok(Arrival::Over) {
        tally.problems.push(format!("after the person's word: {arrival:?}"));
    }
    if tally.problems.is_empty() {
        tally.resumed = 1;
    } else {
        tally.problems.push(process.tail());
    }
    tally
}

/// The books of a rotation that began from a copy in which none was under way.
async fn of_a_fresh_start(ground: &Ground, process: Process) -> Tally {
    let mut tally = Tally { points: 1, ..Tally::default() };
    // The rotation may have turned back, and then the next one begins while the books are read.
    let tail = ground.come_to_rest(process, &mut tally).await;
    tally.read(&ground.fleet.sandbox.books());
    if tally.problems.is_empty() {
        tally.resumed = 1;
    } else {
        tally.problems.push(tail);
    }
    tally
}

/// Writes into the tenant's file which keys the consumer holds.
fn name_the_keys_in_use(ground: &Ground) {
    let path = ground.fleet.path("tenants.d/acme.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    for (role, name) in &ground.fleet.sandbox.books().tenants["acme"].held {
        let name = name.clone().expect("the consumer holds keys that exist");
        let begin = format!("{} = {{ service-instance = \"", role.name());
        let (before, rest) = text.split_once(&begin).expect("each role has its line");
        let (guid, after) = rest.split_once('"').expect("the guid is quoted");
        text = format!("{before}{begin}{guid}\", key = \"{name}\"{after}");
    }
    fs::write(&path, text).unwrap();
}

/// Confirms until the halt is over, and sees the credential settle. A rotation that is due then runs to its end.
async fn confirm(ground: &Ground, process: &mut Process) -> Result<Arrival, String> {
    for _ in 0..4 {
        match ground.drive(process).await? {
            Arrival::Halted(_) => {
                ground.ask(Wish::Confirm).await;
                // Nothing is due where the fresh keys are in use.
                if ground.is_settled_for(process, Duration::from_secs(2)).await {
                    return Ok(Arrival::Over);
                }
            }
            other => return Ok(other),
        }
    }
    Ok(Arrival::Halted("again and again".to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_is_put_back() {
    let mut chance = Chance::of(base_seed());
    let mut cases = Vec::new();
    for course in [Course::Success, Course::TurnBack, Course::Restore] {
        for taken_at in 1..26 {
            for put_back_at in [Some(taken_at + 1), Some(taken_at + 4), Some(taken_at + 9), None] {
                cases.push(Case { course, taken_at, put_back_at, seed: chance.next() });
            }
        }
    }
    // Later than this a rotation may be over before the copy is put back.
    cases.retain(|case| case.put_back_at.is_none_or(|count| count < 25));
    if !is_long() {
        cases = chance.some(&cases, 10);
    }
    each(cases, |case| format!("{case:?}"), put_back).await.close("backups");
}
