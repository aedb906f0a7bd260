//! Commands that wait: what they show meanwhile, and that a second one follows the same rotation.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output};

use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::tenant::TenantPlan;

use crate::fleet::{Fleet, Knobs};
use crate::{prompt, quick};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Reads what a command prints up to a line with `wanted` in it.
fn read_until(child: &mut Child, wanted: &str) {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let found = lines.any(|line| line.unwrap().contains(wanted));
    assert!(found, "`{wanted}` is not said");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_shown_what_for_and_a_second_one_follows_the_same_rotation() {
    let plans = ["first", "second"].map(|id| TenantPlan::new(id).aged(20).with(prompt()));
    let knobs = Knobs { soak: "10 s", rules: "canary = true", ..Knobs::default() };
    // Kind: the rotation of the canary ends well.
    let fleet = Fleet::new(quick(Scenario::of(plans)).kindly(), knobs).await;
    let _rekeyd = fleet.start().await;
    for tenant in ["first", "second"] {
        fleet.until(tenant, "looked at", |status| status.phase == "settled").await;
    }
    let canary = fleet.begin(&["rotate", "first/dataplane", "--wait"]);
    fleet.until("first", "soaking", |status| status.phase == "soaking").await;
    let again = fleet.begin(&["rotate", "first/dataplane", "--wait"]);
    let mut behind = fleet.begin(&["rotate", "second/dataplane", "--wait"]);
    read_until(&mut behind, "it is written down, and waits for");
    read_until(&mut behind, "it waits: asked for, and the gate `share` is closed");
    let interrupt = Command::new("kill").args(["-s", "INT", &behind.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let detached = behind.wait_with_output().unwrap();
    assert_eq!(detached.status.code(), Some(75));
    assert!(said(&detached).contains("detached: what was asked for goes on"), "{}", said(&detached));
    let taken = fleet.ask(&["rotate", "--withdraw", "second/dataplane"]);
    assert_eq!(taken.status.code(), Some(0), "{}", said(&taken));
    for (child, what) in [(canary, "the soak is over"), (again, "it is followed")] {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains(what), "{}", said(&output));
        assert!(said(&output).contains("is settled with fresh keys"), "{}", said(&output));
    }
    let begun = |tenant| fleet.events(tenant).iter().filter(|event| **event == "begun").count();
    assert_eq!((begun("first"), begun("second")), (1, 0));
    fleet.assert_clean();
}
