//! How things look on a terminal.

use std::time::Duration;

use crate::daemon::fleet_status::{EmergencyStatus, FleetStatus};
use crate::daemon::report::{CredentialStatus, GateStatus, PlanStatus};
use crate::domain::{Timestamp, between};

/// An instant, UTC, to the second.
pub(super) fn time(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

fn day(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "unknown".to_owned(), |at| at.format("%Y-%m-%d").to_string())
}

/// `text` on one line of at most `width` characters.
pub(super) fn clip(text: &str, width: usize) -> String {
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if line.chars().count() <= width {
        return line;
    }
    let mut short: String = line.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Rows under headings, in columns as wide as they need.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let headings = headings.iter().map(ToString::to_string).collect();
    for row in std::iter::once(&headings).chain(rows) {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The fleet, a line each.
pub(super) fn fleet(credentials: &[&CredentialStatus]) -> String {
    let rows: Vec<Vec<String>> = credentials
        .iter()
        .map(|status| {
            let mut what = status.reason.clone().unwrap_or_default();
            if let Some(held) = held(status) {
                what = format!("held ({held}); {what}");
            }
            if let Some(halt) = &status.halt {
                what = format!("{}: {}", halt.code, halt.reason);
            }
            vec![
                status.credential.to_string(),
                status.phase.clone(),
                day(status.due_at),
                day(status.ends_at),
                format!("{}/{}", status.evidence, status.evidence_required),
                clip(&what, 80),
            ]
        })
        .collect();
    table(&["CREDENTIAL", "PHASE", "DUE", "ENDS", "EVIDENCE", "NOW"], &rows)
}

/// The hold that is in force, and its end.
fn held(status: &CredentialStatus) -> Option<String> {
    let reason = status.hold.as_ref()?;
    Some(status.hold_until.map_or_else(|| reason.clone(), |until| format!("{reason}, until {}", time(until))))
}

/// One credential, in full.
pub(super) fn credential(status: &CredentialStatus) -> String {
    let mut lines = vec![
        ("credential", status.credential.to_string()),
        ("phase", phase(status)),
        ("due", status.due_at.map_or_else(|| "unknown".to_owned(), time)),
        ("window ends", status.ends_at.map_or_else(|| "unknown".to_owned(), time)),
        ("evidence", format!("{} reached, {} needed to retire", status.evidence, status.evidence_required)),
    ];
    for (role, key) in &status.in_use {
        let made = key.created_at.map_or_else(|| "at an unknown time".to_owned(), time);
        lines.push(("in use", format!("{role}: `{}`, made {made}", key.name)));
    }
    for (role, keys) in &status.others {
        for key in keys {
            lines.push(("besides", format!("{role}: `{}`", key.name)));
        }
    }
    let mut add = |label, text: Option<String>| lines.extend(text.map(|text| (label, text)));
    add("soak ends", status.soak_ends_at.map(time));
    add("consumer", status.consumer.clone());
    add("rotation", status.rotation.clone());
    add("now", status.reason.clone());
    add("held", held(status));
    add("first cause", status.cause.clone());
    add("last success", status.last_success_at.map(time));
    add("turned back", status.turned_back.clone());
    add("next look", status.next_look.map(time));
    add("last seen", status.checked_at.map(time));
    add("halted", status.halt.as_ref().map(|halt| format!("{} ({})", halt.reason, halt.code)));
    add("what to do", status.halt.as_ref().map(|halt| halt.remedy.clone()).or_else(|| status.person.clone()));
    facts(&lines)
}

fn phase(status: &CredentialStatus) -> String {
    let since = status.since.map_or_else(String::new, |at| format!(" since {}", time(at)));
    if status.stage == status.phase {
        format!("{}{since}", status.phase)
    } else {
        format!("{} in {}{since}", status.phase, status.stage)
    }
}

/// What would happen, in full.
pub(super) fn plan(plan: &PlanStatus) -> String {
    let mut lines = vec![
        ("credential", plan.credential.to_string()),
        ("stage", plan.stage.clone()),
        ("step", format!("{}: {}", plan.step, plan.what)),
        ("because", format!("{} ({})", plan.reason, plan.code)),
    ];
    lines.extend(plan.next_look.map(|at| ("next look", time(at))));
    lines.extend(plan.person.clone().map(|what| ("what to do", what)));
    lines.extend(plan.unseen.iter().map(|what| ("not seen", what.clone())));
    facts(&lines)
}

/// The gates, one a line.
pub(super) fn gates(gates: &[GateStatus]) -> String {
    let rows: Vec<Vec<String>> = gates
        .iter()
        .map(|gate| {
            let state = if gate.open { "open" } else { "closed" };
            let opens = gate.opens_at.filter(|_| !gate.open).map_or_else(String::new, time);
            vec![gate.name.clone(), state.to_owned(), opens, gate.why.clone()]
        })
        .collect();
    table(&["GATE", "STATE", "OPENS", "WHY"], &rows)
}

/// The whole fleet: what stops it, who may begin, what is left of the fuse, who waits.
pub(super) fn rules(fleet: &FleetStatus, now: Timestamp) -> String {
    let mut lines = Vec::new();
    if let Some(halt) = &fleet.halt {
        lines.push(("fleet halted", format!("since {}: {} ({})", time(halt.since), halt.reason, halt.code)));
        lines.push(("what to do", halt.remedy.clone()));
    }
    if let Some(at_work) = &fleet.emergency {
        lines.push(("emergency", emergency(at_work, now)));
    }
    lines.push(("may begin", share(fleet)));
    let opens =
        fleet.fuse_opens_at.map_or_else(String::new, |at| format!("; it lets the next begin {}", time(at)));
    lines.push((
        "fuse",
        format!("{} of {} rotations began in 24 hours{opens}", fleet.fuse_used, fleet.fuse_limit),
    ));
    lines.push(("at once", format!("{} of {} rotations are not proven yet", fleet.under_way, fleet.at_once)));
    if !fleet.waiting.is_empty() {
        lines.push(("waiting", waiting(fleet)));
    }
    facts(&lines)
}

fn share(fleet: &FleetStatus) -> String {
    match fleet.share_limit {
        None => fleet.share_text.clone(),
        Some(limit) => format!(
            "{}: {} of {limit} are not proven and soaked yet, {} went well",
            fleet.share_text, fleet.open, fleet.succeeded
        ),
    }
}

fn waiting(fleet: &FleetStatus) -> String {
    /// More names than this are a list for `--json`.
    const NAMES: usize = 5;
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
        time(emergency.ends_at)
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

fn facts(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    let lines: Vec<String> = lines.iter().map(|(label, text)| format!("{label:<width$}  {text}")).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let many = (0..8).map(|number| format!("t{number}/dataplane").parse().unwrap());
        let fleet = FleetStatus {
            halt: Some(halt),
            share: "everybody".to_owned(),
            share_text: "everybody".to_owned(),
            share_limit: None,
            fuse_used: 10,
            fuse_opens_at: Some(at("2026-03-02T08:00:00Z")),
            waiting: many.collect(),
            emergency: Some(EmergencyStatus { remaining: 8, ends_at: at("2026-03-01T13:19:30Z") }),
            ..fleet()
        };
        let expected = "\
fleet halted  since 2026-03-01 09:00:00: the first rotation, of `a/dataplane`, failed: it says no (canary-failed)
what to do    remove the cause, then `rekeyd resume --fleet`
emergency     8 rotations are still to be proven, the last in about 3 h 20 min (2026-03-01 13:19:30), as far as can be said
may begin     everybody
fuse          10 of 10 rotations began in 24 hours; it lets the next begin 2026-03-02 08:00:00
at once       1 of 32 rotations are not proven yet
waiting       8 that are due: `t0/dataplane`, `t1/dataplane`, `t2/dataplane`, `t3/dataplane`, `t4/dataplane` and 3 more
";
        assert_eq!(rules(&fleet, at("2026-03-01T10:00:00Z")), expected);
    }

    #[test]
    fn gates_say_when_they_open() {
        let gate = |name: &str, open, why: &str, opens_at| GateStatus {
            name: name.to_owned(),
            open,
            why: why.to_owned(),
            opens_at,
        };
        let all = [
            gate("fleet halt", true, "the fleet is not halted", None),
            gate("fuse", false, "10 of 10", Some(at("2026-03-02T08:00:00Z"))),
        ];
        let expected = "\
GATE        STATE   OPENS                WHY
fleet halt  open                         the fleet is not halted
fuse        closed  2026-03-02 08:00:00  10 of 10
";
        assert_eq!(gates(&all), expected);
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
