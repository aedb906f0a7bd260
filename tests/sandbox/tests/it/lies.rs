//! What the hostile modes make of the truth, one lie at a time: reads that lag, PUTs that come late or by halves, a
//! status that flaps, clocks that are off, tokens that die early.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use sap_sandbox::scenario::hostile::{Rates, Waits};
use sap_sandbox::scenario::tenant::{Dataplane, Role, TenantPlan};
use sap_sandbox::scenario::{CloudFoundry, Hostility, Scenario, TokenLives};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Client, entry};

async fn names(client: &Client, name: &str) -> Vec<(String, Value)> {
    let query = format!("names={name}&service_instance_guids={}", client.access.ciapi);
    let (status, list) = client.get(&format!("/v3/service_credential_bindings?{query}")).await;
    assert_eq!(status, 200);
    let found = list["resources"].as_array().unwrap().iter();
    found.map(|it| (it["guid"].as_str().unwrap().to_owned(), it["last_operation"]["type"].clone())).collect()
}

#[tokio::test]
async fn reads_lag_up_to_thirty_seconds_behind_a_creation_and_a_deletion() {
    let client = Client::suffering(Rates { stale: 1.0, ..Rates::none() }).await;
    let mut late = BTreeSet::new();
    for number in 0..8 {
        let name = format!("late-{number}");
        assert_eq!(client.post_key(Role::Ciapi, &name).await.unwrap().status(), 202);
        late.insert(names(&client, &name).await.is_empty());
        assert_eq!(client.post_key(Role::Ciapi, &name).await.unwrap().status(), 422, "it is there");
        client.wait(30);
        let found = names(&client, &name).await;
        assert_eq!(found.len(), 1, "no lag is longer");
        let path = format!("/v3/service_credential_bindings/{}", found[0].0);
        // A creation that is still under way has to be looked at first.
        while client.cf(Method::DELETE, &path).send().await.unwrap().status() != 202 {}
        let after = names(&client, &name).await;
        assert!(after.iter().all(|(_, operation)| operation == "create"), "shown as it was: {after:?}");
        late.insert(!after.is_empty());
        assert_eq!(client.cf(Method::DELETE, &path).send().await.unwrap().status(), 404, "it is gone");
        client.wait(30);
        assert!(names(&client, &name).await.is_empty());
    }
    assert!(late.contains(&true), "some reads lagged");
}

#[tokio::test]
async fn a_deleted_key_is_listed_for_a_while() {
    let client = Client::suffering(Rates { polls: 3, ..Rates::none() }).await;
    let mut listed = BTreeSet::new();
    for number in 0..10 {
        let made = client.make(Role::Ciapi, &format!("key-{number}")).await;
        assert_eq!(client.delete(&made).await, 202);
        let mut looks = 0;
        while let [(_, operation)] = names(&client, &format!("key-{number}")).await.as_slice() {
            assert_eq!(operation, "delete");
            looks += 1;
        }
        listed.insert(looks);
    }
    assert!(listed.len() > 1 && listed.iter().all(|looks| *looks <= 3), "{listed:?}");
}

#[tokio::test]
async fn a_job_fails_although_the_key_exists_and_a_job_is_gone() {
    for (rates, expected) in [
        (Rates { job_failed: 1.0, ..Rates::none() }, json!("FAILED")),
        (Rates { job_gone: 1.0, ..Rates::none() }, Value::Null),
    ] {
        let client = Client::suffering(rates).await;
        let reply = client.post_key(Role::Ciapi, "new").await.unwrap();
        let job = reply.headers()["location"].to_str().unwrap().to_owned();
        let look = || async {
            let reply = client.http.get(&job).bearer_auth(&client.token).send().await.unwrap();
            reply.json::<Value>().await.unwrap()["state"].clone()
        };
        let mut state = look().await;
        while state == "PROCESSING" || state == "POLLING" {
            state = look().await;
        }
        assert_eq!(state, expected);
        client.wait(30);
        assert_eq!(names(&client, "new").await.len(), 1, "the key exists");
    }
}

#[tokio::test]
async fn a_put_may_be_applied_later_within_the_documented_wait() {
    let client = Client::suffering(Rates { put_late: 1.0, ..Rates::none() }).await;
    let (ciapi, cirt) = client.fresh(1).await;
    let held = || client.sandbox.books().tenants["acme"].held[&Role::Cirt].clone().unwrap();
    assert_eq!(client.put(&ciapi, &cirt).await, 200);
    assert_eq!(held(), "cirt-1", "not yet");
    client.wait(300);
    assert_eq!(held(), "rekeyd-cirt-g1");
    let (old_ciapi, old_cirt) = client.old().await;
    assert_eq!(client.put(&old_ciapi, &old_cirt).await, 200);
    client.turn(Hostility::Kind);
    assert_eq!(client.put(&ciapi, &cirt).await, 200);
    client.wait(300);
    assert_eq!(held(), "rekeyd-cirt-g1", "no PUT overtakes another");
}

#[tokio::test]
async fn who_redeploys_by_itself_does_so_with_the_pair_it_took_over_late() {
    let rates = Rates { put_late: 1.0, ..Rates::none() };
    let consumer = Dataplane { redeploy_on_put: true, ..Dataplane::default() };
    let tenants = [TenantPlan::new("acme").with(consumer)];
    let mut client = Client::playing(Scenario { rates, ..Scenario::of(tenants) }).await;
    client.token = client.log_in().await;
    let (ciapi, cirt) = client.fresh(1).await;
    assert_eq!(client.put(&ciapi, &cirt).await, 200);
    assert!(!client.sandbox.books().tenants["acme"].running, "not yet");
    client.wait(300);
    assert!(client.sandbox.books().tenants["acme"].running);
    while client.status().await != "SUCCESS" || client.sandbox.books().tenants["acme"].running {}
    assert!(client.sandbox.books().tenants["acme"].proven);
}

#[tokio::test]
async fn a_put_with_a_spoilt_reply_may_have_been_applied_by_half_and_an_answered_one_never_is() {
    let client = Client::suffering(Rates { after: 0.5, put_half: 1.0, ..Rates::none() }).await;
    client.turn(Hostility::Kind);
    let (old, fresh) = (client.old().await, client.fresh(1).await);
    let key = client.access.dsi_key["oauth"].clone();
    let token = client.token_of(&key).await.unwrap();
    let url = format!("{}/api/v1/dsi/credentials/dataplane", key["url"].as_str().unwrap());
    client.turn(Hostility::Safety);
    let mut halves = BTreeSet::new();
    for (ciapi, cirt) in [&old, &fresh].into_iter().cycle().take(60) {
        let put = client.http.put(&url).bearer_auth(&token).json(&json!([entry(ciapi), entry(cirt)]));
        // A truncated reply has a status, and no end.
        let whole = match put.send().await {
            Ok(reply) => reply.status() == 200 && reply.bytes().await.is_ok(),
            Err(_) => false,
        };
        let held = client.sandbox.books().tenants["acme"].held.clone();
        let generation = |role: Role| held[&role].as_deref().unwrap().rsplit('-').next().unwrap().to_owned();
        let is_half = generation(Role::Ciapi) != generation(Role::Cirt);
        assert!(!(whole && is_half), "an answer of 200 is for the whole");
        halves.insert(is_half);
    }
    assert_eq!(halves.len(), 2, "whole and by half");
    assert_eq!(client.sandbox.books().lockouts, 0);
}

#[tokio::test]
async fn the_status_flaps_and_its_words_are_strange_but_no_false_end_is_shown_twice_in_a_row() {
    let rates = Rates { flapping_ends: 0.5, flapping_words: 0.5, unknown_states: 0.2, ..Rates::none() };
    let client = Client::suffering(rates).await;
    let (mut words, mut before) = (BTreeSet::new(), String::new());
    for _ in 0..20 {
        client.dsi(Method::POST, "dataplane", None).await;
        for _ in 0..8 {
            let word = client.status().await;
            assert!(!(word == "ERROR" && before == "ERROR"), "no run fails here");
            words.insert(word.clone());
            before = word;
        }
    }
    let expected = ["DEPLOYING", "ERROR", "PENDING", "RECONCILING_2", "SUCCESS"].map(str::to_owned);
    assert_eq!(words, BTreeSet::from(expected));
}

#[tokio::test]
async fn the_end_of_the_run_before_is_shown_for_a_while() {
    let client = Client::suffering(Rates { polls: 3, ..Rates::none() }).await;
    let mut first = BTreeSet::new();
    for _ in 0..12 {
        client.dsi(Method::POST, "dataplane", None).await;
        first.insert(client.status().await);
        while client.sandbox.books().tenants["acme"].running {
            client.status().await;
        }
    }
    assert!(first.contains("SUCCESS") && first.len() > 1, "{first:?}");
}

#[tokio::test]
async fn runs_fail_although_the_credential_is_fine() {
    let client = Client::suffering(Rates { run_failed: 1.0, ..Rates::none() }).await;
    assert_eq!(client.deploy().await, "ERROR");
    assert!(client.sandbox.books().entries.is_empty());
}

#[tokio::test]
async fn each_service_has_a_clock_of_its_own() {
    let client = Client::suffering(Rates::none()).await;
    let date = |reply: &reqwest::Response| {
        let text = reply.headers()["date"].to_str().unwrap();
        DateTime::parse_from_rfc2822(text).unwrap().with_timezone(&Utc) - client.sandbox.now()
    };
    let foundry = client.cf(Method::GET, "/v3/spaces").send().await.unwrap();
    let again = client.cf(Method::GET, "/v3/spaces").send().await.unwrap();
    let dataspace = client.dsi(Method::GET, "dataplane", None).await;
    let skews = [date(&foundry), date(&dataspace)];
    assert!((date(&again) - skews[0]).abs() < TimeDelta::seconds(3), "the same all the time");
    assert!((skews[0] - skews[1]).abs() > TimeDelta::seconds(3), "{skews:?}");
    assert!(skews.iter().all(|skew| skew.abs() <= TimeDelta::seconds(125)), "{skews:?}");
    // The dates in documents are by the same clock.
    client.make(Role::Ciapi, "new").await;
    let query = format!("names=new&service_instance_guids={}", client.access.ciapi);
    let (_, list) = client.get(&format!("/v3/service_credential_bindings?{query}")).await;
    let created: DateTime<Utc> = list["resources"][0]["created_at"].as_str().unwrap().parse().unwrap();
    let skew = created - client.sandbox.now();
    assert!((skew - skews[0]).abs() < TimeDelta::seconds(5), "{skew} {}", skews[0]);
}

#[tokio::test]
async fn some_tokens_die_early() {
    let rates = Rates { early_expiry: 1.0, ..Rates::none() };
    let token_lives = TokenLives { cloud_foundry: 1000, ..TokenLives::default() };
    let tenants = [TenantPlan::new("acme")];
    let scenario = Scenario { rates, token_lives, ..Scenario::of(tenants) };
    let mut client = Client::playing(scenario).await;
    for _ in 0..20 {
        client.token = client.log_in().await;
        client.wait(500);
        if client.get("/v3/spaces").await.0 == 401 {
            return;
        }
    }
    panic!("no token died before half of its life was over");
}

#[tokio::test]
async fn an_idle_connection_is_closed_under_the_next_request() {
    let waits = Waits { idle_seconds: 0, ..Waits::default() };
    for (hostility, answers) in [(Hostility::Kind, 2), (Hostility::Safety, 1)] {
        let tenants = [TenantPlan::new("acme")];
        let scenario =
            Scenario { hostility, waits: waits.clone(), rates: Rates::none(), ..Scenario::of(tenants) };
        let sandbox = sap_sandbox::Sandbox::start(scenario).await.unwrap();
        let address = sandbox.http_base.strip_prefix("http://").unwrap().to_owned();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut text = String::new();
        for last in [false, true] {
            let connection = if last { "connection: close\r\n" } else { "" };
            let request = format!("GET /cf HTTP/1.1\r\nhost: it\r\n{connection}\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            if last {
                // Closed with a reset or without.
                let _ = stream.read_to_string(&mut text).await;
                continue;
            }
            while !text.ends_with('}') {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).await.unwrap();
                text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
            }
        }
        assert_eq!(text.matches("HTTP/1.1 200").count(), answers, "{hostility:?}: {text}");
        let closed = sandbox.calls(0).into_iter().filter(|call| call.status.is_none()).count();
        assert_eq!(closed, 2 - answers);
    }
}

#[tokio::test]
async fn a_new_secret_is_refused_for_a_while_and_jobs_take_a_while() {
    let plan = CloudFoundry { job_polls: 0, ..CloudFoundry::default() };
    let tenants = [TenantPlan::new("acme").with(Dataplane::default())];
    let rates = Rates { polls: 3, ..Rates::none() };
    let scenario = Scenario { rates, cloud_foundry: plan, ..Scenario::of(tenants) };
    let mut client = Client::playing(scenario).await;
    client.token = client.log_in().await;
    let mut refused = BTreeSet::new();
    for number in 0..10 {
        let key = client.make(Role::Cirt, &format!("key-{number}")).await;
        let mut refusals = 0;
        while client.token_of(&key.oauth).await.is_none() {
            refusals += 1;
        }
        refused.insert(refusals);
    }
    assert!(refused.len() > 1 && refused.iter().all(|refusals| *refusals <= 3), "{refused:?}");
    let polls = client.sandbox.calls(0).iter().filter(|call| call.path == "/cf/v3/jobs/:guid").count();
    assert!(polls > 12, "{polls} looks at 10 jobs");
}
