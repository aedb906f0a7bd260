//! What nobody manages: shown, counted, and told once; and nothing waits for it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use rekeyd::clock::{Clock, SystemClock};
use rekeyd::daemon::unmanaged::Discovery;
use sap_sandbox::request::Operation;
use sap_sandbox::scenario::tenant::{Role, TenantPlan};
use sap_sandbox::scenario::{CisPlan, Scenario};
use sap_sandbox::world::change::Change;
use serde_json::Value;

use crate::fleet::{Fleet, Knobs, PATIENCE, POLL};
use crate::metrics::scrape;
use crate::{prompt, quick};

/// Two tenants in subaccounts of theirs, one without, and one that is being deleted.
fn account() -> Scenario {
    let plans = ["acme", "blue"].map(|id| TenantPlan::new(id).aged(20).with(prompt()));
    let cis = CisPlan { uncovered: vec!["Shadow IT".to_owned()], deleting: vec!["old".to_owned()] };
    Scenario { cis, ..quick(Scenario::of(plans)) }
}

const CIS: &str = "[[cis]]\nname = \"main\"\nservice-key = { file = \"cis.json\" }\nevery = \"1 s\"\n\
                   [[cis.local]]\nservice-key = { file = \"acme-local.json\" }\n";

fn knobs() -> Knobs {
    Knobs { daemon: CIS, ..Knobs::default() }
}

/// Waits until a scrape holds a line.
async fn until_scraped(pages: &str, line: &str) {
    let clock = SystemClock::new();
    let mut text = String::new();
    while clock.monotonic() < PATIENCE {
        text = scrape(pages).await;
        if text.lines().any(|found| found == line) {
            return;
        }
        clock.sleep(POLL * 4).await;
    }
    panic!("`{line}` is not in\n{text}");
}

fn shown(output: &std::process::Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The words behind a name in the table.
fn row<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let line = text.lines().find(|line| line.trim_start().starts_with(name));
    line.unwrap_or_else(|| panic!("`{name}` is not in\n{text}")).split_whitespace().collect()
}

fn assert_tree(text: &str) {
    for tenant in ["acme", "blue"] {
        assert_eq!(row(text, tenant), [tenant, "eu10", "OK", "yes", tenant], "{text}");
    }
    assert_eq!(row(text, "Shadow IT")[2..], ["eu10", "OK", "yes", "nobody"], "{text}");
    assert_eq!(row(text, "old"), ["old", "eu10", "DELETING", "none", "needed"], "{text}");
    assert!(text.contains("tenants/") && text.contains("1 subaccount has no tenant here"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_is_shown_with_and_without_a_daemon() {
    let fleet = Fleet::new(account(), knobs()).await;
    let foreign = Change::AddForeignKey {
        tenant: "blue".into(),
        role: Role::Cirt,
        name: "reporting".into(),
        age_days: 300,
    };
    fleet.sandbox.change(foreign).unwrap();
    let output = fleet.ask_again(&["discover"], |output| output.status.code() == Some(3));
    assert_tree(&shown(&output));
    let rekeyd = fleet.start().await;
    until_scraped(&rekeyd.pages(), "rekeyd_discovery_subaccounts_uncovered{issuer=\"main\"} 1").await;
    for tenant in ["acme", "blue"] {
        fleet.until(tenant, "seen", |status| status.checked_at.is_some()).await;
    }
    let output = fleet.ask(&["discover"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let text = shown(&output);
    assert_tree(&text);
    let key = row(&text[text.find("that nobody manages").unwrap()..], "blue/dataplane").join(" ");
    assert!(text.contains("reporting") && key.starts_with("blue/dataplane"), "{text}");
    let output = fleet.ask(&["discover", "--json"]);
    let found: Discovery = serde_json::from_slice(&output.stdout).unwrap();
    let covers: Vec<&str> = found.accounts[0].subaccounts.iter().map(|of| of.cover.as_str()).collect();
    assert_eq!(covers.iter().filter(|cover| **cover == "covered").count(), 2, "{covers:?}");
    assert!(found.keys.iter().any(|key| key.name == "reporting" && key.created_at.is_some()));
    let secret = std::fs::read_to_string(fleet.path("cis.json")).unwrap();
    let secret: Value = serde_json::from_str(&secret).unwrap();
    let secret = secret["uaa"]["clientsecret"].as_str().unwrap();
    assert!(!text.contains(secret) && !fleet.log().contains(secret) && !fleet.log().contains("eyJ"));
    fleet.assert_safe();
    let changed = fleet.sandbox.books().tenants.values().any(|tenant| !tenant.writes.is_empty());
    assert!(!changed, "it only reads");
}

/// A webhook that takes everything, and what it was told.
fn hook() -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&told);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut text = String::new();
            let mut piece = [0; 4096];
            loop {
                let read = stream.read(&mut piece).unwrap_or(0);
                text.push_str(&String::from_utf8_lossy(&piece[..read]));
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
                let notice = body.and_then(|body| serde_json::from_str(&body).ok());
                if let Some(notice) = notice {
                    kept.lock().unwrap().push(notice);
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                }
                if read == 0 || text.contains("\r\n\r\n{") {
                    break;
                }
            }
        }
    });
    (url, told)
}

/// The ids of the notices of one kind, in order.
fn ids(told: &Mutex<Vec<Value>>, kind: &str) -> Vec<String> {
    let told = told.lock().unwrap();
    let of = told.iter().filter(|notice| notice["kind"] == kind);
    of.map(|notice| notice["id"].as_str().unwrap().to_owned()).collect()
}

async fn until_told(told: &Mutex<Vec<Value>>, kind: &str, count: usize) -> Vec<String> {
    let clock = SystemClock::new();
    while clock.monotonic() < PATIENCE && ids(told, kind).len() < count {
        clock.sleep(POLL).await;
    }
    ids(told, kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_counted_and_told_once_whatever_is_restarted() {
    let (url, told) = hook();
    let fleet = Fleet::new(account(), knobs()).await;
    let sink = format!("[[sink]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{url}\"\n[fleet]\n");
    let file = std::fs::read_to_string(fleet.config()).unwrap();
    fleet.write(
        "rekeyd.toml",
        &file.replace("[fleet]\n", &sink).replace("[http]\n", "[http]\nallow-http = true\n"),
    );
    let rekeyd = fleet.start().await;
    let first = until_told(&told, "uncovered", 1).await;
    assert_eq!(first.len(), 1, "{first:?}");
    // What was told is written down as soon as it is.
    let clock = SystemClock::new();
    let written = || std::fs::read_to_string(fleet.path("state/sinks/ops.json")).unwrap_or_default();
    while !written().contains(&first[0]) {
        assert!(clock.monotonic() < PATIENCE, "{}", written());
        clock.sleep(POLL).await;
    }
    until_scraped(&rekeyd.pages(), "rekeyd_discovery_subaccounts{issuer=\"main\"} 3").await;
    assert!(rekeyd.stop().await.success());
    let text =
        told.lock().unwrap().iter().find(|notice| notice["kind"] == "uncovered").unwrap()["text"].clone();
    assert!(text.as_str().unwrap().contains("`Shadow IT` (eu10, "), "{text}");
    // What is new after a restart is told; what was told is not.
    fleet.sandbox.change(Change::AddSubaccount { name: "newcomer".to_owned() }).unwrap();
    let rekeyd = fleet.start().await;
    let both = until_told(&told, "uncovered", 2).await;
    assert_eq!(both.len(), 2, "{both:?}");
    assert_eq!(both[0], first[0]);
    assert_ne!(both[1], first[0]);
    until_scraped(&rekeyd.pages(), "rekeyd_discovery_subaccounts_uncovered{issuer=\"main\"} 2").await;
    // A subaccount that gets its tenant is no gap any more, without another look.
    let newcomer = both[1].rsplit('/').next().unwrap().to_owned();
    let ignored = std::fs::read_to_string(fleet.config()).unwrap();
    let ignored =
        ignored.replace("every = \"1 s\"\n", &format!("every = \"1 s\"\nignore = [\"{newcomer}\"]\n"));
    fleet.write("rekeyd.toml", &ignored);
    assert!(fleet.ask(&["reload"]).status.success());
    until_scraped(&rekeyd.pages(), "rekeyd_discovery_subaccounts_uncovered{issuer=\"main\"} 1").await;
    assert_eq!(ids(&told, "uncovered").len(), 2);
    fleet.assert_safe();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_cannot_be_seen_delays_nobody() {
    // Kind: the figures are exact.
    let plan = TenantPlan::new("acme").aged(345).with(prompt());
    let fleet = Fleet::new(quick(Scenario::of([plan])).kindly(), knobs()).await;
    let online = fleet.ask(&["check-config", "--online"]);
    assert!(
        online.status.success() && shown(&online).contains("cis `main`: 1 subaccount in `Sandbox`"),
        "{online:?}"
    );
    let probe = fleet.ask(&["probe"]);
    assert!(shown(&probe).contains("CIS   WORKS\nmain  yes, and it reads"), "{probe:?}");
    fleet.sandbox.change(Change::CisLogin { works: false }).unwrap();
    let online = fleet.ask(&["check-config", "--online"]);
    assert_eq!(online.status.code(), Some(77), "{online:?}");
    let rekeyd = fleet.start().await;
    fleet.until_rotated("acme").await;
    let text = scrape(&rekeyd.pages()).await;
    let failures =
        text.lines().find_map(|line| line.strip_prefix("rekeyd_discovery_failures_total{issuer=\"main\"} "));
    assert!(failures.unwrap().parse::<u32>().unwrap() > 0, "{text}");
    assert!(
        !text.contains("rekeyd_discovery_last_success_timestamp_seconds{"),
        "what was never seen has no time"
    );
    assert!(text.contains("rekeyd_discovery_key_due_timestamp_seconds{issuer=\"main\"}"));
    let output = fleet.ask(&["discover"]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let status = shown(&fleet.ask(&["status"]));
    assert!(status.contains("cis `main`: not seen yet; it cannot be seen now: "), "{status}");
    let probe = fleet.ask(&["probe"]);
    assert_eq!(probe.status.code(), Some(1), "{probe:?}");
    assert!(rekeyd.stop().await.success());
    fleet.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_written_for_each_and_holds_once_it_is_filled_in() {
    let fleet = Fleet::new(account().kindly(), knobs()).await;
    let folder = fleet.path("new");
    std::fs::create_dir(&folder).unwrap();
    let arguments = ["discover", "--write", folder.to_str().unwrap()];
    let output = fleet.ask(&arguments);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let path = folder.join("shadow-it.toml");
    assert!(
        shown(&output).contains(&format!("`{}` is written for `Shadow IT`", path.display())),
        "{output:?}"
    );
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "for nobody else");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & !0o640, 0, "{mode:o}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("api   = \"https://api.cf.eu10.hana.ondemand.com\""), "{text}");
    // As it is, it names what is missing, and with that filled in it holds.
    fleet.write("tenants.d/shadow-it.toml", &text);
    let check = fleet.ask(&["check-config"]);
    assert_eq!(check.status.code(), Some(78), "{check:?}");
    let said = String::from_utf8(check.stderr).unwrap();
    for key in ["service-key", "user", "password", "service-instance"] {
        assert!(said.contains(&format!("`{key}`")), "`{key}` is not missed:\n{said}");
    }
    let dir = fleet.dir.path().display();
    let mut filled = text.clone();
    for value in [
        format!("{dir}/acme-dsi.json"),
        "robot@acme.example".to_owned(),
        format!("{dir}/cf-password"),
        "6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01".to_owned(),
        "6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a02".to_owned(),
    ] {
        filled = filled.replacen("\"\"", &format!("\"{value}\""), 1);
    }
    fleet.write("tenants.d/shadow-it.toml", &filled);
    let check = fleet.ask(&["check-config"]);
    assert!(check.status.success(), "{check:?}\n{filled}");
    // What is there is left alone.
    std::fs::remove_file(fleet.path("tenants.d/shadow-it.toml")).unwrap();
    std::fs::write(&path, "mine").unwrap();
    let output = fleet.ask(&arguments);
    assert!(String::from_utf8(output.stderr).unwrap().contains("is there already, and is left alone"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_of_one_round_looks_when_its_time_has_come() {
    let knobs = Knobs {
        daemon: "[[cis]]\nname = \"main\"\nservice-key = { file = \"cis.json\" }\n",
        ..Knobs::default()
    };
    let fleet = Fleet::new(account().kindly(), knobs).await;
    let looks = || {
        let calls = fleet.sandbox.calls(0);
        calls.iter().filter(|call| call.operation == Operation::ReadAccount).count()
    };
    let remembered = || std::fs::read_to_string(fleet.path("state/discovery/main.json")).unwrap();
    assert!(fleet.launch_once().ended(PATIENCE).await.success());
    assert_eq!(looks(), 2, "the account and the list");
    let first = remembered();
    assert!(fleet.launch_once().ended(PATIENCE).await.success());
    assert_eq!((looks(), remembered()), (2, first), "six hours have not passed");
}
