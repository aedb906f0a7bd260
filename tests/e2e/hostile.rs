//! The same job against a sandbox that does what it can to spoil it.

use sap_sandbox::scenario::tenant::TenantPlan;
use sap_sandbox::scenario::{Hostility, Scenario};

use crate::fleet::{Fleet, Knobs};
use crate::{prompt, quick};

/// Rotates three tenants on a hostile sandbox, with pushes so that no backoff takes hours.
async fn survive(seed: u64) {
    let plans = ["one", "two", "three"].map(|id| TenantPlan::new(id).aged(345).with(prompt()));
    let scenario = Scenario { seed, hostility: Hostility::Safety, ..quick(Scenario::of(plans)) };
    let fleet = Fleet::new(scenario, Knobs { names_keys: true, deadline: "40 s", ..Knobs::default() }).await;
    let rekeyd = fleet.start().await;
    for tenant in ["one", "two", "three"] {
        fleet
            .until(tenant, "rotated", |status| {
                rekeyd.signal("USR1");
                // The deadline is short, so that a consumer may look stuck: nothing is lost, and a person goes on.
                if status.halt.as_ref().is_some_and(|halt| halt.code == "indeterminate") {
                    fleet.ask(&["resume", &status.credential.to_string()]);
                }
                status.last_success_at.is_some() && status.phase == "settled"
            })
            .await;
    }
    let books = fleet.sandbox.books();
    println!("hostile: seed={seed} {books:?}");
    assert!(!fleet.log().contains("panicked"));
    fleet.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_one() {
    survive(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_two() {
    survive(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_three() {
    survive(3).await;
}
