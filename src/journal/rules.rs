//! Who may hold a lease, and what may be appended under it. Pure, and the same for every journal.

use std::time::Duration;

use crate::domain::names::{CredentialId, TenantId};
use crate::domain::{CLOCK_TOLERANCE, Timestamp, after};
use crate::ports::{JournalError, Lease};

/// Whether `lease` is still the one on record. Its end does not count here: an expired lease that nobody took over
/// excludes nobody, and one that somebody took over has another fence.
pub fn holds(on_record: Option<&Lease>, lease: &Lease) -> Result<(), JournalError> {
    match on_record {
        Some(record) if record.holder == lease.holder && record.fence == lease.fence => Ok(()),
        _ => Err(JournalError::Stale { tenant: lease.tenant.clone() }),
    }
}

/// Whether an entry that is to follow `expected` follows the credential's last one, `found`.
pub fn follows(credential: &CredentialId, expected: u64, found: u64) -> Result<(), JournalError> {
    if expected == found {
        return Ok(());
    }
    Err(JournalError::MovedOn { credential: credential.clone(), expected, found })
}

/// The lease that `holder` gets at `now`; `None` while somebody else holds it. The fence grows when the holder
/// changes and only then, so that a renewal, even a late one, does not shut out the holder's own appends. Two
/// processes must therefore never call themselves the same.
pub fn grant(
    on_record: Option<&Lease>,
    tenant: &TenantId,
    holder: &str,
    now: Timestamp,
    life: Duration,
) -> Option<Lease> {
    let fence = match on_record {
        None => 1,
        Some(record) if record.holder == holder => record.fence,
        Some(record) if record.until <= now || is_from_the_future(record, now, life) => record.fence + 1,
        Some(_) => return None,
    };
    Some(Lease { tenant: tenant.clone(), holder: holder.to_owned(), fence, until: after(now, life) })
}

/// Whether a lease lasts longer than any lease can: it was taken on a clock that was ahead and has been set back, or
/// its holder's clock is wrong. Nobody waits until then.
fn is_from_the_future(record: &Lease, now: Timestamp, life: Duration) -> bool {
    record.until > after(after(now, life), CLOCK_TOLERANCE)
}

/// The end of a lease that was given back.
pub const GIVEN_BACK: Timestamp = Timestamp::UNIX_EPOCH;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_from_a_clock_that_was_ahead_excludes_nobody() {
        let tenant: TenantId = "acme".parse().expect("it is a name");
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("it is an instant");
        let life = Duration::from_mins(1);
        let check = |ahead: Duration, expected: Option<u64>| {
            let held = grant(None, &tenant, "one", after(now, ahead), life);
            let taken = grant(held.as_ref(), &tenant, "two", now, life);
            assert_eq!(taken.map(|lease| lease.fence), expected, "{ahead:?} ahead");
        };
        check(Duration::ZERO, None);
        check(Duration::from_mins(59), None);
        check(Duration::from_mins(61), Some(2));
        check(Duration::from_hours(365 * 24), Some(2));
    }
}
