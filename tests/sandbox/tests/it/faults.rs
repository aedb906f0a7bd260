//! Injected faults do what they say, and the books and the call log know.

use sap_sandbox::faults::{Fault, RetryAfter, RetryAfterForm, Rule};
use sap_sandbox::holds::Release;
use sap_sandbox::request::Operation;
use sap_sandbox::scenario::tenant::Role;
use serde_json::{Value, json};

use crate::client::Client;

#[tokio::test]
async fn a_lost_reply_has_its_effect() {
    let client = Client::kind().await;
    client.sandbox.inject(Rule::once(Fault::LostReply).on(Operation::CreateKey));
    assert!(client.post_key(Role::Ciapi, "lost").await.is_err());
    let books = client.sandbox.books();
    assert_eq!(books.writes[&Operation::CreateKey], 1);
    assert_eq!(books.orphans, 1);
    let calls = client.sandbox.calls(0);
    let call = calls.iter().find(|call| call.operation == Operation::CreateKey).unwrap();
    assert_eq!((call.status, call.effect, call.key.as_deref()), (None, true, Some("lost")));
    assert_eq!(client.post_key(Role::Ciapi, "lost").await.unwrap().status(), 422, "the name is taken");
}

#[tokio::test]
async fn a_request_lost_before_its_effect_has_none() {
    let client = Client::kind().await;
    client.sandbox.inject(Rule::once(Fault::LostReply).on(Operation::CreateKey).before_effect());
    assert!(client.post_key(Role::Ciapi, "lost").await.is_err());
    assert_eq!(client.sandbox.books().orphans, 0);
}

#[tokio::test]
async fn a_status_comes_before_or_after_the_effect() {
    let client = Client::kind().await;
    let status = Fault::Status { code: 500, body: None, retry_after: None };
    for (rule, orphans) in [
        (Rule::once(status.clone()).on(Operation::CreateKey), 0),
        (Rule::once(status.clone()).on(Operation::CreateKey).after_effect(), 1),
    ] {
        client.sandbox.inject(rule);
        assert_eq!(client.post_key(Role::Ciapi, "one").await.unwrap().status(), 500);
        assert_eq!(client.sandbox.books().orphans, orphans);
    }
}

#[tokio::test]
async fn rules_count_their_matches() {
    let client = Client::kind().await;
    let status = Fault::Status { code: 503, body: None, retry_after: None };
    client
        .sandbox
        .inject(Rule { count: Some(2), ..Rule::always(status).on(Operation::Discover).from_nth(2) });
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(client.get("/v3/service_instances").await.0.as_u16());
    }
    assert_eq!(seen, [200, 503, 503, 200]);
}

#[tokio::test]
async fn a_held_reply_waits_until_it_is_released() {
    let client = Client::kind().await;
    client.sandbox.inject(Rule::once(Fault::Hold).on(Operation::CreateKey));
    let (reply, ()) = tokio::join!(client.post_key(Role::Ciapi, "held"), async {
        client.sandbox.wait_held(1).await;
        let held = client.sandbox.held();
        assert!(held[0].after_effect);
        assert_eq!(client.sandbox.books().orphans, 1, "it has taken effect");
        assert_eq!(client.sandbox.release_all(), 1);
    });
    assert_eq!(reply.unwrap().status(), 202);
    assert!(client.sandbox.held().is_empty());
}

#[tokio::test]
async fn a_request_held_before_its_effect_takes_effect_late_or_never() {
    for (how, orphans) in [(Release::Continue, 1), (Release::Drop, 0)] {
        let client = Client::kind().await;
        client.sandbox.inject(Rule::once(Fault::HoldBefore).on(Operation::CreateKey));
        let (reply, ()) = tokio::join!(client.post_key(Role::Ciapi, "held"), async {
            client.sandbox.wait_held(1).await;
            assert_eq!(client.sandbox.books().orphans, 0);
            let id = client.sandbox.held()[0].id;
            assert!(client.sandbox.release(id, how));
        });
        assert_eq!(reply.is_ok(), how == Release::Continue);
        assert_eq!(client.sandbox.books().orphans, orphans);
    }
}

#[tokio::test]
async fn a_held_request_takes_effect_although_its_client_is_dead() {
    let client = Client::kind().await;
    client.sandbox.inject(Rule::once(Fault::HoldBefore).on(Operation::CreateKey));
    client.sandbox.inject(Rule::once(Fault::Hold).on(Operation::CreateKey));
    tokio::select! {
        _ = client.post_key(Role::Ciapi, "late") => panic!("it is held"),
        () = client.sandbox.wait_held(1) => {}
    }
    client.sandbox.release_all();
    client.sandbox.wait_held(1).await;
    assert_eq!(client.sandbox.books().orphans, 1);
}

#[tokio::test]
async fn bodies_go_wrong_in_every_way() {
    let client = Client::kind().await;
    let once = |fault| {
        client.sandbox.clear_faults();
        client.sandbox.inject(Rule::once(fault).on(Operation::Root));
        client.http.get(format!("{}/cf", client.sandbox.https_base)).send()
    };
    assert!(once(Fault::Garbage).await.unwrap().json::<Value>().await.is_err());
    assert!(once(Fault::Truncated).await.unwrap().bytes().await.is_err());
    assert_eq!(once(Fault::Huge).await.unwrap().bytes().await.unwrap().len(), 10 * 1024 * 1024);
    let page = once(Fault::Html { code: None }).await.unwrap();
    assert_eq!(
        (page.status().as_u16(), page.headers()["content-type"].to_str().unwrap()),
        (502, "text/html")
    );
    let moved = once(Fault::Redirect { to: "http://127.0.0.1:9/".to_owned(), code: None }).await.unwrap();
    assert_eq!(
        (moved.status().as_u16(), moved.headers()["location"].to_str().unwrap()),
        (307, "http://127.0.0.1:9/")
    );
    let slow = once(Fault::Drip { every_ms: Some(0) }).await.unwrap();
    assert!(slow.json::<Value>().await.unwrap()["links"].is_object());
}

#[tokio::test]
async fn an_endless_body_has_no_end() {
    let client = Client::kind().await;
    client.sandbox.inject(Rule::once(Fault::Endless).on(Operation::Root));
    let mut reply = client.http.get(format!("{}/cf", client.sandbox.https_base)).send().await.unwrap();
    let mut received = 0;
    while received < 20 * 1024 * 1024 {
        received += reply.chunk().await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn retry_after_comes_in_four_forms() {
    let client = Client::kind().await;
    for (form, sign) in [
        (RetryAfterForm::Seconds, "7"),
        (RetryAfterForm::HttpDate, " GMT"),
        (RetryAfterForm::SapUtc, " +0000 UTC"),
        (RetryAfterForm::Epoch, ""),
    ] {
        let retry_after = Some(RetryAfter { form, seconds: 7 });
        client.sandbox.inject(Rule::once(Fault::Status { code: 429, body: None, retry_after }));
        let reply = client.http.get(format!("{}/cf", client.sandbox.https_base)).send().await.unwrap();
        let value = reply.headers()["retry-after"].to_str().unwrap().to_owned();
        assert!(value.ends_with(sign), "{value}");
        if form == RetryAfterForm::Epoch {
            assert!(value.parse::<u64>().unwrap() > 1_000_000_000);
        }
    }
}

#[tokio::test]
async fn the_admin_port_does_what_the_methods_do() {
    let client = Client::kind().await;
    let admin = client.sandbox.admin_base.clone();
    let post = |path: &str, body: Value| client.http.post(format!("{admin}{path}")).json(&body).send();
    let rule = json!({ "operation": "discover", "kind": "status", "code": 418, "count": 1,
                       "retry_after": { "form": "sap-utc", "seconds": 1 } });
    assert_eq!(post("/faults", rule).await.unwrap().status(), 201);
    assert_eq!(client.get("/v3/service_instances").await.0, 418);
    assert_eq!(
        post("/faults", json!({ "operaton": "discover", "kind": "hold" })).await.unwrap().status(),
        400
    );
    assert_eq!(client.http.delete(format!("{admin}/faults")).send().await.unwrap().status(), 204);

    assert_eq!(post("/world/acme/set", json!({ "ignore_put": true })).await.unwrap().status(), 204);
    assert_eq!(post("/world/acme/set", json!({ "ignore": true })).await.unwrap().status(), 400);
    assert_eq!(post("/world/nobody/set", json!({ "stuck": true })).await.unwrap().status(), 404);
    assert_eq!(post("/world/quota", json!({ "limit": 30 })).await.unwrap().status(), 204);
    let delete = json!({ "role": "cirt", "name": "cirt-1" });
    assert_eq!(post("/world/acme/delete-key", delete).await.unwrap().status(), 204);

    let get = |path: &str| client.http.get(format!("{admin}{path}")).send();
    let books: Value = get("/books").await.unwrap().json().await.unwrap();
    assert_eq!((&books["lockouts"], &books["tenants"]["acme"]["locked_out"]), (&json!(1), &json!(true)));
    let calls: Value = get("/calls?since=1").await.unwrap().json().await.unwrap();
    assert_eq!(calls[0]["seq"], 2);
    assert_eq!(calls[0]["faults"], json!(["status 418"]));

    client.sandbox.inject(Rule::once(Fault::Hold).on(Operation::Root));
    let (reply, ()) = tokio::join!(get_root(&client), async {
        let held: Value = get("/held?at_least=1").await.unwrap().json().await.unwrap();
        assert_eq!(held[0]["operation"], "root");
        let released: Value =
            post("/held/release", json!({ "id": held[0]["id"] })).await.unwrap().json().await.unwrap();
        assert_eq!(released["released"], 1);
    });
    assert_eq!(reply, 200);
}

async fn get_root(client: &Client) -> u16 {
    client.http.get(format!("{}/cf", client.sandbox.https_base)).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn neither_books_nor_calls_hold_secrets() {
    let client = Client::kind().await;
    let (ciapi, cirt) = client.fresh(1).await;
    client.put(&ciapi, &cirt).await;
    let text = format!(
        "{}{}",
        serde_json::to_string(&client.sandbox.books()).unwrap(),
        serde_json::to_string(&client.sandbox.calls(0)).unwrap()
    );
    for secret in [
        ciapi.oauth["clientsecret"].as_str().unwrap(),
        cirt.oauth["clientsecret"].as_str().unwrap(),
        client.access.dsi_key["oauth"]["clientsecret"].as_str().unwrap(),
        &client.access.password,
        &client.token,
    ] {
        assert!(!text.contains(secret));
    }
}
