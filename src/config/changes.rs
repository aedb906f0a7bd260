//! Schedules that name a time of the night in which the clocks change: it does not exist, or it comes twice.

use std::time::Duration;

use chrono::{NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::schedule::{Schedule, reference};
use crate::domain::Timestamp;

/// Who looks more often than this names no time of the night: the next tick makes up for what the clocks do.
const SELDOM: Duration = Duration::from_hours(12);

/// How far ahead changes are looked for: a year, and a month more.
const HOURS_AHEAD: i64 = 400 * 24;

/// A time that a schedule names and that is odd on some day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Odd {
    /// What is odd about it: continues a sentence that begins with the key.
    pub(super) found: String,
    /// What to do.
    pub(super) remedy: String,
}

/// A change of the clocks: the local times from `from` until before `to` are skipped, or come twice.
struct Change {
    at: Timestamp,
    from: NaiveDateTime,
    to: NaiveDateTime,
    is_skipped: bool,
}

/// The odd times that `schedule` names, at most one of each kind. `widest` is its longest pause.
pub(super) fn odd_times(schedule: &Schedule, widest: Duration) -> Vec<Odd> {
    if widest < SELDOM {
        return Vec::new();
    }
    let mut found: Vec<Odd> = Vec::new();
    let (mut skipped, mut twice) = (false, false);
    for change in changes(schedule.zone()) {
        let is_new = if change.is_skipped { !skipped } else { !twice };
        let Some(named) = schedule.names(change.from).filter(|named| is_new && *named < change.to) else {
            continue;
        };
        if change.is_skipped {
            skipped = true;
        } else {
            twice = true;
        }
        found.push(odd(schedule, &change, named));
    }
    found
}

fn odd(schedule: &Schedule, change: &Change, named: NaiveDateTime) -> Odd {
    let (zone, cron) = (schedule.zone(), schedule.text());
    let (day, time) = (named.format("%Y-%m-%d"), named.format("%H:%M:%S"));
    let remedy = format!(
        "name a time before {} or from {} on",
        change.from.format("%H:%M"),
        change.to.format("%H:%M")
    );
    let found = if change.is_skipped {
        let next = schedule.next_after(change.at - TimeDelta::seconds(1));
        let next = next.map_or_else(String::new, |at| {
            format!(": it comes at {} then", at.with_timezone(&zone).format("%H:%M:%S"))
        });
        format!(
            "is `{cron}` and names {time}, which does not exist in {zone} where the clocks go forward, as on {day}{next}"
        )
    } else {
        let width = change.to - change.from;
        let mut ticks = 0;
        let mut at = change.at - width - TimeDelta::seconds(1);
        while let Some(next) = schedule.next_after(at).filter(|next| *next < change.at + width) {
            ticks += u32::from(next.with_timezone(&zone).naive_local() == named);
            at = next;
        }
        let often = if ticks > 1 { "both times" } else { "once" };
        format!(
            "is `{cron}` and names {time}, which comes twice in {zone} where the clocks go back, as on {day}: it is run {often} then"
        )
    };
    Odd { found, remedy }
}

/// Every change of the clocks of `zone` in the time ahead.
fn changes(zone: Tz) -> Vec<Change> {
    let offset =
        |at: Timestamp| i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc());
    let hour = |number: i64| reference() + TimeDelta::hours(number);
    let mut found = Vec::new();
    for number in 0..HOURS_AHEAD {
        let (before, after) = (offset(hour(number)), offset(hour(number + 1)));
        if before == after {
            continue;
        }
        // Clocks change on the minute.
        let minutes = (1..=60).map(|minute| hour(number) + TimeDelta::minutes(minute));
        let at = minutes.into_iter().find(|at| offset(*at) == after).unwrap_or(hour(number + 1));
        let local = |offset: i64| at.naive_utc() + TimeDelta::seconds(offset);
        let (from, to) = (local(before.min(after)), local(before.max(after)));
        found.push(Change { at, from, to, is_skipped: after > before });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd_of(cron: &str, zone: Tz) -> Vec<String> {
        let schedule = Schedule::new(cron, zone).unwrap();
        let widest = schedule.widest_gap(reference());
        odd_times(&schedule, widest).into_iter().map(|odd| format!("{}; {}", odd.found, odd.remedy)).collect()
    }

    #[test]
    fn a_time_in_the_night_of_the_change_is_noticed() {
        assert_eq!(
            odd_of("0 30 2 * * *", Tz::Europe__Berlin),
            [
                "is `0 30 2 * * *` and names 02:30:00, which does not exist in Europe/Berlin where the clocks go forward, as on 2026-03-29: it comes at 03:00:00 then; name a time before 02:00 or from 03:00 on",
                "is `0 30 2 * * *` and names 02:30:00, which comes twice in Europe/Berlin where the clocks go back, as on 2026-10-25: it is run once then; name a time before 02:00 or from 03:00 on",
            ]
        );
        // Lord Howe Island moves its clocks by half an hour.
        assert_eq!(odd_of("0 15 2 * * *", Tz::Australia__Lord_Howe).len(), 1);
        assert_eq!(odd_of("0 45 1 * * *", Tz::Australia__Lord_Howe).len(), 1);
    }

    #[test]
    fn other_times_other_zones_and_frequent_schedules_are_not() {
        let none: [&str; 0] = [];
        assert_eq!(odd_of("0 0 3 * * *", Tz::Europe__Berlin), none);
        assert_eq!(odd_of("0 59 1 * * *", Tz::Europe__Berlin), none);
        assert_eq!(odd_of("0 30 2 * * *", Tz::UTC), none);
        assert_eq!(odd_of("0 30 2 * * *", Tz::Asia__Kolkata), none);
        assert_eq!(odd_of("0 30 */2 * * *", Tz::Europe__Berlin), none);
        // The clocks change on a Sunday.
        assert_eq!(odd_of("0 30 2 * * Wed", Tz::Europe__Berlin), none);
    }
}
