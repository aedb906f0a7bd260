//! How the whole fleet looks on a terminal: what stops it, and the rules it goes by.

use std::time::Duration;

use super::show;
use crate::daemon::fleet_status::{EmergencyStatus, FleetStatus};
use crate::domain::{Timestamp, between};

/// More names than this are a list for `--json`.
const NAMES: usize = 5;

/// What stops everybody, since when, because of whom, and what ends it; nothing where nothing does.
pub(super) fn halt(fleet: &FleetStatus) -> String {
    let Some(halt) = &fleet.halt else { return String::new() };
    let text = format!("since {}: {} ({})", show::time(halt.since), halt.reason, halt.code);
    let mut lines = vec![("fleet halted", text)];
    for failed in fleet.failed.iter().take(NAMES) {
        let text = format!("`{}` {}: {}", failed.credential, show::time(failed.at), failed.cause);
        lines.push(("because of", text));
    }
    let more = fleet.failed.len().saturating_sub(NAMES);
    if more > 0 {
        lines.push(("because of", format!("{more} more")));
    }
    lines.push(("what to do", halt.remedy.clone()));
    show::facts(&lines)
}

/// The rules of the fleet at work: who may begin, what is left of the fuse, who waits.
pub(super) fn rules(fleet: &FleetStatus, now: Timestamp) -> String {
    let mut lines = Vec::new();
    if let Some(at_work) = &fleet.emergency {
        lines.push(("emergency", emergency(at_work, now)));
    }
    lines.push(("may begin", share(fleet)));
    let opens = fleet
        .fuse_opens_at
        .map_or_else(String::new, |at| format!("; it lets the next begin {}", show::time(at)));
    lines.push((
        "fuse",
        format!("{} of {} rotations began in 24 hours{opens}", fleet.fuse_used, fleet.fuse_limit),
    ));
    lines.push(("at once", format!("{} of {} rotations are not proven yet", fleet.under_way, fleet.at_once)));
    if !fleet.waiting.is_empty() {
        lines.push(("waiting", waiting(fleet)));
    }
    show::facts(&lines)
}

fn share(fleet: &FleetStatus) -> String {
    if fleet.halt.is_some() {
        return "nobody, until the halt of the fleet is ended: `rekeyd resume --fleet`".to_owned();
    }
    match fleet.share_limit {
        None => fleet.share_text.clone(),
        Some(limit) => format!(
            "{}: {} of {limit} are not proven and soaked yet, {} went well",
            fleet.share_text, fleet.open, fleet.succeeded
        ),
    }
}

fn waiting(fleet: &FleetStatus) -> String {
    let names: Vec<String> = fleet.waiting.iter().take(NAMES).map(|id| format!("`{id}`")).collect();
    let more = fleet.waiting.len().saturating_sub(NAMES);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{} that are due: {}{more}", fleet.waiting.len(), names.join(", "))
}

/// How an emergency stands.
pub(super) fn emergency(emergency: &EmergencyStatus, now: Timestamp) -> String {
    format!(
        "{} rotations are still to be proven, the last in about {} ({}), as far as can be said",
        emergency.remaining,
        about(between(now, emergency.ends_at)),
        show::time(emergency.ends_at)
    )
}

/// A span in the two largest units that matter.
fn about(span: Duration) -> String {
    let minutes = span.as_secs().div_ceil(60);
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match (days, hours, minutes) {
        (0, 0, 0 | 1) => "a minute".to_owned(),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::fleet_status::FailedStatus;
    use crate::daemon::report::HaltStatus;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn fleet() -> FleetStatus {
        FleetStatus {
            credentials: 40,
            halt: None,
            share: "canary".to_owned(),
            share_text: "the canary".to_owned(),
            share_limit: Some(1),
            open: 1,
            succeeded: 0,
            fuse_used: 1,
            fuse_limit: 10,
            fuse_opens_at: None,
            under_way: 1,
            at_once: 32,
            waiting: ["a", "b"].map(|name| format!("{name}/dataplane").parse().unwrap()).to_vec(),
            emergency: None,
            failed: Vec::new(),
        }
    }

    #[test]
    fn the_fleet_at_work() {
        let expected = "\
may begin  the canary: 1 of 1 are not proven and soaked yet, 0 went well
fuse       1 of 10 rotations began in 24 hours
at once    1 of 32 rotations are not proven yet
waiting    2 that are due: `a/dataplane`, `b/dataplane`
";
        assert_eq!(rules(&fleet(), at("2026-03-01T10:00:00Z")), expected);
    }

    #[test]
    fn the_fleet_in_trouble() {
        let halt = HaltStatus {
            code: "canary-failed".to_owned(),
            reason: "the first rotation, of `a/dataplane`, failed: it says no".to_owned(),
            remedy: "remove the cause, then `rekeyd resume --fleet`".to_owned(),
            since: at("2026-03-01T09:00:00Z"),
        };
        let failed = |number| FailedStatus {
            credential: format!("t{number}/dataplane").parse().unwrap(),
            at: at("2026-03-01T08:59:00Z"),
            cause: "it says no".to_owned(),
        };
        let many = (0..8).map(|number| format!("t{number}/dataplane").parse().unwrap());
        let fleet = FleetStatus {
            halt: Some(halt),
            share: "everybody".to_owned(),
            share_text: "everybody".to_owned(),
            share_limit: None,
            fuse_used: 10,
            fuse_opens_at: Some(at("2026-03-02T08:00:00Z")),
            waiting: many.collect(),
            failed: vec![failed(1), failed(2)],
            emergency: Some(EmergencyStatus { remaining: 8, ends_at: at("2026-03-01T13:19:30Z") }),
            ..fleet()
        };
        let expected = "\
fleet halted  since 2026-03-01 09:00:00: the first rotation, of `a/dataplane`, failed: it says no (canary-failed)
because of    `t1/dataplane` 2026-03-01 08:59:00: it says no
because of    `t2/dataplane` 2026-03-01 08:59:00: it says no
what to do    remove the cause, then `rekeyd resume --fleet`
";
        assert_eq!(super::halt(&fleet), expected);
        let expected = "\
emergency  8 rotations are still to be proven, the last in about 3 h 20 min (2026-03-01 13:19:30), as far as can be said
may begin  nobody, until the halt of the fleet is ended: `rekeyd resume --fleet`
fuse       10 of 10 rotations began in 24 hours; it lets the next begin 2026-03-02 08:00:00
at once    1 of 32 rotations are not proven yet
waiting    8 that are due: `t0/dataplane`, `t1/dataplane`, `t2/dataplane`, `t3/dataplane`, `t4/dataplane` and 3 more
";
        assert_eq!(rules(&fleet, at("2026-03-01T10:00:00Z")), expected);
        assert_eq!(super::halt(&FleetStatus { halt: None, ..fleet }), "");
    }

    #[test]
    fn spans_read_well() {
        let check = |seconds, expected| assert_eq!(about(Duration::from_secs(seconds)), expected);
        check(0, "a minute");
        check(61, "2 min");
        check(3600, "1 h 0 min");
        check(2 * 86_400 + 3600, "2 d 1 h");
    }
}
