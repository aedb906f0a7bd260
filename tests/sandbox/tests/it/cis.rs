//! Cloud Management: its documented shapes, and the forms that are met beside them.

use std::collections::BTreeSet;

use sap_sandbox::scenario::hostile::{Limits, Rates};
use sap_sandbox::scenario::tenant::TenantPlan;
use sap_sandbox::scenario::{CisPlan, Hostility, Scenario};
use serde_json::{Value, json};

use crate::client::Client;

fn scenario() -> Scenario {
    let cis = CisPlan { uncovered: vec!["shadow".to_owned()], deleting: vec!["old".to_owned()] };
    Scenario { cis, ..Scenario::of(["acme", "blue"].map(TenantPlan::new)) }
}

/// A client's token for a key, as it is downloaded.
async fn token(client: &Client, key: &Value) -> String {
    let uaa = &key["uaa"];
    let login = json!({
        "clientid": uaa["clientid"], "clientsecret": uaa["clientsecret"],
        "tokenurl": format!("{}/oauth/token", uaa["url"].as_str().unwrap()),
    });
    let body: Value = client.token_reply(&login).await.json().await.unwrap();
    body["access_token"].as_str().unwrap().to_owned()
}

fn central(client: &Client) -> Value {
    let folder = tempfile::tempdir().unwrap();
    client.sandbox.write_files(folder.path()).unwrap();
    serde_json::from_str(&std::fs::read_to_string(folder.path().join("cis.json")).unwrap()).unwrap()
}

async fn get(client: &Client, key: &Value, token: &str, path: &str) -> (u16, Option<String>, Value) {
    let base = key["endpoints"]["accounts_service_url"].as_str().unwrap();
    let reply = client.http.get(format!("{base}{path}")).bearer_auth(token).send().await.unwrap();
    let reset = reply.headers().get("x-ratelimit-reset").map(|text| text.to_str().unwrap().to_owned());
    (reply.status().as_u16(), reset, reply.json().await.unwrap())
}

const ACCOUNT: &str = "/accounts/v1/globalAccount?expand=true";
const LIST: &str = "/accounts/v1/subaccounts";

#[tokio::test]
async fn an_account_has_a_tree_a_list_and_environments() {
    let client = Client::of(scenario()).await;
    let key = central(&client);
    let central = token(&client, &key).await;
    let (status, _, account) = get(&client, &key, &central, ACCOUNT).await;
    assert_eq!(status, 200);
    assert_eq!(account["children"][0]["subaccounts"].as_array().unwrap().len(), 2);
    assert_eq!(account["subaccounts"].as_array().unwrap().len(), 2);
    let (_, _, bare) = get(&client, &key, &central, "/accounts/v1/globalAccount").await;
    assert!(bare.get("children").is_none());
    let (_, _, list) = get(&client, &key, &central, LIST).await;
    let of = |name: &str| {
        list["value"].as_array().unwrap().iter().find(|of| of["displayName"] == name).unwrap().clone()
    };
    assert_eq!(of("acme")["guid"], client.access.subaccount.as_str());
    assert_eq!((&of("old")["state"], of("acme")["createdDate"].is_u64()), (&json!("DELETING"), true));
    // The environments are shown by the key of their subaccount alone.
    let path = "/provisioning/v1/environments";
    assert_eq!(get(&client, &key, &central, path).await.0, 403);
    let local = token(&client, &client.access.local_key.clone()).await;
    assert_eq!(get(&client, &key, &local, LIST).await.0, 403);
    let (_, _, body) = get(&client, &key, &local, path).await;
    let environment = &body["environmentInstances"][0];
    assert_eq!(environment["subaccountGUID"], client.access.subaccount.as_str());
    let labels: Value = serde_json::from_str(environment["labels"].as_str().unwrap()).unwrap();
    assert_eq!(labels["API Endpoint"], client.access.cloud_foundry_api.as_str());
}

#[tokio::test]
async fn too_many_calls_say_when_to_come_back() {
    let limits = Limits { always: true, cis_per_three_seconds: 2, ..Limits::default() };
    let client = Client::of(Scenario { limits, ..scenario() }).await;
    let key = central(&client);
    let token = token(&client, &key).await;
    for _ in 0..2 {
        assert_eq!(get(&client, &key, &token, LIST).await.0, 200);
    }
    let (status, reset, body) = get(&client, &key, &token, LIST).await;
    assert_eq!((status, body["error"]["code"].as_u64()), (429, Some(11_006)));
    assert!(reset.unwrap().parse::<u32>().unwrap() <= 3);
    assert_eq!(get(&client, &key, &token, ACCOUNT).await.0, 200, "each endpoint counts for itself");
}

#[tokio::test]
async fn while_hostile_dates_and_envelopes_come_in_every_form() {
    let plans = ["acme", "b", "c", "d", "e", "f"].map(TenantPlan::new);
    let limits = Limits { always: true, cis_per_three_seconds: 1, ..Limits::default() };
    // At SAP's own pace no connection is closed meanwhile, so it is the clock that is moved.
    let scenario = Scenario { rates: Rates::none(), limits, ..Scenario::of(plans) };
    let client = Client::playing(scenario).await;
    client.turn(Hostility::Kind);
    let key = central(&client);
    let token = token(&client, &key).await;
    client.turn(Hostility::Safety);
    let (mut forms, mut envelopes) = (BTreeSet::new(), BTreeSet::new());
    for turn in 0_u32..40 {
        // Every other call is one too many.
        client.wait(if turn.is_multiple_of(2) { 4 } else { 0 });
        let (status, _, body) = get(&client, &key, &token, LIST).await;
        if status != 200 {
            envelopes.insert(body.get("error").is_some());
            continue;
        }
        for of in body["value"].as_array().unwrap() {
            let date = &of["createdDate"];
            forms.insert(date.as_str().map(|text| text.contains(", ")));
        }
    }
    assert_eq!(forms.len(), 3, "{forms:?}");
    assert_eq!(envelopes.len(), 2, "{envelopes:?}");
}
