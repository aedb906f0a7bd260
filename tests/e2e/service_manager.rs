//! A tenant whose keys are made by SAP Service Manager: forward, back, with a certificate, and when its login fails.

use sap_sandbox::request::Operation;
use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::tenant::{Dataplane, Issuer, Login, TenantPlan};
use sap_sandbox::world::change::Change;

use crate::fleet::{Fleet, Knobs};
use crate::{prompt, quick};

fn tenant(dataplane: Dataplane) -> TenantPlan {
    TenantPlan::new("calm").aged(345).by(Issuer::ServiceManager).with(dataplane)
}

fn scenario(dataplane: Dataplane) -> Scenario {
    quick(Scenario::of([tenant(dataplane)]))
}

/// Nothing that is written anywhere holds a secret of the books.
fn assert_no_secret(fleet: &Fleet) {
    let access = fleet.sandbox.access("calm").unwrap();
    let own = access.sm_key["clientsecret"].as_str().unwrap_or("no secret at all").to_owned();
    let mut delivered: Vec<String> = fleet
        .sandbox
        .put_bodies("calm")
        .iter()
        .flat_map(|(body, _)| body.as_array().cloned().unwrap_or_default())
        .filter_map(|entry| entry["clientsecret"].as_str().map(str::to_owned))
        .collect();
    assert!(!delivered.is_empty());
    delivered.push(own);
    let journal =
        String::from_utf8_lossy(&std::fs::read(fleet.path("state/journal.db")).unwrap()).into_owned();
    for secret in delivered {
        assert!(!fleet.log().contains(&secret) && !journal.contains(&secret), "a secret is in the open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_on_a_kind_sandbox() {
    // Kind: one generation, one PUT, and each old key deleted once.
    let fleet = Fleet::new(scenario(prompt()).kindly(), Knobs::default()).await;
    let online = fleet.ask(&["check-config", "--online"]);
    assert!(online.status.success(), "{online:?}");
    let rekeyd = fleet.start().await;
    let status = fleet.until_rotated("calm").await;
    assert_eq!((status.evidence, status.generation), (5, Some(1)), "{status:#?}");
    let probe = fleet.ask(&["probe", "calm"]);
    assert!(probe.status.success(), "{probe:?}");
    let writes = fleet.sandbox.books().tenants["calm"].writes.clone();
    assert_eq!((writes[&Operation::CreateKey], writes[&Operation::DeleteKey]), (2, 2));
    let calls = fleet.sandbox.calls(0);
    assert!(calls.iter().all(|call| !call.path.starts_with("/cf")), "Cloud Foundry is not asked");
    fleet.assert_clean();
    assert!(rekeyd.stop().await.success());
    assert_no_secret(&fleet);
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_on_the_hostile_sandbox() {
    let fleet = Fleet::new(scenario(prompt()), Knobs { deadline: "40 s", ..Knobs::default() }).await;
    let _rekeyd = fleet.start().await;
    fleet.until_rotated("calm").await;
    fleet.assert_clean();
    assert_no_secret(&fleet);
}

#[tokio::test(flavor = "multi_thread")]
async fn back_and_then_forward_on_the_hostile_sandbox() {
    let failing = Dataplane { fail_first: 1, ..prompt() };
    let fleet = Fleet::new(scenario(failing), Knobs { deadline: "40 s", ..Knobs::default() }).await;
    let _rekeyd = fleet.start().await;
    fleet.until("calm", "turned back", |status| status.turned_back.is_some()).await;
    fleet.until("calm", "rotated at last", |status| status.last_success_at.is_some()).await;
    fleet.until("calm", "settled", |status| status.phase == "settled").await;
    fleet.assert_safe();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_logs_in() {
    let plan = TenantPlan { login: Login::Certificate, ..tenant(prompt()) };
    let fleet = Fleet::new(quick(Scenario::of([plan])), Knobs::default()).await;
    let _rekeyd = fleet.start().await;
    fleet.until_rotated("calm").await;
    fleet.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_is_not_tried_again_and_again() {
    let fleet = Fleet::new(scenario(prompt()).kindly(), Knobs::default()).await;
    fleet.sandbox.change(Change::SmLogin { tenant: "calm".to_owned(), works: false }).unwrap();
    let online = fleet.ask(&["check-config", "--online"]);
    assert_eq!(online.status.code(), Some(69), "{online:?}");
    let said = String::from_utf8(online.stderr).unwrap();
    assert!(said.contains("the keys cannot be listed"), "{said}");
    let before = fleet.sandbox.calls(0).len();
    let _rekeyd = fleet.start().await;
    fleet.until_log("the issuer could not be seen").await;
    let tokens = fleet.sandbox.calls(0)[before..]
        .iter()
        .filter(|call| call.operation == Operation::Token && call.status == Some(401))
        .count();
    assert!(tokens <= 2, "{tokens} logins");
    fleet.assert_safe();
}
