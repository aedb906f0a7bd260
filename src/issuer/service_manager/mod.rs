//! Service bindings of SAP Service Manager, for instances outside Cloud Foundry (facts: Service Manager). A binding is
//! a key in our words.
//!
//! As at Cloud Foundry only *create* is not idempotent, and what is unclear about it ends with a look for the name. What
//! is different: a binding whose making failed keeps its name until somebody deletes it, so that is done here.

pub mod binding;
pub mod manager;

#[cfg(test)]
mod malformed_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use self::manager::Manager;
use crate::domain::failure::{Class, Failure};
use crate::domain::key::{Key, KeyState, Sightings};
use crate::domain::names::{CredentialId, KeyName, Role};
use crate::http::error::HttpError;
use crate::http::request::{Reply, Request};
use crate::issuer::binding::{
    Binding, Ended, answered, apart, by_role, is_made, must_be_gone, must_be_meant, only, refused_deletion,
    service_key,
};
use crate::ports::Issuer;
use crate::secret::ServiceKey;

/// One credential at Service Manager.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose keys they are; written beside them as label.
    pub credential: CredentialId,
    /// The GUID of the service instance of each role; no two roles share one.
    pub instances: BTreeMap<Role, String>,
}

/// The issuer of one credential's keys at Service Manager.
pub struct ServiceManager {
    manager: Arc<Manager>,
    settings: Settings,
}

impl ServiceManager {
    /// The issuer for one credential.
    pub fn new(manager: Arc<Manager>, settings: Settings) -> Self {
        Self { manager, settings }
    }

    fn instance(&self, role: Role) -> Result<&String, Failure> {
        self.settings.instances.get(&role).ok_or_else(|| {
            Failure::new(Class::ClientError, format!("there is no service instance for the role `{role}`"))
        })
    }

    /// The one key of this name. None, several or an unfinished one leave open what the create did.
    async fn find(&self, instance: &str, name: &KeyName, context: &str) -> Result<Key, Failure> {
        let found = self.manager.named(instance, &name.0).await.map_err(Failure::ambiguous)?;
        only(&found, name, context)
    }

    /// The key with this id; `None` where Service Manager itself says that there is none.
    async fn get(&self, id: &str) -> Result<Option<Binding>, Failure> {
        match self.manager.send(|to| Request::get("read_key", to), Some(id)).await {
            Ok(reply) => Ok(Some(binding::binding(&reply.json()?).map_err(|why| reply.unreadable(why))?)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(unless_missing(error)),
        }
    }

    /// What came of making the key `id`, where the operation was seen through.
    async fn made(&self, instance: &str, name: &KeyName, ended: Ended, id: &str) -> Result<Key, Failure> {
        let context = match ended {
            Ended::Complete(_) => "the operation is over",
            Ended::Failed(why) => return self.failed(instance, name, id, &why).await,
            Ended::Lost => "the operation is gone",
        };
        match self.get(id).await {
            Ok(Some(made)) if is_made(&made, instance, name) => Ok(made.seen.key),
            _ => self.find(instance, name, context).await,
        }
    }

    /// The operation says that the key could not be made: what is half made is deleted before anybody tries again.
    async fn failed(&self, instance: &str, name: &KeyName, id: &str, why: &str) -> Result<Key, Failure> {
        let found = self.manager.named(instance, &name.0).await.map_err(Failure::ambiguous)?;
        let made = only(&found, name, &format!("the operation failed: {why}"));
        let mut failure = match made {
            Ok(key) => return Ok(key),
            Err(failure) => answered(failure),
        };
        if let [half] = found.as_slice()
            && (half.seen.state == KeyState::Broken
                || (half.seen.state == KeyState::Busy && half.seen.key.id.0 == id))
        {
            failure.class = Class::ClientError;
            failure.cause = format!("{}; {}", failure.cause, self.clear(half).await);
        }
        Err(failure)
    }

    /// Deletes a key that could not be made, whose name is the one that was to be made here. Says what came of it.
    async fn clear(&self, half: &Binding) -> String {
        let key = &half.seen.key;
        match self.delete_one(key).await {
            Ok(()) => "what was half made is deleted".to_owned(),
            Err(failure) => format!("what is half made could not be deleted: {failure}"),
        }
    }

    /// What a refused create means. Which status says that a name is taken is not told for every release, so the state
    /// is read again.
    async fn refused(&self, instance: &str, name: &KeyName, error: HttpError) -> Failure {
        let is_taken = error.status == Some(409);
        if !is_taken && !matches!(error.status, Some(400 | 422)) {
            return error.into();
        }
        let said = error.reply.as_deref().map(description).unwrap_or_default();
        let mut failure = Failure::from(error);
        if !is_taken && said.contains("quota") {
            return failure;
        }
        let found = self.manager.named(instance, &name.0).await;
        if let Ok([half]) = found.as_deref()
            && half.seen.state == KeyState::Broken
        {
            failure.class = Class::Conflict;
            failure.cause = format!("{}; {}", failure.cause, self.clear(half).await);
        } else if is_taken || said.contains("same name") || !found.is_ok_and(|found| found.is_empty()) {
            // The name is ours and was free before: an earlier attempt may have taken effect.
            failure.class = Class::Conflict;
            failure.effect_unknown = true;
        } else if said.contains("in progress") || said.contains("being deleted") {
            failure.class = Class::Conflict;
        }
        failure
    }

    /// Deletes a key by its id and sees it through.
    async fn delete_one(&self, key: &Key) -> Result<(), Failure> {
        let reply = match self.manager.send(|to| Request::delete("delete_key", to), Some(&key.id.0)).await {
            Ok(reply) => reply,
            Err(error) => {
                let is_gone = is_gone(&error);
                return refused_deletion(error, is_gone);
            }
        };
        let Some(location) = reply.location.as_deref().filter(|_| reply.status == 202) else {
            let is_done = reply.status == 200 && reply.value().is_some_and(|value| value.is_object());
            return if is_done { Ok(()) } else { self.confirm_gone(key, "accepted without a word").await };
        };
        let followed = self.manager.follow(location, Some(&key.id.0)).await;
        match followed.map_err(Failure::ambiguous)?.0 {
            Ended::Complete(_) => Ok(()),
            Ended::Failed(why) => self.confirm_gone(key, &format!("the operation failed: {why}")).await,
            Ended::Lost => self.confirm_gone(key, "the operation is gone").await,
        }
    }

    /// After a deletion: gone, or not known to be.
    async fn confirm_gone(&self, key: &Key, what: &str) -> Result<(), Failure> {
        must_be_gone(self.get(&key.id.0).await, key, what)
    }
}

#[async_trait::async_trait]
impl Issuer for ServiceManager {
    async fn list(&self) -> Result<Sightings, Failure> {
        let instances = &self.settings.instances;
        let found = self.manager.list(&apart(instances)?).await?;
        Ok(by_role(instances, &found))
    }

    async fn create(&self, role: Role, name: &KeyName) -> Result<Key, Failure> {
        let instance = self.instance(role)?;
        let body = json!({
            "name": name.0,
            "service_instance_id": instance,
            "labels": {
                "managed-by": ["rekeyd"],
                "rekeyd-credential": [self.settings.credential.to_string()],
            },
        });
        let post = |to| Request::post("create_key", to).json(body);
        let reply = match self.manager.send(post, None).await {
            Ok(reply) => reply,
            Err(error) => return Err(self.refused(instance, name, error).await),
        };
        if reply.status != 202 {
            let made = reply.value().and_then(|value| binding::binding(&value).ok());
            return match made {
                Some(made) if is_made(&made, instance, name) => Ok(made.seen.key),
                _ => self.find(instance, name, "answered at once").await,
            };
        }
        let Some(location) = &reply.location else {
            return self.find(instance, name, "accepted without an operation").await;
        };
        let (ended, id) = self.manager.follow(location, None).await.map_err(Failure::ambiguous)?;
        self.made(instance, name, ended, &id).await
    }

    async fn read(&self, role: Role, key: &Key) -> Result<Arc<ServiceKey>, Failure> {
        let get = |to| Request::get("read_key", to);
        let reply = self.manager.send(get, Some(&key.id.0)).await.map_err(unless_missing)?;
        Ok(Arc::new(service_key(&reply, role, key)?))
    }

    async fn delete(&self, role: Role, key: &Key) -> Result<(), Failure> {
        let instance = self.instance(role)?;
        match self.get(&key.id.0).await? {
            None => return Ok(()),
            Some(seen) => must_be_meant(&seen, instance, key)?,
        }
        self.delete_one(key).await
    }
}

/// What an error says, in lower case. What the broker said is left out.
fn description(reply: &Reply) -> String {
    let text = reply.value().and_then(|value| Some(value.get("description")?.as_str()?.to_lowercase()));
    text.unwrap_or_default()
}

/// Whether Service Manager itself says that the thing does not exist. A 404 from anybody on the way is no such word;
/// one of the platform's router is an outage, and has another class.
fn is_gone(error: &HttpError) -> bool {
    let says_so = |reply: &Reply| {
        reply.value().is_some_and(|value| {
            let names_it = value.get("error").is_some_and(Value::is_string);
            names_it || (reply.status == 410 && value.is_object())
        })
    };
    error.class == Class::NotFound
        && matches!(error.status, Some(404 | 410))
        && error.reply.as_deref().is_some_and(says_so)
}

/// A failure in which a 404 of unknown origin is not mistaken for an answer.
fn unless_missing(error: HttpError) -> Failure {
    let is_gone = is_gone(&error);
    crate::issuer::binding::unless_missing(error, is_gone)
}
