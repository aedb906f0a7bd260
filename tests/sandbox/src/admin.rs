//! The admin port: the books, the call log, faults, held replies, and changes by hand. The same as the
//! methods of [`crate::Sandbox`], for clients in other processes.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::faults::Rule;
use crate::holds::Release;
use crate::reply::Reply;
use crate::request::{Request, value};
use crate::serve::Shared;
use crate::world::change::Change;

/// Every key that a rule may have, over all faults.
const RULE_KEYS: [&str; 15] = [
    "operation",
    "tenant",
    "method",
    "path",
    "nth",
    "count",
    "probability",
    "effect",
    "kind",
    "code",
    "body",
    "retry_after",
    "latency_ms",
    "to",
    "every_ms",
];
/// How long `GET /held?at_least=N` waits.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Answers a request on the admin port.
pub(crate) async fn answer(shared: &Shared, request: &Request) -> Reply {
    let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["books"]) => document(&shared.world().books()),
        ("GET", ["calls"]) => calls(shared, request),
        ("POST", ["faults"]) => inject(shared, request),
        ("GET", ["faults"]) => faults(shared),
        ("DELETE", ["faults"]) => {
            shared.rules().clear();
            Reply::empty(204)
        }
        ("GET", ["held"]) => held(shared, request).await,
        ("POST", ["held", "release"]) => release(shared, request),
        ("POST", ["world", change]) => make(shared, request, None, change),
        ("POST", ["world", tenant, change]) => make(shared, request, Some(tenant), change),
        _ => problem(404, "there is no such page; see the crate's documentation"),
    }
}

fn calls(shared: &Shared, request: &Request) -> Reply {
    let parameters = request.parameters();
    let since = value(&parameters, "since").and_then(|since| since.parse().ok()).unwrap_or(0);
    let world = shared.world();
    let calls: Vec<_> = world.calls.iter().filter(|call| call.seq > since).collect();
    document(&calls)
}

fn inject(shared: &Shared, request: &Request) -> Reply {
    let body = match object(request) {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    // A misspelt condition would make a rule match everything.
    let unknown =
        body.as_object().and_then(|body| body.keys().find(|key| !RULE_KEYS.contains(&key.as_str())));
    if let Some(key) = unknown {
        return problem(400, &format!("unknown key `{key}`; expected one of {}", RULE_KEYS.join(", ")));
    }
    match serde_json::from_value::<Rule>(body) {
        Ok(rule) => Reply::json(201, &json!({ "id": shared.rules().add(rule) })),
        Err(error) => problem(400, &error.to_string()),
    }
}

fn faults(shared: &Shared) -> Reply {
    let rules = shared.rules();
    let all: Vec<Value> = rules
        .all()
        .iter()
        .map(|(id, rule, matched)| json!({ "id": id, "matched": matched, "rule": rule }))
        .collect();
    document(&all)
}

async fn held(shared: &Shared, request: &Request) -> Reply {
    let parameters = request.parameters();
    if let Some(count) = value(&parameters, "at_least").and_then(|count| count.parse().ok()) {
        // Time running out is an answer, too: the list shows what is held.
        let _ = tokio::time::timeout(LONGEST_WAIT, shared.holds.at_least(count)).await;
    }
    document(&shared.holds.all())
}

fn release(shared: &Shared, request: &Request) -> Reply {
    let body = match object(request) {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let how = if body["drop"] == json!(true) { Release::Drop } else { Release::Continue };
    let released = shared.holds.release(body["id"].as_u64(), how);
    Reply::json(200, &json!({ "released": released }))
}

/// The path names the change and perhaps the tenant, the body the rest.
fn make(shared: &Shared, request: &Request, tenant: Option<&str>, change: &str) -> Reply {
    let mut body = match object(request) {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    body["change"] = json!(change);
    if let Some(tenant) = tenant {
        body["tenant"] = json!(tenant);
    }
    match serde_json::from_value::<Change>(body) {
        Err(error) => problem(400, &error.to_string()),
        Ok(change) => match shared.world().change(change) {
            Ok(()) => Reply::empty(204),
            Err(text) => problem(404, &text),
        },
    }
}

/// The JSON object in the body; no body is an empty one.
fn object(request: &Request) -> Result<Value, Reply> {
    if request.body.is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_slice(&request.body) {
        Ok(body @ Value::Object(_)) => Ok(body),
        Ok(_) => Err(problem(400, "expected an object")),
        Err(error) => Err(problem(400, &error.to_string())),
    }
}

fn document(value: &impl Serialize) -> Reply {
    match serde_json::to_value(value) {
        Ok(value) => Reply::json(200, &value),
        Err(error) => problem(500, &error.to_string()),
    }
}

fn problem(status: u16, text: &str) -> Reply {
    Reply::json(status, &json!({ "error": text }))
}
