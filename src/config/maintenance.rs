//! When rotations of a tenant may begin: windows that open by a schedule and stay open for a while.

use std::time::Duration;

use super::schedule::Schedule;
use crate::domain::fleet::Opening;
use crate::domain::{Timestamp, after};

/// One maintenance window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// When it opens.
    pub schedule: Schedule,
    /// How long it stays open.
    pub duration: Duration,
}

impl Maintenance {
    fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = after(self.schedule.last_until(now)?, self.duration);
        (now < until).then_some(until)
    }
}

/// Whether `windows` are open at `now`. A tenant without any is always open.
pub fn opening(windows: &[Maintenance], now: Timestamp) -> Opening {
    if windows.is_empty() {
        return Opening::Always;
    }
    let open_until = windows.iter().filter_map(|window| window.open_until(now)).max();
    let next = || windows.iter().filter_map(|window| window.schedule.next_after(now)).min();
    open_until.map_or_else(|| Opening::Closed(next()), Opening::Open)
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};
    use chrono_tz::Tz;

    use super::*;

    fn window(cron: &str, zone: Tz, hours: u64) -> Maintenance {
        Maintenance { schedule: Schedule::new(cron, zone).unwrap(), duration: Duration::from_hours(hours) }
    }

    fn at(month: u32, day: u32, hour: u32, minute: u32) -> Timestamp {
        Utc.with_ymd_and_hms(2026, month, day, hour, minute, 0).unwrap()
    }

    #[test]
    fn windows_open_and_close_on_the_minute() {
        // Saturdays, 22 o'clock, for four hours, and the first of each month for one.
        let windows = [window("0 0 22 * * Sat", Tz::UTC, 4), window("0 0 3 1 * *", Tz::UTC, 1)];
        let check = |now, expected| assert_eq!(opening(&windows, now), expected, "{now}");
        check(at(1, 3, 21, 59), Opening::Closed(Some(at(1, 3, 22, 0))));
        check(at(1, 3, 22, 0), Opening::Open(at(1, 4, 2, 0)));
        check(at(1, 4, 1, 59), Opening::Open(at(1, 4, 2, 0)));
        check(at(1, 4, 2, 0), Opening::Closed(Some(at(1, 10, 22, 0))));
        check(at(1, 31, 23, 0), Opening::Open(at(2, 1, 2, 0)));
        check(at(2, 1, 2, 30), Opening::Closed(Some(at(2, 1, 3, 0))));
        assert_eq!(opening(&[], at(1, 1, 0, 0)), Opening::Always);
    }

    #[test]
    fn summer_time_moves_the_window_with_the_people() {
        let berlin = [window("0 0 22 * * *", Tz::Europe__Berlin, 1)];
        assert_eq!(opening(&berlin, at(1, 5, 21, 30)), Opening::Open(at(1, 5, 22, 0)));
        assert_eq!(opening(&berlin, at(7, 5, 20, 30)), Opening::Open(at(7, 5, 21, 0)));
    }

    #[test]
    fn a_window_in_the_hour_that_does_not_exist_opens_all_the_same() {
        // On 29 March 2026 there is no 02:30 in Berlin: the clocks go from 02:00 to 03:00, which is 01:00 UTC.
        let night = [window("0 30 2 * * *", Tz::Europe__Berlin, 2)];
        assert_eq!(opening(&night, at(3, 29, 0, 59)), Opening::Closed(Some(at(3, 29, 1, 0))));
        assert!(matches!(opening(&night, at(3, 29, 1, 30)), Opening::Open(_)));
    }
}
