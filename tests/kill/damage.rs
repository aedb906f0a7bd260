//! A damaged journal: cut off, with flipped bits, without its log, with somebody else's, or another file altogether.
//! rekeyd refuses to guess: it says what is wrong, sends nothing, and leaves the file as it is. Damage that changes
//! nothing of what is read is no damage.

use std::fs;
use std::path::{Path, PathBuf};

use rekeyd::domain::event::Entry;
use rekeyd::journal::sqlite::SqliteJournal;
use rekeyd::ports::{Journal as _, JournalError};
use tempfile::TempDir;

use crate::chance::{Chance, base_seed};
use crate::ground::{Arrival, Course, Ground};
use crate::is_long;
use crate::tally::Tally;

const PAGE: usize = 4096;

/// The files of a journal as they lie on the disk.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) main: Option<Vec<u8>>,
    pub(crate) log: Option<Vec<u8>>,
    /// How far it had come.
    pub(crate) note: Option<Vec<u8>>,
}

impl Files {
    /// What lies in a folder.
    pub(crate) fn of(folder: &Path) -> Self {
        let read = |name: &str| fs::read(folder.join(name)).ok();
        // Whoever only looks leaves an empty log behind.
        let log = read("journal.db-wal").filter(|log| !log.is_empty());
        Self { main: read("journal.db"), log, note: read("journal.head") }
    }

    /// Puts them into a folder, in place of what is there.
    pub(crate) fn put(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        let files = [
            ("journal.db", &self.main),
            ("journal.db-wal", &self.log),
            ("journal.db-shm", &None),
            ("journal.head", &self.note),
        ];
        for (name, bytes) in files {
            let path = folder.join(name);
            match bytes {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => drop(fs::remove_file(&path)),
            }
        }
    }

    /// The number of the last entry that was noted.
    pub(crate) fn noted(&self) -> u64 {
        let text = String::from_utf8(self.note.clone().unwrap_or_default()).unwrap();
        text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }
}

/// What one damage is, and the files that have it.
struct Case {
    what: String,
    files: Files,
}

/// Cut off at every page and at random places.
fn truncated(files: &Files, chance: &mut Chance, random: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for (which, bytes) in [("file", files.main.as_ref()), ("log", files.log.as_ref())] {
        let Some(bytes) = bytes else { continue };
        let pages = (0..bytes.len()).step_by(PAGE);
        let places: Vec<usize> = pages.chain((0..random).map(|_| place(chance, bytes.len()))).collect();
        for length in places {
            let cut = Some(bytes[..length].to_vec());
            let what = format!("{which} cut off at {length} of {}", bytes.len());
            cases.push(Case { what, files: with(files, which, cut) });
        }
    }
    cases
}

fn place(chance: &mut Chance, length: usize) -> usize {
    usize::try_from(chance.below(length as u64)).expect("a place in a file fits")
}

fn with(files: &Files, which: &str, bytes: Option<Vec<u8>>) -> Files {
    match which {
        "file" => Files { main: bytes, ..files.clone() },
        _ => Files { log: bytes.filter(|bytes| !bytes.is_empty()), ..files.clone() },
    }
}

/// One bit flipped in each page, and others at random.
fn flipped(files: &Files, chance: &mut Chance, per_page: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for (which, bytes) in [("file", files.main.as_ref()), ("log", files.log.as_ref())] {
        let Some(bytes) = bytes else { continue };
        for page in 0..bytes.len() / PAGE {
            for _ in 0..per_page {
                let at = page * PAGE + place(chance, PAGE);
                let bit = chance.below(8);
                let mut broken = bytes.clone();
                broken[at] ^= 1 << bit;
                let kind = bytes[page * PAGE];
                let what =
                    format!("bit {bit} of byte {at} of the {which} flipped (page {page}, kind {kind})");
                cases.push(Case { what, files: with(files, which, Some(broken)) });
            }
        }
    }
    cases
}

/// Other files in the place of the journal's.
fn wrong(files: &Files, older: &Files) -> Vec<Case> {
    let text = b"id,name\n1,no journal at all\n".repeat(400);
    let zeros = vec![0; files.main.as_ref().map_or(PAGE, Vec::len)];
    let case = |what: &str, main: Option<Vec<u8>>, log: Option<Vec<u8>>| Case {
        what: what.to_owned(),
        files: Files { main, log, ..files.clone() },
    };
    vec![
        case("a text file", Some(text), None),
        case("zeros", Some(zeros), None),
        case("an empty file", Some(Vec::new()), None),
        case("an empty file with a log", Some(Vec::new()), files.log.clone()),
        case("no file but its log", None, files.log.clone()),
        case("the log in the place of the file", files.log.clone(), None),
        case("an older log", files.main.clone(), older.log.clone()),
        case("an older file", older.main.clone(), files.log.clone()),
        case("no log", files.main.clone(), None),
    ]
}

/// The journal of a real rotation, taken as it lies while the process is killed.
async fn of_a_rotation(events: usize) -> (Files, Vec<Entry>) {
    let ground = Ground::new(Course::Success, 7).await;
    let mut process = ground.launch();
    ground.until_entries(&mut process, events).await;
    process.kill();
    (Files::of(&ground.fleet.path("state")), ground.entries().await.unwrap())
}

/// What is read from these files in this process; the files are looked at again afterwards.
async fn read(files: &Files) -> Result<Vec<Entry>, String> {
    let folder = TempDir::new().unwrap();
    files.put(folder.path());
    match SqliteJournal::open_alone(folder.path().join("journal.db")) {
        Ok(journal) => {
            let entries = journal.read(None, 0).await.map_err(|problem| format!("UNREADABLE {problem}"));
            let whole = journal.verify().await.map_err(|problem| format!("UNVERIFIED {problem}"))?;
            let entries = entries?;
            if whole == entries.len() as u64 { Ok(entries) } else { Err(format!("UNVERIFIED {whole}")) }
        }
        Err(problem) => {
            assert!(matches!(problem, JournalError::Damaged(_) | JournalError::Unavailable(_)));
            let said = problem.to_string();
            if Files::of(folder.path()) == *files { Err(said) } else { Err(format!("TOUCHED {said}")) }
        }
    }
}

/// Whether this is how a damaged journal may fare: refused and untouched, or read as it was. Only what was never
/// acknowledged may be missing.
fn is_fair(outcome: &Result<Vec<Entry>, String>, original: &[Entry], noted: u64) -> bool {
    match outcome {
        Ok(entries) => original.starts_with(entries) && entries.len() as u64 >= noted,
        Err(said) => !["TOUCHED", "UNREADABLE", "UNVERIFIED"].iter().any(|word| said.starts_with(word)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_refused_and_stays_as_it_is() {
    let mut chance = Chance::of(base_seed());
    let (older, _) = of_a_rotation(6).await;
    let (files, original) = of_a_rotation(18).await;
    // Closed by its last user: everything is in the file.
    let closed = {
        let folder = TempDir::new().unwrap();
        files.put(folder.path());
        SqliteJournal::open_alone(folder.path().join("journal.db")).unwrap().close().await.unwrap();
        Files::of(folder.path())
    };
    let per_page = if is_long() { 200 } else { 6 };
    let mut cases = wrong(&files, &older);
    for files in [&files, &closed] {
        cases.extend(truncated(files, &mut chance, per_page * 4));
        cases.extend(flipped(files, &mut chance, per_page));
    }
    let (mut refused, mut harmless, mut shorter) = (0, 0, 0);
    let mut tally = Tally { points: cases.len() as u64, ..Tally::default() };
    for case in cases {
        let outcome = read(&case.files).await;
        match &outcome {
            Err(_) => refused += 1,
            Ok(entries) if entries.len() == original.len() => harmless += 1,
            Ok(_) => shorter += 1,
        }
        if is_fair(&outcome, &original, files.noted()) {
            tally.resumed += 1;
        } else {
            let outcome = outcome.map(|entries| entries.len());
            tally.problems.push(format!("{}: {outcome:?}", case.what));
        }
    }
    println!("kill: damages refused={refused} harmless={harmless} shorter={shorter}");
    assert!(files.noted() >= 17, "the note is missing");
    tally.close("damage-files");
}

/// The real process on a damaged journal in the middle of a rotation: whether it started.
async fn start_on(case: &Case, ground: &Ground) -> Result<bool, String> {
    let state = ground.fleet.path("state");
    case.files.put(&state);
    let seen = ground.fleet.sandbox.calls(0).len() as u64;
    let mut process = ground.launch();
    let arrival = ground.drive(&mut process).await?;
    let tail = process.tail();
    if arrival != Arrival::Ended {
        // Not damaged enough to be noticed: then it goes on, or a person is called, and nobody is harmed.
        let mut tally = Tally::default();
        tally.read(&ground.fleet.sandbox.books());
        process.kill();
        let is_harmed = tally.problems.iter().any(|problem| !problem.contains("orphans"));
        return if is_harmed {
            Err(format!("{arrival:?}: {}\n{tail}", tally.problems.join("\n")))
        } else {
            Ok(true)
        };
    }
    let code = process.ended().and_then(|status| status.code());
    if code != Some(3) && code != Some(1) {
        return Err(format!("it ended with {code:?}\n{tail}"));
    }
    let said = tail.lines().last().unwrap_or_default();
    if !said.contains("the journal `") || !said.contains("mend-the-journal") && !said.contains("newer rekeyd")
    {
        return Err(format!("it does not say what to do: {said}"));
    }
    if !ground.fleet.sandbox.calls(seen).is_empty() {
        return Err(format!("it sent something\n{tail}"));
    }
    if Files::of(&state) != case.files {
        return Err(format!("it touched the file\n{tail}"));
    }
    Ok(false)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_does_not_start_on_a_damaged_journal() {
    let mut chance = Chance::of(base_seed());
    let ground = Ground::new(Course::Success, chance.next()).await;
    let state: PathBuf = ground.fleet.path("state");
    let mut process = ground.launch();
    ground.until_entries(&mut process, 5).await;
    process.kill();
    let older = Files::of(&state);
    let mut process = ground.launch();
    ground.until_entries(&mut process, 16).await;
    process.kill();
    let files = Files::of(&state);
    let mut cases = wrong(&files, &older);
    let more = if is_long() { 100 } else { 8 };
    for mut broken in [truncated(&files, &mut chance, 4), flipped(&files, &mut chance, 2)] {
        while broken.len() > more {
            broken.swap_remove(place(&mut chance, broken.len()));
        }
        cases.extend(broken);
    }
    let mut tally = Tally { points: cases.len() as u64, ..Tally::default() };
    let mut started = 0;
    for case in &cases {
        match start_on(case, &ground).await {
            Ok(has_started) => {
                tally.resumed += 1;
                started += u64::from(has_started);
            }
            Err(problem) => tally.problems.push(format!("{}: {problem}", case.what)),
        }
    }
    // The journal as it was is put back, and the rotation goes on.
    files.put(&state);
    if started == 0 {
        tally.add(ground.finish(1).await);
    } else {
        // Somebody has been at work since: it may find that, and halt.
        let mut process = ground.launch();
        let arrival = ground.drive(&mut process).await;
        if !matches!(arrival, Ok(Arrival::Over | Arrival::Halted(_))) {
            tally
                .problems
                .push(format!("put back, after {started} started: {arrival:?}\n{}", process.tail()));
        }
        let mut harm = Tally::default();
        harm.read(&ground.fleet.sandbox.books());
        harm.problems.retain(|problem| !problem.contains(" orphans: "));
        tally.add(Tally { orphans: 0, ..harm });
    }
    tally.close("damage-daemon");
}
