//! What `strict` refuses although SAP lets it pass: what a careless client does, and what breaks one day.

use crate::request::{Endpoint, PortalCall, Request};
use crate::world::World;

/// What the token services know.
const FORM_FIELDS: [&str; 8] = [
    "grant_type",
    "client_id",
    "client_secret",
    "username",
    "password",
    "refresh_token",
    "login_hint",
    "response_type",
];

/// What is wrong in a request. `None` where nothing is, and where nobody is strict.
pub(super) fn problem(world: &World, endpoint: &Endpoint, request: &Request) -> Option<String> {
    if !world.scenario.strict {
        return None;
    }
    if request.path.starts_with("/cf/v2") {
        return Some("API v2 is not available: use v3".to_owned());
    }
    for name in ["host", "user-agent", "accept"] {
        if request.header(name).is_none_or(str::is_empty) {
            return Some(format!("the header `{name}` is missing"));
        }
    }
    let may_carry = matches!(request.method.as_str(), "POST" | "PUT");
    if !request.body.is_empty() && !may_carry {
        return Some(format!("`{}` carries a body", request.method));
    }
    if !request.body.is_empty() && request.header("content-type").is_none() {
        return Some("the header `content-type` is missing".to_owned());
    }
    unknown_field(endpoint, request).map(|name| format!("the field `{name}` is unknown"))
}

/// Cloud Foundry refuses unknown fields by itself; the others say nothing.
fn unknown_field(endpoint: &Endpoint, request: &Request) -> Option<String> {
    let in_query: &[&str] = match endpoint {
        Endpoint::Artifacts(_) => &["$format", "$filter", "$top", "$skip", "$select", "$inlinecount"],
        Endpoint::UaaToken => &["login_hint"],
        Endpoint::ListManaged => {
            &["fieldQuery", "labelQuery", "max_items", "token", "attach_last_operations"]
        }
        Endpoint::Portal { call: PortalCall::List, .. } => {
            &["page", "size", "isOwner", "clientId", "filterForInactive", "userStatus"]
        }
        Endpoint::CreateManaged | Endpoint::DeleteManaged(_) => &["async"],
        Endpoint::Account => &["expand", "derivedAuthorizations"],
        Endpoint::Subaccounts => &["directoryGUID", "derivedAuthorizations", "labelSelector"],
        Endpoint::Roles
        | Endpoint::Instances
        | Endpoint::Spaces
        | Endpoint::Organizations
        | Endpoint::ListBindings => {
            return None;
        }
        _ => &[],
    };
    let first_unknown = |pairs: Vec<(String, String)>, known: &[&str]| {
        pairs.into_iter().map(|(name, _)| name).find(|name| !known.contains(&name.as_str()))
    };
    first_unknown(request.parameters(), in_query).or_else(|| match endpoint {
        Endpoint::UaaToken
        | Endpoint::XsuaaToken { .. }
        | Endpoint::Portal { call: PortalCall::Token | PortalCall::WalletToken, .. } => {
            first_unknown(request.form(), &FORM_FIELDS)
        }
        _ => None,
    })
}
