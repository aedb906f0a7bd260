//! Service keys of Cloud Foundry, over API v3 (facts: Cloud Foundry).
//!
//! Only *create* is not idempotent, and its reply may be lost after the effect. So whatever is unclear about it ends
//! with a look for the name, and what is still unclear then is an ambiguous failure.

mod access;
pub mod binding;
pub mod foundry;

#[cfg(test)]
mod malformed_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use self::foundry::Foundry;
use crate::domain::failure::{Class, Failure};
use crate::domain::key::{Key, Sightings};
use crate::domain::names::{CredentialId, KeyName, Role};
use crate::http::error::HttpError;
use crate::http::request::{Reply, Request};
use crate::issuer::binding::{
    Binding, Ended, answered, apart, by_role, is_made, must_be_gone, must_be_meant, only, refused_deletion,
    service_key,
};
use crate::ports::{Access, Issuer};
use crate::secret::ServiceKey;

const BINDINGS: &str = "service_credential_bindings";

/// The codes of Cloud Foundry that are told apart (facts: Cloud Foundry, section 8).
const NOT_FOUND: i64 = 10010;

/// Which service instance holds the keys of a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// By its GUID: the safest.
    Guid(String),
    /// By its name and where it is.
    Named {
        /// The service instance.
        name: String,
        /// Its space.
        space: String,
        /// Its organization.
        org: String,
    },
}

/// One credential at Cloud Foundry.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose keys they are; written beside them as annotation.
    pub credential: CredentialId,
    /// The instance of each role; no two roles share one.
    pub places: BTreeMap<Role, Place>,
}

/// The issuer of one credential's keys at Cloud Foundry.
pub struct CloudFoundry {
    foundry: Arc<Foundry>,
    settings: Settings,
}

impl CloudFoundry {
    /// The issuer for one credential on a landscape.
    pub fn new(foundry: Arc<Foundry>, settings: Settings) -> Self {
        Self { foundry, settings }
    }

    async fn instance(&self, role: Role) -> Result<String, Failure> {
        let place = self.settings.places.get(&role).ok_or_else(|| {
            Failure::new(Class::ClientError, format!("there is no service instance for the role `{role}`"))
        })?;
        self.foundry.resolve(place).await
    }

    /// The one key of this name. None, several or an unfinished one leave open what the create did.
    async fn find(&self, instance: &str, name: &KeyName, context: &str) -> Result<Key, Failure> {
        let found = self.foundry.named(instance, &name.0).await.map_err(Failure::ambiguous)?;
        only(&found, name, context)
    }

    /// What a refused create means. The texts of 422 are not stable, so the state is read again (facts: Cloud
    /// Foundry, section 5).
    async fn refused(&self, instance: &str, name: &KeyName, error: HttpError) -> Failure {
        if error.status != Some(422) {
            return error.into();
        }
        let detail = error.reply.as_deref().map(details).unwrap_or_default();
        let mut failure = Failure::from(error);
        if detail.contains("quota") {
            return failure;
        }
        let taken = ["unique", "taken", "already"].iter().any(|word| detail.contains(word));
        let there = taken || !self.foundry.named(instance, &name.0).await.is_ok_and(|found| found.is_empty());
        if there {
            // The name is ours and was free before: an earlier attempt may have taken effect.
            failure.class = Class::Conflict;
            failure.effect_unknown = true;
        } else if detail.contains("in progress") || detail.contains("being deleted") {
            failure.class = Class::Conflict;
        }
        failure
    }

    /// The key with this id; `None` where Cloud Foundry itself says that there is none.
    async fn get(&self, id: &str) -> Result<Option<Binding>, Failure> {
        let get = |to| Request::get("read_key", to);
        match self.foundry.send(get, BINDINGS, Some(id), "").await {
            Ok(reply) => {
                let read = binding::binding(&reply.json()?).map_err(|why| reply.unreadable(why))?;
                Ok(Some(read.ok_or_else(|| reply.unreadable("it belongs to an application"))?))
            }
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(unless_missing(error)),
        }
    }

    /// After a deletion: gone, or not known to be.
    async fn confirm_gone(&self, key: &Key, what: &str) -> Result<(), Failure> {
        must_be_gone(self.get(&key.id.0).await, key, what)
    }
}

#[async_trait::async_trait]
impl Issuer for CloudFoundry {
    async fn list(&self) -> Result<Sightings, Failure> {
        let mut instances = BTreeMap::new();
        for role in self.settings.places.keys() {
            instances.insert(*role, self.instance(*role).await?);
        }
        let found = self.foundry.list(&apart(&instances)?).await?;
        Ok(by_role(&instances, &found))
    }

    async fn create(&self, role: Role, name: &KeyName) -> Result<Key, Failure> {
        let instance = self.instance(role).await?;
        let body = json!({
            "type": "key",
            "name": name.0,
            "relationships": { "service_instance": { "data": { "guid": instance } } },
            "metadata": {
                "labels": { "rekeyd.io/managed": "true" },
                "annotations": { "rekeyd.io/credential": self.settings.credential.to_string() },
            },
        });
        let post = |to| Request::post("create_key", to).json(body);
        let reply = match self.foundry.send(post, BINDINGS, None, "").await {
            Ok(reply) => reply,
            Err(error) => return Err(self.refused(&instance, name, error).await),
        };
        let Some(location) = &reply.location else {
            return self.find(&instance, name, "accepted without a job").await;
        };
        match self.foundry.follow(location).await {
            Ok(Ended::Complete(Some(guid))) => match self.get(&guid).await {
                Ok(Some(made)) if is_made(&made, &instance, name) => Ok(made.seen.key),
                _ => self.find(&instance, name, "the job is complete").await,
            },
            Ok(Ended::Complete(None)) => self.find(&instance, name, "the job is complete").await,
            Ok(Ended::Failed(why)) => {
                let found = self.find(&instance, name, &format!("the job failed: {why}")).await;
                found.map_err(answered)
            }
            Ok(Ended::Lost) => self.find(&instance, name, "the job is gone").await,
            Err(failure) => Err(failure.ambiguous()),
        }
    }

    async fn read(&self, role: Role, key: &Key) -> Result<Arc<ServiceKey>, Failure> {
        let get = |to| Request::get("read_key", to);
        let reply =
            self.foundry.send(get, BINDINGS, Some(&key.id.0), "details").await.map_err(unless_missing)?;
        Ok(Arc::new(service_key(&reply, role, key)?))
    }

    async fn delete(&self, role: Role, key: &Key) -> Result<(), Failure> {
        let instance = self.instance(role).await?;
        match self.get(&key.id.0).await? {
            None => return Ok(()),
            Some(seen) => must_be_meant(&seen, &instance, key)?,
        }
        let delete = |to| Request::delete("delete_key", to);
        let reply = match self.foundry.send(delete, BINDINGS, Some(&key.id.0), "").await {
            Ok(reply) => reply,
            Err(error) => {
                let is_gone = is_gone(&error);
                return refused_deletion(error, is_gone);
            }
        };
        let Some(location) = &reply.location else {
            return self.confirm_gone(key, "accepted without a job").await;
        };
        match self.foundry.follow(location).await.map_err(Failure::ambiguous)? {
            Ended::Complete(_) => Ok(()),
            Ended::Failed(why) => self.confirm_gone(key, &format!("the job failed: {why}")).await,
            Ended::Lost => self.confirm_gone(key, "the job is gone").await,
        }
    }

    async fn access(&self) -> Access {
        self.may_write().await.unwrap_or_else(|failure| Access::Unknown(failure.to_string()))
    }
}

fn errors(reply: &Reply) -> Vec<Value> {
    match reply.value().and_then(|mut value| value.get_mut("errors").map(Value::take)) {
        Some(Value::Array(errors)) => errors,
        _ => Vec::new(),
    }
}

/// The details of an error, in lower case.
fn details(reply: &Reply) -> String {
    let details: Vec<_> = errors(reply)
        .iter()
        .filter_map(|error| error.get("detail")?.as_str().map(str::to_lowercase))
        .collect();
    details.join(" ")
}

/// Whether Cloud Foundry itself says that the thing does not exist. A 404 from anybody on the way is no such word.
fn is_gone(error: &HttpError) -> bool {
    let says_so = |error: &Value| error.get("code").and_then(Value::as_i64) == Some(NOT_FOUND);
    error.status == Some(404) && error.reply.as_deref().is_some_and(|reply| errors(reply).iter().any(says_so))
}

/// A failure in which a 404 of unknown origin is not mistaken for an answer.
fn unless_missing(error: HttpError) -> Failure {
    let is_gone = is_gone(&error);
    crate::issuer::binding::unless_missing(error, is_gone)
}
