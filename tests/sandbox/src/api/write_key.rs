//! Creating and deleting keys: the two calls that the books are about.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{cf_error, not_authorized, not_found, unprocessable};
use crate::reply::Reply;
use crate::request::{Operation, Request};
use crate::scenario::tenant::{Issuer, Role};
use crate::world::judge::Deleter;
use crate::world::key::{Key, Maker};
use crate::world::{Job, World};

/// Cloud Foundry's limits for labels and annotations.
const MOST_LABELS: usize = 50;
const LONGEST_LABEL: usize = 63;
const LONGEST_ANNOTATION: usize = 5000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    r#type: String,
    name: String,
    relationships: Relationships,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    parameters: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Relationships {
    service_instance: Relation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Relation {
    data: Guid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Guid {
    guid: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Metadata {
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
}

/// `POST /v3/service_credential_bindings`
pub(super) fn create(world: &mut World, request: &Request) -> Reply {
    let order: Order = match serde_json::from_slice(&request.body) {
        Ok(order) => order,
        Err(error) if error.is_data() => {
            return unprocessable(&format!("Invalid request, {}", place(&error)));
        }
        Err(error) => {
            return cf_error(400, 1001, "CF-MessageParseError", &format!("Parse error, {}", place(&error)));
        }
    };
    if let Some(problem) = improper(&order) {
        return unprocessable(problem);
    }
    let instance = &order.relationships.service_instance.data.guid;
    let found = world.instances.get(instance).filter(|(id, _)| world.issues(Issuer::CloudFoundry, id));
    let Some((id, role)) = found.cloned() else {
        return unprocessable("The service instance could not be found: '...'");
    };
    if world.tenants.get(&id).is_some_and(|tenant| world.only_reads(tenant)) {
        return not_authorized();
    }
    if let Err(no_room) = make_room(world, &id, role, &order.name, true) {
        return match no_room {
            NoRoom::Nowhere => not_found("Service instance"),
            NoRoom::Taken => unprocessable(&format!(
                "The binding name is invalid. Key binding names must be unique: '{}'",
                order.name
            )),
            NoRoom::Quota => unprocessable("You have exceeded your organization's limit for service keys."),
        };
    }
    let name = order.name.clone();
    let metadata = json!({ "labels": order.metadata.labels, "annotations": order.metadata.annotations });
    let Some((guid, fails)) = make(world, &id, role, order.name, metadata) else {
        return not_found("Service instance");
    };
    accepted(world, request, &id, guid, false, fails, name)
}

/// What is wrong in an order, beyond its form.
fn improper(order: &Order) -> Option<&'static str> {
    if order.r#type != "key" {
        return Some("Type must be 'key' here; the sandbox makes no app bindings");
    }
    if order.name.is_empty() || order.name.len() > 255 {
        return Some("Name can't be blank and must be at most 255 characters");
    }
    if order.parameters.as_ref().is_some_and(|parameters| !parameters.is_object()) {
        return Some("Parameters must be an object");
    }
    let label_char = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let label = |value: &Value| {
        value.as_str().is_some_and(|text| {
            let ends = text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.ends_with(|c: char| c.is_ascii_alphanumeric());
            text.len() <= LONGEST_LABEL && (text.is_empty() || ends) && text.chars().all(label_char)
        })
    };
    let metadata = &order.metadata;
    if metadata.labels.len() > MOST_LABELS || !metadata.labels.values().all(label) {
        return Some("Metadata label value error: contains invalid characters or is too long");
    }
    let annotation = |value: &Value| {
        value.is_null() || value.as_str().is_some_and(|text| text.len() <= LONGEST_ANNOTATION)
    };
    (!metadata.annotations.values().all(annotation)).then_some("Metadata annotation value error")
}

/// Why a key cannot be made.
pub(super) enum NoRoom {
    /// There is no such instance.
    Nowhere,
    /// The name is taken.
    Taken,
    /// There are too many.
    Quota,
}

/// Refuses a name that is taken and a quota that is full. At Cloud Foundry a key whose creation is reported as failed
/// gives its name away and is deleted silently.
pub(super) fn make_room(
    world: &mut World,
    id: &str,
    role: Role,
    name: &str,
    failed_give_way: bool,
) -> Result<(), NoRoom> {
    let tenant = world.tenants.get(id).ok_or(NoRoom::Nowhere)?;
    let same = tenant.keys.iter().position(|key| {
        key.role == role
            && key.name == name
            && key.maker != Maker::App
            && (key.is_alive() || key.lingering > 0)
    });
    if let Some(at) = same {
        let key = &tenant.keys[at];
        let replaceable = failed_give_way && key.reported_failed && key.pending == 0 && key.is_alive();
        if !replaceable {
            return Err(NoRoom::Taken);
        }
        world.delete(id, at, Deleter::ByHand);
    }
    let tenant = world.tenants.get(id).ok_or(NoRoom::Nowhere)?;
    let used = tenant
        .keys
        .iter()
        .filter(|key| key.role == role && key.is_alive() && key.maker != Maker::App)
        .count();
    match world.scenario.cloud_foundry.quota.and_then(|quota| usize::try_from(quota).ok()) {
        Some(quota) if used >= quota => Err(NoRoom::Quota),
        _ => Ok(()),
    }
}

/// Makes a key. Answers its guid, and whether its making is going to be reported as failed.
pub(super) fn make(
    world: &mut World,
    id: &str,
    role: Role,
    name: String,
    metadata: Value,
) -> Option<(String, bool)> {
    let instance = world.tenants.get(id)?.instance(role).clone();
    let plan = world.scenario.cloud_foundry.clone();
    let now = world.now();
    let siblings = std::mem::take(&mut world.tenants.get_mut(id)?.keys);
    let mut key = world.new_key(&instance, id, role, name, Maker::Api, now, &siblings);
    world.tenants.get_mut(id)?.keys = siblings;
    key.pending = world.patience(&format!("{id}/job"), plan.job_polls);
    key.unlisted = plan.list_lag;
    key.read_from = world.settled_from(&key.guid);
    key.refusals = world.patience(&format!("{id}/new secret"), plan.secret_refusals);
    key.metadata = metadata;
    let guid = key.guid.clone();
    world.add_key(id, key);
    world.ledger.wrote(id, Operation::CreateKey);
    world.reckon(id, "create_key");
    let rate = world.rates().job_failed;
    let fails = world.mischief(&format!("{id}/job failed"), rate);
    if fails {
        let half = world.chance.happens(&format!("{id}/job failed, key too"), 0.5);
        with_key(world, &guid, |key| key.reported_failed = half);
    }
    Some((guid, fails))
}

/// `DELETE /v3/service_credential_bindings/:guid`
pub(super) fn delete(world: &mut World, request: &Request, guid: &str) -> Reply {
    let Some((id, at)) = world.bound(Issuer::CloudFoundry, guid) else {
        return not_found("Service credential binding");
    };
    let Some(tenant) = world.tenants.get(&id) else { return not_found("Service credential binding") };
    if world.only_reads(tenant) {
        return not_authorized();
    }
    let key = &tenant.keys[at];
    let name = key.name.clone();
    match key.last_operation(false) {
        ("delete", _) if key.lingering == 0 => return not_found("Service credential binding"),
        (_, "in progress") => {
            with_key(world, guid, Key::looked_at);
            return unprocessable("There is an operation in progress for the service binding.");
        }
        _ => {}
    }
    unmake(world, &id, at, guid);
    accepted(world, request, &id, guid.to_owned(), true, false, name)
}

/// Deletes a key for the client. Reads may show it for a while.
pub(super) fn unmake(world: &mut World, id: &str, at: usize, guid: &str) {
    world.delete(id, at, Deleter::Client);
    let listed = world.scenario.cloud_foundry.deleted_listed;
    let lingering = world.patience(&format!("{id}/deleted but listed"), listed);
    let settled = world.settled_from(guid);
    with_key(world, guid, |key| {
        key.lingering = lingering;
        key.read_from = settled;
    });
}

/// What comes of a creation or deletion; answers the guid of the job.
pub(super) fn begin_job(world: &mut World, id: &str, binding: String, deletes: bool, fails: bool) -> String {
    let job_polls = world.scenario.cloud_foundry.job_polls;
    let gone = world.rates().job_gone;
    let job = Job {
        tenant: id.to_owned(),
        binding,
        deletes,
        polls: world.patience(&format!("{id}/job"), job_polls),
        fails,
        vanishes: world.mischief(&format!("{id}/job gone"), gone),
        created_at: world.now(),
    };
    let guid = world.chance.guid(&format!("{id}/job guid"));
    world.jobs.insert(guid.clone(), job);
    guid
}

/// 202 with the job in `Location`.
fn accepted(
    world: &mut World,
    request: &Request,
    id: &str,
    binding: String,
    deletes: bool,
    fails: bool,
    name: String,
) -> Reply {
    let guid = begin_job(world, id, binding, deletes, fails);
    let location = format!("{}/cf/v3/jobs/{guid}", request.base(world));
    let reply = Reply::empty(202).with("location", location).effective();
    Reply { key: Some(name), ..reply }
}

pub(super) fn with_key(world: &mut World, guid: &str, change: impl FnOnce(&mut Key)) {
    if let Some((id, at)) = world.bindings.get(guid)
        && let Some(tenant) = world.tenants.get_mut(id)
    {
        change(&mut tenant.keys[*at]);
    }
}

/// Where a document is wrong, without any of its content.
pub(super) fn place(error: &serde_json::Error) -> String {
    format!("line {} column {}", error.line(), error.column())
}
