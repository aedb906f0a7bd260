//! What stands before a rotation of one credential begins, for people: the same conditions that [`super::settled`]
//! plans by. The fleet has gates of its own beside them.

use std::time::Duration;

use super::settled::{full_instance, in_place_gate, keys_of, pause, rotation_due};
use crate::domain::Timestamp;
use crate::domain::key::Sightings;
use crate::domain::observation::{Seen, Status};
use crate::domain::policy::Policy;
use crate::domain::proof::Gate;
use crate::domain::record::Record;
use crate::domain::stage::{Course, Stage};

fn gate(name: &'static str, open: bool, why: impl Into<String>, opens_at: Option<Timestamp>) -> Gate {
    Gate { name, open, why: why.into(), opens_at: opens_at.filter(|_| !open) }
}

fn stamp(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// The gates of a settled credential; `sightings` are the keys at the issuer, where they could be seen, and `status` is
/// what the consumer said.
pub fn begin_gates(
    policy: &Policy,
    record: &Record,
    sightings: Option<&Sightings>,
    status: &Seen<Status>,
    now: Timestamp,
) -> Vec<Gate> {
    let halt = record.halt.as_ref();
    let halt_text = halt.map_or_else(|| "it is not halted".to_owned(), |halt| halt.reason.to_string());
    let issuer = match (sightings, halt) {
        (Some(_), _) => "it answers",
        (None, Some(_)) => "it is not looked at while this is halted",
        (None, None) => "its keys could not be seen",
    };
    let mut gates = vec![
        gate("halt", halt.is_none(), halt_text, None),
        gate("issuer", sightings.is_some(), issuer, None),
        due(policy, record, now),
        hold(record, now),
        turned_back(policy, record, now),
    ];
    gates.extend(sightings.map(|sightings| room(policy, record, sightings)));
    gates.extend(in_place_gate(policy, record, status));
    gates
}

fn due(policy: &Policy, record: &Record, now: Timestamp) -> Gate {
    if let Some(asked) = &record.asked {
        return gate("due", true, format!("asked for: {}", asked.reason), None);
    }
    match rotation_due(policy, record.stage.in_use()) {
        Err(why) => gate("due", false, why, None),
        Ok(None) => gate("due", false, "no key is in use", None),
        Ok(Some(at)) if at <= now => gate("due", true, format!("due since {}", stamp(at)), None),
        Ok(Some(at)) => gate("due", false, format!("due {}", stamp(at)), Some(at)),
    }
}

fn hold(record: &Record, now: Timestamp) -> Gate {
    match record.hold.as_ref().filter(|_| record.is_held(now)) {
        None => gate("hold", true, "nobody holds it", None),
        Some(hold) => gate("hold", false, format!("held: {}", hold.reason), hold.until),
    }
}

fn turned_back(policy: &Policy, record: &Record, now: Timestamp) -> Gate {
    match pause(policy, record, now) {
        Some((until, cause)) => {
            let why =
                format!("the last rotation turned back, and it rests before it is tried again: {cause}");
            gate("pause", false, why, Some(until))
        }
        None => gate("pause", true, "no rotation turned back just now", None),
    }
}

fn room(policy: &Policy, record: &Record, sightings: &Sightings) -> Gate {
    let limit = policy.limits.keys_per_role;
    let most = policy.roles.iter().map(|role| keys_of(record, sightings, *role)).max().unwrap_or(0);
    if let Some((role, count)) = full_instance(policy, sightings) {
        let limit = policy.limits.keys_per_instance;
        return gate("room", false, format!("the instance of `{role}` has {count} of {limit} keys"), None);
    }
    gate("room", most < limit, format!("{most} of {limit} keys per role exist"), None)
}

/// When a rotation that turned back, or is on its way back, is tried again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// At this instant.
    At(Timestamp),
    /// After this rest, which begins once the old keys are back and the fresh ones gone.
    After(Duration),
}

/// Whether a rotation that turned back is tried again though nobody asks for it, since it is still due. It rests for one
/// soak per turn; after too many turns it halts instead.
pub fn again(policy: &Policy, record: &Record, now: Timestamp) -> Option<Again> {
    if record.halt.is_some() || record.hold.as_ref().is_some_and(|hold| hold.until.is_none()) {
        return None;
    }
    let due = rotation_due(policy, record.stage.in_use()).ok().flatten()?;
    let goes_back = record.turned_back.is_some()
        || matches!(record.stage, Stage::Restoring { .. } | Stage::Soaking { course: Course::Back(_), .. });
    if goes_back {
        let turns = record.cycles + 1;
        return (due <= now && turns < policy.limits.cycles).then(|| Again::After(policy.soak * turns));
    }
    if !matches!(record.stage, Stage::Settled { .. }) || record.cycles >= policy.limits.cycles {
        return None;
    }
    pause(policy, record, now).map(|(until, _)| until).filter(|until| due <= *until).map(Again::At)
}
