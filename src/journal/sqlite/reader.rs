//! Reading the journal, and checking it.

use rusqlite::{Connection, Row, params};

use super::super::chain::{Hash, Head, Line};
use super::batch::check_head;
use super::trouble::Number;
use crate::domain::event::Entry;
use crate::domain::names::{CredentialId, TenantId};
use crate::ports::JournalError;

const ALL: &str =
    "SELECT sequence, at, tenant, credential, event FROM entry WHERE sequence > ?1 ORDER BY sequence";

pub(super) const OF_TENANT: &str = "SELECT sequence, at, tenant, credential, event \
     FROM entry WHERE sequence > ?1 AND tenant = ?2 ORDER BY sequence";

const LAST: &str =
    "SELECT sequence, at, tenant, credential, event FROM entry ORDER BY sequence DESC LIMIT ?1";

pub(super) const LAST_OF_TENANT: &str = "SELECT sequence, at, tenant, credential, event \
     FROM entry WHERE tenant = ?2 ORDER BY sequence DESC LIMIT ?1";

/// The entries after `after`, in order; of one tenant or of all.
pub(super) fn read(
    connection: &Connection,
    tenant: Option<&TenantId>,
    after: u64,
) -> Result<Vec<Entry>, JournalError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(if tenant.is_some() { OF_TENANT } else { ALL })?;
    let mut rows = match tenant {
        Some(tenant) => statement.query(params![after, tenant.as_str()])?,
        None => statement.query([after])?,
    };
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(row)?);
    }
    Ok(entries)
}

/// The last entries, no more than `most`, in order; of one tenant or of all.
pub(super) fn recent(
    connection: &Connection,
    tenant: Option<&TenantId>,
    most: usize,
) -> Result<Vec<Entry>, JournalError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(if tenant.is_some() { LAST_OF_TENANT } else { LAST })?;
    let mut rows = match tenant {
        Some(tenant) => statement.query(params![most, tenant.as_str()])?,
        None => statement.query([most])?,
    };
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(row)?);
    }
    entries.reverse();
    Ok(entries)
}

fn entry(row: &Row<'_>) -> Result<Entry, JournalError> {
    let Number(sequence) = row.get(0)?;
    let line = line(sequence, row)?;
    let at = line
        .instant()
        .ok_or_else(|| JournalError::Damaged(format!("entry {sequence}: `{}` is no time", line.at)))?;
    let event = line.event().map_err(|error| {
        JournalError::Damaged(format!("entry {sequence}: its event cannot be read: {error}"))
    })?;
    Ok(Entry { sequence, at, credential: line.credential, event })
}

fn line(sequence: u64, row: &Row<'_>) -> Result<Line, JournalError> {
    let (tenant, name): (String, String) = (row.get(2)?, row.get(3)?);
    let bad_name = |error| JournalError::Damaged(format!("entry {sequence}: {error}"));
    let credential = CredentialId {
        tenant: tenant.try_into().map_err(bad_name)?,
        name: name.try_into().map_err(bad_name)?,
    };
    Ok(Line { at: row.get(1)?, credential, event: row.get(4)? })
}

/// Checks the pages, the index and the hash chain, one entry at a time. Answers how many entries there are.
pub(super) fn verify(connection: &mut Connection) -> Result<u64, JournalError> {
    // One transaction, so that the entries and the noted end belong together while somebody writes.
    let transaction = connection.transaction()?;
    check_file(&transaction)?;
    let mut head = Head::GENESIS;
    let mut statement = transaction
        .prepare("SELECT sequence, at, tenant, credential, event, hash FROM entry ORDER BY sequence")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (Number(sequence), hash): (Number, Hash) = (row.get(0)?, row.get(5)?);
        let next = head.next(&line(sequence, row)?);
        if sequence != next.sequence {
            return Err(JournalError::Damaged(format!("entry {} is missing", next.sequence)));
        }
        if hash != next.hash {
            return Err(JournalError::Damaged(format!(
                "entry {sequence} is not what was written, or not in its place"
            )));
        }
        head = next;
    }
    check_head(&transaction, &head)?;
    Ok(head.sequence)
}

fn check_file(connection: &Connection) -> Result<(), JournalError> {
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    Err(JournalError::Damaged(found))
}
