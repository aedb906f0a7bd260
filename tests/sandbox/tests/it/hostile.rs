//! The hostile modes: everything unpleasant turns up, and a stubborn client still gets its way.

use std::collections::BTreeSet;

use reqwest::Method;
use sap_sandbox::request::Operation;
use sap_sandbox::scenario::hostile::{Rates, Waits};
use sap_sandbox::scenario::tenant::{Role, TenantPlan};
use sap_sandbox::scenario::{Hostility, Scenario};
use sap_sandbox::world::key::Maker;
use serde_json::Value;

use crate::client::Client;

/// A thousandth of SAP's waits.
const PACE: f64 = 0.001;

/// More tries than any seed needs.
const TRIES: usize = 4000;

async fn hostile(seed: u64) -> Client {
    Client::playing(Scenario { seed, pace: PACE, ..Scenario::of([TenantPlan::new("acme")]) }).await
}

/// Asks for the list until it has been answered `times` times, with a new token whenever it is needed.
async fn lists(client: &mut Client, times: usize) -> Vec<Value> {
    let mut found = Vec::new();
    for _ in 0..TRIES {
        if found.len() == times {
            return found;
        }
        let reply = client.cf(Method::GET, "/v3/service_credential_bindings?per_page=5000").send().await;
        match reply {
            Ok(reply) if reply.status() == 200 => found.extend(reply.json::<Value>().await.ok()),
            Ok(reply) if reply.status() == 401 => {
                if let Ok(body) = log_in(client).await {
                    body["access_token"].as_str().unwrap_or_default().clone_into(&mut client.token);
                }
            }
            _ => {}
        }
    }
    panic!("{} of {times} lists after {TRIES} tries", found.len())
}

async fn log_in(client: &Client) -> reqwest::Result<Value> {
    let form = [
        ("grant_type", "password"),
        ("username", &client.access.user),
        ("password", &client.access.password),
    ];
    let url = client.access.cloud_foundry_api.replace("/cf", "/uaa/oauth/token");
    client.http.post(url).basic_auth("cf", Some("")).form(&form).send().await?.json().await
}

#[tokio::test]
async fn every_kind_of_fault_turns_up() {
    let rates = Rates { garbled: 0.05, heavy: 0.01, elsewhere: 0.05, ..Rates::default() };
    let tenants = [TenantPlan::new("acme")];
    let mut client = Client::playing(Scenario { rates, pace: PACE, ..Scenario::of(tenants) }).await;
    let found = lists(&mut client, 400).await;
    let sizes: BTreeSet<usize> =
        found.iter().filter_map(|page| page["resources"].as_array()).map(Vec::len).collect();
    assert!(sizes.iter().all(|size| *size <= 3), "pages are small: {sizes:?}");
    let calls = client.sandbox.calls(0);
    let faults: BTreeSet<String> = calls.iter().flat_map(|call| call.faults.clone()).collect();
    for expected in [
        "status 429",
        "status 500",
        "status 503",
        "html 502",
        "html 503",
        "html 504",
        "lost reply",
        "truncated",
        "garbage",
        "nested",
        "mistyped",
        "redirect",
        "misled",
        "huge",
        "drip",
        "latency 0 ms",
    ] {
        assert!(faults.contains(expected), "{expected} is missing from {faults:?}");
    }
    let refused =
        calls.iter().filter(|call| call.operation == Operation::ListKeys && call.status == Some(401));
    assert!(refused.count() > 5, "good tokens are refused now and then");
    let makers: Vec<Maker> =
        client.sandbox.books().tenants["acme"].keys.iter().map(|key| key.made_by).collect();
    assert!(makers.contains(&Maker::Foreign) && makers.contains(&Maker::App));
    assert_eq!(client.sandbox.books().strays, 0, "this client does not follow");
}

#[tokio::test]
async fn half_of_the_creates_that_seem_to_fail_took_effect() {
    let rates = Rates { before: 0.3, after: 0.3, ..Rates::none() };
    let tenants = [TenantPlan::new("acme")];
    let mut client = Client::playing(Scenario { rates, pace: PACE, ..Scenario::of(tenants) }).await;
    client.turn(Hostility::Kind);
    client.token = client.log_in().await;
    let (mut taken, mut free) = (0, 0);
    for number in 0..120 {
        let name = format!("key-{number}");
        client.turn(Hostility::Safety);
        let first = client.post_key(Role::Ciapi, &name).await;
        client.turn(Hostility::Kind);
        if first.is_ok_and(|reply| reply.status() == 202) {
            continue;
        }
        match client.post_key(Role::Ciapi, &name).await.unwrap().status().as_u16() {
            422 => taken += 1,
            202 => free += 1,
            other => panic!("{other}"),
        }
    }
    assert!(taken > 15 && free > 15, "taken {taken}, free {free}");
}

#[tokio::test]
async fn documents_keep_their_meaning_and_change_their_form() {
    let (mut forms, mut fields) = (BTreeSet::new(), BTreeSet::new());
    for seed in 1..=5 {
        let mut client = hostile(seed).await;
        for page in lists(&mut client, 20).await {
            for binding in page["resources"].as_array().into_iter().flatten().filter_map(Value::as_object) {
                fields.extend(binding.keys().cloned());
                forms.extend(binding["created_at"].as_str().map(form));
            }
        }
    }
    for unknown in ["x_rotation_hint", "xTrace", "vendorExtension", "_etag", "sap:extra"] {
        assert!(fields.contains(unknown), "{unknown} is missing from {fields:?}");
    }
    let expected = ["+00:00", "+00:00 with a fraction", "Z", "Z with a fraction"];
    assert_eq!(forms, BTreeSet::from(expected));
}

fn form(created_at: &str) -> &'static str {
    let fraction = created_at.contains('.');
    match (created_at.ends_with('Z'), fraction) {
        (true, false) => "Z",
        (true, true) => "Z with a fraction",
        (false, false) => "+00:00",
        (false, true) => "+00:00 with a fraction",
    }
}

#[tokio::test]
async fn paths_are_found_through_the_root_links_only() {
    let client = hostile(1).await;
    client.turn(Hostility::Kind);
    let base = client.sandbox.https_base.clone();
    for by_heart in ["/cf/v3/service_credential_bindings", "/uaa/oauth/token", "/xsuaa/acme/oauth/token"] {
        let status = client.http.get(format!("{base}{by_heart}")).send().await.unwrap().status();
        assert_eq!(status, 404, "{by_heart}");
    }
    assert_eq!(client.http.get(format!("{base}/cf")).send().await.unwrap().status(), 200);
    assert_eq!(client.get("/v3/spaces").await.0, 401, "found, and asks for a login");
}

#[tokio::test]
async fn the_same_seed_is_unpleasant_in_the_same_way() {
    let mut seen = Vec::new();
    for seed in [3, 3, 4] {
        // How long a connection was idle is a matter of the machine, and not of the seed.
        let waits = Waits { idle_seconds: u32::MAX, ..Waits::default() };
        let tenants = [TenantPlan::new("acme")];
        let mut client = Client::playing(Scenario { seed, pace: PACE, waits, ..Scenario::of(tenants) }).await;
        lists(&mut client, 100).await;
        let calls: Vec<_> =
            client.sandbox.calls(0).into_iter().map(|call| (call.status, call.faults)).collect();
        seen.push(calls);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
}

#[tokio::test]
async fn in_liveness_the_faults_stop() {
    let scenario = Scenario { hostility: Hostility::Liveness, hostile_seconds: 0, ..Scenario::default() };
    let mut client = Client::playing(Scenario { tenants: vec![TenantPlan::new("acme")], ..scenario }).await;
    let found = lists(&mut client, 20).await;
    assert_eq!(found.len(), 20);
    assert!(client.sandbox.calls(0).iter().all(|call| call.faults.is_empty()));
}

#[tokio::test]
async fn hostility_can_be_ended() {
    let mut client = hostile(5).await;
    lists(&mut client, 1).await;
    client.turn(Hostility::Kind);
    let before = client.sandbox.books().calls;
    lists(&mut client, 50).await;
    let calls = client.sandbox.calls(before);
    assert!(calls.iter().all(|call| call.faults.is_empty()));
    assert!(!client.sandbox.books().hostile);
}
