//! Each book goes off when it should, and stays clean when it should.

use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::tenant::{Dataplane, Role, TenantPlan};
use sap_sandbox::world::books::Finding;
use sap_sandbox::world::change::Change;

use crate::client::Client;

async fn with(dataplane: Dataplane) -> Client {
    Client::of(Scenario::of([TenantPlan::new("acme").with(dataplane)])).await
}

fn set(client: &Client, json: &str) {
    let mut change: serde_json::Value = serde_json::from_str(json).unwrap();
    change["change"] = "set".into();
    change["tenant"] = "acme".into();
    client.sandbox.change(serde_json::from_value(change).unwrap()).unwrap();
}

#[tokio::test]
async fn a_careful_rotation_leaves_the_books_clean() {
    let client = Client::kind().await;
    let (old_ciapi, old_cirt) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    assert_eq!(client.put(&ciapi, &cirt).await, 200);
    assert_eq!(client.deploy().await, "SUCCESS");
    assert_eq!(client.delete(&old_ciapi).await, 202);
    assert_eq!(client.deploy().await, "SUCCESS");
    assert_eq!(client.delete(&old_cirt).await, 202);

    let books = client.sandbox.books();
    assert!(books.entries.is_empty(), "{:?}", books.entries);
    assert_eq!((books.lockouts, books.orphans, books.unproven_deletions, books.dead_ciapi), (0, 0, 0, 0));
    let acme = &books.tenants["acme"];
    assert_eq!(acme.max_live[&Role::Ciapi], 2);
    assert_eq!(acme.live[&Role::Ciapi], 1);
    assert_eq!(acme.held[&Role::Cirt].as_deref(), Some("rekeyd-cirt-g1"));
    assert_eq!(acme.deployed, acme.held);
    assert_eq!(acme.keys.iter().filter(|key| key.deleted_at.is_some()).count(), 2);
}

#[tokio::test]
async fn deleting_the_held_cirt_is_a_lockout() {
    let client = Client::kind().await;
    let (_, old_cirt) = client.old().await;
    client.delete(&old_cirt).await;
    let books = client.sandbox.books();
    assert_eq!((books.lockouts, books.unproven_deletions, books.dead_ciapi), (1, 1, 0));
    assert!(books.tenants["acme"].locked_out);
}

#[tokio::test]
async fn a_lockout_that_is_mended_still_counts_and_a_second_one_counts_again() {
    let client = Client::kind().await;
    let (_, old_cirt) = client.old().await;
    client.delete(&old_cirt).await;
    let (ciapi, cirt) = client.fresh(1).await;
    client.put(&ciapi, &cirt).await;
    let books = client.sandbox.books();
    assert_eq!(books.lockouts, 1);
    assert!(!books.tenants["acme"].locked_out);
    client.delete(&cirt).await;
    assert_eq!(client.sandbox.books().lockouts, 2);
}

#[tokio::test]
async fn delivering_a_secret_that_is_no_keys_is_a_lockout() {
    let client = Client::kind().await;
    let (ciapi, mut cirt) = client.old().await;
    cirt.oauth["clientsecret"] = "wrong".into();
    assert_eq!(client.put(&ciapi, &cirt).await, 200);
    let books = client.sandbox.books();
    assert_eq!((books.lockouts, books.untested_deliveries), (1, 1));
}

#[tokio::test]
async fn deleting_after_the_put_alone_is_unproven() {
    let client = Client::kind().await;
    let (old_ciapi, _) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    client.put(&ciapi, &cirt).await;
    client.delete(&old_ciapi).await;
    let books = client.sandbox.books();
    assert_eq!((books.unproven_deletions, books.lockouts), (1, 0));
    assert_eq!(books.entries[0].finding, Finding::UnprovenDeletion);
    assert_eq!(books.entries[0].key.as_deref(), Some("ciapi-1"));
}

#[tokio::test]
async fn a_run_in_progress_proves_nothing() {
    let client = Client::kind().await;
    let (old_ciapi, _) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    client.put(&ciapi, &cirt).await;
    client.dsi(reqwest::Method::POST, "dataplane", None).await;
    client.delete(&old_ciapi).await;
    assert_eq!(client.sandbox.books().unproven_deletions, 1);
}

#[tokio::test]
async fn a_stale_success_proves_nothing() {
    let client = with(Dataplane { stale_polls: 1, ..Dataplane::default() }).await;
    let (old_ciapi, _) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    client.put(&ciapi, &cirt).await;
    assert_eq!(client.deploy().await, "SUCCESS", "of the run before");
    client.delete(&old_ciapi).await;
    assert_eq!(client.sandbox.books().unproven_deletions, 1);
}

#[tokio::test]
async fn the_old_cirt_needs_the_proof_by_exclusion() {
    let client = Client::kind().await;
    let (old_ciapi, old_cirt) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    client.put(&ciapi, &cirt).await;
    assert_eq!(client.deploy().await, "SUCCESS");
    client.delete(&old_ciapi).await;
    client.delete(&old_cirt).await;
    let books = client.sandbox.books();
    assert_eq!((books.unproven_deletions, books.lockouts), (1, 0));
    assert_eq!(books.entries[0].role, Role::Cirt);
}

#[tokio::test]
async fn the_wrong_order_is_unproven() {
    let client = Client::kind().await;
    let (_, old_cirt) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    client.put(&ciapi, &cirt).await;
    assert_eq!(client.deploy().await, "SUCCESS");
    client.delete(&old_cirt).await;
    assert_eq!(client.sandbox.books().unproven_deletions, 1);
}

#[tokio::test]
async fn a_run_that_began_before_the_deletion_excludes_nothing() {
    let client = Client::kind().await;
    let (old_ciapi, old_cirt) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    client.put(&ciapi, &cirt).await;
    assert_eq!(client.deploy().await, "SUCCESS");
    client.dsi(reqwest::Method::POST, "dataplane", None).await;
    client.delete(&old_ciapi).await;
    while client.status().await != "SUCCESS" {}
    client.delete(&old_cirt).await;
    assert_eq!(client.sandbox.books().unproven_deletions, 1);
}

#[tokio::test]
async fn without_redeployments_a_proven_pair_is_enough() {
    let client =
        with(Dataplane { redeploy_allowed: false, redeploy_on_put: true, ..Dataplane::default() }).await;
    let (old_ciapi, old_cirt) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    client.put(&ciapi, &cirt).await;
    while client.status().await != "SUCCESS" {}
    client.delete(&old_ciapi).await;
    client.delete(&old_cirt).await;
    assert!(client.sandbox.books().entries.is_empty());
}

#[tokio::test]
async fn a_consumer_that_ignores_the_put_is_found_out_at_the_price_of_deployments() {
    let client = with(Dataplane { ignore_put: true, ..Dataplane::default() }).await;
    let (old_ciapi, old_cirt) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    assert_eq!(client.put(&ciapi, &cirt).await, 200);
    assert_eq!(client.deploy().await, "SUCCESS", "with the old pair");
    client.delete(&old_ciapi).await;
    assert_eq!(client.deploy().await, "ERROR");
    let books = client.sandbox.books();
    assert_eq!(books.ciapi_deleted_while_held, 1, "{:?}", books.entries);
    assert_eq!((books.unproven_deletions, books.lockouts, books.dead_ciapi), (0, 0, 1));
    assert_eq!(books.orphans, 2, "the fresh pair is of no use yet");

    client.delete(&old_cirt).await;
    let books = client.sandbox.books();
    assert_eq!((books.unproven_deletions, books.lockouts), (1, 1));
}

#[tokio::test]
async fn an_ignored_put_without_a_run_excuses_nothing() {
    let client = with(Dataplane { ignore_put: true, ..Dataplane::default() }).await;
    let (old_ciapi, _) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    client.put(&ciapi, &cirt).await;
    client.delete(&old_ciapi).await;
    let books = client.sandbox.books();
    assert_eq!((books.unproven_deletions, books.ciapi_deleted_while_held), (1, 0));
}

#[tokio::test]
async fn deleting_the_held_ciapi_for_no_reason_is_unproven() {
    let client = Client::kind().await;
    let (old_ciapi, _) = client.old().await;
    client.delete(&old_ciapi).await;
    let books = client.sandbox.books();
    assert_eq!((books.unproven_deletions, books.ciapi_deleted_while_held, books.dead_ciapi), (1, 0, 1));
}

#[tokio::test]
async fn keys_that_never_left_the_house_are_orphans_until_they_are_deleted() {
    let client = Client::kind().await;
    let (ciapi, cirt) = client.fresh(1).await;
    assert_eq!(client.sandbox.books().orphans, 2);
    client.delete(&ciapi).await;
    client.delete(&cirt).await;
    let books = client.sandbox.books();
    assert_eq!((books.orphans, books.unproven_deletions), (0, 0));
}

#[tokio::test]
async fn a_pair_given_back_is_not_to_be_deleted_before_the_old_one_is_proven_again() {
    for proven in [false, true] {
        let client = Client::kind().await;
        let (old_ciapi, old_cirt) = client.old().await;
        let (ciapi, cirt) = client.fresh(1).await;
        client.put(&ciapi, &cirt).await;
        client.put(&old_ciapi, &old_cirt).await;
        if proven {
            assert_eq!(client.deploy().await, "SUCCESS");
        }
        client.delete(&ciapi).await;
        assert_eq!(client.sandbox.books().unproven_deletions, u64::from(!proven));
    }
}

#[tokio::test]
async fn a_failed_run_proves_nothing() {
    let client = with(Dataplane { fail_first: 1, ..Dataplane::default() }).await;
    let (old_ciapi, _) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    client.put(&ciapi, &cirt).await;
    assert_eq!(client.deploy().await, "ERROR");
    client.delete(&old_ciapi).await;
    assert_eq!(client.sandbox.books().unproven_deletions, 1);
    assert_eq!(client.deploy().await, "SUCCESS");
}

#[tokio::test]
async fn half_a_put_locks_out_whoever_trusts_it() {
    let client = with(Dataplane { put_only: Some(Role::Ciapi), ..Dataplane::default() }).await;
    let (old_ciapi, old_cirt) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    client.put(&ciapi, &cirt).await;
    assert_eq!(client.deploy().await, "SUCCESS");
    client.delete(&old_ciapi).await;
    assert_eq!(client.deploy().await, "SUCCESS");
    client.delete(&old_cirt).await;
    let books = client.sandbox.books();
    assert_eq!((books.lockouts, books.unproven_deletions), (1, 1));
}

#[tokio::test]
async fn a_deletion_by_hand_locks_out_but_is_not_the_clients() {
    let client = Client::kind().await;
    let (tenant, name) = ("acme".to_owned(), "cirt-1".to_owned());
    client.sandbox.change(Change::DeleteKey { tenant, role: Role::Cirt, name }).unwrap();
    let books = client.sandbox.books();
    assert_eq!((books.lockouts, books.unproven_deletions), (1, 0));
    assert_eq!(books.entries[0].cause, "by hand");
    assert!(books.writes.is_empty());
}

#[tokio::test]
async fn foreign_keys_are_nobodys_to_delete() {
    let client = Client::kind().await;
    let (tenant, name) = ("acme".to_owned(), "reporting".to_owned());
    client.sandbox.change(Change::AddForeignKey { tenant, role: Role::Cirt, name, age_days: 9 }).unwrap();
    let foreign = client.find(Role::Cirt, "reporting").await.unwrap();
    assert_eq!(client.sandbox.books().max_live[&Role::Cirt], 1);
    client.delete(&foreign).await;
    let books = client.sandbox.books();
    assert_eq!((books.foreign_deletions, books.unproven_deletions, books.orphans), (1, 0, 0));
}

#[tokio::test]
async fn the_manual_way_proves_as_well() {
    let client = with(Dataplane { put_status: Some(404), ..Dataplane::default() }).await;
    let (old_ciapi, old_cirt) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    assert_eq!(client.put(&ciapi, &cirt).await, 404);
    let name = |name: &str| name.to_owned();
    let change = Change::UiUpdate {
        tenant: name("acme"),
        ciapi: name("rekeyd-ciapi-g1"),
        cirt: name("rekeyd-cirt-g1"),
    };
    client.sandbox.change(change).unwrap();
    while client.status().await != "SUCCESS" {}
    client.delete(&old_ciapi).await;
    assert_eq!(client.deploy().await, "SUCCESS");
    client.delete(&old_cirt).await;
    assert!(client.sandbox.books().entries.is_empty());
}

#[tokio::test]
async fn a_stuck_run_goes_on_when_it_is_freed() {
    let client = with(Dataplane { stuck: true, polls: 1, ..Dataplane::default() }).await;
    client.dsi(reqwest::Method::POST, "dataplane", None).await;
    for _ in 0..5 {
        assert_eq!(client.status().await, "DEPLOYING");
    }
    set(&client, r#"{"stuck":false}"#);
    assert_eq!(client.status().await, "SUCCESS");
    set(&client, r#"{"fail_next":1}"#);
    assert_eq!(client.deploy().await, "ERROR");
}

#[tokio::test]
async fn where_only_the_cirt_is_exchanged_there_is_nothing_to_exclude() {
    let client = Client::kind().await;
    let (old_ciapi, old_cirt) = client.old().await;
    let (ciapi, cirt) = client.fresh(1).await;
    client.put(&old_ciapi, &cirt).await;
    assert_eq!(client.deploy().await, "SUCCESS");
    client.delete(&old_cirt).await;
    client.delete(&ciapi).await;
    let books = client.sandbox.books();
    assert!(books.entries.is_empty(), "{:?}", books.entries);
}
