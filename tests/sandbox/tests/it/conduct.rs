//! The books of the client's conduct go off when they should, and stay clean when they should.

use reqwest::{Method, StatusCode};
use sap_sandbox::faults::{Fault, RetryAfter, RetryAfterForm, Rule};
use sap_sandbox::request::Operation;
use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::hostile::Limits;
use sap_sandbox::scenario::tenant::{Role, TenantPlan};
use sap_sandbox::world::books::Conduct;
use sap_sandbox::world::change::Change;
use serde_json::json;

use crate::client::Client;

/// Nothing is excused as having been on its way.
async fn strictly_judged() -> Client {
    let limits = Limits { in_flight_milliseconds: 0, ..Limits::default() };
    Client::of(Scenario { limits, ..Scenario::of([TenantPlan::new("acme")]) }).await
}

fn throttle(client: &Client, form: RetryAfterForm, seconds: u32) {
    let retry_after = Some(RetryAfter { form, seconds });
    let rule = Rule::once(Fault::Status { code: 429, body: None, retry_after });
    client.sandbox.inject(rule.on(Operation::Discover));
}

#[tokio::test]
async fn a_call_before_the_end_of_a_pause_is_written_down_in_every_form() {
    for form in
        [RetryAfterForm::Seconds, RetryAfterForm::HttpDate, RetryAfterForm::SapUtc, RetryAfterForm::Epoch]
    {
        let client = strictly_judged().await;
        throttle(&client, form, 20);
        assert_eq!(client.get("/v3/spaces").await.0, 429);
        client.wait(18);
        client.get("/v3/spaces").await;
        client.wait(2);
        client.get("/v3/spaces").await;
        let books = client.sandbox.books();
        assert_eq!((books.limited, books.early_retries), (1, 1), "{form:?}: {:?}", books.misconduct);
        assert_eq!(books.misconduct[0].conduct, Conduct::EarlyRetry);
        assert_eq!(books.misconduct[0].operation, Operation::Discover);
    }
}

#[tokio::test]
async fn a_pause_is_for_the_one_who_was_asked_and_for_the_service_that_asked() {
    let client = strictly_judged().await;
    throttle(&client, RetryAfterForm::Seconds, 20);
    client.get("/v3/spaces").await;
    client.log_in().await;
    client.dsi(Method::GET, "dataplane", None).await;
    client.http.get(&client.access.cloud_foundry_api).send().await.unwrap();
    assert_eq!(client.sandbox.books().early_retries, 0);
}

#[tokio::test]
async fn a_new_token_is_no_way_round_a_pause() {
    let mut client = strictly_judged().await;
    throttle(&client, RetryAfterForm::Seconds, 20);
    client.get("/v3/spaces").await;
    client.token = client.log_in().await;
    client.get("/v3/spaces").await;
    assert_eq!(client.sandbox.books().early_retries, 1);
}

#[tokio::test]
async fn what_was_on_its_way_is_no_disobedience() {
    let limits = Limits { in_flight_milliseconds: 60_000, ..Limits::default() };
    let client = Client::of(Scenario { limits, ..Scenario::of([TenantPlan::new("acme")]) }).await;
    throttle(&client, RetryAfterForm::Seconds, 200);
    client.get("/v3/spaces").await;
    client.get("/v3/spaces").await;
    assert_eq!(client.sandbox.books().early_retries, 0);
}

#[tokio::test]
async fn what_is_shown_to_another_host_is_written_down() {
    let client = Client::kind().await;
    let elsewhere = client.sandbox.elsewhere_base.clone();
    client.http.get(format!("{elsewhere}/moved")).send().await.unwrap();
    let books = client.sandbox.books();
    assert_eq!((books.strays, books.strayed_secrets), (1, 0), "who came with nothing has shown nothing");
    client.http.get(&elsewhere).bearer_auth("token").send().await.unwrap();
    client.http.post(&elsewhere).body("client_secret=x").send().await.unwrap();
    let books = client.sandbox.books();
    assert_eq!((books.strays, books.strayed_secrets), (3, 2), "{:?}", books.misconduct);
}

#[tokio::test]
async fn a_client_that_follows_a_redirect_is_found_out() {
    let client = Client::kind().await;
    let to = format!("{}/moved", client.sandbox.elsewhere_base);
    client.sandbox.inject(Rule::once(Fault::Redirect { to, code: Some(308) }).on(Operation::PutCredentials));
    let (ciapi, cirt) = client.old().await;
    let key = client.access.dsi_key["oauth"].clone();
    let token = client.token_of(&key).await.unwrap();
    let url = format!("{}/api/v1/dsi/credentials/dataplane", key["url"].as_str().unwrap());
    let body = json!([crate::client::entry(&ciapi), crate::client::entry(&cirt)]);
    let careless = crate::client::careless(&client.sandbox.ca_pem);
    assert_eq!(careless.put(url).bearer_auth(token).json(&body).send().await.unwrap().status(), 200);
    assert_eq!(client.sandbox.books().strayed_secrets, 1);
}

#[tokio::test]
async fn links_that_lead_elsewhere_do_so_and_are_not_in_keys() {
    let client = Client::kind().await;
    let elsewhere = client.sandbox.elsewhere_base.clone();
    client.sandbox.inject(Rule::always(Fault::Misled));
    let root: serde_json::Value =
        client.http.get(&client.access.cloud_foundry_api).send().await.unwrap().json().await.unwrap();
    assert!(root["links"]["uaa"]["href"].as_str().unwrap().starts_with(&elsewhere));
    let job = client.post_key(Role::Ciapi, "new").await.unwrap();
    assert!(job.headers()["location"].to_str().unwrap().starts_with(&elsewhere));
    let old = client.find(Role::Ciapi, "ciapi-1").await.unwrap();
    assert!(old.oauth["tokenurl"].as_str().unwrap().starts_with(&client.sandbox.https_base));
    assert_eq!(client.sandbox.books().strays, 0);
}

#[tokio::test]
async fn a_token_that_was_refused_is_not_to_be_used_again() {
    let client = strictly_judged().await;
    client.sandbox.change(Change::RevokeTokens {}).unwrap();
    assert_eq!(client.get("/v3/spaces").await.0, 401);
    assert_eq!(client.sandbox.books().refused_tokens_reused, 0, "nobody could know");
    assert_eq!(client.get("/v3/spaces").await.0, 401);
    assert_eq!(client.sandbox.books().refused_tokens_reused, 1);
}

#[tokio::test]
async fn strict_refuses_what_sap_lets_pass() {
    let base = Client::kind().await;
    let strict = Scenario { strict: true, ..Scenario::of([TenantPlan::new("acme")]) };
    let strict = Client::of(strict).await;
    for (client, refused) in [(&base, false), (&strict, true)] {
        let key = client.access.dsi_key["oauth"].clone();
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        let token = client.token_of(&key).await.unwrap();
        let dsi = format!("{}/api/v1/dsi/dataplane", text("url"));
        let form = [
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", text("clientid")),
            ("client_secret", text("clientsecret")),
            ("colour", "blue".to_owned()),
        ];
        let requests = [
            client.http.get(format!("{dsi}?colour=blue")).bearer_auth(&token),
            client.http.get(&dsi).bearer_auth(&token).header("accept", ""),
            client.http.get(&dsi).bearer_auth(&token).header("user-agent", ""),
            client.http.get(&dsi).bearer_auth(&token).body("what for?"),
            client.http.post(text("tokenurl")).form(&form),
        ];
        let count = u64::try_from(requests.len()).unwrap();
        for (number, request) in requests.into_iter().enumerate() {
            let status = request.send().await.unwrap().status();
            let expected = if refused { StatusCode::BAD_REQUEST } else { StatusCode::OK };
            assert_eq!(status, expected, "request {number}, strict: {refused}");
        }
        let v2 = client.cf(Method::GET, "/v2/service_keys").send().await.unwrap().status();
        assert_eq!(v2, if refused { 400 } else { 404 });
        assert_eq!(client.sandbox.books().improper_requests, if refused { count + 1 } else { 0 });
    }
}
