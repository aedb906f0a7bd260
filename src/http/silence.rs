//! Who does not answer just now, as the last call to it showed: for people, who would else be told of it only where somebody has
//! looked since. Nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::Timestamp;
use crate::domain::failure::Class;

/// A host that does not answer, or only with errors of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// The first call since its last answer.
    pub since: Timestamp,
    /// The last call.
    pub last_at: Timestamp,
    /// What came of the last call.
    pub cause: String,
}

/// Every host that does not answer. There are no more than the configuration names.
#[derive(Default)]
pub(super) struct Silences(Mutex<BTreeMap<String, Silence>>);

impl Silences {
    /// What came of a call to `host`: a failure, or an answer.
    pub(super) fn note(&self, host: String, failed: Option<(Class, &str)>, now: Timestamp) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failed.filter(|(class, _)| is_silence(*class)) {
            Some((_, cause)) => {
                let since = hosts.get(&host).map_or(now, |silence| silence.since);
                hosts.insert(host, Silence { since, last_at: now, cause: cause.to_owned() });
            }
            None => drop(hosts.remove(&host)),
        }
    }

    pub(super) fn all(&self) -> BTreeMap<String, Silence> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whoever refuses has answered.
fn is_silence(class: Class) -> bool {
    matches!(class, Class::Dns | Class::Connect | Class::Tls | Class::Timeout | Class::ServerError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_lasts_from_the_first_call_to_the_next_answer() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (one, two) = (at("2026-03-01T10:00:00Z"), at("2026-03-01T11:00:00Z"));
        let silences = Silences::default();
        let note = |failed, now| silences.note("api.example".to_owned(), failed, now);
        note(Some((Class::Connect, "refused")), one);
        note(Some((Class::ServerError, "503")), two);
        let expected = Silence { since: one, last_at: two, cause: "503".to_owned() };
        assert_eq!(silences.all(), BTreeMap::from([("api.example".to_owned(), expected)]));
        note(Some((Class::Unauthorized, "401")), two);
        assert!(silences.all().is_empty(), "who refuses answers");
        note(Some((Class::Timeout, "slow")), two);
        note(None, two);
        assert!(silences.all().is_empty());
    }
}
