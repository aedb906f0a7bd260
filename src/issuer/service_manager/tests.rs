//! The issuer against a stub of Service Manager.

use std::time::Duration;

use super::manager::ManagerSettings;
use super::*;
use crate::domain::names::KeyId;
use crate::http::testing::{Answer, Asked, ManualClock, Stub, http, ok, says, token};
use crate::issuer::binding::Patience;
use crate::secret::ClientProof;

const LIST: &str = "/sm/v1/service_bindings";
const SECRET: &str = "NotARealSecret";

/// A Service Manager whose login works; everything else is up to the test.
async fn service(reply: impl Fn(&Asked, &str) -> Answer + Send + Sync + 'static) -> Stub {
    Stub::start(move |asked, url| match asked.path.as_str() {
        "/xsuaa/oauth/token" => token("t", 3600),
        _ => reply(asked, url),
    })
    .await
}

fn issuer(stub: &Stub) -> ServiceManager {
    let key = json!({
        "clientid": "sb-1!b1|service-manager!b2", "clientsecret": "sm$secret=", "xsappname": "x",
        "sm_url": format!("{}/sm", stub.url), "url": format!("{}/xsuaa", stub.url),
    });
    let key = ServiceKey::parse(&key.to_string()).unwrap();
    let settings = ManagerSettings {
        url: key.endpoints["sm_url"].clone(),
        key,
        calls_per_hour: 5400,
        patience: Patience { deadline: Duration::from_mins(5), poll: Duration::from_secs(5) },
    };
    let manager = Arc::new(Manager::new(http(&ManualClock::new()), &settings).unwrap());
    let instances = [(Role::Ciapi, "i-api".to_owned()), (Role::Cirt, "i-rt".to_owned())];
    let credential = "acme-prod/dataplane".parse().unwrap();
    ServiceManager::new(manager, Settings { credential, instances: BTreeMap::from(instances) })
}

fn entry(id: &str, name: &str, instance: &str, state: &str) -> Value {
    json!({
        "id": id, "name": name, "ready": state == "succeeded", "service_instance_id": instance, "novelty": {},
        "created_at": "2026-01-02T03:04:05.678901Z",
        "credentials": { "clientid": "sb-2", "clientsecret": SECRET, "tokenurl": "https://t.example/oauth/token" },
        "last_operation": { "type": "create", "state": state },
    })
}

fn page(entries: &[Value], total: usize, next: &str) -> Answer {
    ok(json!({ "num_items": total, "items": entries, "token": next }))
}

fn fault(status: u16, error: &str, description: &str) -> Answer {
    let broker = json!({ "StatusCode": 500, "ErrorMessage": SECRET, "Description": SECRET });
    says(status, json!({ "error": error, "description": description, "broker_error": broker }))
}

fn missing() -> Answer {
    fault(404, "NotFound", "could not find such service_binding")
}

/// The platform's router answers in the place of a Service Manager that is down.
fn down() -> Answer {
    Answer::Says(404, "x-cf-routererror: unknown_route\r\n", json!({ "error": "NotFound" }).to_string())
}

/// As documented: a path below the address in the key, without the path of that address.
fn accepted(id: &str) -> Answer {
    let location = format!("location: /v1/service_bindings/{id}/operations/o1\r\n");
    Answer::Says(202, Box::leak(location.into_boxed_str()), String::new())
}

fn key(id: &str, name: &str) -> Key {
    Key { id: KeyId(id.to_owned()), name: KeyName(name.to_owned()), created_at: None, expires_at: None }
}

fn is_list(asked: &Asked) -> bool {
    asked.is("GET", LIST)
}

#[tokio::test]
async fn keys_of_both_roles_are_listed_over_several_pages() {
    let stub = service(|asked, _| match asked.query.as_str() {
        query if query.contains("i-rt") && query.contains("&token=next%3D%3D") => {
            page(&[entry("k3", "three", "i-rt", "in progress")], 2, "")
        }
        query if query.contains("i-rt") => page(&[entry("k2", "two", "i-rt", "succeeded")], 2, "next=="),
        // A server that does not mind the condition.
        _ => page(
            &[entry("k1", "one", "i-api", "succeeded"), entry("k9", "foreign", "i-other", "succeeded")],
            2,
            "",
        ),
    })
    .await;
    let found = issuer(&stub).list().await.unwrap();
    let names =
        |role| found[&role].iter().map(|seen| (seen.key.name.0.as_str(), seen.state)).collect::<Vec<_>>();
    assert_eq!(names(Role::Ciapi), [("one", KeyState::Ready)]);
    assert_eq!(names(Role::Cirt), [("two", KeyState::Ready), ("three", KeyState::Busy)]);
    assert!(!format!("{found:?}").contains(SECRET));
    let asked = stub.asked();
    let lists: Vec<_> = asked.iter().filter(|asked| is_list(asked)).collect();
    assert_eq!(lists.len(), 3);
    assert_eq!(
        lists[0].query,
        "fieldQuery=service_instance_id+eq+%27i-api%27&max_items=200&attach_last_operations=true"
    );
    let login = asked.iter().find(|asked| asked.path == "/xsuaa/oauth/token").unwrap();
    assert_eq!(
        login.body,
        "grant_type=client_credentials&client_id=sb-1%21b1%7Cservice-manager%21b2&client_secret=sm%24secret%3D"
    );
    assert!(!login.headers.to_lowercase().contains("authorization"), "the secret goes in the body alone");
}

#[tokio::test]
async fn a_link_leads_to_the_next_page_where_there_is_no_token() {
    let stub = service(|asked, url| {
        if !asked.query.contains("i-rt") {
            return ok(json!({ "items": [] }));
        }
        if asked.query.contains("page=2") {
            return ok(json!({ "items": [entry("k2", "two", "i-rt", "succeeded")] }));
        }
        let link = format!("link: <{url}{LIST}?page=2&i-rt>; rel=\"next\"\r\n");
        let body = json!({ "items": [entry("k1", "one", "i-rt", "succeeded")] });
        Answer::Says(200, Box::leak(link.into_boxed_str()), body.to_string())
    })
    .await;
    assert_eq!(issuer(&stub).list().await.unwrap()[&Role::Cirt].len(), 2);
}

#[tokio::test]
async fn a_list_that_may_have_gaps_is_no_list() {
    let check = async |answer: fn() -> Answer| {
        let stub = service(move |_, _| answer()).await;
        let failure = issuer(&stub).list().await.unwrap_err();
        assert_eq!(failure.class, Class::Decode);
        assert!(!failure.cause.contains(SECRET), "{failure}");
    };
    check(|| page(&[entry("k1", "one", "i-api", "succeeded")], 2, "")).await;
    check(|| page(&[entry("k1", "", "i-api", "succeeded")], 1, "")).await;
    check(|| page(&[entry("k1", "one", "i-api", "succeeded")], 9, "same")).await;
    check(|| ok(json!({ "items": {} }))).await;
    check(|| ok(json!({ "items": [], "token": 7 }))).await;
    check(|| ok(json!([{ "credentials": { "clientsecret": SECRET } }]))).await;
    check(|| Answer::Says(200, "", format!("{{\"items\": [{{\"clientsecret\":\"{SECRET}\""))).await;
    check(|| Answer::Says(200, "link: <https://evil.example/>; rel=next\r\n", "{\"items\":[]}".to_owned()))
        .await;
}

#[tokio::test]
async fn an_outage_is_no_answer_on_any_call() {
    let stub = service(|_, _| down()).await;
    let issuer = issuer(&stub);
    let class = |failure: Failure| (failure.class, failure.effect_unknown);
    assert_eq!(class(issuer.list().await.unwrap_err()), (Class::ServerError, false));
    let name = KeyName("fresh".to_owned());
    assert_eq!(class(issuer.create(Role::Cirt, &name).await.unwrap_err()), (Class::ServerError, true));
    let old = key("k1", "old");
    assert_eq!(class(issuer.read(Role::Cirt, &old).await.unwrap_err()), (Class::ServerError, false));
    assert_eq!(class(issuer.delete(Role::Cirt, &old).await.unwrap_err()), (Class::ServerError, false));
}

#[tokio::test]
async fn a_key_is_made_at_once() {
    let stub = service(|asked, _| match asked.method.as_str() {
        "POST" => says(201, entry("k7", "fresh", "i-rt", "succeeded")),
        _ => says(500, json!({})),
    })
    .await;
    let made = issuer(&stub).create(Role::Cirt, &KeyName("fresh".to_owned())).await.unwrap();
    assert_eq!((made.id.0.as_str(), made.created_at.is_some()), ("k7", true));
    let body = stub.asked().into_iter().find(|asked| asked.is("POST", LIST)).unwrap().json();
    let labels = json!({ "managed-by": ["rekeyd"], "rekeyd-credential": ["acme-prod/dataplane"] });
    assert_eq!(body, json!({ "name": "fresh", "service_instance_id": "i-rt", "labels": labels }));
}

#[tokio::test]
async fn a_key_is_made_and_its_operation_followed() {
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let stub = service(move |asked, _| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", LIST) => accepted("k7"),
        ("GET", "/sm/v1/service_bindings/k7/operations/o1") => {
            let look = looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let states = ["pending", "in progress", "succeeded"];
            ok(json!({ "state": states[look.min(2)] }))
        }
        ("GET", "/sm/v1/service_bindings/k7") => ok(entry("k7", "fresh", "i-rt", "succeeded")),
        _ => says(500, json!({})),
    })
    .await;
    let made = issuer(&stub).create(Role::Cirt, &KeyName("fresh".to_owned())).await.unwrap();
    assert_eq!(made.id.0, "k7");
}

/// What comes of a create where the POST is answered by `post`, the operation by `operation`, and the name has `listed`
/// matches. Answers how many deletions were sent, too.
async fn outcome(
    post: fn() -> Answer,
    operation: fn() -> Answer,
    listed: &'static [&'static str],
) -> (Result<String, (Class, bool)>, usize) {
    let stub = service(move |asked, _| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", LIST) => post(),
        ("GET", LIST) => {
            let of = |(n, state): (usize, &&str)| entry(&format!("k{n}"), "fresh", "i-rt", state);
            let entries: Vec<_> = listed.iter().enumerate().map(of).collect();
            page(&entries, entries.len(), "")
        }
        ("DELETE", _) => ok(json!({})),
        (_, path) if path.contains("/operations/") => operation(),
        _ => missing(),
    })
    .await;
    let created = issuer(&stub).create(Role::Cirt, &KeyName("fresh".to_owned())).await;
    assert_eq!(stub.count("POST", LIST), 1, "a create is never sent twice");
    let deletions = stub.asked().iter().filter(|asked| asked.method == "DELETE").count();
    let failed = |failure: Failure| {
        assert!(!failure.cause.contains(SECRET), "{failure}");
        (failure.class, failure.effect_unknown)
    };
    (created.map(|key| key.id.0).map_err(failed), deletions)
}

const fn answers(post: fn() -> Answer) -> fn() -> Answer {
    post
}

#[tokio::test]
async fn a_create_ends_in_a_key_or_says_what_is_known() {
    let accepted = answers(|| accepted("k0"));
    let over = answers(|| ok(json!({ "state": "succeeded" })));
    let failed = answers(|| ok(json!({ "state": "failed", "description": SECRET_WORDS })));
    let going = answers(|| ok(json!({ "state": "in progress" })));
    let check = async |post, operation, listed, expected: Result<&str, (Class, bool)>| {
        let (found, deletions) = outcome(post, operation, listed).await;
        assert_eq!((found, deletions), (expected.map(str::to_owned), 0));
    };
    check(accepted, over, &["succeeded"], Ok("k0")).await;
    check(accepted, missing, &["succeeded"], Ok("k0")).await;
    check(accepted, failed, &["succeeded"], Ok("k0")).await;
    check(|| Answer::Says(202, "", String::new()), over, &["succeeded"], Ok("k0")).await;
    check(|| Answer::Says(201, "", String::new()), over, &["succeeded"], Ok("k0")).await;
    check(|| says(201, entry("k5", "another", "i-rt", "succeeded")), over, &["succeeded"], Ok("k0")).await;
    check(|| says(201, json!({ "id": 7 })), over, &[], Err((Class::ServerError, true))).await;
    check(accepted, over, &[], Err((Class::ServerError, true))).await;
    check(accepted, failed, &[], Err((Class::ClientError, true))).await;
    check(accepted, missing, &["in progress"], Err((Class::Timeout, true))).await;
    check(accepted, over, &["succeeded", "succeeded"], Err((Class::Conflict, true))).await;
    check(accepted, going, &[], Err((Class::Timeout, true))).await;
    check(accepted, down, &[], Err((Class::ServerError, true))).await;
    check(accepted, || says(401, json!({})), &[], Err((Class::Unauthorized, true))).await;
    check(|| Answer::Hangs, over, &[], Err((Class::Connect, true))).await;
    check(|| says(500, json!({})), over, &[], Err((Class::ServerError, true))).await;
    check(|| Answer::Says(502, "", "<html>".to_owned()), over, &[], Err((Class::ServerError, true))).await;
    check(|| fault(403, "Forbidden", "no"), over, &[], Err((Class::Forbidden, false))).await;
    check(|| fault(429, "", "limit of 600 responses"), over, &[], Err((Class::Throttled, false))).await;
}

const SECRET_WORDS: &str = "the broker said clientsecret=NotARealSecret";

#[tokio::test]
async fn what_is_half_made_is_deleted_before_anybody_tries_again() {
    let failed = answers(|| ok(json!({ "state": "failed" })));
    let taken = answers(|| fault(409, "Conflict", "binding with same name exists for instance with id i-rt"));
    let check = async |post, listed, expected, deletions| {
        assert_eq!(outcome(post, failed, listed).await, (Err(expected), deletions));
    };
    // Whether it is listed at once is not known, so the name is looked for again.
    check(answers(|| accepted("k0")), &["failed"], (Class::ClientError, true), 1).await;
    check(answers(|| accepted("k0")), &["in progress"], (Class::ClientError, true), 1).await;
    check(answers(|| accepted("k8")), &["in progress"], (Class::Timeout, true), 0).await;
    check(answers(|| accepted("k0")), &["failed", "failed"], (Class::Conflict, true), 0).await;
    // What an earlier attempt left behind is in the way of the next.
    check(taken, &["failed"], (Class::Conflict, false), 1).await;
    check(taken, &["failed", "succeeded"], (Class::Conflict, true), 0).await;
}

#[tokio::test]
async fn a_refused_create_is_understood_by_looking_again() {
    let check = async |post, listed, expected| {
        let (found, deletions) = outcome(post, missing, listed).await;
        assert_eq!((found, deletions), (Err(expected), 0));
    };
    let taken = answers(|| fault(409, "Conflict", "binding with same name exists for instance with id i-rt"));
    check(taken, &[], (Class::Conflict, true)).await;
    check(taken, &["succeeded"], (Class::Conflict, true)).await;
    check(taken, &["in progress"], (Class::Conflict, true)).await;
    let bad = answers(|| fault(400, "BadRequest", "some new words"));
    check(bad, &["succeeded"], (Class::Conflict, true)).await;
    check(bad, &[], (Class::ClientError, false)).await;
    check(|| fault(400, "BadRequest", "the same name exists"), &[], (Class::Conflict, true)).await;
    check(|| fault(422, "X", "Another operation in progress"), &[], (Class::Conflict, false)).await;
    check(|| fault(400, "X", "Quota is exceeded"), &["succeeded"], (Class::ClientError, false)).await;
    check(|| Answer::Says(400, "", "<html>".to_owned()), &[], (Class::ClientError, false)).await;
}

#[tokio::test]
async fn an_operation_on_another_host_is_not_followed() {
    let check = async |location: &'static str| {
        let post = move |asked: &Asked| match asked.method.as_str() {
            "POST" => Answer::Says(202, location, String::new()),
            _ => says(500, json!({})),
        };
        let stub = service(move |asked, _| post(asked)).await;
        let failure = issuer(&stub).create(Role::Cirt, &KeyName("fresh".to_owned())).await.unwrap_err();
        assert_eq!((failure.class, failure.effect_unknown), (Class::Decode, true), "{location}");
        assert!(stub.asked().iter().all(|asked| asked.method == "POST"), "nothing is asked there");
    };
    check("location: https://evil.example/v1/service_bindings/k1/operations/o1\r\n").await;
    check("location: //evil.example/v1/service_bindings/k1/operations/o1\r\n").await;
    check("location: /v1/service_bindings/k1\r\n").await;
    check("location: /v1/service_bindings/k1/operations/%2e%2e\r\n").await;
}

#[tokio::test]
async fn a_key_is_read_with_its_secret_and_its_secret_stays_there() {
    let stub = service(|asked, _| match asked.path.as_str() {
        path if path.ends_with("/good") => ok(entry("good", "one", "i-api", "succeeded")),
        path if path.ends_with("/odd") => ok(json!({ "id": "odd", "credentials": { "clientsecret": 5 } })),
        path if path.ends_with("/bare") => ok(json!({ "id": "bare", "name": "one" })),
        _ => missing(),
    })
    .await;
    let issuer = issuer(&stub);
    let read = issuer.read(Role::Ciapi, &key("good", "one")).await.unwrap();
    assert!(matches!(&read.proof, ClientProof::Secret(secret) if secret.expose() == SECRET));
    assert_eq!(issuer.read(Role::Ciapi, &key("odd", "one")).await.unwrap_err().class, Class::Decode);
    assert_eq!(issuer.read(Role::Ciapi, &key("bare", "one")).await.unwrap_err().class, Class::Decode);
    assert_eq!(issuer.read(Role::Ciapi, &key("gone", "one")).await.unwrap_err().class, Class::NotFound);
    assert_eq!(issuer.read(Role::Ciapi, &key("..", "one")).await.unwrap_err().class, Class::ClientError);
}

/// What comes of a deletion: `get` answers the looks at the key, by their number.
async fn deletion(
    get: fn(usize) -> Answer,
    delete: fn() -> Answer,
    operation: fn() -> Answer,
) -> (Result<(), (Class, bool)>, usize) {
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let stub = service(move |asked, _| match (asked.method.as_str(), asked.path.as_str()) {
        ("DELETE", _) => delete(),
        (_, path) if path.ends_with("/k1/operations/o1") => operation(),
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
    let first = |look| if look == 0 { ok(entry("k1", "old", "i-rt", "succeeded")) } else { missing() };
    let accepted = answers(|| accepted("k1"));
    let done = answers(|| ok(json!({})));
    let over = answers(|| ok(json!({ "state": "succeeded" })));
    let failed = answers(|| ok(json!({ "state": "failed" })));
    let check = async |get, delete, operation, expected| {
        assert_eq!(deletion(get, delete, operation).await, expected);
    };
    check(there, done, over, (Ok(()), 1)).await;
    check(there, accepted, over, (Ok(()), 1)).await;
    check(|_| missing(), accepted, over, (Ok(()), 0)).await;
    check(there, missing, over, (Ok(()), 1)).await;
    check(there, || says(410, json!({})), over, (Ok(()), 1)).await;
    check(first, accepted, missing, (Ok(()), 1)).await;
    check(first, accepted, failed, (Ok(()), 1)).await;
    check(first, || Answer::Says(204, "", String::new()), failed, (Ok(()), 1)).await;
    check(first, || Answer::Says(202, "", String::new()), failed, (Ok(()), 1)).await;
    check(there, accepted, missing, (Err((Class::ServerError, true)), 1)).await;
    check(there, accepted, failed, (Err((Class::ServerError, true)), 1)).await;
    check(there, accepted, down, (Err((Class::ServerError, true)), 1)).await;
    check(there, || Answer::Says(200, "", "<html>".to_owned()), over, (Err((Class::ServerError, true)), 1))
        .await;
    check(there, || Answer::Hangs, over, (Err((Class::Connect, true)), 1)).await;
    check(there, down, over, (Err((Class::ServerError, true)), 1)).await;
    check(there, || fault(422, "X", "in progress"), over, (Err((Class::Conflict, false)), 1)).await;
    check(
        there,
        || Answer::Says(202, "location: /v1/service_bindings/k2/operations/o1\r\n", String::new()),
        over,
        (Err((Class::Decode, true)), 1),
    )
    .await;
    check(there, || Answer::Says(404, "", "<html>".to_owned()), over, (Err((Class::ServerError, false)), 1))
        .await;
    check(|_| Answer::Says(404, "", String::new()), accepted, over, (Err((Class::ServerError, false)), 0))
        .await;
}

#[tokio::test]
async fn a_key_that_is_not_the_one_meant_is_not_deleted() {
    let check = async |get| {
        let found = deletion(get, || ok(json!({})), || ok(json!({ "state": "succeeded" }))).await;
        assert_eq!(found, (Err((Class::ClientError, false)), 0));
    };
    check(|_| ok(entry("k1", "another", "i-rt", "succeeded"))).await;
    check(|_| ok(entry("k1", "old", "i-api", "succeeded"))).await;
}

/// SAP keeps names of the form `<system ID>_<client number>_<system number>` for itself.
#[test]
fn no_name_of_ours_is_one_that_sap_keeps() {
    let owner: CredentialId = "acme-prod/dataplane".parse().unwrap();
    for generation in [0, 1, 99_999] {
        for nonce in [0, 7, u64::MAX] {
            for role in Role::ALL {
                let name = KeyName::ours(role, generation, &owner, nonce);
                assert!(!name.0.contains('_') && name.0.len() <= 32, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_pause_is_kept_in_every_form_of_retry_after() {
    for header in [
        "retry-after: 30\r\n",
        "date: Thu, 01 Jan 2026 00:00:00 GMT\r\nretry-after: Thu, 01 Jan 2026 00:00:30 GMT\r\n",
        "date: Thu, 01 Jan 2026 00:00:00 GMT\r\nretry-after: 2026-01-01 00:00:30 +0000 UTC\r\n",
    ] {
        let body = json!({ "description": "The allowed request limit of 600 responses has been reached" });
        let stub = service(move |_, _| Answer::Says(429, header, body.to_string())).await;
        let issuer = issuer(&stub);
        for _ in 0..2 {
            let failure = issuer.list().await.unwrap_err();
            assert_eq!(failure.class, Class::Throttled, "{header}");
            assert_eq!(failure.not_before.unwrap().to_rfc3339(), "2026-01-01T00:00:30+00:00", "{header}");
        }
        assert_eq!(stub.asked().iter().filter(|asked| is_list(asked)).count(), 1, "nobody calls before");
    }
}
