//! How fast the way out calls, and when it does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;

use super::Http;
use super::login::Login;
use super::request::{Auth, Request};
use super::testing::{Answer, ManualClock, Stub, http, ok, says, token};
use crate::clock::Clock;
use crate::domain::failure::Class;
use crate::secret::Secret;

/// A robot at Cloud Foundry, as every tenant of a landscape logs in.
fn robot(stub: &Stub) -> Arc<Login> {
    Login::of_user(stub.address().at("oauth/token"), "robot", &Secret::new("pw".to_owned()), None)
}

fn ask(stub: &Stub, path: &str) -> Request {
    Request::get("list_keys", stub.address().at(path)).by(Auth::Login(robot(stub)))
}

fn metric(http: &Http, line: &str) -> f64 {
    let text = http.metrics.render(&[], None, http.clock.now());
    let text = String::from_utf8(text).unwrap();
    text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok()).unwrap_or(f64::NAN)
}

fn throttled(http: &Http, stub: &Stub, class: &str) -> f64 {
    let landscape = stub.address().landscape();
    metric(http, &format!("rekeyd_upstream_throttled_total{{class=\"{class}\",landscape=\"{landscape}\"}}"))
}

async fn free() -> Stub {
    Stub::start(|asked, _| match asked.path.as_str() {
        "/oauth/token" => token("t", 36_000),
        _ => ok(json!({})),
    })
    .await
}

#[tokio::test]
async fn after_the_burst_a_call_waits_for_its_turn() {
    let (stub, clock) = (free().await, ManualClock::new());
    let http = http(&clock);
    http.introduce(&stub.address());
    http.pace(3600, 2);
    let started = clock.monotonic();
    for _ in 0..5 {
        http.send(&ask(&stub, "/x")).await.unwrap();
    }
    assert_eq!(
        clock.monotonic().saturating_sub(started),
        Duration::from_secs(3),
        "two at once, then one a second"
    );
    let landscape = stub.address().landscape();
    let wait = format!("rekeyd_upstream_throttle_wait_seconds_total{{landscape=\"{landscape}\"}}");
    assert!((metric(&http, &wait) - 3.0).abs() < 1e-9);
    assert!(throttled(&http, &stub, "limiter").abs() < 1e-9);
}

#[tokio::test]
async fn a_call_whose_turn_is_far_off_is_not_sent_and_comes_in_time_later() {
    let (stub, clock) = (free().await, ManualClock::new());
    let http = http(&clock);
    http.introduce(&stub.address());
    http.pace(360, 1);
    http.send(&ask(&stub, "/a")).await.unwrap();
    let error = http.send(&ask(&stub, "/b")).await.unwrap_err();
    let turn = clock.now() + Duration::from_secs(10);
    assert_eq!((error.class, error.status, error.not_before), (Class::Throttled, None, Some(turn)));
    assert!(!error.effect_unknown && error.cause.contains("was not sent"), "{error}");
    assert!(Class::Throttled.is_passing(), "no attempt is counted");
    let later = http.send(&ask(&stub, "/c")).await.unwrap_err();
    assert_eq!(later.not_before, Some(turn + Duration::from_secs(10)), "its turn is after the other's");
    clock.turn(Duration::from_secs(10));
    assert_eq!(http.send(&ask(&stub, "/d")).await.unwrap_err().class, Class::Throttled, "no overtaking");
    http.send(&ask(&stub, "/b")).await.expect("its place was kept");
    assert_eq!((stub.count("GET", "/a"), stub.count("GET", "/b"), stub.count("GET", "/c")), (1, 1, 0));
    assert!((throttled(&http, &stub, "limiter") - 3.0).abs() < 1e-9);
}

#[tokio::test]
async fn logins_and_landscapes_do_not_share_a_bucket() {
    let (stub, other, clock) = (free().await, free().await, ManualClock::new());
    let http = http(&clock);
    http.pace(1, 1);
    http.send(&ask(&stub, "/x")).await.unwrap();
    http.send(&ask(&other, "/x")).await.expect("another landscape");
    http.send(&Request::get("root", stub.address())).await.expect("another caller");
    assert!(http.send(&ask(&stub, "/x")).await.is_err());
}

#[tokio::test]
async fn a_token_endpoint_is_asked_twenty_times_a_second_whoever_asks() {
    let (stub, clock) = (free().await, ManualClock::new());
    let http = http(&clock);
    let started = clock.monotonic();
    for user in 0..60 {
        let to = stub.address().at("oauth/token");
        let login = Login::of_user(to, &format!("u{user}"), &Secret::new("pw".to_owned()), None);
        http.fetch_uncached(&login).await.unwrap();
    }
    assert_eq!(
        clock.monotonic().saturating_sub(started),
        Duration::from_secs(2),
        "20 at once, then 20 a second"
    );
}

#[tokio::test]
async fn a_429_empties_the_bucket() {
    let busy = Arc::new(AtomicUsize::new(1));
    let is_busy = busy.clone();
    let stub = Stub::start(move |asked, _| match asked.path.as_str() {
        "/oauth/token" => token("t", 36_000),
        _ if is_busy.load(Ordering::SeqCst) == 1 => Answer::Says(429, "retry-after: 5\r\n", String::new()),
        _ => ok(json!({})),
    })
    .await;
    let clock = ManualClock::new();
    let http = http(&clock);
    http.introduce(&stub.address());
    http.pace(3600, 30);
    assert_eq!(http.send(&ask(&stub, "/x")).await.unwrap_err().class, Class::Throttled);
    let text = String::from_utf8(http.metrics.render(&[], None, clock.now())).unwrap();
    assert!(text.contains("rekeyd_upstream_throttled_until_timestamp_seconds{landscape="), "{text}");
    busy.store(0, Ordering::SeqCst);
    clock.turn(Duration::from_secs(5));
    let started = clock.monotonic();
    for _ in 0..10 {
        http.send(&ask(&stub, "/x")).await.unwrap();
    }
    assert_eq!(
        clock.monotonic().saturating_sub(started),
        Duration::from_secs(5),
        "what dripped in during the pause, no more"
    );
    assert_eq!((throttled(&http, &stub, "server"), throttled(&http, &stub, "pause")), (1.0, 0.0));
    let text = String::from_utf8(http.metrics.render(&[], None, clock.now())).unwrap();
    assert!(!text.contains("rekeyd_upstream_throttled_until"), "the pause is over");
}

#[tokio::test]
async fn no_clock_and_no_crowd_makes_a_call_early() {
    let pauses =
        ["retry-after: 3\r\n", "retry-after: 30\r\n", "retry-after: 0\r\n", "retry-after: soon\r\n", ""];
    let turn = AtomicUsize::new(0);
    let stub = Stub::start(move |asked, _| match asked.path.as_str() {
        "/oauth/token" => token("t", 360_000),
        _ => Answer::Says(429, pauses[turn.fetch_add(1, Ordering::SeqCst) % pauses.len()], String::new()),
    })
    .await;
    let clock = ManualClock::new();
    let http = http(&clock);
    http.introduce(&stub.address());
    // The token first, so that the crowd is in flight at one moment.
    http.send(&ask(&stub, "/x")).await.unwrap_err();
    clock.turn(Duration::from_mins(5));
    for round in 0..20 {
        let before = stub.count("GET", "/x");
        let crowd: Vec<_> = (0..10)
            .map(|_| {
                let (http, request) = (http.clone(), ask(&stub, "/x"));
                tokio::spawn(async move { http.send(&request).await.map(|_| ()) })
            })
            .collect();
        for call in crowd {
            assert_eq!(call.await.unwrap().unwrap_err().class, Class::Throttled);
        }
        let sent = stub.count("GET", "/x");
        assert!(sent > before, "somebody calls after the pause");
        // At least `UNSAID` where nothing usable was said, and 30 s where somebody was told so.
        let told = (before..sent).any(|index| index % pauses.len() == 1);
        let pause = if told { 30 } else { 3 };
        for _ in 0..pause - 1 {
            clock.turn(Duration::from_secs(1));
            clock.jump(TimeDelta::days(if round % 2 == 0 { 1 } else { -2 }));
            http.send(&ask(&stub, "/x")).await.unwrap_err();
            assert_eq!(stub.count("GET", "/x"), sent, "nobody calls before");
        }
        clock.turn(Duration::from_mins(1));
    }
}

#[tokio::test]
async fn a_pause_holds_although_its_answer_is_cut() {
    let cut = b"HTTP/1.1 429 X\r\nretry-after: 60\r\ncontent-length: 100\r\n\r\nshort";
    let stub = Stub::start(|_, _| Answer::Raw(cut.to_vec())).await;
    let clock = ManualClock::new();
    let http = http(&clock);
    let ask = Request::get("root", stub.address().at("x"));
    for _ in 0..3 {
        let error = http.send(&ask).await.unwrap_err();
        assert_eq!(error.class, Class::Throttled, "{error}");
        clock.turn(Duration::from_secs(19));
    }
    assert_eq!(stub.count("GET", "/x"), 1);
}

#[tokio::test]
async fn a_pause_is_the_logins_whichever_way_its_token_came() {
    let limited = "retry-after: 60\r\n";
    let stub = Stub::start(|asked, _| match asked.path.as_str() {
        "/oauth/token" => token("t", 36_000),
        _ => Answer::Says(429, limited, String::new()),
    })
    .await;
    let http = http(&ManualClock::new());
    let by = |auth| Request::get("test_key", stub.address().at("x")).by(auth);
    let fresh = Secret::new("t".to_owned());
    for auth in [
        Auth::Token(robot(&stub), fresh.clone()),
        Auth::Login(robot(&stub)),
        Auth::Token(robot(&stub), fresh),
    ] {
        assert_eq!(http.send(&by(auth)).await.unwrap_err().class, Class::Throttled);
    }
    assert_eq!(stub.count("GET", "/x"), 1);
}

#[tokio::test]
async fn a_fleet_with_a_wrong_password_tries_it_once_in_ten_minutes() {
    let tries: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let clock = ManualClock::new();
    let (noted, time) = (tries.clone(), clock.clone());
    let stub = Stub::start(move |_, _| {
        noted.lock().unwrap().push(time.monotonic());
        says(401, json!({ "error": "unauthorized", "error_description": "Bad credentials" }))
    })
    .await;
    let http = http(&clock);
    for round in 0..8 {
        let fleet: Vec<_> = (0..1000)
            .map(|tenant| {
                let (http, request) = (http.clone(), ask(&stub, &format!("/{tenant}")));
                tokio::spawn(async move { http.send(&request).await.map(|_| ()) })
            })
            .collect();
        for tenant in fleet {
            assert_eq!(tenant.await.unwrap().unwrap_err().class, Class::Unauthorized);
        }
        if round % 3 == 0 {
            http.forget();
        }
        clock.turn(Duration::from_mins(5));
    }
    let tries = tries.lock().unwrap().clone();
    assert_eq!(tries.len(), 4, "{tries:?}");
    assert!(tries.windows(2).all(|pair| pair[1] >= pair[0] + Duration::from_mins(10)), "{tries:?}");
    assert_eq!(stub.asked().len(), 4);
}
