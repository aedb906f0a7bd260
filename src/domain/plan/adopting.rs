//! Adopting: which keys are in use, where the journal does not know.

use super::{NextLook, Plan, refusal};
use crate::domain::event::Event;
use crate::domain::key::{KeySet, KeyState, Sighting, Sightings};
use crate::domain::names::{CredentialId, KeyName, Role};
use crate::domain::observation::{Observation, Seen};
use crate::domain::policy::Policy;
use crate::domain::{Timestamp, backoff};

/// The plan while the journal knows nothing of the credential.
pub(super) fn adopt(policy: &Policy, observation: &Observation, now: Timestamp) -> Plan {
    let sightings = match &observation.keys {
        Seen::Yes(sightings) => sightings,
        Seen::NotAsked => {
            return Plan::rest(NextLook::Schedule, "not-looked", "the issuer was not looked at");
        }
        Seen::Unknown(failure) => {
            let at = backoff::retry_at(&policy.credential, failure, observation.blind.max(1), None, now);
            return refusal::unseen("the issuer", failure, at);
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

pub(super) fn adopted(policy: &Policy, live: KeySet, sightings: &Sightings) -> Event {
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
