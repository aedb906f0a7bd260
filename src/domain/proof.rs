//! What must hold before a key is deleted.
//!
//! A deletion cannot be taken back, so it takes a permit, and permits are made here only, from gates that are all
//! open. `explain` shows the same gates to people.

use serde::Serialize;

use super::evidence::{Evidence, Grade};
use super::failure::Class;
use super::key::{Key, KeyState};
use super::names::{KeyId, KeyName, Role};
use super::observation::{Observation, Verdict};
use super::policy::{Pin, Policy, Provision};
use super::record::{Asking, Record};
use super::retirement::Retirement;
use super::stage::Stage;
use super::{Timestamp, after};

/// One condition of a deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// Whether it is open.
    pub open: bool,
    /// Why, in words.
    pub why: String,
    /// When it opens by itself, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
}

fn gate(name: &'static str, open: bool, why: impl Into<String>) -> Gate {
    Gate { name, open, why: why.into(), opens_at: None }
}

/// The permission to retire one old key. Only [`RetireProof::of`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetireProof {
    key: KeyId,
    role: Role,
    evidence: Evidence,
}

impl RetireProof {
    /// The proof that the old key of `role` may go; `Err` holds the gates, at least one of them closed.
    pub fn of(
        policy: &Policy,
        record: &Record,
        observation: &Observation,
        role: Role,
        now: Timestamp,
    ) -> Result<Self, Vec<Gate>> {
        let gates = retire_gates(policy, record, observation, role, now);
        let Stage::Retiring { retirement, .. } = &record.stage else { return Err(gates) };
        match retirement.old.get(&role) {
            Some(key) if gates.iter().all(|gate| gate.open) => {
                // The point of no return: the safety property itself.
                assert!(
                    !record.stage.may_hold().contains(&key.id),
                    "a key the consumer may hold is never retired"
                );
                Ok(Self { key: key.id.clone(), role, evidence: retirement.evidence })
            }
            _ => Err(gates),
        }
    }
}

/// The permission to clear away a key that nobody was ever given. Only [`UndeliveredProof::of`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeliveredProof {
    key: KeyId,
    name: KeyName,
}

impl UndeliveredProof {
    /// The proof that `key` was made by rekeyd for this credential and never delivered.
    pub fn of(record: &Record, key: &Key) -> Option<Self> {
        let ours = key.name.is_of(&record.credential);
        let known = match &record.stage {
            Stage::Restoring { fresh, pending, delivered: false, .. } => {
                fresh.values().any(|fresh| fresh.id == key.id)
                    || pending.values().any(|name| *name == key.name)
            }
            Stage::Settled { .. } => record.abandoned.contains_key(&key.name),
            _ => false,
        };
        (ours && known && !record.stage.may_hold().contains(&key.id))
            .then(|| Self { key: key.id.clone(), name: key.name.clone() })
    }
}

/// What permits a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permit {
    /// The consumer was proven to work without it.
    Retire(RetireProof),
    /// Nobody was ever given it.
    Undelivered(UndeliveredProof),
}

impl Permit {
    /// Whether the permit is for the key with this id.
    pub fn covers(&self, id: &KeyId) -> bool {
        match self {
            Self::Retire(proof) => proof.key == *id,
            Self::Undelivered(proof) => proof.key == *id,
        }
    }
}

impl std::fmt::Display for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Retire(proof) => write!(
                f,
                "evidence grade {} for the keys in use since {}: {}; the `{}` key that they replaced goes",
                u8::from(proof.evidence.grade),
                proof.evidence.reached_at.format("%Y-%m-%dT%H:%M:%SZ"),
                proof.evidence.basis.as_str(),
                proof.role,
            ),
            Self::Undelivered(proof) => write!(f, "`{}` was made by rekeyd and never delivered", proof.name),
        }
    }
}

/// Whether the proof by exclusion can be had. What the consumer did for this rotation it can do again: a change of
/// the configuration, or of the consumer's mind, does not make a lesser proof do.
pub fn can_exclude(policy: &Policy, record: &Record, retirement: &Retirement) -> bool {
    let may_redeploy = policy.provision != Provision::Never && !retirement.cannot_redeploy;
    retirement.left.is_empty() && (may_redeploy || record.asked_to_provision != Asking::No)
}

/// Whether the next old key is the first in the order of harm: one that goes, or stays in place, was before it otherwise.
fn is_first(retirement: &Retirement) -> bool {
    retirement.last_gone_at.is_none() && retirement.left.is_empty()
}

/// The grade the next retirement needs: 4 for the first key, 5 for the others where exclusion can be proven.
pub fn required_grade(policy: &Policy, record: &Record) -> Grade {
    match &record.stage {
        Stage::Retiring { retirement, .. }
            if !is_first(retirement) && can_exclude(policy, record, retirement) =>
        {
            Grade::Excluded
        }
        _ => Grade::Acted,
    }
}

/// The gates that stand before the retirement begins, judged while soaking.
pub fn soak_gates(policy: &Policy, record: &Record, observation: &Observation, now: Timestamp) -> Vec<Gate> {
    let Stage::Soaking { evidence, .. } = &record.stage else {
        return vec![gate("soaking", false, format!("the stage is `{}`", record.stage.phase()))];
    };
    let mut gates = common_gates(policy, record, observation, evidence, now);
    let (ends, needed) = (after(evidence.reached_at, policy.soak), policy.renewals_over(policy.soak));
    let why = format!(
        "both generations live for one soak after the proof, until {}; {} of {needed} looks since then saw that the consumer works",
        stamp(ends),
        record.renewals
    );
    let over = now >= ends && record.renewals >= needed;
    gates.push(Gate { opens_at: Some(ends), ..gate("soak", over, why) });
    gates
}

/// The gates of the old key of `role`, judged while retiring.
pub fn retire_gates(
    policy: &Policy,
    record: &Record,
    observation: &Observation,
    role: Role,
    now: Timestamp,
) -> Vec<Gate> {
    let Stage::Retiring { fresh, retirement, .. } = &record.stage else {
        return vec![gate("retiring", false, format!("the stage is `{}`", record.stage.phase()))];
    };
    let mut gates = common_gates(policy, record, observation, &retirement.evidence, now);
    let Some(key) = retirement.old.get(&role) else {
        gates.push(gate("old key", false, format!("no `{role}` key is to be retired")));
        return gates;
    };
    let ours = key.name.is_of(&record.credential) || policy.retire_foreign;
    gates.push(gate("origin", ours, if ours { "rekeyd may delete it" } else { "rekeyd did not make it" }));
    let apart = fresh.values().all(|kept| kept.id != key.id);
    gates.push(gate("identity", apart, "the key to delete is not one of the keys in use"));
    gates.push(gate(
        "exclusion",
        retirement.exclusion_failed.is_none(),
        match &retirement.exclusion_failed {
            None => "the consumer has not failed without a retired key".to_owned(),
            Some(detail) => format!("the consumer failed without a retired key: {detail}"),
        },
    ));
    if let Some(gone) = retirement.last_gone_at {
        gates.push(gate(
            "proven since",
            retirement.proven_since,
            format!("after a deletion ({}) the consumer is proven again", stamp(gone)),
        ));
    }
    if !is_first(retirement) && !can_exclude(policy, record, retirement) {
        let ends = after(retirement.last_gone_at.unwrap_or(record.entered_at), policy.soak);
        let needed = renewals_since_gone(policy);
        let why = format!(
            "no proof by exclusion can be had, so the next old key waits for a second soak, until {}; {} of {needed} looks since \
             then saw that the consumer works",
            stamp(ends),
            record.renewals
        );
        let over = now >= ends && record.renewals >= needed;
        gates.push(Gate { opens_at: Some(ends), ..gate("second soak", over, why) });
    }
    gates
}

/// How many renewals the second soak takes: one more than the first, since after a deletion the first is due at once.
pub fn renewals_since_gone(policy: &Policy) -> u32 {
    policy.renewals_over(policy.soak) + 1
}

fn common_gates(
    policy: &Policy,
    record: &Record,
    observation: &Observation,
    evidence: &Evidence,
    now: Timestamp,
) -> Vec<Gate> {
    let required = required_grade(policy, record);
    let verdict = observation.status.known().map(|status| status.verdict);
    let unseen = observation.status.failure().filter(|failure| failure.class != Class::NotFound);
    let fresh_until = after(evidence.renewed_at, policy.evidence_life);
    let successors = successors_exist(record, observation);
    let foreign = foreign_deployment(policy, record, observation, evidence);
    vec![
        gate(
            "evidence",
            evidence.grade >= required,
            format!(
                "that the consumer works with the fresh keys is proven with grade {}, and {} is needed: {}",
                u8::from(evidence.grade),
                u8::from(required),
                evidence.basis.as_str()
            ),
        ),
        gate(
            "evidence fresh",
            now <= fresh_until,
            format!("that it works was last seen {}", stamp(evidence.renewed_at)),
        ),
        gate(
            "consumer",
            verdict != Some(Verdict::Error) && unseen.is_none(),
            match (verdict, unseen) {
                (Some(seen), _) => format!("it reports `{}`", seen.as_str()),
                (None, Some(failure)) => format!("its status could not be seen just now: {failure}"),
                (None, None) => "it has no status to show".to_owned(),
            },
        ),
        gate(
            "unchanged",
            foreign.is_none(),
            foreign.map_or_else(
                || "nobody else was seen to deploy the consumer since the proof".to_owned(),
                |at| format!("the consumer was deployed again at {}, and not by rekeyd", stamp(at)),
            ),
        ),
        gate("successors", successors.is_ok(), successors.unwrap_or_else(|why| why)),
        gate(
            "hold",
            !record.is_held(now),
            record
                .hold
                .as_ref()
                .filter(|_| record.is_held(now))
                .map_or("nobody holds it".to_owned(), |hold| format!("held: {}", hold.reason)),
        ),
        gate(
            "halt",
            record.halt.is_none(),
            record.halt.as_ref().map_or("it is not halted".to_owned(), |halt| halt.reason.to_string()),
        ),
        match pin_difference(&record.pin, &policy.pin) {
            None => gate("environment", true, "the configuration points where the journal does"),
            Some(what) => gate("environment", false, what),
        },
    ]
}

/// When the consumer was deployed after the proof by somebody else, as far as that can be told: what rekeyd asked for
/// before the proof is over by then. A clock of ours that was set back since takes the time of the proof with it, not
/// the time of the deployment that was seen. Of a consumer that deployed without being asked this says little; but where
/// no proof by exclusion can be had, nothing else shows that another copy of rekeyd gave it the old keys again.
pub fn foreign_deployment(
    policy: &Policy,
    record: &Record,
    observation: &Observation,
    evidence: &Evidence,
) -> Option<Timestamp> {
    // Some consumers deploy when they are given keys, and so also when they are given them again.
    let given_again = match &record.stage {
        Stage::Retiring { retirement, .. } => retirement.change.undone_at(),
        _ => None,
    };
    let known_at = given_again.max(evidence.deployed_at).max(Some(evidence.reached_at))?;
    let ours = after(known_at, policy.settle + policy.deadline);
    let deployed_at = observation.content.known()?.deployed_at?;
    let is_last_word = matches!(&record.stage, Stage::Retiring { retirement, .. }
        if !is_first(retirement) && !can_exclude(policy, record, retirement));
    let tells = record.asked_to_provision != Asking::No || is_last_word;
    (tells && deployed_at > ours).then_some(deployed_at)
}

/// Whether every key of the set in use was just seen at the issuer, ready.
fn successors_exist(record: &Record, observation: &Observation) -> Result<String, String> {
    for (role, key) in record.stage.in_use() {
        let Some(sightings) = observation.of_role(*role) else {
            return Err("the issuer could not be listed just now".to_owned());
        };
        if !sightings.iter().any(|seen| seen.key.id == key.id && seen.state == KeyState::Ready) {
            return Err(format!("the `{role}` key `{}` in use was not seen at the issuer", key.name));
        }
    }
    Ok("every key in use was seen at the issuer".to_owned())
}

/// What differs between the journalled environment and the configured one.
pub fn pin_difference(journalled: &Pin, configured: &Pin) -> Option<String> {
    if journalled.issuer != configured.issuer {
        return Some(format!("issuer `{}`, now `{}`", journalled.issuer, configured.issuer));
    }
    if journalled.consumer != configured.consumer {
        return Some(format!("consumer `{}`, now `{}`", journalled.consumer, configured.consumer));
    }
    if journalled.in_place != configured.in_place {
        let how = |pin: &Pin| if pin.in_place { "reset in place" } else { "replaced by another key" };
        return Some(format!("its secret is {}, now {}", how(journalled), how(configured)));
    }
    let role =
        Role::ALL.into_iter().find(|role| journalled.places.get(role) != configured.places.get(role))?;
    let place = |pin: &Pin| pin.places.get(&role).cloned().unwrap_or_else(|| "nothing".to_owned());
    Some(format!("service instance of `{role}` `{}`, now `{}`", place(journalled), place(configured)))
}

fn stamp(at: Timestamp) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
