//! The marks beside the stage.

use std::collections::BTreeMap;

use super::clock;
use super::stages::starts_over;
use crate::domain::Timestamp;
use crate::domain::between;
use crate::domain::event::{Entry, Event, PROVISION, Wish};
use crate::domain::evidence::Grade;
use crate::domain::halt::HaltReason;
use crate::domain::names::{KeyName, Role};
use crate::domain::record::{Asked, Asking, Halt, Hold, Outcome, Record, Rotation, Trouble};
use crate::domain::stage::Stage;

/// Names that are kept of each kind, for keys that turn up late; older ones are forgotten.
const NAMES_LIMIT: usize = 16;

/// Whether an event that does not move the stage may stand beside it.
pub(super) fn stand_beside(stage: &Stage, event: &Event) -> bool {
    match event {
        Event::Wished(_)
        | Event::Pushed
        | Event::ClockSetBack
        | Event::StepFailed { .. }
        | Event::Halted(_) => true,
        Event::DeleteSent { .. } => matches!(stage, Stage::Settled { .. } | Stage::Restoring { .. }),
        Event::ProvisionSent => {
            matches!(stage, Stage::Provisioning { .. } | Stage::Restoring { .. } | Stage::Retiring { .. })
        }
        Event::Gone { .. } => matches!(stage, Stage::Settled { .. }),
        _ => false,
    }
}

/// What is kept of a rotation that a person gives up: the names of its keys, which are no strangers.
pub(super) fn before(record: &mut Record, entry: &Entry) {
    if entry.event != Event::Wished(Wish::Confirm) || !starts_over(record) {
        return;
    }
    let keys = record.stage.keys().into_iter().map(|(role, key)| (key.name.clone(), role));
    let mut names: Vec<(KeyName, Role)> = keys.collect();
    if let Stage::Creating { names: chosen, .. } | Stage::Restoring { pending: chosen, .. } = &record.stage {
        names.extend(chosen.iter().map(|(role, name)| (name.clone(), *role)));
    }
    for (name, role) in names {
        remember(&mut record.left, &name, role);
    }
}

/// The marks beside the stage.
pub(super) fn make(record: &mut Record, entry: &Entry) {
    let at = entry.at;
    match &entry.event {
        Event::Wished(wish) => wished(record, wish, at),
        Event::Pushed => {
            record.trouble.retry_at = None;
            record.pushed = true;
        }
        Event::ClockSetBack => clock::set_back(record, at),
        Event::StepFailed { step, failure, retry_at } => {
            if step == PROVISION && failure.effect_unknown {
                record.asked_to_provision = Asking::Yes;
            } else if step == PROVISION {
                refused_to_provision(record);
            }
            let trouble = &mut record.trouble;
            trouble.failures += 1;
            trouble.attempts += u32::from(!failure.class.is_passing());
            trouble.step = Some(step.clone());
            trouble.first.get_or_insert_with(|| failure.clone());
            trouble.last = Some(failure.clone());
            trouble.retry_at = Some(*retry_at);
        }
        Event::Halted(reason) => record.halt = Some(Halt { reason: reason.clone(), at }),
        Event::DeleteSent { name, .. } => record.delete_sent = Some((name.clone(), at)),
        Event::ProvisionSent => {
            // What came of an earlier intent was never learnt: it may have had its effect.
            let first = record.asked_to_provision == Asking::No;
            record.asked_to_provision = if first { Asking::Perhaps } else { Asking::Yes };
        }
        Event::CreateSent { .. }
        | Event::Resting
        | Event::Rested { .. }
        | Event::Moving
        | Event::Falters { .. } => {}
        event => {
            record.trouble = Trouble::default();
            progress(record, event, at);
        }
    }
}

/// What was asked last had no effect; only where it was asked before may there have been one.
fn refused_to_provision(record: &mut Record) {
    if record.asked_to_provision == Asking::Perhaps {
        record.asked_to_provision = Asking::No;
    }
}

fn progress(record: &mut Record, event: &Event, at: Timestamp) {
    match event {
        Event::Adopted { live, generation, pin, others } => {
            record.readopt = false;
            record.left.retain(|name, _| live.values().all(|key| key.name != *name));
            record.left.extend(others.iter().map(|(name, role)| (name.clone(), *role)));
            record.generation = record.generation.max(*generation);
            record.pin = pin.clone();
        }
        Event::Begun { rotation, trigger, generation, .. } => {
            record.generation = *generation;
            record.rotation =
                Some(Rotation { id: rotation.clone(), trigger: *trigger, begun_at: at, proven_at: None });
            record.asked = None;
            record.pushed = false;
            record.restore = None;
            record.grade = Grade::Nothing;
            record.asked_to_provision = Asking::No;
        }
        Event::Provisioned { .. } => record.asked_to_provision = Asking::Yes,
        Event::CannotProvision => refused_to_provision(record),
        Event::Tested { .. } => {
            if let Stage::Testing { fresh, tested, .. } = &record.stage {
                let complete = fresh.keys().all(|role| tested.contains_key(role));
                let weakest = tested.values().min().copied().unwrap_or(Grade::Nothing);
                record.grade = if complete { weakest } else { Grade::Nothing };
            }
        }
        Event::Delivered { .. } => record.grade = record.grade.max(Grade::Accepted),
        Event::RetireBegun => record.renewals = 0,
        Event::Renewed { .. } => record.renewals = record.renewals.saturating_add(1),
        Event::Proven { evidence } => {
            if !matches!(record.stage, Stage::Retiring { .. }) {
                record.renewals = 0;
            }
            record.grade = evidence.grade;
            if let Some(rotation) = record.rotation.as_mut() {
                rotation.proven_at.get_or_insert(at);
            }
        }
        Event::TurnedBack { .. } | Event::SameSecret { .. } => {
            if let Event::SameSecret { role } = event {
                record.same_secret = Some(*role);
            }
            record.restore = None;
            record.grade = Grade::Nothing;
            if let Stage::Restoring { why, .. } = &record.stage {
                record.turned_back = Some(why.clone());
            }
            if let Stage::Restoring { pending, delivered: false, .. } = &record.stage {
                for (role, name) in pending {
                    remember(&mut record.abandoned, name, *role);
                }
            }
        }
        Event::Gone { role, name } => gone(record, *role, name),
        Event::Left { role, name } => remember(&mut record.left, name, *role),
        Event::Completed => completed(record, at),
        _ => {}
    }
}

fn gone(record: &mut Record, role: Role, name: &KeyName) {
    record.renewals = 0;
    record.gone.push(name.clone());
    let surplus = record.gone.len().saturating_sub(NAMES_LIMIT);
    record.gone.drain(..surplus);
    match &record.stage {
        // The create may have made a second one of that name.
        Stage::Restoring { delivered: false, .. } => remember(&mut record.abandoned, name, role),
        // And still may, of a fresh key that goes after the old set was put back.
        Stage::Retiring { .. } if record.turned_back.is_some() && name.is_of(&record.credential) => {
            remember(&mut record.abandoned, name, role);
        }
        // A pending name stays watched for: its create may still take effect.
        Stage::Settled { .. } => {
            record.abandoned.remove(name);
        }
        _ => {}
    }
}

fn remember(names: &mut BTreeMap<KeyName, Role>, name: &KeyName, role: Role) {
    names.insert(name.clone(), role);
    while names.len() > NAMES_LIMIT {
        // By the letter, `g10` comes before `g9`.
        let oldest = names.keys().min_by_key(|name| name.parse_ours().map(|ours| ours.generation)).cloned();
        names.remove(&oldest.expect("more names than the limit"));
    }
}

fn wished(record: &mut Record, wish: &Wish, at: Timestamp) {
    match wish {
        Wish::Rotate { trigger, reason, pass } => {
            if matches!(record.stage, Stage::Settled { .. }) {
                let before = record.asked.as_ref().map(|asked| asked.pass).unwrap_or_default();
                let pass = before.and(*pass);
                record.asked = Some(Asked { trigger: *trigger, reason: reason.clone(), pass });
            }
        }
        Wish::Withdraw { .. } => record.asked = None,
        Wish::Restore { reason } => {
            record.restore = Some(reason.clone());
            record.halt = None;
            record.trouble = Trouble::default();
        }
        Wish::Hold { until, reason } => record.hold = Some(Hold { until: *until, reason: reason.clone() }),
        Wish::Unhold => record.hold = None,
        Wish::Resume | Wish::Confirm => {
            if *wish == Wish::Confirm {
                acquaint(record);
            }
            record.readopt = *wish == Wish::Confirm && matches!(record.stage, Stage::Settled { .. });
            let changed = record.halt.as_ref().map(|halt| &halt.reason);
            if matches!(changed, Some(HaltReason::ConsumerChanged { .. })) {
                record.grade = record.grade.min(Grade::Acted);
            }
            if record.readopt {
                // Whatever rotation was under way is given up.
                (record.restore, record.turned_back) = (None, None);
            }
            record.halt = None;
            record.same_secret = None;
            record.trouble = Trouble::default();
            record.cycles = 0;
            record.pushed = true;
            record.entered_at = at;
        }
    }
}

/// A person says that the key nobody knew may stay.
fn acquaint(record: &mut Record) {
    let Some(HaltReason::NewerGeneration { name }) = record.halt.as_ref().map(|halt| &halt.reason) else {
        return;
    };
    let name = name.clone();
    if let Some(ours) = name.parse_ours() {
        record.generation = record.generation.max(ours.generation);
        remember(&mut record.left, &name, ours.role);
    }
}

fn completed(record: &mut Record, at: Timestamp) {
    let rotation = record.rotation.as_ref();
    let seconds_to_proof = rotation.and_then(|rotation| {
        let proven = rotation.proven_at?;
        Some(between(rotation.begun_at, proven).as_secs())
    });
    let turned_back = record.turned_back.take();
    record.pushed = false;
    if turned_back.is_some() {
        record.cycles += 1;
    } else {
        record.cycles = 0;
        record.succeeded_at = Some(at);
    }
    record.outcome = Some(Outcome { at, turned_back, seconds_to_proof });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_generation_is_forgotten_first() {
        let owner = "acme/dataplane".parse().expect("it is a name");
        let mut names = BTreeMap::new();
        for generation in 1..=20 {
            for role in [Role::Ciapi, Role::Cirt] {
                remember(&mut names, &KeyName::ours(role, generation, &owner, 7), role);
            }
        }
        let generations: Vec<_> =
            names.keys().map(|name| name.parse_ours().expect("it is ours").generation).collect();
        assert_eq!(names.len(), NAMES_LIMIT);
        assert!(generations.iter().all(|generation| *generation > 12), "{generations:?}");
    }
}
