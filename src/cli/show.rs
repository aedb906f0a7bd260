//! How things look on a terminal.

use std::io::IsTerminal as _;

use crate::daemon::gates::GateStatus;
use crate::daemon::report::{CredentialStatus, PlanStatus};
use crate::domain::Timestamp;

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
    // What reads a pipe has lines of any length.
    let width = if std::io::stdout().is_terminal() { 80 } else { usize::MAX };
    let rows: Vec<Vec<String>> = credentials
        .iter()
        .map(|status| {
            let mut what = status.reason.clone().or_else(|| unseen(status)).unwrap_or_default();
            if status.goes_back {
                what = format!("back to the old keys: {what}");
            }
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
                clip(&what, width),
            ]
        })
        .collect();
    table(&["CREDENTIAL", "PHASE", "DUE", "ENDS", "EVIDENCE", "NOW"], &rows)
}

/// What to do about one that nobody has looked at yet.
fn unseen(status: &CredentialStatus) -> Option<String> {
    let is_unseen = status.phase == "unknown" && status.reason.is_none();
    is_unseen.then(|| format!("not looked at yet: `rekeyd explain {}` looks now", status.credential))
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
    add("asked for", status.asked.clone());
    add("now", status.reason.clone().or_else(|| unseen(status)));
    add("held", held(status));
    add("first cause", status.cause.clone());
    add("last success", status.last_success_at.map(time));
    add("turned back", status.turned_back.clone());
    add("tries again", status.tries_again.clone());
    add("next look", status.next_look.map(time));
    add("last seen", status.checked_at.map(time));
    add("halted", status.halt.as_ref().map(|halt| format!("{} ({})", halt.reason, halt.code)));
    let halt = status.halt.as_ref().map(|halt| halt.remedy.clone());
    let passes = status.code.as_deref().filter(|code| ["cannot-see", "backoff"].contains(code)).map(|_| {
        "nothing yet: it is tried again by itself, and at once with `rekeyd rotate --due`; `rekeyd diagnose` says whether the network \
         or this machine is the cause".to_owned()
    });
    add("what to do", halt.or_else(|| status.person.clone()).or(passes));
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
    lines.extend(plan.then.clone().map(|then| ("then", then)));
    lines.extend(behind(plan).map(|gate| ("waits for", format!("{}: {}", gate.name, gate.sentence()))));
    lines.extend(plan.next_look.map(|at| ("next look", time(at))));
    lines.extend(plan.person.clone().map(|what| ("what to do", what)));
    lines.extend(plan.unseen.iter().map(|what| ("not seen", what.clone())));
    facts(&lines)
}

/// The closed gates that a person may not think of: a hold, and those of the fleet. Of one that is not due only what stops
/// everybody.
fn behind(plan: &PlanStatus) -> impl Iterator<Item = &GateStatus> {
    let waits = plan.code == "fleet";
    let closed = plan.gates.iter().filter(|gate| !gate.open);
    closed.filter(move |gate| {
        ["hold", "fleet halt"].contains(&gate.name.as_str()) || (waits && gate.is_of_the_fleet())
    })
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

/// Labels and what stands beside them.
pub(super) fn facts(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    let lines: Vec<String> = lines.iter().map(|(label, text)| format!("{label:<width$}  {text}")).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_plan_names_every_gate_of_the_fleet_that_it_waits_for() {
        let gate = |name: &str, open, opens_with: &str| GateStatus {
            name: name.to_owned(),
            open,
            why: "10 of 10".to_owned(),
            opens_at: None,
            opens_with: Some(opens_with.to_owned()),
        };
        let mut shown = PlanStatus {
            credential: "acme/dataplane".parse().unwrap(),
            stage: "settled".to_owned(),
            step: "rest".to_owned(),
            what: "nothing".to_owned(),
            code: "fleet".to_owned(),
            reason: "due".to_owned(),
            then: None,
            person: None,
            next_look: None,
            gates: vec![
                gate("hold", false, "`rekeyd unhold acme/dataplane` lifts the hold"),
                gate("fleet halt", false, "`rekeyd resume --fleet` ends the halt"),
                gate("fuse", false, "`rekeyd rotate acme/dataplane --i-mean-it` passes it"),
                gate("share", true, ""),
            ],
            unseen: Vec::new(),
        };
        let expected = "\
credential  acme/dataplane
stage       settled
step        rest: nothing
because     due (fleet)
waits for   hold: 10 of 10; `rekeyd unhold acme/dataplane` lifts the hold
waits for   fleet halt: 10 of 10; `rekeyd resume --fleet` ends the halt
waits for   fuse: 10 of 10; `rekeyd rotate acme/dataplane --i-mean-it` passes it
";
        assert_eq!(plan(&shown), expected);
        shown.code = "not-due".to_owned();
        let told = plan(&shown);
        assert!(told.contains("hold:") && told.contains("fleet halt:") && !told.contains("fuse"), "{told}");
    }

    #[test]
    fn gates_say_when_they_open() {
        let gate = |name: &str, open, why: &str, opens_at| GateStatus {
            name: name.to_owned(),
            open,
            why: why.to_owned(),
            opens_at,
            opens_with: None,
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
}
