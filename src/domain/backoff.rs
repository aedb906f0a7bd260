//! How long to wait after a failure.
//!
//! A ladder that starts quick and ends at six hours, spread by a hash so that a fleet does not return in step, and
//! never so long that the deadline passes unused: at most a sixteenth of the time that is left.

use std::time::Duration;

use super::failure::{Class, Failure};
use super::names::{CredentialId, fnv1a};
use super::{Timestamp, after, between};

/// The rungs, in seconds.
const LADDER: [u64; 8] = [5, 30, 120, 300, 600, 1800, 3600, 6 * 3600];

/// The first rung after a refused login: trying again soon could lock the account (facts: OAuth, section 6).
const LOGIN_FLOOR: Duration = Duration::from_mins(10);

/// No wait is shorter, however near the deadline.
const FLOOR: Duration = Duration::from_secs(1);

/// When to try again after the `failures`-th failure in a row (1 for the first).
pub fn retry_at(
    credential: &CredentialId,
    failure: &Failure,
    failures: u32,
    deadline: Option<Timestamp>,
    now: Timestamp,
) -> Timestamp {
    let at = after(now, delay(credential, failure.class, failures, deadline.map(|end| between(now, end))));
    failure.not_before.map_or(at, |not_before| at.max(not_before))
}

/// The wait after the `failures`-th failure in a row, with `remaining` time to the deadline.
pub fn delay(
    credential: &CredentialId,
    class: Class,
    failures: u32,
    remaining: Option<Duration>,
) -> Duration {
    let rung = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX).min(LADDER.len() - 1);
    let full = Duration::from_secs(LADDER[rung]);
    let spread = fnv1a(format!("{credential}#{failures}").as_bytes()) % 1000;
    let jittered = full / 2 + full / 2 * u32::try_from(spread).expect("below a thousand") / 1000;
    // A deadline that has passed is none: calls stay bounded by the ladder.
    let capped = remaining.filter(|left| !left.is_zero()).map_or(jittered, |left| jittered.min(left / 16));
    let floored = if class.is_login() { capped.max(LOGIN_FLOOR) } else { capped };
    floored.max(FLOOR)
}
