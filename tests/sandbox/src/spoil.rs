//! Replies that go wrong: what each fault makes of a reply, and what it looks like on the wire.

use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::clock;
use crate::faults::{Fault, http_date};
use crate::reply::{Body, Broken, Reply, response};
use crate::request::{Endpoint, Request};
use crate::scramble;
use crate::world::World;
use crate::world::service::Service;

/// The size of a huge reply.
const HUGE_BYTES: usize = 10 * 1024 * 1024;
/// What endless and huge replies are made of.
const CHUNK: Bytes = Bytes::from_static(&[b' '; 16 * 1024]);
/// Long enough for the first half of a truncated reply to leave the house.
const FLUSH: Duration = Duration::from_millis(10);
/// The usual pace of a dripping reply.
const DRIP_MS: u64 = 100;

/// What the client is to read in place of `reply`, as far as it is a matter of content.
pub(crate) fn disguise(
    world: &mut World,
    endpoint: &Endpoint,
    request: &Request,
    fault: Option<&Fault>,
    question: &str,
    reply: Reply,
) -> Reply {
    let service = Service::of(endpoint);
    let shown = match fault {
        Some(Fault::Status { code, body, retry_after }) => {
            let refusal = match body {
                Some(body) => Reply::text(*code, "application/json", body.clone()),
                None => {
                    Reply::json(*code, &json!({ "error": "server_error", "error_description": "injected" }))
                }
            };
            match retry_after {
                Some(wait) => world.asking(refusal, service, wait.form, wait.seconds),
                None => refusal,
            }
        }
        Some(Fault::Html { code }) => {
            let code = code.unwrap_or(502);
            let page =
                format!("<html><head><title>{code}</title></head><body><h1>{code}</h1>nginx</body></html>");
            Reply::text(code, "text/html", page)
        }
        Some(Fault::Redirect { to, code }) => Reply::empty(code.unwrap_or(307)).with("location", to.clone()),
        Some(Fault::Garbage) => json_text(200, Bytes::from_static(b"{\"a\":[1,\xff\xfe\x00{{]\"")),
        Some(Fault::Nested) => json_text(200, scramble::nested().into()),
        Some(Fault::Endless | Fault::Huge) => json_text(200, Bytes::new()),
        Some(Fault::Mistyped) => mistyped(world, question, &reply),
        Some(Fault::Misled) => misled(world, endpoint, request, reply.clone()),
        _ => scrambled(world, question, reply.clone()),
    };
    let date = http_date(world.their_time(service));
    // What the call did stays true whatever the client gets to read.
    let Reply { effect, key, .. } = reply;
    Reply { effect, key, ..shown }.with("date", date)
}

fn json_text(status: u16, body: Bytes) -> Reply {
    Reply { body, ..Reply::text(status, "application/json", String::new()) }
}

/// In the hostile modes a document is never written the same way twice.
fn scrambled(world: &mut World, question: &str, mut reply: Reply) -> Reply {
    if world.is_hostile()
        && let Some(document) = reply.document()
    {
        let mut stream = world.chance.stream(&format!("{question}/form"));
        reply.body = scramble::scramble(&document, world.rates(), &mut stream).into();
    }
    reply
}

fn mistyped(world: &mut World, question: &str, reply: &Reply) -> Reply {
    let mut stream = world.chance.stream(&format!("{question}/mistyped"));
    let document = scramble::mistype(reply.document().unwrap_or(Value::Null), &mut stream);
    Reply { body: document.to_string().into(), ..reply.clone() }
}

/// A key is what its issuer says it is: its addresses are not touched.
fn misled(world: &World, endpoint: &Endpoint, request: &Request, mut reply: Reply) -> Reply {
    let (base, elsewhere) = (request.base(world), &world.bases.elsewhere);
    for (name, value) in &mut reply.headers {
        if *name == "location" && value.starts_with('/') {
            *value = format!("{elsewhere}{value}");
        } else if matches!(*name, "location" | "link") {
            *value = value.replace(&base, elsewhere);
        }
    }
    let holds_keys = matches!(
        endpoint,
        Endpoint::Details(_)
            | Endpoint::ListManaged
            | Endpoint::GetManaged(_)
            | Endpoint::CreateManaged
            | Endpoint::Portal { .. }
    );
    if !holds_keys && let Some(mut document) = reply.document() {
        scramble::mislead(&mut document, &base, elsewhere);
        reply.body = document.to_string().into();
    }
    reply
}

/// The reply on the wire in its spoilt form, or no reply at all.
pub(crate) fn send(fault: Option<&Fault>, reply: Reply) -> Result<Response<Body>, Broken> {
    match fault {
        Some(Fault::LostReply) => Err(Broken),
        Some(Fault::Endless) => Ok(response(reply.status, &reply.headers, endless())),
        Some(Fault::Huge) => Ok(response(reply.status, &reply.headers, huge())),
        Some(Fault::Truncated) => Ok(truncated(reply)),
        Some(Fault::Drip { every_ms }) => Ok(drip(reply, every_ms.unwrap_or(DRIP_MS))),
        _ => Ok(reply.into_http()),
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
