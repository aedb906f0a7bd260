//! Settled: keep an eye on the keys in use, and begin when it is due.

use std::time::Duration;

use super::adopting::{adopted, adoption};
use super::{NextLook, Plan, Sight, Step};
use crate::domain::event::Trigger;
use crate::domain::failure::Class;
use crate::domain::halt::HaltReason;
use crate::domain::key::{Key, KeySet, KeyState, Sighting, Sightings};
use crate::domain::names::{Role, fnv1a};
use crate::domain::observation::{Seen, Status, Verdict};
use crate::domain::policy::{Policy, Witness};
use crate::domain::proof::{Gate, Permit, UndeliveredProof};
use crate::domain::record::Record;
use crate::domain::window::due;
use crate::domain::{Timestamp, after};

pub(super) fn plan(sight: &Sight<'_>, live: &KeySet) -> Plan {
    let sightings = match &sight.observation.keys {
        Seen::Yes(sightings) => sightings,
        Seen::NotAsked => return sight.poll("not-looked", "the issuer was not looked at"),
        Seen::Unknown(failure) => return sight.blind("the issuer", failure),
    };
    if sight.record.readopt {
        return match adoption(sight.policy, sightings) {
            Ok(live) => {
                Plan::note(adopted(sight.policy, live, sightings), "adopt", "as confirmed by a person")
            }
            Err(why) => Plan::rest(NextLook::Schedule, "not-adopted", why.clone()).person(why),
        };
    }
    if let Some(role) = sight.record.same_secret {
        return Plan::halt(HaltReason::SameSecret { role });
    }
    if let Some(halt) = missing(live, sightings).or_else(|| double(sight.record, live, sightings)) {
        return Plan::halt(halt);
    }
    if let Some(plan) = clear_late_comers(sight, sightings) {
        return plan;
    }
    begin_or_rest(sight, live, sightings)
}

/// A key in use that is gone, which cannot be if only we were at work.
pub(super) fn missing(live: &KeySet, sightings: &Sightings) -> Option<HaltReason> {
    for (role, key) in live {
        let seen = sightings.get(role).map_or(&[][..], Vec::as_slice);
        if !seen.iter().any(|sighting| sighting.key.id == key.id) {
            return Some(HaltReason::LiveKeyGone { role: *role, name: key.name.clone() });
        }
    }
    None
}

/// A second key of a name of ours: one create made two, or another instance works with the same names.
pub(super) fn double(record: &Record, live: &KeySet, sightings: &Sightings) -> Option<HaltReason> {
    live.iter().filter(|(_, key)| key.name.is_of(&record.credential)).find_map(|(role, key)| {
        let seen = sightings.get(role).map_or(&[][..], Vec::as_slice);
        let named: Vec<_> = seen.iter().filter(|sighting| sighting.key.name == key.name).collect();
        let is_strange = named.iter().any(|sighting| sighting.key.id != key.id);
        is_strange.then(|| HaltReason::DuplicateName {
            role: *role,
            name: key.name.clone(),
            found: named.len(),
        })
    })
}

/// A key of ours that is as new as the newest in the journal, and that the journal does not know: this journal is an
/// old backup, or another instance works with a journal of its own (facts: rotation, R6).
pub(super) fn stranger(record: &Record, sightings: &Sightings) -> Option<HaltReason> {
    let is_strange = |seen: &&Sighting| {
        let name = &seen.key.name;
        // Most are known, which is the cheapest to find out.
        !record.knows(name)
            && name.is_of(&record.credential)
            && name.parse_ours().is_some_and(|ours| ours.generation >= record.generation)
    };
    let stranger = sightings.values().flatten().find(is_strange)?;
    Some(HaltReason::NewerGeneration { name: stranger.key.name.clone() })
}

/// Keys whose create was given up and took effect after all.
fn clear_late_comers(sight: &Sight<'_>, sightings: &Sightings) -> Option<Plan> {
    if sight.record.is_held(sight.now) || sight.exhausted().is_some() {
        return None;
    }
    for (role, seen) in sightings {
        for sighting in seen.iter().filter(|seen| seen.state != KeyState::Deleting) {
            if sight.just_deleted(&sighting.key.name) {
                continue;
            }
            if let Some(proof) = UndeliveredProof::of(sight.record, &sighting.key) {
                let text = format!("`{}` turned up after it was given up", sighting.key.name);
                let permit = Permit::Undelivered(proof);
                return Some(Plan::go(
                    Step::Delete { role: *role, key: sighting.key.clone(), permit },
                    "late-comer",
                    text,
                ));
            }
        }
    }
    None
}

/// When the rotation of `live` is due by its age; `Err` says which key's age is unknown. Credentials of one age are
/// spread over the time before the lead begins, each by a hash of its own, so that a restart changes nothing.
pub fn rotation_due(policy: &Policy, live: &KeySet) -> Result<Option<Timestamp>, String> {
    let end = window_end(policy, live)?;
    let oldest = live.values().map(|key| key.id.0.as_str()).min().unwrap_or_default();
    Ok(end.map(|end| due(end, policy.lead + spread(policy, oldest))))
}

/// When the window of `live` ends; `Err` says which key's age is unknown.
pub fn window_end(policy: &Policy, live: &KeySet) -> Result<Option<Timestamp>, String> {
    let unknown = |key: &Key| format!("the age of `{}` is not known", key.name);
    policy.window.earliest_end(live.values()).map_err(unknown)
}

/// This credential's part of the spread, for the keys it has now.
fn spread(policy: &Policy, keys: &str) -> Duration {
    const PARTS: u32 = 10_000;
    let hash = fnv1a(format!("{}#{keys}", policy.credential).as_bytes());
    // The low bits of FNV differ least between similar inputs.
    let part = u32::try_from((hash ^ (hash >> 29)) % u64::from(PARTS)).expect("less than ten thousand");
    policy.spread / PARTS * part
}

fn begin_or_rest(sight: &Sight<'_>, live: &KeySet, sightings: &Sightings) -> Plan {
    let (policy, record, now) = (sight.policy, sight.record, sight.now);
    let due = match (&record.asked, rotation_due(policy, live)) {
        (None, Err(why)) => {
            let what = format!(
                "declare the date of the key, or ask for a rotation with `rekeyd rotate {}`",
                record.credential
            );
            return Plan::rest(NextLook::Schedule, "age-unknown", why).person(what);
        }
        (_, due) => due.ok().flatten(),
    };
    let trigger = match (&record.asked, due) {
        (Some(asked), _) => asked.trigger,
        (None, Some(due)) if now >= due => Trigger::Schedule,
        (None, due) => {
            let text = due.map_or_else(
                || "no key".to_owned(),
                |due| format!("due {}", due.format("%Y-%m-%d %H:%M UTC")),
            );
            return Plan::rest(NextLook::Schedule, "not-due", text);
        }
    };
    if record.is_held(now) {
        return sight.held("due, and held").person(sight.unhold());
    }
    if let Some(plan) = pause_after_turning_back(sight) {
        return plan;
    }
    if let Some(plan) = no_room(sight, sightings).or_else(|| not_now_in_place(sight)) {
        return plan;
    }
    let text = record.asked.as_ref().map_or_else(
        || format!("due since {}", due.unwrap_or(now).format("%Y-%m-%d %H:%M UTC")),
        |asked| format!("asked for: {}", asked.reason),
    );
    Plan::go(Step::Begin { generation: record.generation + 1, trigger }, "begin", text)
}

/// A secret that is reset in place stops working at once, so nobody but a person begins that while the consumer is not
/// well, or where only a person can give it the fresh one.
fn not_now_in_place(sight: &Sight<'_>) -> Option<Plan> {
    let gate = in_place_gate(sight.policy, sight.record, &sight.observation.status)?;
    if gate.open {
        return None;
    }
    if let Seen::Unknown(failure) = &sight.observation.status
        && failure.class != Class::NotFound
    {
        let mut plan = sight.blind("the consumer", failure);
        plan.reason.code = "in-place";
        return Some(plan);
    }
    let what = format!("`rekeyd rotate {}` once {}", sight.record.credential, IN_PLACE_WHEN);
    Some(Plan::rest(NextLook::Schedule, "in-place", gate.why).person(what))
}

/// When a person may ask for a reset in place.
const IN_PLACE_WHEN: &str = "somebody is at hand to give the consumer the fresh secret at once";

/// The gate of a secret that is reset in place; `None` for any other.
pub(super) fn in_place_gate(policy: &Policy, record: &Record, status: &Seen<Status>) -> Option<Gate> {
    if !policy.pin.in_place {
        return None;
    }
    let (open, why) = if record.asked.is_some() {
        (true, "a person asked for the reset".to_owned())
    } else if let Witness::Person { .. } = policy.witness {
        let why = "the reset kills the secret in use, and only a person can give the consumer the fresh one";
        (false, why.to_owned())
    } else {
        match status {
            Seen::Yes(status) if status.verdict == Verdict::Success => {
                (true, "the consumer works, and is given the fresh secret at once".to_owned())
            }
            Seen::Yes(status) => (
                false,
                format!("the reset kills the secret in use, and the consumer reports `{}`", status.word),
            ),
            Seen::Unknown(failure) => (false, format!("the consumer could not be seen: {failure}")),
            Seen::NotAsked => (false, "the consumer was not looked at".to_owned()),
        }
    };
    Some(Gate { name: "in place", open, why, opens_at: None })
}

/// A rotation that turned back rests for one soak per turn, and after too many a person looks.
fn pause_after_turning_back(sight: &Sight<'_>) -> Option<Plan> {
    let record = sight.record;
    let why = record.outcome.as_ref().and_then(|outcome| outcome.turned_back.clone());
    let cause = why.filter(|_| record.cycles > 0)?;
    if record.cycles >= sight.policy.limits.cycles {
        return Some(Plan::halt(HaltReason::CyclesExhausted { cycles: record.cycles, cause }));
    }
    let (until, _) = pause(sight.policy, record, sight.now)?;
    let stamp = until.format("%Y-%m-%d %H:%M UTC");
    let turns =
        if record.cycles == 1 { "once".to_owned() } else { format!("{} times in a row", record.cycles) };
    let text = format!(
        "the last rotation turned back: {cause}; still due, it is tried again by itself {stamp} (it turned back {turns}; {} times \
         halt it)",
        sight.policy.limits.cycles
    );
    Some(Plan::rest(NextLook::At(until), "pause", text))
}

/// Until when a rotation that turned back rests, and why it did, where that is so and nobody asks.
pub fn pause(policy: &Policy, record: &Record, now: Timestamp) -> Option<(Timestamp, String)> {
    let why = record.outcome.as_ref().and_then(|outcome| outcome.turned_back.clone());
    let cause = why.filter(|_| record.cycles > 0)?;
    let until = after(record.entered_at, policy.soak * record.cycles);
    let waits = now < until && !record.pushed && record.asked.is_none();
    waits.then_some((until, cause))
}

fn no_room(sight: &Sight<'_>, sightings: &Sightings) -> Option<Plan> {
    if let Some((role, count)) = full_instance(sight.policy, sightings) {
        let limit = sight.policy.limits.keys_per_instance;
        let text = format!(
            "the service instance of `{role}` has {count} keys and takes {limit}: a rotation would use its last place"
        );
        let what = format!("delete keys of the `{role}` instance that nobody uses, or have its quota raised");
        return Some(Plan::rest(NextLook::Schedule, "no-room", text).person(what));
    }
    full_house(sight, sightings)
}

/// The role whose service instance has at most one place left, and how many keys it has. The last place is left to
/// whoever needs it in an emergency.
pub(super) fn full_instance(policy: &Policy, sightings: &Sightings) -> Option<(Role, usize)> {
    let count = |role: Role| sightings.get(&role).map_or(0, Vec::len);
    let full = |role: &Role| count(*role) + 1 >= policy.limits.keys_per_instance;
    policy.roles.iter().copied().find(full).map(|role| (role, count(role)))
}

fn full_house(sight: &Sight<'_>, sightings: &Sightings) -> Option<Plan> {
    let crowded =
        |role: &&Role| keys_of(sight.record, sightings, **role) + 1 > sight.policy.limits.keys_per_role;
    let role = sight.policy.roles.iter().find(crowded)?;
    let count = keys_of(sight.record, sightings, *role);
    let text = format!(
        "{count} `{role}` keys of this credential exist already, and nothing is created above the limit"
    );
    Some(
        Plan::rest(NextLook::Schedule, "no-room", text)
            .person("delete the keys nobody uses; `rekeyd status` lists them"),
    )
}

/// How many keys of `role` belong to this credential: the one in use and everything rekeyd made for it.
pub(super) fn keys_of(record: &Record, sightings: &Sightings, role: Role) -> usize {
    let known: Vec<_> =
        record.stage.keys().into_iter().filter(|(of, _)| *of == role).map(|(_, key)| &key.id).collect();
    let seen = sightings.get(&role).map_or(&[][..], Vec::as_slice);
    seen.iter()
        .filter(|seen| {
            known.contains(&&seen.key.id)
                || seen.key.name.is_of(&record.credential)
                || record.left.contains_key(&seen.key.name)
        })
        .count()
}
