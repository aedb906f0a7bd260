//! Technical users as the portal describes them (facts: portal, section 3).

use serde_json::Value;

use crate::domain::key::KeyState;
use crate::issuer::binding::is_guid;
use crate::secret::Secret;

/// Where a technical user lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A client of the portal's own identity provider.
    Internal,
    /// A client of the wallet.
    External,
    /// The portal does not say.
    Untold,
}

/// One technical user. It has no `Debug`: it may hold a secret.
#[derive(Clone)]
pub(super) struct User {
    /// The portal's id of it.
    pub(super) id: String,
    /// Its client id; none while it is being made.
    pub(super) client_id: Option<String>,
    /// Its name, without the prefix that the portal gives to those of the wallet.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// How far along it is; `None` where it is deleted.
    pub(super) state: Option<KeyState>,
    /// Whether it belongs to the provider of an app, who alone may reset it.
    pub(super) of_provider: bool,
    pub(super) secret: Option<Secret>,
    /// Where its tokens are had, where that is an address: while it is being made, a sentence stands there.
    pub(super) token_url: Option<String>,
    /// The ids of its roles.
    pub(super) roles: Vec<String>,
}

/// Reads a technical user, from a list, of its own, or as a creation or reset answers it.
pub(super) fn user(value: &Value) -> Result<User, &'static str> {
    let text = |names: &[&str]| {
        names.iter().find_map(|name| value.get(*name)?.as_str()).filter(|text| !text.is_empty())
    };
    let id = text(&["serviceAccountId", "technicalUserId", "id"]).filter(|id| is_guid(id));
    let id = id.ok_or("a technical user has no `serviceAccountId`")?.to_owned();
    let kind = match text(&["userType", "usertype"]).map(str::to_uppercase).as_deref() {
        Some("INTERNAL") => Kind::Internal,
        Some("EXTERNAL") => Kind::External,
        _ => Kind::Untold,
    };
    let account = text(&["serviceAccountType", "companyServiceAccountTypeId"]).map(str::to_uppercase);
    let name = text(&["name"]).ok_or("a technical user has no `name`")?;
    Ok(User {
        id,
        client_id: text(&["clientId", "clientID"]).map(str::to_owned),
        name: plain(name).to_owned(),
        kind,
        state: state(text(&["status", "userStatus"])),
        of_provider: account.as_deref() == Some("PROVIDER_OWNED"),
        secret: text(&["secret"]).map(|secret| Secret::new(secret.to_owned())),
        token_url: text(&["authenticationServiceUrl"]).and_then(token_url),
        roles: roles(value),
    })
}

/// The name that was asked for: the portal puts `dim-` in front of those of the wallet.
fn plain(name: &str) -> &str {
    name.strip_prefix("dim-").filter(|rest| rest.starts_with("rekeyd-")).unwrap_or(name)
}

/// An unknown status is no reason to use it, and none to make another.
fn state(status: Option<&str>) -> Option<KeyState> {
    Some(match status.map(str::to_uppercase).as_deref() {
        // A reset answers without one.
        None | Some("ACTIVE") => KeyState::Ready,
        Some("PENDING_DELETION") => KeyState::Deleting,
        Some("DELETED") => return None,
        _ => KeyState::Busy,
    })
}

/// The token address of a wallet is that of its service, with or without its end (facts: portal, sections 1 and 2).
fn token_url(address: &str) -> Option<String> {
    let address = address.trim();
    let is_address = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
    if !is_address || address.contains(char::is_whitespace) {
        return None;
    }
    let bare = address.trim_end_matches('/');
    Some(if bare.ends_with("/token") { bare.to_owned() } else { format!("{bare}/oauth/token") })
}

fn roles(value: &Value) -> Vec<String> {
    let listed = value.get("roles").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let id =
        |role: &Value| role.get("roleId").and_then(Value::as_str).filter(|id| is_guid(id)).map(str::to_owned);
    listed.iter().filter_map(id).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_listed_user_and_one_of_its_own_are_read_alike() {
        let listed = user(&json!({
            "serviceAccountId": "u-1", "clientId": "sa42", "name": "Data Space Integration", "userType": "INTERNAL",
            "serviceAccountType": "PROVIDER_OWNED", "status": "ACTIVE", "isOwner": false, "novelty": {},
        }))
        .unwrap();
        assert_eq!(
            (listed.kind, listed.of_provider, listed.state),
            (Kind::Internal, true, Some(KeyState::Ready))
        );
        let own = user(&json!({
            "serviceAccountId": "u-2", "clientId": "sb-x", "name": "dim-rekeyd-sole-g1-abcdefghijk", "usertype": "external",
            "authenticationServiceUrl": "https://wallet.example", "secret": "NotARealSecret", "status": "PENDING_DELETION",
            "roles": [{ "roleId": "r-1", "clientId": "c", "roleName": "Identity Wallet Management" }],
        }))
        .unwrap();
        assert_eq!((own.kind, own.state), (Kind::External, Some(KeyState::Deleting)));
        assert_eq!(own.name, "rekeyd-sole-g1-abcdefghijk");
        assert_eq!(own.token_url.as_deref(), Some("https://wallet.example/oauth/token"));
        assert_eq!(own.roles, ["r-1"]);
    }

    #[test]
    fn what_stands_for_an_address_while_it_is_made_is_none() {
        for (text, expected) in [
            ("https://w.example/oauth/token", Some("https://w.example/oauth/token")),
            (
                "https://idp.example/realms/x/protocol/openid-connect/token/",
                Some("https://idp.example/realms/x/protocol/openid-connect/token"),
            ),
            ("https://w.example/", Some("https://w.example/oauth/token")),
            ("The technical user is being created", None),
            ("https://w.example is not ready", None),
            ("", None),
        ] {
            assert_eq!(token_url(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_status_nobody_knows_is_neither_ready_nor_gone() {
        assert_eq!(state(Some("active")), Some(KeyState::Ready));
        assert_eq!(state(Some("INACTIVE")), Some(KeyState::Busy));
        assert_eq!(state(Some("NEWLY_INVENTED")), Some(KeyState::Busy));
        assert_eq!(state(Some("DELETED")), None);
    }
}
