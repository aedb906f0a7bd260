//! The main job, from due to settled.

use rekeyd::domain::event::Event;
use rekeyd::domain::evidence::Grade;
use rekeyd::domain::forecast::Forecast;
use sap_sandbox::request::Operation;
use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::tenant::{Login, TenantPlan};

use crate::fleet::{Fleet, Knobs};
use crate::{one, prompt, quick};

#[tokio::test(flavor = "multi_thread")]
async fn a_due_tenant_goes_all_the_way_round() {
    // Kind: one generation, one PUT, and each old key deleted once.
    let fleet = Fleet::new(one(prompt()).kindly(), Knobs::default()).await;
    let rekeyd = fleet.start().await;
    let status = fleet.until_rotated("acme").await;
    assert_eq!((status.evidence, status.generation), (5, Some(1)), "{status:#?}");
    // The body is the documented one: an array of `ciapi` and `cirt`, flat, nothing else.
    let bodies = fleet.sandbox.put_bodies("acme");
    assert_eq!(bodies.len(), 1);
    let (body, accepted) = &bodies[0];
    assert!(accepted);
    let entries = body.as_array().unwrap();
    assert_eq!(entries.len(), 2);
    for (entry, role) in entries.iter().zip(["ciapi", "cirt"]) {
        let mut fields: Vec<_> = entry.as_object().unwrap().keys().cloned().collect();
        fields.sort();
        assert_eq!(fields, ["clientid", "clientsecret", "tokenurl", "url"], "{role}");
    }
    assert!(entries[0]["url"].as_str().unwrap().contains("/ci/"), "the first is `ciapi`");
    assert!(entries[1]["url"].as_str().unwrap().contains("/cirt/"), "the second is `cirt`");
    // The old ciapi goes on grade 4 after the soak, the old cirt on grade 5.
    let mut grade = Grade::Nothing;
    let mut deletions = Vec::new();
    let mut proven_at = None;
    for entry in fleet.history("acme") {
        match entry.event {
            Event::Proven { evidence } => {
                grade = evidence.grade;
                proven_at.get_or_insert(entry.at);
            }
            Event::DeleteSent { role, .. } => deletions.push((role.to_string(), grade, entry.at)),
            _ => {}
        }
    }
    let order: Vec<_> = deletions.iter().map(|(role, grade, _)| (role.as_str(), *grade)).collect();
    assert_eq!(order, [("ciapi", Grade::Acted), ("cirt", Grade::Excluded)]);
    assert!(
        deletions[0].2 - proven_at.unwrap() >= chrono::TimeDelta::seconds(1),
        "the soak counts from the proof"
    );
    fleet.assert_clean();
    let books = fleet.sandbox.books();
    assert_eq!(books.dead_ciapi, 0);
    assert_eq!(foretold(&fleet), 2);
    assert!(rekeyd.stop().await.success());
}

/// The generation that the next rotation is told to bring: by the daemon, and the same in a calendar.
fn foretold(fleet: &Fleet) -> u32 {
    let output = fleet.ask(&["forecast", "acme", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Forecast = serde_json::from_slice(&output.stdout).unwrap();
    let [next] = told.coming.as_slice() else { panic!("one rotation in 14 months: {told:#?}") };
    assert!(next.begins_at > told.from && !next.under_way, "{next:?}");
    let calendar = String::from_utf8(fleet.ask(&["forecast", "--ical"]).stdout).unwrap();
    assert!(calendar.starts_with("BEGIN:VCALENDAR\r\n"), "{calendar}");
    assert!(calendar.contains(&format!("DTSTART:{}", next.begins_at.format("%Y%m%dT%H%M%SZ"))), "{calendar}");
    next.generation
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_logs_in() {
    let plan = TenantPlan { login: Login::Certificate, ..TenantPlan::new("blue").aged(345).with(prompt()) };
    let fleet = Fleet::new(quick(Scenario::of([plan])), Knobs::default()).await;
    let _rekeyd = fleet.start().await;
    fleet.until_rotated("blue").await;
    fleet.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_rotated_and_the_fresh_one_is_left_alone() {
    let tenants = ["one", "two", "three", "four"].map(|id| TenantPlan::new(id).aged(345).with(prompt()));
    let fresh = TenantPlan::new("young").aged(20).with(prompt());
    let scenario = quick(Scenario::of(tenants.into_iter().chain([fresh])));
    let fleet = Fleet::new(scenario, Knobs::default()).await;
    let _rekeyd = fleet.start().await;
    for tenant in ["one", "two", "three", "four"] {
        fleet.until_rotated(tenant).await;
    }
    assert_eq!(fleet.events("young"), ["adopted"]);
    fleet.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_dataplane_gets_the_old_credential_back() {
    let mut dataplane = prompt();
    dataplane.fail_first = 1;
    // Kind: it turns back for this one reason.
    let fleet = Fleet::new(one(dataplane).kindly(), Knobs::default()).await;
    let before = fleet.sandbox.books();
    let _rekeyd = fleet.start().await;
    let is_back = |status: &rekeyd::daemon::report::CredentialStatus| {
        status.phase == "settled" && status.turned_back.is_some()
    };
    let status = fleet.until("acme", "settled after turning back", is_back).await;
    assert!(status.turned_back.unwrap().contains("fails with the fresh keys"));
    let events = fleet.events("acme");
    let turned = events.iter().position(|event| *event == "turned-back").unwrap();
    let proven =
        events[turned..].iter().position(|event| *event == "proven").expect("the old credential is proven");
    let deleted = events[turned..].iter().position(|event| *event == "delete-sent").unwrap();
    assert!(proven < deleted, "nothing is deleted before the old credential is proven");
    assert_eq!(before.lockouts, 0);
    // The next rotation, after the pause, succeeds.
    fleet.until("acme", "rotated at last", |status| status.last_success_at.is_some()).await;
    fleet.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_restarts_with_nothing_due_write_nothing_upstream() {
    let scenario = quick(Scenario::of([TenantPlan::new("young").aged(20).with(prompt())]));
    let fleet = Fleet::new(scenario, Knobs::default()).await;
    for _ in 0..3 {
        let rekeyd = fleet.start().await;
        fleet.until("young", "looked at", |status| status.checked_at.is_some()).await;
        assert!(rekeyd.stop().await.success());
    }
    let writes: Vec<_> = fleet
        .sandbox
        .calls(0)
        .into_iter()
        .filter(|call| !matches!(call.operation, Operation::Token) && call.method != "GET")
        .collect();
    assert!(writes.is_empty(), "{writes:#?}");
    assert_eq!(fleet.events("young"), ["adopted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_does_a_round_and_exits() {
    // Kind: every round has to end well, and nobody is there to push in between.
    let fleet = Fleet::new(one(prompt()).kindly(), Knobs::default()).await;
    let mut rounds = 0;
    while fleet.history("acme").iter().all(|entry| entry.event.name() != "completed") {
        rounds += 1;
        assert!(rounds < 200, "{:?}", fleet.events("acme"));
        let output = fleet.ask(&["run", "--once"]);
        assert!(output.status.success(), "{output:?}");
    }
    fleet.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn rotate_wait_follows_to_the_end() {
    let scenario = quick(Scenario::of([TenantPlan::new("young").aged(20).with(prompt())]));
    // Kind: nobody pushes while the command waits.
    let fleet = Fleet::new(scenario.kindly(), Knobs::default()).await;
    let _rekeyd = fleet.start().await;
    fleet.until("young", "looked at", |status| status.phase == "settled").await;
    let needs = fleet.ask(&["needs-rotation", "young/dataplane"]);
    assert_eq!(needs.status.code(), Some(1));
    let output = fleet.ask(&["rotate", "young/dataplane", "--wait", "--reason", "drill"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for line in [
        "drill",
        "the consumer accepted the credential",
        "is gone from the issuer",
        "settled with fresh keys",
    ] {
        assert!(text.contains(line), "`{line}` is not in\n{text}");
    }
    fleet.assert_clean();
}
