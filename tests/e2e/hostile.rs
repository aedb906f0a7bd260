//! The same job for several tenants at once against a sandbox that does what it can to spoil it, and that stops at some
//! time or never does.

use sap_sandbox::scenario::tenant::{Dataplane, TenantPlan, Vocabulary};
use sap_sandbox::scenario::{Hostility, Scenario};

use crate::fleet::{Fleet, Knobs};
use crate::{prompt, quick};

const TENANTS: [&str; 3] = ["one", "two", "three"];

/// Rotates three tenants of different kinds.
async fn survive(scenario: Scenario) {
    let consumers = [
        prompt(),
        Dataplane { vocabulary: Vocabulary::Ui, ..prompt() },
        Dataplane { redeploy_on_put: true, ..prompt() },
    ];
    let plans = TENANTS.into_iter().zip(consumers);
    let tenants = plans.map(|(id, dataplane)| TenantPlan::new(id).aged(345).with(dataplane)).collect();
    let fleet =
        Fleet::new(Scenario { tenants, ..scenario }, Knobs { deadline: "40 s", ..Knobs::default() }).await;
    let _rekeyd = fleet.start().await;
    for tenant in TENANTS {
        fleet
            .until(tenant, "rotated", |status| status.last_success_at.is_some() && status.phase == "settled")
            .await;
    }
    fleet.assert_clean();
    let books = fleet.sandbox.books();
    println!("hostile: calls={} limited={} strays={}", books.calls, books.limited, books.strays);
}

/// Faults never stop: the books stay clean.
#[tokio::test(flavor = "multi_thread")]
async fn safety() {
    survive(quick(Scenario::default())).await;
}

/// The same with another course of chances, whatever the seed of the run.
#[tokio::test(flavor = "multi_thread")]
async fn safety_with_another_seed() {
    let scenario = quick(Scenario::default());
    survive(Scenario { seed: scenario.seed + 1000, ..scenario }).await;
}

/// Faults stop: every tenant gets through.
#[tokio::test(flavor = "multi_thread")]
async fn liveness() {
    let hostility = Hostility::Liveness;
    survive(Scenario { hostility, hostile_seconds: 10, ..quick(Scenario::default()) }).await;
}
