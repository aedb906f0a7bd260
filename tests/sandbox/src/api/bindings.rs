//! Reading keys: lists, single bindings and their secrets.

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::listing::Listing;
use super::{cf_error, not_found};
use crate::reply::Reply;
use crate::request::Request;
use crate::scenario::tenant::Issuer;
use crate::world::World;
use crate::world::key::{Key, Maker};
use crate::world::service::Service;
use crate::world::tenant::Tenant;

const PARAMETERS: [&str; 7] = [
    "names",
    "guids",
    "type",
    "service_instance_guids",
    "service_instance_names",
    "label_selector",
    "order_by",
];

/// `GET /v3/service_credential_bindings`
pub(super) fn list(world: &mut World, request: &Request) -> Reply {
    let listing = match Listing::read(world, request, &PARAMETERS) {
        Ok(listing) => listing,
        Err(reply) => return reply,
    };
    let order = listing.parameter("order_by").unwrap_or_default().to_owned();
    if !["", "created_at", "-created_at", "updated_at", "-updated_at", "name", "-name"]
        .contains(&order.as_str())
    {
        return cf_error(400, 10005, "CF-BadQueryParameter", "The query parameter is invalid: order_by");
    }
    let owners = owners(world, &listing);
    let stale = stale(world, &owners);
    let mut found: Vec<(&Tenant, &Key)> = Vec::new();
    for tenant in owners.iter().filter_map(|id| world.tenants.get(id)) {
        let shown = |key: &&Key| key.is_shown(stale.contains(&key.guid)) && fits(&listing, tenant, key);
        let fitting = tenant.keys.iter().filter(shown);
        found.extend(fitting.map(|key| (tenant, key)));
    }
    match order.trim_start_matches('-') {
        "name" => found.sort_by(|a, b| a.1.name.cmp(&b.1.name)),
        // What has no order is shuffled, the same way for each page.
        "" if world.is_hostile() => found.sort_by_key(|(_, key)| world.chance.of(&key.guid)),
        _ => found.sort_by_key(|(_, key)| key.created_at),
    }
    if order.starts_with('-') {
        found.reverse();
    }
    let object =
        |(tenant, key): &(&Tenant, &Key)| binding(world, request, tenant, key, stale.contains(&key.guid));
    let resources = found.iter().map(object).collect();
    let reply = listing.page(world, request, resources);
    let seen: Vec<String> = owners
        .iter()
        .filter_map(|id| world.tenants.get(id))
        .flat_map(|tenant| watched(&listing, tenant))
        .collect();
    for guid in seen {
        look(world, &guid);
    }
    reply
}

/// The tenants whose keys can be in the list: a large fleet is asked for a few instances at a time.
fn owners(world: &World, listing: &Listing) -> BTreeSet<String> {
    match listing.parameter("service_instance_guids") {
        None => world.tenants.keys().filter(|id| world.issues(Issuer::CloudFoundry, id)).cloned().collect(),
        Some(guids) => guids
            .split(',')
            .filter_map(|guid| world.instances.get(guid))
            .filter(|(tenant, _)| world.issues(Issuer::CloudFoundry, tenant))
            .map(|(tenant, _)| tenant.clone())
            .collect(),
    }
}

/// The keys that this read shows as they were before their creation or deletion.
pub(super) fn stale(world: &mut World, owners: &BTreeSet<String>) -> BTreeSet<String> {
    let now = world.now();
    let tenants = owners.iter().filter_map(|id| world.tenants.get(id));
    let young: Vec<String> = tenants
        .flat_map(|tenant| tenant.keys.iter().filter(|key| now < key.read_from).map(|key| key.guid.clone()))
        .collect();
    young.into_iter().filter(|guid| is_stale(world, guid)).collect()
}

pub(super) fn is_stale(world: &mut World, guid: &str) -> bool {
    let rate = world.rates().stale;
    world.mischief(&format!("{guid}/stale read"), rate)
}

/// The keys that change by being looked for, whether or not this list shows them.
fn watched(listing: &Listing, tenant: &Tenant) -> Vec<String> {
    let waiting = |key: &&Key| key.unlisted > 0 || key.pending > 0 || key.lingering > 0;
    tenant
        .keys
        .iter()
        .filter(waiting)
        .filter(|key| fits(listing, tenant, key))
        .map(|key| key.guid.clone())
        .collect()
}

fn fits(listing: &Listing, tenant: &Tenant, key: &Key) -> bool {
    let instance = tenant.instance(key.role);
    listing.allows("names", &key.name)
        && listing.allows("guids", &key.guid)
        && listing.allows("type", kind(key))
        && listing.allows("service_instance_guids", &instance.guid)
        && listing.allows("service_instance_names", &instance.name)
        && listing.parameter("label_selector").is_none_or(|selector| labelled(key, selector))
}

/// `k`, `!k`, `k=v`, `k==v` and `k!=v`, all of which must hold.
fn labelled(key: &Key, selector: &str) -> bool {
    let label = |name: &str| key.metadata["labels"].get(name).and_then(Value::as_str);
    selector.split(',').all(|part| {
        if let Some((name, value)) = part.split_once("!=") {
            label(name) != Some(value)
        } else if let Some((name, value)) = part.split_once('=') {
            label(name) == Some(value.trim_start_matches('='))
        } else if let Some(name) = part.strip_prefix('!') {
            label(name).is_none()
        } else {
            label(part).is_some()
        }
    })
}

/// `GET /v3/service_credential_bindings/:guid`
pub(super) fn get(world: &mut World, request: &Request, guid: &str) -> Reply {
    let Some((tenant, at)) = world.bound(Issuer::CloudFoundry, guid) else { return missing() };
    let now = world.now();
    let young = world.tenants.get(&tenant).is_some_and(|owner| now < owner.keys[at].read_from);
    let stale = young && is_stale(world, guid);
    let Some(owner) = world.tenants.get(&tenant) else { return missing() };
    let key = &owner.keys[at];
    // What lists do not show yet can be asked for by its guid, unless the read is stale.
    let there = if key.is_alive() { !stale } else { key.is_shown(stale) };
    if !there {
        return missing();
    }
    let reply = Reply::json(200, &binding(world, request, owner, key, stale));
    look(world, guid);
    reply
}

/// `GET /v3/service_credential_bindings/:guid/details`
pub(super) fn details(world: &mut World, guid: &str) -> Reply {
    let Some((id, at)) = world.bound(Issuer::CloudFoundry, guid) else { return missing() };
    // Who may only read is not shown secrets.
    let Some(tenant) = world.tenants.get(&id).filter(|tenant| !world.only_reads(tenant)) else {
        return missing();
    };
    let key = &tenant.keys[at];
    let reply = match key.last_operation(false) {
        ("create", "in progress") => {
            cf_error(404, 10010, "CF-ResourceNotFound", "Creation of service key in progress")
        }
        ("create", "succeeded") => {
            let (url, token_url) = world.key_urls(&id, key.role);
            Reply::json(200, &json!({ "credentials": key.credentials(&url, &token_url) }))
        }
        _ => missing(),
    };
    look(world, guid);
    reply
}

fn missing() -> Reply {
    not_found("Service credential binding")
}

pub(super) fn look(world: &mut World, guid: &str) {
    if let Some((id, at)) = world.bindings.get(guid)
        && let Some(tenant) = world.tenants.get_mut(id)
    {
        tenant.keys[*at].looked_at();
    }
}

fn kind(key: &Key) -> &'static str {
    if key.maker == Maker::App { "app" } else { "key" }
}

/// The binding object.
fn binding(world: &World, request: &Request, tenant: &Tenant, key: &Key, is_stale: bool) -> Value {
    let instance = tenant.instance(key.role);
    let base = request.base(world);
    let here = format!("{base}/cf/v3/service_credential_bindings/{}", key.guid);
    let (operation, state) = key.last_operation(is_stale);
    let state = if state == "in progress" { world.in_progress(&key.guid) } else { state };
    let created = stamp(world, key, key.created_at);
    json!({
        "guid": key.guid, "name": key.name, "type": kind(key), "created_at": created, "updated_at": created,
        "last_operation": { "type": operation, "state": state, "description": null, "created_at": created, "updated_at": created },
        "metadata": key.metadata,
        "relationships": { "service_instance": { "data": { "guid": instance.guid } } },
        "links": {
            "self": { "href": here },
            "details": { "href": format!("{here}/details") },
            "parameters": { "href": format!("{here}/parameters") },
            "service_instance": { "href": format!("{base}/cf/v3/service_instances/{}", instance.guid) },
        },
    })
}

/// Whole seconds and `Z`, by Cloud Foundry's clock; in the hostile modes also a fraction, or an offset, or both.
fn stamp(world: &World, key: &Key, at: DateTime<Utc>) -> String {
    let at = world.as_told_by(Service::CloudFoundry, at);
    let form = if world.is_hostile() { world.chance.of(&key.guid) % 4 } else { 0 };
    match form {
        1 => at.to_rfc3339_opts(SecondsFormat::Millis, true),
        2 => at.to_rfc3339_opts(SecondsFormat::Secs, false),
        3 => at.to_rfc3339_opts(SecondsFormat::Micros, false),
        _ => at.to_rfc3339_opts(SecondsFormat::Secs, true),
    }
}
