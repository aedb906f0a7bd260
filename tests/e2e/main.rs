//! The real process against the sandbox: real HTTP, real signals, real kills.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fleet;
mod halts;
mod hostile;
mod inputs;
mod kill;
mod metrics;
mod notify;
mod rotation;
mod signals;

use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::tenant::{Dataplane, TenantPlan};

/// One due tenant.
pub(crate) fn one(dataplane: Dataplane) -> Scenario {
    quick(Scenario::of([TenantPlan::new("acme").aged(345).with(dataplane)]))
}

/// Token lives as short as the knobs say.
pub(crate) fn quick(mut scenario: Scenario) -> Scenario {
    scenario.token_lives.ciapi = 1;
    scenario.token_lives.cirt = 1;
    scenario
}

/// A consumer whose runs end quickly.
pub(crate) fn prompt() -> Dataplane {
    Dataplane { polls: 1, milliseconds: 0, ..Dataplane::default() }
}
