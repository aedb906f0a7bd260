//! The issuer against a stub of Cloud Foundry.

use std::time::Duration;

use super::foundry::FoundrySettings;
use super::*;
use crate::domain::key::KeyState;
use crate::domain::names::KeyId;
use crate::http::testing::{Answer, Asked, ManualClock, Stub, http, ok, says, token};
use crate::issuer::binding::Patience;
use crate::secret::{ClientProof, Secret};

const LIST: &str = "/v3/service_credential_bindings";

/// A landscape whose root and login work; everything else is up to the test.
async fn landscape(reply: impl Fn(&Asked, &str) -> Answer + Send + Sync + 'static) -> Stub {
    Stub::start(move |asked, url| match asked.path.as_str() {
        "/" => ok(json!({ "links": {
            "uaa": { "href": format!("{url}/uaa") },
            "cloud_controller_v3": { "href": format!("{url}/v3") },
        } })),
        "/uaa/oauth/token" => token("t", 3600),
        _ => reply(asked, url),
    })
    .await
}

fn issuer(stub: &Stub) -> CloudFoundry {
    with_places(
        stub,
        [(Role::Ciapi, Place::Guid("i-api".to_owned())), (Role::Cirt, Place::Guid("i-rt".to_owned()))],
    )
}

fn with_places(stub: &Stub, places: [(Role, Place); 2]) -> CloudFoundry {
    let settings = FoundrySettings {
        api: stub.url.clone(),
        user: "robot@acme.example".to_owned(),
        password: Secret::new("pw".to_owned()),
        origin: Some("acme-idp".to_owned()),
        patience: Patience { deadline: Duration::from_mins(5), poll: Duration::from_secs(5) },
    };
    let foundry = Arc::new(Foundry::new(http(&ManualClock::new()), settings).unwrap());
    let credential = "acme-prod/dataplane".parse().unwrap();
    CloudFoundry::new(foundry, Settings { credential, places: BTreeMap::from(places) })
}

fn entry(guid: &str, name: &str, instance: &str, state: &str) -> Value {
    json!({
        "guid": guid, "name": name, "type": "key", "created_at": "2026-01-02T03:04:05Z", "novelty": {},
        "last_operation": { "type": "create", "state": state },
        "relationships": { "service_instance": { "data": { "guid": instance } } },
    })
}

fn page(entries: &[Value], total: usize, next: Option<String>) -> Answer {
    let next = next.map(|href| json!({ "href": href }));
    ok(json!({ "pagination": { "total_results": total, "next": next }, "resources": entries }))
}

fn fault(status: u16, code: i64, detail: &str) -> Answer {
    says(status, json!({ "errors": [{ "code": code, "title": "CF-X", "detail": detail }] }))
}

fn accepted(url: &str) -> Answer {
    let location = format!("location: {url}/v3/jobs/j1\r\n");
    Answer::Says(202, Box::leak(location.into_boxed_str()), String::new())
}

fn key(id: &str, name: &str) -> Key {
    Key { id: KeyId(id.to_owned()), name: KeyName(name.to_owned()), created_at: None, expires_at: None }
}

#[tokio::test]
async fn keys_of_both_roles_come_from_one_list_of_several_pages() {
    let stub = landscape(|asked, url| {
        if asked.query.contains("page=2") {
            return page(
                &[entry("k3", "three", "i-rt", "in progress"), json!({ "type": "app", "guid": "a" })],
                4,
                None,
            );
        }
        let entries =
            [entry("k1", "one", "i-api", "succeeded"), entry("k9", "foreign", "i-other", "succeeded")];
        page(&entries, 4, Some(format!("{url}{LIST}?page=2")))
    })
    .await;
    let found = issuer(&stub).list().await.unwrap();
    let names =
        |role| found[&role].iter().map(|seen| (seen.key.name.0.as_str(), seen.state)).collect::<Vec<_>>();
    assert_eq!(names(Role::Ciapi), [("one", KeyState::Ready)]);
    assert_eq!(names(Role::Cirt), [("three", KeyState::Busy)]);
    let asked = stub.asked();
    let list: Vec<_> = asked.iter().filter(|asked| asked.path == LIST).collect();
    assert_eq!(list.len(), 2);
    assert_eq!(
        list[0].query,
        "type=key&per_page=5000&order_by=created_at&service_instance_guids=i-api%2Ci-rt"
    );
    let login = asked.iter().find(|asked| asked.path == "/uaa/oauth/token").unwrap();
    assert_eq!(login.query, "login_hint=%7B%22origin%22%3A%22acme-idp%22%7D");
}

#[tokio::test]
async fn a_list_that_may_have_gaps_is_no_list() {
    let check = async |answer: fn(&str) -> Answer| {
        let stub = landscape(move |_, url| answer(url)).await;
        assert_eq!(issuer(&stub).list().await.unwrap_err().class, Class::Decode);
    };
    check(|_| page(&[entry("k1", "one", "i-api", "succeeded")], 2, None)).await;
    check(|_| page(&[entry("k1", "", "i-api", "succeeded")], 1, None)).await;
    check(|_| page(&[], 0, Some("https://evil.example/v3".to_owned()))).await;
    check(|url| page(&[], 0, Some(format!("{url}{LIST}?same")))).await;
    check(|_| ok(json!({ "resources": {} }))).await;
    check(|_| Answer::Says(200, "", "{\"resources\": [".to_owned())).await;
}

#[tokio::test]
async fn the_password_stays_in_its_domain() {
    let elsewhere = Stub::start(|_, _| token("t", 1)).await;
    let uaa = elsewhere.url.replace("127.0.0.1", "localhost");
    let stub = Stub::start(move |_, _| ok(json!({ "links": { "uaa": { "href": uaa } } }))).await;
    assert_eq!(issuer(&stub).list().await.unwrap_err().class, Class::Decode);
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_key_is_made_and_its_job_followed() {
    let stub = landscape(|asked, url| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", LIST) => accepted(url),
        ("GET", "/v3/jobs/j1") => ok(json!({
            "state": "COMPLETE",
            "links": { "service_credential_binding": { "href": format!("{url}{LIST}/k7") } },
        })),
        ("GET", _) => ok(entry("k7", "fresh", "i-rt", "succeeded")),
        _ => says(500, json!({})),
    })
    .await;
    let made = issuer(&stub).create(Role::Cirt, &KeyName("fresh".to_owned())).await.unwrap();
    assert_eq!((made.id.0.as_str(), made.created_at.is_some()), ("k7", true));
    let body =
        stub.asked().into_iter().find(|asked| asked.method == "POST" && asked.path == LIST).unwrap().json();
    assert_eq!(body["type"], "key");
    assert_eq!(body["name"], "fresh");
    assert_eq!(body["relationships"]["service_instance"]["data"]["guid"], "i-rt");
    assert_eq!(body["metadata"]["annotations"]["rekeyd.io/credential"], "acme-prod/dataplane");
}

/// What comes of a create where the POST is answered by `post`, the job by `job` and the name has `listed` matches.
async fn outcome(
    post: fn(&str) -> Answer,
    job: fn() -> Answer,
    listed: &'static [&'static str],
) -> Result<String, (Class, bool)> {
    let stub = landscape(move |asked, url| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", LIST) => post(url),
        ("GET", LIST) => {
            let entries: Vec<_> = listed
                .iter()
                .enumerate()
                .map(|(n, state)| entry(&format!("k{n}"), "fresh", "i-rt", state))
                .collect();
            page(&entries, entries.len(), None)
        }
        _ => job(),
    })
    .await;
    let created = issuer(&stub).create(Role::Cirt, &KeyName("fresh".to_owned())).await;
    assert_eq!(stub.count("POST", LIST), 1, "a create is never sent twice");
    created.map(|key| key.id.0).map_err(|failure| (failure.class, failure.effect_unknown))
}

#[tokio::test]
async fn a_create_ends_in_a_key_or_says_what_is_known() {
    let complete = || ok(json!({ "state": "COMPLETE" }));
    let failed = || ok(json!({ "state": "FAILED", "errors": [{ "code": 10009, "detail": "quota" }] }));
    let polling = || ok(json!({ "state": "POLLING" }));
    let gone = || fault(404, 10010, "Job not found");
    let check = async |post, job, listed, expected: Result<&str, (Class, bool)>| {
        assert_eq!(outcome(post, job, listed).await, expected.map(str::to_owned));
    };
    check(accepted, complete, &["succeeded"], Ok("k0")).await;
    check(accepted, gone, &["succeeded"], Ok("k0")).await;
    check(accepted, failed, &["succeeded"], Ok("k0")).await;
    check(|_| Answer::Says(202, "", String::new()), complete, &["succeeded"], Ok("k0")).await;
    check(accepted, complete, &[], Err((Class::ServerError, true))).await;
    check(accepted, failed, &[], Err((Class::ClientError, true))).await;
    check(accepted, failed, &["failed"], Err((Class::ClientError, true))).await;
    check(accepted, gone, &["in progress"], Err((Class::Timeout, true))).await;
    check(accepted, complete, &["succeeded", "succeeded"], Err((Class::Conflict, true))).await;
    check(accepted, polling, &[], Err((Class::Timeout, true))).await;
    check(accepted, || says(401, json!({})), &[], Err((Class::Unauthorized, true))).await;
    check(|_| Answer::Hangs, complete, &[], Err((Class::Connect, true))).await;
    check(|_| says(500, json!({})), complete, &[], Err((Class::ServerError, true))).await;
    check(|_| Answer::Says(503, "", "<html>".to_owned()), complete, &[], Err((Class::ServerError, true)))
        .await;
    check(|_| fault(403, 10003, "no"), complete, &[], Err((Class::Forbidden, false))).await;
    check(|_| fault(429, 10013, "no"), complete, &[], Err((Class::Throttled, false))).await;
}

#[tokio::test]
async fn an_unprocessable_create_is_understood_by_looking_again() {
    let job = || says(500, json!({}));
    let check = async |post, listed, expected| assert_eq!(outcome(post, job, listed).await, Err(expected));
    check(|_| fault(422, 10008, "Key binding names must be unique."), &[], (Class::Conflict, true)).await;
    check(|_| fault(422, 10008, "some new words"), &["succeeded"], (Class::Conflict, true)).await;
    check(|_| fault(422, 10008, "some new words"), &[], (Class::ClientError, false)).await;
    check(|_| fault(422, 10008, "Service key quota exceeded"), &[], (Class::ClientError, false)).await;
    check(|_| fault(422, 10008, "There is an operation in progress"), &[], (Class::Conflict, false)).await;
    check(|_| Answer::Says(422, "", "<html>".to_owned()), &[], (Class::ClientError, false)).await;
}

#[tokio::test]
async fn a_job_on_another_host_is_not_followed() {
    let elsewhere =
        |_: &str| Answer::Says(202, "location: https://evil.example/v3/jobs/j1\r\n", String::new());
    let found = outcome(elsewhere, || says(500, json!({})), &["succeeded"]).await;
    assert_eq!(found, Err((Class::Decode, true)));
}

#[tokio::test]
async fn a_key_is_read_with_its_secret_and_its_secret_stays_there() {
    let stub = landscape(|asked, _| match asked.path.as_str() {
        path if path.ends_with("/good/details") => ok(json!({ "credentials": { "clientid": "sb-1", "clientsecret": "s3cret", "tokenurl": "https://token.example/oauth/token" } })),
        path if path.ends_with("/odd/details") => ok(json!({ "credentials": { "clientsecret": 5 } })),
        _ => fault(404, 10010, "Creation of service key in progress"),
    })
    .await;
    let issuer = issuer(&stub);
    let read = issuer.read(Role::Ciapi, &key("good", "one")).await.unwrap();
    assert!(matches!(&read.proof, ClientProof::Secret(secret) if secret.expose() == "s3cret"));
    assert_eq!(issuer.read(Role::Ciapi, &key("odd", "one")).await.unwrap_err().class, Class::Decode);
    assert_eq!(issuer.read(Role::Ciapi, &key("busy", "one")).await.unwrap_err().class, Class::NotFound);
    assert_eq!(issuer.read(Role::Ciapi, &key("..", "one")).await.unwrap_err().class, Class::ClientError);
}

/// What comes of a deletion: `get` answers the looks at the key, by their number.
async fn deletion(
    get: fn(usize) -> Answer,
    delete: fn(&str) -> Answer,
    job: fn() -> Answer,
) -> (Result<(), (Class, bool)>, usize) {
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let stub = landscape(move |asked, url| match (asked.method.as_str(), asked.path.as_str()) {
        ("DELETE", _) => delete(url),
        ("GET", "/v3/jobs/j1") => job(),
        _ => get(looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst)),
    })
    .await;
    let deleted = issuer(&stub).delete(Role::Cirt, &key("k1", "old")).await;
    let deleted = deleted.map_err(|failure| (failure.class, failure.effect_unknown));
    (deleted, stub.asked().iter().filter(|asked| asked.method == "DELETE").count())
}

#[tokio::test]
async fn a_deletion_is_confirmed_or_unknown() {
    let there = |_| ok(entry("k1", "old", "i-rt", "succeeded"));
    let first = |look| {
        if look == 0 { ok(entry("k1", "old", "i-rt", "succeeded")) } else { fault(404, 10010, "gone") }
    };
    let missing = |_| fault(404, 10010, "gone");
    let complete = || ok(json!({ "state": "COMPLETE" }));
    let failed = || ok(json!({ "state": "FAILED" }));
    let lost = || fault(404, 10010, "gone");
    let check = async |get, delete, job, expected| assert_eq!(deletion(get, delete, job).await, expected);
    check(there, accepted, complete, (Ok(()), 1)).await;
    check(missing, accepted, complete, (Ok(()), 0)).await;
    check(there, |_| fault(404, 10010, "gone"), complete, (Ok(()), 1)).await;
    check(first, accepted, lost, (Ok(()), 1)).await;
    check(first, accepted, failed, (Ok(()), 1)).await;
    check(first, |_| Answer::Says(204, "", String::new()), failed, (Ok(()), 1)).await;
    check(there, accepted, lost, (Err((Class::ServerError, true)), 1)).await;
    check(there, accepted, failed, (Err((Class::ServerError, true)), 1)).await;
    check(there, |_| Answer::Hangs, complete, (Err((Class::Connect, true)), 1)).await;
    check(there, |_| fault(422, 10008, "in progress"), complete, (Err((Class::Conflict, false)), 1)).await;
    check(
        there,
        |_| Answer::Says(404, "", "<html>".to_owned()),
        complete,
        (Err((Class::ServerError, false)), 1),
    )
    .await;
    check(
        |_| Answer::Says(404, "", String::new()),
        accepted,
        complete,
        (Err((Class::ServerError, false)), 0),
    )
    .await;
}

#[tokio::test]
async fn a_key_that_is_not_the_one_meant_is_not_deleted() {
    let check = async |get| {
        let found = deletion(get, accepted, || ok(json!({ "state": "COMPLETE" }))).await;
        assert_eq!(found, (Err((Class::ClientError, false)), 0));
    };
    check(|_| ok(entry("k1", "another", "i-rt", "succeeded"))).await;
    check(|_| ok(entry("k1", "old", "i-api", "succeeded"))).await;
}

#[tokio::test]
async fn an_instance_is_found_by_its_name() {
    let named = |name: &str, guid: &str| json!({ "name": name, "guid": guid });
    let stub = landscape(move |asked, _| match asked.path.as_str() {
        "/v3/organizations" => page(&[named("acme", "o1")], 1, None),
        "/v3/spaces" if asked.query.contains("organization_guids=o1") => {
            page(&[named("prod", "s1")], 1, None)
        }
        "/v3/service_instances" if asked.query.contains("names=api") => {
            page(&[named("api", "i-api"), named("API", "i-no")], 2, None)
        }
        "/v3/service_instances" if asked.query.contains("names=twice") => {
            page(&[named("twice", "i1"), named("twice", "i2")], 2, None)
        }
        _ => page(&[], 0, None),
    })
    .await;
    let place =
        |name: &str| Place::Named { name: name.to_owned(), space: "prod".to_owned(), org: "acme".to_owned() };
    let found =
        with_places(&stub, [(Role::Ciapi, place("api")), (Role::Cirt, Place::Guid("i-rt".to_owned()))]);
    found.list().await.unwrap();
    found.list().await.unwrap();
    assert_eq!(stub.count("GET", "/v3/organizations"), 1, "names are looked up once");
    for name in ["twice", "none", "a,b"] {
        let found =
            with_places(&stub, [(Role::Ciapi, place(name)), (Role::Cirt, Place::Guid("i-rt".to_owned()))]);
        assert_eq!(found.list().await.unwrap_err().class, Class::ClientError, "{name}");
    }
    let same = Place::Guid("i-rt".to_owned());
    let shared = with_places(&stub, [(Role::Ciapi, same.clone()), (Role::Cirt, same)]);
    assert_eq!(shared.list().await.unwrap_err().class, Class::ClientError);
}

/// A landscape that tells of the login, of the space of both instances, and `roles`.
async fn shows(
    user: impl Fn() -> Answer + Send + Sync + 'static,
    roles: impl Fn() -> Answer + Send + Sync + 'static,
) -> Access {
    let stub = landscape(move |asked, _| match asked.path.as_str() {
        "/uaa/userinfo" => user(),
        "/v3/service_instances" => {
            let space =
                json!({ "guid": "i-any", "relationships": { "space": { "data": { "guid": "s1" } } } });
            page(&[space], 1, None)
        }
        "/v3/roles" => roles(),
        _ => fault(500, 10001, "unexpected"),
    })
    .await;
    let access = issuer(&stub).access().await;
    let asked = stub.asked();
    for role in asked.iter().filter(|asked| asked.path == "/v3/roles") {
        assert!(role.query.starts_with("user_guids=u1&space_guids=s1"), "{}", role.query);
    }
    access
}

#[tokio::test]
async fn what_a_login_may_do_is_looked_up_and_nothing_is_held_against_it_that_is_not_sure() {
    let user = || ok(json!({ "user_id": "u1", "user_name": "robot" }));
    let role = |name: &'static str| move || page(&[json!({ "guid": name, "type": name })], 1, None);
    assert_eq!(shows(user, role("space_developer")).await, Access::Writes);
    assert!(matches!(shows(user, role("space_auditor")).await, Access::ReadsOnly { .. }));
    let check = |access: Access| assert!(matches!(access, Access::Unknown(_)), "{access:?}");
    check(shows(user, || page(&[], 0, None)).await);
    check(shows(user, || fault(403, 10003, "You are not authorized")).await);
    check(shows(user, || fault(404, 10000, "Unknown request")).await);
    check(shows(|| says(404, json!({})), role("space_auditor")).await);
    check(shows(|| ok(json!({ "user_id": "" })), role("space_auditor")).await);
    check(shows(|| ok(json!({})), role("space_auditor")).await);
}
