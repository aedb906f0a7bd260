//! What the walk tells people: a line in the log for each event, and what was last seen.

use tracing::{debug, error, info, warn};

use crate::domain::event::{Entry, Event};
use crate::domain::fleet::FleetEvent;
use crate::domain::observation::{Observation, Seen};
use crate::domain::record::Record;
use crate::domain::story;

/// What is shown to people keeps the last known answer where the newest look did not ask.
pub(super) fn merge(last: Option<&Observation>, newest: &Observation) -> Observation {
    fn keep<T: Clone>(last: Option<&Seen<T>>, newest: &Seen<T>) -> Seen<T> {
        match (newest, last) {
            (Seen::NotAsked, Some(last)) => last.clone(),
            _ => newest.clone(),
        }
    }
    Observation {
        at: newest.at,
        keys: keep(last.map(|last| &last.keys), &newest.keys),
        status: keep(last.map(|last| &last.status), &newest.status),
        content: keep(last.map(|last| &last.content), &newest.content),
        blind: newest.blind,
    }
}

/// One event, in the log.
pub(super) fn tell(entry: &Entry, record: &Record) {
    let id = &entry.credential;
    let rotation = record.rotation.as_ref().map_or("", |rotation| rotation.id.0.as_str());
    let phase = record.phase().as_str();
    let text = if has_turned_back(entry, record) {
        story::tell_back(&entry.event)
    } else {
        story::tell(&entry.event)
    };
    let name = entry.event.name();
    match &entry.event {
        Event::Halted(reason) => {
            let remedy = reason.remedy(id);
            error!(rotation, phase, event = name, reason = reason.code(), "`{id}` {text}; {remedy}");
        }
        Event::StepFailed { failure, .. } => {
            warn!(rotation, phase, event = name, class = failure.class.as_str(), "`{id}`: {text}");
        }
        Event::HandedOver { .. } => {
            warn!(rotation, phase, event = name, "`{id}`: {text}; then `rekeyd confirm {id}`");
        }
        Event::TurnedBack { .. }
        | Event::ExclusionFailed { .. }
        | Event::Probed { refused: Some(false), .. } => {
            warn!(rotation, phase, event = name, "`{id}`: {text}");
        }
        Event::CreateSent { .. } | Event::ProvisionSent | Event::Renewed { .. } => {
            debug!(rotation, phase, event = name, "`{id}`: {text}");
        }
        _ => info!(rotation, phase, event = name, "`{id}`: {text}"),
    }
}

/// A rotation that is over, as one span from its begin on.
pub(super) fn trace(entry: &Entry, record: &Record) {
    if entry.event != Event::Completed {
        return;
    }
    let Some(rotation) = &record.rotation else { return };
    let id = &entry.credential;
    let end = if has_turned_back(entry, record) { "turned back" } else { "completed" };
    tracing::info_span!(
        "rotation",
        rotation = %rotation.id.0,
        tenant = %id.tenant,
        credential = %id.name,
        trigger = rotation.trigger.as_str(),
        end,
        since = rotation.begun_at.timestamp_millis(),
    );
}

/// Whether the event is one of a rotation that has turned back, or the end of one.
fn has_turned_back(entry: &Entry, record: &Record) -> bool {
    let ended = record.outcome.as_ref().filter(|_| entry.event == Event::Completed);
    record.turned_back.is_some() || ended.is_some_and(|outcome| outcome.turned_back.is_some())
}

/// One event of the fleet, in the log.
pub(super) fn tell_fleet(entry: &Entry) {
    let text = story::tell(&entry.event);
    match &entry.event {
        Event::Fleet(FleetEvent::Halted(reason)) => {
            error!(event = entry.event.name(), reason = reason.code(), "{text}; {}", reason.remedy());
        }
        Event::Fleet(FleetEvent::Admitted { window_overridden: true, .. }) => {
            warn!(event = entry.event.name(), "{text}");
        }
        _ => info!(event = entry.event.name(), "{text}"),
    }
}
