//! Who must not call whom for a while: one pause per landscape and login, shared by every tenant that uses it.
//!
//! Pauses are kept on the monotonic clock: a wall clock that is set forward ends none early, and one that is set back
//! makes none longer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The pause after a 429 that does not say how long.
const UNSAID: Duration = Duration::from_secs(10);

/// Whom a pause is for: the landscape, and who calls it.
pub(super) type Caller = (String, Option<[u8; 32]>);

/// The pauses that are on.
#[derive(Default)]
pub(super) struct Gate(Mutex<BTreeMap<Caller, Duration>>);

impl Gate {
    /// How much longer `caller` has to wait; `None` where it may call.
    pub(super) fn closed_for(&self, caller: &Caller, now: Duration) -> Option<Duration> {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = pauses.get(caller)?;
        until.checked_sub(now).filter(|left| !left.is_zero())
    }

    /// Makes `caller` wait. A pause is never shortened by a later answer. Answers how long it is now.
    pub(super) fn close(&self, caller: Caller, now: Duration, pause: Option<Duration>) -> Duration {
        let until = now + pause.unwrap_or(UNSAID);
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.retain(|_, until| *until > now);
        let pause = pauses.entry(caller).or_insert(until);
        *pause = until.max(*pause);
        pause.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1000 + seconds)
    }

    #[test]
    fn a_pause_is_for_one_login_on_one_landscape() {
        let gate = Gate::default();
        let caller = ("a".to_owned(), Some([1; 32]));
        gate.close(caller.clone(), at(0), Some(Duration::from_mins(1)));
        gate.close(caller.clone(), at(0), Some(Duration::from_secs(30)));
        assert_eq!(gate.closed_for(&caller, at(59)), Some(Duration::from_secs(1)));
        assert_eq!(gate.closed_for(&caller, at(60)), None);
        assert_eq!(gate.closed_for(&("a".to_owned(), Some([2; 32])), at(0)), None);
        assert_eq!(gate.closed_for(&("b".to_owned(), Some([1; 32])), at(0)), None);
    }

    proptest! {
        /// Whatever several calls in flight bring home, in whatever order: nobody calls before the end of every pause
        /// that was asked for.
        #[test]
        fn the_longest_pause_counts(
            answers in prop::collection::vec((0_u64..100, prop::option::of(1_u64..3600)), 1..20),
            then in 0_u64..4000,
        ) {
            let gate = Gate::default();
            let caller = ("a".to_owned(), None);
            let mut answers = answers;
            answers.sort_unstable();
            let now = answers.last().map_or(0, |(when, _)| *when) + then;
            for (when, pause) in &answers {
                gate.close(caller.clone(), at(*when), pause.map(Duration::from_secs));
            }
            let end = answers.iter().map(|(when, pause)| when + pause.unwrap_or(UNSAID.as_secs())).max();
            prop_assert_eq!(gate.closed_for(&caller, at(now)).is_some(), end.is_some_and(|end| now < end));
        }
    }
}
