//! The way out against servers that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::Http;
use super::client::HttpSettings;
use super::login::Login;
use super::request::{Auth, Request};
use super::testing::{Answer, ManualClock, Stub, http, ok, says, token};
use crate::clock::Clock;
use crate::domain::failure::Class;
use crate::metrics::Metrics;
use crate::secret::{ClientProof, Secret, ServiceKey};

fn key(stub: &Stub) -> ServiceKey {
    ServiceKey {
        client_id: "sb-x!b1|it!b2".to_owned(),
        proof: ClientProof::Secret(Secret::new("a+b $=".to_owned())),
        token_url: format!("{}/oauth/token", stub.url),
        url: Some(stub.url.clone()),
        endpoints: std::collections::BTreeMap::new(),
        created_at: None,
        valid_until: None,
        document: Secret::new(String::new()),
    }
}

fn login(stub: &Stub) -> Arc<Login> {
    Login::of_key(&key(stub)).unwrap()
}

fn get(stub: &Stub, path: &str) -> Request {
    Request::get("root", stub.address().at(path))
}

fn post(stub: &Stub, path: &str) -> Request {
    Request::post("create_key", stub.address().at(path))
}

#[tokio::test]
async fn answers_have_a_class_and_say_what_may_have_happened() {
    let stub = Stub::start(|asked, _| match asked.path.as_str() {
        "/hangs" => Answer::Hangs,
        "/garbage" => Answer::Raw(b"\0\0\0 nothing like HTTP\r\n\r\n".to_vec()),
        "/cut" => Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_vec()),
        "/router" => Answer::Says(404, "X-Cf-RouterError: unknown_route\r\n", "not found".to_owned()),
        path => says(path.trim_start_matches('/').parse().unwrap(), json!({ "error": "no" })),
    })
    .await;
    let http = http(&ManualClock::new());
    let check = async |path: &str, class, ambiguous| {
        let error = http.send(&post(&stub, path)).await.unwrap_err();
        assert_eq!((error.class, error.effect_unknown), (class, ambiguous), "{path}: {error}");
        let asked = http.send(&get(&stub, path)).await.unwrap_err();
        assert_eq!((asked.class, asked.effect_unknown), (class, false), "{path}: {asked}");
    };
    check("400", Class::ClientError, false).await;
    check("401", Class::Unauthorized, false).await;
    check("403", Class::Forbidden, false).await;
    check("404", Class::NotFound, false).await;
    check("router", Class::ServerError, true).await;
    check("409", Class::Conflict, false).await;
    check("422", Class::ClientError, false).await;
    for status in ["500", "502", "503", "504"] {
        check(status, Class::ServerError, true).await;
    }
    check("hangs", Class::Connect, true).await;
    check("cut", Class::Connect, true).await;
    check("garbage", Class::Decode, true).await;
    check("302", Class::Decode, true).await;
    assert_eq!(stub.count("POST", "/503"), 1, "a command is never repeated");
    assert_eq!(stub.count("GET", "/503"), 3, "a question is repeated twice");
    assert_eq!(stub.count("GET", "/hangs"), 3);
    assert_eq!(stub.count("GET", "/500"), 1);
}

#[tokio::test]
async fn failures_to_connect_had_no_effect() {
    let http = http(&ManualClock::new());
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let check = async |url: &str, class| {
        let to = super::address::Address::parse(url).unwrap();
        let error = http.send(&Request::post("create_key", to)).await.unwrap_err();
        assert_eq!((error.class, error.effect_unknown), (class, false), "{error}");
    };
    check(&closed, Class::Connect).await;
    // No name server is asked for a name that cannot be one.
    check(&format!("http://{}.invalid", "x".repeat(64)), Class::Dns).await;
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", plain.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = plain.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(
            &mut socket,
            b"HTTP/1.1 400 Bad

",
        )
        .await
        .unwrap();
        std::future::pending::<()>().await;
    });
    check(&url, Class::Tls).await;
}

#[tokio::test]
async fn answers_have_a_limit_whatever_they_declare() {
    let stub = Stub::start(|asked, _| {
        if asked.path == "/endless" {
            return Answer::Endless(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1000\r\n".to_vec(),
            );
        }
        Answer::Raw([b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec(), vec![b'x'; 3 << 20]].concat())
    })
    .await;
    let http = http(&ManualClock::new());
    let error = http.send(&get(&stub, "/large").at_most(1000)).await.unwrap_err();
    assert_eq!(error.class, Class::Decode);
    assert!(error.cause.contains("larger than 1000 bytes"), "{error}");
    assert_eq!(http.send(&get(&stub, "/endless")).await.unwrap_err().class, Class::Decode);
}

#[tokio::test]
async fn a_drip_ends_with_the_time_limit() {
    // Declares more than it sends, and then neither sends nor closes.
    let drip = || Answer::Stays(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n1".to_vec());
    let stub = Stub::start(move |_, _| drip()).await;
    let http = http(&ManualClock::new());
    let error = http.send(&post(&stub, "/").within(Some(Duration::from_millis(50)))).await.unwrap_err();
    assert_eq!((error.class, error.effect_unknown), (Class::Timeout, true), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Stub::start(|_, _| ok(json!({}))).await;
    let to = format!("location: {}/stolen\r\n", other.url);
    let to: &'static str = Box::leak(to.into_boxed_str());
    let stub = Stub::start(move |_, _| Answer::Says(307, to, String::new())).await;
    let http = http(&ManualClock::new());
    let request = post(&stub, "/").by(Auth::Bearer(Secret::new("top".to_owned())));
    assert_eq!(http.send(&request).await.unwrap_err().class, Class::Decode);
    assert!(other.asked().is_empty());
    assert!(stub.asked()[0].headers.contains("Bearer top") || stub.asked()[0].headers.contains("bearer top"));
}

#[tokio::test]
async fn plain_http_is_refused_unless_allowed() {
    let stub = Stub::start(|_, _| ok(json!({}))).await;
    let settings = super::client::HttpSettings { system_proxy: false, ..Default::default() };
    let metrics = Arc::new(crate::metrics::Metrics::new());
    let http = super::Http::new(settings, metrics, ManualClock::new()).unwrap();
    assert_eq!(http.send(&get(&stub, "/")).await.unwrap_err().class, Class::ClientError);
    assert!(stub.asked().is_empty());
}

#[tokio::test]
async fn a_throttled_caller_does_not_call_again_too_early() {
    let stub = Stub::start(|asked, _| match asked.path.as_str() {
        "/busy" => Answer::Says(429, "retry-after: 45\r\n", String::new()),
        "/oauth/token" => token("t", 3600),
        _ => ok(json!({})),
    })
    .await;
    let clock = ManualClock::new();
    let http = http(&clock);
    let busy = get(&stub, "/busy").by(Auth::Login(login(&stub)));
    let free = get(&stub, "/free").by(Auth::Login(login(&stub)));
    let until = clock.now() + Duration::from_secs(45);
    let error = http.send(&busy).await.unwrap_err();
    assert_eq!((error.class, error.not_before), (Class::Throttled, Some(until)));
    clock.turn(Duration::from_secs(44));
    let error = http.send(&free).await.unwrap_err();
    assert_eq!(
        (error.class, error.not_before),
        (Class::Throttled, Some(until)),
        "the login pauses as a whole"
    );
    assert_eq!(stub.count("GET", "/free"), 0);
    http.send(&get(&stub, "/free")).await.expect("another caller goes on");
    clock.turn(Duration::from_secs(1));
    http.send(&free).await.expect("the pause is over");
}

#[tokio::test]
async fn many_who_wait_share_one_token() {
    let stub = Stub::start(|asked, _| match asked.path.as_str() {
        "/oauth/token" => token("t", 3600),
        _ => ok(json!({})),
    })
    .await;
    let http = http(&ManualClock::new());
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (http, request) = (http.clone(), get(&stub, "/x").by(Auth::Login(login(&stub))));
            tokio::spawn(async move { http.send(&request).await.map(|_| ()) })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(stub.count("POST", "/oauth/token"), 1);
    let asked = &stub.asked()[0];
    assert_eq!(
        asked.body,
        "grant_type=client_credentials&client_id=sb-x%21b1%7Cit%21b2&client_secret=a%2Bb+%24%3D"
    );
    assert_eq!(asked.query, "");
}

#[tokio::test]
async fn a_token_is_renewed_at_half_its_life_and_an_outage_is_bridged() {
    let down = Arc::new(AtomicUsize::new(0));
    let fetches = Arc::new(AtomicUsize::new(0));
    let (is_down, number) = (down.clone(), fetches.clone());
    let stub = Stub::start(move |asked, _| match asked.path.as_str() {
        "/oauth/token" if is_down.load(Ordering::SeqCst) == 1 => says(500, json!({})),
        "/oauth/token" => token(&format!("t{}", number.fetch_add(1, Ordering::SeqCst)), 1000),
        _ => ok(json!({})),
    })
    .await;
    let clock = ManualClock::new();
    let http = http(&clock);
    let request = get(&stub, "/x").by(Auth::Login(login(&stub)));
    let held = async || {
        http.send(&request).await.unwrap();
        let headers = stub.asked().last().unwrap().headers.clone();
        headers.lines().find_map(|line| line.split_once("earer ").map(|(_, t)| t.to_owned())).unwrap()
    };
    assert_eq!(held().await, "t0");
    clock.turn(Duration::from_secs(499));
    assert_eq!(held().await, "t0");
    clock.turn(Duration::from_secs(1));
    assert_eq!(held().await, "t1");
    down.store(1, Ordering::SeqCst);
    clock.turn(Duration::from_mins(10));
    let before = stub.count("POST", "/oauth/token");
    assert_eq!((held().await, held().await), ("t1".to_owned(), "t1".to_owned()));
    assert_eq!(stub.count("POST", "/oauth/token"), before + 1, "renewal pauses after a failure");
    clock.turn(Duration::from_secs(371));
    assert_eq!(http.send(&request).await.unwrap_err().class, Class::ServerError, "too close to its end");
}

#[tokio::test]
async fn a_rejected_login_is_left_alone() {
    for (status, error, class) in [
        (401, "unauthorized", Class::Unauthorized),
        (403, "access_denied", Class::Forbidden),
        (400, "invalid_grant", Class::Unauthorized),
    ] {
        let stub = Stub::start(move |_, _| says(status, json!({ "error": error }))).await;
        let clock = ManualClock::new();
        let http = http(&clock);
        let request = get(&stub, "/x").by(Auth::Login(login(&stub)));
        let fail = async || assert_eq!(http.send(&request).await.unwrap_err().class, class);
        fail().await;
        fail().await;
        assert_eq!(stub.asked().len(), 1);
        assert!(http.fetch_uncached(&login(&stub)).await.is_err());
        assert_eq!(stub.asked().len(), 2, "a probe asks all the same");
        clock.turn(Duration::from_mins(10));
        fail().await;
        assert_eq!(stub.asked().len(), 3);
        http.forget();
        fail().await;
        assert_eq!(stub.asked().len(), 3, "a reload does not make a wrong secret right");
    }
}

#[tokio::test]
async fn a_probe_is_not_remembered() {
    let stub = Stub::start(|_, _| says(401, json!({ "error": "invalid_client" }))).await;
    let http = http(&ManualClock::new());
    for _ in 0..3 {
        assert_eq!(http.fetch_uncached(&login(&stub)).await.unwrap_err().class, Class::Unauthorized);
    }
    assert_eq!(stub.asked().len(), 3);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let fetches = AtomicUsize::new(0);
    let stub = Stub::start(move |asked, _| match asked.path.as_str() {
        "/oauth/token" => token(&format!("t{}", fetches.fetch_add(1, Ordering::SeqCst)), 1000),
        "/never" => says(401, json!({})),
        _ if asked.headers.contains("t0") => says(401, json!({})),
        _ => ok(json!({})),
    })
    .await;
    let http = http(&ManualClock::new());
    http.send(&post(&stub, "/x").by(Auth::Login(login(&stub)))).await.unwrap();
    assert_eq!((stub.count("POST", "/x"), stub.count("POST", "/oauth/token")), (2, 2));
    let error = http.send(&post(&stub, "/never").by(Auth::Login(login(&stub)))).await.unwrap_err();
    assert_eq!((error.class, error.effect_unknown), (Class::Unauthorized, false));
    assert_eq!((stub.count("POST", "/never"), stub.count("POST", "/oauth/token")), (2, 3));
    // The second one was refused as well: nobody uses it again.
    http.send(&post(&stub, "/x").by(Auth::Login(login(&stub)))).await.unwrap();
    let last = stub.asked().pop().unwrap();
    assert!(last.headers.contains("Bearer t3"), "{}", last.headers);
}

/// A clock by which nobody wakes until the test says so.
struct Spell {
    clock: Arc<ManualClock>,
    asleep: tokio::sync::Notify,
    awake: tokio::sync::Notify,
}

#[async_trait::async_trait]
impl Clock for Spell {
    fn now(&self) -> crate::domain::Timestamp {
        self.clock.now()
    }

    async fn sleep(&self, _: Duration) {
        self.asleep.notify_one();
        self.awake.notified().await;
    }

    fn nonce(&self) -> u64 {
        7
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

#[tokio::test]
async fn who_has_waited_does_not_go_on_with_a_token_that_was_refused_meanwhile() {
    let (fetches, tries) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let stub = Stub::start(move |asked, _| match asked.path.as_str() {
        "/oauth/token" => token(&format!("t{}", fetches.fetch_add(1, Ordering::SeqCst)), 1000),
        "/slow" if tries.fetch_add(1, Ordering::SeqCst) == 0 => says(502, json!({})),
        _ if asked.headers.contains("t0") => says(401, json!({})),
        _ => ok(json!({})),
    })
    .await;
    let (asleep, awake) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let spell = Arc::new(Spell { clock: ManualClock::new(), asleep, awake });
    let settings = HttpSettings { allow_http: true, system_proxy: false, ..HttpSettings::default() };
    let http = Arc::new(Http::new(settings, Arc::new(Metrics::new()), spell.clone()).unwrap());
    let slow = tokio::spawn({
        let (http, request) = (http.clone(), get(&stub, "/slow").by(Auth::Login(login(&stub))));
        async move { http.send(&request).await.map(|_| ()) }
    });
    spell.asleep.notified().await;
    http.send(&get(&stub, "/quick").by(Auth::Login(login(&stub)))).await.unwrap();
    spell.awake.notify_one();
    slow.await.unwrap().unwrap();
    let asked = stub.asked();
    let used: Vec<_> = asked.iter().filter(|asked| asked.path == "/slow").collect();
    assert_eq!(used.len(), 2);
    assert!(used[1].headers.contains("Bearer t1"), "{}", used[1].headers);
}

#[tokio::test]
async fn a_failure_whose_text_is_cut_or_never_ends_is_still_that_failure() {
    let cut = |status: u16| {
        Answer::Raw(format!("HTTP/1.1 {status} X\r\ncontent-length: 100\r\n\r\nshort").into_bytes())
    };
    let stub = Stub::start(move |asked, _| match asked.path.as_str() {
        "/oauth/token" => token("t", 1000),
        "/long" => Answer::Says(404, "", "x".repeat(2 << 20)),
        path => cut(path.trim_start_matches('/').parse().unwrap()),
    })
    .await;
    let http = http(&ManualClock::new());
    for (path, class) in [
        ("401", Class::Unauthorized),
        ("422", Class::ClientError),
        ("500", Class::ServerError),
        ("long", Class::NotFound),
    ] {
        let error = http.send(&get(&stub, path)).await.unwrap_err();
        assert_eq!(error.class, class, "{path}: {error}");
        assert_eq!(stub.count("GET", &format!("/{path}")), 1, "{path}");
    }
}

#[tokio::test]
async fn a_missing_token_endpoint_is_not_a_missing_service() {
    let stub = Stub::start(|_, _| says(404, json!({}))).await;
    let http = http(&ManualClock::new());
    let error = http.send(&post(&stub, "/x").by(Auth::Login(login(&stub)))).await.unwrap_err();
    assert_eq!(error.class, Class::ClientError);
}

#[tokio::test]
async fn strange_tokens_are_refused() {
    for body in [json!({}), json!([]), json!({ "access_token": 1 }), json!({ "access_token": "a\r\nb: c" })] {
        let stub = Stub::start(move |_, _| ok(body.clone())).await;
        let error = http(&ManualClock::new()).fetch_uncached(&login(&stub)).await.unwrap_err();
        assert_eq!(error.class, Class::Decode);
    }
}

#[tokio::test]
async fn a_user_logs_in_and_refreshes() {
    let stub = Stub::start(|asked, _| match asked.path.as_str() {
        "/oauth/token" if asked.body.contains("refresh_token=r1") => {
            says(401, json!({ "error": "invalid_token" }))
        }
        "/oauth/token" => ok(json!({ "access_token": "a", "expires_in": "1000", "refresh_token": "r1" })),
        _ => ok(json!({})),
    })
    .await;
    let clock = ManualClock::new();
    let http = http(&clock);
    let password = Secret::new("p&w".to_owned());
    let login = Login::of_user(stub.address().at("oauth/token"), "robot", &password, Some("my-idp"));
    let request = get(&stub, "/x").by(Auth::Login(login));
    http.send(&request).await.unwrap();
    clock.turn(Duration::from_mins(10));
    http.send(&request).await.unwrap();
    let asked: Vec<_> = stub.asked().into_iter().filter(|asked| asked.path == "/oauth/token").collect();
    assert_eq!(asked[0].body, "grant_type=password&username=robot&password=p%26w");
    assert_eq!(asked[0].query, "login_hint=%7B%22origin%22%3A%22my-idp%22%7D");
    assert!(
        asked[0].headers.to_ascii_lowercase().contains("authorization: basic y2y6"),
        "{}",
        asked[0].headers
    );
    assert_eq!(asked[1].body, "grant_type=refresh_token&refresh_token=r1");
    assert!(asked[2].body.starts_with("grant_type=password"), "a refused refresh falls back to the password");
}
