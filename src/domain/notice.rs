//! What people elsewhere are told: the few events of the journal that call for eyes, each as a message that reads alone.
//!
//! A notice is told once. What it is told of has a name ([`Notice::id`]) that stays the same however often it is sent.

use std::time::Duration;

use serde::Serialize;

use super::coverage::{Cover, Coverage, Tree};
use super::event::{Entry, Event};
use super::fleet::FleetEvent;
use super::names::CredentialId;
use super::plan::rotation_due;
use super::story;
use super::view::View;
use super::{Timestamp, before};

/// A rotation is announced this long before it is due.
pub const DUE_SOON: Duration = Duration::from_hours(7 * 24);

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// All is well; for the record.
    Notice,
    /// Somebody should look, some day soon.
    Warning,
    /// Something failed, and the old keys are in use.
    Error,
    /// Nothing goes on without a person.
    Critical,
}

impl Severity {
    /// Every severity, as it is written.
    pub const WORDS: &[&str] = &["notice", "warning", "error", "critical"];

    /// The severity of this name.
    pub fn of(word: &str) -> Option<Self> {
        let all = [Self::Notice, Self::Warning, Self::Error, Self::Critical];
        Self::WORDS.iter().position(|known| *known == word).map(|index| all[index])
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// What it is about, for who must not tell it twice.
    pub id: String,
    /// What happened, as a stable word.
    pub kind: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// When.
    pub at: Timestamp,
    /// Whose; `None` where it is of the whole fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    /// What happened, in a sentence that reads alone.
    pub text: String,
    /// What a person types next, where there is something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// Turns entries into notices, in the order of the journal.
#[derive(Debug, Clone, Default)]
pub struct Teller {
    /// Who is on the way back: the end of that is not a rotation that went well.
    story: story::Teller,
}

impl Teller {
    /// What is told of an entry, if anything. Every entry must pass, in order.
    pub fn of(&mut self, entry: &Entry) -> Option<Notice> {
        let (id, is_back) = (&entry.credential, self.story.goes_back(entry));
        let (kind, severity, command) = match &entry.event {
            Event::TurnedBack { .. } | Event::SameSecret { .. } => {
                ("failed", Severity::Error, Some(format!("rekeyd history {id}")))
            }
            Event::Completed if is_back => ("restored", Severity::Warning, None),
            Event::Completed => ("rotated", Severity::Notice, None),
            Event::HandedOver { .. } => {
                ("hand-over", Severity::Warning, Some(format!("rekeyd confirm {id}")))
            }
            Event::ExclusionFailed { .. } => {
                ("failed", Severity::Error, Some(format!("rekeyd explain {id}")))
            }
            Event::Left { .. } => ("key-left", Severity::Warning, Some(format!("rekeyd status {id}"))),
            Event::Halted(_) => ("halted", Severity::Critical, Some(format!("rekeyd explain {id}"))),
            Event::Fleet(FleetEvent::Halted(_)) => {
                ("fleet-halted", Severity::Critical, Some("rekeyd status".to_owned()))
            }
            Event::Fleet(FleetEvent::Resumed { .. }) => ("fleet-resumed", Severity::Notice, None),
            _ => return None,
        };
        let credential = Some(id.clone()).filter(|id| !id.is_fleet());
        let told = match kind {
            "restored" => "the old keys are in use again, and the fresh ones are gone".to_owned(),
            "rotated" => {
                "rotated: the fresh keys are proven and in use, and the old ones are gone".to_owned()
            }
            _ if is_back => story::tell_back(&entry.event),
            _ => story::tell(&entry.event),
        };
        let text = credential.as_ref().map_or_else(|| told.clone(), |id| format!("`{id}`: {told}"));
        let id = format!("entry-{}", entry.sequence);
        Some(Notice { id, kind, severity, at: entry.at, credential, text, command })
    }
}

/// What is told of how a credential stands at `now`: what no event says, because nothing has happened.
pub fn standing(view: &View, now: Timestamp) -> Vec<Notice> {
    let Some(record) = &view.record else { return Vec::new() };
    let id = &view.credential;
    let mut found = Vec::new();
    let mut tell = |name: String, kind, severity, text: String, command: String| {
        let (id, text) = (format!("{kind}/{id}/{name}"), format!("`{id}`: {text}"));
        let (credential, command) = (Some(view.credential.clone()), Some(command));
        found.push(Notice { id, kind, severity, at: now, credential, text, command });
    };
    let settled = record.stage.phase() == super::stage::Phase::Settled;
    if let Ok(Some(due)) = rotation_due(&view.policy, record.stage.in_use())
        && settled
        && now >= before(due, DUE_SOON)
    {
        let text = format!("a rotation is due at {}", due.format("%Y-%m-%d %H:%M UTC"));
        let name = format!("g{}/{}", record.generation, due.format("%Y-%m-%d"));
        tell(name, "due-soon", Severity::Notice, text, format!("rekeyd plan {id}"));
    }
    let sightings = view.observation.as_ref().and_then(|seen| seen.keys.known());
    for (role, seen) in sightings.into_iter().flatten() {
        for seen in seen {
            let key = &seen.key;
            let managed = key.name.parse_ours().is_some()
                || record.stage.keys().iter().any(|(_, known)| known.id == key.id);
            let Some((end, _)) = view.policy.window.end_of(key).filter(|_| !managed) else { continue };
            if now >= before(end, view.policy.lead) {
                let text = format!(
                    "nobody manages the `{role}` key `{}`, whose window ends at {}",
                    key.name,
                    end.format("%Y-%m-%d")
                );
                tell(key.id.to_string(), "unmanaged", Severity::Warning, text, format!("rekeyd status {id}"));
            }
        }
    }
    found
}

/// What is told of the subaccounts in a global account that nobody covers. `source` is the name of what showed it.
pub fn uncovered(source: &str, tree: &Tree, coverage: &Coverage, now: Timestamp) -> Vec<Notice> {
    let open = tree.subaccounts.iter().filter(|of| coverage.get(&of.guid) == Some(&Cover::Uncovered));
    let tell = |of: &super::coverage::Subaccount| Notice {
        id: format!("uncovered/{source}/{}", of.guid),
        kind: "uncovered",
        severity: Severity::Warning,
        at: now,
        credential: None,
        text: format!(
            "nobody manages the credentials of the subaccount `{}` ({}, {}), which `{source}` shows",
            of.name, of.region, of.guid
        ),
        command: Some("rekeyd discover".to_owned()),
    };
    open.map(tell).collect()
}

/// What is told of a key of rekeyd's own, with which it looks at a global account, once it is due to be replaced by hand.
pub fn own_key_due(source: &str, due: Timestamp, now: Timestamp) -> Option<Notice> {
    (now >= due).then(|| Notice {
        id: format!("own-key/{source}/{}", due.format("%Y-%m-%d")),
        kind: "own-key-due",
        severity: Severity::Warning,
        at: now,
        credential: None,
        text: format!(
            "the service key with which rekeyd looks at `{source}` is due since {}, and is replaced by hand",
            due.format("%Y-%m-%d")
        ),
        command: Some("rekeyd status".to_owned()),
    })
}
