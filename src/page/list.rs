//! Which credentials are shown, in which order: searched, filtered, worst first, a page at a time.

use serde::Deserialize;

use super::model::Row;
use super::words;
use crate::domain::Timestamp;

/// Rows on one page.
pub(super) const ROWS: usize = 50;

/// Longer words than this are no names.
const LONGEST: usize = 100;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Show {
    /// All.
    #[default]
    All,
    /// Who needs a person.
    Person,
    /// Who has trouble that rekeyd goes on with by itself.
    Trouble,
    /// Whose rotation is under way.
    Rotating,
    /// Who is held.
    Held,
}

impl Show {
    pub(super) const ALL: [Self; 5] = [Self::All, Self::Person, Self::Trouble, Self::Rotating, Self::Held];

    /// As it stands in the address.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Person => "person",
            Self::Trouble => "trouble",
            Self::Rotating => "rotating",
            Self::Held => "held",
        }
    }

    /// As it is called.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Person => "needs a person",
            Self::Trouble => "in trouble",
            Self::Rotating => "rotating",
            Self::Held => "held",
        }
    }

    pub(super) fn takes(self, row: &Row, now: Timestamp) -> bool {
        match self {
            Self::All => true,
            Self::Person => row.needs_person(),
            Self::Trouble => row.has_trouble(now),
            Self::Rotating => row.is_rotating(),
            Self::Held => row.hold.is_some(),
        }
    }
}

/// What stands in the address. What cannot be understood is as if it were not there.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Asked {
    q: Option<String>,
    show: Option<String>,
    page: Option<String>,
}

/// What is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// A part of the name, as it was typed.
    pub(super) search: String,
    pub(super) show: Show,
    /// From 1 on.
    pub(super) page: usize,
}

impl From<Asked> for Wanted {
    fn from(asked: Asked) -> Self {
        let search: String = asked.q.unwrap_or_default().trim().chars().take(LONGEST).collect();
        let show = Show::ALL.into_iter().find(|show| asked.show.as_deref() == Some(show.word()));
        let page = asked.page.and_then(|page| page.parse().ok()).unwrap_or(1).max(1);
        Self { search, show: show.unwrap_or_default(), page }
    }
}

impl Wanted {
    /// The address of the same with another filter, from the first page on.
    pub(super) fn showing(&self, show: Show) -> String {
        Self { show, page: 1, ..self.clone() }.address()
    }

    /// The address of another page of the same.
    pub(super) fn turned_to(&self, page: usize) -> String {
        Self { page, ..self.clone() }.address()
    }

    fn address(&self) -> String {
        let mut parts = Vec::new();
        if !self.search.is_empty() {
            parts.push(format!("q={}", words::in_query(&self.search)));
        }
        if self.show != Show::All {
            parts.push(format!("show={}", self.show.word()));
        }
        if self.page > 1 {
            parts.push(format!("page={}", self.page));
        }
        format!("/?{}#credentials", parts.join("&"))
    }
}

/// One page of the list.
#[derive(Debug)]
pub(super) struct Slice<'a> {
    pub(super) rows: Vec<&'a Row>,
    /// How many there are on all pages.
    pub(super) found: usize,
    /// The one that is shown, from 1 on.
    pub(super) page: usize,
    pub(super) pages: usize,
}

/// The page that is wanted; the last one where there are fewer.
pub(super) fn slice<'a>(rows: &'a [Row], wanted: &Wanted, now: Timestamp) -> Slice<'a> {
    let search = wanted.search.to_lowercase();
    let mut found: Vec<&Row> = rows
        .iter()
        .filter(|row| wanted.show.takes(row, now))
        .filter(|row| search.is_empty() || row.credential.to_string().contains(&search))
        .collect();
    found.sort_by(|left, right| worst(left, now).cmp(&worst(right, now)));
    let pages = found.len().div_ceil(ROWS).max(1);
    let page = wanted.page.min(pages);
    let rows = found.iter().skip((page - 1) * ROWS).take(ROWS).copied().collect();
    Slice { rows, found: found.len(), page, pages }
}

/// The order of the list: who needs a person, then what goes wrong, then what is under way, then whose window ends first.
fn worst(row: &Row, now: Timestamp) -> impl Ord + '_ {
    let ends_at = row.ends_at.unwrap_or(Timestamp::MIN_UTC);
    let trouble = (!row.is_over(now), row.failures == 0, !row.is_overdue(now), row.unseen.is_none());
    (!row.needs_person(), trouble, !row.is_unseen(), !row.is_rotating(), ends_at, &row.credential)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, NOW};
    use super::*;

    fn asked(q: &str, show: &str, page: &str) -> Wanted {
        let some = |text: &str| Some(text.to_owned());
        Asked { q: some(q), show: some(show), page: some(page) }.into()
    }

    #[test]
    fn what_is_not_understood_is_not_there() {
        let first = Wanted { page: 1, ..Wanted::default() };
        assert_eq!(asked("", "nonsense", "-3"), first);
        assert_eq!(asked("  ", "all", "0"), first);
        assert_eq!(asked(&"x".repeat(1000), "all", "1").search.len(), LONGEST);
        assert_eq!(asked("a b", "held", "7").turned_to(8), "/?q=a%20b&show=held&page=8#credentials");
    }

    #[test]
    fn the_worst_comes_first() {
        let now = NOW.parse().unwrap();
        let mut rows: Vec<Row> = ["fine", "late", "busy", "failing", "halted"].map(samples::row).into();
        rows[1].ends_at = Some(now);
        rows[2].stage = "soaking".to_owned();
        rows[3].failures = 2;
        rows[4].halt = Some(samples::halt());
        let names: Vec<String> = slice(&rows, &asked("", "all", "1"), now)
            .rows
            .iter()
            .map(|row| row.credential.tenant.as_str().to_owned())
            .collect();
        assert_eq!(names, ["halted", "late", "failing", "busy", "fine"]);
        assert_eq!(slice(&rows, &asked("LAT", "all", "1"), now).found, 1);
        assert_eq!(slice(&rows, &asked("", "trouble", "1"), now).found, 2);
    }

    #[test]
    fn pages_have_an_end() {
        let rows: Vec<Row> = (0..120).map(|index| samples::row(&format!("t{index:03}"))).collect();
        let now = NOW.parse().unwrap();
        let last = slice(&rows, &asked("", "all", "99"), now);
        assert_eq!((last.rows.len(), last.page, last.pages, last.found), (20, 3, 3, 120));
        let none = slice(&rows, &asked("nobody", "all", "1"), now);
        assert_eq!((none.rows.len(), none.page, none.pages, none.found), (0, 1, 1, 0));
    }
}
