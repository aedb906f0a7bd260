//! Who may hold a lease, and what may be appended under it. Pure, and the same for every journal.

use std::time::Duration;

use crate::domain::names::{CredentialId, TenantId};
use crate::domain::{Timestamp, after};
use crate::ports::{JournalError, Lease};

/// Whether `lease` is still the one on record. Its end does not count here: an expired lease that nobody took over
/// excludes nobody, and one that somebody took over has another fence.
pub(super) fn holds(on_record: Option<&Lease>, lease: &Lease) -> Result<(), JournalError> {
    match on_record {
        Some(record) if record.holder == lease.holder && record.fence == lease.fence => Ok(()),
        _ => Err(JournalError::Stale { tenant: lease.tenant.clone() }),
    }
}

/// Whether an entry that is to follow `expected` follows the credential's last one, `found`.
pub(super) fn follows(credential: &CredentialId, expected: u64, found: u64) -> Result<(), JournalError> {
    if expected == found {
        return Ok(());
    }
    Err(JournalError::MovedOn { credential: credential.clone(), expected, found })
}

/// The lease that `holder` gets at `now`; `None` while somebody else holds it. The fence grows when the holder
/// changes and only then, so that a renewal, even a late one, does not shut out the holder's own appends. Two
/// processes must therefore never call themselves the same.
pub(super) fn grant(
    on_record: Option<&Lease>,
    tenant: &TenantId,
    holder: &str,
    now: Timestamp,
    life: Duration,
) -> Option<Lease> {
    let fence = match on_record {
        None => 1,
        Some(record) if record.holder == holder => record.fence,
        Some(record) if record.until <= now => record.fence + 1,
        Some(_) => return None,
    };
    Some(Lease { tenant: tenant.clone(), holder: holder.to_owned(), fence, until: after(now, life) })
}

/// The end of a lease that was given back.
pub(super) const GIVEN_BACK: Timestamp = Timestamp::UNIX_EPOCH;
