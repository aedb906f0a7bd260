//! Replies that go wrong: what each fault looks like on the wire.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use hyper::Response;
use serde_json::json;
use tokio::sync::mpsc;

use crate::clock;
use crate::faults::{Fault, RetryAfter, RetryAfterForm};
use crate::reply::{Body, Broken, Reply, response};

/// The size of a huge reply.
const HUGE_BYTES: usize = 10 * 1024 * 1024;
/// What endless and huge replies are made of.
const CHUNK: Bytes = Bytes::from_static(&[b' '; 16 * 1024]);
/// Long enough for the first half of a truncated reply to leave the house.
const FLUSH: Duration = Duration::from_millis(10);
/// The usual pace of a dripping reply.
const DRIP_MS: u64 = 100;

/// The reply in its spoilt form, or no reply at all.
pub(crate) fn spoil(fault: &Fault, reply: Reply, now: DateTime<Utc>) -> Result<Response<Body>, Broken> {
    let ok = |body| Ok(response(200, &[("content-type", "application/json".to_owned())], body));
    match fault {
        Fault::LostReply => Err(Broken),
        Fault::Status { code, body, retry_after } => {
            Ok(status(*code, body.as_ref(), retry_after.as_ref(), now))
        }
        Fault::Html { code } => {
            let code = code.unwrap_or(502);
            let page =
                format!("<html><head><title>{code}</title></head><body><h1>{code}</h1>nginx</body></html>");
            Ok(Reply::text(code, "text/html", page).into_http())
        }
        Fault::Redirect { to } => Ok(Reply::empty(307).with("location", to.clone()).into_http()),
        Fault::Garbage => ok(Body::Whole(Some(Bytes::from_static(b"{\"a\":[1,\xff\xfe\x00{{]\"")))),
        Fault::Endless => ok(endless()),
        Fault::Huge => ok(huge()),
        Fault::Truncated => Ok(truncated(reply)),
        Fault::Drip { every_ms } => Ok(drip(reply, every_ms.unwrap_or(DRIP_MS))),
        Fault::Latency { .. } | Fault::Hold | Fault::HoldBefore => Ok(reply.into_http()),
    }
}

/// The status that the client gets to see.
pub(crate) fn visible_status(fault: &Fault, reply: &Reply) -> Option<u16> {
    match fault {
        Fault::LostReply => None,
        Fault::Status { code, .. } => Some(*code),
        Fault::Html { code } => Some(code.unwrap_or(502)),
        Fault::Redirect { .. } => Some(307),
        Fault::Garbage | Fault::Endless | Fault::Huge => Some(200),
        _ => Some(reply.status),
    }
}

fn status(code: u16, body: Option<&String>, wait: Option<&RetryAfter>, now: DateTime<Utc>) -> Response<Body> {
    let reply = match body {
        Some(body) => Reply::text(code, "application/json", body.clone()),
        None => Reply::json(code, &json!({ "error": "server_error", "error_description": "injected" })),
    };
    match wait {
        Some(wait) => reply.with("retry-after", retry_after(wait, now)).into_http(),
        None => reply.into_http(),
    }
}

fn retry_after(wait: &RetryAfter, now: DateTime<Utc>) -> String {
    // Dates have whole seconds: rounding up keeps them from asking for less.
    let at = now + TimeDelta::seconds(i64::from(wait.seconds) + 1);
    match wait.form {
        RetryAfterForm::Seconds => wait.seconds.to_string(),
        RetryAfterForm::HttpDate => at.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        RetryAfterForm::SapUtc => at.format("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
        RetryAfterForm::Epoch => at.timestamp().to_string(),
    }
}

fn endless() -> Body {
    let (sender, parts) = mpsc::channel(1);
    tokio::spawn(async move { while sender.send(Ok(CHUNK)).await.is_ok() {} });
    Body::Parts(parts)
}

fn huge() -> Body {
    let (sender, parts) = mpsc::channel(1);
    tokio::spawn(async move {
        for _ in 0..HUGE_BYTES / CHUNK.len() {
            if sender.send(Ok(CHUNK)).await.is_err() {
                return;
            }
        }
    });
    Body::Parts(parts)
}

/// The first half of the reply, then a broken connection.
fn truncated(reply: Reply) -> Response<Body> {
    let half = reply.body.slice(..reply.body.len() / 2);
    let (sender, parts) = mpsc::channel(2);
    tokio::spawn(async move {
        // Who has hung up misses nothing.
        let _ = sender.send(Ok(half)).await;
        clock::wait(FLUSH).await;
        let _ = sender.send(Err(Broken)).await;
    });
    let mut headers = reply.headers;
    headers.push(("content-length", (reply.body.len() + 1).to_string()));
    response(reply.status, &headers, Body::Parts(parts))
}

fn drip(reply: Reply, every_ms: u64) -> Response<Body> {
    let (sender, parts) = mpsc::channel(1);
    let body = reply.body;
    tokio::spawn(async move {
        for at in 0..body.len() {
            clock::wait(Duration::from_millis(every_ms)).await;
            if sender.send(Ok(body.slice(at..=at))).await.is_err() {
                return;
            }
        }
    });
    response(reply.status, &reply.headers, Body::Parts(parts))
}
