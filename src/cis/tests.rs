//! The source against a stub of CIS.

use serde_json::json;

use super::*;
use crate::http::testing::{Answer, Asked, ManualClock, Stub, http, ok, says, token};

const SECRET: &str = "NotARealSecret";

/// A CIS whose login works; everything else is up to the test.
async fn service(reply: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Stub {
    Stub::start(move |asked, _| match asked.path.as_str() {
        "/xsuaa/oauth/token" => token("t", 3600),
        _ => reply(asked),
    })
    .await
}

fn key(stub: &Stub, service: &str) -> ServiceKey {
    let key = json!({
        "endpoints": { service: format!("{}/cis", stub.url), "cloud_automation_url": "https://other.example" },
        "grant_type": "client_credentials",
        "uaa": { "clientid": "sb-1!b1|cis-central!b2", "clientsecret": SECRET, "url": format!("{}/xsuaa", stub.url) },
    });
    ServiceKey::parse(&key.to_string()).unwrap()
}

fn cis(stub: &Stub, locals: usize) -> Cis {
    let locals: Vec<ServiceKey> = (0..locals).map(|_| key(stub, PROVISIONING)).collect();
    Cis::new(&http(&ManualClock::new()), &key(stub, ACCOUNTS), &locals).unwrap()
}

fn whole(asked: &Asked) -> Answer {
    let directory = json!({
        "guid": "d1", "displayName": "prod", "novelty": [1], "children": [{ "guid": "d2", "displayName": "inner" }],
        "subaccounts": [{ "guid": "s1", "displayName": "old name", "parentGUID": "d1", "globalAccountGUID": "ga" }],
    });
    match asked.path.as_str() {
        "/cis/accounts/v1/globalAccount" => {
            ok(json!({ "guid": "ga", "displayName": "acme", "children": [directory], "subaccounts": null }))
        }
        "/cis/accounts/v1/subaccounts" => ok(json!({ "value": [
            { "guid": "s1", "displayName": "acme-prod", "parentGUID": "d1", "globalAccountGUID": "ga", "state": "OK",
              "region": "eu10", "subdomain": "acme-prod", "technicalName": "z1", "createdDate": 1_716_884_651_000_u64,
              "usedForProduction": "USED_FOR_PRODUCTION" },
            { "guid": "s2", "displayName": "a\nb", "parentGUID": "ga", "globalAccountGUID": "ga", "state": "NEW" },
        ] })),
        "/cis/provisioning/v1/environments" => ok(json!({ "environmentInstances": [
            { "environmentType": "kyma", "labels": "{}" },
            { "environmentType": "cloudfoundry", "subaccountGUID": "s1",
              "labels": json!({ "API Endpoint": "https://api.example/", "Org Name": "acme", "Org Id": "o" }).to_string() },
        ] })),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_account_is_seen_with_its_directories() {
    let stub = service(whole).await;
    let found = cis(&stub, 1).look().await.unwrap();
    let names: Vec<_> =
        found.tree.subaccounts.iter().map(|of| (of.guid.as_str(), of.name.as_str())).collect();
    assert_eq!(names, [("s1", "acme-prod"), ("s2", "a b")], "the list counts, and nothing breaks a line");
    assert_eq!(found.tree.subaccounts[0].parent.as_deref(), Some("d1"));
    assert_eq!(found.tree.subaccounts[0].production, Some(true));
    assert_eq!(found.tree.subaccounts[0].created_at, read::date(&json!("2024-05-28T08:24:11Z")));
    assert_eq!(
        (found.tree.subaccounts[1].parent.as_deref(), found.tree.subaccounts[1].created_at),
        (None, None)
    );
    let parents: Vec<_> =
        found.tree.directories.iter().map(|of| (of.name.as_str(), of.parent.as_deref())).collect();
    assert_eq!(parents, [("prod", None), ("inner", Some("d1"))]);
    let expected =
        Environment { subaccount: "s1".into(), api: "https://api.example".into(), org: "acme".into() };
    assert_eq!((found.environments, found.unseen), (vec![expected], Vec::new()));
    let asked = stub.asked();
    assert!(
        asked.iter().all(|asked| asked.method == "GET" || asked.path.ends_with("/oauth/token")),
        "reads only"
    );
    let account = asked.iter().find(|asked| asked.path.ends_with("globalAccount")).unwrap();
    assert_eq!(account.query, "expand=true");
}

#[tokio::test]
async fn a_probe_is_a_token_and_the_account() {
    let stub = service(whole).await;
    cis(&stub, 1).probe().await.unwrap();
    let paths: Vec<_> = stub.asked().iter().map(|asked| asked.path.clone()).collect();
    assert_eq!(paths, ["/xsuaa/oauth/token", "/cis/accounts/v1/globalAccount"]);
}

#[tokio::test]
async fn what_is_not_missed_for_the_tree_is_told_beside_it() {
    let stub = service(|asked| match asked.path.as_str() {
        "/cis/provisioning/v1/environments" => {
            says(403, json!({ "error": { "code": 11003, "message": SECRET } }))
        }
        _ => whole(asked),
    })
    .await;
    let found = cis(&stub, 1).look().await.unwrap();
    assert_eq!(found.tree.subaccounts.len(), 2);
    assert!(
        found.unseen[0].contains("403") && found.unseen[0].contains("`local-viewer`"),
        "{:?}",
        found.unseen
    );
}

#[tokio::test]
async fn both_envelopes_say_that_it_is_too_much() {
    for body in [
        json!({ "error": { "code": 11006, "message": "Maximum request rate limit is 5" }, "correlationID": "c" }),
        json!({ "code": "11006", "message": "Maximum request rate limit is 5", "correlationID": "c" }),
    ] {
        for status in [429, 400] {
            let body = body.clone();
            let stub = service(move |_| says(status, body.clone())).await;
            let failure = cis(&stub, 0).look().await.unwrap_err();
            assert_eq!(failure.class, Class::Throttled, "{status} {failure}");
        }
    }
}

#[tokio::test]
async fn a_pause_is_kept_whose_end_stands_in_the_header_of_limits() {
    let stub = service(|_| Answer::Says(429, "x-ratelimit-reset: 30\r\n", "{}".to_owned())).await;
    let cis = cis(&stub, 0);
    for _ in 0..2 {
        let failure = cis.probe().await.unwrap_err();
        assert_eq!(failure.not_before.unwrap().to_rfc3339(), "2026-01-01T00:00:30+00:00");
    }
    assert_eq!(stub.count("GET", "/cis/accounts/v1/globalAccount"), 1, "nobody calls before");
}

#[tokio::test]
async fn an_answer_that_hides_a_subaccount_is_none() {
    for body in [
        json!({ "value": [{ "displayName": "who" }] }),
        json!({ "value": [{ "guid": "../x" }] }),
        json!({ "value": [{ "guid": "s1", "state": 7 }] }),
        json!({ "value": "none" }),
        json!({}),
        json!([]),
    ] {
        let stub = service(move |asked| match asked.path.as_str() {
            "/cis/accounts/v1/subaccounts" => ok(body.clone()),
            _ => whole(asked),
        })
        .await;
        assert_eq!(cis(&stub, 0).look().await.unwrap_err().class, Class::Decode);
    }
    let stub = service(|asked| match asked.path.as_str() {
        "/cis/accounts/v1/globalAccount" => ok(json!({ "guid": "ga", "children": {} })),
        _ => whole(asked),
    })
    .await;
    assert_eq!(cis(&stub, 0).look().await.unwrap_err().class, Class::Decode);
}

#[test]
fn dates_are_read_in_every_form() {
    let expected = read::date(&json!("2026-05-28T08:24:11Z"));
    assert!(expected.is_some());
    for value in [
        json!(1_779_956_651_000_u64),
        json!("1779956651000"),
        json!("May 28, 2026, 8:24:11 AM"),
        json!("May 28, 2026, 8:24:11\u{202f}AM"),
        json!("2026-05-28T10:24:11.000+0200"),
    ] {
        assert_eq!(read::date(&value), expected, "{value}");
    }
    assert_eq!(read::date(&json!("May 28, 2026, 8:24:11 PM")), read::date(&json!("2026-05-28T20:24:11Z")));
    for value in [json!("yesterday"), json!(null), json!(""), json!(1.5), json!(u64::MAX), json!([])] {
        assert_eq!(read::date(&value), None, "{value}");
    }
}

#[test]
fn a_key_of_another_service_is_refused() {
    let key = json!({ "clientid": "c", "clientsecret": SECRET, "url": "https://a.example" });
    let key = ServiceKey::parse(&key.to_string()).unwrap();
    let failure = Cis::new(&http(&ManualClock::new()), &key, &[]).err().unwrap();
    assert!(failure.to_string().contains("`accounts_service_url`"), "{failure}");
}
