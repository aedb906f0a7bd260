//! Consumers beside rekeyd, and the sinks that are told of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use rekeyd::clock::{Clock, SystemClock};
use serde_json::Value;

use crate::fleet::{Fleet, Knobs};
use crate::metrics::scrape;
use crate::{one, prompt};

/// The tenant with one key on the instance of `ciapi`; the old one is of the data space and stays.
fn with_consumer(fleet: &Fleet, consumer: &str) -> String {
    let text = fleet.tenant_file("acme");
    let access = fleet.sandbox.access("acme").unwrap();
    let (head, _) = text.split_once("[credential.keys]").unwrap();
    let kind = consumer.split(['.', ']']).nth(1).unwrap();
    let head = head
        .replace("consumer = \"dataspace\"", &format!("consumer = \"{kind}\""))
        .replace("retire-foreign = true", "retire-foreign = false");
    format!(
        "{head}{consumer}\n[credential.keys]\nsole = {{ service-instance = \"{}\", key = \"ciapi-1\" }}\n",
        access.ciapi
    )
}

fn script(fleet: &Fleet, name: &str, text: &str) -> String {
    let path = fleet.path(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// What was told, and whether the receiver takes it.
#[derive(Clone, Default)]
struct Receiver {
    told: Arc<Mutex<Vec<Value>>>,
    down: Arc<Mutex<bool>>,
}

impl Receiver {
    async fn start(&self) -> String {
        let receiver = self.clone();
        let take = move |body: String| {
            let receiver = receiver.clone();
            async move {
                if *receiver.down.lock().unwrap() {
                    return StatusCode::SERVICE_UNAVAILABLE;
                }
                receiver.told.lock().unwrap().push(serde_json::from_str(&body).unwrap());
                StatusCode::NO_CONTENT
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            axum::serve(listener, Router::new().route("/hook", post(take))).await.unwrap();
        });
        format!("http://{address}/hook")
    }

    fn kinds(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        told.iter().map(|notice| notice["kind"].as_str().unwrap().to_owned()).collect()
    }

    async fn until(&self, fleet: &Fleet, kind: &str) {
        let clock = SystemClock::new();
        while clock.monotonic() < crate::fleet::PATIENCE {
            if self.kinds().iter().any(|told| told == kind) {
                return;
            }
            clock.sleep(crate::fleet::POLL).await;
        }
        panic!("`{kind}` is not told: {:?}\n{}", self.kinds(), fleet.log());
    }
}

fn add_sink(fleet: &Fleet, url: &str) {
    let daemon = fs::read_to_string(fleet.config()).unwrap();
    let daemon = daemon.replace("[http]\n", "[http]\nallow-http = true\n");
    fleet.write("hook", "NotARealSecret");
    let hook = fleet.path("hook").display().to_string();
    fleet.write(
        "rekeyd.toml",
        &format!(
            "{daemon}[[sink]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{url}\"\nsecret = {{ file = \"{hook}\" }}\nper-minute = 600\n"
        ),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_replaced_and_the_consumer_proven_before_the_old_key_goes() {
    let fleet = Fleet::new(one(prompt()), Knobs::default()).await;
    let (file, dir) = (fleet.path("key.json"), fleet.dir.path().display().to_string());
    let reload = script(&fleet, "reload", &format!("cp {dir}/key.json {dir}/loaded.json"));
    let check = script(&fleet, "check", &format!("cmp {dir}/key.json {dir}/loaded.json"));
    let consumer = format!(
        "[credential.file]\npath = \"{}\"\nreload = [\"{reload}\"]\ncheck = [\"{check}\"]\npoll = \"100 ms\"",
        file.display()
    );
    fleet.write("tenants.d/acme.toml", &with_consumer(&fleet, &consumer));
    let _rekeyd = fleet.start().await;
    let status = fleet.until_rotated("acme").await;
    assert_eq!(status.evidence, 4, "{status:#?}");
    let first = fs::read_to_string(&file).unwrap();
    assert!(first.contains("clientsecret"), "the key itself");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Once more: now the old key is one of ours, and goes.
    let asked = fleet.ask(&["rotate", "acme/dataplane"]);
    assert!(asked.status.success(), "{asked:?}");
    let again = fleet
        .until("acme", "rotated again", |status| {
            status.phase == "settled"
                && status.generation > Some(1)
                && status.last_success_at > status.last_ended_at.map(|at| at - chrono::TimeDelta::seconds(1))
        })
        .await;
    assert!(again.generation >= Some(2), "{again:#?}");
    let second = fs::read_to_string(&file).unwrap();
    assert_ne!(first, second);
    assert!(fleet.events("acme").contains(&"gone"), "{:?}", fleet.events("acme"));
    let secret = serde_json::from_str::<Value>(&second).unwrap()["oauth"]["clientsecret"].clone();
    let secret = secret.as_str().unwrap_or("clientsecret").to_owned();
    assert!(!fleet.log().contains(&secret), "no secret in the log");
    fleet.assert_safe();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_told_waited_for_and_believed() {
    let fleet = Fleet::new(one(prompt()), Knobs::default()).await;
    let consumer =
        "[credential.manual]\ninstruction = \"upload it in Landscape Management\"\npoll = \"100 ms\"";
    fleet.write("tenants.d/acme.toml", &with_consumer(&fleet, consumer));
    let receiver = Receiver::default();
    add_sink(&fleet, &receiver.start().await);
    *receiver.down.lock().unwrap() = true;
    let rekeyd = fleet.start().await;
    let waits = |status: &rekeyd::daemon::report::CredentialStatus| {
        status.person.as_ref().is_some_and(|text| text.contains("upload it in Landscape Management"))
    };
    let status = fleet.until("acme", "handed over", waits).await;
    assert_eq!(status.phase, "provisioning", "{status:#?}");
    assert!(fleet.log().contains("then `rekeyd confirm acme/dataplane`"));
    fleet.until_log("sink `ops` cannot be told").await;
    // Killed while it waits, it waits on; the sink is told what it missed.
    rekeyd.kill();
    *receiver.down.lock().unwrap() = false;
    let _rekeyd = fleet.start().await;
    receiver.until(&fleet, "hand-over").await;
    fleet.until("acme", "handed over", waits).await;
    assert!(!fleet.events("acme").contains(&"proven"));
    let confirmed = fleet.ask(&["confirm", "acme/dataplane"]);
    assert!(confirmed.status.success(), "{confirmed:?}");
    fleet.until_rotated("acme").await;
    receiver.until(&fleet, "rotated").await;
    let told = receiver.told.lock().unwrap().clone();
    let rotated = told.iter().find(|notice| notice["kind"] == "rotated").unwrap();
    assert_eq!(
        (rotated["credential"].as_str(), rotated["instance"].as_str()),
        (Some("acme/dataplane"), Some("test"))
    );
    let text = serde_json::to_string(&told).unwrap();
    assert!(!text.contains("clientsecret") && !text.contains("sb-"), "nothing secret is told: {text}");
    fleet.assert_safe();
}

/// What Cloud ALM was sent: the query and the body.
type Sent = Arc<Mutex<Vec<(String, Value)>>>;

async fn cloud_alm(sent: Sent) -> String {
    let take = move |uri: axum::http::Uri, headers: axum::http::HeaderMap, body: String| {
        let sent = sent.clone();
        async move {
            if headers.get("authorization").is_none_or(|bearer| bearer != "Bearer calm-token") {
                return StatusCode::UNAUTHORIZED;
            }
            let query = uri.query().unwrap_or_default().to_owned();
            sent.lock().unwrap().push((query, serde_json::from_str(&body).unwrap()));
            StatusCode::OK
        }
    };
    let token = || async {
        axum::Json(
            serde_json::json!({ "access_token": "calm-token", "token_type": "bearer", "expires_in": 3600 }),
        )
    };
    let router = Router::new()
        .route("/api/calm-metrics/v1/metrics", post(take))
        .route("/uaa/oauth/token", post(token));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_alm_is_told_how_every_credential_is() {
    let fleet = Fleet::new(one(prompt()), Knobs::default()).await;
    let sent = Sent::default();
    let url = cloud_alm(sent.clone()).await;
    let key = serde_json::json!({
        "endpoints": { "Api": format!("{url}/api") },
        "uaa": { "clientid": "sb-clmapi!b1|calm!b2", "clientsecret": "NotARealSecret", "url": format!("{url}/uaa"),
                 "identityzone": "acme", "credential-type": "binding-secret" },
    });
    fleet.write("calm.json", &key.to_string());
    let daemon =
        fs::read_to_string(fleet.config()).unwrap().replace("[http]\n", "[http]\nallow-http = true\n");
    let dir = fleet.dir.path().display().to_string();
    fleet.write(
        "rekeyd.toml",
        &format!(
            "{daemon}[[sink]]\nname = \"calm\"\nkind = \"cloud-alm\"\nservice-key = {{ file = \"{dir}/calm.json\" }}\n\
             service-id = \"f0e1\"\nevery = \"1 min\"\n"
        ),
    );
    let rekeyd = fleet.start().await;
    fleet.until_rotated("acme").await;
    assert!(rekeyd.stop().await.success());
    // Told at the start, and again at the next one.
    let before = sent.lock().unwrap().len();
    assert!(before > 0, "{}", fleet.log());
    let _rekeyd = fleet.start().await;
    let clock = SystemClock::new();
    while sent.lock().unwrap().len() == before && clock.monotonic() < crate::fleet::PATIENCE {
        clock.sleep(crate::fleet::POLL).await;
    }
    let (query, body) = sent.lock().unwrap().last().unwrap().clone();
    assert_eq!(query, "useCase=hm&serviceId=f0e1&dev=false");
    let of_tenant = &body["resourceMetrics"][0];
    assert_eq!(of_tenant["resource"]["attributes"][0]["value"]["stringValue"], "acme");
    let metrics = of_tenant["scopeMetrics"][0]["metrics"].as_array().unwrap().clone();
    let state = metrics.iter().find(|metric| metric["name"] == "dataplane state").unwrap();
    assert_eq!(state["gauge"]["dataPoints"][0]["attributes"][1]["value"]["stringValue"], "ok", "{state}");
    let days = metrics.iter().find(|metric| metric["name"] == "dataplane days left").unwrap();
    assert!(days["gauge"]["dataPoints"][0]["asDouble"].as_f64().unwrap() > 300.0, "{days}");
    let text = serde_json::to_string(&sent.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("NotARealSecret") && !text.contains("sb-"), "nothing secret is told: {text}");
}

/// Failure story 51: the program that delivers hangs. It is ended, the delivery has failed, and both are seen; the old key stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_hangs_is_a_delivery_that_failed_and_is_seen() {
    let fleet = Fleet::new(one(prompt()), Knobs::default()).await;
    let deliver = script(&fleet, "deliver", "sleep 600");
    let consumer = format!("[credential.command]\ndeliver = [\"{deliver}\"]\ntimeout = \"1 s\"");
    fleet.write("tenants.d/acme.toml", &with_consumer(&fleet, &consumer));
    let rekeyd = fleet.start().await;
    let failing =
        fleet.until("acme", "failing", |status| status.stage == "delivering" && status.failures > 0).await;
    let cause = failing.cause.clone().unwrap_or_default();
    assert!(cause.contains("did not end within 1s"), "{failing:#?}");
    let exposition = scrape(&rekeyd.pages()).await;
    let failures = exposition.lines().find(|line| line.starts_with("rekeyd_delivery_failures_total{"));
    assert!(failures.is_some_and(|line| !line.ends_with(" 0")), "{failures:?}");
    assert!(!fleet.events("acme").contains(&"delete-sent"), "{:?}", fleet.events("acme"));
    fleet.assert_safe();
}
