//! Restoring: clear away what was never delivered, or put the old set back and prove it.

use super::forward::Absent;
use super::{Names, Plan, Sight, Step, forward, proving, settled};
use crate::domain::after;
use crate::domain::event::Event;
use crate::domain::evidence::{Baseline, Evidence, Grade, Judgement, Watch, judge};
use crate::domain::failure::Class;
use crate::domain::halt::HaltReason;
use crate::domain::key::{KeySet, KeyState, Sighting};
use crate::domain::names::{KeyName, Role};
use crate::domain::observation::Seen;
use crate::domain::proof::{Permit, UndeliveredProof};

/// Nobody was given the fresh keys: they go, one by one, and each absence is seen.
pub(super) fn clear(sight: &Sight<'_>, fresh: &KeySet, pending: &Names) -> Plan {
    if let Some((step, cause)) = sight.exhausted() {
        return Plan::halt(HaltReason::AttemptsExhausted { step, cause });
    }
    if let Seen::Unknown(failure) = &sight.observation.keys {
        return sight.blind("the issuer", failure);
    }
    if let Some(plan) = live_gone(sight) {
        return plan;
    }
    let named = fresh.iter().map(|(role, key)| (*role, &key.name));
    let Some((role, name)) = named.chain(pending.iter().map(|(role, name)| (*role, name))).next() else {
        return Plan::note(Event::Completed, "cleared", "nothing is left of the fresh keys");
    };
    let Some(sightings) = sight.observation.of_role(role) else {
        return sight.poll("not-looked", "the issuer was not looked at");
    };
    let id = fresh.get(&role).map(|key| &key.id);
    let is_it = |seen: &&Sighting| id.map_or(seen.key.name == *name, |id| seen.key.id == *id);
    match sightings.iter().find(is_it) {
        Some(seen) => delete(sight, role, seen),
        None => absent(sight, role, name),
    }
}

/// The fresh keys go only while the keys in use are there: without them, the fresh ones may be what the consumer holds,
/// delivered after this journal was copied.
fn live_gone(sight: &Sight<'_>) -> Option<Plan> {
    let sightings = sight.observation.keys.known()?;
    let halt = settled::missing(sight.record.stage.in_use(), sightings)?;
    let shown_by = after(sight.record.entered_at, sight.policy.lag);
    Some(if sight.now < shown_by {
        sight.poll("may-show-up", "a key in use is not listed, and may show up late")
    } else {
        Plan::halt(halt)
    })
}

fn delete(sight: &Sight<'_>, role: Role, seen: &Sighting) -> Plan {
    if seen.state == KeyState::Deleting || sight.just_deleted(&seen.key.name) {
        return sight.poll("going", format!("`{}` is being deleted", seen.key.name));
    }
    if sight.record.is_held(sight.now) {
        return sight.held("held: nothing is deleted");
    }
    match UndeliveredProof::of(sight.record, &seen.key) {
        Some(proof) => Plan::go(
            Step::Delete { role, key: seen.key.clone(), permit: Permit::Undelivered(proof) },
            "clear",
            format!("`{}` was never delivered", seen.key.name),
        ),
        None => sight
            .seldom("not-ours", format!("`{}` cannot be shown to be ours", seen.key.name))
            .person(format!("look at `{}` at the issuer", seen.key.name)),
    }
}

/// A key that was made just now, or whose fate is unknown, is given time to show up in the listing.
fn absent(sight: &Sight<'_>, role: Role, name: &KeyName) -> Plan {
    let visible = after(sight.record.entered_at, sight.policy.lag);
    if sight.now < visible {
        return sight.poll("may-show-up", format!("`{name}` is not listed, and may show up late"));
    }
    Plan::note(Event::Gone { role, name: name.clone() }, "gone", format!("`{name}` is not at the issuer"))
}

/// The consumer may hold the fresh keys: the old set is delivered again and proven like any other.
pub(super) fn put_back(sight: &Sight<'_>, live: &KeySet, baseline: &Baseline, watch: Option<&Watch>) -> Plan {
    let Some(watch) = watch else { return deliver(sight, live, baseline) };
    match judge(sight.policy, watch, sight.observation, sight.now) {
        Judgement::Rests => forward::rested(sight, watch),
        Judgement::Moves => Plan::note(Event::Moving, "moving", "the consumer is under way"),
        Judgement::Works(basis) => {
            let give_up = |step, cause| Plan::halt(HaltReason::AttemptsExhausted { step, cause });
            proving::works(sight, watch, live, basis, give_up, || {
                let evidence = Evidence::seen(Grade::Acted, basis, sight.observation, sight.now);
                Plan::note(Event::Proven { evidence }, "restored", basis.as_str())
            })
        }
        Judgement::Fails(detail) => {
            proving::fails(sight, watch, detail, |detail| Plan::halt(HaltReason::RestoreFailed { detail }))
        }
        Judgement::AskForProvisioning => match sight.exhausted() {
            Some((step, cause)) => Plan::halt(HaltReason::AttemptsExhausted { step, cause }),
            None => forward::provision(sight, "the old credential was put back"),
        },
        Judgement::AwaitsPerson => forward::by_person(sight, live, watch),
        Judgement::Waiting => forward::waiting(sight),
        Judgement::Indeterminate => Plan::halt(HaltReason::Indeterminate),
    }
}

fn deliver(sight: &Sight<'_>, live: &KeySet, baseline: &Baseline) -> Plan {
    if sight.record.trouble.last.as_ref().is_some_and(|failure| failure.class == Class::NotFound) {
        let keys = live.values().map(|key| key.name.clone()).collect();
        return Plan::halt(HaltReason::ManualDelivery { keys });
    }
    if let Some((step, cause)) = sight.exhausted() {
        return Plan::halt(HaltReason::AttemptsExhausted { step, cause });
    }
    if sight.overtime() {
        return Plan::halt(HaltReason::TimeInStage { stage: "restoring".to_owned() });
    }
    if let Some(plan) = forward::under_way(sight, baseline) {
        return plan;
    }
    match forward::absent(sight, live) {
        None => Plan::go(Step::Deliver { keys: live.clone() }, "put-back", "the old credential is put back"),
        Some(Absent::Perhaps(plan)) => *plan,
        Some(Absent::Surely(role, name)) => Plan::halt(HaltReason::LiveKeyGone { role, name }),
    }
}
