//! The page at `/`: the fleet in one table, for a browser, without scripts.

use std::fmt::Write;

use super::fleet_status::FleetStatus;
use super::report::{CredentialStatus, Status};
use crate::domain::Timestamp;

/// Rows on the page; the rest is in `/api/v1/status`.
const ROWS: usize = 500;

/// The page, worst first.
pub fn render(status: &Status) -> String {
    let mut rows: Vec<&CredentialStatus> = status.credentials.iter().collect();
    rows.sort_by_key(|row| (!row.needs_person(), row.is_settled(), row.ends_at));
    let waiting = rows.iter().filter(|row| row.needs_person()).count();
    let summary = match waiting {
        0 => "Nothing needs a person.".to_owned(),
        1 => "One credential needs a person.".to_owned(),
        many => format!("{many} credentials need a person."),
    };
    let fleet = fleet(&status.fleet);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>rekeyd</title></head><body>\n\
         <h1>rekeyd {}</h1>\n<p>{summary} As of {}. <a href=\"/metrics\">Metrics</a>, \
         <a href=\"/api/v1/status\">status as JSON</a>.</p>\n{fleet}<table>\n<thead><tr><th scope=\"col\">credential</th>\
         <th scope=\"col\">phase</th><th scope=\"col\">due</th><th scope=\"col\">window ends</th>\
         <th scope=\"col\">evidence</th><th scope=\"col\">what is going on</th></tr></thead>\n<tbody>\n",
        escape(&status.daemon),
        when(Some(status.at)),
    );
    for row in rows.iter().take(ROWS) {
        writeln!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{} of {}</td><td>{}</td></tr>",
            escape(&row.credential.to_string()),
            escape(&row.phase),
            when(row.due_at),
            when(row.ends_at),
            row.evidence,
            row.evidence_required,
            escape(&happening(row)),
        )
        .expect("writing to memory does not fail");
    }
    html.push_str("</tbody>\n</table>\n");
    if rows.len() > ROWS {
        writeln!(html, "<p>{} more in the JSON.</p>", rows.len() - ROWS)
            .expect("writing to memory does not fail");
    }
    html.push_str("</body></html>\n");
    html
}

/// What concerns the whole fleet, as paragraphs.
fn fleet(fleet: &FleetStatus) -> String {
    let mut html = String::new();
    let mut say = |text: &str| {
        writeln!(html, "<p>{}</p>", escape(text)).expect("writing to memory does not fail");
    };
    if let Some(halt) = &fleet.halt {
        say(&format!(
            "The fleet is halted since {}: {}; {}.",
            when(Some(halt.since)),
            halt.reason,
            halt.remedy
        ));
    }
    if let Some(emergency) = &fleet.emergency {
        say(&format!(
            "An emergency: {} rotations are still to be proven, the last about {}.",
            emergency.remaining,
            when(Some(emergency.ends_at))
        ));
    }
    if !fleet.waiting.is_empty() {
        say(&format!(
            "{} credentials wait for the fleet, {} of them due ({}); {} of {} rotations began in 24 hours.",
            fleet.waiting.len(),
            fleet.waiting_due,
            fleet.share_text,
            fleet.fuse_used,
            fleet.fuse_limit
        ));
    }
    html
}

fn happening(row: &CredentialStatus) -> String {
    match (&row.halt, &row.person) {
        (Some(halt), _) => format!("{}; {}", halt.reason, halt.remedy),
        (None, Some(person)) => format!("{}; {person}", row.reason.as_deref().unwrap_or_default()),
        (None, None) => row.reason.clone().unwrap_or_default(),
    }
}

fn when(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "unknown".to_owned(), |at| at.format("%Y-%m-%d %H:%M UTC").to_string())
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}
