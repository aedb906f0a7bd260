//! How well a credential is, in one word and a sentence: for whoever watches from far away.

use serde::Serialize;

use super::Timestamp;
use super::names::CredentialId;
use super::plan::{rotation_due, window_end};
use super::stage::Phase;
use super::view::View;

/// The words of SAP Cloud ALM for it (facts: Cloud ALM, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rating {
    /// Nothing to do.
    Ok,
    /// Something is due, or not known.
    Warning,
    /// A person is needed.
    Error,
    /// It is halted.
    Critical,
    /// The window of its keys is over.
    Fatal,
}

impl Rating {
    /// The rating as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Fatal => "fatal",
        }
    }
}

/// How well one credential is.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// Which.
    pub credential: CredentialId,
    /// In one word.
    pub rating: Rating,
    /// In a sentence, without secrets.
    pub text: String,
    /// Until the window of its keys ends, in days; negative once it is over. `None` where that is not known.
    pub days_left: Option<f64>,
}

/// Judges a credential as it was last seen; the worst that can be said of it counts.
pub fn health(view: &View, now: Timestamp) -> Health {
    let credential = view.credential.clone();
    let person = view.reason.as_ref().and_then(|reason| reason.person.clone());
    let Some(record) = &view.record else {
        let rating = if person.is_some() { Rating::Error } else { Rating::Warning };
        let text = person.unwrap_or_else(|| "the keys in use are not recognised yet".to_owned());
        return Health { credential, rating, text, days_left: None };
    };
    let end = window_end(&view.policy, record.stage.in_use());
    let days_left = end.as_ref().ok().copied().flatten().map(|end| days(now, end));
    let due = rotation_due(&view.policy, record.stage.in_use()).ok().flatten();
    let (rating, text) = if let Some(end) = end.as_ref().ok().copied().flatten().filter(|end| now >= *end) {
        (Rating::Fatal, format!("the window of its keys ended on {}", end.format("%Y-%m-%d")))
    } else if let Some(halt) = &record.halt {
        (Rating::Critical, format!("halted: {}", halt.reason))
    } else if let Some(person) = person {
        (Rating::Error, person)
    } else if let Err(why) = end {
        (Rating::Warning, why)
    } else if let Some(due) = due.filter(|due| now >= *due && record.stage.phase() == Phase::Settled) {
        (Rating::Warning, format!("a rotation is due since {}", due.format("%Y-%m-%d")))
    } else if record.stage.phase() == Phase::Settled {
        (
            Rating::Ok,
            due.map_or_else(String::new, |due| {
                format!("the next rotation is due on {}", due.format("%Y-%m-%d"))
            }),
        )
    } else {
        (Rating::Ok, format!("a rotation is under way: {}", record.stage.phase()))
    };
    Health { credential, rating, text, days_left }
}

fn days(from: Timestamp, to: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "seconds of centuries are exact")]
    let seconds = (to - from).num_seconds() as f64;
    seconds / 86_400.0
}
