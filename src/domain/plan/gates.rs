//! What stands before a rotation of one credential begins, for people: the same conditions that [`super::settled`]
//! plans by. The fleet has gates of its own beside them.

use super::settled::{full_instance, in_place_gate, keys_of, pause, rotation_due};
use crate::domain::Timestamp;
use crate::domain::key::Sightings;
use crate::domain::observation::{Seen, Status};
use crate::domain::policy::Policy;
use crate::domain::proof::Gate;
use crate::domain::record::Record;

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
    let issuer = if sightings.is_some() { "it answers" } else { "its keys could not be seen" };
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
            gate("pause", false, format!("the last rotation turned back: {cause}"), Some(until))
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
