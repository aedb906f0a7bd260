//! What every test starts from.

use std::collections::BTreeMap;
use std::time::Duration;

use rekeyd::domain::names::{CredentialId, Role};
use rekeyd::domain::policy::{Limits, Pin, Policy, Provision, Witness};
use rekeyd::domain::window::Window;

pub(crate) fn credential() -> CredentialId {
    "acme/dataplane".parse().unwrap()
}

/// A policy with short spans, so that a walk takes few looks.
pub(crate) fn policy() -> Policy {
    Policy {
        credential: credential(),
        issuer: "cloud-foundry",
        consumer: "dataspace",
        roles: vec![Role::Ciapi, Role::Cirt],
        window: Window::DEFAULT,
        lead: Duration::from_hours(30 * 24),
        soak: Duration::from_hours(48),
        settle: Duration::from_mins(5),
        provision: Provision::WhenNeeded,
        witness: Witness::Consumer,
        deadline: Duration::from_mins(30),
        poll: Duration::from_secs(15),
        token_life: Duration::from_hours(24),
        propagation: Duration::from_mins(2),
        lag: Duration::from_mins(1),
        proofs: 1,
        proof_span: Duration::ZERO,
        spread: Duration::ZERO,
        evidence_life: Duration::from_mins(15),
        retire_foreign: true,
        in_use: BTreeMap::new(),
        limits: Limits::default(),
        pin: Pin {
            issuer: "https://api.cf.example".to_owned(),
            places: BTreeMap::from([(Role::Ciapi, "one".to_owned()), (Role::Cirt, "two".to_owned())]),
            consumer: "https://dsi.example".to_owned(),
            in_place: false,
        },
    }
}
