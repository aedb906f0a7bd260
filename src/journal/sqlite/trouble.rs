//! Where `SQLite`'s words and ours differ: what its errors mean here and what to do about them, and its numbers.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Error, ErrorCode};

use crate::ports::JournalError;

impl From<Error> for JournalError {
    fn from(error: Error) -> Self {
        if matches!(error, Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..)) {
            return Self::Damaged(format!("a column holds what was never written: {error}"));
        }
        let Some(code) = error.sqlite_error_code() else {
            return Self::Unavailable(error.to_string());
        };
        let remedy = match code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                return Self::Damaged(format!("{error}"));
            }
            ErrorCode::DiskFull => "free some space on its disk; nothing is lost, and appends then go on",
            ErrorCode::ReadOnly => "make the file and its folder writable for this user",
            ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
                "check that the folder exists and belongs to this user"
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                "another process keeps the file locked: look for an open `sqlite3` or a second instance that hangs"
            }
            ErrorCode::SystemIoFailure => "look for disk errors in the kernel log",
            _ => return Self::Unavailable(error.to_string()),
        };
        Self::Unavailable(format!("{error}: {remedy}"))
    }
}

/// A number of ours in a column: `SQLite`'s are signed.
pub(super) struct Number(pub(super) u64);

impl ToSql for Number {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let number = i64::try_from(self.0).map_err(|error| Error::ToSqlConversionFailure(error.into()))?;
        Ok(number.into())
    }
}

impl FromSql for Number {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        u64::try_from(number).map(Self).map_err(|_| FromSqlError::OutOfRange(number))
    }
}
