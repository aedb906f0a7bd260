//! A second technical user with the roles of the first takes its place: how those of the wallet are replaced, which the
//! portal cannot reset, and any that nothing is linked to.

use std::sync::Arc;

use super::backend::{Backend, refused, unless_missing};
use super::user::User;
use crate::domain::Timestamp;
use crate::domain::failure::{Class, Failure};
use crate::domain::key::{Key, KeyState, Sighting, Sightings};
use crate::domain::names::{CredentialId, KeyId, KeyName, Role};
use crate::http::error::HttpError;
use crate::issuer::binding::{Ended, Job, see_through};
use crate::ports::{Access, Issuer};
use crate::secret::ServiceKey;

/// One credential whose technical users take turns.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose they are.
    pub credential: CredentialId,
    /// The portal's id of the first one, which a person made.
    pub user: String,
    /// When its secret was made, where the operator says so.
    pub since: Option<Timestamp>,
}

/// The issuer of technical users that take turns.
pub struct SecondUser {
    backend: Arc<Backend>,
    settings: Settings,
}

impl SecondUser {
    /// The issuer for one credential.
    pub fn new(backend: Arc<Backend>, settings: Settings) -> Self {
        Self { backend, settings }
    }

    /// The technical users of this credential: the first one, and those of our names.
    async fn users(&self) -> Result<(Vec<User>, Option<Timestamp>), Failure> {
        let (mut users, date) = self.backend.list().await?;
        users.retain(|user| self.is_mine(user) && user.state.is_some());
        Ok((users, date))
    }

    fn is_mine(&self, user: &User) -> bool {
        user.id == self.settings.user || KeyName(user.name.clone()).is_of(&self.settings.credential)
    }

    fn key(&self, user: &User, made_at: Option<Timestamp>) -> Key {
        let created_at =
            if user.id == self.settings.user { self.settings.since.or(made_at) } else { made_at };
        Key { id: KeyId(user.id.clone()), name: KeyName(user.name.clone()), created_at, expires_at: None }
    }

    /// The roles of the one in use: the newest of ours, or else the first one.
    async fn roles(&self) -> Result<Vec<String>, Failure> {
        let (users, _) = self.users().await?;
        let generation =
            |user: &&User| KeyName(user.name.clone()).parse_ours().map_or(0, |ours| ours.generation);
        let ready = users.iter().filter(|user| user.state == Some(KeyState::Ready));
        let refuse =
            |why: &str| Failure::new(Class::ClientError, format!("no second technical user is made: {why}"));
        let newest = ready
            .max_by_key(generation)
            .ok_or_else(|| refuse("there is no active one to take the roles from"))?;
        let Some((own, _)) = self.backend.get(&newest.id).await? else {
            return Err(refuse("the one in use is gone"));
        };
        if own.roles.is_empty() {
            return Err(refuse("the portal does not say which roles the one in use has"));
        }
        Ok(own.roles)
    }

    /// Follows the making of a technical user until it can be used.
    async fn ready(&self, made: &User, name: &KeyName) -> Result<(), Failure> {
        let look = || async {
            match self.backend.get(&made.id).await {
                Ok(Some((user, _))) if user.state == Some(KeyState::Ready) && user.client_id.is_some() => {
                    Ok(Job::Complete(None))
                }
                Ok(Some((user, _))) if user.state == Some(KeyState::Busy) => Ok(Job::Running),
                Ok(_) => Ok(Job::Failed("it is gone".to_owned())),
                Err(failure) => Err(HttpError::new(failure.class, failure.cause)),
            }
        };
        let ended = see_through(&self.backend.http, self.backend.patience, &name.0, look).await;
        match ended.map_err(Failure::ambiguous)? {
            Ended::Complete(_) => Ok(()),
            Ended::Failed(why) => {
                Err(Failure::new(Class::ServerError, format!("creating `{name}`: {why}")).ambiguous())
            }
            Ended::Lost => {
                Err(Failure::new(Class::ServerError, format!("creating `{name}`: it is lost")).ambiguous())
            }
        }
    }
}

#[async_trait::async_trait]
impl Issuer for SecondUser {
    async fn list(&self) -> Result<Sightings, Failure> {
        let (users, date) = self.users().await?;
        let seen = |user: &User| {
            let first_seen = date.filter(|_| user.id == self.settings.user);
            user.state.map(|state| Sighting { key: self.key(user, first_seen), state })
        };
        Ok(Sightings::from([(Role::Sole, users.iter().filter_map(seen).collect())]))
    }

    async fn create(&self, role: Role, name: &KeyName) -> Result<Key, Failure> {
        let roles = self.roles().await?;
        let what_for = format!("made by rekeyd for {}", self.settings.credential);
        let (made, date) = self.backend.create(name, &what_for, &roles).await.map_err(|error| {
            let is_taken = error.status == Some(409);
            let mut failure = refused(error, role);
            failure.effect_unknown |= is_taken;
            failure
        })?;
        if made.state != Some(KeyState::Ready) || made.client_id.is_none() {
            self.ready(&made, name).await?;
        }
        Ok(self.key(&made, date))
    }

    async fn read(&self, _role: Role, key: &Key) -> Result<Arc<ServiceKey>, Failure> {
        let refuse =
            |why: &str| Failure::new(Class::Conflict, format!("`{}` cannot be read: {why}", key.name));
        let (user, _) = self.backend.get(&key.id.0).await?.ok_or_else(|| refuse("it is gone"))?;
        let secret = user.secret.as_ref().ok_or_else(|| refuse("the portal does not show its secret"))?;
        self.backend.key_of(&user, secret).map(Arc::new)
    }

    async fn delete(&self, _role: Role, key: &Key) -> Result<(), Failure> {
        let Some((seen, _)) = self.backend.get(&key.id.0).await? else { return Ok(()) };
        if seen.state.is_none() || seen.state == Some(KeyState::Deleting) {
            return Ok(());
        }
        if seen.name != key.name.0 || !self.is_mine(&seen) {
            let text = format!("`{}` is not deleted: its id leads to `{}`", key.name, seen.name);
            return Err(Failure::new(Class::ClientError, text));
        }
        if let Err(error) = self.backend.delete(&key.id.0).await {
            let status = error.status;
            let advised = match status {
                Some(403) => error
                    .advising("the login may not delete technical users: delete it in the portal by hand"),
                Some(409) => error.advising("it is linked to a connector or a subscription, or not active"),
                _ => error,
            };
            return match self.backend.get(&key.id.0).await {
                Ok(None) if status == Some(404) => Ok(()),
                _ => Err(unless_missing(advised)),
            };
        }
        match self.backend.get(&key.id.0).await.map_err(Failure::ambiguous)? {
            None => Ok(()),
            // It takes its time; the list shows when it is gone.
            Some((left, _)) if left.state.is_none() || left.state == Some(KeyState::Deleting) => Ok(()),
            Some(_) => {
                let text = format!("deleting `{}`: accepted, and it is still there", key.name);
                Err(Failure::new(Class::ServerError, text).ambiguous())
            }
        }
    }

    async fn access(&self) -> Access {
        Access::Unknown("the portal does not say which roles a login has".to_owned())
    }
}
