//! The file itself: who may read it, that it is there whole or not at all, and the lock beside it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::ports::JournalError;

/// Whether there is a journal. What looks like one that somebody cut off or took away is damage: it must not be made
/// anew, since a daemon that has forgotten everything could take a key in use for a stranger's.
pub(super) fn is_there(path: &Path) -> Result<bool, JournalError> {
    let size = |path: &Path| match fs::metadata(path) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot("look at", path, &error)),
    };
    let log = beside(path, "-wal");
    match (size(path)?, size(&log)?) {
        (None, None | Some(0)) => Ok(false),
        (None, Some(_)) => Err(JournalError::Damaged(format!(
            "`{}` is gone, and its log `{}` is still there",
            path.display(),
            log.display()
        ))),
        (Some(0), _) => Err(JournalError::Damaged(format!(
            "`{}` is empty, and rekeyd never leaves it so",
            path.display()
        ))),
        (Some(_), _) => Ok(true),
    }
}

/// Makes the file and its folder where they are missing, for their owner only. `fill` makes the journal under another
/// name; only what is whole and on disk gets the name that counts.
pub(super) fn make_where_missing(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), JournalError>,
) -> Result<(), JournalError> {
    make_folder(path)?;
    let folder = File::open(folder_of(path)).map_err(|error| cannot("open the folder of", path, &error))?;
    // Two processes that start at once make one journal. The lock is on the folder, since closing a handle of the file
    // itself would drop SQLite's own locks.
    folder.lock().map_err(|error| cannot("lock the folder of", path, &error))?;
    if is_there(path)? {
        return Ok(());
    }
    let new = beside(path, ".new");
    for left in ["", "-wal", "-shm", "-journal"] {
        // Left behind by a process that died here.
        remove(&beside(&new, left))?;
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    drop(made.map_err(|error| cannot("make", &new, &error))?);
    fill(&new)?;
    File::open(&new)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| folder.sync_all())
        .map_err(|error| cannot("make", path, &error))
}

/// Whether the file system still takes changes: the lock file, whose content means nothing, becomes a byte long and empty in
/// turn.
///
/// A file system that finds an error in itself while a sync is under way may say that the sync went well, and lose what was
/// written (`docs/adr/0012-a-commit-is-witnessed.md`). From then on it refuses whatever needs its own journal, as a length
/// does.
#[derive(Debug)]
pub(super) struct Witness {
    lock: File,
    path: PathBuf,
    is_empty: bool,
}

impl Witness {
    pub(super) fn new(lock: &File, path: &Path) -> Result<Self, JournalError> {
        let path = lock_of(path);
        let failed = |error| cannot("look at", &path, &error);
        let is_empty = lock.metadata().map_err(failed)?.len() == 0;
        let lock = lock.try_clone().map_err(failed)?;
        Ok(Self { lock, path, is_empty })
    }

    /// [`JournalError::Unavailable`] where it does not: what was synced before may be lost, and may be there.
    pub(super) fn ask(&mut self) -> Result<(), JournalError> {
        self.lock.set_len(u64::from(self.is_empty)).map_err(|error| cannot("change", &self.path, &error))?;
        self.is_empty = !self.is_empty;
        Ok(())
    }
}

/// Takes the lock that one process holds for its whole life, on a file of its own beside the journal.
pub(super) fn lock(path: &Path) -> Result<File, JournalError> {
    make_folder(path)?;
    let beside = lock_of(path);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&beside)
        .map_err(|error| cannot("open", &beside, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Unavailable(format!(
            "another rekeyd works with `{}`: one at a time, or give each a `state-dir` of its own",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(cannot("lock", &beside, &error)),
    }
}

fn lock_of(path: &Path) -> PathBuf {
    path.with_extension("lock")
}

fn make_folder(path: &Path) -> Result<(), JournalError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder_of(path))
        .map_err(|error| cannot("make the folder of", path, &error))
}

fn remove(path: &Path) -> Result<(), JournalError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot("remove", path, &error)),
        _ => Ok(()),
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The path with this at its end.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

pub(super) fn cannot(what: &str, path: &Path, error: &std::io::Error) -> JournalError {
    JournalError::Unavailable(format!("cannot {what} `{}`: {error}", path.display()))
}
