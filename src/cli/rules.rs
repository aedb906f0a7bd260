//! How the whole fleet looks on a terminal: what stops it, and the rules it goes by.

use std::time::Duration;

use super::show;
use crate::daemon::fleet_status::{EmergencyStatus, FleetStatus, SilentStatus};
use crate::domain::fleet::{begun, most_at_once};
use crate::domain::names::CredentialId;
use crate::domain::spelling;
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
    lines.push(("fuse", format!("{}{opens}", begun(fleet.fuse_used, fleet.fuse_limit))));
    let (under_way, most) = (fleet.under_way, fleet.at_once);
    let at_once = format!("{}; {}", most_at_once(most), on_their_way(under_way));
    lines.push(("at once", at_once));
    lines.extend(unfinished(fleet));
    if !fleet.waiting.is_empty() {
        lines.push(("waiting", waiting(fleet)));
    }
    if !fleet.resting.is_empty() {
        lines.push(("resting", resting(&fleet.resting)));
    }
    show::facts(&lines)
}

fn share(fleet: &FleetStatus) -> String {
    if fleet.halt.is_some() {
        return "nobody, until the halt of the fleet is ended: `rekeyd resume --fleet`".to_owned();
    }
    if let Some(at) = fleet.fuse_opens_at {
        return format!(
            "nobody, until the fuse lets the next begin {}, or `--i-mean-it` passes it",
            show::time(at)
        );
    }
    match fleet.share_limit {
        None => "everybody: no rotation waits for another one to soak".to_owned(),
        Some(_) if fleet.share == "canary" => format!(
            "one, the first of this release, and the others once it is proven and has soaked; {}",
            on_their_way(fleet.open)
        ),
        Some(limit) => format!(
            "{} of this release, {limit} at once, and the next once one of them is proven and has soaked; {}, {} went well",
            fleet.share_text,
            on_their_way(fleet.open),
            fleet.succeeded
        ),
    }
}

fn on_their_way(rotations: usize) -> String {
    match rotations {
        0 => "none is on its way".to_owned(),
        1 => "one is on its way".to_owned(),
        many => format!("{many} are on their way"),
    }
}

/// Whom the others wait for, and what keeps each.
fn unfinished(fleet: &FleetStatus) -> Vec<(&'static str, String)> {
    let told = fleet.unfinished.iter().take(NAMES).map(|one| {
        let remedy = one.remedy.as_ref().map_or_else(String::new, |remedy| format!(": {remedy}"));
        ("on its way", format!("`{}` {}{remedy}", one.credential, one.stands))
    });
    let more = fleet.unfinished.len().saturating_sub(NAMES);
    told.chain((more > 0).then(|| ("on its way", format!("{more} more")))).collect()
}

fn waiting(fleet: &FleetStatus) -> String {
    let names: Vec<String> = fleet.waiting.iter().take(NAMES).map(|id| format!("`{id}`")).collect();
    let more = fleet.waiting.len().saturating_sub(NAMES);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let (all, due) = (fleet.waiting.len(), fleet.waiting_due);
    let which = match all.saturating_sub(due) {
        0 if all == 1 => "that is due".to_owned(),
        0 => "that are due".to_owned(),
        asked if due == 0 => format!("that {} asked for", if asked == 1 { "was" } else { "were" }),
        asked => format!("that wait, {due} due and {asked} asked for"),
    };
    format!("{all} {which}: {}{more}", names.join(", "))
}

/// Who does not answer, a line each; nothing where everybody does.
pub(super) fn silent(fleet: &FleetStatus) -> String {
    let lines: Vec<_> =
        fleet.silent.iter().take(NAMES).map(|silent| ("no answer", no_answer(silent))).collect();
    if lines.is_empty() { String::new() } else { show::facts(&lines) }
}

/// Who does not answer, and what that means.
fn no_answer(silent: &SilentStatus) -> String {
    format!(
        "`{}` since {}, called last {}: {}; nothing begins or goes on that needs it, and it is tried again by itself: `rekeyd diagnose` \
         says whether the network is the cause",
        silent.host,
        show::time(silent.since),
        show::time(silent.last_at),
        silent.cause
    )
}

/// Who is due and rests, since the last rotation turned back.
fn resting(all: &[CredentialId]) -> String {
    let names: Vec<String> = all.iter().take(NAMES).map(|id| format!("`{id}`")).collect();
    let more = all.len().saturating_sub(NAMES);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{} due still, after turning back: {}{more}", all.len(), names.join(", "))
}

/// How an emergency stands.
pub(super) fn emergency(emergency: &EmergencyStatus, now: Timestamp) -> String {
    format!(
        "{} still to be proven, the last in about {} ({}), as far as can be said",
        spelling::many(emergency.remaining, "rotation is", "rotations are"),
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
    use crate::daemon::fleet_status::{FailedStatus, UnfinishedStatus};
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
            waiting_due: 2,
            emergency: None,
            resting: Vec::new(),
            failed: Vec::new(),
            silent: Vec::new(),
            unfinished: vec![UnfinishedStatus {
                credential: "c/dataplane".parse().unwrap(),
                stands: "soaks until 2026-03-02 08:00 UTC and is held until somebody lifts it (audit)"
                    .to_owned(),
                remedy: Some("`rekeyd unhold c/dataplane` lets it and all who wait go on".to_owned()),
            }],
        }
    }

    #[test]
    fn the_fleet_at_work() {
        let expected = "\
may begin   one, the first of this release, and the others once it is proven and has soaked; one is on its way
fuse        1 of the 10 rotations that may begin in 24 hours have begun
at once     at most 32 rotations go at once until they are proven; one is on its way
on its way  `c/dataplane` soaks until 2026-03-02 08:00 UTC and is held until somebody lifts it (audit): `rekeyd unhold c/dataplane` lets it and all who wait go on
waiting     2 that are due: `a/dataplane`, `b/dataplane`
";
        assert_eq!(rules(&fleet(), at("2026-03-01T10:00:00Z")), expected);
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let silent = SilentStatus {
            host: "api.example".to_owned(),
            since: at("2026-03-01T09:00:00Z"),
            last_at: at("2026-03-01T09:30:00Z"),
            cause: "connection refused".to_owned(),
        };
        let told = super::silent(&FleetStatus { silent: vec![silent], ..fleet() });
        let expected = "no answer  `api.example` since 2026-03-01 09:00:00, called last 2026-03-01 09:30:00: connection refused; ";
        assert!(told.starts_with(expected), "{told}");
        assert_eq!(super::silent(&fleet()), "");
    }

    #[test]
    fn what_was_only_asked_for_is_not_called_due() {
        let check = |due, expected: &str| {
            let told = waiting(&FleetStatus { waiting_due: due, ..fleet() });
            assert_eq!(told, format!("2 {expected}: `a/dataplane`, `b/dataplane`"));
        };
        check(2, "that are due");
        check(1, "that wait, 1 due and 1 asked for");
        check(0, "that were asked for");
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
            waiting_due: 8,
            unfinished: Vec::new(),
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
fuse       10 of the 10 rotations that may begin in 24 hours have begun; it lets the next begin 2026-03-02 08:00:00
at once    at most 32 rotations go at once until they are proven; one is on its way
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
