//! What several pages draw: the life of a key, the phases of a rotation, the evidence.

use maud::{Markup, html};

use super::model::{Row, Told};
use super::words::{self, address, clean, distance, instant, prose};
use crate::domain::Timestamp;
use crate::domain::names::CredentialId;

/// The phases of a rotation towards fresh keys, and what goes on in each.
const FORTH: [(&str, &str); 6] = [
    ("creating", "fresh keys are made at the issuer"),
    ("testing", "the fresh keys are tried"),
    ("delivering", "the consumer is given the fresh keys"),
    ("provisioning", "the consumer takes them up, and is watched"),
    ("soaking", "both generations live, and the consumer is watched"),
    ("retiring", "the old keys go, with proof in between"),
];

/// The same back to the old keys.
const BACK: [(&str, &str); 3] = [
    ("restoring", "the old keys are put back and proven"),
    ("soaking", "both generations live, and the consumer is watched"),
    ("retiring", "the fresh keys go"),
];

/// The phases of the rotation that is under way, the present one marked, with the instant of each that is known.
pub(super) fn phases(row: &Row, reached: &[(String, Timestamp)]) -> Markup {
    let is_back = row.stage == "restoring" || row.turned_back.is_some();
    let path: &[(&str, &str)] = if is_back { &BACK } else { &FORTH };
    let present = path.iter().position(|(name, _)| *name == row.stage);
    let at = |name: &str| reached.iter().rev().find(|(phase, _)| phase == name).map(|(_, at)| *at);
    html! {
        ol.phases aria-label={ "phases of the rotation of " (row.credential.to_string()) } {
            @for (index, (name, what)) in path.iter().enumerate() {
                @let state = match present {
                    Some(now) if index < now => "done",
                    Some(now) if index == now && row.halt.is_some() => "stopped",
                    Some(now) if index == now => "now",
                    _ => "ahead",
                };
                li class=(state) aria-current=[["now", "stopped"].contains(&state).then_some("step")] title=(what) {
                    span.phase { (name) }
                    span.hidden { @match state { "done" => " (done)", "now" => " (now)", "stopped" => " (halted here)", _ => " (ahead)" } }
                    @if let Some(at) = at(name).filter(|_| state != "ahead") { " " small { (instant(at)) } }
                }
            }
        }
    }
}

/// What goes on in the present phase.
pub(super) fn what_goes_on(row: &Row) -> Option<&'static str> {
    let is_back = row.stage == "restoring" || row.turned_back.is_some();
    let path: &[(&str, &str)] = if is_back { &BACK } else { &FORTH };
    path.iter().find(|(name, _)| *name == row.stage).map(|(_, what)| *what)
}

/// What each grade of evidence means.
pub(super) fn grade(evidence: u8) -> &'static str {
    match evidence {
        0 => "nothing is proven yet",
        1 => "a token was obtained with each fresh key",
        2 => "a read succeeded with the fresh keys",
        3 => "the consumer accepted the delivery",
        4 => "the consumer did something new with the fresh keys",
        _ => "proven by exclusion: the consumer works without the old key",
    }
}

/// The evidence in five boxes, beside the number.
pub(super) fn evidence(row: &Row) -> Markup {
    let (reached, needed) = (row.evidence, row.evidence_required);
    if reached == 0 && !row.is_rotating() {
        // The keys that were there before rekeyd: nobody has rotated them yet.
        return html! { span.dim title="rekeyd has not rotated these keys yet" { "none yet" } };
    }
    html! {
        span.evidence title=(grade(reached)) {
            svg viewBox="0 0 52 10" aria-hidden="true" {
                @for step in 1..=5_u8 {
                    @let class = if step <= reached { "full" } else if step <= needed { "wanted" } else { "empty" };
                    rect class=(class) x=(u32::from(step - 1) * 10 + 1) y="1" width="8" height="8" rx="1.5" {}
                }
            }
            " " (reached) @if reached < needed { " of " (needed) }
        }
    }
}

/// How much of a window is over: a bar with the day on which the rotation is due.
pub(super) fn life(
    made: Option<Timestamp>,
    due: Option<Timestamp>,
    end: Option<Timestamp>,
    now: Timestamp,
) -> Markup {
    let (Some(made), Some(end)) = (made, end) else { return html! { span.dim { "age unknown" } } };
    let share = |at: Timestamp| permille(made, end, at);
    let used = share(now);
    let class = if now >= end {
        "over"
    } else if due.is_some_and(|due| now >= due) {
        "due"
    } else {
        "young"
    };
    let percent = used / 10;
    let label = if now >= end {
        format!("the window is over since {}", end.format("%Y-%m-%d"))
    } else {
        format!("{percent} % of the window is over; it ends {}", distance(now, end))
    };
    html! {
        span.life title=(label) {
            svg class=(class) viewBox="0 0 1000 80" preserveAspectRatio="none" role="img" aria-label=(label) {
                rect.track width="1000" height="80" {}
                rect.used width=(used) height="80" {}
                @if let Some(due) = due { rect.mark x=(share(due).min(994)) width="6" height="80" {} }
            }
            " " span.percent { (percent) " %" }
        }
    }
}

/// Where `at` lies between `from` and `to`, in thousandths.
fn permille(from: Timestamp, to: Timestamp, at: Timestamp) -> i64 {
    let (whole, part) = ((to - from).num_seconds().max(1), (at - from).num_seconds());
    (part.saturating_mul(1000) / whole).clamp(0, 1000)
}

/// A credential's name, which breaks behind the tenant where a line is too short, and leads to its page.
pub(super) fn name(id: &CredentialId) -> Markup {
    html! { a.name href=(address(id)) { (id.tenant.as_str()) "/" wbr; (id.name.as_str()) } }
}

/// What happened, the newest first.
pub(super) fn history(told: Option<&[Told]>, now: Timestamp, names: bool) -> Markup {
    let Some(told) = told else {
        return html! { p.warn { "The journal cannot be read just now." } };
    };
    if told.is_empty() {
        return html! { p.dim { "Nothing yet." } };
    }
    html! {
        ol.history {
            @for told in told {
                li {
                    span.when { (instant(told.at)) " " span.dim { (distance(now, told.at)) } }
                    @if names {
                        span.who {
                            @match &told.credential {
                                Some(id) => (name(id)),
                                None => "the fleet",
                            }
                        }
                    }
                    span.what { (prose(&told.text)) }
                }
            }
        }
    }
}

/// What a person must do, and why.
pub(super) fn to_do(row: &Row) -> Markup {
    let (why, what) = match (&row.halt, &row.person) {
        (Some(halt), _) => (Some(&halt.reason), &halt.remedy),
        (None, Some(person)) => (row.reason.as_ref(), person),
        (None, None) => return html! {},
    };
    html! {
        @if let Some(why) = why { p { (prose(&words::capital(why))) "." } }
        p.remedy { strong { "What to do: " } (prose(what)) }
    }
}

/// What goes on with it, in a sentence.
pub(super) fn happening(row: &Row) -> String {
    let mut parts = Vec::new();
    if let Some(halt) = &row.halt {
        parts.push(format!("halted: {}", halt.reason));
    }
    if let Some(hold) = &row.hold {
        let until = row
            .hold_until
            .map_or_else(String::new, |at| format!(", until {}", at.format("%Y-%m-%d %H:%M UTC")));
        parts.push(format!("held ({hold}{until})"));
    }
    if row.is_elsewhere() {
        parts.push("another instance works on it".to_owned());
    } else if row.is_unseen() {
        parts.push("not looked at since the start".to_owned());
    }
    if let Some(unseen) = &row.unseen {
        parts.push(format!("not seen at the last look: {unseen}"));
    }
    if row.halt.is_none() {
        parts.extend(row.reason.clone());
    }
    if row.failures > 0 && row.halt.is_none() {
        let cause = row.cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
        parts.push(format!("failed {} in a row{cause}", words::many(row.failures as usize, "time", "times")));
    }
    clean(&parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, NOW};
    use super::*;

    #[test]
    fn a_bar_stays_inside_its_window() {
        let at = |text: &str| Some(text.parse().unwrap());
        let now = NOW.parse().unwrap();
        let check = |made, due, end, expected: &str| {
            let drawn = life(made, due, end, now).into_string();
            assert!(drawn.contains(expected), "{drawn}");
        };
        check(at("2026-01-01T00:00:00Z"), None, at("2027-01-01T00:00:00Z"), "width=\"500\"");
        check(
            at("2025-01-01T00:00:00Z"),
            None,
            at("2026-01-01T00:00:00Z"),
            "the window is over since 2026-01-01",
        );
        check(at("2027-01-01T00:00:00Z"), None, at("2028-01-01T00:00:00Z"), "width=\"0\"");
        check(
            at("2026-01-01T00:00:00Z"),
            at("2029-01-01T00:00:00Z"),
            at("2027-01-01T00:00:00Z"),
            "x=\"994\"",
        );
        check(None, None, at("2027-01-01T00:00:00Z"), "age unknown");
    }

    #[test]
    fn the_phase_of_now_is_marked() {
        let mut row = samples::row("acme");
        row.stage = "delivering".to_owned();
        let reached = vec![("testing".to_owned(), NOW.parse().unwrap())];
        let drawn = phases(&row, &reached).into_string();
        assert_eq!(drawn.matches("aria-current=\"step\"").count(), 1);
        assert_eq!(drawn.matches("(done)").count(), 2);
        assert_eq!(drawn.matches("<time").count(), 1);
        row.stage = "restoring".to_owned();
        assert!(phases(&row, &[]).into_string().contains("restoring"));
        row.stage = "settled".to_owned();
        assert!(!phases(&row, &[]).into_string().contains("(now)"));
    }
}
