//! How the file is opened, and what its tables are.
//!
//! A file is looked at before it is touched: one that is damaged, somebody else's database, or one of a newer release
//! stays as it is.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::super::chain::{Head, instant_text};
use super::super::rules;
use super::{file, note, reader};
use crate::ports::JournalError;

/// The first `SQLite` without the WAL-reset corruption of 3.7.0 to 3.51.2.
const OLDEST_SQLITE: i32 = 3_051_003;

/// "RKYD", so that `file` and we know the file.
const APPLICATION_ID: i32 = 0x524B_5944;

/// How long a writer waits for the writer of another process. One commit takes milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the write-ahead log is cut back to after it was merged.
const WAL_LIMIT_BYTES: i64 = 16 * 1024 * 1024;

/// `MIGRATIONS[n]` makes version `n + 1` out of version `n`. Only ever appended to.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE entry (
        sequence   INTEGER PRIMARY KEY,
        at         TEXT    NOT NULL,
        tenant     TEXT    NOT NULL,
        credential TEXT    NOT NULL,
        event      TEXT    NOT NULL,
        fence      INTEGER NOT NULL,
        hash       BLOB    NOT NULL CHECK (length(hash) = 32)
    ) STRICT;
    CREATE INDEX entry_of_credential ON entry (tenant, credential, sequence);
    CREATE TABLE lease (
        tenant TEXT    PRIMARY KEY,
        holder TEXT    NOT NULL,
        fence  INTEGER NOT NULL,
        until  TEXT    NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE meta (
        key   TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
"];

/// The version of the tables that this release writes.
pub(super) fn latest_version() -> i32 {
    i32::try_from(MIGRATIONS.len()).expect("migrations are few")
}

/// Opens the file for writing, makes or upgrades it, and checks that its pages are whole.
pub(super) fn open(path: &Path) -> Result<Connection, JournalError> {
    let connection = prepare(path)?;
    check_pages(&connection)?;
    Ok(connection)
}

/// Opens the file for writing, makes or upgrades it. Nothing in it is checked.
pub(super) fn prepare(path: &Path) -> Result<Connection, JournalError> {
    check_library(rusqlite::version_number())?;
    file::make_where_missing(path, |new| {
        let mut connection = connect(new)?;
        migrate(&mut connection)?;
        // Closing merges the write-ahead log, so that the file alone is whole.
        connection.close().map_err(|(_, error)| error.into())
    })?;
    let mut connection = connect(path)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Reads the whole file without touching it: its pages, its tables, its index, and the chain of its entries.
pub(super) fn examine(path: &Path) -> Result<(), JournalError> {
    if !file::is_there(path)? {
        return note::check_missing(path);
    }
    let mut connection = connect_read_only(path)?;
    if version(&connection, path)? == latest_version() {
        check_tables(&connection)?;
    }
    reader::verify(&mut connection)?;
    note::check(path, &connection)
}

/// Ends every lease: whoever held one is not alive.
pub(super) fn end_leases(connection: &Connection) -> Result<(), JournalError> {
    connection.execute("UPDATE lease SET until = ?1", [instant_text(rules::GIVEN_BACK)])?;
    Ok(())
}

/// Connects for writing to a file that exists.
pub(super) fn connect(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    version(&connection, path)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(JournalError::Unavailable(format!(
            "`{}` cannot have a write-ahead log (it is in mode `{mode}`): keep it on a local disk",
            path.display()
        )));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    let _: i64 =
        connection.pragma_update_and_check(None, "journal_size_limit", WAL_LIMIT_BYTES, |row| row.get(0))?;
    Ok(connection)
}

/// Connects for reading to a journal of this release's version.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, JournalError> {
    let connection = connect_read_only(path)?;
    let found = version(&connection, path)?;
    if found < latest_version() {
        return Err(JournalError::Unavailable(format!(
            "`{}` has tables of version {found}, this release reads {}: start the daemon once to upgrade it",
            path.display(),
            latest_version()
        )));
    }
    Ok(connection)
}

fn connect_read_only(path: &Path) -> Result<Connection, JournalError> {
    check_library(rusqlite::version_number())?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn check_library(version: i32) -> Result<(), JournalError> {
    if version >= OLDEST_SQLITE {
        return Ok(());
    }
    Err(JournalError::Unavailable(format!(
        "this build links SQLite {version}, and before {OLDEST_SQLITE} it can corrupt the write-ahead log: \
         build with the bundled one"
    )))
}

/// The version of the tables, 0 for an empty file; an error for a file that is not ours to write.
fn version(connection: &Connection, path: &Path) -> Result<i32, JournalError> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if (application, version, tables) == (0, 0, 0) {
        // What `make_where_missing` has just begun; nobody else sees a file in this state.
        return Ok(0);
    }
    if application != APPLICATION_ID || version < 1 {
        return Err(JournalError::Damaged(format!(
            "`{}` is a database, but no journal of rekeyd",
            path.display()
        )));
    }
    if version > latest_version() {
        return Err(JournalError::Unavailable(format!(
            "`{}` was written by a newer rekeyd (its tables have version {version}, this release knows {}): \
             install that release again, or restore the backup taken before the upgrade",
            path.display(),
            latest_version()
        )));
    }
    Ok(version)
}

fn migrate(connection: &mut Connection) -> Result<(), JournalError> {
    let found: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found == latest_version() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in
        MIGRATIONS.iter().skip(usize::try_from(found).expect("a version of ours is not negative"))
    {
        transaction.execute_batch(migration)?;
    }
    if found == 0 {
        transaction.execute("INSERT INTO meta (key, value) VALUES ('head', ?1)", [Head::GENESIS.text()])?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", latest_version())?;
    transaction.commit()?;
    Ok(())
}

fn check_pages(connection: &Connection) -> Result<(), JournalError> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    Err(JournalError::Damaged(found))
}

/// Whether the tables are the ones this release makes: a changed word in them changes what is read.
fn check_tables(connection: &Connection) -> Result<(), JournalError> {
    let mut expected = Connection::open_in_memory()?;
    migrate(&mut expected)?;
    if tables(connection)? == tables(&expected)? {
        return Ok(());
    }
    Err(JournalError::Damaged("its tables are not the ones rekeyd made".to_owned()))
}

/// Every table and index, as it was declared.
fn tables(connection: &Connection) -> Result<Vec<Vec<Option<String>>>, JournalError> {
    let mut statement =
        connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")?;
    let rows = statement.query_map([], |row| (0..4).map(|column| row.get(column)).collect())?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_can_corrupt_the_log_is_refused() {
        assert!(check_library(3_051_002).is_err());
        assert!(check_library(3_051_003).is_ok());
        assert!(check_library(rusqlite::version_number()).is_ok());
    }

    #[test]
    fn a_connection_syncs_every_commit() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open(&folder.path().join("journal.db")).unwrap();
        let number =
            |name: &str| -> i64 { connection.pragma_query_value(None, name, |row| row.get(0)).unwrap() };
        assert_eq!(number("synchronous"), 2, "FULL: a power cut takes no acknowledged entry");
        assert_eq!(number("foreign_keys"), 1);
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }
}
