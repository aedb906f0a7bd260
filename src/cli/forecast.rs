//! `forecast`: which rotations come, when, and who will not rotate.

use chrono::Months;
use clap::Args;
use icalendar::{Calendar, Component, Event, EventLike};

use super::client::Daemon;
use super::{Common, Exit, Which, offline, show, tell};
use crate::clock::{Clock, SystemClock};
use crate::domain::forecast::{Coming, Forecast, Stopped};

/// `forecast`.
#[derive(Debug, Args)]
pub(crate) struct Forecasting {
    #[command(flatten)]
    which: Which,
    /// How many months ahead.
    #[arg(long, default_value_t = 14, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60))]
    months: u32,
    /// Print an iCalendar file, one event a rotation, for calendar programs.
    #[arg(long, conflicts_with = "json")]
    ical: bool,
}

pub(super) async fn forecast(common: &Common, asked: &Forecasting) -> Exit {
    let now = SystemClock::new().now();
    let until = now.checked_add_months(Months::new(asked.months)).expect("five years from now exist");
    let daemon = Daemon::of(common);
    let up = daemon.is_up().await;
    let forecast = if up {
        // The colon and the plus sign of an offset would have to be escaped; `Z` has none.
        daemon.get::<Forecast>(&format!("/v1/forecast?until={}", until.format("%Y-%m-%dT%H:%M:%SZ"))).await
    } else {
        offline::forecast(common, &asked.which, until).await
    };
    let mut forecast = match forecast {
        Ok(forecast) => forecast,
        Err(exit) => return exit,
    };
    if let Err(exit) = tell::meant(common, &asked.which).await {
        return exit;
    }
    forecast.coming.retain(|coming| asked.which.matches(&coming.credential));
    forecast.stopped.retain(|stopped| asked.which.matches(&stopped.credential));
    if asked.ical {
        print!("{}", calendar(&forecast));
    } else if common.json {
        println!("{}", serde_json::to_string_pretty(&forecast).expect("a forecast is plain data"));
    } else if !common.quiet {
        print!("{}", text(&forecast));
    }
    if needs_person(&forecast) { Exit::Person } else { Exit::Done }
}

/// Whether somebody will have keys older than their window if nobody does anything.
fn needs_person(forecast: &Forecast) -> bool {
    let runs_out = |stopped: &Stopped| stopped.ends_at.is_none_or(|end| end <= forecast.until);
    forecast.fleet_halted
        || forecast.coming.iter().any(Coming::is_late)
        || forecast.stopped.iter().any(runs_out)
}

fn text(forecast: &Forecast) -> String {
    let day = forecast.until.format("%Y-%m-%d");
    let mut lines = Vec::new();
    if forecast.fleet_halted {
        lines.push(
            "the fleet is halted: this is what comes once `rekeyd resume --fleet` ends that".to_owned(),
        );
    }
    if forecast.coming.is_empty() {
        lines.push(format!("no rotation begins until {day}"));
    } else {
        let rows: Vec<Vec<String>> = forecast.coming.iter().map(row).collect();
        let headings = ["BEGINS", "CREDENTIAL", "GENERATION", "OLD KEYS GO", "WINDOW ENDS", "NOTE"];
        lines.push(show::table(&headings, &rows).trim_end().to_owned());
        let many = rows.len();
        lines.push(format!("{many} until {day}, UTC, if every rotation goes well and nobody asks for one"));
    }
    if forecast.cut_off {
        lines.push("there are more: the list is cut off".to_owned());
    }
    if !forecast.stopped.is_empty() {
        lines.push("\nnot by themselves:".to_owned());
        lines.extend(forecast.stopped.iter().map(stopped));
    }
    lines.join("\n") + "\n"
}

fn stopped(stopped: &Stopped) -> String {
    let unknown = || "nobody knows when its window ends".to_owned();
    let end = stopped.ends_at.map_or_else(unknown, |at| format!("the window ends {}", minute(at)));
    format!("{}: {}; {end}; {}", stopped.credential, stopped.why, stopped.remedy)
}

fn minute(at: crate::domain::Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

fn row(coming: &Coming) -> Vec<String> {
    vec![
        minute(coming.begins_at),
        coming.credential.to_string(),
        coming.generation.to_string(),
        minute(coming.retires_at),
        coming.ends_at.map_or_else(|| "unknown".to_owned(), minute),
        note(coming),
    ]
}

fn note(coming: &Coming) -> String {
    let held = coming.held_until.map(|until| format!("held until {}", minute(until)));
    let first = coming.goes_before.as_ref().map_or_else(String::new, |id| format!(": `{id}` goes before"));
    let waited = coming.waited_for.as_ref().map(|gate| format!("waits for the gate `{gate}`{first}"));
    let why = [held, waited].into_iter().flatten().collect::<Vec<_>>().join(", ");
    match (coming.under_way, coming.is_late(), why.is_empty()) {
        (true, _, true) => "under way".to_owned(),
        (true, _, false) => format!("under way, {why}"),
        (false, true, true) => "late".to_owned(),
        (false, true, false) => format!("late: {why}"),
        (false, false, _) => why,
    }
}

/// Which product wrote the calendar, as a formal public identifier with the language of its words (RFC 5545, section 3.7.3). Calendar
/// programs look for quirks by it, so it is the same in every release.
const PRODUCT: &str = "-//rekeyd//NONSGML rekeyd forecast//EN";

/// An event a rotation, from its beginning until nothing is left of the old keys.
fn calendar(forecast: &Forecast) -> Calendar {
    let mut calendar = Calendar::empty();
    for property in [("VERSION", "2.0"), ("PRODID", PRODUCT), ("CALSCALE", "GREGORIAN")] {
        calendar.append_property(property);
    }
    calendar.name("rekeyd: coming rotations");
    for coming in &forecast.coming {
        let generation = coming.generation;
        let note = note(coming);
        let description = format!(
            "Both generations live until {} UTC; nothing is left of the old keys by {} UTC. {note}",
            minute(coming.retires_at),
            minute(coming.over_at)
        );
        let event = Event::new()
            .uid(&format!("{}-g{generation}@rekeyd", coming.credential.to_string().replace('/', "-")))
            .timestamp(forecast.from)
            .starts(coming.begins_at)
            .ends(coming.over_at)
            .summary(&format!("rekeyd: {} gets generation {generation}", coming.credential))
            .description(description.trim_end())
            .done();
        calendar.push(event);
    }
    calendar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> crate::domain::Timestamp {
        text.parse().unwrap()
    }

    fn sample() -> Forecast {
        let coming = |name: &str, begins: &str, under_way, waited_for: Option<&str>| Coming {
            credential: format!("{name}/dataplane").parse().unwrap(),
            generation: 3,
            under_way,
            due_at: None,
            begins_at: at(begins),
            retires_at: at("2026-03-03T10:00:00Z"),
            over_at: at("2026-03-04T10:00:00Z"),
            ends_at: Some(at("2026-03-02T00:00:00Z")),
            waited_for: waited_for.map(str::to_owned),
            goes_before: None,
            held_until: None,
        };
        Forecast {
            from: at("2026-03-01T00:00:00Z"),
            until: at("2027-05-01T00:00:00Z"),
            coming: vec![
                coming("acme", "2026-02-28T10:00:00Z", true, None),
                coming("beta", "2026-03-01T10:00:00Z", false, None),
                coming("gamma", "2026-03-02T10:00:00Z", false, Some("fuse")),
            ],
            stopped: vec![Stopped {
                credential: "delta/dataplane".parse().unwrap(),
                why: "held: audit".to_owned(),
                remedy: "`rekeyd unhold delta/dataplane` lifts the hold".to_owned(),
                ends_at: Some(at("2028-01-01T00:00:00Z")),
            }],
            fleet_halted: false,
            cut_off: false,
        }
    }

    #[test]
    fn it_reads_like_a_calendar() {
        let expected = "\
BEGINS            CREDENTIAL       GENERATION  OLD KEYS GO       WINDOW ENDS       NOTE
2026-02-28 10:00  acme/dataplane   3           2026-03-03 10:00  2026-03-02 00:00  under way
2026-03-01 10:00  beta/dataplane   3           2026-03-03 10:00  2026-03-02 00:00
2026-03-02 10:00  gamma/dataplane  3           2026-03-03 10:00  2026-03-02 00:00  late: waits for the gate `fuse`
3 until 2027-05-01, UTC, if every rotation goes well and nobody asks for one

not by themselves:
delta/dataplane: held: audit; the window ends 2028-01-01 00:00; `rekeyd unhold delta/dataplane` lifts the hold
";
        assert_eq!(text(&sample()), expected);
    }

    #[test]
    fn what_keeps_one_waiting_is_named() {
        let mut coming = sample().coming.remove(0);
        coming.held_until = Some(at("2026-03-05T10:00:00Z"));
        assert_eq!(note(&coming), "under way, held until 2026-03-05 10:00");
        coming.under_way = false;
        coming.ends_at = None;
        coming.waited_for = Some("share".to_owned());
        coming.goes_before = "beta/dataplane".parse().ok();
        let expected =
            "held until 2026-03-05 10:00, waits for the gate `share`: `beta/dataplane` goes before";
        assert_eq!(note(&coming), expected);
    }

    #[test]
    fn a_person_is_needed_where_a_window_runs_out() {
        let mut forecast = sample();
        assert!(needs_person(&forecast), "gamma is late");
        forecast.coming.pop();
        assert!(!needs_person(&forecast), "delta is held for longer than this looks ahead, and has time");
        forecast.stopped[0].ends_at = Some(forecast.until);
        assert!(needs_person(&forecast));
    }

    #[test]
    fn a_parser_reads_the_calendar_back() {
        let written = calendar(&sample()).to_string();
        let read: Calendar = written.parse().unwrap();
        let events: Vec<&Event> = read.iter().filter_map(|component| component.as_event()).collect();
        let uids: Vec<_> = events.iter().filter_map(|event| event.get_uid()).collect();
        assert_eq!(
            uids,
            ["acme-dataplane-g3@rekeyd", "beta-dataplane-g3@rekeyd", "gamma-dataplane-g3@rekeyd"]
        );
        assert_eq!(read.property_value("PRODID"), Some(PRODUCT));
        assert_eq!(written.matches("PRODID:").count(), 1);
        assert!(written.contains("DTSTART:20260301T100000Z") && written.contains("DTSTAMP:20260301T000000Z"));
    }
}
