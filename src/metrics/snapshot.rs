//! The per-credential series, written from a snapshot at scrape time.
//!
//! Text straight from the data: a child per series through the library costs 115 to 196 ms and 104 MiB at 80 000
//! series, this a few milliseconds (docs/adr/0005). A family without samples is left out.

mod consumer;

use std::collections::BTreeMap;
use std::fmt::Write;

use super::seconds;
use crate::domain::Timestamp;
use crate::domain::names::Role;
use crate::domain::plan::{NextLook, rotation_due};
use crate::domain::proof::required_grade;
use crate::domain::stage::{Phase, Stage};
use crate::domain::view::View;
use crate::domain::window::EndBy;
use crate::domain::{after, key::Key};

/// One family of gauges under construction.
pub(super) struct Family {
    name: &'static str,
    help: &'static str,
    samples: String,
}

impl Family {
    pub(super) fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, samples: String::new() }
    }

    pub(super) fn set(&mut self, labels: &[(&str, &str)], value: f64) {
        self.samples.push_str(self.name);
        let mut separator = '{';
        for (label, text) in labels {
            self.samples.push(separator);
            separator = ',';
            self.samples.push_str(label);
            self.samples.push_str("=\"");
            escape(text, &mut self.samples);
            self.samples.push('"');
        }
        if !labels.is_empty() {
            self.samples.push('}');
        }
        writeln!(self.samples, " {value}").expect("writing to memory does not fail");
    }

    pub(super) fn finish(self, text: &mut String) {
        if !self.samples.is_empty() {
            let Self { name, help, samples } = self;
            write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{samples}")
                .expect("writing to memory does not fail");
        }
    }
}

fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            letter => out.push(letter),
        }
    }
}

/// All families of the snapshot.
pub(super) fn write(views: &[View], now: Timestamp) -> String {
    let mut text = String::new();
    let mut clock = Family::new("rekeyd_clock_timestamp_seconds", "The daemon's own clock.");
    clock.set(&[], seconds(now));
    clock.finish(&mut text);
    per_tenant(views, &mut text);
    keys(views, &mut text);
    ages(views, &mut text);
    schedule(views, now, &mut text);
    rotation(views, &mut text);
    consumer::consumer(views, &mut text);
    text
}

/// The pauses that landscapes asked for, until when.
pub(super) fn pauses(pauses: &BTreeMap<String, Timestamp>) -> String {
    let mut until = Family::new(
        "rekeyd_upstream_throttled_until_timestamp_seconds",
        "End of the pause that the landscape asked for; absent while there is none.",
    );
    for (landscape, at) in pauses {
        until.set(&[("landscape", landscape)], seconds(*at));
    }
    let mut text = String::new();
    until.finish(&mut text);
    text
}

fn per_tenant(views: &[View], text: &mut String) {
    let mut configured = Family::new(
        "rekeyd_credentials_configured",
        "Pairs of credential and role that should report an expiry.",
    );
    let mut checked = Family::new(
        "rekeyd_check_last_success_timestamp_seconds",
        "The last complete check; absent before the first.",
    );
    let mut tick = Family::new("rekeyd_scheduler_next_tick_timestamp_seconds", "The next scheduled check.");
    let mut held = Family::new("rekeyd_lease_held", "Whether this instance may work on the tenant.");
    let mut until =
        Family::new("rekeyd_lease_expiry_timestamp_seconds", "When the lease ends without renewal.");
    let mut tenants: BTreeMap<&str, Vec<&View>> = BTreeMap::new();
    for view in views {
        tenants.entry(view.credential.tenant.as_str()).or_default().push(view);
    }
    for (tenant, views) in tenants {
        let labels = [("tenant", tenant)];
        let roles: usize = views.iter().map(|view| view.policy.roles.len()).sum();
        configured.set(&labels, u32::try_from(roles).map_or(f64::MAX, f64::from));
        if let Some(oldest) = views.iter().map(|view| view.checked_at).min().flatten() {
            checked.set(&labels, seconds(oldest));
        }
        if let Some(next) = views.iter().filter_map(|view| view.next_tick).min() {
            tick.set(&labels, seconds(next));
        }
        held.set(&labels, f64::from(u8::from(views.iter().all(|view| view.lease_held))));
        if let Some(end) = views.iter().filter_map(|view| view.lease_until).min() {
            until.set(&labels, seconds(end));
        }
    }
    for family in [configured, checked, tick, held, until] {
        family.finish(text);
    }
}

/// The keys of a role: alive, awaiting retirement, orphan, unmanaged.
fn keys(views: &[View], text: &mut String) {
    let mut alive =
        Family::new("rekeyd_keys_alive", "Keys of this credential that exist, as of the last listing.");
    let mut waiting =
        Family::new("rekeyd_keys_awaiting_retirement", "Keys that were replaced and are not deleted yet.");
    let mut orphan =
        Family::new("rekeyd_keys_orphan", "Keys made by rekeyd that no rotation and no consumer uses.");
    let mut unmanaged = Family::new(
        "rekeyd_keys_unmanaged",
        "Keys on the same service instance that rekeyd neither made nor adopted.",
    );
    let mut limit = Family::new("rekeyd_keys_limit", "Live keys per role at which nothing more is created.");
    for view in views {
        let (tenant, credential) = (view.credential.tenant.as_str(), view.credential.name.as_str());
        let labels = [("tenant", tenant), ("credential", credential)];
        limit.set(&labels, u32::try_from(view.policy.limits.keys_per_role).map_or(f64::MAX, f64::from));
        let Some((record, sightings)) =
            view.record.as_ref().zip(view.observation.as_ref().and_then(|seen| seen.keys.known()))
        else {
            continue;
        };
        let of_stage = record.stage.keys();
        let in_use = record.stage.in_use();
        for role in &view.policy.roles {
            let seen = sightings.get(role).map_or(&[][..], Vec::as_slice);
            let known = |key: &Key| of_stage.iter().any(|(of, mine)| of == role && mine.id == key.id);
            let ours = |key: &Key| key.name.is_of(&view.credential);
            let count = |test: &dyn Fn(&Key) -> bool| {
                u32::try_from(seen.iter().filter(|seen| test(&seen.key)).count()).map_or(f64::MAX, f64::from)
            };
            let labels = [labels[0], labels[1], ("role", role.as_str())];
            alive.set(&labels, count(&|key| known(key) || ours(key)));
            let leaving = matches!(record.stage, Stage::Soaking { .. } | Stage::Retiring { .. });
            let replaced =
                |key: &Key| leaving && known(key) && in_use.get(role).is_none_or(|kept| kept.id != key.id);
            waiting.set(&labels, count(&replaced));
            orphan.set(&labels, count(&|key| ours(key) && !known(key)));
            unmanaged.set(&labels, count(&|key| !known(key) && key.name.parse_ours().is_none()));
        }
    }
    for family in [alive, waiting, orphan, unmanaged, limit] {
        family.finish(text);
    }
}

/// When the keys in use were issued and when they end.
fn ages(views: &[View], text: &mut String) {
    let mut info = Family::new("rekeyd_credential_info", "Static facts of a credential; always 1.");
    let mut issued = Family::new(
        "rekeyd_credential_issued_timestamp_seconds",
        "When the key in use was made; absent while unknown.",
    );
    let mut expiry = Family::new(
        "rekeyd_credential_expiry_timestamp_seconds",
        "When the window of the key in use ends; absent while unknown.",
    );
    for view in views {
        let (tenant, credential) = (view.credential.tenant.as_str(), view.credential.name.as_str());
        let Some(record) = &view.record else { continue };
        for (role, key) in record.stage.in_use() {
            let labels = [("tenant", tenant), ("credential", credential), ("role", Role::as_str(*role))];
            if let Some(at) = key.created_at {
                issued.set(&labels, seconds(at));
            }
            let Some((end, by)) = view.policy.window.end_of(key) else { continue };
            expiry.set(&labels, seconds(end));
            let class = if by == EndBy::Certificate { "reported" } else { "derived" };
            let facts =
                [("issuer", view.policy.issuer), ("consumer", view.policy.consumer), ("class", class)];
            info.set(&[&labels[..], &facts[..]].concat(), 1.0);
        }
    }
    for family in [info, issued, expiry] {
        family.finish(text);
    }
}

/// When the next rotation is due and planned, and what holds it.
fn schedule(views: &[View], now: Timestamp, text: &mut String) {
    let mut due = Family::new(
        "rekeyd_credential_rotation_due_timestamp_seconds",
        "Earliest end of the window minus the lead; absent while unknown.",
    );
    let mut next = Family::new(
        "rekeyd_credential_next_rotation_timestamp_seconds",
        "Next planned rotation; absent while held, halted, rotating or unknown.",
    );
    let mut held =
        Family::new("rekeyd_credential_held", "Whether an operator's hold forbids rotation and deletion.");
    let mut until = Family::new(
        "rekeyd_credential_hold_until_timestamp_seconds",
        "When the hold ends; absent where it ends when lifted.",
    );
    for view in views {
        let labels =
            [("tenant", view.credential.tenant.as_str()), ("credential", view.credential.name.as_str())];
        let Some(record) = &view.record else { continue };
        let is_held = record.is_held(now);
        held.set(&labels, f64::from(u8::from(is_held)));
        if let Some(end) = record.hold.as_ref().and_then(|hold| hold.until).filter(|_| is_held) {
            until.set(&labels, seconds(end));
        }
        let Ok(Some(at)) = rotation_due(&view.policy, record.stage.in_use()) else { continue };
        due.set(&labels, seconds(at));
        let settled = matches!(record.stage, Stage::Settled { .. });
        if settled && record.halt.is_none() && !is_held {
            // A rotation begins at a look: the first one after the due time.
            let look = view.next_look.filter(|look| *look >= at && view.look == Some(NextLook::Schedule));
            next.set(&labels, seconds(look.unwrap_or(at)));
        }
    }
    for family in [due, next, held, until] {
        family.finish(text);
    }
}

/// Where the rotation stands.
fn rotation(views: &[View], text: &mut String) {
    let mut phase = Family::new("rekeyd_rotation_phase", "The current phase: exactly one is 1.");
    let mut entered = Family::new("rekeyd_rotation_phase_entered_timestamp_seconds", "When the phase began.");
    let mut deadline = Family::new(
        "rekeyd_rotation_phase_deadline_timestamp_seconds",
        "When the phase counts as stuck; absent when settled or halted.",
    );
    let mut success = Family::new(
        "rekeyd_rotation_last_success_timestamp_seconds",
        "When a rotation last succeeded; absent if none did.",
    );
    let mut completion = Family::new(
        "rekeyd_rotation_last_completion_timestamp_seconds",
        "When a rotation last ended; absent if none did.",
    );
    let mut duration = Family::new(
        "rekeyd_rotation_last_duration_seconds",
        "Time from begin to proof of the last rotation; absent if there was none.",
    );
    let mut grade = Family::new("rekeyd_evidence_grade", "The proof reached for the newest keys, 0 to 5.");
    let mut required =
        Family::new("rekeyd_evidence_grade_required", "The proof that the next retirement needs.");
    let mut person = Family::new(
        "rekeyd_credential_needs_person",
        "Whether a person has to do something for it to go on.",
    );
    let mut retire = Family::new(
        "rekeyd_retirement_due_timestamp_seconds",
        "From when the oldest replaced key may be deleted; absent if none waits.",
    );
    for view in views {
        let labels =
            [("tenant", view.credential.tenant.as_str()), ("credential", view.credential.name.as_str())];
        let Some(record) = &view.record else { continue };
        for of in Phase::ALL {
            let is = f64::from(u8::from(record.phase() == of));
            phase.set(&[labels[0], labels[1], ("phase", of.as_str())], is);
        }
        entered.set(&labels, seconds(record.halt.as_ref().map_or(record.entered_at, |halt| halt.at)));
        if let Some(at) = record.deadline(&view.policy).filter(|_| record.halt.is_none()) {
            deadline.set(&labels, seconds(at));
        }
        if let Some(at) = record.succeeded_at {
            success.set(&labels, seconds(at));
        }
        if let Some(outcome) = &record.outcome {
            completion.set(&labels, seconds(outcome.at));
            if let Some(took) = outcome.seconds_to_proof {
                duration.set(&labels, u32::try_from(took).map_or(f64::MAX, f64::from));
            }
        }
        grade.set(&labels, f64::from(u8::from(record.grade)));
        required.set(&labels, f64::from(u8::from(required_grade(&view.policy, record))));
        let needed =
            record.halt.is_some() || view.reason.as_ref().is_some_and(|reason| reason.person.is_some());
        person.set(&labels, f64::from(u8::from(needed)));
        match &record.stage {
            Stage::Soaking { evidence, .. } => {
                retire.set(&labels, seconds(after(evidence.reached_at, view.policy.soak)));
            }
            Stage::Retiring { .. } => retire.set(&labels, seconds(record.entered_at)),
            _ => {}
        }
    }
    for family in [phase, entered, deadline, success, completion, duration, grade, required, person, retire] {
        family.finish(text);
    }
}
