//! When to look: a cron expression in a time zone.

use std::time::Duration;

use chrono::{NaiveDateTime, SubsecRound, TimeZone};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::domain::{Timestamp, after, between};

/// A schedule that is known to come round.
#[derive(Clone)]
pub struct Schedule {
    text: String,
    cron: Cron,
    zone: Tz,
}

impl std::fmt::Debug for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Schedule({:?}, {})", self.text, self.zone)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl Eq for Schedule {}

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// Another number of fields than six.
    #[error("is not six fields but {0}")]
    Fields(usize),
    /// A field that means nothing.
    #[error("is no cron expression ({0})")]
    Field(String),
    /// A date that does not exist.
    #[error("never comes round")]
    Never,
}

impl Schedule {
    /// Reads six cron fields: second, minute, hour, day of month, month, day of week.
    pub fn new(text: &str, zone: Tz) -> Result<Self, BadSchedule> {
        let fields = text.split_whitespace().count();
        if fields != 6 {
            return Err(BadSchedule::Fields(fields));
        }
        let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).build();
        let cron =
            parser.parse(text).map_err(|error| BadSchedule::Field(in_our_words(&error.to_string())))?;
        let schedule = Self { text: text.to_owned(), cron, zone };
        schedule.next_after(reference()).ok_or(BadSchedule::Never)?;
        Ok(schedule)
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its time zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first tick after `at`.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        Some(self.cron.find_next_occurrence(&self.local(at), false).ok()?.to_utc())
    }

    /// The next three ticks, for a person to see what the expression means.
    pub fn next_three(&self, from: Timestamp) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(from), |at| self.next_after(*at)).take(3).collect()
    }

    /// The longest pause between two ticks in the 13 months after `from`: exact from one hour up.
    pub fn widest_gap(&self, from: Timestamp) -> Duration {
        /// Looks this far apart cannot both miss a pause as long.
        const STRIDE: Duration = Duration::from_hours(1);
        let end = after(from, Duration::from_hours(24 * 400));
        let (mut at, mut widest) = (from, Duration::ZERO);
        while at < end {
            let Some(next) = self.next_after(at) else { return Duration::MAX };
            let last = self.last_until(at).unwrap_or(at);
            widest = widest.max(between(last, next));
            at = next.max(after(at, STRIDE));
        }
        widest
    }

    /// The first time from `local` on that the expression names, wherever the clocks stand.
    pub(super) fn names(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        Some(self.cron.find_next_occurrence(&local.and_utc(), true).ok()?.naive_utc())
    }

    /// The last tick until `at`.
    pub(super) fn last_until(&self, at: Timestamp) -> Option<Timestamp> {
        Some(self.cron.find_previous_occurrence(&self.local(at), true).ok()?.to_utc())
    }

    /// Where the clocks of the zone stand at `at`, to the second: ticks are on the second, and `croner` would carry a
    /// fraction over to them.
    fn local(&self, at: Timestamp) -> chrono::DateTime<Tz> {
        self.zone.from_utc_datetime(&at.trunc_subsecs(0).naive_utc())
    }
}

/// Any fixed moment: whether a schedule comes round does not depend on today.
pub(super) fn reference() -> Timestamp {
    chrono::Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().expect("the first of January exists")
}

fn in_our_words(message: &str) -> String {
    let message = message.trim_end_matches('.').rsplit(": ").next().expect("a split has a last part");
    super::problem::shown(&message.to_lowercase())
}
