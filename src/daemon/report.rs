//! The status of a credential as a document: for `/api/v1/status`, for the control socket, and for the commands.
//!
//! It holds no secret and no client id. `schema` grows when a field changes its meaning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fleet_status::FleetStatus;
use super::gates::GateStatus;
use super::steps::describe;
use super::unmanaged::CisStatus;
use crate::config::problem::lasting;
use crate::domain::names::{CredentialId, Role};
use crate::domain::observation::Seen;
use crate::domain::plan::{Again, NextLook, again, rotation_due};
use crate::domain::proof::required_grade;
use crate::domain::record::Record;
use crate::domain::stage::Stage;
use crate::domain::view::View;
use crate::domain::{Timestamp, after};
use crate::engine::{Engine, Peek};

/// The version of the document.
pub const SCHEMA: u32 = 1;

/// Everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The version of the document.
    pub schema: u32,
    /// The version of the daemon; empty where no daemon answered.
    pub daemon: String,
    /// When it was made.
    pub at: Timestamp,
    /// The fleet as a whole.
    pub fleet: FleetStatus,
    /// Every credential, by name.
    pub credentials: Vec<CredentialStatus>,
    /// The global accounts that are looked at.
    #[serde(default)]
    pub cis: Vec<CisStatus>,
}

/// One key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStatus {
    /// Its name at the issuer.
    pub name: String,
    /// Its id at the issuer.
    pub id: String,
    /// When it was made, where that is known.
    pub created_at: Option<Timestamp>,
    /// When its window ends, where that is known.
    pub ends_at: Option<Timestamp>,
}

/// A halt, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltStatus {
    /// The reason as a short code.
    pub code: String,
    /// The reason in words.
    pub reason: String,
    /// What a person must do.
    pub remedy: String,
    /// Since when.
    pub since: Timestamp,
}

/// One credential.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CredentialStatus {
    /// `tenant/credential`.
    pub credential: CredentialId,
    /// The phase; `unknown` before the keys in use were recognised.
    pub phase: String,
    /// The stage below a halt.
    pub stage: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The rotation under way, or the last one.
    pub rotation: Option<String>,
    /// The generation of the newest keys.
    pub generation: Option<u32>,
    /// The keys in use, by role.
    pub in_use: BTreeMap<Role, KeyStatus>,
    /// The other keys of the credential, by role.
    pub others: BTreeMap<Role, Vec<KeyStatus>>,
    /// When the first window of the keys in use ends.
    pub ends_at: Option<Timestamp>,
    /// When the rotation is due.
    pub due_at: Option<Timestamp>,
    /// The evidence for the newest keys, 0 to 5.
    pub evidence: u8,
    /// The evidence that the next retirement needs.
    pub evidence_required: u8,
    /// When the soak ends, while soaking.
    pub soak_ends_at: Option<Timestamp>,
    /// The consumer's own word.
    pub consumer: Option<String>,
    /// Why nothing, or what, is done now.
    pub reason: Option<String>,
    /// The reason as a short code.
    pub code: Option<String>,
    /// What a person must do.
    pub person: Option<String>,
    /// When it is looked at again.
    pub next_look: Option<Timestamp>,
    /// When it was last seen without anything missing.
    pub checked_at: Option<Timestamp>,
    /// The halt.
    pub halt: Option<HaltStatus>,
    /// The hold that is in force, in the operator's words.
    pub hold: Option<String>,
    /// When it ends by itself.
    #[serde(default)]
    pub hold_until: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// The first cause of them.
    pub cause: Option<String>,
    /// When the last rotation ended, and why it turned back where it did.
    pub last_ended_at: Option<Timestamp>,
    /// Why the rotation under way turned back, or the last one did.
    pub turned_back: Option<String>,
    /// Whether the rotation under way goes back to the old keys.
    #[serde(default)]
    pub goes_back: bool,
    /// Why a person asked for a rotation that has not begun.
    #[serde(default)]
    pub asked: Option<String>,
    /// When a rotation that turned back is tried again by itself, since it is still due; in words.
    #[serde(default)]
    pub tries_again: Option<String>,
    /// When the last rotation succeeded.
    pub last_success_at: Option<Timestamp>,
}

impl Status {
    /// The status of everything that `engine` has in hand.
    pub fn of(engine: &Engine, now: Timestamp) -> Self {
        let fleet = FleetStatus::of(engine, now);
        let is_halted = fleet.halt.is_some();
        let views = engine.views_by_now();
        let credentials = views.iter().map(|view| CredentialStatus::of(view, is_halted, now)).collect();
        Self {
            schema: SCHEMA,
            daemon: env!("CARGO_PKG_VERSION").to_owned(),
            at: now,
            fleet,
            credentials,
            cis: Vec::new(),
        }
    }
}

impl CredentialStatus {
    /// The status of one credential of a fleet that is halted, or is not.
    pub fn of(view: &View, is_fleet_halted: bool, now: Timestamp) -> Self {
        let consumer = view.observation.as_ref().and_then(|seen| match &seen.status {
            Seen::Yes(status) => Some(status.word.clone()),
            Seen::Unknown(failure) => Some(format!("unknown ({})", failure.class.as_str())),
            Seen::NotAsked => None,
        });
        let mut status = Self {
            credential: view.credential.clone(),
            phase: "unknown".to_owned(),
            stage: "unknown".to_owned(),
            since: None,
            rotation: None,
            generation: None,
            in_use: BTreeMap::new(),
            others: BTreeMap::new(),
            ends_at: None,
            due_at: None,
            evidence: 0,
            evidence_required: 0,
            soak_ends_at: None,
            consumer,
            reason: view.reason.as_ref().map(|reason| reason.text.clone()),
            code: view.reason.as_ref().map(|reason| reason.code.to_owned()),
            person: view.reason.as_ref().and_then(|reason| reason.person.clone()),
            next_look: view.next_look.filter(|at| *at < Timestamp::MAX_UTC),
            checked_at: view.checked_at,
            halt: None,
            hold: None,
            hold_until: None,
            failures: 0,
            cause: None,
            last_ended_at: None,
            turned_back: None,
            goes_back: false,
            asked: None,
            tries_again: None,
            last_success_at: None,
        };
        if let Some(record) = &view.record {
            status.fill(view, record, now);
        }
        if is_fleet_halted { status.waiting_for_the_fleet() } else { status }
    }

    fn fill(&mut self, view: &View, record: &Record, now: Timestamp) {
        self.phase = record.phase().to_string();
        self.stage = record.stage.phase().to_string();
        self.since = Some(record.entered_at);
        self.rotation = record.rotation.as_ref().map(|rotation| rotation.id.to_string());
        self.generation = Some(record.generation);
        let in_use = record.stage.in_use();
        for (role, key) in record.stage.keys() {
            let key_status = KeyStatus {
                name: key.name.to_string(),
                id: key.id.to_string(),
                created_at: key.created_at,
                ends_at: view.policy.window.end_of(key).map(|(end, _)| end),
            };
            if in_use.get(&role).is_some_and(|used| used.id == key.id) {
                self.in_use.insert(role, key_status);
            } else {
                self.others.entry(role).or_default().push(key_status);
            }
        }
        self.ends_at = view.policy.window.earliest_end(in_use.values()).ok().flatten();
        self.due_at = rotation_due(&view.policy, in_use).ok().flatten();
        self.evidence = record.grade.into();
        self.evidence_required = required_grade(&view.policy, record).into();
        if let Stage::Soaking { evidence, .. } = &record.stage {
            self.soak_ends_at = Some(after(evidence.reached_at, view.policy.soak));
        }
        self.halt = record.halt.as_ref().map(|halt| HaltStatus {
            code: halt.reason.code().to_owned(),
            reason: halt.reason.to_string(),
            remedy: halt.reason.remedy(&record.credential),
            since: halt.at,
        });
        if let Some(hold) = record.hold.as_ref().filter(|_| record.is_held(now)) {
            self.hold = Some(hold.reason.clone());
            self.hold_until = hold.until;
        }
        self.failures = record.trouble.failures;
        self.cause = record.trouble.first.as_ref().map(|failure| failure.cause.clone());
        self.last_ended_at = record.outcome.as_ref().map(|outcome| outcome.at);
        let last = record.outcome.as_ref().and_then(|outcome| outcome.turned_back.as_ref());
        self.turned_back = record.turned_back.as_ref().or(record.restore.as_ref()).or(last).cloned();
        self.goes_back = record.turned_back.is_some() && !matches!(record.stage, Stage::Settled { .. });
        self.tries_again = again(&view.policy, record, now).map(|again| in_words(again, record));
        self.asked = record.asked.as_ref().map(|asked| asked.reason.clone());
        self.last_success_at = record.succeeded_at;
    }

    /// Nothing is tried again by itself while the fleet is halted.
    fn waiting_for_the_fleet(mut self) -> Self {
        const BEFORE: &str = ", and not before `rekeyd resume --fleet` ends the halt of the fleet";
        let pauses = self.code.as_deref() == Some("pause");
        for text in self.tries_again.iter_mut().chain(self.reason.iter_mut().filter(|_| pauses)) {
            text.push_str(BEFORE);
        }
        self
    }

    /// Whether a person is needed.
    pub fn needs_person(&self) -> bool {
        self.halt.is_some() || self.person.is_some()
    }

    /// Whether no rotation is under way and nothing has stopped.
    pub fn is_settled(&self) -> bool {
        self.phase == "settled"
    }
}

/// What would happen now, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanStatus {
    /// `tenant/credential`.
    pub credential: CredentialId,
    /// The stage.
    pub stage: String,
    /// The next step, in one word.
    pub step: String,
    /// What it would do, in words.
    pub what: String,
    /// Why, as a short code.
    pub code: String,
    /// Why.
    pub reason: String,
    /// What would come once the keys in use are recognised, where they are not yet.
    #[serde(default)]
    pub then: Option<String>,
    /// What a person must do.
    pub person: Option<String>,
    /// When it is looked at again, where the step is to rest.
    pub next_look: Option<Timestamp>,
    /// The gates before a rotation begins, or before the next deletion.
    pub gates: Vec<GateStatus>,
    /// What could not be seen.
    pub unseen: Vec<String>,
}

impl PlanStatus {
    /// What a peek at `credential` saw, for people.
    pub fn of(credential: &CredentialId, peek: &Peek) -> Self {
        let seen = &peek.observation;
        let unseen = [
            ("keys", seen.keys.failure()),
            ("status", seen.status.failure()),
            ("content", seen.content.failure()),
        ];
        Self {
            credential: credential.clone(),
            stage: peek
                .record
                .as_ref()
                .map_or_else(|| "unknown".to_owned(), |record| record.stage.phase().to_string()),
            step: peek.plan.step.name().to_owned(),
            what: describe(&peek.plan.step, peek.record.as_ref()),
            code: peek.plan.reason.code.to_owned(),
            reason: peek.plan.reason.text.clone(),
            then: peek
                .then
                .as_ref()
                .map(|then| format!("{}: {}", describe(&then.step, None), then.reason.text)),
            person: peek.plan.reason.person.clone(),
            next_look: match peek.plan.next_look {
                NextLook::Now => None,
                NextLook::At(at) => Some(at),
                NextLook::Schedule => peek.tick,
            },
            gates: GateStatus::all(&peek.gates, credential, peek.record.as_ref()),
            unseen: unseen
                .into_iter()
                .filter_map(|(what, failure)| failure.map(|failure| format!("{what}: {failure}")))
                .collect(),
        }
    }
}

/// When it is tried again, and what stops that.
fn in_words(again: Again, record: &Record) -> String {
    let when = match again {
        Again::At(at) => at.format("%Y-%m-%d %H:%M UTC").to_string(),
        Again::After(rest) => {
            let rest = lasting(rest);
            format!("{rest} after the old keys are back and the fresh ones gone")
        }
    };
    format!("by itself {when}, since it is still due; `rekeyd hold {}` stops that", record.credential)
}
