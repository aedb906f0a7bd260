//! Events in words, for the log, the history and the progress of a command.

use std::collections::BTreeSet;

use super::Timestamp;
use super::event::{Entry, Event, Wish};
use super::evidence::Baseline;
use super::fleet::FleetEvent;
use super::names::CredentialId;
use super::observation::{Status, Verdict};

/// One event as a sentence that reads alone.
pub fn tell(event: &Event) -> String {
    match event {
        Event::Adopted { live, .. } => {
            format!("the keys in use are recognised: {}", names(live.values().map(|key| &key.name.0)))
        }
        Event::Wished(wish) => tell_wish(wish),
        Event::ClockSetBack => {
            "the clock was set back: what was waited for is waited for from now on".to_owned()
        }
        Event::Pushed => "somebody pushed: backoff is over".to_owned(),
        Event::Begun { trigger, generation, names: fresh, reason, .. } => format!(
            "rotation to generation {generation} begins ({}; {reason}): {} will be made",
            trigger.as_str(),
            names(fresh.values().map(|name| &name.0))
        ),
        Event::CreateSent { role } => format!("a fresh `{role}` key is asked for"),
        Event::Made { role, key } => format!("the fresh `{role}` key `{}` exists", key.name),
        Event::Tested { role, grade } => {
            format!("the fresh `{role}` key works (evidence {})", u8::from(*grade))
        }
        Event::SameSecret { role } => {
            format!("the fresh `{role}` key has the secret of the old one: it would change nothing")
        }
        Event::Ready { baseline } => tell_ready(baseline).to_owned(),
        Event::Delivered { .. } => "the consumer accepted the credential".to_owned(),
        Event::HandedOver { keys, instruction } => format!(
            "a person is to put {} in place and to confirm that: {instruction}",
            names(keys.iter().map(|name| &name.0))
        ),
        Event::ProvisionSent => "the consumer is asked to provision".to_owned(),
        Event::Provisioned { .. } => "the consumer accepted to provision".to_owned(),
        Event::CannotProvision => "the consumer cannot be asked to provision".to_owned(),
        Event::Resting => "the consumer was seen at rest; it is looked at once more".to_owned(),
        Event::Rested { .. } => {
            "what the consumer was at before is over; only what it does now counts".to_owned()
        }
        Event::Moving => "the consumer is under way".to_owned(),
        Event::Works { basis } => format!("the consumer works with every fresh key: {}", basis.as_str()),
        Event::Falters { detail } => format!("the consumer fails, and the proofs start over: {detail}"),
        Event::Proven { evidence } => format!(
            "the consumer is proven to work (evidence {}): {}",
            u8::from(evidence.grade),
            evidence.basis.as_str()
        ),
        Event::Renewed { .. } => "the evidence is renewed: every key in use works".to_owned(),
        Event::RetireBegun => "the soak is over and every gate is open: the old keys go".to_owned(),
        Event::DeleteSent { role, name, permit } => {
            format!("the deletion of the `{role}` key `{name}` is asked for: {permit}")
        }
        Event::Gone { role, name } => format!("the `{role}` key `{name}` is gone from the issuer"),
        Event::Probed { role, refused: Some(true) } => {
            format!("the deleted `{role}` key is refused, as it must be")
        }
        Event::Probed { role, refused: Some(false) } => {
            format!("the deleted `{role}` key still gets a token")
        }
        Event::Probed { role, refused: None } => {
            format!("the deleted `{role}` key could not be tried: its secret is no longer known")
        }
        Event::Left { role, name } => format!("the old `{role}` key `{name}` stays at the issuer"),
        Event::ExclusionFailed { detail } => format!("the consumer fails without the old key: {detail}"),
        Event::TurnedBack { why, .. } => format!("the rotation turns back: {why}"),
        Event::Completed => "the rotation is over".to_owned(),
        Event::StepFailed { step, failure, retry_at } => {
            format!("`{step}` failed: {failure}; again at {}", stamp(*retry_at))
        }
        Event::Halted(reason) => format!("halted: {reason}"),
        Event::Fleet(event) => tell_fleet(event),
    }
}

/// Tells entry after entry, in the order of the journal: once a rotation has turned back, the old keys are in use and the
/// fresh ones go.
#[derive(Debug, Clone, Default)]
pub struct Teller {
    turned_back: BTreeSet<CredentialId>,
}

impl Teller {
    /// The next entry as a sentence.
    pub fn tell(&mut self, entry: &Entry) -> String {
        if self.goes_back(entry) { tell_back(&entry.event) } else { tell(&entry.event) }
    }

    /// Takes the next entry, and answers whether it is of a rotation that has turned back.
    pub fn goes_back(&mut self, entry: &Entry) -> bool {
        let id = &entry.credential;
        match &entry.event {
            Event::TurnedBack { .. } | Event::SameSecret { .. } => {
                self.turned_back.insert(id.clone());
            }
            Event::Begun { .. } | Event::Adopted { .. } => {
                self.turned_back.remove(id);
            }
            _ => {}
        }
        if entry.event == Event::Completed {
            self.turned_back.remove(id)
        } else {
            self.turned_back.contains(id)
        }
    }
}

/// One event of a rotation that has turned back.
pub fn tell_back(event: &Event) -> String {
    match event {
        Event::Delivered { .. } => "the consumer accepted the old keys again".to_owned(),
        Event::Works { basis } => format!("the consumer works with every old key: {}", basis.as_str()),
        Event::Proven { evidence } => format!(
            "the consumer is proven to work with the old keys (evidence {}): {}",
            u8::from(evidence.grade),
            evidence.basis.as_str()
        ),
        Event::RetireBegun => "the soak is over and every gate is open: the fresh keys go".to_owned(),
        Event::Left { role, name } => format!("the fresh `{role}` key `{name}` stays at the issuer"),
        Event::ExclusionFailed { detail } => format!("the consumer fails without the fresh key: {detail}"),
        Event::Completed => "the rotation is over, and the old keys stay in use".to_owned(),
        event => tell(event),
    }
}

fn tell_fleet(event: &FleetEvent) -> String {
    match event {
        FleetEvent::Admitted { credential, window_overridden: true, .. } => {
            format!("the fleet lets `{credential}` begin, although its maintenance window is closed")
        }
        FleetEvent::Admitted { credential, .. } => format!("the fleet lets `{credential}` begin"),
        FleetEvent::Halted(reason) => format!("the fleet halts, and nothing begins any more: {reason}"),
        FleetEvent::Resumed { reason } => format!("the halt of the fleet is ended: {reason}"),
    }
}

fn tell_ready(baseline: &Baseline) -> &'static str {
    let under_way = |status: &Status| status.verdict == Verdict::InProgress;
    if baseline.status.as_ref().is_some_and(under_way) {
        "the delivery begins while the consumer is under way with something else"
    } else {
        "every fresh key works; the delivery begins"
    }
}

fn tell_wish(wish: &Wish) -> String {
    match wish {
        Wish::Rotate { trigger, reason, pass } => {
            let passes = match (pass.emergency, pass.fuse) {
                (true, true) => ", in an emergency, past the fuse",
                (true, false) => ", in an emergency",
                (false, true) => ", past the fuse",
                (false, false) => "",
            };
            format!("a rotation is asked for ({}{passes}): {reason}", trigger.as_str())
        }
        Wish::Withdraw { reason } => format!("the rotation that was asked for is withdrawn: {reason}"),
        Wish::Restore { reason } => format!("the old keys are asked back: {reason}"),
        Wish::Hold { until, reason } => {
            let until =
                until.map_or_else(|| "until it is lifted".to_owned(), |at| format!("until {}", stamp(at)));
            format!("held {until}: {reason}")
        }
        Wish::Unhold => "the hold is lifted".to_owned(),
        Wish::Resume => "the halt is ended: it is tried again".to_owned(),
        Wish::Confirm => "a person confirms that it was done by hand".to_owned(),
    }
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn stamp(at: Timestamp) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
