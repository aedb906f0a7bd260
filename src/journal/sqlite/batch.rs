//! One transaction of the writer.
//!
//! It begins by reading where the journal ends, since another process may have written in between. Every request
//! looks first and then writes with one statement, which `SQLite` applies whole or not at all; so a request that is
//! refused has touched nothing, and its neighbours go on.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::super::chain::{Head, Line, instant, instant_text};
use super::super::rules;
use super::trouble::Number;
use crate::domain::Timestamp;
use crate::domain::names::{CredentialId, TenantId};
use crate::ports::{JournalError, Lease};

/// What is to be appended.
pub(super) struct Append {
    pub(super) lease: Lease,
    pub(super) line: Line,
    pub(super) follows: u64,
}

/// Who wants which lease.
pub(super) struct Acquire {
    pub(super) tenant: TenantId,
    pub(super) holder: String,
    pub(super) now: Timestamp,
    pub(super) life: Duration,
}

/// What the rules say to one request, inside a transaction that works. The outer error of the functions below is
/// trouble with the file, and ends the whole transaction.
pub(super) type Ruling<T> = Result<T, JournalError>;

/// A transaction that has begun.
pub(super) struct Batch<'connection> {
    transaction: Transaction<'connection>,
    begun_at: Head,
    head: Head,
}

impl<'connection> Batch<'connection> {
    /// Takes the write lock and reads where the journal ends.
    pub(super) fn begin(connection: &'connection mut Connection) -> Result<Self, JournalError> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let head = head(&transaction)?;
        check_head(&transaction, &head)?;
        Ok(Self { transaction, begun_at: head, head })
    }

    /// Appends one line, and answers its number.
    pub(super) fn append(&mut self, append: &Append) -> Result<Ruling<u64>, JournalError> {
        let Append { lease, line, follows } = append;
        if let Err(refusal) = rules::holds(self.lease(&lease.tenant)?.as_ref(), lease) {
            return Ok(Err(refusal));
        }
        if let Err(refusal) = rules::follows(&line.credential, *follows, self.last(&line.credential)?) {
            return Ok(Err(refusal));
        }
        let head = self.head.next(line);
        self.transaction
            .prepare_cached(
                "INSERT INTO entry (sequence, at, tenant, credential, event, fence, hash) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                Number(head.sequence),
                line.at,
                line.credential.tenant.as_str(),
                line.credential.name.as_str(),
                line.event,
                Number(lease.fence),
                head.hash,
            ])?;
        self.head = head;
        Ok(Ok(head.sequence))
    }

    /// Takes or renews a lease.
    pub(super) fn acquire(&mut self, acquire: &Acquire) -> Result<Ruling<Option<Lease>>, JournalError> {
        let Acquire { tenant, holder, now, life } = acquire;
        let granted = rules::grant(self.lease(tenant)?.as_ref(), tenant, holder, *now, *life);
        if let Some(lease) = &granted {
            self.transaction
                .prepare_cached("REPLACE INTO lease (tenant, holder, fence, until) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![
                    tenant.as_str(),
                    lease.holder,
                    Number(lease.fence),
                    instant_text(lease.until)
                ])?;
        }
        Ok(Ok(granted))
    }

    /// Gives a lease back, where it is still the one on record.
    pub(super) fn release(&mut self, lease: &Lease) -> Result<Ruling<()>, JournalError> {
        self.transaction
            .prepare_cached("UPDATE lease SET until = ?1 WHERE tenant = ?2 AND holder = ?3 AND fence = ?4")?
            .execute(params![
                instant_text(rules::GIVEN_BACK),
                lease.tenant.as_str(),
                lease.holder,
                Number(lease.fence),
            ])?;
        Ok(Ok(()))
    }

    /// Makes everything durable, and answers where the journal ends now. An error means that nothing was written, or
    /// that nobody knows.
    pub(super) fn commit(self) -> Result<Head, JournalError> {
        if self.head != self.begun_at {
            self.transaction
                .prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'head'")?
                .execute([self.head.text()])?;
        }
        self.transaction.commit()?;
        Ok(self.head)
    }

    /// Lets the file grow to `pages` pages and no further, like a disk that is full then.
    #[cfg(test)]
    pub(super) fn limit_pages(&mut self, pages: u32) -> Result<Ruling<()>, JournalError> {
        let set = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        self.transaction.pragma_update_and_check(None, "max_page_count", pages, set)?;
        Ok(Ok(()))
    }

    fn lease(&self, tenant: &TenantId) -> Result<Option<Lease>, JournalError> {
        let row = self
            .transaction
            .prepare_cached("SELECT holder, fence, until FROM lease WHERE tenant = ?1")?
            .query_row([tenant.as_str()], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Number>(1)?.0, row.get::<_, String>(2)?))
            })
            .optional()?;
        let Some((holder, fence, until)) = row else { return Ok(None) };
        let until = instant(&until)
            .ok_or_else(|| JournalError::Damaged(format!("the lease on `{tenant}` ends at `{until}`")))?;
        Ok(Some(Lease { tenant: tenant.clone(), holder, fence, until }))
    }

    fn last(&self, credential: &CredentialId) -> Result<u64, JournalError> {
        let last: Option<Number> = self
            .transaction
            .prepare_cached("SELECT max(sequence) FROM entry WHERE tenant = ?1 AND credential = ?2")?
            .query_row([credential.tenant.as_str(), credential.name.as_str()], |row| row.get(0))?;
        Ok(last.map_or(0, |number| number.0))
    }
}

/// Where the journal ends.
pub(super) fn head(connection: &Connection) -> Result<Head, JournalError> {
    let head = connection
        .prepare_cached("SELECT sequence, hash FROM entry ORDER BY sequence DESC LIMIT 1")?
        .query_row([], |row| Ok(Head { sequence: row.get::<_, Number>(0)?.0, hash: row.get(1)? }))
        .optional()?;
    Ok(head.unwrap_or(Head::GENESIS))
}

/// Whether the last entry that is there is the last one that was written. Without this a journal whose end was cut
/// off would look whole, and its numbers would be given out twice.
pub(super) fn check_head(connection: &Connection, head: &Head) -> Result<(), JournalError> {
    let noted: Option<String> = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'head'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    if noted.as_deref() == Some(head.text().as_str()) {
        return Ok(());
    }
    Err(JournalError::Damaged(format!(
        "it ends with entry {}, but the last one written was `{}`",
        head.sequence,
        noted.as_deref().unwrap_or("not noted"),
    )))
}
