//! The journal as one `SQLite` file.
//!
//! One thread owns the only connection that writes. It takes everything that waits in its queue into one
//! transaction, and one `fsync` makes all of it durable: sixteen clients cost as much as one. Reading uses
//! connections of its own, which the write-ahead log keeps out of the writer's way. A second process may open the same
//! file; the database orders the two.
//!
//! **A caller that goes away does not take its write with it.** What is in the queue is written, whether or not
//! anybody waits for the answer. After a dropped append the caller reads again before it believes anything.

mod batch;
mod file;
mod note;
mod reader;
mod schema;
mod trouble;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rusqlite::Connection;
use tokio::task::spawn_blocking;

use super::chain::{Head, Line};
use crate::domain::Timestamp;
use crate::domain::event::Entry;
use crate::domain::names::TenantId;
use crate::ports::{Draft, Journal, JournalError, Lease};
use batch::{Acquire, Append};
use file::Witness;
use note::Note;
use writer::{Request, Writer};

/// The journal in one `SQLite` file.
pub struct SqliteJournal {
    path: PathBuf,
    /// `None` where the file was opened for reading only.
    writer: Option<Writer>,
    reader: Arc<Mutex<Connection>>,
    /// How far it has come; kept by the one process that has the journal alone.
    note: Arc<OnceLock<Note>>,
    /// The lock that says that no other process writes. It ends with the process, however that ends.
    alone: Option<File>,
}

impl SqliteJournal {
    /// Opens the journal at `path` and starts its writer. A file that is not there is made, readable by its owner
    /// only, and so is its folder. Blocks while the file is checked.
    ///
    /// [`JournalError::Damaged`] where the file is not whole or not a journal; [`JournalError::Unavailable`] where it
    /// cannot be opened or was written by a newer release.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref();
        Self::write_to(path, schema::open(path)?, None)
    }

    /// Opens the journal as [`open`](Self::open) does, for this process alone: refused while another one has it alone.
    /// Nobody who held a lease can be alive then, so every lease is over, and work goes on at once after a crash.
    ///
    /// Every page, the index, the chain over all entries and the note of how far it had come are checked before
    /// anything is written: a journal that is damaged stays as it is.
    pub fn open_alone(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref();
        let lock = file::lock(path)?;
        schema::examine(path)?;
        let is_noted = note::is_there(path)?;
        let connection = schema::prepare(path)?;
        schema::end_leases(&connection)?;
        let head = batch::head(&connection)?;
        let journal = Self::write_to(path, connection, Some(lock))?;
        if is_noted || head == Head::GENESIS {
            journal.note_from(&head)?;
        }
        Ok(journal)
    }

    /// Whether a person put this journal in its place: it has entries, and no note of how far it had come. No note is
    /// made until [`vouch`](Self::vouch) is called.
    pub fn is_copy(&self) -> bool {
        self.alone.is_some() && self.note.get().is_none()
    }

    /// Takes a journal that was put in its place for its own.
    pub async fn vouch(&self) -> Result<(), JournalError> {
        let reader = Arc::clone(&self.reader);
        let head = blocking(move || batch::head(&reader.lock().expect("reading does not panic"))).await?;
        self.note_from(&head)
    }

    fn note_from(&self, head: &Head) -> Result<(), JournalError> {
        let note = Note::open(&self.path, head)?;
        // Who was first has opened the same file.
        let _ = self.note.set(note);
        Ok(())
    }

    fn write_to(path: &Path, connection: Connection, alone: Option<File>) -> Result<Self, JournalError> {
        let reader = Arc::new(Mutex::new(schema::open_read_only(path)?));
        let (path, note) = (path.to_owned(), Arc::new(OnceLock::new()));
        let witness = alone.as_ref().map(|lock| Witness::new(lock, &path)).transpose()?;
        let writer = Some(Writer::start(&path, connection, Arc::clone(&note), witness)?);
        Ok(Self { path, writer, reader, note, alone })
    }

    /// Opens the journal at `path` for reading, beside a daemon that may be writing. Appends, leases and their return
    /// are refused; the file is neither made nor upgraded.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref().to_owned();
        let reader = Arc::new(Mutex::new(schema::open_read_only(&path)?));
        Ok(Self { writer: None, reader, path, note: Arc::default(), alone: None })
    }

    /// Ends the writer: what is queued is written, the write-ahead log is merged into the file, the thread ends.
    /// Appends after this are refused; reads still work. Without it, dropping the journal does the same, unwatched.
    pub async fn close(&self) -> Result<(), JournalError> {
        match &self.writer {
            Some(writer) => writer.close().await,
            None => Ok(()),
        }
    }

    fn writer(&self) -> Result<&Writer, JournalError> {
        self.writer
            .as_ref()
            .ok_or_else(|| JournalError::Unavailable("it was opened for reading only".to_owned()))
    }
}

#[async_trait::async_trait]
impl Journal for SqliteJournal {
    async fn append(&self, lease: &Lease, draft: Draft) -> Result<Entry, JournalError> {
        assert_eq!(lease.tenant, draft.credential.tenant, "an append carries the lease of its own tenant");
        let append = Append { lease: lease.clone(), line: Line::of(&draft)?, follows: draft.follows };
        let sequence = self.writer()?.ask(|answer| Request::append(append, answer)).await?;
        Ok(Entry { sequence, at: draft.at, credential: draft.credential, event: draft.event })
    }

    async fn read(&self, tenant: Option<&TenantId>, after: u64) -> Result<Vec<Entry>, JournalError> {
        let (reader, tenant) = (Arc::clone(&self.reader), tenant.cloned());
        blocking(move || {
            let connection = reader.lock().expect("reading does not panic");
            reader::read(&connection, tenant.as_ref(), after)
        })
        .await
    }

    async fn recent(&self, tenant: Option<&TenantId>, most: usize) -> Result<Vec<Entry>, JournalError> {
        let (reader, tenant) = (Arc::clone(&self.reader), tenant.cloned());
        blocking(move || {
            let connection = reader.lock().expect("reading does not panic");
            reader::recent(&connection, tenant.as_ref(), most)
        })
        .await
    }

    async fn acquire(
        &self,
        tenant: &TenantId,
        holder: &str,
        now: Timestamp,
        life: Duration,
    ) -> Result<Option<Lease>, JournalError> {
        let acquire = Acquire { tenant: tenant.clone(), holder: holder.to_owned(), now, life };
        self.writer()?.ask(|answer| Request::acquire(acquire, answer)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), JournalError> {
        let lease = lease.clone();
        self.writer()?.ask(|answer| Request::release(lease, answer)).await
    }

    async fn verify(&self) -> Result<u64, JournalError> {
        let path = self.path.clone();
        // A connection of its own: a check of years must not hold up the readers.
        blocking(move || reader::verify(&mut schema::open_read_only(&path)?)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(JournalError::Unavailable(format!("reading was cut short: {error}"))))
}
