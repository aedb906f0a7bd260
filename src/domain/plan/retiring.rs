//! Soaking and retiring: the old set stays until everything speaks for letting it go, then goes least harm first.

use std::time::Duration;

use super::{NextLook, Plan, Sight, Step, forward, proving};
use crate::domain::event::Event;
use crate::domain::evidence::{Basis, Evidence, Grade, Judgement, judge};
use crate::domain::failure::Class;
use crate::domain::halt::HaltReason;
use crate::domain::key::{Key, KeySet, KeyState};
use crate::domain::names::Role;
use crate::domain::observation::{Seen, Verdict};
use crate::domain::policy::Provision;
use crate::domain::proof::{Gate, Permit, RetireProof, can_exclude, foreign_deployment, soak_gates};
use crate::domain::retirement::{Change, Leaving, Retirement};
use crate::domain::stage::{Course, Phase, Stage};
use crate::domain::{Timestamp, after};

pub(super) fn soaking(sight: &Sight<'_>, fresh: &KeySet, evidence: &Evidence, course: &Course) -> Plan {
    if let (Some(why), Course::Forward) = (&sight.record.restore, course) {
        return sight.turn_back(format!("a person asked for it: {why}"));
    }
    if let Some(deployed_at) = foreign_deployment(sight.policy, sight.record, sight.observation, evidence) {
        return Plan::halt(HaltReason::ConsumerChanged { deployed_at });
    }
    let (policy, now) = (sight.policy, sight.now);
    let ends = after(evidence.reached_at, policy.soak);
    if now < ends || sight.record.renewals < policy.renewals_over(policy.soak) {
        let in_place = sight.record.pin.in_place;
        let what = if in_place { "the fresh secret is watched" } else { "both generations live" };
        let text = format!("{what} until {}", ends.format("%Y-%m-%d %H:%M:%S UTC"));
        let plan = keep_watch(sight, fresh, evidence, policy.renewal_pause(), ends, "soak", text);
        if plan.step != Step::Rest {
            return plan;
        }
        let failing = sight.observation.status.known().is_some_and(|status| status.verdict == Verdict::Error);
        let credential = &sight.record.credential;
        let what = if in_place {
            "there is no way back: see to it".to_owned()
        } else {
            format!("`rekeyd restore {credential}` goes back")
        };
        let what = format!("the consumer reports an error: {what}");
        return if failing { plan.person(what) } else { plan };
    }
    before_deleting(sight, fresh, soak_gates(sight.policy, sight.record, sight.observation, sight.now))
        .unwrap_or_else(|| {
            Plan::note(Event::RetireBegun, "retire", "the soak is over and every gate is open")
        })
}

/// Something is waited for until `ends`: meanwhile the evidence is renewed at every `pause`, and only time in which it
/// was counts.
fn keep_watch(
    sight: &Sight<'_>,
    fresh: &KeySet,
    evidence: &Evidence,
    pause: Duration,
    ends: Timestamp,
    code: &'static str,
    text: String,
) -> Plan {
    let next = after(evidence.renewed_at, pause);
    if sight.now >= next {
        // Time in which the consumer cannot be seen, or fails, is no soak.
        if let Some(plan) = unseen(sight) {
            return plan;
        }
        if sight.observation.status.known().is_some_and(|status| status.verdict == Verdict::Error) {
            let what = "the consumer reports an error: repair the data plane in Integration Suite (Settings > Data Spaces); \
                        the wait goes on once it works";
            return sight.seldom(code, text).person(what);
        }
        return renew(sight, fresh, "as at every check while something is waited for");
    }
    let at = if sight.now < ends { ends.min(next) } else { next };
    Plan::rest(NextLook::At(at), code, text)
}

/// What stands in the way of a deletion: stale evidence is renewed, everything else is waited for.
fn before_deleting(sight: &Sight<'_>, fresh: &KeySet, gates: Vec<Gate>) -> Option<Plan> {
    if let Some(plan) = unseen(sight) {
        return Some(plan);
    }
    let closed: Vec<Gate> = gates.into_iter().filter(|gate| !gate.open).collect();
    let renewable = |gate: &&Gate| matches!(gate.name, "evidence fresh" | "proven since");
    if let Some(gate) = closed.iter().find(|gate| !renewable(gate)) {
        if let (Stage::Retiring { retirement, .. }, "second soak", Some(ends)) =
            (&sight.record.stage, gate.name, gate.opens_at)
        {
            let why = gate.why.clone();
            let pause = sight.policy.renewal_pause();
            return Some(keep_watch(sight, fresh, &retirement.evidence, pause, ends, "second-soak", why));
        }
        return Some(sight.shut(gate));
    }
    closed.first().map(|gate| renew(sight, fresh, &gate.why))
}

/// What could not be seen just now. A consumer without a status is none that could not be seen.
pub(super) fn unseen(sight: &Sight<'_>) -> Option<Plan> {
    if let Seen::Unknown(failure) = &sight.observation.keys {
        return Some(sight.blind("the issuer", failure));
    }
    let failure = sight.observation.status.failure().filter(|failure| failure.class != Class::NotFound)?;
    Some(sight.blind("the consumer", failure))
}

fn renew(sight: &Sight<'_>, fresh: &KeySet, why: &str) -> Plan {
    if let Some((step, cause)) = sight.exhausted() {
        return Plan::halt(HaltReason::AttemptsExhausted { step, cause });
    }
    Plan::go(Step::Renew { keys: fresh.clone() }, "renew", format!("the evidence is renewed: {why}"))
}

pub(super) fn retiring(sight: &Sight<'_>, fresh: &KeySet, retirement: &Retirement) -> Plan {
    if let Some(detail) = &retirement.exclusion_failed {
        return exclusion_failed(sight, fresh, retirement, detail);
    }
    if retirement.change == Change::Undo {
        return forward::deliver_again(sight, fresh);
    }
    if let Some(leaving) = &retirement.leaving {
        return leave(sight, fresh, retirement, leaving);
    }
    if let Seen::Unknown(failure) = &sight.observation.keys {
        return sight.blind("the issuer", failure);
    }
    let next = sight.policy.roles.iter().find_map(|role| retirement.old.get(role).map(|key| (*role, key)));
    let Some((role, key)) = next else { return finish(sight, fresh, retirement) };
    if let Some(why) = stays(sight, retirement, key) {
        let event = Event::Left { role, name: key.name.clone() };
        return Plan::note(event, "left", why).person(format!("delete `{}` at the issuer by hand", key.name));
    }
    prove_and_delete(sight, fresh, retirement, role, key)
}

/// What the evidence lacks is sought before the key goes, also where its deletion was asked for on evidence that is void by now.
fn prove_and_delete(
    sight: &Sight<'_>,
    fresh: &KeySet,
    retirement: &Retirement,
    role: Role,
    key: &Key,
) -> Plan {
    if retirement.evidence.grade < Grade::Excluded
        && let Some(plan) = exclude(sight, fresh, retirement)
    {
        return plan;
    }
    delete(sight, fresh, &retirement.evidence, role, key)
}

/// The consumer is under way with what rekeyd did not ask for just now: nothing is deleted and nothing is begun until that is
/// over, or a person is called because it does not end.
fn busy(sight: &Sight<'_>) -> Option<Plan> {
    let status = sight.observation.status.known()?;
    if status.verdict != Verdict::InProgress {
        return None;
    }
    if sight.overtime() {
        return Some(Plan::halt(HaltReason::TimeInStage { stage: Phase::Retiring.to_string() }));
    }
    Some(sight.poll("consumer-busy", "the consumer is under way with something else"))
}

/// Why an old key is left in place. Once a key stays that does less harm, the consumer may live on it, and no proof by
/// exclusion can show that it does not need the others.
fn stays(sight: &Sight<'_>, retirement: &Retirement, key: &Key) -> Option<String> {
    if !sight.policy.retire_foreign && !key.name.is_of(&sight.record.credential) {
        return Some(format!("rekeyd did not make `{}`: it stays", key.name));
    }
    let left = retirement.left.first()?;
    Some(format!("`{left}` stays, so that nothing can show that `{}` is not needed", key.name))
}

fn delete(sight: &Sight<'_>, fresh: &KeySet, evidence: &Evidence, role: Role, key: &Key) -> Plan {
    if let Some((step, cause)) = sight.exhausted() {
        return Plan::halt(HaltReason::AttemptsExhausted { step, cause });
    }
    if let Some(deployed_at) = foreign_deployment(sight.policy, sight.record, sight.observation, evidence) {
        return Plan::halt(HaltReason::ConsumerChanged { deployed_at });
    }
    // With which keys that is, only its end tells.
    if let Some(plan) = busy(sight) {
        return plan;
    }
    match RetireProof::of(sight.policy, sight.record, sight.observation, role, sight.now) {
        Ok(proof) => {
            let permit = Permit::Retire(proof);
            let text = permit.to_string();
            Plan::go(Step::Delete { role, key: key.clone(), permit }, "delete", text)
        }
        Err(gates) => before_deleting(sight, fresh, gates)
            .unwrap_or_else(|| sight.poll("gate", format!("no permit to delete the `{role}` key"))),
    }
}

/// A deletion was sent: it is repeated until the absence is seen, then the key is tried once more.
fn leave(sight: &Sight<'_>, fresh: &KeySet, retirement: &Retirement, leaving: &Leaving) -> Plan {
    let role = leaving.role;
    let Some(key) = retirement.old.get(&role) else {
        return Plan::note(Event::Probed { role, refused: None }, "gone", "nothing is left to probe");
    };
    if let Some(gone_at) = leaving.gone_at {
        let known_by = after(gone_at, sight.policy.propagation);
        if let Some(tried) = leaving.still_works_at {
            let next = after(tried, sight.policy.poll);
            if tried >= known_by {
                return Plan::halt(HaltReason::OldKeyStillWorks { role });
            }
            if sight.now < next {
                let text = format!("`{}` still gets a token", key.name);
                return Plan::rest(NextLook::At(next), "probe-again", text);
            }
        }
        let text = format!("`{}` must be refused now", key.name);
        return Plan::go(Step::Probe { role, key: key.clone() }, "probe", text);
    }
    let Some(sightings) = sight.observation.of_role(role) else {
        let failure = sight.observation.keys.failure();
        return failure.map_or_else(
            || sight.poll("not-looked", "the issuer was not looked at"),
            |failure| sight.blind("the issuer", failure),
        );
    };
    match sightings.iter().find(|seen| seen.key.id == key.id) {
        None => {
            let event = Event::Gone { role, name: key.name.clone() };
            Plan::note(event, "gone", format!("`{}` is no longer at the issuer", key.name))
        }
        Some(seen) if seen.state == KeyState::Deleting => {
            sight.poll("going", format!("`{}` is being deleted", key.name))
        }
        Some(_) => {
            let lagging =
                leaving.asked_at.is_some_and(|asked| sight.now < after(asked, sight.policy.poll * 2));
            if lagging {
                return sight.poll("going", format!("`{}` may still be listed for a while", key.name));
            }
            prove_and_delete(sight, fresh, retirement, role, key)
        }
    }
}

/// The proof by exclusion: with the old key gone for longer than any token made with it, a redeployment succeeds.
/// `None` where it cannot be had and the next deletion rests on a second soak instead.
fn exclude(sight: &Sight<'_>, fresh: &KeySet, retirement: &Retirement) -> Option<Plan> {
    let gone = retirement.last_gone_at?;
    if !can_exclude(sight.policy, sight.record, retirement) {
        return None;
    }
    // Who deployed it may have given it the old key that is to go with the fresh one in place of that which is gone: then it
    // would deploy without that, and the proof would say nothing of the other.
    if !matches!(retirement.change, Change::Sought(_))
        && let Some(deployed_at) =
            foreign_deployment(sight.policy, sight.record, sight.observation, &retirement.evidence)
    {
        return Some(Plan::halt(HaltReason::ConsumerChanged { deployed_at }));
    }
    if !retirement.proven_since {
        return Some(renew(sight, fresh, "a retired key has just gone"));
    }
    let tokens_dead = after(gone, sight.policy.token_life);
    let (pause, needed) = sight.policy.token_watch();
    let watched = sight.record.renewals >= needed;
    if sight.now < tokens_dead || (!watched && retirement.watch.is_none()) {
        let left = pause * needed.saturating_sub(sight.record.renewals);
        let sure = after(retirement.evidence.renewed_at, left).max(tokens_dead);
        let text = format!(
            "tokens of the deleted key may live until {}, a leap of the clock included",
            sure.format("%Y-%m-%d %H:%M:%S UTC")
        );
        return Some(keep_watch(sight, fresh, &retirement.evidence, pause, tokens_dead, "tokens-live", text));
    }
    let Some(watch) = &retirement.watch else {
        if let Some((step, cause)) = sight.exhausted() {
            return Some(Plan::halt(HaltReason::AttemptsExhausted { step, cause }));
        }
        if sight.record.is_held(sight.now) {
            return Some(sight.held("held: the proof by exclusion waits"));
        }
        if sight.policy.provision == Provision::Never {
            let text = "the proof by exclusion needs a deployment, which is no longer allowed";
            let plan = sight.seldom("no-deployment", text);
            return Some(plan.person("allow `dataspace.provision` until this rotation is over"));
        }
        if let Some(at) = retirement.change.undone_at() {
            // A run with what it held before would prove nothing, and here a few minutes more do no harm.
            let taken_over = after(at, sight.policy.settle + sight.policy.deadline);
            if sight.now < taken_over {
                let text = "the consumer is given time to take over what it was given again";
                return Some(Plan::rest(NextLook::At(taken_over), "settle", text));
            }
        }
        // A run that is under way began before the key was gone for long enough, or is somebody else's.
        let text = "with the retired key gone, the consumer is deployed again";
        return Some(busy(sight).unwrap_or_else(|| forward::provision(sight, text)));
    };
    Some(match judge(sight.policy, watch, sight.observation, sight.now) {
        Judgement::Rests => forward::rested(sight, watch),
        Judgement::Moves => Plan::note(Event::Moving, "moving", "the consumer is under way"),
        Judgement::Works(basis) => {
            let give_up = |step, cause| Plan::halt(HaltReason::AttemptsExhausted { step, cause });
            proving::works(sight, watch, fresh, basis, give_up, || excluded(sight, basis))
        }
        Judgement::Fails(detail) => proving::fails(sight, watch, detail, |detail| {
            Plan::note(Event::ExclusionFailed { detail: detail.clone() }, "exclusion-failed", detail)
        }),
        Judgement::AskForProvisioning | Judgement::AwaitsPerson | Judgement::Waiting => {
            forward::waiting(sight)
        }
        Judgement::Indeterminate => Plan::halt(HaltReason::Indeterminate),
    })
}

fn excluded(sight: &Sight<'_>, basis: Basis) -> Plan {
    let evidence = Evidence::seen(Grade::Excluded, basis, sight.observation, sight.now);
    Plan::note(Event::Proven { evidence }, "excluded", "the consumer deploys without the retired key")
}

/// The consumer cannot do without the old key: it is given the fresh credential once more, and a person is called.
fn exclusion_failed(sight: &Sight<'_>, fresh: &KeySet, retirement: &Retirement, detail: &str) -> Plan {
    let give_up = sight.exhausted().is_some()
        || sight.record.trouble.last.as_ref().is_some_and(|failure| failure.class == Class::NotFound);
    if retirement.redelivered || give_up {
        return Plan::halt(HaltReason::ExclusionFailed { detail: detail.to_owned() });
    }
    Plan::go(
        Step::Deliver { keys: fresh.clone() },
        "deliver-again",
        "the consumer fails without the retired key",
    )
}

/// Nothing is left of the old set: the keys in use are tried once more, and that was it.
fn finish(sight: &Sight<'_>, fresh: &KeySet, retirement: &Retirement) -> Plan {
    if retirement.last_gone_at.is_some() && !retirement.proven_since {
        return renew(sight, fresh, "the last retired key has just gone");
    }
    Plan::note(Event::Completed, "done", "nothing is left of the retired keys")
}
