//! The status of the fleet as a document: what stops it, who may begin, what is left of the fuse.

use serde::{Deserialize, Serialize};

use super::report::HaltStatus;
use crate::domain::Timestamp;
use crate::domain::fleet::{Fleet, Progress};
use crate::domain::names::CredentialId;
use crate::domain::plan::rotation_due;
use crate::engine::{Emergency, Engine, Unfinished};

/// The whole fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetStatus {
    /// How many credentials there are.
    pub credentials: usize,
    /// Why nothing begins.
    pub halt: Option<HaltStatus>,
    /// Who may begin: `canary`, `first_share`, `second_share` or `everybody`.
    pub share: String,
    /// The same in words.
    pub share_text: String,
    /// How many of them may be open at once; no limit if missing.
    pub share_limit: Option<usize>,
    /// Rotations that are not proven and soaked yet.
    pub open: usize,
    /// Rotations of this release that went well lately.
    pub succeeded: usize,
    /// Rotations that began in 24 hours.
    pub fuse_used: usize,
    /// How many of them the fuse allows.
    pub fuse_limit: usize,
    /// When the fuse lets the next one begin, where it lets none.
    pub fuse_opens_at: Option<Timestamp>,
    /// Rotations that are not proven yet.
    pub under_way: usize,
    /// How many of them may be under way at once.
    pub at_once: usize,
    /// Who is due, or was asked for, and waits for the fleet, the most urgent first.
    pub waiting: Vec<CredentialId>,
    /// The emergency that is under way.
    pub emergency: Option<EmergencyStatus>,
    /// How many of them are due; the others were only asked for.
    #[serde(default)]
    pub waiting_due: usize,
    /// Who is due still and rests, since the last rotation turned back.
    #[serde(default)]
    pub resting: Vec<CredentialId>,
    /// Rotations that failed and count towards a halt, the last one first.
    #[serde(default)]
    pub failed: Vec<FailedStatus>,
    /// Who did not answer the last call, by host.
    #[serde(default)]
    pub silent: Vec<SilentStatus>,
    /// Rotations that are not proven and soaked yet, those first that only a person lets go on.
    #[serde(default)]
    pub unfinished: Vec<UnfinishedStatus>,
}

/// A host that does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilentStatus {
    /// The host.
    pub host: String,
    /// The first call since its last answer.
    pub since: Timestamp,
    /// The last call.
    pub last_at: Timestamp,
    /// What came of the last call.
    pub cause: String,
}

/// A rotation that others wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedStatus {
    /// Whose.
    pub credential: CredentialId,
    /// How it stands, and until when, in words.
    pub stands: String,
    /// What lets it go on, where only a person does.
    pub remedy: Option<String>,
}

impl From<Unfinished> for UnfinishedStatus {
    fn from(unfinished: Unfinished) -> Self {
        let Unfinished { credential, stands, remedy } = unfinished;
        Self { credential, stands, remedy }
    }
}

/// A rotation that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedStatus {
    /// Whose.
    pub credential: CredentialId,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub cause: String,
}

impl FailedStatus {
    fn all(fleet: &Fleet) -> Vec<Self> {
        let counts = fleet.attempts.iter().filter(|(_, attempt)| !attempt.is_forgiven);
        let failed = counts.filter_map(|(credential, attempt)| match &attempt.progress {
            Progress::Failed { at, cause, .. } => {
                Some(Self { credential: credential.clone(), at: *at, cause: cause.clone() })
            }
            _ => None,
        });
        let mut failed: Vec<Self> = failed.collect();
        failed.sort_by_key(|failed| std::cmp::Reverse(failed.at));
        failed
    }
}

/// An emergency: exposed keys are being replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyStatus {
    /// Rotations that are still to be proven.
    pub remaining: usize,
    /// When the last of them will be, as far as can be said.
    pub ends_at: Timestamp,
}

impl From<Emergency> for EmergencyStatus {
    fn from(emergency: Emergency) -> Self {
        Self { remaining: emergency.remaining, ends_at: emergency.ends_at }
    }
}

impl FleetStatus {
    /// The status of the fleet that `engine` has in hand.
    pub fn of(engine: &Engine, now: Timestamp) -> Self {
        let view = engine.fleet();
        let overview = view.overview(now);
        let halt = overview.halt.map(|(reason, since)| HaltStatus {
            code: reason.code().to_owned(),
            reason: reason.to_string(),
            remedy: reason.remedy(),
            since,
        });
        Self {
            credentials: overview.size,
            halt,
            share: overview.share.as_str().to_owned(),
            share_text: overview.share.to_string(),
            share_limit: overview.share_limit,
            open: overview.open,
            succeeded: overview.successes,
            fuse_used: overview.fuse_used,
            fuse_limit: overview.fuse_limit,
            fuse_opens_at: overview.fuse_opens_at,
            under_way: overview.under_way,
            at_once: overview.at_once,
            waiting_due: view.waiting.iter().filter(|id| is_due(engine, id, now)).count(),
            unfinished: engine.unfinished(&view.fleet, false, now).into_iter().map(Into::into).collect(),
            waiting: view.waiting,
            resting: engine.resting(),
            emergency: engine.emergency().map(EmergencyStatus::from),
            failed: FailedStatus::all(&view.fleet),
            silent: Vec::new(),
        }
    }
}

/// Whether the rotation is due by its age, whoever asked for it besides.
fn is_due(engine: &Engine, id: &CredentialId, now: Timestamp) -> bool {
    let Some(view) = engine.view(id) else { return false };
    let due = view.record.and_then(|record| rotation_due(&view.policy, record.stage.in_use()).ok().flatten());
    due.is_some_and(|at| at <= now)
}
