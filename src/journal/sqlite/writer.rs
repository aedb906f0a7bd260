//! The one thread that writes.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::super::chain::Head;
use super::batch::{Acquire, Append, Batch, Ruling};
use super::file::Witness;
use super::note::Note;
use super::schema;
use crate::ports::{JournalError, Lease};

/// How many requests may wait; a caller beyond it waits to be let in.
const QUEUE: usize = 1024;

/// How many requests share one commit. All that can wait may.
const BATCH: usize = QUEUE;

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, JournalError>>;

/// The writer, seen from the callers.
pub(super) struct Writer {
    /// `None` after `close`.
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<Result<(), JournalError>>>>,
}

impl Writer {
    /// Starts the thread on `connection`.
    pub(super) fn start(
        path: &Path,
        connection: Connection,
        note: Arc<OnceLock<Note>>,
        witness: Option<Witness>,
    ) -> Result<Self, JournalError> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let path = path.to_owned();
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || run(connection, &path, &note, witness, receiver))
            .map_err(|error| JournalError::Unavailable(format!("its thread cannot start: {error}")))?;
        Ok(Self { queue: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Queues one request and waits until what came of it is durable.
    pub(super) async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, JournalError> {
        let queue = self.queue.lock().expect(UNPOISONED).clone();
        let queue = queue.ok_or_else(|| JournalError::Unavailable("it is closed".to_owned()))?;
        let (sender, receiver) = oneshot::channel();
        queue
            .send(request(sender))
            .await
            .map_err(|_| JournalError::Unavailable("its writer has ended".to_owned()))?;
        receiver.await.unwrap_or_else(|_| {
            Err(JournalError::Unavailable("its writer ended before it answered: read again".to_owned()))
        })
    }

    /// Lets the thread finish what is queued, and waits for its end.
    pub(super) async fn close(&self) -> Result<(), JournalError> {
        drop(self.queue.lock().expect(UNPOISONED).take());
        let Some(thread) = self.thread.lock().expect(UNPOISONED).take() else { return Ok(()) };
        match spawn_blocking(move || thread.join()).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(JournalError::Unavailable("its writer ended with a panic".to_owned())),
        }
    }
}

const UNPOISONED: &str = "nothing panics while it holds the writer's handles";

/// One request, its answer before it is durable, and who waits for it.
pub(super) struct Pending<C, T> {
    command: C,
    ruling: Option<Ruling<T>>,
    answer: Answer<T>,
}

impl<C, T> Pending<C, T> {
    fn new(command: C, answer: Answer<T>) -> Self {
        Self { command, ruling: None, answer }
    }

    /// A refusal, too, is only true once the transaction it was made in is.
    fn answer(self, outcome: &Result<(), JournalError>) {
        let answer = match outcome {
            Ok(()) => self.ruling.expect("a committed batch has ruled on every request"),
            Err(error) => Err(error.clone()),
        };
        // Nobody listens any more: the write stands all the same.
        drop(self.answer.send(answer));
    }
}

/// What the thread is asked for.
pub(super) enum Request {
    Append(Pending<Append, u64>),
    Acquire(Pending<Acquire, Option<Lease>>),
    Release(Pending<Lease, ()>),
    #[cfg(test)]
    LimitPages(Pending<u32, ()>),
}

impl Request {
    pub(super) fn append(append: Append, answer: Answer<u64>) -> Self {
        Self::Append(Pending::new(append, answer))
    }

    pub(super) fn acquire(acquire: Acquire, answer: Answer<Option<Lease>>) -> Self {
        Self::Acquire(Pending::new(acquire, answer))
    }

    pub(super) fn release(lease: Lease, answer: Answer<()>) -> Self {
        Self::Release(Pending::new(lease, answer))
    }

    #[cfg(test)]
    pub(super) fn limit_pages(pages: u32, answer: Answer<()>) -> Self {
        Self::LimitPages(Pending::new(pages, answer))
    }

    fn apply(&mut self, batch: &mut Batch<'_>) -> Result<(), JournalError> {
        match self {
            Self::Append(append) => append.ruling = Some(batch.append(&append.command)?),
            Self::Acquire(acquire) => acquire.ruling = Some(batch.acquire(&acquire.command)?),
            Self::Release(release) => release.ruling = Some(batch.release(&release.command)?),
            #[cfg(test)]
            Self::LimitPages(limit) => limit.ruling = Some(batch.limit_pages(limit.command)?),
        }
        Ok(())
    }

    fn answer(self, outcome: &Result<(), JournalError>) {
        match self {
            Self::Append(append) => append.answer(outcome),
            Self::Acquire(acquire) => acquire.answer(outcome),
            Self::Release(release) => release.answer(outcome),
            #[cfg(test)]
            Self::LimitPages(limit) => limit.answer(outcome),
        }
    }
}

/// The life of the thread: until every sender is gone, take all that waits, write it, answer.
fn run(
    mut connection: Connection,
    path: &Path,
    note: &OnceLock<Note>,
    mut witness: Option<Witness>,
    mut queue: mpsc::Receiver<Request>,
) -> Result<(), JournalError> {
    let mut requests = Vec::new();
    while queue.blocking_recv_many(&mut requests, BATCH) > 0 {
        let outcome = write(&mut connection, &mut requests).and_then(|head| {
            witness.as_mut().map_or(Ok(()), Witness::ask)?;
            Ok(head)
        });
        match (&outcome, note.get()) {
            (Err(_), _) => recover(&mut connection, path),
            (Ok(head), Some(note)) => note.write(head),
            (Ok(_), None) => {}
        }
        let outcome = outcome.map(drop);
        for request in requests.drain(..) {
            request.answer(&outcome);
        }
    }
    merge_log(connection)
}

fn write(connection: &mut Connection, requests: &mut [Request]) -> Result<Head, JournalError> {
    let mut batch = Batch::begin(connection)?;
    for request in requests {
        request.apply(&mut batch)?;
    }
    batch.commit()
}

/// After an error the dropped transaction has been rolled back, and the next one reads the end of the journal afresh.
/// A connection that is still inside its transaction is beyond that, and is replaced; if that fails too, the next
/// batch fails and tries again.
fn recover(connection: &mut Connection, path: &Path) {
    if !connection.is_autocommit()
        && let Ok(fresh) = schema::connect(path)
    {
        *connection = fresh;
    }
}

fn merge_log(connection: Connection) -> Result<(), JournalError> {
    // The first column says whether somebody else still reads the log: that is no error, they will merge it.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody is told what was not made durable: neither that it was written, nor that it was refused.
    #[test]
    fn those_who_came_together_fail_together() {
        let refusal = JournalError::Stale { tenant: "t".parse().unwrap() };
        let trouble = JournalError::Unavailable("the disk is full".to_owned());
        for ruling in [Some(Ok(7)), Some(Err(refusal.clone())), None] {
            let (sender, mut receiver) = oneshot::channel();
            Pending { command: (), ruling, answer: sender }.answer(&Err(trouble.clone()));
            assert_eq!(receiver.try_recv().unwrap(), Err::<u64, _>(trouble.clone()));
        }
        for ruling in [Ok(7), Err(refusal)] {
            let (sender, mut receiver) = oneshot::channel();
            Pending { command: (), ruling: Some(ruling.clone()), answer: sender }.answer(&Ok(()));
            assert_eq!(receiver.try_recv().unwrap(), ruling);
        }
    }
}
