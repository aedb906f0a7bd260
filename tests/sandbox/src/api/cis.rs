//! SAP Cloud Management service: the global account that all tenants are in, each in a subaccount of its own, and others
//! beside them that no tenant is in. In the hostile modes dates and error envelopes come in every form that is met.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{Denied, bearer};
use crate::reply::Reply;
use crate::request::{Request, value};
use crate::world::World;
use crate::world::service::Service;
use crate::world::token::{Audience, Refused};

/// How old subaccounts are.
const AGE: TimeDelta = TimeDelta::days(400);

/// `GET /accounts/v1/globalAccount`
pub(super) fn account(world: &mut World, request: &Request) -> Reply {
    if let Err(denied) = bearer(world, request, &Audience::Cis) {
        return refused(world, &denied);
    }
    let made = world.now() - AGE;
    let made = date(world, made);
    let mut account = json!({
        "guid": world.account, "displayName": "Sandbox", "state": "OK", "contractStatus": "ACTIVE",
        "subdomain": "sandbox", "createdDate": made,
    });
    if value(&request.parameters(), "expand") == Some("true") {
        let (inside, outside): (Vec<Value>, Vec<Value>) =
            subaccounts(world).into_iter().partition(|of| of["parentGUID"] != of["globalAccountGUID"]);
        account["children"] = json!([{
            "guid": directory(world), "displayName": "tenants", "parentGUID": world.account, "parentType": "ROOT",
            "entityState": "OK", "children": [], "subaccounts": inside,
        }]);
        account["subaccounts"] = json!(outside);
    }
    Reply::json(200, &account)
}

/// `GET /accounts/v1/subaccounts`: there are no pages.
pub(super) fn list(world: &mut World, request: &Request) -> Reply {
    if let Err(denied) = bearer(world, request, &Audience::Cis) {
        return refused(world, &denied);
    }
    Reply::json(200, &json!({ "value": subaccounts(world) }))
}

/// `GET /provisioning/v1/environments`, of the subaccount that the token is of.
pub(super) fn environments(world: &mut World, request: &Request) -> Reply {
    let tenant = request.bearer().and_then(|token| world.tokens.local(token)).unwrap_or_default();
    if let Err(denied) = bearer(world, request, &Audience::Local(tenant.clone())) {
        return refused(world, &denied);
    }
    let (api, organization) = (format!("{}/cf", world.public_base()), world.organization.clone());
    let Some(owner) = world.tenants.get(&tenant) else { return error(world, 404, 41000, "not found") };
    let id = if world.chance.of(&tenant).is_multiple_of(2) { "Org ID" } else { "Org Id" };
    let labels = json!({ "API Endpoint": api, "Org Name": "sandbox", id: organization });
    Reply::json(
        200,
        &json!({ "environmentInstances": [{
            "id": owner.subaccount, "environmentType": "cloudfoundry", "platformId": organization, "state": "OK",
            "landscapeLabel": "cf-eu10", "subaccountGUID": owner.subaccount, "labels": labels.to_string(),
            "parameters": "{}",
        }] }),
    )
}

/// The guid of the one directory.
fn directory(world: &World) -> String {
    format!("{}d", &world.account[..world.account.len() - 1])
}

/// Every subaccount: those of the tenants in the directory, the others in the account itself.
fn subaccounts(world: &mut World) -> Vec<Value> {
    let (account, directory) = (world.account.clone(), directory(world));
    let tenants: Vec<(String, String)> =
        world.tenants.values().map(|tenant| (tenant.id.clone(), tenant.subaccount.clone())).collect();
    let others = world.others.clone();
    let all = tenants.iter().map(|(name, guid)| (name, guid, &directory, "OK"));
    let all = all.chain(others.iter().map(|of| (&of.name, &of.guid, &account, of.state)));
    let made = world.now() - AGE;
    let mut found = Vec::new();
    for (name, guid, parent, state) in all {
        let date = date(world, made);
        found.push(json!({
            "guid": guid, "technicalName": guid, "displayName": name, "globalAccountGUID": account,
            "parentGUID": parent, "parentType": if *parent == account { "ROOT" } else { "FOLDER" },
            "region": "eu10", "subdomain": name, "betaEnabled": false,
            "usedForProduction": if state == "OK" { "USED_FOR_PRODUCTION" } else { "UNSET" },
            "description": "", "state": state, "stateMessage": "", "createdDate": date,
            "labels": { "owner": ["sandbox"] }, "createdBy": "ops@sandbox.example",
        }));
    }
    found
}

/// A date as one of those who answer writes it: milliseconds on the wire, an ISO text in the specification, and words from
/// the backend of the command line.
fn date(world: &mut World, at: DateTime<Utc>) -> Value {
    let at = world.as_told_by(Service::Cis, at);
    let form = if world.is_hostile() { world.chance.up_to("cis/date", 2) } else { 0 };
    match form {
        0 => json!(at.timestamp_millis()),
        1 => json!(at.to_rfc3339_opts(SecondsFormat::Millis, true)),
        _ => json!(at.format("%b %-d, %Y, %-I:%M:%S %p").to_string()),
    }
}

fn refused(world: &mut World, denied: &Denied) -> Reply {
    match denied {
        Denied::Refused(Refused::OtherAudience) => error(world, 403, 11_000, "insufficient scope"),
        Denied::NoToken | Denied::Refused(_) => denied.plain(),
    }
}

/// An error in the documented envelope, or in the flat one of the specification.
pub(crate) fn error(world: &mut World, status: u16, code: u32, message: &str) -> Reply {
    let is_flat = world.is_hostile() && world.chance.happens("cis/envelope", 0.5);
    let body = json!({ "code": code, "message": message, "target": "/accounts", "details": [] });
    let mut body = if is_flat { body } else { json!({ "error": body }) };
    body["correlationID"] = json!(world.chance.guid("cis/correlation"));
    Reply::json(status, &body)
}
