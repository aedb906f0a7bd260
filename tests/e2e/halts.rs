//! Consumers that lie, hang or have no endpoint.

use sap_sandbox::world::change::Change;

use crate::fleet::{Fleet, Knobs};
use crate::{one, prompt};

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_ignores_the_put_loses_only_its_first_ciapi() {
    let mut dataplane = prompt();
    dataplane.ignore_put = true;
    // Kind: the deletion and the deliveries are counted.
    let fleet = Fleet::new(one(dataplane).kindly(), Knobs::default()).await;
    let rekeyd = fleet.start().await;
    let status = fleet.until_halted("acme").await;
    let halt = status.halt.unwrap();
    assert_eq!(halt.code, "exclusion-failed", "{halt:?}");
    assert!(halt.remedy.contains("rekeyd resume acme/dataplane"), "{halt:?}");
    let books = fleet.sandbox.books();
    assert_eq!(
        (books.lockouts, books.unproven_deletions, books.ciapi_deleted_while_held),
        (0, 0, 1),
        "{books:#?}"
    );
    let events = fleet.events("acme");
    assert_eq!(events.iter().filter(|event| **event == "delete-sent").count(), 1, "{events:?}");
    assert_eq!(
        events.iter().filter(|event| **event == "delivered").count(),
        2,
        "it is delivered once more: {events:?}"
    );
    // The halt survives a restart.
    rekeyd.kill();
    let _rekeyd = fleet.start().await;
    assert_eq!(fleet.until_halted("acme").await.halt.unwrap().code, "exclusion-failed");
    assert_eq!(fleet.sandbox.books().lockouts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_ignores_the_put_is_found_out_among_faults() {
    let mut dataplane = prompt();
    dataplane.ignore_put = true;
    let fleet = Fleet::new(one(dataplane), Knobs::default()).await;
    let _rekeyd = fleet.start().await;
    fleet.until_halted_with("acme", "exclusion-failed").await;
    fleet.assert_safe();
    assert_eq!(fleet.sandbox.books().ciapi_deleted_while_held, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_endpoint_halts_with_the_instruction_and_confirm_ends_it() {
    let mut dataplane = prompt();
    dataplane.put_status = Some(404);
    let fleet = Fleet::new(one(dataplane), Knobs::default()).await;
    let _rekeyd = fleet.start().await;
    let status = fleet.until_halted_with("acme", "manual-delivery").await;
    let halt = status.halt.clone().unwrap();
    let ciapi = &status.others[&rekeyd::domain::names::Role::Ciapi][0].name;
    let cirt = &status.others[&rekeyd::domain::names::Role::Cirt][0].name;
    assert!(halt.remedy.contains(ciapi) && halt.remedy.contains(cirt), "{halt:?}");
    let explained = fleet.ask(&["explain", "acme/dataplane"]);
    assert_eq!(explained.status.code(), Some(3));
    assert!(String::from_utf8(explained.stdout).unwrap().contains("rekeyd confirm acme/dataplane"));
    // The operator pastes both keys in the user interface and onboards again.
    let by_hand = Change::UiUpdate { tenant: "acme".to_owned(), ciapi: ciapi.clone(), cirt: cirt.clone() };
    fleet.sandbox.change(by_hand).unwrap();
    let confirmed = fleet.ask(&["confirm", "acme/dataplane"]);
    assert_eq!(confirmed.status.code(), Some(0), "{confirmed:?}");
    fleet.until_rotated("acme").await;
    let books = fleet.sandbox.books();
    assert_eq!((books.lockouts, books.orphans), (0, 0), "{books:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_consumer_halts_with_both_generations_alive() {
    let mut dataplane = prompt();
    dataplane.stuck = true;
    let fleet = Fleet::new(one(dataplane), Knobs { deadline: "1 s", ..Knobs::default() }).await;
    let _rekeyd = fleet.start().await;
    fleet.until_halted_with("acme", "indeterminate").await;
    let books = fleet.sandbox.books();
    assert_eq!((books.lockouts, books.unproven_deletions), (0, 0));
    assert!(!fleet.events("acme").contains(&"delete-sent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_puts_the_old_credential_back_during_the_soak() {
    // Kind: there are exactly two deliveries.
    let knobs = Knobs { soak: "1 h", token_life: "1 s", ..Knobs::default() };
    let fleet = Fleet::new(one(prompt()).kindly(), knobs).await;
    let _rekeyd = fleet.start().await;
    fleet.until("acme", "soaking", |status| status.phase == "soaking").await;
    let output = fleet.ask(&["restore", "acme/dataplane", "--reason", "partners complain"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    fleet
        .until("acme", "soaking the other way", |status| {
            status.phase == "soaking" && fleet.events("acme").contains(&"turned-back")
        })
        .await;
    assert_eq!(fleet.sandbox.put_bodies("acme").len(), 2);
    let books = fleet.sandbox.books();
    assert_eq!((books.lockouts, books.unproven_deletions), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn instance_secrets_stop_before_any_delivery() {
    let mut scenario = one(prompt());
    scenario.cloud_foundry.instance_secret = true;
    let fleet = Fleet::new(scenario, Knobs::default()).await;
    let _rekeyd = fleet.start().await;
    fleet.until_halted_with("acme", "same-secret").await;
    assert!(fleet.sandbox.put_bodies("acme").is_empty());
    fleet.assert_clean();
}
