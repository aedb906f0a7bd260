//! The page of one tenant: each credential in full, the rotation under way with its phases and evidence, what came before.

use maud::{Markup, html};

use super::model::{Credential, Row, Tenant};
use super::verdict::{Level, Verdict};
use super::words::{capital, clean, day_if_known, distance, instant, prose};
use super::{frame, parts, verdict};
use crate::domain::Timestamp;
use crate::domain::forecast::Coming;

/// Coming rotations of one credential.
const COMING: usize = 3;

/// The page.
pub(super) fn render(tenant: &Tenant) -> Markup {
    let now = tenant.daemon.at;
    let content = html! {
        p.up { a href="/" { "All tenants" } }
        (frame::verdict(&judge(tenant), &format!("Tenant {}", tenant.tenant.as_str())))
        @for credential in &tenant.credentials { (section(tenant, credential)) }
        section aria-labelledby="recent" {
            h2 #recent { "What happened" }
            (parts::history(tenant.told.as_deref(), now, tenant.credentials.len() > 1))
            p.dim { "All of it: " code { "rekeyd history " (tenant.tenant.as_str()) } }
        }
    };
    frame::page(tenant.tenant.as_str(), &tenant.daemon, &content)
}

/// The answer for this tenant alone.
fn judge(tenant: &Tenant) -> Verdict {
    let mut said = verdict::process(&tenant.daemon);
    if tenant.fleet.halt.is_some() {
        let text = "The fleet is halted: no rotation begins; the first page says why.";
        said.push((Level::Watch, text.to_owned()));
    }
    for credential in &tenant.credentials {
        let row = &credential.row;
        let (level, text) = stand(row, tenant.daemon.at);
        said.push((level, format!("`{}` {text}.", row.credential.name.as_str())));
    }
    said.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    let level = said.first().map_or(Level::Blind, |(level, _)| *level);
    let mut points = said.into_iter().map(|(_, text)| text);
    Verdict { level, headline: points.next().unwrap_or_default(), points: points.collect() }
}

fn stand(row: &Row, now: Timestamp) -> (Level, String) {
    if row.needs_person() {
        return (Level::Person, "needs a person".to_owned());
    }
    if row.is_elsewhere() {
        return (
            Level::Blind,
            "is in the hands of another instance: what is told here may be old".to_owned(),
        );
    }
    if row.is_unseen() {
        return (Level::Blind, "was not looked at since the start".to_owned());
    }
    let text = match (row.is_rotating(), row.due_at) {
        (true, _) => format!("is rotating: {}", parts::what_goes_on(row).unwrap_or("it is under way")),
        (false, Some(due)) => format!("is due {} ({})", distance(now, due), due.format("%Y-%m-%d")),
        (false, None) => "is due at a time that is not known".to_owned(),
    };
    if row.is_over(now) {
        return (Level::Watch, format!("{text}, and its window is over"));
    }
    if row.has_trouble(now) {
        return (
            Level::Watch,
            format!("{text}, and something fails or cannot be seen; it is tried again without anybody"),
        );
    }
    (Level::Fine, text)
}

fn section(tenant: &Tenant, credential: &Credential) -> Markup {
    let (row, now) = (&credential.row, tenant.daemon.at);
    html! {
        section #(row.credential.name.as_str()) {
            h2 { (row.credential.to_string()) " " span.badge { (clean(&row.phase)) } }
            @if row.needs_person() { div.todo { (parts::to_do(row)) } }
            @if row.is_rotating() {
                h3 { "The rotation under way" }
                (parts::phases(row, &credential.reached))
                @if let Some(what) = parts::what_goes_on(row) {
                    p { @if row.halt.is_some() { "Halted while " (what) "." } @else { (capital(what)) "." } }
                }
                @if let Some(why) = &row.turned_back { p.warn { "On its way back to the old keys: " (prose(why)) "." } }
            }
            h3 { "Keys" }
            (keys(credential, now))
            h3 { "How it stands" }
            (facts(credential, now))
            @if !credential.gates.is_empty() {
                h3 { "What it waits for" }
                ul { @for (name, why) in &credential.gates { li { strong { (clean(name)) } ": " (prose(why)) } } }
            }
            (coming(tenant, row, now))
        }
    }
}

fn keys(credential: &Credential, now: Timestamp) -> Markup {
    if credential.keys.is_empty() {
        return html! { p.dim { "No key is known yet." } };
    }
    html! {
        table.rows.keys role="table" {
            thead role="rowgroup" { tr role="row" {
                @for head in ["Role", "Name at the issuer", "In use", "Made", "Window ends", "Life"] { th scope="col" role="columnheader" { (head) } }
            } }
            tbody role="rowgroup" {
                @for key in &credential.keys {
                    tr role="row" {
                        th scope="row" role="rowheader" { (clean(&key.role)) }
                        td role="cell" data-label="Name" { code { (clean(&key.name)) } }
                        td role="cell" data-label="In use" { (if key.in_use { "yes" } else { "no" }) }
                        td role="cell" data-label="Made" { (day_if_known(key.made_at)) }
                        td role="cell" data-label="Ends" { (day_if_known(key.ends_at)) }
                        td role="cell" data-label="Life" { (parts::life(key.made_at, credential.row.due_at.filter(|_| key.in_use), key.ends_at, now)) }
                    }
                }
            }
        }
    }
}

fn facts(credential: &Credential, now: Timestamp) -> Markup {
    let row = &credential.row;
    let near = |at: Option<Timestamp>| {
        html! { @if let Some(at) = at { (instant(at)) " UTC " span.dim { (distance(now, at)) } } @else { "unknown" } }
    };
    let optional = |label: &'static str, at: Option<Timestamp>| at.map(|_| (label, near(at)));
    let text = |label: &'static str, text: &Option<String>| text.as_ref().map(|text| (label, prose(text)));
    let held = row.hold.as_ref().map(|hold| {
        ("Held", html! { (prose(hold)) @if let Some(until) = row.hold_until { ", until " (instant(until)) " UTC" } })
    });
    let mut facts = vec![("Now", prose(&parts::happening(row)))];
    facts.extend(row.since.map(|_| ("Phase since", near(row.since))));
    facts.push(("Due", near(row.due_at)));
    facts.push(("Window ends", near(row.ends_at)));
    facts.push((
        "Evidence",
        html! { (parts::evidence(row)) @if row.evidence < row.evidence_required { " needed to retire" } ": " (parts::grade(row.evidence)) },
    ));
    facts.extend(optional("Soak ends", row.soak_ends_at));
    facts.extend(text("The consumer says", &credential.consumer));
    facts.extend(credential.generation.map(|generation| ("Generation", html! { (generation) })));
    facts.extend(text("Asked for", &credential.asked));
    facts.extend(held);
    facts.extend(text("First cause", &row.cause));
    facts.extend(text("Tried again", &credential.tries_again));
    facts.extend(optional("Last success", credential.last_success_at));
    facts.push(("Last seen whole", near(row.checked_at)));
    facts.push(("Next look", near(row.next_look)));
    html! { dl { @for (label, value) in facts { div { dt { (label) } dd { (value) } } } } }
}

fn coming(tenant: &Tenant, row: &Row, now: Timestamp) -> Markup {
    let Some(calendar) = &tenant.calendar else { return html! {} };
    let mine = |coming: &&Coming| coming.credential == row.credential && !coming.under_way;
    let coming: Vec<&Coming> = calendar.coming.iter().filter(mine).take(COMING).collect();
    let stopped = calendar.stopped.iter().find(|stopped| stopped.credential == row.credential);
    let coming = if row.needs_person() { Vec::new() } else { coming };
    html! {
        h3 { "What comes" }
        @if row.needs_person() {
            p { "Nothing by itself before what a person must do is done; the window ends " (day_if_known(row.ends_at)) "." }
        } @else if let Some(stopped) = stopped {
            p.warn { "It will not rotate by itself: " (prose(&stopped.why)) "; " (prose(&stopped.remedy)) "." }
        } @else if coming.is_empty() {
            p.dim { "No rotation begins until " (calendar.until.format("%Y-%m-%d")) "." }
        }
        ul.next {
            @for coming in coming {
                li {
                    span.when { (instant(coming.begins_at)) " " span.dim { (distance(now, coming.begins_at)) } }
                    span.what { "generation " (coming.generation) " begins; nothing is left of the old keys by " (instant(coming.over_at))
                        @if coming.is_late() { " " strong.late { "late" } } }
                }
            }
        }
    }
}
