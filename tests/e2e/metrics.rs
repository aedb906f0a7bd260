//! The exposition of the real process.

use std::io::Write;
use std::process::{Command, Stdio};

use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::tenant::TenantPlan;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fleet::{Fleet, Knobs};
use crate::{one, prompt, quick};

pub(crate) async fn get(url: &str) -> (u16, String) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let mut text = Vec::new();
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let (mut read, mut write) = stream.into_split();
    write.write_all(request.as_bytes()).await.unwrap();
    read.read_to_end(&mut text).await.unwrap();
    let text = String::from_utf8(text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text)
}

pub(crate) async fn scrape(pages: &str) -> String {
    let (status, text) = get(&format!("{pages}/metrics")).await;
    assert_eq!(status, 200);
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_accepts_the_exposition() {
    let plans =
        [TenantPlan::new("acme").aged(345).with(prompt()), TenantPlan::new("young").aged(20).with(prompt())];
    // Kind: the figures are exact.
    let fleet = Fleet::new(quick(Scenario::of(plans)).kindly(), Knobs::default()).await;
    let rekeyd = fleet.start().await;
    fleet.until_rotated("acme").await;
    let text = scrape(&rekeyd.pages()).await;
    for line in [
        "rekeyd_rotation_phase{tenant=\"acme\",credential=\"dataplane\",phase=\"settled\"} 1",
        "rekeyd_rotations_total{class=\"schedule\"} 1",
        "rekeyd_rotations_total{class=\"signal\"} 0",
        "rekeyd_rotation_failures_total{tenant=\"young\",credential=\"dataplane\"} 0",
        "rekeyd_evidence_grade{tenant=\"acme\",credential=\"dataplane\"} 5",
        "rekeyd_dataplane_status{tenant=\"acme\",consumer=\"dataspace\",class=\"success\"} 1",
        "rekeyd_keys_alive{tenant=\"acme\",credential=\"dataplane\",role=\"cirt\"} 1",
        "rekeyd_config_last_reload_successful 1",
        "rekeyd_journal_write_failures_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "`{line}` is not in\n{text}");
    }
    assert!(text.contains("rekeyd_credential_expiry_timestamp_seconds{tenant=\"young\""));
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("promtool is installed by `make setup`");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The instant of the start that the daemon tells.
async fn started(pages: &str) -> f64 {
    let text = scrape(pages).await;
    let value = text.lines().find_map(|line| line.strip_prefix("rekeyd_start_timestamp_seconds "));
    value.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_moves_its_instant_and_a_reload_does_not() {
    let scenario = quick(Scenario::of([TenantPlan::new("young").aged(20).with(prompt())]));
    let fleet = Fleet::new(scenario.kindly(), Knobs::default()).await;
    let rekeyd = fleet.start().await;
    let first = started(&rekeyd.pages()).await;
    let text = scrape(&rekeyd.pages()).await;
    assert!(
        !text.contains("\nrekeyd_scheduler_last_tick_timestamp_seconds 0\n"),
        "a start is a tick: {text}"
    );
    assert_eq!(fleet.ask(&["reload"]).status.code(), Some(0));
    assert!(started(&rekeyd.pages()).await <= first, "a reload is no start");
    assert!(rekeyd.stop().await.success());
    let rekeyd = fleet.start().await;
    assert!(started(&rekeyd.pages()).await > first, "a start is one");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_answer_and_change_nothing() {
    let fleet = Fleet::new(one(prompt()), Knobs { soak: "1 h", ..Knobs::default() }).await;
    let rekeyd = fleet.start().await;
    fleet.until("acme", "soaking", |status| status.phase == "soaking").await;
    let pages = rekeyd.pages();
    for path in ["/-/healthy", "/-/ready", "/api/v1/status", "/", "/tenants/acme", "/metrics"] {
        assert_eq!(get(&format!("{pages}{path}")).await.0, 200, "{path}");
    }
    assert_eq!(get(&format!("{pages}/nothing")).await.0, 404);
    let (_, status) = get(&format!("{pages}/api/v1/status")).await;
    assert!(status.contains("\"phase\":\"soaking\""), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_written_anywhere() {
    let fleet = Fleet::new(one(prompt()), Knobs::default()).await;
    let rekeyd = fleet.start().await;
    fleet.until_rotated("acme").await;
    let mut secrets = vec![fleet.sandbox.access("acme").unwrap().password];
    for (body, _) in fleet.sandbox.put_bodies("acme") {
        for entry in body.as_array().unwrap() {
            secrets.push(entry["clientsecret"].as_str().unwrap().to_owned());
            secrets.push(entry["clientid"].as_str().unwrap().to_owned());
        }
    }
    let pages = rekeyd.pages();
    let mut places = vec![
        ("the log", fleet.log()),
        ("the metrics", scrape(&pages).await),
        ("the status", get(&format!("{pages}/api/v1/status")).await.1),
        ("the page", get(&format!("{pages}/")).await.1),
        ("the page of the tenant", get(&format!("{pages}/tenants/acme")).await.1),
    ];
    assert!(rekeyd.stop().await.success());
    for file in ["journal.db", "journal.db-wal"] {
        let bytes = std::fs::read(fleet.path("state").join(file)).unwrap_or_default();
        places.push(("the journal", String::from_utf8_lossy(&bytes).into_owned()));
    }
    for (place, text) in &places {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{place} holds a secret");
        }
        assert!(!text.contains("eyJ"), "{place} holds a token");
    }
}
