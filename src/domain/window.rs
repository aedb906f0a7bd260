//! How long a key may live, and when its rotation is due.
//!
//! Two clocks: the policy age (12 calendar months after the key was made) and the hard end of a certificate. The
//! earlier one ends the window. A key whose age is not known has no end and is never due by it.

use std::time::Duration;

use chrono::Months;

use super::key::Key;
use super::{Timestamp, before};

/// How long a key may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Calendar months, UTC: 12 months after 29 February end on 28 February.
    Months(u32),
    /// A fixed time.
    Span(Duration),
}

/// Which clock ends the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndBy {
    /// Policy: the key's age. It would go on working.
    Age,
    /// The certificate ends.
    Certificate,
}

impl Window {
    /// SAP's sentence: data plane credentials "expired after 12 months" (facts: DSI, section 5).
    pub const DEFAULT: Self = Self::Months(12);

    /// When a key made at `created` has used up the window.
    pub fn end(self, created: Timestamp) -> Timestamp {
        match self {
            Self::Months(months) => {
                created.checked_add_months(Months::new(months)).unwrap_or(Timestamp::MAX_UTC)
            }
            Self::Span(span) => super::after(created, span),
        }
    }

    /// When the window of `key` ends and by which clock; `None` while nothing is known of its age.
    pub fn end_of(self, key: &Key) -> Option<(Timestamp, EndBy)> {
        let by_age = key.created_at.map(|created| (self.end(created), EndBy::Age));
        let by_certificate = key.expires_at.map(|end| (end, EndBy::Certificate));
        [by_age, by_certificate].into_iter().flatten().min_by_key(|(end, _)| *end)
    }

    /// The earliest end over `keys`; `Err` names the first key whose end is unknown.
    pub fn earliest_end<'a>(
        self,
        keys: impl IntoIterator<Item = &'a Key>,
    ) -> Result<Option<Timestamp>, &'a Key> {
        let mut earliest = None;
        for key in keys {
            let (end, _) = self.end_of(key).ok_or(key)?;
            earliest = Some(earliest.map_or(end, |known: Timestamp| known.min(end)));
        }
        Ok(earliest)
    }
}

/// When a rotation is due: `lead` before `end`.
pub fn due(end: Timestamp, lead: Duration) -> Timestamp {
    before(end, lead)
}
