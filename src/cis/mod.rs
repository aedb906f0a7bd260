//! SAP Cloud Management service (CIS): which subaccounts a global account has (facts: CIS). It is a source and no issuer:
//! everything here is a question, and nobody waits for the answer with a rotation in hand.
//!
//! A key of plan `central-viewer` shows the tree; the Cloud Foundry of a subaccount is shown by a key of plan `local-viewer`
//! made in it, for the account itself does not know it. Every answer is read tolerantly, but for one thing: an entry that
//! hides a subaccount is no answer.

pub mod read;

#[cfg(test)]
mod malformed_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;

use crate::domain::coverage::{Environment, Tree};
use crate::domain::failure::{Class, Failure};
use crate::http::Http;
use crate::http::address::Address;
use crate::http::error::HttpError;
use crate::http::login::Login;
use crate::http::request::{Auth, LIST_LIMIT, Reply, Request};
use crate::secret::ServiceKey;

/// The names of the two services among the addresses of a key (facts: service keys, section 7).
pub const ACCOUNTS: &str = "accounts_service_url";
/// See [`ACCOUNTS`].
pub const PROVISIONING: &str = "provisioning_service_url";

/// The code of a request that is one too many (facts: CIS, section 4).
const TOO_MANY: u64 = 11_006;

/// One login at one of the services.
struct Service {
    http: Arc<Http>,
    base: Address,
    login: Arc<Login>,
}

/// A global account, seen with one key, and what further keys show of its subaccounts.
pub struct Cis {
    accounts: Service,
    locals: Vec<Service>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The account.
    pub tree: Tree,
    /// The Cloud Foundry of some subaccounts.
    pub environments: Vec<Environment>,
    /// What could not be seen and is not missed for the tree.
    pub unseen: Vec<String>,
}

impl Cis {
    /// The account behind `key`; `locals` are keys of subaccounts. Nothing is sent.
    pub fn new(http: &Arc<Http>, key: &ServiceKey, locals: &[ServiceKey]) -> Result<Self, Failure> {
        let locals = locals.iter().map(|key| Service::new(http, key, PROVISIONING));
        Ok(Self { accounts: Service::new(http, key, ACCOUNTS)?, locals: locals.collect::<Result<_, _>>()? })
    }

    /// Whether the key works: a token, and the account itself.
    pub async fn probe(&self) -> Result<(), Failure> {
        self.account("false").await.map(|_| ())
    }

    /// Looks at the account and at what the other keys show. Where only the latter fails, that is told in the answer.
    pub async fn look(&self) -> Result<Found, Failure> {
        let account = self.account("true").await?;
        let reply = self.accounts.get("accounts/v1/subaccounts", &[]).await?;
        let subaccounts = read::subaccounts(&reply.json()?).map_err(|why| reply.unreadable(why))?;
        let tree = read::tree(&account.json()?, subaccounts).map_err(|why| account.unreadable(why))?;
        let mut found = Found { tree, ..Found::default() };
        for local in &self.locals {
            match local.environments().await {
                Ok(environments) => found.environments.extend(environments),
                Err(failure) => found.unseen.push(failure.to_string()),
            }
        }
        Ok(found)
    }

    async fn account(&self, expand: &str) -> Result<Reply, Failure> {
        let reply = self.accounts.get("accounts/v1/globalAccount", &[("expand", expand)]).await?;
        match reply.json()? {
            Value::Object(_) => Ok(reply),
            _ => Err(reply.unreadable("it is no account").into()),
        }
    }
}

impl Service {
    fn new(http: &Arc<Http>, key: &ServiceKey, name: &str) -> Result<Self, Failure> {
        let missing = || Failure::new(Class::ClientError, format!("the service key names no `{name}`"));
        let base = Address::parse(key.endpoints.get(name).ok_or_else(missing)?)?;
        http.introduce(&base);
        Ok(Self { http: Arc::clone(http), base, login: Login::of_key(key)? })
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, Failure> {
        let to = self.base.at(path);
        let to = if query.is_empty() { to } else { to.with_query(query) };
        let request =
            Request::get("discover", to).at_most(LIST_LIMIT).by(Auth::Login(Arc::clone(&self.login)));
        self.http.send(&request).await.map_err(|error| told(error).into())
    }

    async fn environments(&self) -> Result<Vec<Environment>, Failure> {
        let reply = self.get("provisioning/v1/environments", &[]).await?;
        Ok(read::environments(&reply.json()?).map_err(|why| reply.unreadable(why))?)
    }
}

/// An error with the sense that its body makes of it, and with advice where a person is to do something.
fn told(mut error: HttpError) -> HttpError {
    let said = error.reply.as_deref().and_then(Reply::value).and_then(|body| read::said(&body));
    if said.is_some_and(|code| code == TOO_MANY) && error.class == Class::ClientError {
        error.class = Class::Throttled;
    }
    match error.class {
        Class::Forbidden => {
            error.advising("the key needs the plan `central-viewer`, or `local-viewer` in a subaccount")
        }
        _ => error,
    }
}
