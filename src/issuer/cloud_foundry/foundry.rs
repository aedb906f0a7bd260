//! One landscape as one login sees it: the root links, lists over any number of instances, and jobs. Shared by every
//! credential on that landscape, so that one list can serve many tenants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::Place;
use super::binding;
use crate::domain::failure::{Class, Failure};
use crate::http::Http;
use crate::http::address::Address;
use crate::http::error::HttpError;
use crate::http::login::Login;
use crate::http::request::{Auth, LIST_LIMIT, Request};
use crate::issuer::binding::{
    Binding, Ended, Job, Pages, Patience, entries, is_guid, must_be_whole, see_through,
};
use crate::secret::Secret;

/// What is asked for per page (the API's limit; facts: Cloud Foundry, section 3).
const PER_PAGE: &str = "5000";

/// How many instances are asked for in one request: 50 GUIDs stay far below the 16 KB of a header.
const INSTANCES: usize = 50;

/// How long the root links are believed.
const ROOT_LIFE: Duration = Duration::from_hours(1);

/// One login at one landscape.
#[derive(Debug, Clone)]
pub struct FoundrySettings {
    /// The API's address: `https://api.cf.<region>.hana.ondemand.com`.
    pub api: String,
    /// The technical user.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// The key of its identity provider, where it is not SAP's own.
    pub origin: Option<String>,
    /// How long a job may take, and the pause between two looks at it.
    pub patience: Patience,
}

/// A landscape, seen by one login.
pub struct Foundry {
    http: Arc<Http>,
    settings: FoundrySettings,
    api: Address,
    root: tokio::sync::Mutex<Option<Root>>,
    places: Mutex<BTreeMap<Place, String>>,
}

#[derive(Clone)]
struct Root {
    v3: Address,
    uaa: Address,
    login: Arc<Login>,
    read: Duration,
}

impl Foundry {
    /// A landscape that has not been spoken to yet.
    pub fn new(http: Arc<Http>, settings: FoundrySettings) -> Result<Self, Failure> {
        let api = Address::parse(&settings.api)?;
        http.introduce(&api);
        Ok(Self { http, settings, api, root: tokio::sync::Mutex::default(), places: Mutex::default() })
    }

    /// Every key of these instances, over all pages, in whatever order. A list that may have gaps is a failure.
    pub async fn list(&self, instances: &BTreeSet<String>) -> Result<Vec<Binding>, Failure> {
        let guids: Vec<&str> = instances.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        for guids in guids.chunks(INSTANCES) {
            let guids = guids.join(",");
            found.extend(self.bindings(&[("service_instance_guids", &guids)]).await?);
        }
        found.retain(|binding| instances.contains(&binding.instance));
        Ok(found)
    }

    /// The keys of this name on an instance.
    pub(super) async fn named(&self, instance: &str, name: &str) -> Result<Vec<Binding>, Failure> {
        let mut found = self.bindings(&[("service_instance_guids", instance), ("names", name)]).await?;
        found.retain(|binding| binding.instance == instance && binding.seen.key.name.0 == name);
        Ok(found)
    }

    async fn bindings(&self, filter: &[(&str, &str)]) -> Result<Vec<Binding>, Failure> {
        let mut query = vec![("type", "key"), ("per_page", PER_PAGE), ("order_by", "created_at")];
        query.extend_from_slice(filter);
        let mut found = BTreeMap::new();
        for value in self.pages("list_keys", "service_credential_bindings", &query).await? {
            let read = binding::binding(&value).map_err(|why| {
                Failure::new(Class::Decode, format!("`list_keys` at `{}`: {why}", self.api))
            })?;
            if let Some(binding) = read {
                found.insert(binding.seen.key.id.clone(), binding);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Every entry of a list.
    pub(super) async fn pages(
        &self,
        operation: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, Failure> {
        let root = self.root().await?;
        let mut next = Some(root.v3.at(path).with_query(query));
        let mut seen = Pages::default();
        let mut found = Vec::new();
        while let Some(page) = next {
            if !seen.turn_to(&page) {
                let text = format!("{operation} at `{}`: the list does not end", self.api);
                return Err(Failure::new(Class::Decode, text));
            }
            let request = Request::get(operation, page.clone()).by(root.auth()).at_most(LIST_LIMIT);
            let reply = self.http.send(&request).await?;
            let mut value = reply.json()?;
            found.extend(entries(&reply, &mut value, "resources")?);
            next = match value.pointer("/pagination/next/href").and_then(Value::as_str) {
                None => None,
                Some(link) => Some(page.follow(link).ok_or_else(|| {
                    Failure::from(reply.unreadable("the next page is on another host, which is not followed"))
                })?),
            };
            if next.is_none() {
                let total = value.pointer("/pagination/total_results").and_then(Value::as_u64);
                must_be_whole(&reply, &found, "guid", total)?;
            }
        }
        Ok(found)
    }

    /// Sends a request to a path below `/v3`, for one id where `id` is given.
    pub(super) async fn send(
        &self,
        make: impl FnOnce(Address) -> Request,
        path: &str,
        id: Option<&str>,
        below: &str,
    ) -> Result<crate::http::request::Reply, HttpError> {
        let root = self.root().await?;
        let mut to = root.v3.at(path);
        if let Some(id) = id {
            let refuse = || HttpError::new(Class::ClientError, "an id that cannot be part of an address");
            to = to.at_id(id).filter(|_| is_guid(id)).ok_or_else(refuse)?;
        }
        self.http.send(&make(to.at(below)).by(root.auth())).await
    }

    /// Follows a job to its end, within the deadline.
    pub(super) async fn follow(&self, location: &str) -> Result<Ended, Failure> {
        let root = self.root().await?;
        let job = root.v3.follow(location);
        let job = job.ok_or_else(|| {
            Failure::new(Class::Decode, "the job is on another host, which is not followed")
        })?;
        let look = || self.look(&root, &job);
        see_through(&self.http, self.settings.patience, self.api.as_str(), look).await
    }

    async fn look(&self, root: &Root, job: &Address) -> Result<Job, HttpError> {
        let reply = self.http.send(&Request::get("poll_job", job.clone()).by(root.auth())).await?;
        Ok(binding::job(&reply.json()?))
    }

    /// The GUID of a service instance.
    pub(super) async fn resolve(&self, place: &Place) -> Result<String, Failure> {
        let (name, space, org) = match place {
            Place::Guid(guid) => return Ok(guid.clone()),
            Place::Named { name, space, org } => (name, space, org),
        };
        if let Some(guid) = self.places.lock().unwrap_or_else(PoisonError::into_inner).get(place) {
            return Ok(guid.clone());
        }
        let org = self.only("organizations", org, &[]).await?;
        let space = self.only("spaces", space, &[("organization_guids", &org)]).await?;
        let guid =
            self.only("service_instances", name, &[("space_guids", &space), ("type", "managed")]).await?;
        self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone(), guid.clone());
        Ok(guid)
    }

    /// The GUID of the one thing of this name.
    async fn only(&self, path: &str, name: &str, filter: &[(&str, &str)]) -> Result<String, Failure> {
        let refuse = |why: &str| {
            let text = format!(
                "`{name}` in `{path}` of `{}`: {why}; name the service instance by its GUID",
                self.api
            );
            Failure::new(Class::ClientError, text)
        };
        if name.contains(',') {
            return Err(refuse("a name with a comma cannot be searched for"));
        }
        let mut query = vec![("names", name)];
        query.extend_from_slice(filter);
        let found = self.pages("discover", path, &query).await?;
        let text = |value: &Value, field| value.get(field).and_then(Value::as_str).map(str::to_owned);
        let mut guids = found
            .iter()
            .filter(|value| text(value, "name").as_deref() == Some(name))
            .filter_map(|value| text(value, "guid"))
            .filter(|guid| is_guid(guid));
        match (guids.next(), guids.next()) {
            (Some(guid), None) => Ok(guid),
            (None, _) => Err(refuse("there is none that this login can see")),
            (Some(_), Some(_)) => Err(refuse("there are several")),
        }
    }

    /// The GUID of the login itself, as its login server tells it; `None` where it says nothing that could be one.
    pub(super) async fn user(&self) -> Result<Option<String>, Failure> {
        let root = self.root().await?;
        let request = Request::get("discover", root.uaa.at("userinfo")).by(root.auth());
        let value = self.http.send(&request).await?.json()?;
        let user = value.get("user_id").and_then(Value::as_str);
        Ok(user.filter(|guid| is_guid(guid)).map(str::to_owned))
    }

    /// The roles of a user in a space, as far as this login is shown them.
    pub(super) async fn roles(&self, user: &str, space: &str) -> Result<BTreeSet<String>, Failure> {
        let found = self.pages("discover", "roles", &[("user_guids", user), ("space_guids", space)]).await?;
        let role = |value: &Value| value.get("type").and_then(Value::as_str).map(str::to_owned);
        Ok(found.iter().filter_map(role).collect())
    }

    /// The root links, which need no login and are not rate limited (facts: Cloud Foundry, section 1).
    async fn root(&self) -> Result<Root, HttpError> {
        let mut held = self.root.lock().await;
        let now = self.http.clock().monotonic();
        if let Some(root) = held.as_ref().filter(|root| now < root.read + ROOT_LIFE) {
            return Ok(root.clone());
        }
        let reply = match self.http.send(&Request::get("root", self.api.clone())).await {
            Ok(reply) => reply,
            // What was found an hour ago is better than nothing.
            Err(error) => return held.clone().ok_or(error),
        };
        let value = reply.json()?;
        let link = |name: &str| value.pointer(&format!("/links/{name}/href")).and_then(Value::as_str);
        let uaa = link("uaa").or_else(|| link("login"));
        let uaa = uaa.ok_or_else(|| reply.unreadable("there is no link to the login server"))?;
        let uaa = self.api.follow_to_sister(uaa).ok_or_else(|| {
            reply.unreadable("the login server is in another domain: the password is not sent there")
        })?;
        let v3 = match link("cloud_controller_v3") {
            None => self.api.at("v3"),
            Some(link) => self
                .api
                .follow(link)
                .ok_or_else(|| reply.unreadable("the link to v3 leads to another host"))?,
        };
        let settings = &self.settings;
        let origin = settings.origin.as_deref();
        let login = Login::of_user(uaa.at("oauth/token"), &settings.user, &settings.password, origin);
        let root = Root { v3, uaa, login, read: now };
        *held = Some(root.clone());
        Ok(root)
    }
}

impl Root {
    fn auth(&self) -> Auth {
        Auth::Login(self.login.clone())
    }
}
