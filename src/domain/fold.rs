//! How an event moves a record. The journal is the truth, and this is the only way to read it.
//!
//! ```text
//! settled ─► creating ─► testing ─► delivering ─► provisioning ─► soaking ─► retiring ─► settled
//!                │          │            │               │            │
//!                └──────────┴────────────┴─ restoring ◄──┴────────────┘
//! ```

use std::collections::BTreeMap;

use super::Timestamp;
use super::event::{Entry, Event, Wish};
use super::evidence::{Baseline, Evidence, Grade, Watch};
use super::halt::HaltReason;
use super::key::KeySet;
use super::names::{CredentialId, KeyName, Role};
use super::record::{Asked, Halt, Hold, Outcome, Record, Rotation, Trouble};
use super::stage::{Course, Leaving, Retirement, Stage};

/// A stored event that does not fit what came before it: the journal was damaged or mixed up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("journal entry {sequence} of `{credential}` does not fit: `{event}` while `{stage}`")]
pub struct Misfit {
    /// The entry.
    pub sequence: u64,
    /// Whose.
    pub credential: CredentialId,
    /// The event.
    pub event: &'static str,
    /// The stage it met.
    pub stage: &'static str,
}

/// Names that are kept to be cleared away should they turn up late; older ones are forgotten.
const ABANDONED_LIMIT: usize = 16;

/// The record after `entry`.
pub fn apply(record: Option<Record>, entry: &Entry) -> Result<Record, Misfit> {
    let misfit = |stage| Misfit {
        sequence: entry.sequence,
        credential: entry.credential.clone(),
        event: entry.event.name(),
        stage,
    };
    let Some(mut record) = record else {
        return adopted(entry).ok_or_else(|| misfit("nothing"));
    };
    let phase = record.stage.phase();
    if let Some(stage) = next_stage(&record, entry) {
        record.stage = stage;
    } else if !stands_beside(&record.stage, &entry.event) {
        return Err(misfit(phase.as_str()));
    }
    mark(&mut record, entry);
    if record.stage.phase() != phase {
        record.entered_at = entry.at;
        record.trouble = Trouble::default();
    }
    record.sequence = entry.sequence;
    Ok(record)
}

/// Folds a whole journal, credential by credential.
pub fn fold<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
) -> Result<BTreeMap<CredentialId, Record>, Misfit> {
    let mut records: BTreeMap<CredentialId, Record> = BTreeMap::new();
    for entry in entries {
        let before = records.remove(&entry.credential);
        records.insert(entry.credential.clone(), apply(before, entry)?);
    }
    Ok(records)
}

fn adopted(entry: &Entry) -> Option<Record> {
    let Event::Adopted { live, generation, pin } = &entry.event else { return None };
    Some(Record {
        credential: entry.credential.clone(),
        stage: Stage::Settled { live: live.clone() },
        entered_at: entry.at,
        generation: *generation,
        pin: pin.clone(),
        rotation: None,
        trouble: Trouble::default(),
        cycles: 0,
        halt: None,
        hold: None,
        asked: None,
        restore: None,
        turned_back: None,
        same_secret: None,
        readopt: false,
        abandoned: BTreeMap::new(),
        delete_sent: None,
        left: BTreeMap::new(),
        outcome: None,
        succeeded_at: None,
        grade: Grade::Nothing,
        pushed: false,
        sequence: entry.sequence,
    })
}

/// The stage that `entry` leads to; `None` where it leaves the stage to itself.
fn next_stage(record: &Record, entry: &Entry) -> Option<Stage> {
    let at = entry.at;
    match (&record.stage, &entry.event) {
        (Stage::Settled { .. }, Event::Adopted { live, .. }) if record.readopt => {
            Some(Stage::Settled { live: live.clone() })
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
        (Stage::Testing { live, fresh, .. }, Event::Ready { baseline }) => {
            Some(Stage::Delivering { live: live.clone(), fresh: fresh.clone(), baseline: baseline.clone() })
        }
        (Stage::Delivering { live, fresh, baseline }, Event::Delivered { upstream_at }) => {
            Some(Stage::Provisioning {
                live: live.clone(),
                fresh: fresh.clone(),
                watch: Watch::new(at, upstream_at.unwrap_or(at), baseline.clone()),
            })
        }
        // The person entered the keys at some moment after the baseline was taken.
        (Stage::Delivering { live, fresh, baseline }, Event::Wished(Wish::Confirm)) if by_hand(record) => {
            Some(Stage::Provisioning {
                live: live.clone(),
                fresh: fresh.clone(),
                watch: Watch::new(at, record.entered_at, baseline.clone()),
            })
        }
        (Stage::Restoring { watch: None, baseline, .. }, Event::Wished(Wish::Confirm)) if by_hand(record) => {
            let mut stage = record.stage.clone();
            if let Stage::Restoring { watch, .. } = &mut stage {
                *watch = Some(Watch::new(at, record.entered_at, baseline.clone()));
            }
            Some(stage)
        }
        (Stage::Provisioning { .. } | Stage::Restoring { .. }, event) => watched(&record.stage, event, at)
            .or_else(|| cleared(&record.stage, event))
            .or_else(|| turned_back(&record.stage, event)),
        (Stage::Soaking { fresh, old, evidence, course }, Event::Renewed { .. }) => Some(Stage::Soaking {
            fresh: fresh.clone(),
            old: old.clone(),
            evidence: Evidence { renewed_at: at, ..*evidence },
            course: course.clone(),
        }),
        (Stage::Soaking { fresh, old, evidence, course }, Event::RetireBegun) => Some(Stage::Retiring {
            fresh: fresh.clone(),
            retirement: Retirement::new(old.clone(), *evidence),
            course: course.clone(),
        }),
        (Stage::Retiring { fresh, retirement, course }, event) => {
            retiring(fresh, retirement, course, event, at)
        }
        (stage, event) => turned_back(stage, event),
    }
}

/// Whether a person was asked to enter the keys at the consumer.
fn by_hand(record: &Record) -> bool {
    record.halt.as_ref().is_some_and(|halt| matches!(halt.reason, HaltReason::ManualDelivery { .. }))
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
    if let (Stage::Restoring { watch, baseline, .. }, Event::Delivered { upstream_at }) = (&mut stage, event)
    {
        *watch = Some(Watch::new(at, upstream_at.unwrap_or(at), baseline.clone()));
        return Some(stage);
    }
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

fn watch_event(watch: &mut Watch, event: &Event, at: Timestamp) -> bool {
    match event {
        Event::Moving => watch.moving = true,
        Event::CannotProvision => watch.cannot_post = true,
        Event::Provisioned { baseline, upstream_at } => {
            watch.posted_at = Some(at);
            watch.news_after = upstream_at.unwrap_or(at);
            watch.baseline = baseline.clone();
            watch.moving = false;
        }
        Event::Wished(Wish::Resume | Wish::Confirm) => {
            watch.since = at;
            watch.posted_at = None;
            watch.moving = false;
        }
        _ => return false,
    }
    true
}

/// Fresh keys that were never delivered go one by one.
fn cleared(stage: &Stage, event: &Event) -> Option<Stage> {
    let mut stage = stage.clone();
    let Stage::Restoring { live, fresh, pending, delivered: false, .. } = &mut stage else { return None };
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

fn retiring(
    fresh: &KeySet,
    retirement: &Retirement,
    course: &Course,
    event: &Event,
    at: Timestamp,
) -> Option<Stage> {
    let mut next = retirement.clone();
    match event {
        Event::Completed if next.old.is_empty() => return Some(Stage::Settled { live: fresh.clone() }),
        Event::DeleteSent { role, .. } => {
            next.leaving =
                Some(Leaving { role: *role, asked_at: Some(at), gone_at: None, still_works_at: None });
        }
        Event::Gone { role, .. } => {
            let asked_at = next.leaving.as_ref().and_then(|leaving| leaving.asked_at);
            next.leaving = Some(Leaving { role: *role, asked_at, gone_at: Some(at), still_works_at: None });
            next.last_gone_at = Some(at);
        }
        Event::Probed { role, refused: Some(false) } => {
            let leaving = next.leaving.as_mut().filter(|leaving| leaving.role == *role)?;
            leaving.still_works_at = Some(at);
        }
        Event::Probed { role, .. } => {
            next.leaving.as_ref().filter(|leaving| leaving.role == *role && leaving.gone_at.is_some())?;
            next.leaving = None;
            next.old.remove(role);
        }
        Event::Left { role, name } => {
            next.old.remove(role);
            next.left.insert(name.clone());
        }
        Event::Renewed { .. } => next.evidence.renewed_at = at,
        Event::Proven { evidence } => {
            next.evidence = *evidence;
            next.watch = None;
        }
        Event::CannotProvision => next.cannot_redeploy = true,
        Event::Moving => next.watch.as_mut()?.moving = true,
        Event::Provisioned { baseline, upstream_at } => {
            let mut watch = Watch::new(at, upstream_at.unwrap_or(at), baseline.clone());
            watch.posted_at = Some(at);
            next.watch = Some(watch);
        }
        Event::ExclusionFailed { detail } => {
            next.exclusion_failed = Some(detail.clone());
            next.watch = None;
        }
        Event::Delivered { .. } if next.exclusion_failed.is_some() => next.redelivered = true,
        Event::Wished(Wish::Resume | Wish::Confirm) => {
            next.exclusion_failed = None;
            next.redelivered = false;
            next.watch = None;
            if let Some(leaving) = next.leaving.as_mut() {
                leaving.still_works_at = None;
            }
        }
        _ => return None,
    }
    Some(Stage::Retiring { fresh: fresh.clone(), retirement: next, course: course.clone() })
}

/// Whether an event that does not move the stage may stand beside it.
fn stands_beside(stage: &Stage, event: &Event) -> bool {
    match event {
        Event::Wished(_) | Event::Pushed | Event::StepFailed { .. } | Event::Halted(_) => true,
        Event::DeleteSent { .. } => matches!(stage, Stage::Settled { .. } | Stage::Restoring { .. }),
        Event::Gone { .. } => matches!(stage, Stage::Settled { .. }),
        _ => false,
    }
}

/// The marks beside the stage.
fn mark(record: &mut Record, entry: &Entry) {
    let at = entry.at;
    match &entry.event {
        Event::Wished(wish) => wished(record, wish, at),
        Event::Pushed => {
            record.trouble.retry_at = None;
            record.pushed = true;
        }
        Event::StepFailed { step, failure, retry_at } => {
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
        Event::CreateSent { .. } | Event::Moving => {}
        event => {
            record.trouble = Trouble::default();
            progress(record, event, at);
        }
    }
}

fn progress(record: &mut Record, event: &Event, at: Timestamp) {
    match event {
        Event::Adopted { generation, pin, .. } => {
            record.readopt = false;
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
        }
        Event::Tested { .. } => {
            if let Stage::Testing { fresh, tested, .. } = &record.stage {
                let complete = fresh.keys().all(|role| tested.contains_key(role));
                let weakest = tested.values().min().copied().unwrap_or(Grade::Nothing);
                record.grade = if complete { weakest } else { Grade::Nothing };
            }
        }
        Event::Delivered { .. } => record.grade = record.grade.max(Grade::Accepted),
        Event::Proven { evidence } => {
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
        Event::Gone { name, .. } => {
            // A pending name stays watched for: its create may still take effect.
            if matches!(record.stage, Stage::Settled { .. }) {
                record.abandoned.remove(name);
            }
        }
        Event::Left { role, name } => remember(&mut record.left, name, *role),
        Event::Completed => completed(record, at),
        _ => {}
    }
}

fn remember(names: &mut BTreeMap<KeyName, Role>, name: &KeyName, role: Role) {
    names.insert(name.clone(), role);
    while names.len() > ABANDONED_LIMIT {
        names.pop_first();
    }
}

fn wished(record: &mut Record, wish: &Wish, at: Timestamp) {
    match wish {
        Wish::Rotate { trigger, reason } => {
            if matches!(record.stage, Stage::Settled { .. }) {
                record.asked = Some(Asked { trigger: *trigger, reason: reason.clone() });
            }
        }
        Wish::Restore { reason } => {
            record.restore = Some(reason.clone());
            record.halt = None;
            record.trouble = Trouble::default();
        }
        Wish::Hold { until, reason } => record.hold = Some(Hold { until: *until, reason: reason.clone() }),
        Wish::Unhold => record.hold = None,
        Wish::Resume | Wish::Confirm => {
            record.readopt = *wish == Wish::Confirm && matches!(record.stage, Stage::Settled { .. });
            record.halt = None;
            record.same_secret = None;
            record.trouble = Trouble::default();
            record.cycles = 0;
            record.pushed = true;
            record.entered_at = at;
        }
    }
}

fn completed(record: &mut Record, at: Timestamp) {
    let rotation = record.rotation.as_ref();
    let seconds_to_proof = rotation.and_then(|rotation| {
        let proven = rotation.proven_at?;
        Some(super::between(rotation.begun_at, proven).as_secs())
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
