//! How an event moves the stage.

use std::collections::BTreeMap;

use super::delivering;
use super::retiring::retiring;
use crate::domain::Timestamp;
use crate::domain::event::{CONFIRM, Entry, Event, Wish};
use crate::domain::evidence::{Baseline, Grade, Watch};
use crate::domain::halt::HaltReason;
use crate::domain::key::KeySet;
use crate::domain::names::Role;
use crate::domain::record::Record;
use crate::domain::retirement::{Change, Retirement};
use crate::domain::stage::{Course, Stage};

/// Renews the evidence in place; `false` for any other event and any other stage.
pub(super) fn renew(stage: &mut Stage, entry: &Entry) -> bool {
    match (stage, &entry.event) {
        (Stage::Soaking { evidence, .. }, Event::Renewed { .. }) => evidence.renewed_at = entry.at,
        (Stage::Retiring { retirement, .. }, Event::Renewed { .. }) => {
            retirement.evidence.renewed_at = entry.at;
            retirement.proven_since = true;
        }
        _ => return false,
    }
    true
}

/// The stage that `entry` leads to; `None` where it leaves the stage to itself.
pub(super) fn next(record: &Record, entry: &Entry) -> Option<Stage> {
    let at = entry.at;
    if let Some(stage) = delivering::next(record, &entry.event, at) {
        return Some(stage);
    }
    match (&record.stage, &entry.event) {
        (Stage::Settled { .. }, Event::Adopted { live, .. }) if record.readopt => {
            Some(Stage::Settled { live: live.clone() })
        }
        // A person says which keys are in use: the rotation is given up, and they are looked for.
        (stage, Event::Wished(Wish::Confirm)) if starts_over(record) => {
            Some(Stage::Settled { live: stage.in_use().clone() })
        }
        (Stage::Settled { live }, Event::Begun { names, .. }) => Some(Stage::Creating {
            live: live.clone(),
            names: names.clone(),
            sent: BTreeMap::new(),
            made: KeySet::new(),
        }),
        (Stage::Creating { .. }, Event::CreateSent { .. } | Event::Made { .. }) => {
            creating(&record.stage, entry)
        }
        (Stage::Testing { live, fresh, tested }, Event::Tested { role, grade }) => {
            let mut tested = tested.clone();
            tested.insert(*role, *grade);
            Some(Stage::Testing { live: live.clone(), fresh: fresh.clone(), tested })
        }
        // What stood in the way was put right: the consumer is given the fresh secret again.
        (Stage::Provisioning { live, fresh, .. }, Event::Wished(Wish::Resume)) if has_no_way_back(record) => {
            let (live, fresh) = (live.clone(), fresh.clone());
            Some(Stage::Delivering { live, fresh, baseline: Baseline::default() })
        }
        (Stage::Provisioning { .. } | Stage::Restoring { .. }, event) => watched(&record.stage, event, at)
            .or_else(|| cleared(&record.stage, event))
            .or_else(|| turned_back(&record.stage, event)),
        (stage, Event::Wished(Wish::Resume)) if let Some(deployed_at) = changed_at(record) => {
            proven_anew(stage, deployed_at, at)
        }
        (Stage::Soaking { fresh, old, evidence, course }, Event::RetireBegun) => Some(Stage::Retiring {
            fresh: fresh.clone(),
            // A secret that was reset in place took the one before it along.
            retirement: Retirement::new(
                if record.pin.in_place { KeySet::new() } else { old.clone() },
                *evidence,
            ),
            course: course.clone(),
        }),
        (Stage::Retiring { fresh, retirement, course }, event) => {
            retiring(fresh, retirement, course, event, at)
        }
        (stage, event) => turned_back(stage, event),
    }
}

/// Whether a person who confirms says which keys are in use.
pub(super) fn starts_over(record: &Record) -> bool {
    let reason = record.halt.as_ref().map(|halt| &halt.reason);
    matches!(reason, Some(HaltReason::LiveKeyGone { .. } | HaltReason::OldJournal))
}

/// Whether a secret that was reset in place could not be brought into use.
fn has_no_way_back(record: &Record) -> bool {
    record.halt.as_ref().is_some_and(|halt| matches!(halt.reason, HaltReason::NoWayBack { .. }))
}

/// When the consumer was deployed by somebody else, where a person is called for that.
fn changed_at(record: &Record) -> Option<Timestamp> {
    match record.halt.as_ref()?.reason {
        HaltReason::ConsumerChanged { deployed_at } => Some(deployed_at),
        _ => None,
    }
}

/// A person saw that the consumer was changed: the proof is void, and sought again.
fn proven_anew(stage: &Stage, deployed_at: Timestamp, at: Timestamp) -> Option<Stage> {
    match stage {
        Stage::Soaking { fresh, old, course, .. } => Some(deliver_again(fresh, old, course)),
        Stage::Retiring { fresh, retirement, course } if retirement.is_whole() => {
            Some(deliver_again(fresh, &retirement.old, course))
        }
        Stage::Retiring { fresh, retirement, course } => {
            let mut next = retirement.clone();
            // It may have been given an old key that is to go and the fresh one in place of the key that is gone, with which it
            // deploys. So it is given the fresh set again, and is to deploy without the key that is gone once more.
            next.evidence.grade = next.evidence.grade.min(Grade::Acted);
            next.evidence.deployed_at = next.evidence.deployed_at.max(Some(deployed_at));
            next.change = Change::Undo;
            retiring(fresh, &next, course, &Event::Wished(Wish::Resume), at)
        }
        _ => None,
    }
}

/// The proof is void: the set in use is delivered and proven again. Nothing is known of what the consumer was at.
fn deliver_again(fresh: &KeySet, old: &KeySet, course: &Course) -> Stage {
    match course {
        Course::Forward => {
            Stage::Delivering { live: old.clone(), fresh: fresh.clone(), baseline: Baseline::default() }
        }
        Course::Back(why) => Stage::Restoring {
            live: fresh.clone(),
            fresh: old.clone(),
            pending: BTreeMap::new(),
            delivered: true,
            baseline: Baseline::default(),
            watch: None,
            why: why.clone(),
        },
    }
}

fn creating(stage: &Stage, entry: &Entry) -> Option<Stage> {
    let Stage::Creating { live, names, sent, made } = stage else { return None };
    let (mut sent, mut made) = (sent.clone(), made.clone());
    match &entry.event {
        Event::CreateSent { role } => {
            sent.insert(*role, entry.at);
        }
        Event::Made { role, key } => {
            made.insert(*role, key.clone());
        }
        _ => return None,
    }
    let live = live.clone();
    if names.keys().all(|role| made.contains_key(role)) {
        return Some(Stage::Testing { live, fresh: made, tested: BTreeMap::new() });
    }
    Some(Stage::Creating { live, names: names.clone(), sent, made })
}

/// Events of the stages that watch the consumer.
fn watched(stage: &Stage, event: &Event, at: Timestamp) -> Option<Stage> {
    let mut stage = stage.clone();
    let (Stage::Provisioning { watch, .. } | Stage::Restoring { watch: Some(watch), .. }) = &mut stage else {
        return None;
    };
    if watch_event(watch, event, at) {
        return Some(stage);
    }
    let Event::Proven { evidence } = event else { return None };
    match stage {
        Stage::Provisioning { live, fresh, .. } => {
            Some(Stage::Soaking { fresh, old: live, evidence: *evidence, course: Course::Forward })
        }
        Stage::Restoring { live, fresh, why, .. } => {
            Some(Stage::Soaking { fresh: live, old: fresh, evidence: *evidence, course: Course::Back(why) })
        }
        _ => None,
    }
}

pub(super) fn watch_event(watch: &mut Watch, event: &Event, at: Timestamp) -> bool {
    match event {
        Event::Resting => watch.rested_at = Some(at),
        Event::Rested { baseline } => {
            watch.news_after = watch.news_after.max(at);
            watch.baseline = baseline.clone();
            watch.start_over(None);
        }
        Event::Works { .. } => watch.works(at),
        Event::Falters { .. } => watch.start_over(Some(at)),
        // A key that is refused ends the run of successes; what could not be asked does not.
        Event::StepFailed { step, failure, .. } if step == CONFIRM && !failure.class.is_passing() => {
            watch.start_over(watch.faltered_at);
        }
        // It was not at rest after all.
        Event::Moving if watch.rested_at.is_some() => watch.start_over(None),
        Event::Moving => {
            watch.moving = true;
            watch.start_over(None);
        }
        Event::CannotProvision => watch.cannot_post = true,
        Event::HandedOver { .. } => watch.handed_at = Some(at),
        Event::Provisioned { baseline, upstream_at } => {
            watch.posted_at = Some(at);
            watch.news_after = upstream_at.unwrap_or(at);
            watch.baseline = baseline.clone();
            watch.moving = false;
            watch.start_over(None);
        }
        Event::Wished(wish @ (Wish::Resume | Wish::Confirm)) => {
            watch.confirmed |= *wish == Wish::Confirm && watch.handed_at.is_some();
            watch.since = at;
            watch.posted_at = None;
            watch.moving = false;
            watch.start_over(None);
        }
        _ => return false,
    }
    true
}

/// Fresh keys that were never delivered go one by one.
fn cleared(stage: &Stage, event: &Event) -> Option<Stage> {
    if !matches!(stage, Stage::Restoring { delivered: false, .. }) {
        return None;
    }
    let mut stage = stage.clone();
    let Stage::Restoring { live, fresh, pending, .. } = &mut stage else { return None };
    match event {
        Event::Gone { role, name } => {
            if fresh.get(role).is_some_and(|key| key.name == *name) {
                fresh.remove(role);
            }
            if pending.get(role) == Some(name) {
                pending.remove(role);
            }
            Some(stage)
        }
        Event::Completed if fresh.is_empty() && pending.is_empty() => {
            Some(Stage::Settled { live: live.clone() })
        }
        _ => None,
    }
}

fn turned_back(stage: &Stage, event: &Event) -> Option<Stage> {
    let (why, baseline) = match event {
        Event::TurnedBack { why, baseline } => (why.clone(), baseline.clone()),
        Event::SameSecret { role } => {
            (format!("the fresh `{role}` key has the old secret"), Baseline::default())
        }
        _ => return None,
    };
    let (live, fresh, pending, delivered) = match stage {
        Stage::Creating { live, names, sent, made } => {
            let unknown = |role: &Role| sent.contains_key(role) && !made.contains_key(role);
            let pending =
                names.iter().filter(|(role, _)| unknown(role)).map(|(role, name)| (*role, name.clone()));
            (live, made, pending.collect(), false)
        }
        Stage::Testing { live, fresh, .. } => (live, fresh, BTreeMap::new(), false),
        Stage::Delivering { live, fresh, .. } | Stage::Provisioning { live, fresh, .. } => {
            (live, fresh, BTreeMap::new(), true)
        }
        Stage::Soaking { fresh, old, course: Course::Forward, .. } => (old, fresh, BTreeMap::new(), true),
        _ => return None,
    };
    Some(Stage::Restoring {
        live: live.clone(),
        fresh: fresh.clone(),
        pending,
        delivered,
        baseline,
        watch: None,
        why,
    })
}
