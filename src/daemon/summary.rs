//! The fleet in one line: for systemd and the log, and once a day, so that a daemon with nothing to do is not a silent
//! one.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use tracing::info;

use super::Daemon;
use super::report::CredentialStatus;
use crate::domain::{Timestamp, spelling};

impl Daemon {
    /// One line on the whole fleet.
    pub fn summary(&self) -> String {
        let statuses = self.statuses();
        let rotating =
            statuses.iter().filter(|status| !status.is_settled() && status.phase != "unknown").count();
        let person = statuses.iter().filter(|status| status.needs_person()).count();
        let halted = if self.engine.fleet().fleet.halt.is_some() { "the fleet is halted; " } else { "" };
        let refused = if self.reload_refused.load(Ordering::Relaxed) {
            "the last reload was refused, the configuration before it stays; "
        } else {
            ""
        };
        let next = next(&statuses);
        format!(
            "{refused}{halted}{}, {rotating} rotating, {} a person; next: {next}",
            spelling::many(statuses.len(), "credential", "credentials"),
            spelling::many(person, "needs", "need")
        )
    }

    /// Writes the line of a day that is over.
    pub(super) fn digest(&self, digest: &mut Digest) {
        if let Some(day) = digest.day_over(self.clock.now(), || self.statuses()) {
            info!(event = "day", looked = day.looked, credentials = day.credentials, "{}", day.text);
        }
    }

    /// Every credential, as it stands.
    pub(super) fn statuses(&self) -> Vec<CredentialStatus> {
        let now = self.clock.now();
        let is_halted = self.engine.fleet().fleet.halt.is_some();
        self.engine.views_by_now().iter().map(|view| CredentialStatus::of(view, is_halted, now)).collect()
    }
}

fn next(statuses: &[CredentialStatus]) -> String {
    let next = statuses.iter().filter_map(|status| Some((status.due_at?, &status.credential))).min();
    next.map_or_else(
        || "none known".to_owned(),
        |(at, id)| format!("`{id}` due {}", at.format("%Y-%m-%d %H:%M UTC")),
    )
}

/// What was done since the last line; days begin at midnight UTC.
pub(super) struct Digest {
    since: Timestamp,
}

/// A day that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    /// How many credentials were seen in it, with nothing missing.
    looked: usize,
    /// Of how many.
    credentials: usize,
    text: String,
}

impl Digest {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { since: now }
    }

    /// The day that is over at `now`, once; `None` while it lasts. A clock that is set back begins it anew.
    fn day_over(&mut self, now: Timestamp, statuses: impl FnOnce() -> Vec<CredentialStatus>) -> Option<Day> {
        let since = self.since;
        if now < since {
            self.since = now;
        }
        if now.date_naive() <= since.date_naive() {
            return None;
        }
        self.since = now;
        Some(day(since, &statuses()))
    }
}

fn day(since: Timestamp, statuses: &[CredentialStatus]) -> Day {
    let count = |is: &dyn Fn(&CredentialStatus) -> bool| statuses.iter().filter(|status| is(status)).count();
    let is_since = |at: Option<Timestamp>| at.is_some_and(|at| at >= since);
    let looked = count(&|status| is_since(status.checked_at));
    let ended = count(&|status| is_since(status.last_ended_at));
    let under_way =
        count(&|status| status.rotation.is_some() && !["settled", "unknown"].contains(&&*status.stage));
    let person = count(&CredentialStatus::needs_person);
    let done = if ended + under_way == 0 {
        "nothing was to be done".to_owned()
    } else {
        let ended = spelling::many(ended, "rotation", "rotations");
        format!("{ended} ended and {} under way", spelling::many(under_way, "is", "are"))
    };
    let credentials = statuses.len();
    let mut text = format!(
        "{done} since {}: {looked} of {} seen whole, {} a person; next: {}",
        since.format("%Y-%m-%d %H:%M UTC"),
        spelling::many(credentials, "credential was", "credentials were"),
        spelling::many(person, "needs", "need"),
        next(statuses)
    );
    if let Some(unseen) = statuses.iter().find(|status| !is_since(status.checked_at)) {
        let id = &unseen.credential;
        write!(text, "; not seen: `{id}` at least, `rekeyd explain {id}` says why")
            .expect("a string takes all");
    }
    Day { looked, credentials, text }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock as _;
    use crate::http::testing::ManualClock;

    fn status(id: &str, checked_at: Option<Timestamp>) -> CredentialStatus {
        let document = serde_json::json!({
            "credential": id, "phase": "settled", "stage": "settled", "in_use": {}, "others": {}, "evidence": 4,
            "evidence_required": 4, "failures": 0, "checked_at": checked_at, "due_at": "2026-08-01T12:00:00Z",
        });
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn a_day_on_which_nothing_happens_is_told_once() {
        let clock = ManualClock::new();
        clock.turn(Duration::from_hours(6));
        let mut digest = Digest::new(clock.now());
        let mut told = Vec::new();
        // Three days, minute by minute, of a daemon that looks every six hours.
        let mut checked = None;
        for minute in 0..3 * 24 * 60 {
            clock.turn(Duration::from_mins(1));
            if minute % (6 * 60) == 0 {
                checked = Some(clock.now());
            }
            let at = clock.now();
            told.extend(digest.day_over(at, || vec![status("acme/dataplane", checked)]).map(|day| (at, day)));
        }
        let days: Vec<String> = told.iter().map(|(at, _)| at.to_string()).collect();
        assert_eq!(days, ["2026-01-02 00:00:00 UTC", "2026-01-03 00:00:00 UTC", "2026-01-04 00:00:00 UTC"]);
        assert_eq!(
            told[1].1.text,
            "nothing was to be done since 2026-01-02 00:00 UTC: 1 of 1 credential was seen whole, 0 need a person; \
             next: `acme/dataplane` due 2026-08-01 12:00 UTC"
        );
        assert_eq!((told[1].1.looked, told[1].1.credentials), (1, 1));
    }

    #[test]
    fn who_was_not_seen_and_what_was_done_is_told() {
        let clock = ManualClock::new();
        let mut digest = Digest::new(clock.now());
        clock.turn(Duration::from_hours(23));
        let mut busy = status("beta/dataplane", Some(clock.now()));
        (busy.stage, busy.phase, busy.rotation) = ("soaking".into(), "soaking".into(), Some("r1".into()));
        let mut over = status("delta/dataplane", Some(clock.now()));
        over.last_ended_at = Some(clock.now());
        clock.turn(Duration::from_hours(1));
        let day = digest.day_over(clock.now(), || vec![status("acme/dataplane", None), busy, over]).unwrap();
        assert_eq!(
            day.text,
            "1 rotation ended and 1 is under way since 2026-01-01 00:00 UTC: 2 of 3 credentials were seen whole, 0 \
             need a person; next: `acme/dataplane` due 2026-08-01 12:00 UTC; not seen: `acme/dataplane` at least, \
             `rekeyd explain acme/dataplane` says why"
        );
    }

    #[test]
    fn a_clock_that_jumps_tells_no_day_twice() {
        let clock = ManualClock::new();
        let mut digest = Digest::new(clock.now());
        let mut told = |by: chrono::TimeDelta| {
            clock.jump(by);
            digest.day_over(clock.now(), Vec::new).is_some()
        };
        assert!(told(chrono::TimeDelta::days(40)), "one line for all the days that nobody saw");
        assert!(!told(chrono::TimeDelta::days(-39)), "it is set back");
        assert!(!told(chrono::TimeDelta::hours(1)));
        assert!(told(chrono::TimeDelta::hours(24)));
        assert!(!told(chrono::TimeDelta::hours(1)));
    }
}
