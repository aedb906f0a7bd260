//! The series of a credential where there are too many for twenty of each: six, of which every alert can be made.
//!
//! What can never be together shares a place, and what is seldom is one series with the most pressing of it
//! ([`attention`](super::attention)):
//!
//! | place | series |
//! |---|---|
//! | 1 | the first end of a window |
//! | 2 | the phase |
//! | 3 | the due time, or, while old keys wait to be retired, the time from which they may be |
//! | 4 | the planned time, or the deadline of the phase, or that it is held |
//! | 5 | what calls for attention |
//! | 6 | the failures |

use super::credential::{self as full, due_at, planned, retired_from, stuck_at};
use super::{Family, Snapshot, attention, named, recorded, seconds};

pub(super) fn write(of: Snapshot<'_>, text: &mut String) {
    let mut expiry = Family::new(full::EXPIRY, full::EXPIRY_HELP);
    let mut phase = Family::new(full::PHASE, full::PHASE_HELP);
    let mut due = Family::new(full::DUE, full::DUE_HELP);
    let mut retire = Family::new(full::RETIRE, full::RETIRE_HELP);
    let mut next = Family::new(full::NEXT, full::NEXT_HELP);
    let mut deadline = Family::new(full::DEADLINE, full::DEADLINE_HELP);
    let mut held = Family::new(full::HELD, full::HELD_HELP);
    let mut attention = Family::new(
        "rekeyd_credential_attention",
        "What of it calls for attention most; always 1, and with the detail `summary` only.",
    );
    for (view, record) in recorded(of.views) {
        let labels = named(view);
        // One that is unknown may be the first: that calls for attention.
        let ends = record.stage.in_use().values().filter_map(|key| view.policy.window.end_of(key));
        if let Some(first) = ends.map(|(at, _)| at).min() {
            expiry.set(&labels, seconds(first));
        }
        phase.set(&[labels[0], labels[1], ("phase", record.phase().as_str())], 1.0);
        // While old keys wait, the keys in use are fresh: their time is far away.
        if let Some(at) = retired_from(view, record) {
            retire.set(&labels, seconds(at));
        } else if let Some(at) = due_at(view, record) {
            due.set(&labels, seconds(at));
        }
        // What is held is neither planned nor stuck.
        if record.is_held(of.now) {
            held.set(&labels, 1.0);
        } else if let Some(at) = planned(view, record, of.now) {
            next.set(&labels, seconds(at));
        } else if let Some(at) = stuck_at(view, record) {
            deadline.set(&labels, seconds(at));
        }
        attention.set(&[labels[0], labels[1], ("class", attention::class(of, view, record))], 1.0);
    }
    for family in [expiry, phase, due, retire, next, deadline, held, attention] {
        family.finish(text);
    }
    let mut failures = Family::counter(full::FAILURES, full::FAILURES_HELP);
    for (id, count) in of.tally.credentials() {
        let labels = [("tenant", id.tenant.as_str()), ("credential", id.name.as_str())];
        failures.set(&labels, count.failures.as_value());
    }
    failures.finish(text);
}
