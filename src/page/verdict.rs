//! The answer in one sentence: is everything fine? And whether the page can be believed at all.

use std::collections::BTreeSet;

use super::model::{Board, Fleet, Row, Teller};
use super::words::{distance, many};
use crate::domain::Timestamp;
use crate::domain::forecast::Stopped;
use crate::domain::names::CredentialId;

/// How it stands, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Nothing is to be done.
    Fine,
    /// rekeyd goes on by itself; somebody may want to know.
    Watch,
    /// It cannot be told.
    Blind,
    /// Only a person goes on.
    Person,
}

impl Level {
    /// The class of the element.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Watch => "watch",
            Self::Blind => "blind",
            Self::Person => "person",
        }
    }

    /// A sign beside the colour.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Fine => "✓",
            Self::Watch => "◔",
            Self::Blind => "?",
            Self::Person => "!",
        }
    }
}

/// The sentence, and what else is to be known, worst first.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) level: Level,
    pub(super) headline: String,
    /// Sentences; backticks mark code.
    pub(super) points: Vec<String>,
}

/// What is said of a board.
pub(super) fn verdict(board: &Board) -> Verdict {
    let mut said = process(&board.daemon);
    said.extend(halt(&board.fleet));
    said.extend(credentials(&board.rows, board.daemon.at));
    said.extend(accounts(board));
    said.extend(forecast(board));
    // What is equally bad stays in this order.
    said.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    let (level, headline) = match said.first() {
        Some((level, _)) if *level > Level::Fine => {
            let (level, headline) = said.remove(0);
            (level, headline)
        }
        _ => (Level::Fine, "Everything is fine.".to_owned()),
    };
    Verdict { level, headline, points: said.into_iter().map(|(_, text)| text).collect() }
}

type Said = (Level, String);

/// What makes the whole page doubtful; it stands on every page.
pub(super) fn process(daemon: &Teller) -> Vec<Said> {
    let mut said = Vec::new();
    if let Some(still) = daemon.stands_still {
        let minutes = still.as_secs() / 60;
        said.push((
            Level::Person,
            format!("The daemon has stood still for {minutes} min, and so has what is told here: `systemctl restart rekeyd`."),
        ));
    }
    if daemon.is_stopping {
        said.push((
            Level::Blind,
            "The daemon is stopping; what is under way goes on at its next start.".to_owned(),
        ));
    }
    if daemon.reload_refused {
        let text = "The last reload was refused and the configuration before it stays: `rekeyd check-config` says why.";
        said.push((Level::Watch, text.to_owned()));
    }
    said
}

fn halt(fleet: &Fleet) -> Option<Said> {
    fleet.halt.as_ref().map(|_| (Level::Person, "The fleet is halted: no rotation begins.".to_owned()))
}

fn credentials(rows: &[Row], now: Timestamp) -> Vec<Said> {
    let all = rows.len();
    if all == 0 {
        let text = "No credential is configured, so nothing is rotated: put a tenant into `tenants.d`, then `rekeyd reload`.";
        return vec![(Level::Person, text.to_owned())];
    }
    let mut said = Vec::new();
    let mut say = |level, count: usize, text: &dyn Fn(String) -> String| {
        if count > 0 {
            said.push((level, text(many(count, "credential", "credentials"))));
        }
    };
    let count = |is: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
    let person = count(&Row::needs_person);
    say(Level::Person, person, &|who| {
        format!("{who} {} a person.", if person == 1 { "needs" } else { "need" })
    });
    let unseen = count(&Row::is_unseen);
    say(Level::Blind, unseen, &|who| format!("Starting: {who} of {all} not looked at since the start."));
    let elsewhere = count(&Row::is_elsewhere);
    say(Level::Blind, elsewhere, &|who| {
        format!(
            "{who} of {all} in the hands of another instance: what is told of them here may be old; ask that one."
        )
    });
    let over = count(&|row| row.is_over(now));
    say(Level::Watch, over, &|who| {
        format!("{who} {} keys whose window is over.", if over == 1 { "has" } else { "have" })
    });
    let failing = count(&|row| row.failures > 0 && !row.needs_person());
    say(Level::Watch, failing, &|who| {
        format!("{who} failed at the last step; it is tried again without anybody.")
    });
    let blind = count(&|row| row.unseen.is_some() && !row.needs_person());
    say(Level::Watch, blind, &|who| {
        let were = if blind == 1 { "was" } else { "were" };
        format!("{who} {were} not seen whole at the last look; `rekeyd plan` says what is missing.")
    });
    say(Level::Watch, count(&|row| row.is_overdue(now)), &|who| {
        format!("{who} should have been looked at over an hour ago.")
    });
    said.push((Level::Fine, looks(rows, now)));
    said
}

/// How old what is told here is.
fn looks(rows: &[Row], now: Timestamp) -> String {
    let oldest = rows.iter().map(|row| (row.checked_at, &row.credential)).min();
    match oldest {
        Some((Some(at), id)) => {
            let when = at.format("%Y-%m-%d %H:%M UTC");
            format!(
                "Every credential was seen whole; the oldest look is from {when}, {}, at `{id}`.",
                distance(now, at)
            )
        }
        Some((None, _)) => {
            let never = rows.iter().filter(|row| row.checked_at.is_none()).count();
            let who = many(never, "credential was", "credentials were");
            format!("{who} never seen with nothing missing since the start.")
        }
        None => "Nothing was looked at.".to_owned(),
    }
}

fn accounts(board: &Board) -> Vec<Said> {
    let mut said = Vec::new();
    for account in &board.accounts {
        let name = &account.name;
        if let Some(uncovered) = account.uncovered.filter(|uncovered| *uncovered > 0) {
            let who = many(uncovered, "subaccount", "subaccounts");
            said.push((
                Level::Watch,
                format!("{who} of `{name}` with no tenant here: `rekeyd discover` names them."),
            ));
        }
        if account.failure.is_some() {
            said.push((
                Level::Watch,
                format!("The global account `{name}` cannot be seen now: `rekeyd status` says why."),
            ));
        }
        if let Some(since) = account.key_due_since {
            let day = since.format("%Y-%m-%d");
            said.push((
                Level::Watch,
                format!("The own key of `{name}` is due since {day} and is replaced by hand."),
            ));
        }
    }
    said
}

/// Who will not rotate by themselves, beside those of whom it is said already that they need a person.
pub(super) fn stopped(board: &Board) -> impl Iterator<Item = &Stopped> {
    let told: BTreeSet<&CredentialId> =
        board.rows.iter().filter(|row| row.needs_person()).map(|row| &row.credential).collect();
    let all = board.calendar.iter().flat_map(|calendar| &calendar.stopped);
    all.filter(move |stopped| !told.contains(&stopped.credential))
}

fn forecast(board: &Board) -> Vec<Said> {
    let Some(calendar) = &board.calendar else { return Vec::new() };
    let mut said = Vec::new();
    let late = calendar.coming.iter().filter(|coming| coming.is_late()).count();
    if late > 0 {
        let who = many(late, "coming rotation begins", "coming rotations begin");
        said.push((
            Level::Watch,
            format!("{who} only after the window of the old keys: `rekeyd forecast` tells which."),
        ));
    }
    let stopped =
        stopped(board).filter(|stopped| stopped.ends_at.is_none_or(|end| end <= calendar.until)).count();
    if stopped > 0 {
        let who = many(stopped, "credential", "credentials");
        said.push((
            Level::Watch,
            format!("{who} will not rotate without a person before the window ends; see below."),
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::samples;
    use super::*;

    fn check(board: &Board, level: Level, headline: &str) {
        let said = verdict(board);
        assert_eq!((said.level, said.headline.as_str()), (level, headline), "{:?}", said.points);
    }

    #[test]
    fn fine_is_said_only_where_all_is_seen_and_nothing_waits() {
        let mut board = samples::board(3);
        check(&board, Level::Fine, "Everything is fine.");
        board.rows[0].failures = 1;
        check(
            &board,
            Level::Watch,
            "1 credential failed at the last step; it is tried again without anybody.",
        );
        board.rows[1].looked_at = None;
        check(&board, Level::Blind, "Starting: 1 credential of 3 not looked at since the start.");
        board.rows[2].halt = Some(samples::halt());
        check(&board, Level::Person, "1 credential needs a person.");
        board.fleet.halt = Some(samples::halt());
        check(&board, Level::Person, "The fleet is halted: no rotation begins.");
        board.daemon.stands_still = Some(Duration::from_mins(7));
        assert!(verdict(&board).headline.contains("stood still for 7 min"));
    }

    #[test]
    fn who_has_no_lease_does_not_say_that_all_is_fine() {
        let mut board = samples::board(2);
        board.rows[0].lease_held = false;
        assert_eq!(verdict(&board).level, Level::Blind);
        assert!(verdict(&board).headline.contains("another instance"));
    }

    #[test]
    fn who_was_not_seen_whole_is_told() {
        let mut board = samples::board(2);
        board.rows[1].unseen = Some("keys: 503".to_owned());
        check(
            &board,
            Level::Watch,
            "1 credential was not seen whole at the last look; `rekeyd plan` says what is missing.",
        );
    }

    #[test]
    fn nobody_configured_is_not_fine() {
        assert_eq!(verdict(&samples::board(0)).level, Level::Person);
    }

    #[test]
    fn what_will_run_out_is_said() {
        let mut board = samples::board(2);
        let mut calendar = samples::calendar(&board.rows);
        calendar.stopped = vec![samples::stopped(&board.rows[0])];
        board.calendar = Some(std::sync::Arc::new(calendar));
        check(
            &board,
            Level::Watch,
            "1 credential will not rotate without a person before the window ends; see below.",
        );
        board.rows[0].person = Some("`rekeyd unhold t0000/dataplane` lifts the hold".to_owned());
        check(&board, Level::Person, "1 credential needs a person.");
        assert!(
            !verdict(&board).points.iter().any(|point| point.contains("will not rotate")),
            "it is told once"
        );
    }
}
