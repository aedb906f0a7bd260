//! The limits that SAP publishes, and what they say.

use reqwest::Method;
use sap_sandbox::faults::{Fault, Rule};
use sap_sandbox::request::Operation;
use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::hostile::Limits;
use sap_sandbox::scenario::tenant::{Role, TenantPlan};
use serde_json::{Value, json};

use crate::client::Client;

async fn limited(limits: Limits) -> Client {
    let limits = Limits { always: true, ..limits };
    Client::of(Scenario { limits, ..Scenario::of([TenantPlan::new("acme")]) }).await
}

fn retry_after(reply: &reqwest::Response) -> u32 {
    reply.headers()["retry-after"].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn sap_s_figures_are_the_default() {
    let limits = Limits::default();
    assert_eq!((limits.cloud_foundry_per_hour, limits.tokens_per_second), (20_000, 60));
}

#[tokio::test]
async fn a_user_has_so_many_calls_an_hour() {
    let mut client = limited(Limits { cloud_foundry_per_hour: 5, ..Limits::default() }).await;
    for _ in 0..5 {
        assert_eq!(client.get("/v3/spaces").await.0, 200);
    }
    let reply = client.cf(Method::GET, "/v3/spaces").send().await.unwrap();
    assert_eq!(reply.status(), 429);
    assert_eq!(reply.headers()["x-ratelimit-limit"], "5");
    assert_eq!(reply.headers()["content-type"], "text/plain");
    let wait = retry_after(&reply);
    assert!((3500..=3600).contains(&wait), "{wait}");
    let body: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
    assert_eq!(body["errors"][0]["code"], 10013);
    let root = client.http.get(&client.access.cloud_foundry_api).send().await.unwrap();
    assert_eq!(root.status(), 200, "the root links are not limited");
    client.wait(wait);
    // The token has not lived that long; a new one is no call to the API.
    client.token = client.log_in().await;
    assert_eq!(client.get("/v3/spaces").await.0, 200);
    let books = client.sandbox.books();
    assert_eq!((books.limited, books.early_retries), (1, 0));
}

#[tokio::test]
async fn service_brokers_take_so_many_calls_at_once_and_ask_for_a_random_pause() {
    let client = limited(Limits { service_calls_at_once: 1, ..Limits::default() }).await;
    client.sandbox.inject(Rule::once(Fault::Hold).on(Operation::CreateKey));
    let mut pauses = std::collections::BTreeSet::new();
    let ((), _) = tokio::join!(
        async {
            client.sandbox.wait_held(1).await;
            for number in 0..12 {
                let refused = client.post_key(Role::Cirt, &format!("more-{number}")).await.unwrap();
                assert_eq!(refused.status(), 429);
                pauses.insert(retry_after(&refused));
            }
            client.sandbox.release_all();
        },
        client.post_key(Role::Ciapi, "first")
    );
    assert!(pauses.len() > 3 && pauses.iter().all(|pause| (30..=90).contains(pause)), "{pauses:?}");
    assert_eq!(client.post_key(Role::Cirt, "later").await.unwrap().status(), 202);
    assert_eq!(client.sandbox.books().orphans, 2, "what was refused has made nothing");
}

#[tokio::test]
async fn a_token_service_queues_and_then_refuses() {
    let client = limited(Limits { tokens_per_second: 10, tokens_queued: 3, ..Limits::default() }).await;
    let key = client.access.dsi_key["oauth"].clone();
    let asked = futures(&client, &key, 30).await;
    let count = |status: u16| asked.iter().filter(|one| **one == status).count();
    assert!(count(200) >= 13 && count(429) >= 5, "{asked:?}");
    assert_eq!(count(200) + count(429), 30);
    let queued = client.sandbox.calls(0).into_iter().filter(|call| call.operation == Operation::Token);
    let times: Vec<_> = queued.filter(|call| call.status == Some(200)).map(|call| call.at).collect();
    let took = *times.iter().max().unwrap() - *times.iter().min().unwrap();
    assert!(took.num_milliseconds() >= 250, "the last ones stood in the queue: {took}");
}

/// So many token requests at once.
async fn futures(client: &Client, key: &Value, count: usize) -> Vec<u16> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..count {
        let form = json!({ "grant_type": "client_credentials", "client_id": key["clientid"],
                           "client_secret": key["clientsecret"] });
        let request = client.http.post(key["tokenurl"].as_str().unwrap()).form(&form);
        tasks.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
    tasks.join_all().await
}
