//! The window and its corners.

use std::time::Duration;

use proptest::prelude::*;
use rekeyd::domain::key::Key;
use rekeyd::domain::names::{KeyId, KeyName};
use rekeyd::domain::window::{EndBy, Window, due};
use rekeyd::domain::{Timestamp, after, before, between};

use super::at;

fn key(created: Option<&str>, expires: Option<&str>) -> Key {
    Key {
        id: KeyId("id".to_owned()),
        name: KeyName("name".to_owned()),
        created_at: created.map(at),
        expires_at: expires.map(at),
    }
}

#[test]
fn twelve_calendar_months() {
    let check = |created: &str, expected: &str| {
        assert_eq!(Window::DEFAULT.end(at(created)), at(expected), "{created}");
    };
    check("2025-01-02T03:04:05Z", "2026-01-02T03:04:05Z");
    check("2024-02-29T12:00:00Z", "2025-02-28T12:00:00Z");
    check("2023-02-28T12:00:00Z", "2024-02-28T12:00:00Z");
    check("2025-12-31T23:59:59Z", "2026-12-31T23:59:59Z");
    // The same instant, written in another zone.
    check("2025-03-01T00:30:00+01:00", "2026-02-28T23:30:00Z");
}

#[test]
fn a_certificate_that_ends_earlier_ends_the_window() {
    let early = key(Some("2025-01-01T00:00:00Z"), Some("2025-06-01T00:00:00Z"));
    assert_eq!(Window::DEFAULT.end_of(&early), Some((at("2025-06-01T00:00:00Z"), EndBy::Certificate)));
    let late = key(Some("2025-01-01T00:00:00Z"), Some("2027-06-01T00:00:00Z"));
    assert_eq!(Window::DEFAULT.end_of(&late), Some((at("2026-01-01T00:00:00Z"), EndBy::Age)));
}

#[test]
fn a_missing_date_is_unknown_and_never_due() {
    let unknown = key(None, None);
    assert_eq!(Window::DEFAULT.end_of(&unknown), None);
    let known = key(Some("2025-01-01T00:00:00Z"), None);
    assert_eq!(Window::DEFAULT.earliest_end([&known, &unknown]), Err(&unknown));
    assert_eq!(Window::DEFAULT.earliest_end([]), Ok(None));
}

#[test]
fn a_span_is_no_calendar() {
    let window = Window::Span(Duration::from_hours(24 * 365));
    assert_eq!(window.end(at("2024-01-01T00:00:00Z")), at("2024-12-31T00:00:00Z"));
}

#[test]
fn the_end_of_time_does_not_overflow() {
    assert_eq!(Window::DEFAULT.end(Timestamp::MAX_UTC), Timestamp::MAX_UTC);
    assert_eq!(after(Timestamp::MAX_UTC, Duration::from_secs(1)), Timestamp::MAX_UTC);
    assert_eq!(before(Timestamp::MIN_UTC, Duration::from_secs(1)), Timestamp::MIN_UTC);
    assert_eq!(after(at("2025-01-01T00:00:00Z"), Duration::MAX), Timestamp::MAX_UTC);
    assert_eq!(between(at("2025-01-02T00:00:00Z"), at("2025-01-01T00:00:00Z")), Duration::ZERO);
}

proptest! {
    #[test]
    fn the_earliest_end_is_not_later_than_any(seconds in proptest::collection::vec(0_i64..4_000_000_000, 1..6)) {
        let keys: Vec<Key> = seconds
            .iter()
            .map(|second| Key { created_at: Timestamp::from_timestamp(*second, 0), ..key(None, None) })
            .collect();
        let end = Window::DEFAULT.earliest_end(&keys).unwrap().unwrap();
        for key in &keys {
            prop_assert!(end <= Window::DEFAULT.end_of(key).unwrap().0);
        }
        prop_assert!(due(end, Duration::from_hours(24)) < end);
    }

    #[test]
    fn a_year_has_365_or_366_days(second in 0_i64..4_000_000_000) {
        let created = Timestamp::from_timestamp(second, 0).unwrap();
        let days = (Window::DEFAULT.end(created) - created).num_days();
        prop_assert!((365..=366).contains(&days), "{days}");
    }
}
