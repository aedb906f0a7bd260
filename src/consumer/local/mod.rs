//! Consumers beside rekeyd: a file, a program, a person. They hold the one key of a credential.
//!
//! The delivery alone proves nothing. Where the operator names a program that looks at the consumer (`check`), each run
//! of it is the consumer's own word, as of the moment it began. Where there is none, a person has to say that the
//! consumer works with the key ([`Witness::Person`](crate::domain::policy::Witness)).

mod place;
mod program;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::place::Target;
use super::token;
use crate::config::tenant::{self, Way};
use crate::domain::evidence::Grade;
use crate::domain::failure::{Class, Failure};
use crate::domain::names::Role;
use crate::domain::observation::{Content, Status, Verdict};
use crate::http::Http;
use crate::ports::{Accepted, Consumer};
use crate::secret::ServiceKey;

/// A consumer beside rekeyd.
pub struct Local {
    http: Arc<Http>,
    settings: tenant::Local,
}

impl Local {
    /// The consumer that is configured so.
    pub fn new(http: Arc<Http>, settings: tenant::Local) -> Self {
        Self { http, settings }
    }
}

#[async_trait::async_trait]
impl Consumer for Local {
    async fn test(&self, _role: Role, key: &ServiceKey) -> Result<Grade, Failure> {
        token::fresh(&self.http, key).await?;
        Ok(Grade::Token)
    }

    async fn deliver(&self, keys: &BTreeMap<Role, Arc<ServiceKey>>) -> Result<Accepted, Failure> {
        let key = keys.get(&Role::Sole).filter(|_| keys.len() == 1);
        let key = key.ok_or_else(|| {
            Failure::new(Class::ClientError, "nothing was delivered: this consumer takes one key")
        })?;
        match &self.settings.way {
            Way::File { path, mode, owner, reload } => {
                let target = Target { path: path.clone(), mode: *mode, owner: *owner };
                target.write(&key.document).await?;
                if let Some(reload) = reload {
                    // The file is in its place whatever comes of this.
                    program::run(reload, "reload", None).await.map_err(Failure::ambiguous)?;
                }
            }
            Way::Command(deliver) => program::run(deliver, "deliver", Some(&key.document)).await?,
            Way::Manual => {}
        }
        Ok(Accepted::default())
    }

    async fn provision(&self) -> Result<Accepted, Failure> {
        Err(Failure::new(Class::NotFound, "this consumer cannot be asked to provision"))
    }

    async fn status(&self) -> Result<Status, Failure> {
        let Some(check) = &self.settings.check else {
            return Err(Failure::new(
                Class::NotFound,
                "this consumer says nothing: no `check` is configured",
            ));
        };
        let at = Some(self.http.clock().now());
        let (verdict, word, detail) = match program::try_run(check, "check", None).await? {
            Ok(()) => (Verdict::Success, "check passed".to_owned(), None),
            Err(why) => (Verdict::Error, "check failed".to_owned(), Some(why)),
        };
        Ok(Status { verdict, word, at, detail })
    }

    async fn content(&self, _ciapi: &ServiceKey) -> Result<Content, Failure> {
        Err(Failure::new(Class::NotFound, "this consumer has no integration content"))
    }

    async fn is_refused(&self, _role: Role, key: &ServiceKey) -> Result<bool, Failure> {
        token::is_refused(&self.http, key).await
    }
}
