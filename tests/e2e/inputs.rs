//! Bad input and a bad world: a clear message, and the rest goes on.

use sap_sandbox::faults::{Fault, Rule};
use sap_sandbox::request::Operation;
use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::tenant::TenantPlan;

use crate::fleet::{Fleet, Knobs};
use crate::{one, prompt, quick};

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_is_named_at_once_and_the_daemon_does_not_start() {
    let fleet = Fleet::new(one(prompt()), Knobs::default()).await;
    let path = fleet.path("tenants.d/acme.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        good.replace("settle =", "setle =").replace("issuer = \"cloud-foundry\"", "issuer = 7"),
    )
    .unwrap();
    for arguments in [&["check-config"][..], &["run"][..]] {
        let output = fleet.ask(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {text}");
        assert!(text.contains("did you mean `settle`"), "{text}");
        assert!(text.contains("issuer"), "{text}");
        assert!(text.lines().filter(|line| line.contains("acme.toml:")).count() >= 2, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_configuration_is_said_to_be_good() {
    let fleet = Fleet::new(one(prompt()), Knobs::default()).await;
    let output = fleet.ask_again(&["check-config", "--online"], |output| output.status.code() == Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1 tenant is well configured\n1 tenant is looked at by `"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_may_only_read_is_reported_before_the_first_rotation() {
    let plans = [TenantPlan::new("reads").audited(), TenantPlan::new("writes")];
    let plans = plans.map(|plan| plan.aged(345).with(prompt()));
    let fleet = Fleet::new(quick(Scenario::of(plans)), Knobs::default()).await;
    let named = |output: &std::process::Output| {
        String::from_utf8_lossy(&output.stderr).contains("may list keys and not make them")
    };
    let output = fleet.ask_again(&["check-config", "--online"], named);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(77), "{text}");
    assert!(text.contains("`reads/dataplane`: the login may list keys and not make them"), "{text}");
    assert!(text.contains("`space_auditor`") && text.contains("Space Developer"), "{text}");
    assert!(!text.contains("`writes/dataplane`: the login"), "{text}");
    assert!(fleet.sandbox.books().writes.is_empty(), "nothing is tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_that_is_down_does_not_hold_up_the_others() {
    let plans = ["down", "fine"].map(|id| TenantPlan::new(id).aged(345).with(prompt()));
    let fleet = Fleet::new(quick(Scenario::of(plans)), Knobs::default()).await;
    fleet.sandbox.inject(Rule::always(Fault::Endless).of_tenant("down"));
    let _rekeyd = fleet.start().await;
    fleet.until_rotated("fine").await;
    fleet.assert_clean();
    fleet.sandbox.clear_faults();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_the_upstream_sends_brings_the_daemon_down() {
    let faults = [
        ("garbage", Fault::Garbage),
        ("truncated", Fault::Truncated),
        ("huge", Fault::Huge),
        ("html", Fault::Html { code: Some(502) }),
    ];
    let plans = faults.each_ref().map(|(id, _)| TenantPlan::new(id).aged(345).with(prompt()));
    let fleet = Fleet::new(quick(Scenario::of(plans)), Knobs::default()).await;
    for (id, fault) in &faults {
        // The first answers of all are nonsense, and then six in a row to each tenant, and two to its delivery.
        fleet.sandbox.inject(Rule::once(fault.clone()));
        fleet.sandbox.inject(Rule { count: Some(6), ..Rule::always(fault.clone()).of_tenant(id) });
        let delivery = Rule::always(fault.clone()).on(Operation::PutCredentials).of_tenant(id);
        fleet.sandbox.inject(Rule { count: Some(2), ..delivery });
    }
    let rekeyd = fleet.start().await;
    for (id, _) in &faults {
        fleet.until_rotated(id).await;
    }
    fleet.assert_clean();
    assert!(rekeyd.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_without_a_daemon_say_so() {
    let fleet = Fleet::new(one(prompt()), Knobs::default()).await;
    for arguments in [&["rotate", "acme/dataplane"][..], &["hold", "acme/dataplane"], &["reload"]] {
        let output = fleet.ask(arguments);
        assert_eq!(output.status.code(), Some(69), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("no daemon answers") && text.contains("systemctl status rekeyd"), "{text}");
    }
    // What can be told without it is told.
    let recognised = b"write down: the keys in use are recognised";
    let plan = fleet.ask_again(&["plan", "acme"], |output| {
        output.stdout.windows(recognised.len()).any(|text| text == recognised)
    });
    assert_eq!(plan.status.code(), Some(0));
    let text = String::from_utf8(plan.stdout).unwrap();
    assert!(text.contains("then        begin the rotation to generation 1: due since"), "{text}");
    // Where no daemon has looked yet, the forecast looks itself; SAP may not be to be had at once.
    let looks = (0..100).map(|_| fleet.ask(&["forecast"]));
    let mut told =
        looks.filter(|output| !String::from_utf8_lossy(&output.stdout).contains("not recognised yet"));
    let forecast = told.next().expect("SAP can be seen now and then");
    let text = String::from_utf8(forecast.stdout).unwrap();
    assert!(text.contains("acme/dataplane  1 "), "{text}");
    let said = String::from_utf8(forecast.stderr).unwrap();
    assert!(said.contains("no daemon answers"), "{said}");
    let unknown = fleet.ask(&["needs-rotation", "acme/nothing"]);
    assert_eq!(unknown.status.code(), Some(2));
    let wrong = fleet.ask(&["needs-rotation"]);
    assert_eq!(wrong.status.code(), Some(255));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_log_is_one_event_that_a_machine_reads() {
    for format in ["json", "logfmt"] {
        let fleet = Fleet::new(one(prompt()), Knobs::default()).await;
        let rekeyd = fleet.launch_with(&[("REKEYD__LOG__FORMAT", format)]);
        fleet.until_log("the keys in use are recognised").await;
        assert!(rekeyd.stop().await.success());
        let log = fleet.log();
        assert!(log.lines().count() > 2, "{log}");
        for line in log.lines() {
            let reads = match format {
                "json" => serde_json::from_str::<serde_json::Value>(line)
                    .is_ok_and(|event| event["level"].is_string() && event["message"].is_string()),
                _ => line.contains("level=") && line.contains("message="),
            };
            assert!(reads, "{format}: {line}");
        }
    }
}
