//! SAP's endpoints: each takes a request and the world, and answers. None of them waits or fails by
//! accident; that is the business of `serve`.

mod bindings;
pub(crate) mod cis;
mod dataspace;
mod integration;
mod jobs;
mod listing;
mod managed;
mod platform;
mod portal;
mod strict;
mod write_key;
mod xsuaa;

use serde_json::json;

use crate::reply::Reply;
use crate::request::{Endpoint, PortalCall, Request};
use crate::world::World;
use crate::world::books::Conduct;
use crate::world::token::{Audience, Refused};

/// Answers a request.
pub(crate) fn answer(world: &mut World, endpoint: &Endpoint, request: &Request) -> Reply {
    if let Some(problem) = strict::problem(world, endpoint, request) {
        let now = world.now();
        world.ledger.misbehaved(Conduct::Improper, now, endpoint.operation(), problem.clone());
        return oauth_error(400, "improper", &problem);
    }
    match endpoint {
        Endpoint::Root => platform::root(world, request),
        Endpoint::UaaToken => platform::token(world, request),
        Endpoint::UserInfo => platform::user_info(world, request),
        Endpoint::Roles => cloud_foundry(world, request, platform::roles),
        Endpoint::Instances => cloud_foundry(world, request, platform::instances),
        Endpoint::Spaces => cloud_foundry(world, request, platform::spaces),
        Endpoint::Organizations => cloud_foundry(world, request, platform::organizations),
        Endpoint::ListBindings => cloud_foundry(world, request, bindings::list),
        Endpoint::CreateBinding => cloud_foundry(world, request, write_key::create),
        Endpoint::GetBinding(guid) => cloud_foundry(world, request, |w, r| bindings::get(w, r, guid)),
        Endpoint::Details(guid) => cloud_foundry(world, request, |w, _| bindings::details(w, guid)),
        Endpoint::DeleteBinding(guid) => cloud_foundry(world, request, |w, r| write_key::delete(w, r, guid)),
        Endpoint::Job(guid) => cloud_foundry(world, request, |w, r| jobs::get(w, r, guid)),
        Endpoint::ListManaged => manager(world, request, managed::list),
        Endpoint::CreateManaged => manager(world, request, managed::create),
        Endpoint::GetManaged(id) => manager(world, request, |w, r, tenant| managed::get(w, r, tenant, id)),
        Endpoint::DeleteManaged(id) => {
            manager(world, request, |w, r, tenant| managed::delete(w, r, tenant, id))
        }
        Endpoint::Managed { binding, operation } => {
            manager(world, request, |w, _, tenant| managed::operation(w, tenant, binding, operation))
        }
        Endpoint::XsuaaToken { tenant, certificate } => xsuaa::token(world, request, tenant, *certificate),
        Endpoint::PutCredentials(tenant) => data_space(world, request, tenant, dataspace::put),
        Endpoint::ReadCredentials(tenant) => data_space(world, request, tenant, dataspace::read),
        Endpoint::StartDataplane(tenant) => data_space(world, request, tenant, dataspace::start),
        Endpoint::GetDataplane(tenant) => data_space(world, request, tenant, dataspace::status),
        Endpoint::Register(tenant) => data_space(world, request, tenant, dataspace::register),
        Endpoint::Portal { tenant, call: PortalCall::Token } => portal::token(world, request, tenant, false),
        Endpoint::Portal { tenant, call: PortalCall::WalletToken } => {
            portal::token(world, request, tenant, true)
        }
        Endpoint::Portal { tenant, call } => {
            match bearer(world, request, &Audience::Portal(tenant.clone())) {
                Ok(()) => portal::call(world, request, tenant, call),
                Err(denied) => denied.plain(),
            }
        }
        Endpoint::Account => cis::account(world, request),
        Endpoint::Subaccounts => cis::list(world, request),
        Endpoint::Environments => cis::environments(world, request),
        Endpoint::Artifacts(tenant) => integration::artifacts(world, request, tenant),
        Endpoint::Runtime(tenant) => integration::runtime(world, request, tenant),
        Endpoint::Nowhere => Reply::json(404, &json!({ "error": "not found" })),
    }
}

fn cloud_foundry(
    world: &mut World,
    request: &Request,
    endpoint: impl FnOnce(&mut World, &Request) -> Reply,
) -> Reply {
    match bearer(world, request, &Audience::CloudFoundry) {
        Ok(()) => endpoint(world, request),
        Err(Denied::NoToken) => cf_error(401, 10002, "CF-NotAuthenticated", "Authentication error"),
        Err(Denied::Refused(Refused::OtherAudience)) => not_authorized(),
        Err(Denied::Refused(_)) => cf_error(401, 1000, "CF-InvalidAuthToken", "Invalid Auth Token"),
    }
}

/// Service Manager: whose it is, the token says.
fn manager(
    world: &mut World,
    request: &Request,
    endpoint: impl FnOnce(&mut World, &Request, &str) -> Reply,
) -> Reply {
    let tenant = request.bearer().and_then(|token| world.tokens.managed(token)).unwrap_or_default();
    match bearer(world, request, &Audience::Manager(tenant.clone())) {
        Ok(()) => endpoint(world, request, &tenant),
        Err(denied) => denied.plain(),
    }
}

fn data_space(
    world: &mut World,
    request: &Request,
    tenant: &str,
    endpoint: impl FnOnce(&mut World, &Request, &str) -> Reply,
) -> Reply {
    match bearer(world, request, &Audience::Dsi(tenant.to_owned())) {
        Ok(()) => endpoint(world, request, tenant),
        Err(denied) => denied.plain(),
    }
}

/// Why a request is not let in.
enum Denied {
    NoToken,
    Refused(Refused),
}

impl Denied {
    /// The answer of services that are not Cloud Foundry.
    fn plain(&self) -> Reply {
        match self {
            Self::Refused(Refused::OtherAudience) => Reply::json(403, &json!({ "error": "access_denied" })),
            Self::Refused(_) | Self::NoToken => Reply::json(401, &json!({ "error": "unauthorized" }))
                .with("www-authenticate", "Bearer realm=\"sandbox\", error=\"invalid_token\""),
        }
    }
}

/// Checks the bearer token. In the hostile modes some good tokens are refused, and are bad from then on.
fn bearer(world: &mut World, request: &Request, audience: &Audience) -> Result<(), Denied> {
    let token = request.bearer().ok_or(Denied::NoToken)?;
    let now = world.now();
    let checked = world.tokens.check(token, audience, now);
    let rate = world.rates().unauthorized;
    let is_dead = match checked {
        Ok(()) => {
            !world.tokens.replaces_a_refused_one(token) && world.mischief(&format!("{audience:?}/401"), rate)
        }
        Err(Refused::OtherAudience) => return Err(Denied::Refused(Refused::OtherAudience)),
        Err(Refused::Unknown | Refused::Expired) => true,
    };
    if !is_dead {
        return Ok(());
    }
    world.refuse_token(token);
    Err(Denied::Refused(checked.err().unwrap_or(Refused::Unknown)))
}

fn cf_error(status: u16, code: u32, title: &str, detail: &str) -> Reply {
    Reply::json(status, &json!({ "errors": [{ "code": code, "title": title, "detail": detail }] }))
}

fn not_authorized() -> Reply {
    cf_error(403, 10003, "CF-NotAuthorized", "You are not authorized to perform the requested action")
}

fn unprocessable(detail: &str) -> Reply {
    cf_error(422, 10008, "CF-UnprocessableEntity", detail)
}

fn not_found(what: &str) -> Reply {
    cf_error(404, 10010, "CF-ResourceNotFound", &format!("{what} not found"))
}

/// The error of a token service.
fn oauth_error(status: u16, error: &str, description: &str) -> Reply {
    Reply::json(status, &json!({ "error": error, "error_description": description }))
}

/// What a token request must be, for every token service. `None` when it is right.
fn improper_token_request(request: &Request) -> Option<Reply> {
    if request.method != "POST" {
        return Some(oauth_error(405, "method_not_allowed", "Request method not supported"));
    }
    let in_query = request.parameters().iter().any(|(name, _)| name != "login_hint");
    if in_query {
        return Some(oauth_error(406, "query_string_not_allowed", "Parameters must be in the body"));
    }
    let form =
        request.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    (!form).then(|| oauth_error(415, "invalid_request", "Content type not supported"))
}
