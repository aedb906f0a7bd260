//! The series of a credential, in full.

use super::{Family, Labels, Snapshot, keys, recorded};
use crate::domain::plan::{NextLook, rotation_due};
use crate::domain::proof::required_grade;
use crate::domain::record::Record;
use crate::domain::stage::Stage;
use crate::domain::view::View;
use crate::domain::{Timestamp, after};

pub(super) fn write(of: Snapshot<'_>, text: &mut String) {
    alive(of, text);
    ages(of, text);
    schedule(of, text);
    phase(of, text);
    evidence(of, text);
    counters(of, text);
}

fn alive(of: Snapshot<'_>, text: &mut String) {
    let mut alive =
        Family::new("rekeyd_keys_alive", "Keys of this credential that exist, as of the last listing.");
    let mut orphan =
        Family::new("rekeyd_keys_orphan", "Keys made by rekeyd that no rotation and no consumer uses.");
    let mut unmanaged = Family::new(
        "rekeyd_keys_unmanaged",
        "Keys on the same service instances that rekeyd neither made nor adopted.",
    );
    for line in of.lines {
        let Some(keys) = keys::count(line.view) else { continue };
        for (role, many) in keys.alive {
            alive.add(&line.labels, &[("role", role.as_str())], many);
        }
        orphan.add(&line.labels, &[], keys.orphan);
        unmanaged.add(&line.labels, &[], keys.unmanaged);
    }
    for family in [alive, orphan, unmanaged] {
        family.finish(text);
    }
}

/// What it is, and when the windows of the keys in use end.
fn ages(of: Snapshot<'_>, text: &mut String) {
    let mut info = Family::new("rekeyd_credential_info", "Static facts of a credential; always 1.");
    let mut expiry = Family::new(EXPIRY, EXPIRY_HELP);
    for (labels, view, record) in recorded(of.lines) {
        for (role, key) in record.stage.in_use() {
            if let Some((end, _)) = view.policy.window.end_of(key) {
                expiry.add(labels, &[("role", role.as_str())], end);
            }
        }
        let (issuer, consumer) = (("issuer", view.policy.issuer), ("consumer", view.policy.consumer));
        info.add(labels, &[issuer, consumer], true);
    }
    info.finish(text);
    expiry.finish(text);
}

/// When the next rotation is due and planned, and whether it is held.
fn schedule(of: Snapshot<'_>, text: &mut String) {
    let mut due = Family::new(DUE, DUE_HELP);
    let mut next = Family::new(NEXT, NEXT_HELP);
    let mut held = Family::new(HELD, HELD_HELP);
    for (labels, view, record) in recorded(of.lines) {
        held.add(labels, &[], record.is_held(of.now));
        let due_at = due_at(view, record);
        if let Some(at) = due_at {
            due.add(labels, &[], at);
        }
        if let Some(at) = planned(view, record, due_at, of.now) {
            next.add(labels, &[], at);
        }
    }
    for family in [due, next, held] {
        family.finish(text);
    }
}

/// Where the rotation stands.
fn phase(of: Snapshot<'_>, text: &mut String) {
    let mut phase = Family::new(PHASE, PHASE_HELP);
    let mut entered = Family::new("rekeyd_rotation_phase_entered_timestamp_seconds", "When the phase began.");
    let mut deadline = Family::new(DEADLINE, DEADLINE_HELP);
    let mut success = Family::new(
        "rekeyd_rotation_last_success_timestamp_seconds",
        "When a rotation last succeeded; absent if none did.",
    );
    let mut retire = Family::new(RETIRE, RETIRE_HELP);
    for (labels, view, record) in recorded(of.lines) {
        phase.add(labels, &[("phase", record.phase().as_str())], true);
        entered.add(labels, &[], record.halt.as_ref().map_or(record.entered_at, |halt| halt.at));
        if let Some(at) = stuck_at(view, record) {
            deadline.add(labels, &[], at);
        }
        if let Some(at) = record.succeeded_at {
            success.add(labels, &[], at);
        }
        if let Some(at) = retired_from(view, record) {
            retire.add(labels, &[], at);
        }
    }
    for family in [phase, entered, deadline, success, retire] {
        family.finish(text);
    }
}

/// What is proven, and whether a person is needed.
fn evidence(of: Snapshot<'_>, text: &mut String) {
    let mut grade = Family::new("rekeyd_evidence_grade", "The proof reached for the newest keys, 0 to 5.");
    let mut required =
        Family::new("rekeyd_evidence_grade_required", "The proof that the next retirement needs.");
    let mut person = Family::new(
        "rekeyd_credential_needs_person",
        "Whether a person has to do something for it to go on.",
    );
    for (labels, view, record) in recorded(of.lines) {
        grade.add(labels, &[], usize::from(u8::from(record.grade)));
        required.add(labels, &[], usize::from(u8::from(required_grade(&view.policy, record))));
        person.add(labels, &[], needs_person(view, record));
    }
    for family in [grade, required, person] {
        family.finish(text);
    }
}

fn counters(of: Snapshot<'_>, text: &mut String) {
    let mut failures = Family::counter(FAILURES, FAILURES_HELP);
    let mut restorations = Family::counter(
        "rekeyd_rotation_restorations_total",
        "Rotations after which the previous keys were put back and proven.",
    );
    let mut deliveries =
        Family::counter("rekeyd_delivery_failures_total", "Deliveries of a credential that failed.");
    for (id, count) in of.tally.credentials() {
        let labels = Labels::of(id);
        failures.add(&labels, &[], count.failures.as_value());
        restorations.add(&labels, &[], count.restorations.as_value());
        deliveries.add(&labels, &[], count.delivery_failures.as_value());
    }
    for family in [failures, restorations, deliveries] {
        family.finish(text);
    }
}

pub(super) const EXPIRY: &str = "rekeyd_credential_expiry_timestamp_seconds";
pub(super) const EXPIRY_HELP: &str = "When the window of the key in use ends; absent while unknown. With the detail `summary` of the first to end.";
pub(super) const DUE: &str = "rekeyd_credential_rotation_due_timestamp_seconds";
pub(super) const DUE_HELP: &str = "Earliest end of the window minus the lead; absent while unknown.";
pub(super) const NEXT: &str = "rekeyd_credential_next_rotation_timestamp_seconds";
pub(super) const NEXT_HELP: &str = "Next planned rotation; absent while held, halted, rotating or unknown.";
pub(super) const HELD: &str = "rekeyd_credential_held";
pub(super) const HELD_HELP: &str = "Whether an operator's hold forbids rotation and deletion.";
pub(super) const PHASE: &str = "rekeyd_rotation_phase";
pub(super) const PHASE_HELP: &str = "The current phase; always 1.";
pub(super) const DEADLINE: &str = "rekeyd_rotation_phase_deadline_timestamp_seconds";
pub(super) const DEADLINE_HELP: &str = "When the phase counts as stuck; absent when settled or halted.";
pub(super) const RETIRE: &str = "rekeyd_retirement_due_timestamp_seconds";
pub(super) const RETIRE_HELP: &str =
    "From when the oldest replaced key may be deleted; absent if none waits.";
pub(super) const FAILURES: &str = "rekeyd_rotation_failures_total";
pub(super) const FAILURES_HELP: &str = "Rotations that turned back or halted.";

/// When the rotation is due.
pub(super) fn due_at(view: &View, record: &Record) -> Option<Timestamp> {
    rotation_due(&view.policy, record.stage.in_use()).ok().flatten()
}

/// When it is planned to begin: a rotation begins at a look, the first one after the time `due`.
pub(super) fn planned(
    view: &View,
    record: &Record,
    due: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let settled = matches!(record.stage, Stage::Settled { .. });
    if !settled || record.halt.is_some() || record.is_held(now) {
        return None;
    }
    let due = due?;
    let look = view.next_look.filter(|look| *look >= due && view.look == Some(NextLook::Schedule));
    Some(look.unwrap_or(due))
}

/// When the phase counts as stuck.
pub(super) fn stuck_at(view: &View, record: &Record) -> Option<Timestamp> {
    record.deadline(&view.policy).filter(|_| record.halt.is_none())
}

/// From when the oldest replaced key may go.
pub(super) fn retired_from(view: &View, record: &Record) -> Option<Timestamp> {
    match &record.stage {
        Stage::Soaking { evidence, .. } => Some(after(evidence.reached_at, view.policy.soak)),
        Stage::Retiring { .. } => Some(record.entered_at),
        _ => None,
    }
}

/// Whether it goes on only once a person did something.
pub(super) fn needs_person(view: &View, record: &Record) -> bool {
    record.halt.is_some() || view.reason.as_ref().is_some_and(|reason| reason.person.is_some())
}
