//! At least one sample of every event, wish and halt. A new variant without a sample does not compile.

use std::collections::BTreeMap;

use crate::domain::Timestamp;
use crate::domain::event::{Event, Trigger, Wish};
use crate::domain::evidence::{Baseline, Basis, Evidence, Grade};
use crate::domain::failure::{Class, Failure};
use crate::domain::fleet::{FleetEvent, FleetHaltReason, Pass};
use crate::domain::halt::HaltReason;
use crate::domain::key::Key;
use crate::domain::names::{CredentialId, KeyId, KeyName, Role, RotationId};
use crate::domain::observation::{Content, Status, Verdict};
use crate::domain::policy::Pin;

/// Makes a list of samples from patterns with their samples. The patterns must cover the type, and every sample
/// must fit its pattern.
macro_rules! samples {
    ($(#[$doc:meta])* $name:ident: $type:ty { $($pattern:pat => [$($sample:expr),+ $(,)?]),+ $(,)? }) => {
        $(#[$doc])*
        pub(super) fn $name() -> Vec<$type> {
            let covers_every_variant = |sample: &$type| match sample {
                $($pattern => (),)+
            };
            let mut all = Vec::new();
            $($(
                let sample: $type = $sample;
                assert!(matches!(sample, $pattern), "{sample:?} stands beside the wrong pattern");
                covers_every_variant(&sample);
                all.push(sample);
            )+)+
            all
        }
    };
}

samples! {
    /// Every wish.
    wishes: Wish {
        Wish::Rotate { .. } => [Wish::Rotate { trigger: Trigger::Command, reason: text(), pass: Pass { fuse: true, emergency: true } }],
        Wish::Withdraw { .. } => [Wish::Withdraw { reason: text() }],
        Wish::Restore { .. } => [Wish::Restore { reason: text() }],
        Wish::Hold { .. } => [
            Wish::Hold { until: None, reason: text() },
            Wish::Hold { until: Some(instant()), reason: text() },
            Wish::Hold { until: Some(Timestamp::MAX_UTC), reason: text() },
        ],
        Wish::Unhold => [Wish::Unhold],
        Wish::Resume => [Wish::Resume],
        Wish::Confirm => [Wish::Confirm],
    }
}

samples! {
    /// Every reason to halt.
    halts: HaltReason {
        HaltReason::DuplicateName { .. } => [HaltReason::DuplicateName { role: Role::Cirt, name: name(), found: 2 }],
        HaltReason::ManualDelivery { .. } => [HaltReason::ManualDelivery { keys: vec![name(), name()] }],
        HaltReason::HandOver { .. } => [HaltReason::HandOver { keys: vec![name()] }],
        HaltReason::Indeterminate => [HaltReason::Indeterminate],
        HaltReason::ExclusionFailed { .. } => [HaltReason::ExclusionFailed { detail: text() }],
        HaltReason::ConsumerChanged { .. } => [HaltReason::ConsumerChanged { deployed_at: instant() }],
        HaltReason::RestoreFailed { .. } => [HaltReason::RestoreFailed { detail: text() }],
        HaltReason::OldKeyStillWorks { .. } => [HaltReason::OldKeyStillWorks { role: Role::Ciapi }],
        HaltReason::SameSecret { .. } => [HaltReason::SameSecret { role: Role::Ciapi }],
        HaltReason::LiveKeyGone { .. } => [HaltReason::LiveKeyGone { role: Role::Cirt, name: name() }],
        HaltReason::NewerGeneration { .. } => [HaltReason::NewerGeneration { name: name() }],
        HaltReason::OldJournal => [HaltReason::OldJournal],
        HaltReason::PinMismatch { .. } => [HaltReason::PinMismatch { what: text() }],
        HaltReason::AttemptsExhausted { .. } => [HaltReason::AttemptsExhausted { step: text(), cause: text() }],
        HaltReason::CyclesExhausted { .. } => [HaltReason::CyclesExhausted { cycles: 3, cause: text() }],
        HaltReason::TimeInStage { .. } => [HaltReason::TimeInStage { stage: text() }],
        HaltReason::NoWayBack { .. } => [HaltReason::NoWayBack { why: text() }],
    }
}

samples! {
    /// Every event but the wishes and halts beyond their first.
    plain_events: Event {
        Event::Adopted { .. } => [Event::Adopted { live: by_role(key()), generation: 7, pin: pin(), others: BTreeMap::from([(name(), Role::Cirt)]) }],
        Event::Wished(_) => [Event::Wished(Wish::Confirm)],
        Event::Pushed => [Event::Pushed],
        Event::ClockSetBack => [Event::ClockSetBack],
        Event::Begun { .. } => [Event::Begun {
            rotation: RotationId::new(&credential(), 8, 42),
            trigger: Trigger::Schedule,
            generation: 8,
            names: by_role(name()),
            reason: text(),
        }],
        Event::CreateSent { .. } => [Event::CreateSent { role: Role::Ciapi }],
        Event::Made { .. } => [
            Event::Made { role: Role::Ciapi, key: key() },
            Event::Made { role: Role::Cirt, key: Key { created_at: None, expires_at: None, ..key() } },
        ],
        Event::Tested { .. } => [
            Event::Tested { role: Role::Ciapi, grade: Grade::Nothing },
            Event::Tested { role: Role::Ciapi, grade: Grade::Excluded },
        ],
        Event::SameSecret { .. } => [Event::SameSecret { role: Role::Cirt }],
        Event::Ready { .. } => [
            Event::Ready { baseline: Baseline::default() },
            Event::Ready { baseline: baseline() },
        ],
        Event::Delivered { .. } => [
            Event::Delivered { upstream_at: None },
            Event::Delivered { upstream_at: Some(instant()) },
        ],
        Event::HandedOver { .. } => [Event::HandedOver { keys: vec![name(), name()], instruction: text() }],
        Event::ProvisionSent => [Event::ProvisionSent],
        Event::Provisioned { .. } => [Event::Provisioned { baseline: baseline(), upstream_at: Some(instant()) }],
        Event::CannotProvision => [Event::CannotProvision],
        Event::Resting => [Event::Resting],
        Event::Rested { .. } => [Event::Rested { baseline: Baseline::default() }],
        Event::Moving => [Event::Moving],
        Event::Works { .. } => [Event::Works { basis: Basis::Report }],
        Event::Falters { .. } => [Event::Falters { detail: text() }],
        Event::Fleet(_) => [
            Event::Fleet(FleetEvent::Admitted {
                credential: credential(),
                pass: Pass { fuse: true, emergency: false },
                window_overridden: true,
                release: text(),
            }),
            Event::Fleet(FleetEvent::Halted(FleetHaltReason::CanaryFailed { credential: credential(), cause: text() })),
            Event::Fleet(FleetEvent::Halted(FleetHaltReason::TooManyFailures { failed: 1, of: 5, cause: text() })),
            Event::Fleet(FleetEvent::Halted(FleetHaltReason::LockOut { credential: credential(), cause: text() })),
            Event::Fleet(FleetEvent::Resumed { reason: text() }),
        ],
        Event::Proven { .. } => [Event::Proven { evidence: evidence() }],
        Event::Renewed { .. } => [
            Event::Renewed { verdict: None },
            Event::Renewed { verdict: Some(Verdict::InProgress) },
        ],
        Event::RetireBegun => [Event::RetireBegun],
        Event::DeleteSent { .. } => [Event::DeleteSent { role: Role::Ciapi, name: name(), permit: text() }],
        Event::Gone { .. } => [Event::Gone { role: Role::Ciapi, name: name() }],
        Event::Probed { .. } => [
            Event::Probed { role: Role::Ciapi, refused: None },
            Event::Probed { role: Role::Ciapi, refused: Some(true) },
            Event::Probed { role: Role::Cirt, refused: Some(false) },
        ],
        Event::Left { .. } => [Event::Left { role: Role::Cirt, name: name() }],
        Event::ExclusionFailed { .. } => [Event::ExclusionFailed { detail: text() }],
        Event::TurnedBack { .. } => [Event::TurnedBack { why: text(), baseline: baseline() }],
        Event::Completed => [Event::Completed],
        Event::StepFailed { .. } => [Event::StepFailed {
            step: text(),
            failure: Failure { not_before: Some(instant()), ..Failure::new(Class::Throttled, text()).ambiguous() },
            retry_at: instant(),
        }],
        Event::Halted(_) => [Event::Halted(HaltReason::Indeterminate)],
    }
}

/// Every event, with every wish and every halt.
pub(super) fn events() -> Vec<Event> {
    let wishes = wishes().into_iter().map(Event::Wished);
    let halts = halts().into_iter().map(Event::Halted);
    plain_events().into_iter().chain(wishes).chain(halts).collect()
}

fn text() -> String {
    "two\nlines, \"quoted\", \\ and ü — \u{1F511}\u{0}".to_owned()
}

fn instant() -> Timestamp {
    Timestamp::from_timestamp(1_795_000_000, 123_456_789).expect("a year in this century")
}

fn credential() -> CredentialId {
    "acme/dataplane".parse().expect("a name")
}

fn name() -> KeyName {
    KeyName::ours(Role::Ciapi, 8, &credential(), 42)
}

fn key() -> Key {
    let id = KeyId("0f2c".to_owned());
    Key { id, name: name(), created_at: Some(instant()), expires_at: Some(Timestamp::MAX_UTC) }
}

fn by_role<T: Clone>(value: T) -> BTreeMap<Role, T> {
    Role::ALL.into_iter().map(|role| (role, value.clone())).collect()
}

fn pin() -> Pin {
    Pin { issuer: text(), places: by_role(text()), consumer: text(), in_place: false }
}

fn baseline() -> Baseline {
    let status =
        Status { verdict: Verdict::Success, word: text(), at: Some(instant()), detail: Some(text()) };
    Baseline { status: Some(status), content: Some(Content { deployed_at: Some(instant()), started: true }) }
}

fn evidence() -> Evidence {
    Evidence {
        grade: Grade::Acted,
        basis: Basis::Deployment,
        reached_at: instant(),
        renewed_at: Timestamp::UNIX_EPOCH,
        deployed_at: Some(instant()),
    }
}
