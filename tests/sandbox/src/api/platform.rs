//! Cloud Foundry apart from keys: root links, login, and finding service instances.

use serde_json::{Value, json};

use super::listing::Listing;
use super::{bearer, improper_token_request, oauth_error};
use crate::reply::Reply;
use crate::request::{Request, value};
use crate::scenario::tenant::{Issuer, Role};
use crate::world::World;
use crate::world::token::{Audience, LoggedIn};

/// The Basic header of client `cf` with an empty secret.
const CLIENT_CF: &str = "Basic Y2Y6";
/// The names in `organizations` and `spaces`.
const ORGANIZATION: &str = "sandbox-org";
const SPACE: &str = "sandbox-space";

/// `GET /`: links only, without a login.
pub(super) fn root(world: &mut World, request: &Request) -> Reply {
    let base = request.base(world);
    Reply::json(
        200,
        &json!({ "links": {
            "self": { "href": format!("{}/cf", if request.secure { &world.bases.https } else { &world.bases.http }) },
            "cloud_controller_v2": null,
            "cloud_controller_v3": { "href": format!("{base}/cf/v3"), "meta": { "version": "3.228.0" } },
            "login": { "href": format!("{base}/uaa") },
            "uaa": { "href": format!("{base}/uaa") },
        } }),
    )
}

/// `POST /oauth/token` of the UAA: password and refresh token.
pub(super) fn token(world: &mut World, request: &Request) -> Reply {
    if let Some(reply) = improper_token_request(request) {
        return reply;
    }
    if request.header("authorization") != Some(CLIENT_CF) {
        return oauth_error(401, "unauthorized", "Bad credentials")
            .with("www-authenticate", "Basic realm=\"UAA/client\", error=\"unauthorized\"");
    }
    let form = request.form();
    match value(&form, "grant_type") {
        Some("password") => by_password(world, request, &form),
        Some("refresh_token") => {
            let known = value(&form, "refresh_token").is_some_and(|token| world.tokens.knows_refresh(token));
            if known && world.login.works {
                grant(world)
            } else {
                oauth_error(401, "invalid_token", "Invalid refresh token (empty token)")
            }
        }
        _ => oauth_error(400, "unsupported_grant_type", "Unsupported grant type"),
    }
}

fn by_password(world: &mut World, request: &Request, form: &[(String, String)]) -> Reply {
    let parameters = request.parameters();
    let hint = value(&parameters, "login_hint").or_else(|| value(form, "login_hint"));
    let origin = match hint.map(serde_json::from_str::<Value>) {
        None => None,
        Some(Ok(hint)) => hint["origin"].as_str().map(str::to_owned),
        Some(Err(_)) => return oauth_error(400, "invalid_request", "login_hint is not JSON"),
    };
    let user = value(form, "username").unwrap_or_default();
    let password = value(form, "password").unwrap_or_default();
    match world.login.log_in(user, password, origin.as_deref()) {
        LoggedIn::Yes => grant(world),
        LoggedIn::Wrong => oauth_error(401, "unauthorized", "Bad credentials"),
        LoggedIn::Locked => oauth_error(
            401,
            "unauthorized",
            "Your account has been locked because of too many failed attempts to login.",
        ),
        LoggedIn::OtherOrigin => oauth_error(
            401,
            "unauthorized",
            "The origin provided in the login_hint does not match an active Identity Provider, that supports password grant.",
        ),
    }
}

fn grant(world: &mut World) -> Reply {
    let (life, owner) = (world.scenario.token_lives.cloud_foundry, world.login.user.clone());
    let access = world.issue_token(Audience::CloudFoundry, owner, life);
    let refresh = world.tokens.issue_refresh(&mut world.chance);
    let jti = world.chance.guid("jti");
    Reply::json(
        200,
        &json!({
            "access_token": access, "token_type": "bearer", "refresh_token": refresh, "expires_in": life,
            "scope": "cloud_controller.read cloud_controller.write openid", "jti": jti,
        }),
    )
}

/// `GET /userinfo` of the UAA: who the bearer is.
pub(super) fn user_info(world: &mut World, request: &Request) -> Reply {
    match bearer(world, request, &Audience::CloudFoundry) {
        Ok(()) => {
            let name = &world.login.user;
            Reply::json(
                200,
                &json!({ "user_id": world.user, "sub": world.user, "user_name": name, "email": name }),
            )
        }
        Err(denied) => denied.plain(),
    }
}

/// `GET /v3/roles`: those of the technical user, which sees nobody else's.
pub(super) fn roles(world: &mut World, request: &Request) -> Reply {
    let known = ["guids", "types", "user_guids", "space_guids", "organization_guids", "order_by", "include"];
    let listing = match Listing::read(world, request, &known) {
        Ok(listing) => listing,
        Err(reply) => return reply,
    };
    let mut found = Vec::new();
    for (space, role) in [(&world.space, "space_developer"), (&world.audited_space, "space_auditor")] {
        let fits = listing.allows("user_guids", &world.user)
            && listing.allows("space_guids", space)
            && listing.allows("types", role);
        if fits {
            found.push(json!({
                "guid": format!("{space}-{role}"), "type": role,
                "created_at": "2024-10-09T08:00:00Z", "updated_at": "2024-10-09T08:00:00Z",
                "relationships": {
                    "user": { "data": { "guid": world.user } },
                    "space": { "data": { "guid": space } },
                    "organization": { "data": null },
                },
            }));
        }
    }
    listing.page(world, request, found)
}

const INSTANCE_PARAMETERS: [&str; 8] = [
    "names",
    "guids",
    "space_guids",
    "organization_guids",
    "service_plan_names",
    "type",
    "fields[service_plan]",
    "order_by",
];

/// `GET /v3/service_instances`
pub(super) fn instances(world: &mut World, request: &Request) -> Reply {
    let listing = match Listing::read(world, request, &INSTANCE_PARAMETERS) {
        Ok(listing) => listing,
        Err(reply) => return reply,
    };
    let mut found = Vec::new();
    for tenant in world.tenants.values().filter(|tenant| tenant.issuer == Issuer::CloudFoundry) {
        for (role, plan) in [(Role::Ciapi, "api"), (Role::Cirt, "integration-flow")] {
            let instance = tenant.instance(role);
            let fits = listing.allows("names", &instance.name)
                && listing.allows("guids", &instance.guid)
                && listing.allows("space_guids", &tenant.space)
                && listing.allows("organization_guids", &world.organization)
                && listing.allows("service_plan_names", plan)
                && listing.allows("type", "managed");
            if fits {
                found.push(json!({
                    "guid": instance.guid, "name": instance.name, "type": "managed",
                    "created_at": "2024-10-09T08:00:00Z", "updated_at": "2024-10-09T08:00:00Z",
                    "last_operation": { "type": "create", "state": "succeeded", "description": "" },
                    "relationships": { "space": { "data": { "guid": tenant.space } } },
                    "metadata": { "labels": {}, "annotations": {} },
                }));
            }
        }
    }
    listing.page(world, request, found)
}

/// `GET /v3/spaces`
pub(super) fn spaces(world: &mut World, request: &Request) -> Reply {
    let guid = world.space.clone();
    place(world, request, &guid, SPACE, &["names", "guids", "organization_guids", "order_by"])
}

/// `GET /v3/organizations`
pub(super) fn organizations(world: &mut World, request: &Request) -> Reply {
    let guid = world.organization.clone();
    place(world, request, &guid, ORGANIZATION, &["names", "guids", "order_by"])
}

fn place(world: &mut World, request: &Request, guid: &str, name: &str, parameters: &[&str]) -> Reply {
    let listing = match Listing::read(world, request, parameters) {
        Ok(listing) => listing,
        Err(reply) => return reply,
    };
    let fits = listing.allows("names", name)
        && listing.allows("guids", guid)
        && listing.allows("organization_guids", &world.organization);
    let found = if fits { vec![json!({ "guid": guid, "name": name })] } else { Vec::new() };
    listing.page(world, request, found)
}
