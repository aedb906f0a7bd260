//! What only a file can get wrong: damage, a full disk, a crash, a stranger, a newer release.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::task::Poll;

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::tests::conformance::{draft, lease, tenant};
use super::*;
use crate::domain::event::Event;

struct Scratch {
    folder: TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal.db")
    }

    fn open(&self) -> SqliteJournal {
        SqliteJournal::open(self.path()).unwrap()
    }

    /// A file with `entries` entries, closed.
    async fn filled(entries: u64) -> Self {
        let scratch = Self::new();
        let journal = scratch.open();
        fill(&journal, entries).await;
        journal.close().await.unwrap();
        scratch
    }

    /// Changes the file behind the journal's back.
    fn tamper(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }
}

async fn fill(journal: &SqliteJournal, entries: u64) {
    let lease = lease(journal, "t").await;
    for follows in 0..entries {
        journal.append(&lease, draft("t/a", follows)).await.unwrap();
    }
}

fn damaged<T>(result: Result<T, JournalError>) -> String {
    match result {
        Err(JournalError::Damaged(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the damage was not seen"),
    }
}

fn unavailable<T>(result: Result<T, JournalError>) -> String {
    match result {
        Err(JournalError::Unavailable(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was done all the same"),
    }
}

#[tokio::test]
async fn only_the_owner_can_read_it() {
    let scratch = Scratch::new();
    let folder = scratch.folder.path().join("state");
    let path = folder.join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    fill(&journal, 1).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn tampering_shows() {
    for (sql, expected) in [
        ("UPDATE entry SET event = replace(event, 'moving', 'mowing') WHERE sequence = 2", "entry 2"),
        ("UPDATE entry SET at = replace(at, '.123', '.124') WHERE sequence = 2", "entry 2"),
        ("UPDATE entry SET credential = 'b' WHERE sequence = 2", "entry 2"),
        ("UPDATE entry SET tenant = 'u' WHERE sequence = 2", "entry 2"),
        ("UPDATE entry SET hash = zeroblob(32) WHERE sequence = 2", "entry 2"),
        ("DELETE FROM entry WHERE sequence = 2", "entry 2 is missing"),
        ("DELETE FROM entry WHERE sequence = 1", "entry 1 is missing"),
        ("DELETE FROM entry WHERE sequence = 3", "it ends with entry 2"),
        ("UPDATE entry SET sequence = 4 WHERE sequence = 3", "entry 3 is missing"),
        ("DELETE FROM meta", "not noted"),
    ] {
        let scratch = Scratch::filled(3).await;
        assert_eq!(scratch.open().verify().await, Ok(3));
        scratch.tamper(sql);
        let why = damaged(scratch.open().verify().await);
        assert!(why.contains(expected), "{sql}: {why}");
    }
}

/// Numbers are never given out twice, and nothing is chained to an end that is not the end.
#[tokio::test]
async fn nothing_is_appended_to_a_journal_whose_end_is_gone() {
    let scratch = Scratch::filled(3).await;
    scratch.tamper("DELETE FROM entry WHERE sequence = 3");
    let journal = scratch.open();
    let why = damaged(journal.acquire(&tenant("t"), "me", Timestamp::UNIX_EPOCH, Duration::ZERO).await);
    assert!(why.contains("it ends with entry 2"), "{why}");
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_named() {
    for (sql, expected) in [
        ("UPDATE entry SET event = '{' WHERE sequence = 2", "entry 2: its event"),
        ("UPDATE entry SET event = '{\"event\":\"invented\"}' WHERE sequence = 2", "entry 2: its event"),
        ("UPDATE entry SET at = 'noon' WHERE sequence = 2", "entry 2: `noon`"),
        ("UPDATE entry SET tenant = 'T' WHERE sequence = 2", "entry 2: `T` is not a name"),
    ] {
        let scratch = Scratch::filled(3).await;
        scratch.tamper(sql);
        let why = damaged(scratch.open().read(None, 0).await);
        assert!(why.contains(expected), "{sql}: {why}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_refused() {
    let scratch = Scratch::filled(200).await;
    let whole = fs::read(scratch.path()).unwrap();
    let mut broken = whole.clone();
    for byte in &mut broken[2 * 4096..] {
        *byte ^= 0x55;
    }
    fs::write(scratch.path(), broken).unwrap();
    damaged(SqliteJournal::open(scratch.path()));

    fs::write(scratch.path(), &whole[..whole.len() - 4096]).unwrap();
    damaged(SqliteJournal::open(scratch.path()));

    fs::write(scratch.path(), "no database at all, but long enough to look at".repeat(200)).unwrap();
    damaged(SqliteJournal::open(scratch.path()));
}

#[tokio::test]
async fn an_index_that_lies_shows() {
    let scratch = Scratch::filled(3).await;
    scratch.tamper(
        "PRAGMA writable_schema = ON; \
         UPDATE sqlite_schema SET sql = replace(sql, 'tenant, credential', 'credential, tenant') \
         WHERE name = 'entry_of_credential';",
    );
    damaged(scratch.open().verify().await);
}

#[test]
fn somebody_elses_database_stays_as_it_is() {
    let scratch = Scratch::new();
    scratch.tamper("CREATE TABLE recipes (name TEXT)");
    let before = fs::read(scratch.path()).unwrap();
    let why = damaged(SqliteJournal::open(scratch.path()));
    assert!(why.contains("no journal of rekeyd"), "{why}");
    assert_eq!(fs::read(scratch.path()).unwrap(), before);
}

#[tokio::test]
async fn a_journal_without_a_version_is_not_made_anew() {
    let scratch = Scratch::filled(1).await;
    scratch.tamper("PRAGMA user_version = 0");
    damaged(SqliteJournal::open(scratch.path()));
}

#[tokio::test]
async fn a_newer_release_is_not_overwritten() {
    let scratch = Scratch::filled(1).await;
    scratch.tamper("PRAGMA user_version = 99");
    for result in [SqliteJournal::open(scratch.path()), SqliteJournal::open_read_only(scratch.path())] {
        let why = unavailable(result);
        assert!(why.contains("newer rekeyd") && why.contains("99"), "{why}");
    }
}

#[tokio::test]
async fn reading_only_never_writes() {
    let scratch = Scratch::new();
    unavailable(SqliteJournal::open_read_only(scratch.path()));
    assert!(!scratch.path().exists(), "reading makes no file");

    let writer = scratch.open();
    fill(&writer, 2).await;
    let reader = SqliteJournal::open_read_only(scratch.path()).unwrap();
    assert_eq!(reader.read(None, 0).await.unwrap().len(), 2);
    fill_more(&writer, 2).await;
    assert_eq!(reader.read(None, 0).await.unwrap().len(), 3, "it sees what is written meanwhile");
    assert_eq!(reader.verify().await, Ok(3));
    let held = lease(&writer, "t").await;
    assert!(unavailable(reader.append(&held, draft("t/a", 3)).await).contains("reading only"));
    unavailable(reader.release(&held).await);
    unavailable(reader.acquire(&tenant("u"), "me", Timestamp::UNIX_EPOCH, Duration::ZERO).await);
    reader.close().await.unwrap();
}

async fn fill_more(journal: &SqliteJournal, follows: u64) {
    let lease = lease(journal, "t").await;
    journal.append(&lease, draft("t/a", follows)).await.unwrap();
}

#[tokio::test]
async fn closing_merges_the_log_and_ends_the_writer() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    fill(&journal, 3).await;
    let held = lease(&journal, "t").await;
    journal.close().await.unwrap();
    journal.close().await.unwrap();
    assert!(unavailable(journal.append(&held, draft("t/a", 3)).await).contains("closed"));
    assert_eq!(journal.read(None, 0).await.unwrap().len(), 3, "reading goes on");
    let log = scratch.folder.path().join("journal.db-wal");
    assert_eq!(fs::metadata(log).map_or(0, |log| log.len()), 0);
}

/// What a crash leaves behind: the files as they are at the moment of the answer, without a clean end.
#[tokio::test]
async fn an_acknowledged_entry_survives_a_crash() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    fill(&journal, 5).await;
    let log = fs::read(scratch.folder.path().join("journal.db-wal")).unwrap();
    assert!(!log.is_empty(), "the entries are in the log only");
    // The whole log, and the log as a power cut may leave it: torn inside what was never acknowledged before it.
    for (length, at_least) in
        [(log.len(), 5), (log.len() - 1, 4), (log.len() - 4096, 4), (log.len() / 2, 0), (0, 0)]
    {
        let after = Scratch::new();
        fs::copy(scratch.path(), after.path()).unwrap();
        fs::write(after.folder.path().join("journal.db-wal"), &log[..length]).unwrap();
        let found = match SqliteJournal::open(after.path()) {
            Ok(journal) => {
                let found = journal.verify().await.unwrap();
                assert_eq!(u64::try_from(journal.read(None, 0).await.unwrap().len()).unwrap(), found);
                found
            }
            Err(error) => panic!("{length}: {error}"),
        };
        assert!((at_least..=5).contains(&found), "{length} bytes of log: {found} entries");
    }
}

#[tokio::test]
async fn a_write_whose_caller_went_away_is_written() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let lease = lease(&journal, "t").await;
    let mut append = journal.append(&lease, draft("t/a", 0));
    let first_look = std::future::poll_fn(|context| Poll::Ready(append.as_mut().poll(context))).await;
    assert!(first_look.is_pending(), "it is queued, and nobody has answered yet");
    drop(append);
    let after = journal.append(&lease, draft("t/a", 0)).await;
    assert!(matches!(after, Err(JournalError::MovedOn { found: 1, .. })), "{after:?}");
}

#[tokio::test]
async fn closing_writes_what_is_queued() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let lease = lease(&journal, "t").await;
    let mut append = journal.append(&lease, draft("t/a", 0));
    let first_look = std::future::poll_fn(|context| Poll::Ready(append.as_mut().poll(context))).await;
    assert!(first_look.is_pending());
    drop(append);
    journal.close().await.unwrap();
    assert_eq!(scratch.open().verify().await, Ok(1));
}

#[tokio::test]
async fn a_full_disk_costs_nothing_but_time() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    fill(&journal, 3).await;
    let lease = lease(&journal, "t").await;
    let event = || Event::ExclusionFailed { detail: "x".repeat(20_000) };
    let large = |follows| Draft { event: event(), ..draft("t/a", follows) };

    limit_pages(&journal, 1).await;
    for _ in 0..3 {
        let why = unavailable(journal.append(&lease, large(3)).await);
        assert!(why.contains("free some space"), "{why}");
    }
    assert_eq!(journal.read(None, 0).await.unwrap().len(), 3, "reading goes on");
    assert_eq!(journal.verify().await, Ok(3));

    limit_pages(&journal, u32::MAX - 1).await;
    assert_eq!(journal.append(&lease, large(3)).await.unwrap().sequence, 4, "no number was lost");
    assert_eq!(journal.verify().await, Ok(4));
}

async fn limit_pages(journal: &SqliteJournal, pages: u32) {
    journal.writer().unwrap().ask(|answer| Request::limit_pages(pages, answer)).await.unwrap();
}

#[test]
fn many_may_open_a_new_file_at_once() {
    let scratch = Scratch::new();
    std::thread::scope(|scope| {
        let openers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| SqliteJournal::open(scratch.path()).map(drop))).collect();
        for opener in openers {
            opener.join().unwrap().unwrap();
        }
    });
}

#[test]
fn the_plans_use_the_index() {
    let scratch = Scratch::new();
    let connection = schema::open(&scratch.path()).unwrap();
    let last = "SELECT max(sequence) FROM entry WHERE tenant = 't' AND credential = 'a'";
    for sql in [last, reader::OF_TENANT, reader::LAST_OF_TENANT] {
        let plan: String = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap()
            .raw_query()
            .next()
            .unwrap()
            .unwrap()
            .get(3)
            .unwrap();
        assert!(plan.contains("USING") && plan.contains("INDEX entry_of_credential"), "{sql}: {plan}");
    }
}

#[tokio::test]
async fn one_process_works_alone_and_takes_over_at_once() {
    let scratch = Scratch::new();
    let first = SqliteJournal::open_alone(scratch.path()).unwrap();
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let life = Duration::from_hours(1);
    let held = first.acquire(&tenant("t"), "first", now, life).await.unwrap().unwrap();
    assert!(unavailable(SqliteJournal::open_alone(scratch.path())).contains("another rekeyd works with"));
    // The first one dies without giving anything back.
    first.close().await.unwrap();
    drop(first);
    let second = SqliteJournal::open_alone(scratch.path()).unwrap();
    let taken = second.acquire(&tenant("t"), "second", now, life).await.unwrap().expect("its lease is over");
    assert!(taken.fence > held.fence, "what the first one still sends is refused");
}

/// A commit that went well is no news from a file system that takes no changes any more: ext4 says so while it turns
/// read-only.
#[tokio::test]
async fn a_commit_without_its_witness_is_not_acknowledged() {
    let scratch = Scratch::filled(1).await;
    let lock = scratch.folder.path().join("journal.lock");
    fs::write(&lock, "").unwrap();
    // A file that was opened for reading refuses another length, as one on such a file system does.
    let deaf = fs::File::open(&lock).unwrap();
    let connection = schema::connect(&scratch.path()).unwrap();
    let journal = SqliteJournal::write_to(&scratch.path(), connection, Some(deaf)).unwrap();
    let (tenant, now) = (tenant("u"), "2026-01-01T00:00:00Z".parse().unwrap());
    let answer = journal.acquire(&tenant, "it", now, Duration::from_hours(1)).await;
    assert!(unavailable(answer).contains("journal.lock"));
    journal.close().await.unwrap();
    drop(journal);
    // With a witness everything goes on, however long the lock file is.
    for length in [0, 1, 2] {
        fs::File::options().write(true).open(&lock).unwrap().set_len(length).unwrap();
        let journal = SqliteJournal::open_alone(scratch.path()).unwrap();
        for holder in ["it", "that"] {
            let later = now + Duration::from_hours(2 + length);
            journal.acquire(&tenant, holder, later, Duration::ZERO).await.unwrap();
        }
        journal.close().await.unwrap();
    }
}

/// A journal as the daemon leaves it, open and closed again.
async fn left_by_a_daemon(entries: u64) -> Scratch {
    let scratch = Scratch::new();
    let journal = SqliteJournal::open_alone(scratch.path()).unwrap();
    fill(&journal, entries).await;
    journal.close().await.unwrap();
    scratch
}

#[tokio::test]
async fn a_daemon_does_not_start_on_what_was_changed() {
    for (sql, expected) in [
        ("UPDATE entry SET event = replace(event, 'moving', 'mowing') WHERE sequence = 2", "entry 2"),
        ("DELETE FROM entry WHERE sequence = 2", "entry 2 is missing"),
        ("DELETE FROM meta", "not noted"),
        ("CREATE TABLE recipes (name TEXT)", "its tables are not the ones"),
        ("DROP INDEX entry_of_credential", "its tables are not the ones"),
    ] {
        let scratch = left_by_a_daemon(3).await;
        scratch.tamper(sql);
        let before = fs::read(scratch.path()).unwrap();
        let why = damaged(SqliteJournal::open_alone(scratch.path()));
        assert!(why.contains(expected), "{sql}: {why}");
        assert_eq!(fs::read(scratch.path()).unwrap(), before, "{sql}: it stays as it is");
    }
}

#[tokio::test]
async fn a_journal_that_lost_its_end_is_refused() {
    let older = left_by_a_daemon(2).await;
    let scratch = Scratch::new();
    for name in ["journal.db", "journal.head"] {
        fs::copy(older.folder.path().join(name), scratch.folder.path().join(name)).unwrap();
    }
    let journal = SqliteJournal::open_alone(scratch.path()).unwrap();
    fill_more(&journal, 2).await;
    journal.close().await.unwrap();
    drop(journal);
    fs::copy(older.path(), scratch.path()).unwrap();
    let why = damaged(SqliteJournal::open_alone(scratch.path()));
    assert!(why.contains("entry 3 was written and is not there"), "{why}");
    // A person who has nothing newer says so by removing the note. The journal is a copy until somebody vouches for it.
    fs::remove_file(scratch.folder.path().join("journal.head")).unwrap();
    for _ in 0..2 {
        let journal = SqliteJournal::open_alone(scratch.path()).unwrap();
        assert!(journal.is_copy());
        journal.close().await.unwrap();
    }
    let journal = SqliteJournal::open_alone(scratch.path()).unwrap();
    journal.vouch().await.unwrap();
    fill_more(&journal, 2).await;
    journal.close().await.unwrap();
    drop(journal);
    let journal = SqliteJournal::open_alone(scratch.path()).unwrap();
    assert!(!journal.is_copy());
    journal.close().await.unwrap();
    drop(journal);
    fs::copy(older.path(), scratch.path()).unwrap();
    damaged(SqliteJournal::open_alone(scratch.path()));
}

#[tokio::test]
async fn another_journal_in_the_same_place_is_refused() {
    let scratch = left_by_a_daemon(3).await;
    let other = Scratch::new();
    let journal = SqliteJournal::open_alone(other.path()).unwrap();
    let lease = lease(&journal, "u").await;
    for follows in 0..4 {
        journal.append(&lease, draft("u/a", follows)).await.unwrap();
    }
    journal.close().await.unwrap();
    fs::copy(other.path(), scratch.path()).unwrap();
    assert!(damaged(SqliteJournal::open_alone(scratch.path())).contains("not the one that was here"));
}

#[tokio::test]
async fn a_journal_that_is_gone_is_not_made_anew() {
    let scratch = left_by_a_daemon(3).await;
    fs::remove_file(scratch.path()).unwrap();
    assert!(damaged(SqliteJournal::open_alone(scratch.path())).contains("is gone; it had 3 entries"));
    assert!(!scratch.path().exists());
    fs::write(scratch.path(), "").unwrap();
    assert!(damaged(SqliteJournal::open_alone(scratch.path())).contains("is empty"));
    fs::remove_file(scratch.path()).unwrap();
    for text in ["", "4 x\n"] {
        fs::write(scratch.folder.path().join("journal.head"), text).unwrap();
        assert!(damaged(SqliteJournal::open_alone(scratch.path())).contains("cannot be read"));
    }
}

/// After a power cut the note may be behind.
#[tokio::test]
async fn a_note_that_is_behind_is_no_damage() {
    let scratch = left_by_a_daemon(3).await;
    let new = left_by_a_daemon(0).await;
    fs::copy(new.folder.path().join("journal.head"), scratch.folder.path().join("journal.head")).unwrap();
    assert!(!SqliteJournal::open_alone(scratch.path()).unwrap().is_copy());
}

#[test]
fn what_a_dying_process_began_is_begun_again() {
    let scratch = Scratch::new();
    for name in ["journal.db.new", "journal.db.new-wal", "journal.db.new-journal"] {
        fs::write(scratch.folder.path().join(name), "half of it").unwrap();
    }
    drop(SqliteJournal::open_alone(scratch.path()).unwrap());
    assert!(!scratch.folder.path().join("journal.db.new").exists());
}
