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
use super::{Family, Labels, Snapshot, attention, recorded};

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
    for (labels, view, record) in recorded(of.lines) {
        // One that is unknown may be the first: that calls for attention.
        let ends = record.stage.in_use().values().filter_map(|key| view.policy.window.end_of(key));
        if let Some(first) = ends.map(|(at, _)| at).min() {
            expiry.add(labels, &[], first);
        }
        phase.add(labels, &[("phase", record.phase().as_str())], true);
        // While old keys wait, the keys in use are fresh: their time is far away.
        let due_at = due_at(view, record);
        if let Some(at) = retired_from(view, record) {
            retire.add(labels, &[], at);
        } else if let Some(at) = due_at {
            due.add(labels, &[], at);
        }
        // What is held is neither planned nor stuck.
        if record.is_held(of.now) {
            held.add(labels, &[], true);
        } else if let Some(at) = planned(view, record, due_at, of.now) {
            next.add(labels, &[], at);
        } else if let Some(at) = stuck_at(view, record) {
            deadline.add(labels, &[], at);
        }
        attention.add(labels, &[("class", attention::class(of, view, record))], true);
    }
    for family in [expiry, phase, due, retire, next, deadline, held, attention] {
        family.finish(text);
    }
    let mut failures = Family::counter(full::FAILURES, full::FAILURES_HELP);
    for (id, count) in of.tally.credentials() {
        failures.add(&Labels::of(id), &[], count.failures.as_value());
    }
    failures.finish(text);
}
