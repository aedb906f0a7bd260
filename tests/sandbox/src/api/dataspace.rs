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
use crate::world::service::Service;
use crate::world::tenant::Tenant;

/// PUT bodies that are kept per tenant for tests to look at.
const BODIES_KEPT: usize = 1000;

/// What the hostile modes call a run in progress now and then.
const UNKNOWN_STATE: &str = "RECONCILING_2";

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
    let (changed, ran) = apply(world, id, pair, request.only);
    world.ledger.wrote(id, Operation::PutCredentials);
    world.reckon(id, "put_credentials");
    Reply { effect: changed || ran, ..Reply::empty(200) }
}

/// Applies a PUT: now or, in the hostile modes, some time within the wait that SAP documents. Answers whether the
/// consumer holds another pair now, and whether a run has begun.
fn apply(world: &mut World, id: &str, pair: Pair, only: Option<Role>) -> (bool, bool) {
    let rate = world.rates().put_late;
    let late = only.is_none() && world.mischief(&format!("{id}/put late"), rate);
    let seconds = if late { world.scenario.waits.put_seconds } else { 0 };
    let at = world.now() + world.some_of(&format!("{id}/put how late"), seconds);
    let Some(tenant) = world.tenants.get_mut(id) else { return (false, false) };
    let before = tenant.consumer.held.clone();
    let tick = tenant.next_tick();
    if late {
        tenant.consumer.offer_late(pair, at, tick);
    } else {
        tenant.consumer.offer(pair, only, tick);
    }
    let changed = tenant.consumer.held != before;
    // Who redeploys by itself does so with what it has taken over.
    let runs = tenant.consumer.traits.redeploy_on_put && !late;
    if runs {
        world.start_run(id);
    }
    (changed, runs)
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
    world.start_run(id);
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
    let rates = world.rates().clone();
    let words = world.mischief(&format!("{id}/flapping words"), rates.flapping_words);
    let ends = world.mischief(&format!("{id}/flapping ends"), rates.flapping_ends);
    let strange = world.mischief(&format!("{id}/unknown state"), rates.unknown_states);
    let Some(tenant) = world.tenants.get_mut(id) else { return Reply::empty(404) };
    let (shown, at) = tenant.consumer.look();
    let shown = match tenant.consumer.flap(ends, shown) {
        Shown::Pending if words => Shown::Deploying,
        Shown::Deploying if words => Shown::Pending,
        shown => shown,
    };
    let at = world.as_told_by(Service::DataSpace, at);
    let Some(tenant) = world.tenants.get(id) else { return Reply::empty(404) };
    let traits = &tenant.consumer.traits;
    let strange = strange && matches!(shown, Shown::Pending | Shown::Deploying);
    let text = if strange { UNKNOWN_STATE } else { word(traits.vocabulary, shown) };
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
