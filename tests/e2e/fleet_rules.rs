//! The rules over the whole fleet, with a real process: who goes first, what stops everybody, what a person may pass.

use std::process::Output;

use chrono::Datelike;
use rekeyd::clock::{Clock, SystemClock};
use rekeyd::daemon::protocol::Done;
use rekeyd::daemon::report::{CredentialStatus, PlanStatus, Status};
use rekeyd::domain::event::{Entry, Event};
use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::tenant::{Dataplane, TenantPlan};
use sap_sandbox::world::change::Change;

use crate::fleet::{Fleet, Knobs, PATIENCE, POLL};
use crate::metrics::scrape;
use crate::{prompt, quick};

/// Three tenants that are due.
fn three(dataplane: &Dataplane) -> Scenario {
    let plans = TENANTS.into_iter().zip([350, 347, 345]);
    quick(Scenario::of(plans.map(|(id, days)| TenantPlan::new(id).aged(days).with(dataplane.clone()))))
}

/// The tenants of [`three`], the least time left first.
const TENANTS: [&str; 3] = ["old", "mid", "new"];

/// Who began first, and the others in the order in which they wait. Who that is a hostile SAP has a say in: a credential
/// that cannot be seen holds nobody up.
fn first_and_others(fleet: &Fleet) -> (String, [&'static str; 2]) {
    let first = begun(fleet).first().expect("somebody has begun").clone();
    let mut others = TENANTS.into_iter().filter(|tenant| *tenant != first);
    let others = [others.next().unwrap(), others.next().unwrap()];
    (first, others)
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap() + &String::from_utf8(output.stderr.clone()).unwrap()
}

fn status(fleet: &Fleet) -> Option<Status> {
    serde_json::from_slice(&fleet.ask(&["status", "--json"]).stdout).ok()
}

/// Waits until the fleet is as wanted.
async fn until(fleet: &Fleet, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
    let clock = SystemClock::new();
    while clock.monotonic() < PATIENCE {
        if let Some(status) = status(fleet).filter(|status| wanted(status)) {
            return status;
        }
        clock.sleep(POLL).await;
    }
    panic!("the fleet is not {what}: {:#?}\n{}", status(fleet).map(|status| status.fleet), fleet.log());
}

fn journal(fleet: &Fleet) -> Vec<Entry> {
    let output = fleet.ask(&["history", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Who has begun, in order.
fn begun(fleet: &Fleet) -> Vec<String> {
    let entries = journal(fleet).into_iter();
    let begun = entries.filter(|entry| matches!(entry.event, Event::Begun { .. }));
    begun.map(|entry| entry.credential.tenant.to_string()).collect()
}

/// The gate of this name, as `explain` shows it: whether it is open, and whether it says when it opens.
fn gate(fleet: &Fleet, tenant: &str, name: &str) -> (bool, bool) {
    let output = fleet.ask(&["explain", &format!("{tenant}/dataplane"), "--json"]);
    let plan: PlanStatus = serde_json::from_slice(&output.stdout).unwrap();
    let gate = plan.gates.iter().find(|gate| gate.name == name);
    let gate = gate.unwrap_or_else(|| panic!("no gate `{name}`: {plan:#?}"));
    (gate.open, gate.opens_at.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_canary_goes_first_and_alone_until_it_has_soaked() {
    let knobs = Knobs { soak: "6 s", rules: "canary = true", ..Knobs::default() };
    let fleet = Fleet::new(three(&prompt()), knobs).await;
    let _rekeyd = fleet.start().await;
    let waits = |status: &Status, tenant: &String| {
        status.fleet.waiting.iter().any(|waiting| waiting.tenant.to_string() == *tenant)
    };
    let led = |status: &Status| {
        status.fleet.waiting.len() == 2 && begun(&fleet).first().is_some_and(|first| !waits(status, first))
    };
    let seen = until(&fleet, "led by a canary", led).await;
    let (canary, others) = first_and_others(&fleet);
    assert_eq!((seen.fleet.share.as_str(), seen.fleet.share_limit), ("canary", Some(1)), "{:#?}", seen.fleet);
    let waiting: Vec<String> = seen.fleet.waiting.iter().map(ToString::to_string).collect();
    assert_eq!(waiting, others.map(|id| format!("{id}/dataplane")), "the least time left first");
    assert_eq!(gate(&fleet, others[1], "share"), (false, false));
    let open = (gate(&fleet, others[1], "due"), gate(&fleet, others[1], "fuse"));
    assert_eq!(open, ((true, false), (true, false)));
    let shown = text(&fleet.ask(&["status"]));
    for text in
        ["one, the first of this release, and the others once", &format!("on its way  `{canary}/dataplane`")]
    {
        assert!(shown.contains(text), "{shown}");
    }
    for tenant in TENANTS {
        fleet.until_rotated(tenant).await;
    }
    let entries = journal(&fleet);
    let mut soaked = true;
    for entry in &entries {
        match &entry.event {
            Event::Begun { .. } => {
                assert!(std::mem::take(&mut soaked), "`{}` began too early", entry.credential);
            }
            // Soaked, or turned back: then a person let the next one begin.
            Event::RetireBegun | Event::Completed => soaked = true,
            _ => {}
        }
    }
    assert_eq!(begun(&fleet)[0], canary);
    let told = text(&fleet.ask(&["history"]));
    assert!(told.contains(&format!("the fleet lets `{canary}/dataplane` begin")), "{told}");
    assert!(told.contains("is asked for: evidence grade 5 for the keys in use since"), "{told}");
    fleet.assert_clean();
}

/// The consumer takes deliveries again.
fn mended(tenant: &str) -> Change {
    let change = serde_json::json!({ "change": "set", "tenant": tenant, "put_status": 0 });
    serde_json::from_value(change).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_fails_halts_the_fleet_until_a_person_resumes_it() {
    // Without an endpoint to deliver to, the first rotation needs a person.
    let broken = Dataplane { put_status: Some(404), ..prompt() };
    let fleet = Fleet::new(three(&broken), Knobs { rules: "canary = true", ..Knobs::default() }).await;
    let rekeyd = fleet.start().await;
    let halted = |status: &Status| status.fleet.halt.is_some();
    let halt = until(&fleet, "halted", halted).await.fleet.halt.unwrap();
    assert_eq!(halt.code, "canary-failed", "{halt:#?}");
    assert!(halt.remedy.contains("`rekeyd resume --fleet`"), "{halt:#?}");
    let exposed = scrape(&rekeyd.pages()).await;
    assert!(exposed.contains("\nrekeyd_fleet_halted 1\n"), "{exposed}");
    let (canary, others) = first_and_others(&fleet);
    for tenant in others {
        fleet.sandbox.change(mended(tenant)).unwrap();
    }
    rekeyd.kill();
    let rekeyd = fleet.start().await;
    // A push looks at everything and passes no halt.
    rekeyd.signal("USR1");
    let waits = |status: &Status| {
        let settled = status.credentials.iter().filter(|status| status.code.as_deref() == Some("fleet"));
        status.fleet.halt.is_some() && settled.count() == 2
    };
    until(&fleet, "halted after a restart", waits).await;
    assert_eq!(gate(&fleet, others[0], "fleet halt"), (false, false));
    assert_eq!(begun(&fleet), [canary]);
    let shown = fleet.ask(&["status"]);
    assert_eq!(shown.status.code(), Some(3), "a person is needed");
    assert!(text(&shown).contains("fleet halted  since"), "{}", text(&shown));
    let resumed = fleet.ask(&["resume", "--fleet", "--reason", "it was only the one"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", text(&resumed));
    for tenant in others {
        fleet.until_rotated(tenant).await;
    }
    let again = fleet.ask(&["resume", "--fleet"]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again));
    assert!(text(&again).contains("the fleet is not halted"), "{}", text(&again));
    let told = text(&fleet.ask(&["history", "rekeyd"]));
    assert!(told.contains("the halt of the fleet is ended: it was only the one"), "{told}");
    assert_eq!(fleet.sandbox.books().lockouts, 0);
}

/// Waits until a tenant was rotated. Where a hostile SAP turned its rotation back, the next one is meant by a person.
async fn until_rotated_by_a_person(fleet: &Fleet, tenant: &str) {
    let turned_back = |status: &CredentialStatus| {
        status.phase == "settled" && status.last_success_at.is_none() && status.turned_back.is_some()
    };
    let over = |status: &CredentialStatus| status.last_success_at.is_some() && status.phase == "settled";
    for _ in 0..3 {
        let ended = |status: &CredentialStatus| over(status) || turned_back(status);
        if over(&fleet.until(tenant, "rotated", ended).await) {
            return;
        }
        fleet.ask(&["rotate", &format!("{tenant}/dataplane"), "--i-mean-it"]);
        fleet.until(tenant, "under way again", |status| !turned_back(status)).await;
    }
    panic!("`{tenant}` turns back again and again\n{}", fleet.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fuse_holds_and_only_a_person_who_means_it_passes() {
    let rules = "canary = false\nfuse-rotations = 1\nfuse-percent = 0";
    let fleet = Fleet::new(three(&prompt()), Knobs { rules, ..Knobs::default() }).await;
    let rekeyd = fleet.start().await;
    until(&fleet, "under way", |_| !begun(&fleet).is_empty()).await;
    let (first, [second, third]) = first_and_others(&fleet);
    until_rotated_by_a_person(&fleet, &first).await;
    rekeyd.signal("USR1");
    let blown = until(&fleet, "held by the fuse", |status| status.fleet.waiting.len() == 2).await.fleet;
    let spent = begun(&fleet);
    assert_eq!((blown.fuse_used, blown.fuse_limit), (spent.len(), 1));
    assert!(blown.fuse_opens_at.is_some());
    assert_eq!(gate(&fleet, second, "fuse"), (false, true), "it says when it opens");
    // Whoever is just being looked at stands in no queue, so it is scraped until both wait again.
    let lines =
        ["rekeyd_fuse_blown 1", "rekeyd_fuse_rotations_remaining 0", "rekeyd_rotation_queue_length 2"];
    let (clock, mut exposed) = (SystemClock::new(), scrape(&rekeyd.pages()).await);
    while !lines.iter().all(|line| exposed.contains(&format!("\n{line}\n"))) {
        assert!(clock.monotonic() < crate::fleet::PATIENCE, "{lines:?}\n{exposed}");
        clock.sleep(crate::fleet::POLL).await;
        exposed = scrape(&rekeyd.pages()).await;
    }
    let credential = format!("{second}/dataplane");
    let asked = fleet.ask(&["rotate", &credential]);
    assert_eq!(asked.status.code(), Some(0), "{}", text(&asked));
    fleet.until(second, "at the fuse", |status| status.code.as_deref() == Some("fleet")).await;
    assert_eq!(begun(&fleet), spent, "asking is not meaning it");
    let meant = fleet.ask(&["rotate", &credential, "--i-mean-it"]);
    assert_eq!(meant.status.code(), Some(0), "{}", text(&meant));
    until_rotated_by_a_person(&fleet, second).await;
    let rest = fleet.ask(&["rotate", "--due", "--i-mean-it", "--json"]);
    let done: Done = serde_json::from_slice(&rest.stdout).unwrap();
    assert_eq!((done.credentials, done.refused.len()), (1, 0), "{done:#?}");
    until_rotated_by_a_person(&fleet, third).await;
    let mut order = begun(&fleet);
    order.dedup();
    assert_eq!(order, [&first, second, third]);
    fleet.assert_clean();
}

/// A window that opens in three days, for a minute.
fn closed() -> &'static str {
    let day = (SystemClock::new().now() + chrono::TimeDelta::days(3)).weekday();
    let text = format!("[[maintenance]]\nschedule = \"0 0 0 * * {day}\"\nduration = \"1 min\"\n");
    Box::leak(text.into_boxed_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_ignores_age_and_windows_and_shows_the_time_to_the_end() {
    let tenants = ["a", "b", "c"].map(|id| TenantPlan::new(id).aged(10).with(prompt()));
    let knobs = Knobs { soak: "1 h", rules: "canary = true", tenant: closed(), ..Knobs::default() };
    let fleet = Fleet::new(quick(Scenario::of(tenants)), knobs).await;
    let _rekeyd = fleet.start().await;
    for tenant in ["a", "b", "c"] {
        fleet.until(tenant, "settled", |status| status.phase == "settled").await;
    }
    let asked = fleet.ask(&["rotate", "--all", "--reason", "exposed", "--yes"]);
    let told = text(&asked);
    assert_eq!(asked.status.code(), Some(0), "{told}");
    assert!(told.contains("3 credentials are asked to rotate"), "{told}");
    assert!(told.contains("rotations are still to be proven, the last in about"), "{told}");
    assert!(told.contains("`--i-mean-it` passes it"), "{told}");
    let lasting = until(&fleet, "in an emergency", |status| status.fleet.emergency.is_some()).await;
    let emergency = lasting.fleet.emergency.unwrap();
    assert!(emergency.remaining > 0 && emergency.ends_at > lasting.at, "{emergency:#?}");
    for tenant in ["a", "b", "c"] {
        fleet.until(tenant, "soaking", |status| status.phase == "soaking").await;
    }
    let over = until(&fleet, "over", |status| status.fleet.emergency.is_none()).await.fleet;
    assert_eq!(over.fuse_used, 3);
    let deleted =
        journal(&fleet).iter().filter(|entry| matches!(entry.event, Event::DeleteSent { .. })).count();
    assert_eq!(deleted, 0, "no gate before a deletion is passed");
    fleet.assert_safe();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_window_is_waited_for_and_a_reload_that_opens_it_is_enough() {
    let windows = closed();
    let scenario = quick(Scenario::of([TenantPlan::new("acme").aged(345).with(prompt())]));
    let fleet = Fleet::new(scenario, Knobs { tenant: windows, ..Knobs::default() }).await;
    let _rekeyd = fleet.start().await;
    fleet.until("acme", "before a closed window", |status| status.code.as_deref() == Some("fleet")).await;
    assert_eq!(gate(&fleet, "acme", "maintenance window"), (false, true));
    assert!(begun(&fleet).is_empty());
    let path = fleet.path("tenants.d/acme.toml");
    let file = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, file.replace(windows, "")).unwrap();
    let reloaded = fleet.ask(&["reload"]);
    assert_eq!(reloaded.status.code(), Some(0), "{}", text(&reloaded));
    fleet.until_rotated("acme").await;
    fleet.assert_clean();
}
