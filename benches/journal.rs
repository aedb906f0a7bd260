//! How many durable appends a second, for one client and for sixteen; and what a long journal costs at start.
//!
//! `cargo bench --bench journal -- [folder [entries]]`. The folder must lie on the disk in question: a file system in
//! memory has no `fsync` to measure. Numbers compare within one run only, since other load turns every wake-up after
//! an `fsync` into a tick of the scheduler.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rekeyd::clock::{Clock as _, SystemClock};
use rekeyd::domain::Timestamp;
use rekeyd::domain::event::Event;
use rekeyd::domain::names::Role;
use rekeyd::journal::sqlite::SqliteJournal;
use rekeyd::ports::{Draft, Journal as _};

const FOR: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let folder = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let entries =
        arguments.next().map_or(100_000, |count| count.parse().expect("the second argument is a number"));
    for clients in [1, 16, 64] {
        throughput(&folder, clients).await;
    }
    start_up(&folder, entries).await;
}

async fn throughput(folder: &Path, clients: u64) {
    let folder = tempfile::tempdir_in(folder).expect("the folder is writable");
    let journal =
        Arc::new(SqliteJournal::open_alone(folder.path().join("journal.db")).expect("a new journal opens"));
    let clock = Arc::new(SystemClock::new());
    let started = clock.monotonic();
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let (journal, clock) = (Arc::clone(&journal), Arc::clone(&clock));
        tasks.spawn(async move {
            let mut waits = Vec::new();
            let mut follows = 0;
            while clock.monotonic() < started + FOR {
                let before = clock.monotonic();
                follows = append(&journal, client, follows).await;
                waits.push(clock.monotonic().saturating_sub(before));
            }
            waits
        });
    }
    let mut waits = tasks.join_all().await.concat();
    waits.sort_unstable();
    let seconds = clock.monotonic().saturating_sub(started).as_secs_f64();
    let count = u32::try_from(waits.len()).expect("fewer than 2^32 appends in seconds");
    println!(
        "{clients:>3} clients: {:>7.0} appends/s, wait p50 {:?}, p99 {:?}, longest {:?}",
        f64::from(count) / seconds,
        waits[waits.len() / 2],
        waits[waits.len() * 99 / 100],
        waits[waits.len() - 1],
    );
    journal.close().await.expect("the journal closes");
}

async fn append(journal: &SqliteJournal, client: u64, follows: u64) -> u64 {
    let tenant = format!("t{client}").parse().expect("a name");
    // A holder renews its lease by asking again; here that happens once, before its first entry.
    let lease =
        rekeyd::ports::Lease { tenant, holder: "bench".to_owned(), fence: 1, until: Timestamp::MAX_UTC };
    if follows == 0 {
        let taken = journal.acquire(&lease.tenant, "bench", Timestamp::UNIX_EPOCH, Duration::MAX).await;
        assert_eq!(taken.expect("the journal works"), Some(lease.clone()));
    }
    let credential = format!("t{client}/dataplane").parse().expect("a name");
    let event = Event::CreateSent { role: Role::Ciapi };
    let draft = Draft { at: Timestamp::UNIX_EPOCH, credential, follows, event };
    journal.append(&lease, draft).await.expect("the journal works").sequence
}

/// Fills a journal from 512 tenants and opens, reads and checks it.
async fn start_up(folder: &Path, entries: u64) {
    const TENANTS: u64 = 512;
    let folder = tempfile::tempdir_in(folder).expect("the folder is writable");
    let path = folder.path().join("journal.db");
    let journal = Arc::new(SqliteJournal::open_alone(&path).expect("a new journal opens"));
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..TENANTS {
        let journal = Arc::clone(&journal);
        tasks.spawn(async move {
            let mut follows = 0;
            for _ in 0..entries / TENANTS {
                follows = append(&journal, client, follows).await;
            }
        });
    }
    tasks.join_all().await;
    journal.close().await.expect("the journal closes");
    drop(journal);

    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let journal = SqliteJournal::open_alone(&path).expect("the journal opens");
    let opened = clock.monotonic();
    let found = journal.read(None, 0).await.expect("the journal is readable").len();
    let read = clock.monotonic();
    journal.verify().await.expect("the journal is whole");
    let verified = clock.monotonic();
    let size = std::fs::metadata(&path).expect("the file exists").len() / 1024 / 1024;
    println!(
        "{found} entries, {size} MiB: open {:?}, read all {:?}, verify {:?}",
        opened.saturating_sub(begun),
        read.saturating_sub(opened),
        verified.saturating_sub(read)
    );
}
