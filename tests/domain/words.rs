//! What people read: every event, wish, halt and class has its words, and they say what to do.

use std::collections::{BTreeMap, BTreeSet};

use rekeyd::domain::event::{Entry, Event, Trigger, Wish};
use rekeyd::domain::evidence::{Baseline, Basis, Evidence, Grade};
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::fleet::Pass;
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::key::{Key, KeySet};
use rekeyd::domain::names::{KeyId, KeyName, Role, RotationId};
use rekeyd::domain::observation::{Seen, Verdict};
use rekeyd::domain::stage::Phase;
use rekeyd::domain::story::{Teller, tell};

use super::{at, credential, policy};

fn name(text: &str) -> KeyName {
    KeyName(text.to_owned())
}

fn key(text: &str) -> Key {
    Key { id: KeyId(text.to_owned()), name: name(text), created_at: None, expires_at: None }
}

fn halts() -> Vec<HaltReason> {
    let detail = || "it says no".to_owned();
    vec![
        HaltReason::DuplicateName { role: Role::Ciapi, name: name("twice"), found: 2 },
        HaltReason::ManualDelivery { keys: vec![name("fresh-a"), name("fresh-b")] },
        HaltReason::Indeterminate,
        HaltReason::ExclusionFailed { detail: detail() },
        HaltReason::ConsumerChanged { deployed_at: at("2026-01-01T00:00:00Z") },
        HaltReason::RestoreFailed { detail: detail() },
        HaltReason::OldKeyStillWorks { role: Role::Cirt },
        HaltReason::SameSecret { role: Role::Cirt },
        HaltReason::LiveKeyGone { role: Role::Cirt, name: name("gone") },
        HaltReason::NewerGeneration { name: name("newer") },
        HaltReason::PinMismatch { what: "issuer `a`, now `b`".to_owned() },
        HaltReason::AttemptsExhausted { step: "create".to_owned(), cause: detail() },
        HaltReason::CyclesExhausted { cycles: 3, cause: detail() },
        HaltReason::TimeInStage { stage: "delivering".to_owned() },
        HaltReason::NoWayBack { why: detail() },
    ]
}

#[test]
fn every_halt_says_what_ends_it() {
    let mut codes = BTreeSet::new();
    for halt in halts() {
        assert!(codes.insert(halt.code()), "{halt:?}");
        let remedy = halt.remedy(&credential());
        let command = ["resume", "confirm"]
            .iter()
            .any(|verb| remedy.contains(&format!("`rekeyd {verb} acme/dataplane`")));
        assert!(command, "{remedy}");
        assert!(!halt.to_string().is_empty() && !halt.to_string().ends_with('.'), "{halt}");
    }
    assert!(halts()[1].remedy(&credential()).contains("`fresh-a` and `fresh-b`"));
}

#[test]
fn every_event_is_told() {
    let keys = KeySet::from([(Role::Ciapi, key("first"))]);
    let evidence = Evidence {
        grade: Grade::Acted,
        basis: Basis::Deployment,
        reached_at: at("2026-01-01T00:00:00Z"),
        renewed_at: at("2026-01-01T00:00:00Z"),
        deployed_at: None,
    };
    let failure = Failure::new(Class::Timeout, "no answer within 30 s");
    let reason = || "drill".to_owned();
    let check = |event: Event, expected: &str| {
        let text = tell(&event);
        assert!(text.contains(expected), "{}: {text}", event.name());
    };
    check(
        Event::Adopted {
            live: keys,
            generation: 0,
            pin: policy().pin,
            others: std::collections::BTreeMap::new(),
        },
        "`first`",
    );
    check(Event::Pushed, "backoff is over");
    let names = BTreeMap::from([(Role::Cirt, name("fresh"))]);
    let rotation = RotationId::new(&credential(), 3, 7);
    assert!(rotation.to_string().contains("-g3-"));
    check(
        Event::Begun { rotation, trigger: Trigger::Command, generation: 3, names, reason: reason() },
        "(command; drill)",
    );
    check(Event::CreateSent { role: Role::Cirt }, "a fresh `cirt` key is asked for");
    check(Event::Made { role: Role::Cirt, key: key("fresh") }, "`fresh` exists");
    check(Event::Tested { role: Role::Ciapi, grade: Grade::Read }, "(evidence 2)");
    check(Event::SameSecret { role: Role::Ciapi }, "the secret of the old one");
    check(Event::Ready { baseline: Baseline::default() }, "the delivery begins");
    check(Event::Delivered { upstream_at: None }, "accepted the credential");
    check(Event::ProvisionSent, "is asked to provision");
    check(Event::Provisioned { baseline: Baseline::default(), upstream_at: None }, "accepted to provision");
    check(Event::CannotProvision, "cannot be asked");
    check(Event::Resting, "once more");
    check(Event::Rested { baseline: Baseline::default() }, "only what it does now counts");
    check(Event::Moving, "under way");
    check(Event::Proven { evidence }, "(evidence 4): the integration content was deployed again");
    check(Event::Renewed { verdict: Some(Verdict::Success) }, "every key in use works");
    check(Event::RetireBegun, "the old keys go");
    check(
        Event::DeleteSent { role: Role::Cirt, name: name("old"), permit: "because".to_owned() },
        "`old` is asked for: because",
    );
    check(Event::Gone { role: Role::Cirt, name: name("old") }, "`old` is gone");
    check(Event::Probed { role: Role::Cirt, refused: Some(true) }, "as it must be");
    check(Event::Probed { role: Role::Cirt, refused: Some(false) }, "still gets a token");
    check(Event::Probed { role: Role::Cirt, refused: None }, "no longer known");
    check(Event::Left { role: Role::Cirt, name: name("old") }, "stays");
    check(Event::ExclusionFailed { detail: reason() }, "without the old key: drill");
    check(Event::TurnedBack { why: reason(), baseline: Baseline::default() }, "turns back: drill");
    check(Event::Completed, "is over");
    let retry_at = at("2026-01-01T00:00:05Z");
    check(
        Event::StepFailed { step: "create".to_owned(), failure, retry_at },
        "no answer within 30 s; again at 2026-01-01T00:00:05Z",
    );
    check(Event::Halted(HaltReason::Indeterminate), "halted: ");
    let wishes = [
        (
            Wish::Rotate { trigger: Trigger::Signal, reason: reason(), pass: Pass::default() },
            "(signal): drill",
        ),
        (Wish::Withdraw { reason: reason() }, "is withdrawn: drill"),
        (Wish::Restore { reason: reason() }, "asked back: drill"),
        (Wish::Hold { until: None, reason: reason() }, "until it is lifted: drill"),
        (Wish::Hold { until: Some(retry_at), reason: reason() }, "until 2026-01-01T00:00:05Z"),
        (Wish::Unhold, "lifted"),
        (Wish::Resume, "tried again"),
        (Wish::Confirm, "by hand"),
    ];
    for (wish, expected) in wishes {
        check(Event::Wished(wish), expected);
    }
}

#[test]
fn a_rotation_that_turned_back_is_told_with_the_sets_swapped() {
    let mut teller = Teller::default();
    let mut check = |event: Event, expected: &str| {
        let credential = "acme/dataplane".parse().unwrap();
        let entry = Entry { sequence: 1, at: at("2026-01-01T00:00:00Z"), credential, event };
        let text = teller.tell(&entry);
        assert!(text.contains(expected), "{}: {text}", entry.event.name());
    };
    let works = || Event::Works { basis: Basis::Report };
    check(works(), "with every fresh key");
    check(Event::RetireBegun, "the old keys go");
    check(Event::TurnedBack { why: "drill".to_owned(), baseline: Baseline::default() }, "turns back");
    check(works(), "with every old key");
    check(Event::Delivered { upstream_at: None }, "the old keys again");
    check(Event::RetireBegun, "the fresh keys go");
    check(Event::ExclusionFailed { detail: "drill".to_owned() }, "without the fresh key");
    check(Event::Left { role: Role::Cirt, name: name("fresh") }, "the fresh `cirt` key");
    check(Event::Moving, "under way");
    check(Event::Completed, "the old keys stay in use");
    check(works(), "with every fresh key");
}

#[test]
fn labels_are_unique_words() {
    fn unique<T>(all: &[T], label: impl Fn(&T) -> &'static str) {
        let labels: BTreeSet<&str> = all.iter().map(label).collect();
        assert_eq!(labels.len(), all.len(), "{labels:?}");
        assert!(
            labels.iter().all(|label| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        );
    }
    unique(&Class::ALL, |class| class.as_str());
    unique(&Verdict::ALL, |verdict| verdict.as_str());
    unique(&Phase::ALL, |phase| phase.as_str());
    unique(&Trigger::ALL, |trigger| trigger.as_str());
    let verdicts: Vec<_> = Verdict::ALL.into_iter().filter(|verdict| verdict.is_final()).collect();
    assert_eq!(verdicts, [Verdict::Success, Verdict::Error]);
}

#[test]
fn grades_are_numbers_from_0_to_5() {
    for number in 0..=5 {
        assert_eq!(u8::from(Grade::try_from(number).unwrap()), number);
    }
    assert!(Grade::try_from(6).unwrap_err().contains("expected 0 to 5"));
}

#[test]
fn what_could_not_be_seen_is_not_known() {
    let failure = Failure::new(Class::Dns, "no such host");
    let unknown: Seen<u8> = Seen::Unknown(failure.clone());
    assert_eq!((unknown.known(), unknown.failure()), (None, Some(&failure)));
    assert_eq!((Seen::Yes(1).known(), Seen::Yes(1).failure()), (Some(&1), None));
    assert!(Seen::<u8>::NotAsked.known().is_none() && Seen::<u8>::NotAsked.failure().is_none());
    assert!(failure.ambiguous().effect_unknown);
}
