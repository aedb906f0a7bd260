//! SAP Service Manager: the service bindings of one tenant, their credentials with them, and operations.

use chrono::SecondsFormat;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::bindings::{is_stale, look, stale};
use super::write_key::{NoRoom, begin_job, make, make_room, place, unmake, with_key};
use crate::reply::Reply;
use crate::request::{Request, value};
use crate::scenario::tenant::Issuer;
use crate::world::World;
use crate::world::key::{Key, Maker};
use crate::world::service::Service;
use crate::world::tenant::Tenant;

/// Service Manager's default page, and its largest.
const DEFAULT_PAGE: usize = 50;
const LARGEST_PAGE: usize = 200;
/// What the hostile modes give, whatever is asked.
const HOSTILE_PAGE: usize = 3;
/// How often the hostile modes name the next page in a link alone, and how often they mind no condition.
const LINK_ALONE: f64 = 0.2;
const UNMINDED: f64 = 0.1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    name: String,
    service_instance_id: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default)]
    labels: Map<String, Value>,
}

/// `GET /v1/service_bindings`
pub(super) fn list(world: &mut World, request: &Request, tenant: &str) -> Reply {
    let parameters = request.parameters();
    let Some(conditions) = conditions(value(&parameters, "fieldQuery").unwrap_or_default()) else {
        return error(400, "BadRequest", "fieldQuery is not valid");
    };
    let Some((start, minded)) = begin(world, tenant, value(&parameters, "token")) else {
        return error(400, "BadRequest", "Invalid token");
    };
    let Ok(asked) = value(&parameters, "max_items").map_or(Ok(DEFAULT_PAGE), str::parse::<usize>) else {
        return error(400, "BadRequest", "max_items should be integer");
    };
    let stale = stale(world, &[tenant.to_owned()].into());
    let Some(owner) = world.tenants.get(tenant) else { return missing() };
    let fits = |key: &&Key| {
        key.maker != Maker::App
            && (!minded || conditions.iter().all(|(field, value)| has(owner, key, field, value)))
    };
    let all: Vec<&Key> = owner.keys.iter().filter(fits).collect();
    let mut shown: Vec<&Key> =
        all.iter().copied().filter(|key| key.is_shown(stale.contains(&key.guid))).collect();
    if world.is_hostile() {
        shown.sort_by_key(|key| world.chance.of(&key.guid));
    }
    let attach = value(&parameters, "attach_last_operations") == Some("true");
    let items: Vec<Value> =
        shown.iter().map(|key| binding(world, owner, key, stale.contains(&key.guid), attach)).collect();
    let seen: Vec<String> = all.iter().map(|key| key.guid.clone()).collect();
    let reply = page(world, request, tenant, &items, (start, asked, minded));
    for guid in seen {
        look(world, &guid);
    }
    reply
}

/// Where a page begins, and whether the list minds its condition: the token of the first page says so for all.
fn begin(world: &mut World, tenant: &str, token: Option<&str>) -> Option<(usize, bool)> {
    let Some(token) = token else {
        return Some((0, !world.mischief(&format!("{tenant}/condition"), UNMINDED)));
    };
    let (kind, start) = token.trim_end_matches('=').split_at_checked(1)?;
    Some((start.parse().ok()?, kind == "m"))
}

/// The page that was asked for, and how to get to the next.
fn page(
    world: &mut World,
    request: &Request,
    tenant: &str,
    items: &[Value],
    (start, asked, minded): (usize, usize, bool),
) -> Reply {
    let limit = world.scenario.cloud_foundry.page_size.and_then(|size| usize::try_from(size).ok());
    let limit = limit.unwrap_or(LARGEST_PAGE).max(1);
    let size = if world.is_hostile() { HOSTILE_PAGE } else { asked.min(LARGEST_PAGE).min(limit) };
    let part: Vec<&Value> = items.iter().skip(start).take(size).collect();
    let mut body = json!({ "num_items": items.len(), "items": part });
    let next = start + size;
    if next >= items.len() {
        return Reply::json(200, &body);
    }
    let token = format!("{}{next}==", if minded { 'm' } else { 'u' });
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in request.parameters().iter().filter(|(name, _)| name != "token") {
        query.append_pair(name, value);
    }
    query.append_pair("token", &token);
    let link = format!("<{}{}?{}>; rel=\"next\"", request.base(world), request.path, query.finish());
    if !world.mischief(&format!("{tenant}/link alone"), LINK_ALONE) {
        body["token"] = json!(token);
    }
    Reply::json(200, &body).with("link", link)
}

/// `field eq 'value'`, joined by `and`; a quote in a value is doubled.
fn conditions(query: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = query.trim();
    while !rest.is_empty() {
        let (field, after) = rest.split_once(" eq '")?;
        let mut value = String::new();
        let mut letters = after.char_indices().peekable();
        let end = loop {
            match letters.next()? {
                (_, '\'') if letters.next_if(|(_, letter)| *letter == '\'').is_some() => value.push('\''),
                (at, '\'') => break at + 1,
                (_, letter) => value.push(letter),
            }
        };
        if !["id", "name", "service_instance_id"].contains(&field) {
            return None;
        }
        found.push((field.to_owned(), value));
        rest = match after[end..].trim_start() {
            "" => "",
            more => more.strip_prefix("and ")?,
        };
    }
    Some(found)
}

fn has(tenant: &Tenant, key: &Key, field: &str, value: &str) -> bool {
    match field {
        "id" => key.guid == value,
        "name" => key.name == value,
        _ => tenant.instance(key.role).guid == value,
    }
}

/// `GET /v1/service_bindings/:id`
pub(super) fn get(world: &mut World, _: &Request, tenant: &str, id: &str) -> Reply {
    let Some(at) = of(world, tenant, id) else { return missing() };
    let now = world.now();
    let is_young = world.tenants.get(tenant).is_some_and(|owner| now < owner.keys[at].read_from);
    let stale = is_young && is_stale(world, id);
    let Some(owner) = world.tenants.get(tenant) else { return missing() };
    let key = &owner.keys[at];
    // What lists do not show yet can be asked for by its id, unless the read is stale.
    let is_there = if key.is_alive() { !stale } else { key.is_shown(stale) };
    if !is_there {
        return missing();
    }
    let reply = Reply::json(200, &binding(world, owner, key, stale, true));
    look(world, id);
    reply
}

/// `POST /v1/service_bindings`: done at once, or an operation.
pub(super) fn create(world: &mut World, request: &Request, tenant: &str) -> Reply {
    let order: Order = match serde_json::from_slice(&request.body) {
        Ok(order) => order,
        Err(wrong) => return error(400, "BadRequest", &format!("Invalid body, {}", place(&wrong))),
    };
    if order.name.is_empty() || !order.parameters.is_empty() {
        return error(400, "BadRequest", "the sandbox takes a name and no parameters");
    }
    let found = world.instances.get(&order.service_instance_id).filter(|(owner, _)| owner == tenant);
    let Some((_, role)) = found.cloned() else {
        return error(404, "NotFound", "could not find such service_instance");
    };
    match make_room(world, tenant, role, &order.name, false) {
        Ok(()) => {}
        Err(NoRoom::Nowhere) => return missing(),
        Err(NoRoom::Taken) => {
            let text =
                format!("binding with same name exists for instance with id {}", order.service_instance_id);
            return error(409, "Conflict", &text);
        }
        Err(NoRoom::Quota) => return error(400, "BadRequest", "the quota of service bindings is exceeded"),
    }
    let name = order.name.clone();
    let metadata = json!({ "labels": order.labels, "annotations": {} });
    let Some((guid, fails)) = make(world, tenant, role, order.name, metadata) else { return missing() };
    if fails || takes_time(world, request, tenant) {
        return accepted(world, tenant, &guid, false, fails, name);
    }
    with_key(world, &guid, |key| key.pending = 0);
    let Some(at) = of(world, tenant, &guid) else { return missing() };
    let Some(owner) = world.tenants.get(tenant) else { return missing() };
    let made = binding(world, owner, &owner.keys[at], false, true);
    Reply { key: Some(name), ..Reply::json(201, &made).effective() }
}

/// `DELETE /v1/service_bindings/:id`: done at once, or an operation.
pub(super) fn delete(world: &mut World, request: &Request, tenant: &str, id: &str) -> Reply {
    let Some(at) = of(world, tenant, id) else { return missing() };
    let Some(owner) = world.tenants.get(tenant) else { return missing() };
    let key = &owner.keys[at];
    let name = key.name.clone();
    match key.last_operation(false) {
        ("delete", _) if key.lingering == 0 => return missing(),
        (_, "in progress") => {
            look(world, id);
            let text = "Another concurrent operation in progress for this resource";
            return error(422, "ConcurrentOperationInProgress", text);
        }
        _ => {}
    }
    unmake(world, tenant, at, id);
    if takes_time(world, request, tenant) {
        return accepted(world, tenant, id, true, false, name);
    }
    Reply { key: Some(name), ..Reply::json(200, &json!({})).effective() }
}

/// Whether a creation or deletion is done in an operation. Without `async` either may be, as the broker likes it.
fn takes_time(world: &mut World, request: &Request, tenant: &str) -> bool {
    match value(&request.parameters(), "async") {
        Some("true") => true,
        Some("false") => false,
        _ if world.is_hostile() => world.chance.happens(&format!("{tenant}/operation"), 0.5),
        _ => world.scenario.cloud_foundry.job_polls > 0,
    }
}

/// 202 with the operation in `Location`: a path below the address in the key.
fn accepted(world: &mut World, tenant: &str, guid: &str, deletes: bool, fails: bool, name: String) -> Reply {
    let operation = begin_job(world, tenant, guid.to_owned(), deletes, fails);
    let location = format!("/v1/service_bindings/{guid}/operations/{operation}");
    let reply = Reply::json(202, &json!({})).with("location", location).effective();
    Reply { key: Some(name), ..reply }
}

/// `GET /v1/service_bindings/:id/operations/:id`
pub(super) fn operation(world: &mut World, tenant: &str, id: &str, operation: &str) -> Reply {
    let rate = world.rates().unknown_states;
    let strange = world.mischief(&format!("{tenant}/unknown state of an operation"), rate);
    let Some(at) = of(world, tenant, id) else { return missing() };
    let Some(key) = world.tenants.get_mut(tenant).map(|owner| &mut owner.keys[at]) else { return missing() };
    let Some(job) = world.jobs.get_mut(operation).filter(|job| job.binding == id) else { return missing() };
    let waiting = if job.deletes { job.polls } else { key.pending };
    job.polls = job.polls.saturating_sub(1);
    key.looked_at();
    if waiting == 0 && job.vanishes {
        return missing();
    }
    let state = match (waiting, job.fails) {
        (1.., _) if strange => "reconciling",
        (2.., _) => "pending",
        (1, _) => "in progress",
        (0, true) => "failed",
        (0, false) => "succeeded",
    };
    let (kind, created) = (if job.deletes { "delete" } else { "create" }, job.created_at);
    let created = world.as_told_by(Service::Manager, created).to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut body = json!({
        "id": operation, "type": kind, "state": state, "resource_id": id,
        "resource_type": "/v1/service_bindings", "created_at": created, "updated_at": created,
    });
    if state == "failed" {
        body["description"] = json!("binding could not be completed");
        body["errors"] = json!({
            "error": "BrokerError", "description": "Service broker error: the request timed out",
            "broker_error": { "StatusCode": 500, "ErrorMessage": "timeout", "Description": "the request timed out" },
        });
    }
    Reply::json(200, &body)
}

/// Where a binding is in its tenant, whose Service Manager is asked.
fn of(world: &World, tenant: &str, id: &str) -> Option<usize> {
    let (owner, at) = world.bound(Issuer::ServiceManager, id)?;
    let key = world.tenants.get(&owner)?.keys.get(at)?;
    (owner == tenant && key.maker != Maker::App).then_some(at)
}

/// The binding object. Credentials are in it as soon as there are any.
fn binding(world: &World, tenant: &Tenant, key: &Key, is_stale: bool, attach: bool) -> Value {
    let instance = tenant.instance(key.role);
    let (operation, state) = key.last_operation(is_stale);
    let is_ready = matches!((operation, state), ("create", "succeeded") | ("delete", _));
    let state = if state == "in progress" { world.in_progress(&key.guid) } else { state };
    let created =
        world.as_told_by(Service::Manager, key.created_at).to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut binding = json!({
        "id": key.guid, "name": key.name, "ready": is_ready, "service_instance_id": instance.guid,
        "context": { "instance_name": instance.name, "subdomain": tenant.id },
        "created_at": created, "updated_at": created, "labels": key.metadata["labels"],
    });
    if is_ready {
        let (url, token_url) = world.key_urls(&tenant.id, key.role);
        binding["credentials"] = key.credentials(&url, &token_url);
    }
    if attach {
        binding["last_operation"] = json!({ "type": operation, "state": state });
    }
    binding
}

fn missing() -> Reply {
    error(404, "NotFound", "could not find such service_binding")
}

fn error(status: u16, error: &str, description: &str) -> Reply {
    Reply::json(status, &json!({ "error": error, "description": description }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        let check = |query: &str, expected: Option<&[(&str, &str)]>| {
            let found = conditions(query);
            let found = found.as_ref().map(|found| {
                found.iter().map(|(field, value)| (field.as_str(), value.as_str())).collect::<Vec<_>>()
            });
            assert_eq!(found.as_deref(), expected, "{query}");
        };
        check("", Some(&[]));
        check("name eq 'a'", Some(&[("name", "a")]));
        check("name eq 'it''s' and id eq 'b'", Some(&[("name", "it's"), ("id", "b")]));
        for wrong in ["name", "name eq 'a", "name eq a", "color eq 'red'", "name eq 'a' or id eq 'b'"] {
            check(wrong, None);
        }
    }
}
