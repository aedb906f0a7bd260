//! The consumer's side: taking a pair, provisioning, and the many ways to say how that went.

use chrono::SecondsFormat;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::reply::Reply;
use crate::request::{Operation, Request};
use crate::scenario::tenant::{Role, Shape, Vocabulary};
use crate::world::World;
use crate::world::books::{Entry, Finding};
use crate::world::consumer::{Credential, Outcome, Pair, Shown};
use crate::world::tenant::Tenant;

/// PUT bodies that are kept per tenant for tests to look at.
const BODIES_KEPT: usize = 1000;

/// One entry of the PUT body: these four fields and no others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offered {
    clientid: String,
    clientsecret: String,
    url: String,
    tokenurl: String,
}

impl From<Offered> for Credential {
    fn from(offered: Offered) -> Self {
        Self {
            client_id: offered.clientid,
            secret: offered.clientsecret,
            url: offered.url,
            token_url: offered.tokenurl,
        }
    }
}

/// `PUT credentials/dataplane`
pub(super) fn put(world: &mut World, request: &Request, id: &str) -> Reply {
    let Some(tenant) = world.tenants.get_mut(id) else { return Reply::empty(404) };
    let parsed = parse(tenant, request);
    let status = tenant.consumer.traits.put_status;
    if tenant.consumer.bodies.len() < BODIES_KEPT {
        let body = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        tenant.consumer.bodies.push((body, parsed.is_ok() && status.is_none()));
    }
    let pair = match parsed {
        Ok(pair) => pair,
        Err(problem) => return error(400, problem),
    };
    note_delivery(world, id, &pair);
    if let Some(status) = status {
        return error(status, "the endpoint is not available");
    }
    let now = world.now();
    let Some(tenant) = world.tenants.get_mut(id) else { return Reply::empty(404) };
    let before = tenant.consumer.held.clone();
    let tick = tenant.next_tick();
    tenant.consumer.offer(pair, tick);
    let changed = tenant.consumer.held != before;
    if tenant.consumer.traits.redeploy_on_put {
        let tick = tenant.next_tick();
        tenant.consumer.start_run(now, tick);
    }
    let ran = tenant.consumer.traits.redeploy_on_put;
    world.ledger.wrote(id, Operation::PutCredentials);
    world.reckon(id, "put_credentials");
    Reply { effect: changed || ran, ..Reply::empty(200) }
}

/// An array of exactly two flat objects, `ciapi` first.
fn parse(tenant: &Tenant, request: &Request) -> Result<Pair, &'static str> {
    let is_json = request.header("content-type").is_some_and(|text| text.starts_with("application/json"));
    if !is_json {
        return Err("expected application/json");
    }
    let offered: Vec<Offered> =
        serde_json::from_slice(&request.body).map_err(|_| "expected an array of two flat objects")?;
    let [ciapi, cirt] = <[Offered; 2]>::try_from(offered).map_err(|_| "expected exactly two objects")?;
    for entry in [&ciapi, &cirt] {
        let fields = [&entry.clientid, &entry.clientsecret, &entry.url, &entry.tokenurl];
        if fields.iter().any(|field| field.is_empty()) {
            return Err("expected four values that are not empty");
        }
    }
    if ciapi.clientid == tenant.cirt.client_id || cirt.clientid == tenant.ciapi.client_id {
        return Err("expected the API parameters first and the runtime parameters second");
    }
    Ok(Pair { ciapi: ciapi.into(), cirt: cirt.into() })
}

/// Marks the keys in a PUT body, and books those that nobody had tried before.
fn note_delivery(world: &mut World, id: &str, pair: &Pair) {
    let now = world.now();
    for role in [Role::Ciapi, Role::Cirt] {
        let credential = pair.of(role);
        let Some(tenant) = world.tenants.get_mut(id) else { return };
        let found = tenant.key_of(&credential.client_id, &credential.secret);
        let (key, tested) = match found {
            Some(at) => {
                tenant.keys[at].delivered = true;
                (Some(tenant.keys[at].name.clone()), tenant.keys[at].tested)
            }
            None => (None, false),
        };
        if !tested {
            world.ledger.note(Entry {
                at: now,
                finding: Finding::UntestedDelivery,
                tenant: id.to_owned(),
                role,
                key,
                cause: "put_credentials".to_owned(),
                reason: "no token was ever obtained with the secret".to_owned(),
            });
        }
    }
}

/// `GET credentials/dataplane`: without secrets, where it exists at all.
pub(super) fn read(world: &mut World, _: &Request, id: &str) -> Reply {
    let Some(tenant) = world.tenants.get(id) else { return Reply::empty(404) };
    if !tenant.consumer.traits.read_back {
        return error(404, "not found");
    }
    let shown = |credential: &Credential| json!({ "clientid": credential.client_id, "url": credential.url, "tokenurl": credential.token_url });
    let held = &tenant.consumer.held;
    Reply::json(200, &json!([shown(&held.ciapi), shown(&held.cirt)]))
}

/// `POST dataplane`
pub(super) fn start(world: &mut World, _: &Request, id: &str) -> Reply {
    let now = world.now();
    let Some(tenant) = world.tenants.get_mut(id) else { return Reply::empty(404) };
    let tick = tenant.next_tick();
    tenant.consumer.start_run(now, tick);
    world.ledger.wrote(id, Operation::StartDataplane);
    Reply::empty(202).effective()
}

/// `POST registration`
pub(super) fn register(world: &mut World, request: &Request, id: &str) -> Reply {
    if !serde_json::from_slice::<Value>(&request.body).is_ok_and(|body| body.is_object()) {
        return error(400, "expected an object");
    }
    world.ledger.wrote(id, Operation::Register);
    Reply::json(202, &json!({ "status": "ACCEPTED" })).effective()
}

/// `GET dataplane`
pub(super) fn status(world: &mut World, _: &Request, id: &str) -> Reply {
    let flapping = world.mischief(&format!("{id}/flapping"), 0.3);
    let strange = world.mischief(&format!("{id}/unknown field"), 0.3);
    let Some(tenant) = world.tenants.get_mut(id) else { return Reply::empty(404) };
    let (shown, at) = tenant.consumer.look();
    let shown = match shown {
        Shown::Pending if flapping => Shown::Deploying,
        Shown::Deploying if flapping => Shown::Pending,
        shown => shown,
    };
    let traits = &tenant.consumer.traits;
    let text = word(traits.vocabulary, shown);
    let failed = shown == Shown::Final(Outcome::Error);
    let message = "deployment of the integration content failed";
    let mut document = match traits.shape {
        Shape::Plain => return Reply::text(200, "text/plain", text.to_owned()),
        Shape::Text => return Reply::json(200, &json!(text)),
        Shape::Object => json!({ "status": text }),
        Shape::OtherName => json!({ "provisioningStatus": text }),
        Shape::Steps => {
            let first = if failed { word(traits.vocabulary, Shown::Final(Outcome::Success)) } else { text };
            json!({ "steps": [{ "name": "security material", "status": first }, { "name": "flows", "status": text }] })
        }
    };
    if failed {
        document["message"] = json!(message);
    }
    if traits.timestamps {
        document["updatedAt"] = json!(at.to_rfc3339_opts(SecondsFormat::Millis, true));
    }
    if strange {
        document["xTrace"] = json!([{ "code": 7 }]);
    }
    Reply::json(200, &document)
}

fn word(vocabulary: Vocabulary, shown: Shown) -> &'static str {
    let (pending, deploying, success, error) = match vocabulary {
        Vocabulary::Deployment => ("PENDING", "DEPLOYING", "SUCCESS", "ERROR"),
        Vocabulary::Ui => ("In Progress", "In Progress", "Success", "Error"),
        Vocabulary::Build => ("QUEUED", "DEPLOYING", "SUCCESS", "FAIL"),
        Vocabulary::Edc => ("REQUESTED", "REGISTERED", "AVAILABLE", "UNAVAILABLE"),
        Vocabulary::Unknown => ("PHASE-1", "PHASE-2", "PHASE-9", "PHASE-X"),
    };
    match shown {
        Shown::Pending => pending,
        Shown::Deploying => deploying,
        Shown::Final(Outcome::Success) => success,
        Shown::Final(Outcome::Error) => error,
    }
}

fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!([{ "message": message, "type": "Error", "path": null, "invalidValue": null }]))
}
