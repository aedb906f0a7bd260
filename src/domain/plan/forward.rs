//! Creating, testing, delivering, provisioning: the way forward.

use std::collections::BTreeMap;

use super::{Names, NextLook, Plan, Sight, Step, proving, retiring, settled};
use crate::domain::event::Event;
use crate::domain::evidence::{Baseline, Evidence, Grade, Judgement, Watch, judge};
use crate::domain::failure::{Class, Failure};
use crate::domain::halt::HaltReason;
use crate::domain::key::{KeySet, KeyState, Sighting};
use crate::domain::names::{KeyName, Role};
use crate::domain::observation::{Seen, Status, Verdict};
use crate::domain::policy::{Provision, Witness};
use crate::domain::{Timestamp, after};

pub(super) fn creating(
    sight: &Sight<'_>,
    names: &Names,
    sent: &BTreeMap<Role, Timestamp>,
    made: &KeySet,
) -> Plan {
    if let Some((step, cause)) = sight.exhausted().filter(|_| !super::refusal::by_hand(sight.record)) {
        return sight.turn_back(format!("`{step}` was refused too often: {cause}"));
    }
    if sight.overtime() {
        return sight.turn_back("creating took too long");
    }
    if let Seen::Unknown(failure) = &sight.observation.keys {
        return sight.blind("the issuer", failure);
    }
    let next = names.iter().find(|(role, _)| !made.contains_key(role));
    let (role, name) = next.expect("a stage with every key made is no longer creating");
    let Some(sightings) = sight.observation.of_role(*role) else {
        return sight.poll("not-looked", "the issuer was not looked at");
    };
    let namesakes: Vec<&Sighting> = sightings.iter().filter(|seen| seen.key.name == *name).collect();
    match namesakes.as_slice() {
        [] => create(sight, *role, name, sent),
        [only] => found(sight, *role, only),
        several => {
            Plan::halt(HaltReason::DuplicateName { role: *role, name: name.clone(), found: several.len() })
        }
    }
}

/// The name is not there. A create that was sent may still show up: a listing lags, so it is given time.
fn create(sight: &Sight<'_>, role: Role, name: &KeyName, sent: &BTreeMap<Role, Timestamp>) -> Plan {
    if let Some(sent_at) = sent.get(&role) {
        let visible = after(*sent_at, sight.policy.lag);
        if sight.now < visible {
            let at = visible.min(after(sight.now, sight.policy.poll));
            let text = format!("a create of `{name}` was sent and may show up late");
            return Plan::rest(NextLook::At(at), "may-show-up", text);
        }
    }
    Plan::go(Step::Create { role, name: name.clone() }, "create", format!("there is no key `{name}`"))
}

fn found(sight: &Sight<'_>, role: Role, seen: &Sighting) -> Plan {
    let name = &seen.key.name;
    match seen.state {
        KeyState::Ready => {
            Plan::note(Event::Made { role, key: seen.key.clone() }, "found", format!("`{name}` exists"))
        }
        KeyState::Busy => sight.poll("busy", format!("`{name}` is being made")),
        // The issuer replaces a failed key of the same name (facts: Cloud Foundry, section 5).
        KeyState::Broken => Plan::go(
            Step::Create { role, name: name.clone() },
            "create-again",
            format!("making `{name}` failed at the issuer"),
        ),
        KeyState::Deleting => sight.turn_back(format!("`{name}` is being deleted by somebody else")),
    }
}

pub(super) fn testing(
    sight: &Sight<'_>,
    live: &KeySet,
    fresh: &KeySet,
    tested: &BTreeMap<Role, Grade>,
) -> Plan {
    if let Some(Absent::Surely(role, name)) = absent(sight, fresh) {
        return sight.lost(role, &name);
    }
    if let Some((step, cause)) = refused_for_good(sight) {
        return sight.turn_back(format!("`{step}` was refused: {cause}"));
    }
    if sight.overtime() {
        return sight.turn_back("testing took too long");
    }
    if let Some((role, key)) = fresh.iter().find(|(role, _)| !tested.contains_key(role)) {
        // The one that it replaced died when it was made, and cannot be read any more.
        let old = live.get(role).filter(|_| !sight.record.pin.in_place).cloned();
        return Plan::go(
            Step::Test { role: *role, fresh: key.clone(), old },
            "test",
            format!("`{}` is untested", key.name),
        );
    }
    if let Seen::Unknown(failure) = &sight.observation.status {
        // A consumer without a status endpoint is delivered to all the same; the content is then what proves.
        if failure.class != Class::NotFound {
            return sight.blind("the consumer", failure);
        }
    }
    if let Seen::Unknown(failure) = &sight.observation.content
        && failure.class.is_passing()
    {
        return sight.blind("the integration content", failure);
    }
    let busy = sight.observation.status.known().is_some_and(|status| status.verdict == Verdict::InProgress);
    let waited = sight.now >= after(sight.record.entered_at, sight.policy.settle + sight.policy.deadline);
    if busy && !waited {
        return sight.poll("consumer-busy", "the consumer is under way with something else");
    }
    Plan::note(
        Event::Ready { baseline: Baseline::of(sight.observation) },
        "ready",
        "every fresh key works; the consumer may hold either set from here on",
    )
}

/// A refusal counts only once the time a fresh key needs to become known has passed.
fn refused_for_good(sight: &Sight<'_>) -> Option<(String, String)> {
    let known_by = after(sight.record.entered_at, sight.policy.propagation);
    sight.exhausted().filter(|_| sight.now >= known_by)
}

pub(super) fn delivering(sight: &Sight<'_>, fresh: &KeySet, baseline: &Baseline) -> Plan {
    let last = sight.record.trouble.last.as_ref();
    if last.is_some_and(|failure| failure.class == Class::NotFound) {
        let keys = fresh.values().map(|key| key.name.clone()).collect();
        return Plan::halt(HaltReason::ManualDelivery { keys });
    }
    if let Some(failure) = last.filter(|failure| failure.class == Class::ClientError) {
        // What was rejected once is not sent again: the next rotation makes fresh keys.
        return sight.turn_back(format!("the consumer rejects the fresh keys: {failure}"));
    }
    if let Some((step, cause)) = sight.exhausted() {
        // A login that is refused cannot put the old set back either.
        if last.is_some_and(|failure| failure.class.is_login()) {
            return Plan::halt(HaltReason::AttemptsExhausted { step, cause });
        }
        return sight.turn_back(format!("`{step}` was refused: {cause}"));
    }
    if sight.overtime() {
        return Plan::halt(HaltReason::TimeInStage { stage: "delivering".to_owned() });
    }
    if let Some(plan) = under_way(sight, baseline) {
        return plan;
    }
    if let Seen::Yes(sightings) = &sight.observation.keys
        && let Some(halt) = settled::double(sight.record, fresh, sightings)
    {
        return Plan::halt(halt);
    }
    match absent(sight, fresh) {
        None => Plan::go(Step::Deliver { keys: fresh.clone() }, "deliver", "the fresh keys work"),
        Some(Absent::Perhaps(plan)) => *plan,
        Some(Absent::Surely(role, name)) => sight.lost(role, &name),
    }
}

/// A run that begins before a delivery proves nothing of it, so the consumer is looked at once more right before, and
/// a run that was not under way when the stage began is written down.
pub(super) fn under_way(sight: &Sight<'_>, baseline: &Baseline) -> Option<Plan> {
    if let Seen::Unknown(failure) = &sight.observation.status
        && failure.class != Class::NotFound
    {
        return Some(sight.blind("the consumer", failure));
    }
    let runs = |status: &Status| status.verdict.may_be_under_way();
    let known = baseline.status.as_ref().is_some_and(runs);
    if known || !sight.observation.status.known().is_some_and(runs) {
        return None;
    }
    // The delivery before this one may have begun it. Where no other proof can be had, that is what is waited for.
    let unanswered = sight.record.trouble.last.as_ref().is_some_and(|failure| failure.effect_unknown);
    if unanswered && sight.policy.provision == Provision::Never {
        return None;
    }
    let event = Event::Ready { baseline: Baseline::of(sight.observation) };
    Some(Plan::note(
        event,
        "under-way",
        "the consumer may be under way with something else: such a run proves nothing",
    ))
}

/// A key that is to be delivered and was not seen at the issuer just now.
pub(super) enum Absent {
    /// It could not be seen, or may be listed late.
    Perhaps(Box<Plan>),
    /// It is gone.
    Surely(Role, KeyName),
}

/// What speaks against delivering `keys`: a consumer is given nothing that does not exist.
pub(super) fn absent(sight: &Sight<'_>, keys: &KeySet) -> Option<Absent> {
    for (role, key) in keys {
        let Some(sightings) = sight.observation.of_role(*role) else {
            let plan = match sight.observation.keys.failure() {
                Some(failure) => sight.blind("the issuer", failure),
                None => sight.poll("not-looked", "the issuer was not looked at"),
            };
            return Some(Absent::Perhaps(Box::new(plan)));
        };
        let seen = sightings.iter().any(|seen| seen.key.id == key.id && seen.state == KeyState::Ready);
        if !seen {
            let visible = after(sight.record.entered_at, sight.policy.lag);
            let late = sight.now < visible && sight.now >= sight.record.entered_at;
            let plan =
                || sight.poll("may-show-up", format!("`{}` is not listed, and may show up late", key.name));
            return Some(if late {
                Absent::Perhaps(Box::new(plan()))
            } else {
                Absent::Surely(*role, key.name.clone())
            });
        }
    }
    None
}

/// Somebody else deployed the consumer, and a person said that it is to be given the set in use again.
pub(super) fn deliver_again(sight: &Sight<'_>, fresh: &KeySet) -> Plan {
    if sight.record.trouble.last.as_ref().is_some_and(|failure| failure.class == Class::NotFound) {
        let keys = fresh.values().map(|key| key.name.clone()).collect();
        return Plan::halt(HaltReason::ManualDelivery { keys });
    }
    if let Some((step, cause)) = sight.exhausted() {
        return Plan::halt(HaltReason::AttemptsExhausted { step, cause });
    }
    match absent(sight, fresh) {
        Some(Absent::Perhaps(plan)) => return *plan,
        Some(Absent::Surely(role, name)) => {
            return Plan::halt(HaltReason::LiveKeyGone { role, name });
        }
        None => {}
    }
    let text = "somebody else deployed the consumer: it is given the keys in use again";
    retiring::unseen(sight)
        .unwrap_or_else(|| Plan::go(Step::Deliver { keys: fresh.clone() }, "deliver-again", text))
}

pub(super) fn provisioning(sight: &Sight<'_>, fresh: &KeySet, watch: &Watch) -> Plan {
    if let Some(why) = &sight.record.restore {
        return sight.turn_back(format!("a person asked for it: {why}"));
    }
    if let Some(Absent::Surely(role, name)) = absent(sight, fresh) {
        return sight.lost(role, &name);
    }
    match judge(sight.policy, watch, sight.observation, sight.now) {
        Judgement::Rests => rested(sight, watch),
        Judgement::Moves => Plan::note(Event::Moving, "moving", "the consumer is under way"),
        Judgement::Works(basis) => {
            let give_up = |step, cause| sight.turn_back(format!("`{step}` was refused: {cause}"));
            proving::works(sight, watch, fresh, basis, give_up, || {
                let evidence = Evidence::seen(Grade::Acted, basis, sight.observation, sight.now);
                Plan::note(Event::Proven { evidence }, "proven", basis.as_str())
            })
        }
        Judgement::Fails(detail) => proving::fails(sight, watch, detail, |detail| {
            sight.turn_back(format!("the consumer fails with the fresh keys: {detail}"))
        }),
        Judgement::AskForProvisioning => ask(sight),
        Judgement::AwaitsPerson => by_person(sight, fresh, watch),
        Judgement::Waiting => waiting(sight),
        Judgement::Indeterminate => sight.give_up(HaltReason::Indeterminate),
    }
}

/// Asks the consumer to provision; a refusal for good turns the rotation back.
fn ask(sight: &Sight<'_>) -> Plan {
    if let Some((step, cause)) = sight.exhausted() {
        return sight.turn_back(format!("`{step}` was refused: {cause}"));
    }
    provision(sight, "the settle time has passed and the consumer shows nothing new")
}

/// What the consumer looks like now is what news is measured by.
pub(super) fn rested(sight: &Sight<'_>, watch: &Watch) -> Plan {
    if watch.rested_at.is_none() {
        return Plan::note(Event::Resting, "resting", "the consumer was seen at rest, once");
    }
    let event = Event::Rested { baseline: Baseline::of(sight.observation) };
    half_seen(sight)
        .unwrap_or_else(|| Plan::note(event, "rested", "the consumer is at rest, and only now counts"))
}

/// A baseline is of use only where everything that can be seen was seen; what stays hidden for too long halts.
fn half_seen(sight: &Sight<'_>) -> Option<Plan> {
    let passing = |failure: &&Failure| failure.class.is_passing();
    let status = sight.observation.status.failure().filter(passing).map(|why| ("the consumer", why));
    let content = sight.observation.content.failure().filter(passing);
    let (what, failure) = status.or_else(|| content.map(|why| ("the integration content", why)))?;
    if sight.overtime() {
        return Some(Plan::halt(HaltReason::TimeInStage { stage: sight.record.stage.phase().to_string() }));
    }
    Some(sight.blind(what, failure))
}

/// Asks the consumer to provision, with what it looks like just before.
pub(super) fn provision(sight: &Sight<'_>, text: &str) -> Plan {
    if let Some(plan) = half_seen(sight) {
        return plan;
    }
    Plan::go(Step::Provision { baseline: Baseline::of(sight.observation) }, "provision", text)
}

/// Only a person can put the keys in place and say so: what is to be done is written down once, and waited for.
pub(super) fn by_person(sight: &Sight<'_>, keys: &KeySet, watch: &Watch) -> Plan {
    let Witness::Person { instruction } = &sight.policy.witness else { return waiting(sight) };
    let keys: Vec<KeyName> = keys.values().map(|key| key.name.clone()).collect();
    if watch.handed_at.is_none() {
        let event = Event::HandedOver { keys, instruction: instruction.clone() };
        return Plan::note(event, "hand-over", "only a person can say that the consumer works with the keys");
    }
    if sight.overtime() {
        return sight.give_up(HaltReason::HandOver { keys });
    }
    let names = keys.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
    let credential = &sight.record.credential;
    let or_back = if sight.burnt() {
        "; the secret before it does not work any more".to_owned()
    } else {
        format!(", or `rekeyd restore {credential}` if it does not work")
    };
    sight
        .seldom("awaits-person", format!("a person is to put {names} in place"))
        .person(format!("{names}: {instruction}; then `rekeyd confirm {credential}`{or_back}"))
}

/// Waits for the consumer, and says what it is doing.
pub(super) fn waiting(sight: &Sight<'_>) -> Plan {
    let text = match (&sight.observation.status, &sight.observation.content) {
        (Seen::Yes(status), _) => format!("the consumer reports `{}`, nothing new yet", status.word),
        (Seen::Unknown(failure), _) => format!("the consumer could not be seen: {failure}"),
        (Seen::NotAsked, _) => "the consumer was not looked at".to_owned(),
    };
    sight.poll("waiting", text)
}
