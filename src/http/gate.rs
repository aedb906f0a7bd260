//! Who must not call whom for a while: one pause per landscape and login, shared by every tenant that uses it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::{Timestamp, after};

/// The pause after a 429 that does not say how long.
const UNSAID: Duration = Duration::from_secs(10);

/// Whom a pause is for: the landscape, and who calls it.
pub(super) type Caller = (String, Option<[u8; 32]>);

/// The pauses that are on.
#[derive(Default)]
pub(super) struct Gate(Mutex<BTreeMap<Caller, Timestamp>>);

impl Gate {
    /// Until when `caller` has to wait; `None` where it may call.
    pub(super) fn closed_until(&self, caller: &Caller, now: Timestamp) -> Option<Timestamp> {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A wall clock that was set back must not turn a pause into a stop for ever.
        pauses
            .get(caller)
            .copied()
            .filter(|until| *until > now && *until <= after(now, super::retry_after::LONGEST))
    }

    /// Makes `caller` wait. A pause is never shortened by a later answer.
    pub(super) fn close(&self, caller: Caller, now: Timestamp, not_before: Option<Timestamp>) {
        let until = not_before.unwrap_or_else(|| after(now, UNSAID));
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.retain(|_, until| *until > now);
        let pause = pauses.entry(caller).or_insert(until);
        *pause = until.max(*pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_for_one_login_on_one_landscape() {
        let now = Timestamp::UNIX_EPOCH;
        let at = |seconds| after(now, Duration::from_secs(seconds));
        let gate = Gate::default();
        let caller = ("a".to_owned(), Some([1; 32]));
        gate.close(caller.clone(), now, Some(at(60)));
        gate.close(caller.clone(), now, Some(at(30)));
        assert_eq!(gate.closed_until(&caller, at(59)), Some(at(60)));
        assert_eq!(gate.closed_until(&caller, at(60)), None);
        assert_eq!(gate.closed_until(&("a".to_owned(), Some([2; 32])), now), None);
        assert_eq!(gate.closed_until(&("b".to_owned(), Some([1; 32])), now), None);
    }

    #[test]
    fn a_clock_set_back_opens_the_gate() {
        let late = after(Timestamp::UNIX_EPOCH, Duration::from_hours(48));
        let gate = Gate::default();
        let caller = ("a".to_owned(), None);
        gate.close(caller.clone(), late, None);
        assert_eq!(gate.closed_until(&caller, Timestamp::UNIX_EPOCH), None);
    }
}
