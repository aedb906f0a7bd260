//! The portal's calls, as one login makes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::user::{Kind, User, user};
use crate::domain::Timestamp;
use crate::domain::failure::{Class, Failure};
use crate::domain::names::{KeyName, Role};
use crate::http::Http;
use crate::http::address::Address;
use crate::http::error::HttpError;
use crate::http::login::Login;
use crate::http::request::{Auth, LIST_LIMIT, Reply, Request};
use crate::issuer::binding::{Pages, Patience, entries, is_guid};
use crate::secret::{Secret, ServiceKey};

/// Where technical users are, below the address of the backend.
const USERS: &str = "api/administration/serviceaccount/owncompany/serviceaccounts";

/// The largest page the portal gives; it answers 400 to more.
const PER_PAGE: &str = "15";

/// One login at one portal.
#[derive(Debug, Clone)]
pub struct BackendSettings {
    /// The address of the portal's backend.
    pub url: String,
    /// Where tokens of the portal's own users are had, the login's among them.
    pub token_url: String,
    /// The client id of the login: a technical user itself.
    pub client_id: String,
    /// Its secret.
    pub secret: Secret,
    /// How long the portal may take to make a user, and the pause between two looks at it.
    pub patience: Patience,
}

/// A portal, seen by one login.
pub struct Backend {
    pub(super) http: Arc<Http>,
    users: Address,
    login: Arc<Login>,
    token_url: String,
    pub(super) patience: Patience,
}

impl Backend {
    /// A portal that has not been spoken to yet.
    pub fn new(http: Arc<Http>, settings: &BackendSettings) -> Result<Self, Failure> {
        let users = Address::parse(&settings.url)?.at(USERS);
        http.introduce(&users);
        let key = service_key(&settings.client_id, &settings.secret, &settings.token_url);
        let login = Login::of_key(&key.map_err(|why| Failure::new(Class::ClientError, why))?)?;
        Ok(Self { http, users, login, token_url: settings.token_url.clone(), patience: settings.patience })
    }

    /// Every technical user that the login may see, and when that was on the portal's clock.
    pub(super) async fn list(&self) -> Result<(Vec<User>, Option<Timestamp>), Failure> {
        let mut found = BTreeMap::new();
        let mut seen = Pages::default();
        let mut number = 0_u64;
        loop {
            let text = number.to_string();
            let page = self.users.with_query(&[("page", text.as_str()), ("size", PER_PAGE)]);
            if !seen.turn_to(&page) {
                let text = format!("`list_keys` at `{}`: the list does not end", self.users);
                return Err(Failure::new(Class::Decode, text));
            }
            let reply = self.ask(Request::get("list_keys", page).at_most(LIST_LIMIT)).await?;
            let mut value = reply.json()?;
            for entry in entries(&reply, &mut value, "content")? {
                let read = user(&entry).map_err(|why| reply.unreadable(why))?;
                found.insert(read.id.clone(), read);
            }
            let count =
                |name: &str| value.get("meta").and_then(|meta| meta.get(name)).and_then(Value::as_u64);
            let pages = count("totalPages")
                .ok_or_else(|| reply.unreadable("it does not say how many pages there are"))?;
            number += 1;
            if number >= pages {
                if count("totalElements").is_some_and(|total| (found.len() as u64) < total) {
                    return Err(reply.unreadable("the list is shorter than it says").into());
                }
                return Ok((found.into_values().collect(), reply.date));
            }
        }
    }

    /// One technical user with its secret, and when that was on the portal's clock; `None` where the portal itself says
    /// that there is none.
    pub(super) async fn get(&self, id: &str) -> Result<Option<(User, Option<Timestamp>)>, Failure> {
        match self.ask(Request::get("read_key", self.one(id)?)).await {
            Ok(reply) => {
                let read = user_of(&reply, id)?;
                Ok(Some((read, reply.date)))
            }
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(unless_missing(error)),
        }
    }

    /// Orders a technical user with these roles.
    pub(super) async fn create(
        &self,
        name: &KeyName,
        what_for: &str,
        roles: &[String],
    ) -> Result<(User, Option<Timestamp>), HttpError> {
        let body = json!({
            "name": name.0, "description": what_for, "authenticationType": "SECRET", "roleIds": roles,
        });
        let reply = self.ask(Request::post("create_key", self.users.clone()).json(body)).await?;
        let value = reply.json()?;
        let made =
            listed(&value).iter().filter_map(|value| user(value).ok()).find(|made| made.name == name.0);
        made.map(|made| (made, reply.date)).ok_or_else(|| reply.unreadable("the technical user is not in it"))
    }

    /// Resets the secret of a technical user. The one before it stops working at that moment.
    pub(super) async fn reset(&self, id: &str) -> Result<(Option<Secret>, Option<Timestamp>), HttpError> {
        let to = self.one(id)?.at("resetCredentials");
        let reply = self.ask(Request::post("create_key", to)).await?;
        let value = reply.json()?;
        let secret = listed(&value).first().and_then(|value| value.get("secret")?.as_str());
        Ok((
            secret.filter(|secret| !secret.is_empty()).map(|secret| Secret::new(secret.to_owned())),
            reply.date,
        ))
    }

    /// Asks for the deletion of a technical user.
    pub(super) async fn delete(&self, id: &str) -> Result<(), HttpError> {
        self.ask(Request::delete("delete_key", self.one(id)?)).await.map(|_| ())
    }

    /// The key that a technical user is: client, secret and token address.
    pub(super) fn key_of(&self, user: &User, secret: &Secret) -> Result<ServiceKey, Failure> {
        let refuse =
            |why: &str| Failure::new(Class::Conflict, format!("the technical user `{}`: {why}", user.name));
        let client = user.client_id.as_deref().ok_or_else(|| refuse("it has no client id yet"))?;
        let token_url = match (user.kind, &user.token_url) {
            (Kind::External, Some(url)) => url,
            (Kind::External, None) => return Err(refuse("it has no token address yet")),
            (Kind::Internal | Kind::Untold, _) => &self.token_url,
        };
        service_key(client, secret, token_url).map_err(|why| refuse(&why))
    }

    async fn ask(&self, request: Request) -> Result<Reply, HttpError> {
        self.http.send(&request.by(Auth::Login(Arc::clone(&self.login)))).await
    }

    fn one(&self, id: &str) -> Result<Address, HttpError> {
        let refuse = || HttpError::new(Class::ClientError, "an id that cannot be part of an address");
        self.users.at_id(id).filter(|_| is_guid(id)).ok_or_else(refuse)
    }
}

/// The elements of an answer that may be a list or the only one.
fn listed(value: &Value) -> &[Value] {
    value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice)
}

/// One technical user, which need not repeat its own id.
fn user_of(reply: &Reply, id: &str) -> Result<User, HttpError> {
    let mut value = reply.json()?;
    if let Some(fields) = value.as_object_mut() {
        fields.entry("serviceAccountId").or_insert_with(|| json!(id));
    }
    let read = user(&value).map_err(|why| reply.unreadable(why))?;
    if read.id != id {
        return Err(reply.unreadable("it is another technical user"));
    }
    Ok(read)
}

fn service_key(client: &str, secret: &Secret, token_url: &str) -> Result<ServiceKey, String> {
    let document = json!({ "clientid": client, "clientsecret": secret.expose(), "tokenurl": token_url });
    ServiceKey::parse(&document.to_string()).map_err(|why| crate::http::redact::mask(&why.to_string()))
}

/// Whether the portal itself says that the technical user does not exist: with its own error body, not that of
/// somebody on the way.
fn is_gone(error: &HttpError) -> bool {
    let says_so = |reply: &Reply| {
        reply.value().is_some_and(|value| {
            value.get("title").is_some_and(Value::is_string)
                && value.get("status").and_then(Value::as_u64) == Some(404)
        })
    };
    error.status == Some(404) && error.class == Class::NotFound && error.reply.as_deref().is_some_and(says_so)
}

/// A failure in which a 404 is not mistaken for "a person makes the keys".
pub(super) fn unless_missing(error: HttpError) -> Failure {
    let is_gone = is_gone(&error);
    crate::issuer::binding::unless_missing(error, is_gone)
}

/// The failure of a call that was to change something: a user that is missing is the operator's to correct.
pub(super) fn refused(error: HttpError, role: Role) -> Failure {
    let advice = match error.status {
        Some(403) => Some("the login needs the role that the page on portals names for this"),
        Some(404) => Some("the portal does not know this technical user"),
        _ => None,
    };
    let is_gone = is_gone(&error);
    let mut failure = Failure::from(match advice {
        Some(advice) => error.advising(advice),
        None => error,
    });
    if failure.class == Class::NotFound {
        failure.class = if is_gone { Class::ClientError } else { Class::ServerError };
        failure.effect_unknown |= !is_gone;
    }
    failure.cause = format!("{} (role `{role}`)", failure.cause);
    failure
}
