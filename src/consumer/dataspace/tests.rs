//! The connector against a stub of SAP.

use super::*;
use crate::http::testing::{Answer, Asked, ManualClock, Stub, http, ok, says, token};
use crate::secret::Secret;

fn key(stub: &str, name: &str) -> ServiceKey {
    ServiceKey {
        client_id: format!("sb-{name}!b1|it!b2"),
        proof: ClientProof::Secret(Secret::new(format!("secret-of-{name}"))),
        token_url: format!("{stub}/oauth/token"),
        url: Some(stub.to_owned()),
        endpoints: BTreeMap::new(),
        created_at: None,
        valid_until: None,
        document: Secret::new(String::new()),
    }
}

fn pair(stub: &str) -> BTreeMap<Role, Arc<ServiceKey>> {
    BTreeMap::from([(Role::Ciapi, Arc::new(key(stub, "ciapi"))), (Role::Cirt, Arc::new(key(stub, "cirt")))])
}

fn consumer(stub: &Stub) -> Dataspace {
    let mut own = key(&format!("{}/api/v1/dsp", stub.url), "dsi");
    own.token_url = format!("{}/oauth/token", stub.url);
    let settings = Settings {
        key: Arc::new(own),
        url: None,
        base_path: BASE_PATH.to_owned(),
        words: BTreeMap::from([("Alles gut".to_owned(), Verdict::Success)]),
        timeout: None,
    };
    Dataspace::new(http(&ManualClock::new()), &settings).unwrap()
}

/// A server whose token endpoint works.
async fn stub(reply: impl Fn(&Asked, &str) -> Answer + Send + Sync + 'static) -> Stub {
    Stub::start(move |asked, url| match asked.path.as_str() {
        "/oauth/token" => token("t", 3600),
        _ => reply(asked, url),
    })
    .await
}

#[tokio::test]
async fn the_pair_is_delivered_flat_and_in_order() {
    let date = "date: Fri, 02 Jan 2026 03:04:05 GMT\r\n";
    let stub = stub(move |_, _| Answer::Says(204, date, String::new())).await;
    let accepted = consumer(&stub).deliver(&pair(&stub.url)).await.unwrap();
    assert_eq!(accepted.upstream_at, "2026-01-02T03:04:05Z".parse().ok());
    let asked = stub.asked().pop().unwrap();
    assert!(asked.is("PUT", "/api/v1/dsi/credentials/dataplane"), "{asked:?}");
    let entry = |name: &str| {
        json!({
            "clientid": format!("sb-{name}!b1|it!b2"), "clientsecret": format!("secret-of-{name}"),
            "url": stub.url, "tokenurl": format!("{}/oauth/token", stub.url),
        })
    };
    assert_eq!(asked.json(), json!([entry("ciapi"), entry("cirt")]));
}

#[tokio::test]
async fn what_cannot_be_delivered_is_not_sent() {
    let stub = stub(|_, _| ok(json!({}))).await;
    let consumer = consumer(&stub);
    let check = async |change: fn(&mut BTreeMap<Role, Arc<ServiceKey>>)| {
        let mut keys = pair(&stub.url);
        change(&mut keys);
        let failure = consumer.deliver(&keys).await.unwrap_err();
        assert_eq!((failure.class, failure.effect_unknown), (Class::ClientError, false), "{failure}");
    };
    check(|keys| drop(keys.remove(&Role::Cirt))).await;
    check(|keys| Arc::make_mut(keys.get_mut(&Role::Ciapi).unwrap()).url = None).await;
    check(|keys| {
        let certificate = ClientProof::Certificate { chain: String::new(), key: Secret::new(String::new()) };
        Arc::make_mut(keys.get_mut(&Role::Cirt).unwrap()).proof = certificate;
    })
    .await;
    assert!(stub.asked().is_empty());
}

#[tokio::test]
async fn refusals_of_a_delivery_have_their_classes() {
    let stub = stub(|asked, _| {
        let status = asked.path.split('/').nth(1).unwrap().parse().unwrap();
        says(status, json!([{ "message": "sent secret-of-ciapi-and-more-than-that", "type": "X" }]))
    })
    .await;
    let check = async |status: u16, class, ambiguous| {
        let url = format!("{}/{status}", stub.url);
        let mut own = key(&url, "dsi");
        own.token_url = format!("{}/oauth/token", stub.url);
        let settings = Settings {
            key: Arc::new(own),
            url: None,
            base_path: BASE_PATH.to_owned(),
            words: BTreeMap::new(),
            timeout: None,
        };
        let consumer = Dataspace::new(http(&ManualClock::new()), &settings).unwrap();
        for failure in
            [consumer.deliver(&pair(&stub.url)).await.unwrap_err(), consumer.provision().await.unwrap_err()]
        {
            assert_eq!((failure.class, failure.effect_unknown), (class, ambiguous), "{failure}");
            assert!(!failure.cause.contains("secret-of"), "{failure}");
            assert_eq!(failure.cause.contains("SAP role"), status == 403, "{failure}");
        }
    };
    for status in [404, 405, 410, 501] {
        check(status, Class::NotFound, false).await;
    }
    check(409, Class::Conflict, false).await;
    check(401, Class::Unauthorized, false).await;
    check(403, Class::Forbidden, false).await;
    check(500, Class::ServerError, true).await;
}

#[tokio::test]
async fn the_status_is_read_or_said_to_be_unknown() {
    let check =
        async |status: u16, headers: &'static str, body: &'static str, expected: Result<Verdict, Class>| {
            let stub = stub(move |_, _| Answer::Says(status, headers, body.to_owned())).await;
            let found =
                consumer(&stub).status().await.map(|status| status.verdict).map_err(|failure| failure.class);
            assert_eq!(found, expected, "{status} {body}");
        };
    check(200, "", r#"{"status":"Success"}"#, Ok(Verdict::Success)).await;
    check(200, "", "alles gut", Ok(Verdict::Success)).await;
    check(204, "", "", Ok(Verdict::NotProvisioned)).await;
    check(404, "", "{}", Ok(Verdict::NotProvisioned)).await;
    check(404, "X-Cf-RouterError: unknown_route\r\n", "", Err(Class::ServerError)).await;
    check(405, "", "", Err(Class::NotFound)).await;
    check(409, "", "", Err(Class::Conflict)).await;
    check(503, "", "<html>", Err(Class::ServerError)).await;
}

#[tokio::test]
async fn content_is_read_over_all_pages_of_its_host() {
    let piece = |name: &str| json!({ "Id": format!("com.sap.integration.dsi.{name}"), "Status": "STARTED", "DeployedOn": "/Date(1767323045000)/" });
    let stub = stub(move |asked, url| match asked.query.as_str() {
        "%24format=json" => {
            ok(json!({ "d": { "results": [piece("a")], "__next": format!("{url}{}?page=2", asked.path) } }))
        }
        _ => ok(json!({ "d": { "results": [piece("b")] } })),
    })
    .await;
    let content = consumer(&stub).content(&key(&stub.url, "ciapi")).await.unwrap();
    assert_eq!(content, Content { deployed_at: "2026-01-02T03:04:05Z".parse().ok(), started: true });
    assert_eq!(stub.count("GET", "/api/v1/IntegrationRuntimeArtifacts"), 2);
}

#[tokio::test]
async fn content_on_another_host_is_not_fetched() {
    let other = Stub::start(|_, _| ok(json!([]))).await;
    let next = format!("{}/next", other.url);
    let stub = stub(move |_, _| ok(json!({ "d": { "results": [], "__next": next } }))).await;
    let failure = consumer(&stub).content(&key(&stub.url, "ciapi")).await.unwrap_err();
    assert_eq!(failure.class, Class::Decode);
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn a_key_is_tested_as_far_as_its_role_allows() {
    let stub = stub(|_, _| ok(json!({ "d": { "results": [] } }))).await;
    let consumer = consumer(&stub);
    assert_eq!(consumer.test(Role::Ciapi, &key(&stub.url, "ciapi")).await, Ok(Grade::Read));
    assert_eq!(consumer.test(Role::Cirt, &key(&stub.url, "cirt")).await, Ok(Grade::Token));
    consumer.test(Role::Cirt, &key(&stub.url, "cirt")).await.unwrap();
    assert_eq!(stub.count("POST", "/oauth/token"), 3, "a test never uses a cached token");
}

#[tokio::test]
async fn a_new_token_that_is_refused_says_nothing_about_the_key() {
    let check = async |refusals: usize, expected: Result<Grade, Class>| {
        let turn = std::sync::atomic::AtomicUsize::new(0);
        let stub = stub(move |_, _| match turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            turn if turn < refusals => says(401, json!({ "error": "unauthorized" })),
            _ => ok(json!({ "d": { "results": [] } })),
        })
        .await;
        let found = consumer(&stub).test(Role::Ciapi, &key(&stub.url, "ciapi")).await;
        assert_eq!(found.map_err(|failure| failure.class), expected);
        assert_eq!(stub.count("POST", "/oauth/token"), 2, "one more token, and no more than that");
    };
    check(1, Ok(Grade::Read)).await;
    check(2, Err(Class::Unauthorized)).await;
}

#[tokio::test]
async fn only_the_token_service_says_that_a_key_is_dead() {
    let check = async |answer: fn() -> Answer, expected: Result<bool, Class>| {
        let stub = Stub::start(move |_, _| answer()).await;
        let found = consumer(&stub).is_refused(Role::Cirt, &key(&stub.url, "cirt")).await;
        assert_eq!(found.map_err(|failure| failure.class), expected);
    };
    check(|| token("t", 3600), Ok(false)).await;
    check(|| says(401, json!({ "error": "invalid_client" })), Ok(true)).await;
    check(|| Answer::Says(401, "", String::new()), Ok(true)).await;
    check(|| says(400, json!({ "error": "invalid_grant" })), Ok(true)).await;
    check(|| says(403, json!({ "error": "access_denied" })), Ok(true)).await;
    check(|| says(400, json!({ "error": "invalid_request" })), Err(Class::ClientError)).await;
    check(|| Answer::Says(403, "", "<html>blocked".to_owned()), Err(Class::Forbidden)).await;
    check(|| says(404, json!({})), Err(Class::ClientError)).await;
    check(|| says(500, json!({})), Err(Class::ServerError)).await;
    check(|| Answer::Hangs, Err(Class::Connect)).await;
    check(|| ok(json!({})), Err(Class::Decode)).await;
}
