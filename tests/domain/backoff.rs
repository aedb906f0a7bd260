//! How long to wait.

use std::time::Duration;

use proptest::prelude::*;
use rekeyd::domain::after;
use rekeyd::domain::backoff::{delay, retry_at};
use rekeyd::domain::failure::{Class, Failure};

use super::{at, credential};

#[test]
fn a_refused_login_is_not_tried_again_soon() {
    for class in [Class::Unauthorized, Class::Forbidden] {
        assert!(delay(&credential(), class, 1, None) >= Duration::from_mins(10));
        assert!(delay(&credential(), class, 1, Some(Duration::from_mins(1))) >= Duration::from_mins(10));
    }
}

#[test]
fn what_the_other_side_asks_for_is_obeyed() {
    let now = at("2026-01-01T00:00:00Z");
    let asked = at("2026-01-01T00:55:00Z");
    let failure = Failure { not_before: Some(asked), ..Failure::new(Class::Throttled, "429") };
    assert_eq!(retry_at(&credential(), &failure, 1, None, now), asked);
    let past = Failure { not_before: Some(at("2025-01-01T00:00:00Z")), ..failure };
    assert!(retry_at(&credential(), &past, 1, None, now) > now);
}

/// A stage that has lasted too long is no reason to call every second.
#[test]
fn a_deadline_that_has_passed_does_not_hurry() {
    for failures in 1..20 {
        let passed = delay(&credential(), Class::ServerError, failures, Some(Duration::ZERO));
        assert_eq!(passed, delay(&credential(), Class::ServerError, failures, None));
    }
}

proptest! {
    #[test]
    fn it_is_bounded_and_never_nothing(failures: u32, hours in 1_u64..10_000) {
        let remaining = Duration::from_hours(hours);
        for class in Class::ALL {
            let wait = delay(&credential(), class, failures, Some(remaining));
            prop_assert!(wait >= Duration::from_secs(1));
            prop_assert!(wait <= Duration::from_hours(6));
            if !class.is_login() {
                prop_assert!(wait <= (remaining / 16).max(Duration::from_secs(1)));
            }
        }
    }

    /// Scenario 28: what goes wrong near the end is tried often enough to come right in time.
    #[test]
    fn with_eight_hours_left_no_wait_is_longer_than_half_an_hour(failures: u32, seconds in 1_u64..=8 * 3600) {
        for class in Class::ALL {
            let wait = delay(&credential(), class, failures, Some(Duration::from_secs(seconds)));
            prop_assert!(wait <= Duration::from_mins(30), "{:?}: {:?}", class, wait);
        }
    }

    #[test]
    fn the_same_failure_waits_the_same(failures in 1_u32..50) {
        let now = at("2026-01-01T00:00:00Z");
        let failure = Failure::new(Class::Connect, "refused");
        let first = retry_at(&credential(), &failure, failures, None, now);
        prop_assert_eq!(first, retry_at(&credential(), &failure, failures, None, now));
        prop_assert!(first > now && first <= after(now, Duration::from_hours(6)));
    }
}
