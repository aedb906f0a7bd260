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

pub use self::place::{Owner, Target};
pub use self::program::Program;
use super::token;
use crate::domain::evidence::Grade;
use crate::domain::failure::{Class, Failure};
use crate::domain::names::Role;
use crate::domain::observation::{Content, Status, Verdict};
use crate::http::Http;
use crate::ports::{Accepted, Consumer};
use crate::secret::ServiceKey;

/// How the key reaches its consumer.
#[derive(Debug, Clone)]
pub enum Way {
    /// It is written to a file, and a program may be run after that.
    File {
        /// The file.
        target: Target,
        /// What makes the consumer read it again.
        reload: Option<Program>,
    },
    /// It is given to a program, on its standard input.
    Command(Program),
    /// A person takes it from the issuer.
    Person,
}

/// A consumer beside rekeyd.
pub struct Local {
    http: Arc<Http>,
    way: Way,
    check: Option<Program>,
}

impl Local {
    /// The consumer that is reached by `way` and looked at with `check`.
    pub fn new(http: Arc<Http>, way: Way, check: Option<Program>) -> Self {
        Self { http, way, check }
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
        match &self.way {
            Way::File { target, reload } => {
                target.write(&key.document).await?;
                if let Some(reload) = reload {
                    // The file is in its place whatever comes of this.
                    reload.run("reload", None).await.map_err(Failure::ambiguous)?;
                }
            }
            Way::Command(deliver) => deliver.run("deliver", Some(&key.document)).await?,
            Way::Person => {}
        }
        Ok(Accepted::default())
    }

    async fn provision(&self) -> Result<Accepted, Failure> {
        Err(Failure::new(Class::NotFound, "this consumer cannot be asked to provision"))
    }

    async fn status(&self) -> Result<Status, Failure> {
        let Some(check) = &self.check else {
            return Err(Failure::new(
                Class::NotFound,
                "this consumer says nothing: no `check` is configured",
            ));
        };
        let at = Some(self.http.clock().now());
        let (verdict, word, detail) = match check.try_run("check", None).await? {
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
