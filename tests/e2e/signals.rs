//! Signals during a rotation.

use std::time::Duration;

use sap_sandbox::faults::{Fault, Rule};
use sap_sandbox::request::Operation;

use crate::fleet::{Fleet, Knobs};
use crate::{one, prompt};

#[tokio::test(flavor = "multi_thread")]
async fn five_pushes_during_a_rotation_cause_no_second_one() {
    // Kind: no second rotation begins because the first one had to turn back.
    let fleet = Fleet::new(one(prompt()).kindly(), Knobs::default()).await;
    fleet.sandbox.inject(Rule::once(Fault::Hold).on(Operation::PutCredentials));
    let rekeyd = fleet.start().await;
    fleet.sandbox.wait_held(1).await;
    for _ in 0..5 {
        rekeyd.signal("USR1");
    }
    fleet.sandbox.release_all();
    fleet.until_rotated("acme").await;
    rekeyd.signal("USR1");
    fleet.until("acme", "looked at again", |status| status.code.as_deref() == Some("not-due")).await;
    let events = fleet.events("acme");
    assert_eq!(events.iter().filter(|event| **event == "begun").count(), 1, "{events:?}");
    fleet.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_keeps_the_old_configuration() {
    let fleet = Fleet::new(one(prompt()), Knobs::default()).await;
    let rekeyd = fleet.start().await;
    let pages = rekeyd.pages();
    let path = fleet.path("tenants.d/acme.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replace("soak =", "soka =")).unwrap();
    rekeyd.signal("HUP");
    fleet.until_log("the configuration is refused").await;
    let text = crate::metrics::scrape(&pages).await;
    assert!(text.contains("\nrekeyd_config_last_reload_successful 0\n"), "{text}");
    let reload = fleet.ask(&["reload"]);
    assert_eq!(reload.status.code(), Some(78));
    let problem = String::from_utf8(reload.stderr).unwrap();
    assert!(problem.contains("soka") && problem.contains("did you mean `soak`"), "{problem}");
    // The old configuration works on.
    fleet.until_rotated("acme").await;
    std::fs::write(&path, good).unwrap();
    assert_eq!(fleet.ask(&["reload"]).status.code(), Some(0));
    let text = crate::metrics::scrape(&pages).await;
    assert!(text.contains("\nrekeyd_config_last_reload_successful 1\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_mended_is_tried_at_once_after_a_reload() {
    let fleet = Fleet::new(one(prompt()).kindly(), Knobs::default()).await;
    let good = std::fs::read_to_string(fleet.path("cf-password")).unwrap();
    fleet.write("cf-password", "NotThePassword");
    let _rekeyd = fleet.start().await;
    let refused = |status: &rekeyd::daemon::report::CredentialStatus| {
        status.code.as_deref() == Some("login-refused") && status.needs_person()
    };
    fleet.until("acme", "refused", refused).await;
    let shown = fleet.ask(&["diagnose"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("login: mend the user or the secret"), "{text}");
    // With the same password the account is left alone, however often somebody reloads.
    let seen = fleet.until("acme", "refused", refused).await.next_look;
    assert_eq!(fleet.ask(&["reload"]).status.code(), Some(0));
    assert_eq!(fleet.until("acme", "still refused", refused).await.next_look, seen);
    fleet.write("cf-password", &good);
    assert_eq!(fleet.ask(&["reload"]).status.code(), Some(0));
    // The pause after a refused login is longer than anybody waits here.
    fleet.until_rotated("acme").await;
    fleet.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_is_quick_and_the_restart_resumes() {
    // Kind: no second rotation begins because the first one had to turn back.
    let fleet = Fleet::new(one(prompt()).kindly(), Knobs::default()).await;
    fleet.sandbox.inject(Rule::once(Fault::Latency { latency_ms: 1500 }).on(Operation::PutCredentials));
    let mut rekeyd = fleet.start().await;
    fleet.until("acme", "delivering", |status| status.phase == "delivering").await;
    rekeyd.signal("TERM");
    let status = rekeyd.ended(Duration::from_secs(45)).await;
    assert!(status.success(), "{status}");
    let events = fleet.events("acme");
    assert!(events.contains(&"delivered"), "the call in flight was finished and journalled: {events:?}");
    let _rekeyd = fleet.start().await;
    fleet.until_rotated("acme").await;
    let events = fleet.events("acme");
    assert_eq!(events.iter().filter(|event| **event == "begun").count(), 1, "{events:?}");
    fleet.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_term_stops_at_once() {
    let fleet = Fleet::new(one(prompt()), Knobs::default()).await;
    fleet.sandbox.inject(Rule::once(Fault::Hold).on(Operation::PutCredentials));
    let mut rekeyd = fleet.start().await;
    fleet.sandbox.wait_held(1).await;
    rekeyd.signal("TERM");
    fleet.until_log("stopping: calls in flight").await;
    rekeyd.signal("TERM");
    assert!(rekeyd.ended(Duration::from_secs(5)).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn usr2_writes_the_status_to_the_log() {
    let fleet = Fleet::new(one(prompt()), Knobs { soak: "1 h", ..Knobs::default() }).await;
    let rekeyd = fleet.start().await;
    fleet.until("acme", "soaking", |status| status.phase == "soaking").await;
    rekeyd.signal("USR2");
    fleet.until_log("`acme/dataplane`: soaking, evidence 4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_round_stops_when_it_is_told() {
    // Kind: no failure ends the round before its delivery.
    let fleet = Fleet::new(one(prompt()).kindly(), Knobs::default()).await;
    fleet.sandbox.inject(Rule::once(Fault::Hold).on(Operation::PutCredentials));
    let mut rekeyd = fleet.launch_once();
    fleet.sandbox.wait_held(1).await;
    rekeyd.signal("TERM");
    fleet.until_log("stopping: calls in flight").await;
    assert!(rekeyd.ended(Duration::from_secs(45)).await.success());
}

/// Who names a socket on which nobody answers is told of the daemon that the configuration knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_socket_is_told_where_the_daemon_answers() {
    let fleet = Fleet::new(one(prompt()).kindly(), Knobs::default()).await;
    let _rekeyd = fleet.start().await;
    let (wrong, right) = (fleet.path("nobody.sock"), fleet.path("control.sock").display().to_string());
    let wrong = wrong.to_str().unwrap();
    for command in [&["status"][..], &["history"], &["diagnose"], &["rotate", "acme/dataplane"]] {
        let asked = fleet.ask(&[command, &["--socket", wrong]].concat());
        let told =
            format!("{}{}", String::from_utf8_lossy(&asked.stdout), String::from_utf8_lossy(&asked.stderr));
        assert!(told.contains(&format!("one answers on `{right}`")), "{command:?}: {told}");
        assert!(!told.contains("run` starts one"), "{command:?}: {told}");
    }
}
