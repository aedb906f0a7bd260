//! How one credential goes on by itself: what stops it, and how long a rotation of its takes.

use std::time::Duration;

use super::{Member, Stopped};
use crate::domain::key::{Key, KeySet};
use crate::domain::names::{KeyId, KeyName};
use crate::domain::plan::{again, rotation_due, window_end};
use crate::domain::policy::{Policy, Provision};
use crate::domain::record::Record;
use crate::domain::stage::{Course, Stage};
use crate::domain::{Timestamp, after};

/// The keys a credential has on the clock of the forecast.
pub(super) struct Keys {
    pub(super) generation: u32,
    pub(super) ends_at: Option<Timestamp>,
    pub(super) due_at: Option<Timestamp>,
}

/// When the parts of a rotation that begins at some instant are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) begun: Timestamp,
    pub(super) proven: Timestamp,
    pub(super) soaked: Timestamp,
    pub(super) over: Timestamp,
}

impl Times {
    /// A rotation that begins at `begun`; the proof takes as long as that of the last one.
    pub(super) fn of(member: &Member<'_>, begun: Timestamp) -> Self {
        let policy = member.policy;
        let last = member.record.and_then(|record| record.outcome.as_ref()?.seconds_to_proof);
        let to_proof = last.map_or(policy.settle + policy.proof_span, Duration::from_secs);
        let proven = after(begun, to_proof);
        let soaked = after(proven, policy.soak);
        Self { begun, proven, soaked, over: after(soaked, retirement(policy)) }
    }

    /// The rotation that is under way; `None` where none is, or none that goes forward.
    pub(super) fn under_way(member: &Member<'_>, now: Timestamp) -> Option<Self> {
        let record = member.record?;
        let policy = member.policy;
        let begun = record.rotation.as_ref().map_or(record.entered_at, |rotation| rotation.begun_at);
        let usual = Self::of(member, begun);
        let proven = usual.proven.max(now);
        let held = held_until(record, now);
        let (proven, soaked) = match &record.stage {
            Stage::Settled { .. } | Stage::Restoring { .. } => return None,
            Stage::Creating { .. }
            | Stage::Testing { .. }
            | Stage::Delivering { .. }
            | Stage::Provisioning { .. } => (proven, after(proven, policy.soak)),
            Stage::Soaking { evidence, .. } => {
                (evidence.reached_at, after(evidence.reached_at, policy.soak).max(now))
            }
            Stage::Retiring { retirement: gone, .. } => {
                // What of the old keys is left goes after a hold.
                let (proven, soaked) = (gone.evidence.reached_at, record.entered_at);
                let over = after(held.unwrap_or(soaked), retirement(policy)).max(now);
                return Some(Self { begun, proven, soaked, over });
            }
        };
        // No old key goes while somebody holds it.
        let soaked = held.map_or(soaked, |until| soaked.max(until));
        Some(Self { begun, proven, soaked, over: after(soaked, retirement(policy)) })
    }
}

/// When the hold that is in force ends by itself.
pub(super) fn held_until(record: &Record, now: Timestamp) -> Option<Timestamp> {
    record.hold.as_ref().filter(|_| record.is_held(now))?.until
}

/// How long the old keys take to go: tokens of the first one die and the consumer is deployed without it, or where that
/// cannot be, a second soak.
fn retirement(policy: &Policy) -> Duration {
    match policy.provision {
        Provision::Never => policy.soak,
        Provision::WhenNeeded | Provision::Always => policy.token_wait() + policy.settle + policy.proof_span,
    }
}

/// Fresh keys of `generation` that are made at `at`.
pub(super) fn made_at(policy: &Policy, generation: u32, at: Timestamp) -> Keys {
    let key = |role| Key {
        id: KeyId(format!("{role}#{generation}")),
        name: KeyName(format!("{role}#{generation}")),
        created_at: Some(at),
        expires_at: None,
    };
    let keys: KeySet = policy.roles.iter().map(|role| (*role, key(*role))).collect();
    of_set(policy, generation, &keys)
}

fn of_set(policy: &Policy, generation: u32, keys: &KeySet) -> Keys {
    Keys {
        generation,
        ends_at: window_end(policy, keys).ok().flatten(),
        due_at: rotation_due(policy, keys).ok().flatten(),
    }
}

/// The keys in use now, or those that will be once the rotation under way is over.
pub(super) fn keys_of(policy: &Policy, record: &Record) -> Keys {
    let (generation, stage) = (record.generation, &record.stage);
    if matches!(stage, Stage::Settled { .. } | Stage::Soaking { .. } | Stage::Retiring { .. }) {
        return of_set(policy, generation, stage.in_use());
    }
    let begun = record.rotation.as_ref().map_or(record.entered_at, |rotation| rotation.begun_at);
    made_at(policy, generation, begun)
}

/// When the window of what is in use now ends, as far as it is known.
pub(super) fn old_end(policy: &Policy, record: &Record) -> Option<Timestamp> {
    let old = match &record.stage {
        Stage::Soaking { old, .. } => old,
        Stage::Retiring { retirement, .. } => &retirement.old,
        stage => stage.in_use(),
    };
    window_end(policy, old).ok().flatten()
}

/// Why a credential does not go on by itself.
pub(super) fn stopped(member: &Member<'_>, now: Timestamp) -> Option<Stopped> {
    let id = &member.policy.credential;
    let Some(record) = member.record else {
        return Some(Stopped {
            credential: id.clone(),
            why: "the keys in use are not recognised yet".to_owned(),
            remedy: format!("`rekeyd explain {id}` says what is missing"),
            ends_at: None,
        });
    };
    let (why, remedy) = reason(member.policy, record, now)?;
    let ends_at = window_end(member.policy, record.stage.in_use()).ok().flatten();
    Some(Stopped { credential: id.clone(), why, remedy, ends_at })
}

fn reason(policy: &Policy, record: &Record, now: Timestamp) -> Option<(String, String)> {
    let id = &policy.credential;
    if let Some(halt) = &record.halt {
        return Some((format!("halted: {}", halt.reason), halt.reason.remedy(id)));
    }
    if let Some(hold) = record.hold.as_ref().filter(|hold| hold.until.is_none() && record.is_held(now)) {
        return Some((format!("held: {}", hold.reason), format!("`rekeyd unhold {id}` lifts the hold")));
    }
    let goes_back = matches!(record.stage, Stage::Restoring { .. })
        || matches!(record.stage, Stage::Soaking { course: Course::Back(_), .. })
        || record.turned_back.is_some();
    if goes_back {
        let tried = if again(policy, record, now).is_some() {
            "; still due, the rotation is tried again by itself after a rest"
        } else {
            ""
        };
        let text = format!("the old keys are being put back: what comes then is not foretold{tried}");
        return Some((text, format!("`rekeyd explain {id}` shows how far it is")));
    }
    let is_settled = matches!(record.stage, Stage::Settled { .. });
    match rotation_due(policy, record.stage.in_use()) {
        Err(why) if is_settled && record.asked.is_none() => {
            Some((why, format!("`rekeyd rotate {id}` makes keys whose age is known")))
        }
        _ => None,
    }
}
