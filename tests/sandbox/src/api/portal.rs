//! The backend of a data space's portal: technical users and their secrets, and the token services of the portal and of the
//! wallet.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{improper_token_request, oauth_error};
use crate::reply::Reply;
use crate::request::{PortalCall, Request, value};
use crate::world::World;
use crate::world::portal::{Standing, TechnicalUser};
use crate::world::token::Audience;

/// The largest page.
const LARGEST_PAGE: usize = 15;
/// What the hostile modes let a technical user take, in looks.
const LOOKS: u32 = 3;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Order {
    name: String,
    #[serde(rename = "description")]
    _description: String,
    authentication_type: String,
    role_ids: Vec<String>,
}

/// Everything that the login may ask for.
pub(super) fn call(world: &mut World, request: &Request, tenant: &str, call: &PortalCall) -> Reply {
    match call {
        PortalCall::List => list(world, request, tenant),
        PortalCall::Create => create(world, request, tenant),
        PortalCall::Get(id) => get(world, tenant, id),
        PortalCall::Reset(id) => reset(world, tenant, id),
        PortalCall::Delete(id) => delete(world, tenant, id),
        PortalCall::Token | PortalCall::WalletToken => unreachable!("tokens are had without one"),
    }
}

/// The token service of the portal, or of the wallet.
pub(super) fn token(world: &mut World, request: &Request, id: &str, of_wallet: bool) -> Reply {
    if let Some(reply) = improper_token_request(request) {
        return reply;
    }
    let form = request.form();
    if value(&form, "grant_type") != Some("client_credentials") {
        return oauth_error(400, "unsupported_grant_type", "Unsupported grant type");
    }
    let (client, secret) = (value(&form, "client_id").unwrap_or_default(), value(&form, "client_secret"));
    let Some(tenant) = world.tenants.get_mut(id) else { return refused() };
    let portal = &mut tenant.portal;
    let is_login = !of_wallet && client == portal.client_id && secret == Some(&portal.secret);
    let user = portal.users.iter_mut().find(|user| {
        user.external == of_wallet
            && user.standing == Standing::Active
            && user.client_id == client
            && Some(user.secret.as_str()) == secret
    });
    if let Some(user) = user {
        user.tested = true;
    } else if !is_login {
        return refused();
    }
    // Tokens of the realm are short (facts: portal, section 4).
    let life = 300;
    let audience = if is_login { Audience::Portal(id.to_owned()) } else { Audience::Wallet(id.to_owned()) };
    let owner = format!("{id}/{client}");
    let token = world.issue_token(audience, owner, life);
    Reply::json(
        200,
        &json!({ "access_token": token, "token_type": "Bearer", "expires_in": life, "scope": "profile" }),
    )
    .with("cache-control", "no-store")
}

fn refused() -> Reply {
    oauth_error(401, "unauthorized_client", "Invalid client or Invalid client credentials")
}

/// Keycloak-shaped pages that start at 0.
fn list(world: &mut World, request: &Request, tenant: &str) -> Reply {
    let parameters = request.parameters();
    let number =
        |name: &str, default: usize| value(&parameters, name).map_or(Ok(default), str::parse::<usize>);
    let (Ok(page), Ok(size)) = (number("page", 0), number("size", LARGEST_PAGE)) else {
        return error(400, "page and size are numbers");
    };
    if !(1..=LARGEST_PAGE).contains(&size) {
        return error(400, "Parameter size must be between 1 and 15");
    }
    let hostile = world.is_hostile();
    let Some(owner) = world.tenants.get_mut(tenant) else { return missing() };
    let users: Vec<Value> = owner
        .portal
        .users
        .iter()
        .filter(|user| user.standing != Standing::Deleted)
        .map(|user| {
            json!({
                "serviceAccountId": user.id,
                "clientId": (user.standing != Standing::Pending).then_some(&user.client_id), "name": user.name,
                "userType": if user.external { "EXTERNAL" } else { "INTERNAL" },
                "serviceAccountType": if user.of_provider { "PROVIDER_OWNED" } else { "OWN" },
                "status": user.standing, "isOwner": !user.of_provider, "isProvider": user.of_provider,
                "offerSubscriptionId": null, "connector": null, "offer": null,
            })
        })
        .collect();
    owner.portal.users.iter_mut().for_each(TechnicalUser::look);
    // A page that is smaller than it was asked for, as after a change of the limit.
    let size = if hostile { 2 } else { size };
    let part: Vec<&Value> = users.iter().skip(page * size).take(size).collect();
    Reply::json(
        200,
        &json!({
            "meta": { "totalElements": users.len(), "totalPages": users.len().div_ceil(size), "page": page, "contentSize": part.len() },
            "content": part,
        }),
    )
}

fn get(world: &mut World, tenant: &str, id: &str) -> Reply {
    let wallet = format!("{}/wallet/{tenant}", world.key_base());
    let Some(user) = world.tenants.get_mut(tenant).and_then(|owner| owner.portal.user(id)) else {
        return missing();
    };
    let is_made = user.standing != Standing::Pending;
    let address = match (user.external, is_made) {
        (true, false) => "The technical user is being created, please come back later".to_owned(),
        (true, true) => wallet,
        (false, _) => String::new(),
    };
    let shown = json!({
        "serviceAccountId": user.id, "clientId": is_made.then_some(&user.client_id), "name": user.name,
        "description": "", "authenticationType": "SECRET", "secret": is_made.then_some(&user.secret),
        "roles": user.roles.iter().map(|role| json!({ "roleId": role, "clientId": "c", "roleName": "r" })).collect::<Vec<_>>(),
        "companyServiceAccountTypeId": if user.of_provider { "PROVIDER_OWNED" } else { "OWN" },
        "usertype": if user.external { "external" } else { "internal" },
        "authenticationServiceUrl": address, "status": user.standing, "connector": null, "offer": null,
    });
    user.look();
    Reply::json(200, &shown)
}

/// The old secret dies at once. There is no branch for those of the wallet (facts: portal, section 2).
fn reset(world: &mut World, tenant: &str, id: &str) -> Reply {
    let user = world.tenants.get_mut(tenant).and_then(|owner| owner.portal.user(id));
    match user.map(|user| (user.external, user.of_provider, user.standing)) {
        None => return missing(),
        Some((true, ..)) => return error(500, "the client does not exist"),
        Some((_, true, _)) => return error(403, "neither owner nor provider"),
        Some((_, _, Standing::Active)) => {}
        Some(_) => return error(409, "the technical user is not active"),
    }
    world.reset_by_hand(tenant, id);
    let Some(user) = world.tenants.get_mut(tenant).and_then(|owner| owner.portal.user(id)) else {
        return missing();
    };
    let shown = json!({
        "serviceAccountId": user.id, "clientId": user.client_id, "name": user.name, "description": "",
        "status": user.standing, "authenticationType": "SECRET", "secret": user.secret, "roles": [],
        "companyServiceAccountTypeId": "OWN", "subscriptionId": null,
    });
    Reply { key: Some(user.name.clone()), ..Reply::json(200, &shown).effective() }
}

fn create(world: &mut World, request: &Request, tenant: &str) -> Reply {
    let Ok(order) = serde_json::from_slice::<Order>(&request.body) else {
        return error(400, "the body is not valid");
    };
    if order.authentication_type != "SECRET" || order.role_ids.is_empty() {
        return error(400, "an authentication type and roles are needed");
    }
    let external = order.role_ids.iter().any(|role| role == crate::world::portal::ROLES[1]);
    let question = format!("{tenant}/portal/{}", order.name);
    let (id, secret) = (world.chance.guid(&question), world.chance.secret(&question));
    let hostile = world.is_hostile();
    let looks = if external && hostile { world.chance.up_to(&question, LOOKS) } else { 0 };
    let made_at = world.now();
    let Some(owner) = world.tenants.get_mut(tenant) else { return missing() };
    let number = 100 + owner.portal.users.len();
    let user = TechnicalUser {
        id,
        client_id: if external { format!("sb-wallet-{tenant}-{number}!b1") } else { format!("sa{number}") },
        name: if external { format!("dim-{}", order.name) } else { order.name.clone() },
        external,
        of_provider: false,
        standing: if external { Standing::Pending } else { Standing::Active },
        secret,
        resets: 0,
        tested: false,
        roles: order.role_ids,
        made_at,
        looks,
    };
    let is_made = !external;
    let shown = json!([{
        "serviceAccountId": user.id, "clientId": is_made.then_some(&user.client_id), "name": user.name, "description": "",
        "status": user.standing, "authenticationType": "SECRET", "secret": is_made.then_some(&user.secret), "roles": [],
        "companyServiceAccountTypeId": "OWN",
    }]);
    owner.portal.users.push(user);
    Reply { key: Some(order.name), ..Reply::json(200, &shown).effective() }
}

/// Those of the wallet take their time.
fn delete(world: &mut World, tenant: &str, id: &str) -> Reply {
    let hostile = world.is_hostile();
    let Some(user) = world.tenants.get_mut(tenant).and_then(|owner| owner.portal.user(id)) else {
        return missing();
    };
    if user.standing != Standing::Active {
        return error(409, "the technical user is not active");
    }
    if user.of_provider {
        return error(403, "neither owner nor provider");
    }
    user.standing = if user.external { Standing::PendingDeletion } else { Standing::Deleted };
    user.looks = u32::from(hostile);
    Reply { key: Some(user.name.clone()), ..Reply::json(204, &json!(null)).effective() }
}

fn missing() -> Reply {
    error(404, "the technical user does not exist")
}

/// `{type, title, status, errors, errorId, details}`
fn error(status: u16, title: &str) -> Reply {
    Reply::json(
        status,
        &json!({
            "type": "https://tools.ietf.org/html/rfc7231", "title": title, "status": status, "errors": {},
            "errorId": "00000000-0000-0000-0000-000000000000", "details": [],
        }),
    )
}
