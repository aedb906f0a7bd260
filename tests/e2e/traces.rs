//! What a collector of traces is told: a rotation is one trace, and nothing of it is a secret.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rekeyd::clock::{Clock, SystemClock};

use crate::fleet::{Fleet, Knobs, PATIENCE, POLL};
use crate::{one, prompt};

/// What was taken.
#[derive(Default)]
struct Taken {
    spans: Vec<Span>,
    /// The messages as they came, for what must not be in them.
    raw: Vec<u8>,
}

type Kept = Arc<Mutex<Taken>>;

/// A collector that takes everything, at this address.
async fn collector() -> (String, Kept) {
    let kept = Kept::default();
    let taken = Arc::clone(&kept);
    let take = move |body: Bytes| {
        let taken = Arc::clone(&taken);
        async move {
            let message = ExportTraceServiceRequest::decode(body.clone()).unwrap();
            let mut taken = taken.lock().unwrap();
            taken.raw.extend_from_slice(&body);
            for of in message.resource_spans {
                let named = of.resource.iter().flat_map(|of| &of.attributes);
                assert!(named.clone().any(|of| of.key == "service.name"), "{:?}", of.resource);
                taken.spans.extend(of.scope_spans.into_iter().flat_map(|of| of.spans));
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let routes = axum::Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (address, kept)
}

fn knobs(endpoint: &str) -> Knobs {
    let section = format!("[tracing]\notlp-endpoint = \"{endpoint}\"\n");
    Knobs { daemon: section.leak(), ..Knobs::default() }
}

/// What a span says under a name.
fn said(span: &Span, name: &str) -> Option<String> {
    let of = span.attributes.iter().find(|of| of.key == format!("rekeyd.{name}"))?;
    match of.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Waits for the span that is a whole rotation.
async fn until_ended(kept: &Kept) -> Span {
    let clock = SystemClock::new();
    while clock.monotonic() < PATIENCE {
        let whole = kept.lock().unwrap().spans.iter().find(|span| span.name == "rotation").cloned();
        if let Some(whole) = whole {
            return whole;
        }
        clock.sleep(POLL).await;
    }
    panic!("no rotation was told")
}

fn assert_holds_no_secret(taken: &Taken, fleet: &Fleet) {
    let mut secrets = vec![std::fs::read_to_string(fleet.path("cf-password")).unwrap()];
    for (body, _) in fleet.sandbox.put_bodies("acme") {
        let entries = body.as_array().unwrap();
        secrets.extend(entries.iter().map(|entry| entry["clientsecret"].as_str().unwrap().to_owned()));
    }
    assert!(secrets.len() >= 3, "there are secrets to look for");
    for secret in secrets {
        let secret = secret.trim().as_bytes();
        assert!(!taken.raw.windows(secret.len()).any(|part| part == secret), "a secret in a trace");
    }
    // How every token begins.
    let tokens: Vec<&Span> = taken.spans.iter().filter(|span| format!("{span:?}").contains("eyJ")).collect();
    assert!(tokens.is_empty(), "{tokens:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_one_trace_over_a_restart_and_holds_no_secret() {
    let (endpoint, kept) = collector().await;
    let fleet = Fleet::new(one(prompt()).kindly(), Knobs { soak: "3 s", ..knobs(&endpoint) }).await;
    let rekeyd = fleet.start().await;
    fleet.until("acme", "soaking", |status| status.phase == "soaking").await;
    assert!(rekeyd.stop().await.success());
    let first = kept.lock().unwrap().spans.len();
    assert!(first > 10, "what is left is sent at the end, and {first} spans came");
    let rekeyd = fleet.start().await;
    fleet.until_rotated("acme").await;
    let whole = until_ended(&kept).await;
    assert!(rekeyd.stop().await.success());
    let id = said(&whole, "rotation").unwrap();
    assert!(fleet.log().contains(&id), "`{id}` is not in the log");
    let history = String::from_utf8(fleet.ask(&["history", "acme", "--json"]).stdout).unwrap();
    assert!(history.contains(&id), "`{id}` is not in the history");
    assert!(whole.parent_span_id.is_empty() && said(&whole, "end").as_deref() == Some("completed"));
    let taken = kept.lock().unwrap();
    let own: Vec<&Span> = taken.spans.iter().filter(|span| span.trace_id == whole.trace_id).collect();
    let ids: BTreeSet<&[u8]> = own.iter().map(|span| span.span_id.as_slice()).collect();
    for span in &own {
        assert!(*span == &whole || ids.contains(span.parent_span_id.as_slice()), "an orphan: {span:?}");
        assert!(said(span, "rotation").is_none_or(|of| of == id), "{span:?}");
        assert!(span.start_time_unix_nano >= whole.start_time_unix_nano, "{span:?}");
    }
    let steps: BTreeSet<String> = own.iter().filter_map(|span| said(span, "step")).collect();
    for step in ["create", "test", "deliver", "delete"] {
        assert!(steps.contains(step), "{step} is not in {steps:?}");
    }
    let calls: BTreeSet<String> = own.iter().filter_map(|span| said(span, "operation")).collect();
    for call in ["create_key", "test_key", "put_credentials", "delete_key"] {
        assert!(calls.contains(call), "{call} is not in {calls:?}");
    }
    assert!(own.iter().any(|span| said(span, "status").as_deref() == Some("200")));
    for span in taken.spans.iter().filter(|span| said(span, "rotation").is_some()) {
        assert_eq!(span.trace_id, whole.trace_id, "{span:?}");
    }
    assert_holds_no_secret(&taken, &fleet);
    fleet.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_collector_that_is_not_there() {
    // It takes connections and never answers; and nobody listens.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for address in [silent.local_addr().unwrap(), gone] {
        let fleet = Fleet::new(one(prompt()).kindly(), knobs(&format!("http://{address}"))).await;
        let rekeyd = fleet.start().await;
        fleet.until_rotated("acme").await;
        fleet.until_log("traces do not reach").await;
        assert!(rekeyd.stop().await.success());
        assert_eq!(fleet.log().matches("traces do not reach").count(), 1, "it is said once");
        fleet.assert_clean();
    }
}
