//! What is sent, and what is remembered of it.

use std::fs;

use super::outbox::Outbox;
use super::*;
use crate::http::testing::{Answer, ManualClock, Stub, http, token};

fn notice() -> Notice {
    Notice {
        id: "entry-7".to_owned(),
        kind: "halted",
        severity: Severity::Critical,
        at: "2026-01-02T03:04:05Z".parse().unwrap(),
        credential: Some("acme/dataplane".parse().unwrap()),
        text: "`acme/dataplane`: halted: something".to_owned(),
        command: Some("rekeyd explain acme/dataplane".to_owned()),
    }
}

#[tokio::test]
async fn a_webhook_is_told_in_json_with_a_signature() {
    let stub = Stub::start(|_, _| Answer::Says(204, "", String::new())).await;
    let secret = Secret::new("NotARealSecret".to_owned());
    let url = format!("{}/hook", stub.url);
    let sink = Sink::webhook(http(&ManualClock::new()), &url, Some(secret), "one").unwrap();
    sink.send(&notice()).await.unwrap();
    let asked = stub.asked().pop().unwrap();
    assert!(asked.is("POST", "/hook"), "{asked:?}");
    let expected = json!({
        "version": 1, "instance": "one", "id": "entry-7", "kind": "halted", "severity": "critical",
        "at": "2026-01-02T03:04:05Z", "credential": "acme/dataplane",
        "text": "`acme/dataplane`: halted: something", "command": "rekeyd explain acme/dataplane",
    });
    assert_eq!(asked.json(), expected);
    let headers = asked.headers.to_ascii_lowercase();
    assert!(headers.contains("content-type: application/json"), "{headers}");
    let signature = Secret::new("NotARealSecret".to_owned()).sign(asked.body.as_bytes());
    assert!(headers.contains(&format!("x-rekeyd-signature-256: sha256={signature}")), "{headers}");
    assert!(!headers.contains("notarealsecret"));
}

/// The example of RFC 4231, test case 2.
#[test]
fn the_signature_is_hmac_with_sha_256() {
    let signature = Secret::new("Jefe".to_owned()).sign(b"what do ya want for nothing?");
    assert_eq!(signature, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

#[tokio::test]
async fn alert_notification_gets_a_resource_event() {
    let stub = Stub::start(|asked, _| match asked.path.as_str() {
        "/oauth/token" => token("t", 3600),
        _ => Answer::Says(202, "", String::new()),
    })
    .await;
    let key = format!(
        r#"{{"url":"{0}","client_id":"sb-ans","client_secret":"NotARealSecret","oauth_url":"{0}/oauth/token?grant_type=client_credentials"}}"#,
        stub.url
    );
    let key = ServiceKey::parse(&key).unwrap();
    let sink = Sink::alert_notification(http(&ManualClock::new()), &key, "one").unwrap();
    sink.send(&notice()).await.unwrap();
    let asked = stub.asked().pop().unwrap();
    assert!(asked.is("POST", "/cf/producer/v1/resource-events"), "{asked:?}");
    let event = asked.json();
    for (pointer, expected) in [
        ("/eventType", json!("rekeyd.halted")),
        ("/eventTimestamp", json!(1_767_323_045)),
        ("/severity", json!("FATAL")),
        ("/category", json!("ALERT")),
        ("/subject", json!("`acme/dataplane`: halted: something")),
        ("/tags/ans:sourceEventId", json!("entry-7")),
        ("/resource/resourceName", json!("acme")),
        ("/resource/resourceType", json!("rekeyd.credential")),
        ("/resource/resourceInstance", json!("dataplane")),
    ] {
        assert_eq!(event.pointer(pointer), Some(&expected), "{pointer} of {event}");
    }
    assert!(event["body"].as_str().unwrap().ends_with("next: rekeyd explain acme/dataplane"));
    assert!(!asked.body.contains("sb-ans") && !asked.body.contains("NotARealSecret"));
    assert!(asked.headers.contains("earer t"), "{}", asked.headers);
}

#[tokio::test]
async fn a_sink_that_says_no_is_told_again() {
    let stub = Stub::start(|_, _| Answer::Says(503, "", String::new())).await;
    let sink = Sink::webhook(http(&ManualClock::new()), &stub.url, None, "one").unwrap();
    assert!(sink.send(&notice()).await.unwrap_err().class.is_passing());
    assert_eq!(stub.asked().len(), 1, "a command is not repeated at once");
}

#[tokio::test]
async fn what_was_told_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sinks/ops.json");
    let mut outbox = Outbox::open(path.clone(), 12).await.unwrap();
    assert_eq!(outbox.cursor(), 12, "a new sink is not told the past");
    let crashed = Outbox::open(path.clone(), 14).await.unwrap();
    assert_eq!(crashed.cursor(), 12, "what came before the first message is told");
    outbox.told_up_to(15).await.unwrap();
    assert!(outbox.is_new(&notice()));
    outbox.told(&notice()).await.unwrap();
    let again = Outbox::open(path.clone(), 20).await.unwrap();
    assert_eq!((again.cursor(), again.is_new(&notice())), (15, false));
    // An older journal was put in place: what it says from its end on is told.
    assert_eq!(Outbox::open(path.clone(), 3).await.unwrap().cursor(), 3);
    // What cannot be read is no reason to tell everything again.
    fs::write(&path, "{").unwrap();
    assert_eq!(Outbox::open(path, 20).await.unwrap().cursor(), 20);
}

#[tokio::test]
async fn what_was_told_long_ago_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = Outbox::open(folder.path().join("ops.json"), 0).await.unwrap();
    outbox.told(&notice()).await.unwrap();
    let later = Notice { id: "later".to_owned(), at: "2027-06-01T00:00:00Z".parse().unwrap(), ..notice() };
    outbox.told(&later).await.unwrap();
    assert_eq!((outbox.is_new(&notice()), outbox.is_new(&later)), (true, false));
}

#[tokio::test]
async fn what_cannot_be_written_down_says_so() {
    assert!(Outbox::open("/proc/rekeyd/ops.json".into(), 0).await.is_err());
}
