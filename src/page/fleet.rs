//! The page at `/`: is everything fine, what needs a person and what to type, what rotates next; then the calendar, every
//! credential, and what happened last.

use maud::{Markup, html};

use super::list::{self, Show, Slice, Wanted};
use super::model::{Board, Fleet, Row};
use super::words::{capital, clean, day_if_known, distance, grouped, instant, many, prose};
use super::{MONTHS, calendar, frame, parts, verdict};
use crate::domain::Timestamp;
use crate::domain::forecast::{Coming, Forecast};

/// More than this in a section is a link to the list; what needs a person is kept so short that what comes next is seen too.
const FEW: usize = 5;
const FEW_TO_DO: usize = 3;

/// The page.
pub(super) fn render(board: &Board, wanted: &Wanted) -> Markup {
    let content = html! {
        (frame::verdict(&verdict::verdict(board), &size(board)))
        (needs_a_person(board))
        (next(board))
        (under_way(board))
        (not_by_themselves(board))
        (coming(board))
        (credentials(board, wanted))
        (rules(&board.fleet, board.daemon.at))
        section aria-labelledby="recent" {
            h2 #recent { "What happened last" }
            (parts::history(board.told.as_deref(), board.daemon.at, true))
        }
    };
    frame::page("fleet", &board.daemon, &content)
}

fn size(board: &Board) -> String {
    let mut tenants: Vec<&str> = board.rows.iter().map(|row| row.credential.tenant.as_str()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let rotating = board.rows.iter().filter(|row| row.is_rotating()).count();
    let mut coming = board.calendar.iter().flat_map(|calendar| &calendar.coming);
    let next = coming.find(|coming| !coming.under_way).filter(|_| board.fleet.halt.is_none());
    let next = next.map_or_else(String::new, |next| {
        let when = match distance(board.daemon.at, next.begins_at) {
            past if past.ends_with("ago") => "now".to_owned(),
            when => when,
        };
        format!("; the next begins {when}")
    });
    format!(
        "{} of {}; {} under way{next}",
        many(board.rows.len(), "credential", "credentials"),
        many(tenants.len(), "tenant", "tenants"),
        many(rotating, "rotation", "rotations")
    )
}

fn needs_a_person(board: &Board) -> Markup {
    let wanted = Wanted { show: Show::Person, page: 1, ..Wanted::default() };
    let waiting = list::slice(&board.rows, &wanted, board.daemon.at);
    if waiting.found == 0 && board.fleet.halt.is_none() {
        return html! {};
    }
    html! {
        section.todo aria-labelledby="person" {
            h2 #person { "What needs a person" }
            ol {
                @if let Some(halt) = &board.fleet.halt {
                    li {
                        p.who { strong { "the fleet" } " " span.dim { "halted since " (instant(halt.since)) } }
                        p { (prose(&capital(&halt.reason))) "." }
                        @for (id, at, cause) in board.fleet.failed.iter().take(FEW_TO_DO) {
                            p.dim { "Because of " (parts::name(id)) ", " (instant(*at)) ": " (prose(cause)) }
                        }
                        p.remedy { strong { "What to do: " } (prose(&halt.remedy)) }
                    }
                }
                @for row in waiting.rows.iter().take(FEW_TO_DO) {
                    li {
                        p.who {
                            strong { (parts::name(&row.credential)) }
                            @if let Some(halt) = &row.halt { " " span.dim { "halted since " (instant(halt.since)) } }
                        }
                        (parts::to_do(row))
                    }
                }
            }
            @if waiting.found > FEW_TO_DO { p { a href=(wanted.showing(Show::Person)) { "All " (grouped(waiting.found)) } } }
        }
    }
}

fn under_way(board: &Board) -> Markup {
    // Who needs a person does not move, and is told above.
    let moves = |row: &&Row| row.is_rotating() && !row.needs_person();
    let mut rotating: Vec<&Row> = board.rows.iter().filter(moves).collect();
    if rotating.is_empty() {
        return html! {};
    }
    rotating.sort_by_key(|row| (!row.has_trouble(board.daemon.at), row.since, &row.credential));
    let all = Wanted { show: Show::Rotating, page: 1, ..Wanted::default() };
    html! {
        section aria-labelledby="under-way" {
            h2 #under-way { "Rotating now" }
            ul.rotations {
                @for row in rotating.iter().take(FEW) {
                    li {
                        p.who {
                            strong { (parts::name(&row.credential)) }
                            @if let Some(since) = row.since { " " span.dim { (clean(&row.stage)) " since " (instant(since)) } }
                            " evidence " (parts::evidence(row))
                        }
                        (parts::phases(row, &[]))
                        p.dim { (prose(&short(&parts::happening(row)))) }
                    }
                }
            }
            @if rotating.len() > FEW { p { a href=(all.showing(Show::Rotating)) { "All " (grouped(rotating.len())) } } }
        }
    }
}

fn next(board: &Board) -> Markup {
    let now = board.daemon.at;
    let Some(forecast) = &board.calendar else {
        return html! { section { h2 { "What rotates next" } p.dim { "It is being computed: load the page again." } } };
    };
    let mut coming = forecast.coming.iter().filter(|coming| !coming.under_way).peekable();
    html! {
        section aria-labelledby="next" {
            h2 #next { "What rotates next" }
            @if forecast.fleet_halted {
                p.warn { "Nothing begins before " code { "rekeyd resume --fleet" } "; this is what comes then." }
            }
            @if coming.peek().is_none() { p { "No rotation begins until " (forecast.until.format("%Y-%m-%d")) "." } }
            ol.next { @for coming in coming.take(5) { li { (one(coming, now)) } } }
        }
    }
}

fn one(coming: &Coming, now: Timestamp) -> Markup {
    html! {
        span.when { (instant(coming.begins_at)) " " span.dim { (distance(now, coming.begins_at)) } }
        span.who { (parts::name(&coming.credential)) }
        span.what {
            "to generation " (coming.generation) "; the window ends " (day_if_known(coming.ends_at))
            @if coming.is_late() { " " strong.late { "late" } }
            @if let Some(gate) = &coming.waited_for { "; waits for the gate " code { (clean(gate)) } }
        }
    }
}

fn not_by_themselves(board: &Board) -> Markup {
    let mut stopped: Vec<_> = verdict::stopped(board).collect();
    if stopped.is_empty() {
        return html! {};
    }
    stopped.sort_by_key(|stopped| (stopped.ends_at, &stopped.credential));
    html! {
        section aria-labelledby="stopped" {
            h2 #stopped { "What will not rotate by itself" }
            ul.next {
                @for stopped in stopped.iter().take(FEW) {
                    li {
                        span.who { (parts::name(&stopped.credential)) }
                        span.what { (prose(&stopped.why)) "; the window ends " (day_if_known(stopped.ends_at)) "; " (prose(&stopped.remedy)) }
                    }
                }
            }
            @if stopped.len() > FEW { p { (grouped(stopped.len() - FEW)) " more: " code { "rekeyd forecast" } } }
        }
    }
}

fn coming(board: &Board) -> Markup {
    let Some(forecast) = &board.calendar else { return html! {} };
    html! {
        section aria-labelledby="calendar" {
            h2 #calendar { "The next " (MONTHS) " months" }
            p.dim { (summary(forecast)) }
            (calendar::draw(forecast))
        }
    }
}

fn summary(forecast: &Forecast) -> String {
    let all = forecast.coming.iter().filter(|coming| !coming.under_way).count();
    let cut = if forecast.cut_off { "; there are more, the list is cut off" } else { "" };
    format!(
        "{} until {}, UTC, if every rotation goes well and nobody asks for one; computed {}{cut}.",
        many(all, "rotation begins", "rotations begin"),
        forecast.until.format("%Y-%m-%d"),
        forecast.from.format("%Y-%m-%d %H:%M")
    )
}

fn rules(fleet: &Fleet, now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="rules" {
            h2 #rules { "The rules of the fleet" }
            ul {
                @if let Some((remaining, ends_at)) = fleet.emergency {
                    li.warn { "An emergency: " (many(remaining, "rotation is", "rotations are")) " still to be proven, the last about "
                        (instant(ends_at)) " (" (distance(now, ends_at)) ")." }
                }
                li { "May begin: " @if fleet.halt.is_some() { "nobody, until " code { "rekeyd resume --fleet" } } @else { (prose(&fleet.share)) } "." }
                li {
                    "Fuse: " (grouped(fleet.fuse_used)) " of the " (many(fleet.fuse_limit, "rotation", "rotations"))
                    " that may begin in 24 hours " (if fleet.fuse_used == 1 { "has" } else { "have" }) " begun"
                    @if let Some(at) = fleet.fuse_opens_at { "; it lets the next begin " (instant(at)) }
                    "."
                }
                @if fleet.waiting > 0 {
                    li { "Waiting for their turn: " (many(fleet.waiting, "credential", "credentials")) ", " (grouped(fleet.waiting_due)) " of them due." }
                }
            }
        }
    }
}

fn credentials(board: &Board, wanted: &Wanted) -> Markup {
    let now = board.daemon.at;
    let slice = list::slice(&board.rows, wanted, now);
    html! {
        section #credentials aria-labelledby="all" {
            h2 #all { "Credentials, worst first" }
            form.search method="get" action="/#credentials" role="search" {
                label for="q" { "Part of a name" }
                input #q type="search" name="q" value=(wanted.search) maxlength="100" autocomplete="off" spellcheck="false";
                @if wanted.show != Show::All { input type="hidden" name="show" value=(wanted.show.word()); }
                button type="submit" { "Search" }
                @if !wanted.search.is_empty() { a href=(Wanted::default().showing(wanted.show)) { "Clear" } }
            }
            nav.filters aria-label="which credentials" {
                @for show in Show::ALL {
                    @let count = board.rows.iter().filter(|row| show.takes(row, now)).count();
                    a href=(wanted.showing(show)) aria-current=[(show == wanted.show).then_some("true")] { (show.label()) " " span.count { (grouped(count)) } }
                }
            }
            @if slice.rows.is_empty() { p { "None is found." } } @else { (table(&slice, now)) }
            (turning(&slice, wanted))
        }
    }
}

fn table(slice: &Slice<'_>, now: Timestamp) -> Markup {
    // A narrow screen shows the rows as cards; the roles keep what they are.
    html! {
        table.rows role="table" {
            thead role="rowgroup" { tr role="row" {
                @for head in ["Credential", "Phase", "Life of the keys", "Due", "Window ends", "Evidence", "What goes on"] {
                    th scope="col" role="columnheader" { (head) }
                }
            } }
            tbody role="rowgroup" { @for row in &slice.rows { (line(row, now)) } }
        }
    }
}

fn line(row: &Row, now: Timestamp) -> Markup {
    let class = if row.needs_person() {
        "person"
    } else if row.has_trouble(now) {
        "trouble"
    } else if row.is_rotating() {
        "rotating"
    } else {
        "rest"
    };
    html! {
        tr.(class) role="row" {
            th scope="row" role="rowheader" { (parts::name(&row.credential)) }
            td role="cell" data-label="Phase" { span.badge { (clean(&row.phase)) } }
            td role="cell" data-label="Life" { (parts::life(row.made_at, row.due_at, row.ends_at, now)) }
            td role="cell" data-label="Due" { (day_if_known(row.due_at)) }
            td role="cell" data-label="Ends" { (day_if_known(row.ends_at)) }
            td role="cell" data-label="Evidence" { (parts::evidence(row)) }
            td.what role="cell" { (prose(&short(&parts::happening(row)))) }
        }
    }
}

/// What fits into a line of the list; the page of the tenant has all of it.
fn short(text: &str) -> String {
    const LONGEST: usize = 180;
    let mut short: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

fn turning(slice: &Slice<'_>, wanted: &Wanted) -> Markup {
    let (page, pages) = (slice.page, slice.pages);
    html! {
        nav.turning aria-label="pages of the list" {
            @if page > 1 {
                a href=(wanted.turned_to(1)) { "First" }
                a rel="prev" href=(wanted.turned_to(page - 1)) { "Previous" }
            }
            span { (many(slice.found, "credential", "credentials")) @if pages > 1 { ", page " (grouped(page)) " of " (grouped(pages)) } }
            @if page < pages {
                a rel="next" href=(wanted.turned_to(page + 1)) { "Next" }
                a href=(wanted.turned_to(pages)) { "Last" }
            }
        }
    }
}
