//! The rotations of the next fourteen months, a row for each month and a bar for each day.

use std::collections::BTreeMap;

use chrono::{Datelike, Months, NaiveDate};
use maud::{Markup, html};

use super::MONTHS;
use super::words::{clean, many};
use crate::domain::Timestamp;
use crate::domain::forecast::{Coming, Forecast};

/// Names in the hint of a day.
const NAMES: usize = 3;

/// A row's height and a day's width, in units of the drawing.
const HEIGHT: usize = 24;
const WIDTH: u32 = 10;

/// What begins on one day.
#[derive(Debug, Default)]
struct Day {
    begins: usize,
    late: usize,
    names: Vec<String>,
}

/// The calendar of what `forecast` tells.
pub(super) fn draw(forecast: &Forecast) -> Markup {
    let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
    for coming in forecast.coming.iter().filter(|coming| !coming.under_way) {
        add(days.entry(coming.begins_at.date_naive()).or_default(), coming);
    }
    let most = days.values().map(|day| day.begins).max().unwrap_or(0);
    let today = forecast.from.date_naive();
    html! {
        table.calendar role="table" {
            caption.hidden { "Rotations that begin, month by month" }
            thead { tr {
                th scope="col" { "Month" }
                th scope="col" { span.days aria-hidden="true" { span { "1" } span { "8" } span { "15" } span { "22" } span { "29" } } span.hidden { "Day by day" } }
                th.number scope="col" { "Begin" }
            } }
            tbody {
                @for first in months(forecast.from) {
                    @let within: Vec<(u32, &Day)> = in_month(&days, first);
                    @let begins: usize = within.iter().map(|(_, day)| day.begins).sum();
                    @let late: usize = within.iter().map(|(_, day)| day.late).sum();
                    tr {
                        th scope="row" { (first.format("%b %Y")) }
                        td { (strip(first, &within, most, today)) }
                        td.number { @if begins == 0 { span.dim { "–" } } @else { (begins) } @if late > 0 { " " span.late { "(" (late) " late)" } } }
                    }
                }
            }
        }
    }
}

fn add(day: &mut Day, coming: &Coming) {
    day.begins += 1;
    day.late += usize::from(coming.is_late());
    if day.names.len() < NAMES {
        day.names.push(coming.credential.to_string());
    }
}

/// The first days of the months from now on.
fn months(from: Timestamp) -> impl Iterator<Item = NaiveDate> {
    let first = from.date_naive().with_day(1).expect("every month has a first day");
    (0..=MONTHS).filter_map(move |month| first.checked_add_months(Months::new(month)))
}

fn in_month(days: &BTreeMap<NaiveDate, Day>, first: NaiveDate) -> Vec<(u32, &Day)> {
    let next = first + Months::new(1);
    days.range(first..next).map(|(date, day)| (date.day(), day)).collect()
}

/// The days of one month as bars, as high as there are rotations.
fn strip(first: NaiveDate, within: &[(u32, &Day)], most: usize, today: NaiveDate) -> Markup {
    let length = (first + Months::new(1) - first).num_days();
    html! {
        svg.strip viewBox={ "0 0 310 " (HEIGHT) } preserveAspectRatio="none" aria-hidden="true" {
            rect.month width=(length * i64::from(WIDTH)) height=(HEIGHT) {}
            @for week in [7, 14, 21, 28_u32] { rect.week x=(week * WIDTH) width="0.6" height=(HEIGHT) {} }
            @if today.with_day(1) == Some(first) { rect.today x=((today.day() - 1) * WIDTH) width=(WIDTH) height=(HEIGHT) {} }
            @for (number, day) in within {
                @let height = (day.begins * HEIGHT).div_ceil(most.max(1)).max(3);
                rect class=(if day.late > 0 { "late" } else { "begins" }) x=((number - 1) * WIDTH + 1) y=(HEIGHT - height)
                    width=(WIDTH - 2) height=(height) { title { (hint(first, *number, day)) } }
            }
        }
    }
}

fn hint(first: NaiveDate, number: u32, day: &Day) -> String {
    let more = day.begins - day.names.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what = many(day.begins, "rotation begins", "rotations begin");
    clean(&format!("{}-{number:02}: {what}: {}{more}", first.format("%Y-%m"), day.names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn every_rotation_has_its_day_and_its_month() {
        let board = samples::board(40);
        let calendar = samples::calendar(&board.rows);
        let drawn = draw(&calendar).into_string();
        assert_eq!(drawn.matches("<tr>").count(), 16, "{drawn}");
        let counted: usize = drawn
            .split("<td class=\"number\">")
            .skip(1)
            .filter_map(|rest| rest.split('<').next()?.trim().parse::<usize>().ok())
            .sum();
        assert_eq!(counted, calendar.coming.len());
    }

    #[test]
    fn what_is_late_is_marked() {
        let board = samples::board(1);
        let mut calendar = samples::calendar(&board.rows);
        calendar.coming[0].ends_at = Some(calendar.coming[0].begins_at);
        assert!(draw(&calendar).into_string().contains("(1 late)"));
    }
}
