//! Settled: recognise the keys in use, keep an eye on them, and begin when it is due.

use std::time::Duration;

use super::{NextLook, Plan, Sight, Step};
use crate::domain::event::{Event, Trigger};
use crate::domain::halt::HaltReason;
use crate::domain::key::{Key, KeySet, KeyState, Sighting, Sightings};
use crate::domain::names::{CredentialId, KeyName, Role, fnv1a};
use crate::domain::observation::{Observation, Seen};
use crate::domain::policy::Policy;
use crate::domain::proof::{Permit, UndeliveredProof};
use crate::domain::record::Record;
use crate::domain::window::due;
use crate::domain::{Timestamp, after, backoff};

/// The plan while the journal knows nothing of the credential.
pub(super) fn adopt(policy: &Policy, observation: &Observation, now: Timestamp) -> Plan {
    let sightings = match &observation.keys {
        Seen::Yes(sightings) => sightings,
        Seen::NotAsked => {
            return Plan::rest(NextLook::Schedule, "not-looked", "the issuer was not looked at");
        }
        Seen::Unknown(failure) => {
            let at = backoff::retry_at(&policy.credential, failure, observation.blind.max(1), None, now);
            return Plan::rest(
                NextLook::At(at),
                "cannot-see",
                format!("the issuer could not be seen: {failure}"),
            );
        }
    };
    if let Some(name) = lost_journal(policy, sightings) {
        let why = format!(
            "the journal knows nothing, and the issuer has `{name}`, which rekeyd made: the journal was lost or belongs to \
             another instance; put it back, or name the keys in use with `credential.keys.<role>.key`"
        );
        return Plan::rest(NextLook::Schedule, "not-adopted", why.clone()).person(why);
    }
    match adoption(policy, sightings) {
        Ok(live) => {
            Plan::note(adopted(policy, live, sightings), "adopt", "one key per role: these are in use")
        }
        Err(why) => Plan::rest(NextLook::Schedule, "not-adopted", why.clone()).person(why),
    }
}

/// A key of ours where the journal knows of none, and no person said which keys are in use.
fn lost_journal<'a>(policy: &Policy, sightings: &'a Sightings) -> Option<&'a KeyName> {
    let named = policy.roles.iter().all(|role| policy.in_use.contains_key(role));
    let mut ours = sightings.values().flatten().filter(|seen| seen.key.name.is_of(&policy.credential));
    ours.next().filter(|_| !named).map(|seen| &seen.key.name)
}

fn adopted(policy: &Policy, live: KeySet, sightings: &Sightings) -> Event {
    let spare = |seen: &Sighting| {
        seen.key.name.is_of(&policy.credential) && live.values().all(|key| key.name != seen.key.name)
    };
    let of_role = |(role, seen): (&Role, &Vec<Sighting>)| {
        let spares = seen.iter().filter(|seen| spare(seen)).map(|seen| (seen.key.name.clone(), *role));
        spares.collect::<Vec<_>>()
    };
    let others = sightings.iter().flat_map(of_role).collect();
    let generation = newest_generation(&policy.credential, sightings);
    Event::Adopted { live, generation, pin: policy.pin.clone(), others }
}

/// Which keys are in use, as far as the issuer can tell: one per role, or the ones the operator named. Age alone
/// never decides; where it is not clear, a person says so.
pub fn adoption(policy: &Policy, sightings: &Sightings) -> Result<KeySet, String> {
    let mut live = KeySet::new();
    for role in &policy.roles {
        let seen = sightings.get(role).map_or(&[][..], Vec::as_slice);
        let named = policy.in_use.get(role);
        let mut candidates = seen.iter().filter(|sighting| is_candidate(policy, sighting, named));
        let (first, second) = (candidates.next(), candidates.next());
        match (first, second) {
            (Some(only), None) => {
                live.insert(*role, only.key.clone());
            }
            (None, _) => {
                return Err(match named {
                    Some(name) => format!(
                        "the issuer has no `{role}` key named `{name}`; correct `credential.keys.{role}.key`"
                    ),
                    None => format!(
                        "the issuer has no `{role}` key; create the first one and enter it at the consumer by hand"
                    ),
                });
            }
            (Some(_), Some(_)) => {
                let found: Vec<_> = seen.iter().map(|sighting| format!("`{}`", sighting.key.name)).collect();
                return Err(format!(
                    "the issuer has several `{role}` keys ({}); say which one the consumer uses with `credential.keys.{role}.key`",
                    found.join(", ")
                ));
            }
        }
    }
    Ok(live)
}

fn is_candidate(policy: &Policy, sighting: &Sighting, named: Option<&KeyName>) -> bool {
    let of_another = sighting.key.name.parse_ours().is_some() && !sighting.key.name.is_of(&policy.credential);
    match named {
        Some(name) => sighting.key.name == *name && sighting.state == KeyState::Ready,
        None => sighting.state == KeyState::Ready && !of_another,
    }
}

/// The highest generation that stands in a name of ours at the issuer.
fn newest_generation(credential: &CredentialId, sightings: &Sightings) -> u32 {
    let names = sightings.values().flatten().filter(|seen| seen.key.name.is_of(credential));
    names.filter_map(|seen| seen.key.name.parse_ours()).map(|name| name.generation).max().unwrap_or(0)
}

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
            return Plan::rest(NextLook::Schedule, "age-unknown", why)
                .person("declare the date of the key, or ask for a rotation with `rekeyd rotate`");
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
        return Plan::rest(NextLook::Schedule, "held", "due, and held").person(sight.unhold());
    }
    if let Some(plan) = pause_after_turning_back(sight) {
        return plan;
    }
    if let Some(plan) = no_room(sight, sightings) {
        return plan;
    }
    let text = record.asked.as_ref().map_or_else(
        || format!("due since {}", due.unwrap_or(now).format("%Y-%m-%d %H:%M UTC")),
        |asked| format!("asked for: {}", asked.reason),
    );
    Plan::go(Step::Begin { generation: record.generation + 1, trigger }, "begin", text)
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
    Some(Plan::rest(NextLook::At(until), "pause", format!("the last rotation turned back: {cause}")))
}

/// Until when a rotation that turned back rests, and why it did, where that is so and nobody asks.
pub(super) fn pause(policy: &Policy, record: &Record, now: Timestamp) -> Option<(Timestamp, String)> {
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
