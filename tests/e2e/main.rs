//! The real process against the sandbox: real HTTP, real signals, real kills.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod discovery;
mod fleet;
mod fleet_rules;
mod halts;
mod hostile;
mod inputs;
mod local;
mod metrics;
mod notify;
mod onboarding;
mod page;
mod portal;
mod rotation;
mod service_manager;
mod signals;
mod traces;
mod waiting;
mod web;

use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::hostile::Waits;
use sap_sandbox::scenario::tenant::{Dataplane, TenantPlan};

/// The seed of every sandbox, unless `REKEYD_SEED` says otherwise. A test that fails prints it.
const SEED: u64 = 1;

/// A fiftieth of SAP's waits: a lag of 600 ms, pauses of one or two seconds, connections that live 1.2 s.
const PACE: f64 = 0.02;

/// One due tenant, on a sandbox that is hostile as it is by default.
pub(crate) fn one(dataplane: Dataplane) -> Scenario {
    quick(Scenario::of([TenantPlan::new("acme").aged(345).with(dataplane)]))
}

/// The seed of this run.
pub(crate) fn seed() -> u64 {
    std::env::var("REKEYD_SEED").map_or(SEED, |seed| seed.parse().expect("REKEYD_SEED is a number"))
}

/// The scenario at the pace of the knobs: tokens live as short as they say, and no PUT is applied later than the
/// consumer is given to settle.
pub(crate) fn quick(mut scenario: Scenario) -> Scenario {
    scenario.seed = seed();
    scenario.strict = true;
    scenario.pace = PACE;
    scenario.waits = Waits { put_seconds: 12, ..Waits::default() };
    scenario.token_lives.ciapi = 1;
    scenario.token_lives.cirt = 1;
    scenario
}

/// A consumer whose runs end quickly.
pub(crate) fn prompt() -> Dataplane {
    Dataplane { polls: 1, milliseconds: 0, ..Dataplane::default() }
}
