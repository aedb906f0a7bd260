//! The hostile modes: everything unpleasant turns up, and a stubborn client still gets its way.

use std::collections::BTreeSet;

use reqwest::Method;
use sap_sandbox::request::Operation;
use sap_sandbox::scenario::tenant::TenantPlan;
use sap_sandbox::scenario::{Hostility, Scenario};
use sap_sandbox::world::change::Change;
use sap_sandbox::world::key::Maker;
use serde_json::Value;

use crate::client::{Client, http};

async fn hostile(seed: u64) -> Client {
    let scenario = Scenario { seed, hostility: Hostility::Safety, ..Scenario::of([TenantPlan::new("acme")]) };
    let sandbox = sap_sandbox::Sandbox::start(scenario).await.unwrap();
    let (http, access) = (http(&sandbox.ca_pem, None), sandbox.access("acme").unwrap());
    Client { sandbox, http, access, token: String::new() }
}

/// Asks for the list until it has been answered `times` times, with a new token whenever it is needed.
async fn lists(client: &mut Client, times: usize) -> Vec<Value> {
    let mut found = Vec::new();
    while found.len() < times {
        let reply = client.cf(Method::GET, "/v3/service_credential_bindings?per_page=5000").send().await;
        match reply {
            Ok(reply) if reply.status() == 200 => found.extend(reply.json().await.ok()),
            Ok(reply) if reply.status() == 401 => {
                if let Ok(body) = log_in(client).await {
                    body["access_token"].as_str().unwrap_or_default().clone_into(&mut client.token);
                }
            }
            _ => {}
        }
    }
    found
}

async fn log_in(client: &Client) -> reqwest::Result<Value> {
    let form = [
        ("grant_type", "password"),
        ("username", &client.access.user),
        ("password", &client.access.password),
    ];
    let url = format!("{}/uaa/oauth/token", client.sandbox.https_base);
    client.http.post(url).basic_auth("cf", Some("")).form(&form).send().await?.json().await
}

#[tokio::test]
async fn every_kind_of_fault_turns_up() {
    let mut client = hostile(1).await;
    let found = lists(&mut client, 300).await;
    assert!(found.iter().all(|page| page["resources"].as_array().unwrap().len() <= 3), "pages are small");
    let calls = client.sandbox.calls(0);
    let faults: BTreeSet<String> = calls.iter().flat_map(|call| call.faults.clone()).collect();
    for expected in ["status 429", "status 500", "html 502", "lost reply", "truncated"] {
        assert!(faults.contains(expected), "{expected} is missing from {faults:?}");
    }
    let refused =
        calls.iter().filter(|call| call.operation == Operation::ListKeys && call.status == Some(401));
    assert!(refused.count() > 5, "good tokens are refused now and then");
    let makers: Vec<Maker> =
        client.sandbox.books().tenants["acme"].keys.iter().map(|key| key.made_by).collect();
    assert!(makers.contains(&Maker::Foreign) && makers.contains(&Maker::App));
}

#[tokio::test]
async fn the_same_seed_is_unpleasant_in_the_same_way() {
    let mut seen = Vec::new();
    for seed in [3, 3, 4] {
        let mut client = hostile(seed).await;
        lists(&mut client, 100).await;
        let calls: Vec<_> =
            client.sandbox.calls(0).into_iter().map(|call| (call.status, call.faults)).collect();
        seen.push(calls);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
}

#[tokio::test]
async fn hostility_can_be_ended() {
    let mut client = hostile(5).await;
    lists(&mut client, 1).await;
    client.sandbox.change(Change::Hostility { mode: Hostility::Kind }).unwrap();
    let before = client.sandbox.books().calls;
    lists(&mut client, 50).await;
    let calls = client.sandbox.calls(before);
    assert!(calls.iter().all(|call| call.faults.is_empty()));
    assert!(!client.sandbox.books().hostile);
}
