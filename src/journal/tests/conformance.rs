//! What every journal keeps to. Each check runs on a store that can be opened several times, like a file by several
//! processes; `SQLite` and memory pass the same ones.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::super::memory::MemoryJournal;
use super::super::sqlite::SqliteJournal;
use super::samples;
use crate::domain::event::{Entry, Event};
use crate::domain::names::TenantId;
use crate::domain::{Timestamp, after};
use crate::ports::{Draft, Journal, JournalError, Lease};

pub(in crate::journal) const LIFE: Duration = Duration::from_mins(1);

/// Where journals are opened.
pub(in crate::journal) enum Store {
    Memory(MemoryJournal),
    Sqlite(TempDir),
}

impl Store {
    pub(in crate::journal) fn memory() -> Self {
        Self::Memory(MemoryJournal::new())
    }

    pub(in crate::journal) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(in crate::journal) fn open(&self) -> Arc<dyn Journal> {
        match self {
            Self::Memory(journal) => Arc::new(journal.clone()),
            Self::Sqlite(folder) => Arc::new(SqliteJournal::open(folder.path().join("journal.db")).unwrap()),
        }
    }
}

/// Runs each check on both stores.
macro_rules! on_both {
    ($($check:ident),+ $(,)?) => {
        mod memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    super::$check(super::Store::memory()).await;
                }
            )+
        }
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    super::$check(super::Store::sqlite()).await;
                }
            )+
        }
    };
}

on_both! {
    entries_come_back_in_order,
    an_entry_must_follow_the_last_of_its_credential,
    every_event_survives,
    a_lease_excludes_until_it_ends,
    a_renewal_keeps_the_fence,
    a_lease_given_back_can_be_taken_at_once,
    a_takeover_shuts_the_old_holder_out,
    a_lease_of_nobody_is_stale,
    a_lease_may_have_no_end,
    two_instances_share_one_journal,
    many_writers_leave_no_gap,
}

pub(in crate::journal) fn at(seconds: u32) -> Timestamp {
    after(Timestamp::UNIX_EPOCH, Duration::new(1_795_000_000 + u64::from(seconds), 123_456_789))
}

pub(in crate::journal) fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

pub(in crate::journal) fn draft(credential: &str, follows: u64) -> Draft {
    Draft { at: at(0), credential: credential.parse().unwrap(), follows, event: Event::Moving }
}

pub(in crate::journal) async fn lease(journal: &dyn Journal, name: &str) -> Lease {
    journal.acquire(&tenant(name), "me", at(0), LIFE).await.unwrap().expect("nobody else holds it")
}

pub(in crate::journal) fn sequences(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.sequence).collect()
}

async fn entries_come_back_in_order(store: Store) {
    let journal = store.open();
    assert_eq!(journal.read(None, 0).await, Ok(vec![]));
    assert_eq!(journal.verify().await, Ok(0));
    let (one, two) = (lease(&*journal, "one").await, lease(&*journal, "two").await);
    let mut written = Vec::new();
    for (lease, credential, follows) in
        [(&one, "one/b", 0), (&two, "two/a", 0), (&one, "one/a", 0), (&one, "one/b", 1)]
    {
        written.push(journal.append(lease, draft(credential, follows)).await.unwrap());
    }
    assert_eq!(sequences(&written), [1, 2, 3, 4]);
    assert_eq!(journal.read(None, 0).await.unwrap(), written);
    assert_eq!(sequences(&journal.read(None, 2).await.unwrap()), [3, 4]);
    assert_eq!(sequences(&journal.read(Some(&tenant("one")), 0).await.unwrap()), [1, 3, 4]);
    assert_eq!(sequences(&journal.read(Some(&tenant("one")), 1).await.unwrap()), [3, 4]);
    assert_eq!(journal.read(Some(&tenant("three")), 0).await, Ok(vec![]));
    assert_eq!(journal.read(None, u64::MAX).await, Ok(vec![]));
    assert_eq!(journal.verify().await, Ok(4));
    assert_eq!(sequences(&journal.recent(None, 2).await.unwrap()), [3, 4]);
    assert_eq!(journal.recent(None, 9).await.unwrap(), written);
    assert_eq!(sequences(&journal.recent(Some(&tenant("one")), 2).await.unwrap()), [3, 4]);
    assert_eq!(journal.recent(Some(&tenant("three")), 2).await, Ok(vec![]));
}

async fn an_entry_must_follow_the_last_of_its_credential(store: Store) {
    let journal = store.open();
    let lease = lease(&*journal, "t").await;
    let moved_on =
        |expected, found| Err(JournalError::MovedOn { credential: "t/a".parse().unwrap(), expected, found });
    assert_eq!(journal.append(&lease, draft("t/a", 1)).await, moved_on(1, 0));
    journal.append(&lease, draft("t/a", 0)).await.unwrap();
    journal.append(&lease, draft("t/b", 0)).await.unwrap();
    assert_eq!(journal.append(&lease, draft("t/a", 0)).await, moved_on(0, 1));
    assert_eq!(journal.append(&lease, draft("t/a", 2)).await, moved_on(2, 1));
    assert_eq!(journal.append(&lease, draft("t/a", 1)).await.unwrap().sequence, 3);
    assert_eq!(journal.verify().await, Ok(3));
}

async fn every_event_survives(store: Store) {
    let journal = store.open();
    let lease = lease(&*journal, "t").await;
    let mut written = Vec::new();
    for event in samples::events() {
        let follows = written.last().map_or(0, |entry: &Entry| entry.sequence);
        written.push(journal.append(&lease, Draft { event, ..draft("t/a", follows) }).await.unwrap());
    }
    assert_eq!(store.open().read(None, 0).await.unwrap(), written);
    assert_eq!(journal.verify().await, Ok(u64::try_from(written.len()).unwrap()));
}

async fn a_lease_excludes_until_it_ends(store: Store) {
    let journal = store.open();
    let first = journal.acquire(&tenant("t"), "me", at(0), LIFE).await.unwrap().unwrap();
    assert_eq!(first, Lease { tenant: tenant("t"), holder: "me".to_owned(), fence: 1, until: at(60) });
    assert_eq!(journal.acquire(&tenant("t"), "you", at(59), LIFE).await, Ok(None));
    assert!(
        journal.acquire(&tenant("u"), "you", at(59), LIFE).await.unwrap().is_some(),
        "other tenants are free"
    );
    let second = journal.acquire(&tenant("t"), "you", at(60), LIFE).await.unwrap().unwrap();
    assert_eq!((second.fence, second.until), (2, at(120)));
    assert_eq!(journal.acquire(&tenant("t"), "me", at(61), LIFE).await, Ok(None));
}

async fn a_renewal_keeps_the_fence(store: Store) {
    let journal = store.open();
    let first = journal.acquire(&tenant("t"), "me", at(0), LIFE).await.unwrap().unwrap();
    let renewed = journal.acquire(&tenant("t"), "me", at(30), LIFE).await.unwrap().unwrap();
    assert_eq!((renewed.fence, renewed.until), (1, at(90)));
    let late = journal.acquire(&tenant("t"), "me", at(900), LIFE).await.unwrap().unwrap();
    assert_eq!((late.fence, late.until), (1, at(960)), "nobody took it over in between");
    journal.append(&first, draft("t/a", 0)).await.unwrap();
    journal.append(&late, draft("t/a", 1)).await.unwrap();
}

async fn a_lease_given_back_can_be_taken_at_once(store: Store) {
    let journal = store.open();
    let mine = journal.acquire(&tenant("t"), "me", at(0), LIFE).await.unwrap().unwrap();
    journal.release(&mine).await.unwrap();
    let yours = journal.acquire(&tenant("t"), "you", at(1), LIFE).await.unwrap().unwrap();
    assert_eq!(yours.fence, 2);
    journal.release(&mine).await.unwrap();
    assert_eq!(
        journal.acquire(&tenant("t"), "me", at(2), LIFE).await,
        Ok(None),
        "only the holder gives it back"
    );
}

async fn a_takeover_shuts_the_old_holder_out(store: Store) {
    let journal = store.open();
    let mine = journal.acquire(&tenant("t"), "me", at(0), LIFE).await.unwrap().unwrap();
    journal.append(&mine, draft("t/a", 0)).await.unwrap();
    let yours = journal.acquire(&tenant("t"), "you", at(60), LIFE).await.unwrap().unwrap();
    let stale = Err(JournalError::Stale { tenant: tenant("t") });
    assert_eq!(journal.append(&mine, draft("t/a", 1)).await, stale);
    assert_eq!(journal.append(&mine, draft("t/a", 0)).await, stale, "the lease is looked at first");
    journal.append(&yours, draft("t/a", 1)).await.unwrap();

    let again = journal.acquire(&tenant("t"), "me", at(120), LIFE).await.unwrap().unwrap();
    assert_eq!(again.fence, 3);
    assert_eq!(
        journal.append(&mine, draft("t/a", 2)).await,
        stale,
        "the same name does not revive an old fence"
    );
    assert_eq!(journal.append(&yours, draft("t/a", 2)).await, stale);
    assert_eq!(journal.verify().await, Ok(2));
}

async fn a_lease_of_nobody_is_stale(store: Store) {
    let journal = store.open();
    let made_up = Lease { tenant: tenant("t"), holder: "me".to_owned(), fence: 1, until: at(60) };
    let stale = Err(JournalError::Stale { tenant: tenant("t") });
    assert_eq!(journal.append(&made_up, draft("t/a", 0)).await, stale);
    journal.release(&made_up).await.unwrap();
    let real = lease(&*journal, "t").await;
    let other_holder = Lease { holder: "you".to_owned(), ..real };
    assert_eq!(journal.append(&other_holder, draft("t/a", 0)).await, stale);
}

async fn a_lease_may_have_no_end(store: Store) {
    let journal = store.open();
    let endless = journal.acquire(&tenant("t"), "me", at(0), Duration::MAX).await.unwrap().unwrap();
    assert_eq!(endless.until, Timestamp::MAX_UTC);
    let other = store.open();
    assert_eq!(other.acquire(&tenant("t"), "you", at(9), Duration::MAX).await, Ok(None));
    // Where leases end, one that does not was taken on a clock that was ahead.
    assert_eq!(other.acquire(&tenant("t"), "you", at(9), LIFE).await.unwrap().unwrap().fence, 2);
}

async fn two_instances_share_one_journal(store: Store) {
    let (left, right) = (store.open(), store.open());
    let mine = left.acquire(&tenant("t"), "left", at(0), LIFE).await.unwrap().unwrap();
    assert_eq!(right.acquire(&tenant("t"), "right", at(0), LIFE).await, Ok(None));
    left.append(&mine, draft("t/a", 0)).await.unwrap();
    assert_eq!(sequences(&right.read(None, 0).await.unwrap()), [1]);
    let yours = right.acquire(&tenant("t"), "right", at(60), LIFE).await.unwrap().unwrap();
    assert_eq!(right.append(&yours, draft("t/a", 1)).await.unwrap().sequence, 2);
    assert!(matches!(left.append(&mine, draft("t/a", 2)).await, Err(JournalError::Stale { .. })));
    assert_eq!(left.verify().await, Ok(2));
}

/// Sixteen tasks on two instances, each with a tenant of its own.
async fn many_writers_leave_no_gap(store: Store) {
    const TASKS: u64 = 16;
    const APPENDS: u64 = 200;
    let journals = [store.open(), store.open()];
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let journal = Arc::clone(&journals[usize::try_from(task % 2).unwrap()]);
        tasks.spawn(async move {
            let name = format!("t{task}");
            let lease = lease(&*journal, &name).await;
            let mut follows = 0;
            for _ in 0..APPENDS {
                let entry = journal.append(&lease, draft(&format!("{name}/a"), follows)).await.unwrap();
                assert!(entry.sequence > follows);
                follows = entry.sequence;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let entries = journals[0].read(None, 0).await.unwrap();
    assert_eq!(sequences(&entries), (1..=TASKS * APPENDS).collect::<Vec<_>>());
    assert_eq!(journals[1].verify().await, Ok(TASKS * APPENDS));
}

#[tokio::test]
async fn memory_fails_when_it_is_told_to() {
    let journal = MemoryJournal::new();
    let lease = lease(&journal, "t").await;
    journal.fail_next(2);
    for _ in 0..2 {
        assert!(matches!(journal.append(&lease, draft("t/a", 0)).await, Err(JournalError::Unavailable(_))));
    }
    journal.lose_next_answers(1);
    assert!(matches!(journal.append(&lease, draft("t/a", 0)).await, Err(JournalError::Unavailable(_))));
    assert_eq!(
        sequences(&journal.read(None, 0).await.unwrap()),
        [1],
        "written, although the answer got lost"
    );
    assert_eq!(journal.append(&lease, draft("t/a", 1)).await.unwrap().sequence, 2);
}
