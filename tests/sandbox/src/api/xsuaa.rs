//! The token service of a tenant: client credentials, with a secret in the form or a certificate in TLS.

use serde_json::json;

use super::{improper_token_request, oauth_error};
use crate::reply::Reply;
use crate::request::{Request, value};
use crate::scenario::tenant::Role;
use crate::world::tenant::{OwnLogin, Tenant};
use crate::world::token::Audience;
use crate::world::{ACCOUNT, World};

/// `POST /oauth/token`
pub(super) fn token(world: &mut World, request: &Request, id: &str, by_certificate: bool) -> Reply {
    if let Some(reply) = improper_token_request(request) {
        return reply;
    }
    let form = request.form();
    if value(&form, "grant_type") != Some("client_credentials") {
        return oauth_error(400, "unsupported_grant_type", "Unsupported grant type");
    }
    let client_id = value(&form, "client_id").unwrap_or_default();
    let secret = value(&form, "client_secret");
    let audience = match (by_certificate, secret, world.tenants.get_mut(id)) {
        (false, Some(secret), None) if id == ACCOUNT => {
            let login = &world.cis;
            let fits = login.works && client_id == login.client_id && secret == login.secret;
            fits.then_some(Audience::Cis)
        }
        (true, None, Some(tenant)) => with_certificate(tenant, client_id, request.certificate.as_deref()),
        (false, Some(secret), Some(tenant)) => with_secret(tenant, client_id, secret),
        _ => None,
    };
    let Some(audience) = audience else { return refused() };
    let lives = &world.scenario.token_lives;
    let life = match audience {
        Audience::CloudFoundry => lives.cloud_foundry,
        Audience::Dsi(_)
        | Audience::Manager(_)
        | Audience::Portal(_)
        | Audience::Wallet(_)
        | Audience::Cis
        | Audience::Local(_) => lives.dsi,
        Audience::Ciapi(_) => lives.ciapi,
        Audience::Cirt(_) => lives.cirt,
    };
    let token = world.issue_token(audience, client_id.to_owned(), life);
    let jti = world.chance.guid("jti");
    Reply::json(
        200,
        &json!({ "access_token": token, "token_type": "bearer", "expires_in": life, "scope": "uaa.resource", "jti": jti }),
    )
    .with("cache-control", "no-store")
}

fn with_certificate(tenant: &Tenant, client_id: &str, presented: Option<&[u8]>) -> Option<Audience> {
    let fits = |login: &OwnLogin| {
        let registered = login.certificate.as_ref().map(|certificate| certificate.der.as_slice());
        login.works && client_id == login.client_id && registered.is_some() && presented == registered
    };
    let id = tenant.id.clone();
    if fits(&tenant.dsi) {
        Some(Audience::Dsi(id))
    } else {
        fits(&tenant.manager).then_some(Audience::Manager(id))
    }
}

/// The secret of the DSI key, of Service Manager's, or of any living key. A new secret may be refused for a while.
fn with_secret(tenant: &mut Tenant, client_id: &str, secret: &str) -> Option<Audience> {
    let id = tenant.id.clone();
    for (login, audience) in [
        (&tenant.dsi, Audience::Dsi(id.clone())),
        (&tenant.manager, Audience::Manager(id.clone())),
        (&tenant.local, Audience::Local(id.clone())),
    ] {
        if client_id == login.client_id {
            let fits = login.works && login.certificate.is_none() && secret == login.secret;
            return fits.then_some(audience);
        }
    }
    let at = tenant.key_of(client_id, secret)?;
    let key = &mut tenant.keys[at];
    if !key.works() {
        key.refusals = key.refusals.saturating_sub(1);
        return None;
    }
    key.tested = true;
    Some(match key.role {
        Role::Ciapi => Audience::Ciapi(id),
        Role::Cirt => Audience::Cirt(id),
    })
}

fn refused() -> Reply {
    oauth_error(401, "unauthorized", "Bad credentials").with(
        "www-authenticate",
        "Basic realm=\"UAA/client\", error=\"unauthorized\", error_description=\"Bad credentials\"",
    )
}
