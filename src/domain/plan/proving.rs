//! Proving: one success is none. The consumer must be seen to work several times in a row, and its failure must be
//! seen twice before it is believed: status reports flap (facts: rotation, R21).

use super::{NextLook, Plan, Sight, Step};
use crate::domain::after;
use crate::domain::event::Event;
use crate::domain::evidence::{Basis, Watch};
use crate::domain::key::KeySet;

/// What a success amounts to: one more proof with `keys`, or enough of them.
pub(super) fn works(
    sight: &Sight<'_>,
    watch: &Watch,
    keys: &KeySet,
    basis: Basis,
    give_up: impl FnOnce(String, String) -> Plan,
    proven: impl FnOnce() -> Plan,
) -> Plan {
    let (needed, span) = (sight.policy.proofs.max(1), sight.policy.proof_span);
    let so_far = watch.worked.as_ref();
    let count = so_far.map_or(0, |worked| worked.count);
    let spanned = needed == 1 || so_far.is_some_and(|worked| sight.now >= after(worked.first_at, span));
    if count + 1 >= needed && spanned {
        return proven();
    }
    if let Some((step, cause)) = sight.exhausted() {
        return give_up(step, cause);
    }
    if let Some(worked) = so_far {
        let pause = span / needed.saturating_sub(1).max(1);
        let next = after(worked.last_at, pause);
        // A clock that was set back does not make the pause longer.
        if sight.now < next && sight.now >= worked.last_at {
            let text = format!("it works: proof {count} of {needed}, the next one is sought after a pause");
            return Plan::rest(NextLook::At(next), "proving", text);
        }
    }
    let text =
        format!("the consumer works: every key that it was given is tried, proof {} of {needed}", count + 1);
    Plan::go(Step::Confirm { keys: keys.clone(), basis }, "confirm", text)
}

/// What a failure amounts to: the first is written down, the second in a row counts.
pub(super) fn fails(
    sight: &Sight<'_>,
    watch: &Watch,
    detail: String,
    failed: impl FnOnce(String) -> Plan,
) -> Plan {
    let Some(at) = watch.faltered_at else {
        let text = format!("the consumer fails, which must be seen twice: {detail}");
        return Plan::note(Event::Falters { detail }, "falters", text);
    };
    let next = after(at, sight.policy.poll);
    if sight.now < next && sight.now >= at {
        return Plan::rest(NextLook::At(next), "falters", format!("the consumer fails: {detail}"));
    }
    failed(detail)
}
