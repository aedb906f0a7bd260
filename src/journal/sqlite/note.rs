//! How far the journal has come, noted beside it.
//!
//! A journal whose end is lost looks whole: `SQLite` drops the rest of a write-ahead log without a word where one bit
//! of it is wrong, and a backup that was put back is as consistent as it ever was. So the number and the hash of the
//! last entry are noted in a file of their own *after* that entry is on disk, and compared at the next start. Once it
//! is there the note is not synced: after a power cut it may be behind, and it is never ahead.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _};

use super::super::chain::{Hash, Head};
use super::file::cannot;
use super::trouble::Number;
use crate::domain::spelling;
use crate::ports::JournalError;

/// Twenty digits, a blank and a SHA-256: one length for every note, so that one write replaces all of it.
const LENGTH: usize = 20 + 1 + 64;

/// The note, open for writing.
#[derive(Debug)]
pub(super) struct Note(File);

impl Note {
    /// Opens the note beside the journal at `path`, whose end is `head`. One that is missing is made, and is on disk
    /// when this returns.
    pub(super) fn open(path: &Path, head: &Head) -> Result<Self, JournalError> {
        let note = note_of(path);
        let failed = |error: std::io::Error| cannot("write", &note, &error);
        if !fs::exists(&note).map_err(failed)? {
            let new = note.with_extension("head.new");
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&new)
                .map_err(failed)?;
            file.write_all(text(head).as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
            fs::rename(&new, &note).map_err(failed)?;
            let folder = note.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))
                .and_then(|folder| folder.sync_all())
                .map_err(failed)?;
        }
        let file = OpenOptions::new().write(true).open(&note).map_err(failed)?;
        Ok(Self(file))
    }

    /// Notes that the journal has come this far, and that it is on disk.
    pub(super) fn write(&self, head: &Head) {
        // Where this fails the note is behind, and proves less.
        let _ = self.0.write_all_at(text(head).as_bytes(), 0);
    }
}

fn text(head: &Head) -> String {
    format!("{:0>LENGTH$}\n", head.text())
}

/// Whether there is a note.
pub(super) fn is_there(path: &Path) -> Result<bool, JournalError> {
    let note = note_of(path);
    fs::exists(&note).map_err(|error| cannot("look at", &note, &error))
}

/// What was noted; `None` where there is no note.
fn read(path: &Path) -> Result<Option<Head>, JournalError> {
    let note = note_of(path);
    let bytes = match fs::read(&note) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot("read", &note, &error)),
    };
    let head = std::str::from_utf8(&bytes).ok().and_then(|text| Head::parse(text.trim_end()));
    let unreadable =
        || JournalError::Damaged(format!("the note `{}` beside it cannot be read", note.display()));
    head.map(Some).ok_or_else(unreadable)
}

/// Whether a journal that is not there has never been there.
pub(super) fn check_missing(path: &Path) -> Result<(), JournalError> {
    match read(path)? {
        Some(noted) if noted != Head::GENESIS => Err(JournalError::Damaged(format!(
            "`{}` is gone; it had {}",
            path.display(),
            spelling::many(noted.sequence, "entry", "entries")
        ))),
        _ => Ok(()),
    }
}

/// Whether everything that was noted is there.
pub(super) fn check(path: &Path, connection: &Connection) -> Result<(), JournalError> {
    let Some(noted) = read(path)?.filter(|noted| *noted != Head::GENESIS) else { return Ok(()) };
    let found: Option<Hash> = connection
        .prepare_cached("SELECT hash FROM entry WHERE sequence = ?1")?
        .query_row([Number(noted.sequence)], |row| row.get(0))
        .optional()?;
    match found {
        Some(hash) if hash == noted.hash => Ok(()),
        Some(_) => Err(JournalError::Damaged(format!(
            "it is not the one that was here: its entry {} is another than the one that was written",
            noted.sequence
        ))),
        None => Err(JournalError::Damaged(format!(
            "its end is missing: entry {} was written and is not there; it is an older copy, or a part of its log is lost",
            noted.sequence
        ))),
    }
}

fn note_of(path: &Path) -> PathBuf {
    path.with_extension("head")
}
