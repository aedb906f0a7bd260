//! One Service Manager as one login sees it: lists, operations, and how fast it may be called. Shared by every
//! credential with the same service key, so that tokens, pauses and limits are shared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::binding;
use crate::domain::failure::{Class, Failure};
use crate::http::Http;
use crate::http::address::Address;
use crate::http::error::HttpError;
use crate::http::login::Login;
use crate::http::request::{Auth, LIST_LIMIT, Reply, Request};
use crate::issuer::binding::{
    Binding, Ended, Job, Pages, Patience, entries, is_guid, must_be_whole, see_through,
};
use crate::secret::ServiceKey;

/// What is asked for per page: the most that the API gives (facts: Service Manager, section 2).
const PER_PAGE: &str = "200";

/// Where bindings are, below the address in the key.
const BINDINGS: &str = "v1/service_bindings";

/// One login at one Service Manager.
#[derive(Debug, Clone)]
pub struct ManagerSettings {
    /// The address in the service key, `sm_url`.
    pub url: String,
    /// The service key: how rekeyd logs in.
    pub key: ServiceKey,
    /// How many calls it makes in an hour.
    pub calls_per_hour: u32,
    /// How long an operation may take, and the pause between two looks at it.
    pub patience: Patience,
}

/// A Service Manager, seen by one login.
pub struct Manager {
    http: Arc<Http>,
    bindings: Address,
    login: Arc<Login>,
    calls_per_hour: u32,
    patience: Patience,
}

impl Manager {
    /// A Service Manager that has not been spoken to yet.
    pub fn new(http: Arc<Http>, settings: &ManagerSettings) -> Result<Self, Failure> {
        let bindings = Address::parse(&settings.url)?.at(BINDINGS);
        http.introduce(&bindings);
        let login = Login::of_key(&settings.key)?;
        let (calls_per_hour, patience) = (settings.calls_per_hour, settings.patience);
        Ok(Self { http, bindings, login, calls_per_hour, patience })
    }

    /// Every key of these instances, over all pages, in whatever order. A list that may have gaps is a failure.
    pub(super) async fn list(&self, instances: &BTreeSet<String>) -> Result<Vec<Binding>, Failure> {
        let mut found = Vec::new();
        for instance in instances {
            found.extend(self.matching(instance, &binding::equals("service_instance_id", instance)).await?);
        }
        Ok(found)
    }

    /// The keys of this name on an instance.
    pub(super) async fn named(&self, instance: &str, name: &str) -> Result<Vec<Binding>, Failure> {
        let of_instance = binding::equals("service_instance_id", instance);
        let condition = format!("{of_instance} and {}", binding::equals("name", name));
        let mut found = self.matching(instance, &condition).await?;
        found.retain(|binding| binding.seen.key.name.0 == name);
        Ok(found)
    }

    /// The bindings that fulfil a condition, also where the server does not mind it.
    async fn matching(&self, instance: &str, condition: &str) -> Result<Vec<Binding>, Failure> {
        let mut found = BTreeMap::new();
        for value in self.pages(condition).await? {
            let read = binding::binding(&value).map_err(|why| {
                Failure::new(Class::Decode, format!("`list_keys` at `{}`: {why}", self.bindings))
            })?;
            if read.instance == instance {
                found.insert(read.seen.key.id.clone(), read);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Every entry of a list. The next page is named by `token`, or else by a link.
    async fn pages(&self, condition: &str) -> Result<Vec<Value>, Failure> {
        let query = [("fieldQuery", condition), ("max_items", PER_PAGE), ("attach_last_operations", "true")];
        let first = self.bindings.with_query(&query);
        let mut next = Some(first.clone());
        let mut seen = Pages::default();
        let mut found = Vec::new();
        while let Some(page) = next {
            if !seen.turn_to(&page) {
                let text = format!("`list_keys` at `{}`: the list does not end", self.bindings);
                return Err(Failure::new(Class::Decode, text));
            }
            let reply = self.ask(Request::get("list_keys", page.clone()).at_most(LIST_LIMIT)).await?;
            let mut value = reply.json()?;
            found.extend(entries(&reply, &mut value, "items")?);
            next = following(&first, &page, &reply, &value)?;
            if next.is_none() {
                let total = value.get("num_items").and_then(Value::as_u64);
                must_be_whole(&reply, &found, "id", total)?;
            }
        }
        Ok(found)
    }

    /// Sends a request to the bindings, or to the one with this id.
    pub(super) async fn send(
        &self,
        make: impl FnOnce(Address) -> Request,
        id: Option<&str>,
    ) -> Result<Reply, HttpError> {
        let to = match id {
            None => self.bindings.clone(),
            Some(id) => self.one(id)?,
        };
        self.ask(make(to)).await
    }

    async fn ask(&self, request: Request) -> Result<Reply, HttpError> {
        let auth = Auth::Login(Arc::clone(&self.login));
        self.http.send(&request.by(auth).paced(self.calls_per_hour)).await
    }

    fn one(&self, id: &str) -> Result<Address, HttpError> {
        let refuse = || HttpError::new(Class::ClientError, "an id that cannot be part of an address");
        self.bindings.at_id(id).filter(|_| is_guid(id)).ok_or_else(refuse)
    }

    /// Follows an operation to its end, within the deadline. `expected` is the binding it must be about, where that is
    /// known. Answers which binding it is about, too.
    pub(super) async fn follow(
        &self,
        location: &str,
        expected: Option<&str>,
    ) -> Result<(Ended, String), Failure> {
        let (id, operation) = self.operation(location)?;
        if expected.is_some_and(|expected| expected != id) {
            return Err(Failure::new(Class::Decode, "the operation is on another binding"));
        }
        let look = || self.look(&operation);
        let ended = see_through(&self.http, self.patience, self.bindings.as_str(), look).await?;
        Ok((ended, id))
    }

    async fn look(&self, operation: &Address) -> Result<Job, HttpError> {
        let reply = self.ask(Request::get("poll_job", operation.clone())).await?;
        Ok(binding::operation(&reply.json()?))
    }

    /// The binding and the operation that a `Location` names. Service Manager writes only a path, counted from the
    /// address in the key; so the address is made anew from the ids in it.
    fn operation(&self, location: &str) -> Result<(String, Address), Failure> {
        let refuse = |why: &str| Failure::new(Class::Decode, format!("the operation {why}"));
        let followed = self.bindings.follow(location);
        let followed = followed.ok_or_else(|| refuse("is on another host, which is not followed"))?;
        let path = followed.without_query();
        let mut parts = path.as_str().trim_end_matches('/').rsplit('/');
        let (Some(operation), Some("operations"), Some(id)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse("has no address of the documented form"));
        };
        let to = self.one(id)?.at("operations").at_id(operation).filter(|_| is_guid(operation));
        Ok((id.to_owned(), to.ok_or_else(|| refuse("has an id that cannot be part of an address"))?))
    }
}

/// Where the page after `page` is.
fn following(
    first: &Address,
    page: &Address,
    reply: &Reply,
    value: &Value,
) -> Result<Option<Address>, HttpError> {
    match value.get("token") {
        Some(Value::String(token)) if !token.is_empty() => Ok(Some(first.with_query(&[("token", token)]))),
        None | Some(Value::Null | Value::String(_)) => {
            let Some(link) = reply.link.as_deref().and_then(binding::next_link) else { return Ok(None) };
            let elsewhere = || reply.unreadable("the next page is on another host, which is not followed");
            page.follow(link).map(Some).ok_or_else(elsewhere)
        }
        Some(_) => Err(reply.unreadable("the `token` of the next page is no text")),
    }
}
