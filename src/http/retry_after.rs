//! The `Retry-After` header in every form that is met (facts: OAuth, section 7; Cloud Foundry, section 8).

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::Timestamp;

/// The longest wait that is believed: beyond it the next look is due anyway.
pub const LONGEST: Duration = Duration::from_hours(1);

/// A number above this is an instant in epoch seconds, not a span (SAP's services send both).
const EPOCH_FROM: u64 = 1_000_000_000;

/// How long to wait as of `now`, which is best taken from the same answer's `Date`. `None` for garbage, for the past
/// and for zero: the caller's own ladder applies then.
pub fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: u64 = text.parse().ok()?;
        if number > EPOCH_FROM {
            until(DateTime::from_timestamp(i64::try_from(number).ok()?, 0)?, now)?
        } else {
            Duration::from_secs(number)
        }
    } else {
        until(instant(text)?, now)?
    };
    (!wait.is_zero()).then(|| wait.min(LONGEST))
}

fn until(at: Timestamp, now: Timestamp) -> Option<Duration> {
    (at - now).to_std().ok()
}

/// An HTTP date, RFC 3339, or Go's `2024-11-11 14:59:33 +0000 UTC`.
fn instant(text: &str) -> Option<Timestamp> {
    let go = text.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    DateTime::parse_from_rfc2822(text)
        .or_else(|_| DateTime::parse_from_rfc3339(text))
        .or_else(|_| DateTime::parse_from_str(&go, "%Y-%m-%d %H:%M:%S%.f %z"))
        .ok()
        .map(|at| at.with_timezone(&Utc))
}

/// An HTTP date, as in the `Date` header.
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    DateTime::parse_from_rfc2822(text.trim()).ok().map(|at| at.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_read() {
        let now = Utc.with_ymd_and_hms(2024, 11, 11, 14, 59, 3).unwrap();
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(wait(text, now), expected.map(Duration::from_secs), "{text}");
        };
        check("30", Some(30));
        check(" 30 ", Some(30));
        check("0", None);
        check("7200", Some(3600));
        check("1731337173", Some(30));
        check("1731337143", None);
        check("1731337000", None);
        check("99999999999999999999999", None);
        check("18446744073709551615", None);
        check("Mon, 11 Nov 2024 14:59:33 GMT", Some(30));
        check("Mon, 11 Nov 2024 14:59:03 GMT", None);
        check("Mon, 11 Nov 2024 13:59:33 GMT", None);
        check("2024-11-11 14:59:33 +0000 UTC", Some(30));
        check("2024-11-11 14:59:33.000 +0000 UTC m=+0.1", Some(30));
        check("2024-11-11 15:59:33 +0100 CET", Some(30));
        check("2024-11-11T14:59:33Z", Some(30));
        for garbage in ["", "soon", "-5", "1.5", "Mon, 99 Nov 2024 14:59:33 GMT", "\u{0}"] {
            check(garbage, None);
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_nothing_waits_for_ever(text in "\\PC*") {
            prop_assert!(wait(&text, Utc.with_ymd_and_hms(2024, 1, 1, 0, 0, 0).unwrap()).is_none_or(|wait| wait <= LONGEST));
        }
    }
}
