//! A technical user that keeps its name and gets another secret. The old one is dead at that moment, so what matters is
//! that the fresh one is never lost.
//!
//! The intent, with the mark of the secret in use, is sealed on disk before the reset, and the fresh secret before the
//! answer is given on. A mark at the portal that is neither the old one nor known is what the intent brought about.

use std::path::PathBuf;
use std::sync::Arc;

use super::backend::{Backend, refused};
use super::ledger::{Intent, Ledger, Page};
use super::user::{Kind, User};
use crate::domain::Timestamp;
use crate::domain::failure::{Class, Failure};
use crate::domain::key::{Key, KeyState, Sighting, Sightings};
use crate::domain::names::{CredentialId, KeyId, KeyName, Role};
use crate::ports::{Access, Issuer};
use crate::secret::seal::Sealer;
use crate::secret::{Secret, ServiceKey};

/// One credential whose secret is reset in place.
pub struct Settings {
    /// Whose it is.
    pub credential: CredentialId,
    /// The portal's id of the technical user.
    pub user: String,
    /// When its secret was last reset, where the operator says so.
    pub since: Option<Timestamp>,
    /// Whether rekeyd may reset it; a person does otherwise.
    pub may_reset: bool,
    /// The file that is sealed.
    pub ledger: PathBuf,
    /// What it is sealed with.
    pub seal_key: Secret,
}

/// The issuer of a secret that is reset in place.
pub struct InPlace {
    backend: Arc<Backend>,
    ledger: Ledger,
    settings: Settings,
}

impl InPlace {
    /// The issuer for one credential.
    pub fn new(backend: Arc<Backend>, settings: Settings) -> Result<Self, Failure> {
        let context = format!("{} {}", settings.credential, settings.user);
        let sealer = Sealer::new(&settings.seal_key, &context)
            .map_err(|why| Failure::new(Class::ServerError, why.to_string()))?;
        let ledger = Ledger::new(settings.ledger.clone(), sealer, &settings.user);
        Ok(Self { backend, ledger, settings })
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        let Some((user, date)) = self.backend.get(&self.settings.user).await? else { return Ok(None) };
        let page = self.ledger.load().await?;
        let secret = match (&user.secret, page.last()) {
            (Some(secret), _) => secret.clone(),
            // Who may not see it goes by what was sealed, as long as nothing is open.
            (None, Some(sealed)) if page.intent.is_none() => sealed,
            (None, _) => {
                let text =
                    "the portal does not show the secret of the technical user: the login may not see it";
                return Err(Failure::new(Class::Forbidden, text));
            }
        };
        let mark = secret.mark(&self.settings.user);
        Ok(Some(Seen { user, date, page, secret, mark }))
    }

    /// Writes down what a reset made that was not seen through, so that a later reset is not taken for it.
    async fn settle(&self, seen: &mut Seen) -> Result<(), Failure> {
        let Some(intent) = seen.page.fulfilled(&seen.mark) else { return Ok(()) };
        let name = intent.name.clone();
        seen.page.keep(name, seen.mark.clone(), seen.date, &seen.secret);
        self.ledger.save(seen.page.clone()).await
    }

    fn key(&self, seen: &Seen) -> Key {
        let id = KeyId(format!("{}#{}", self.settings.user, seen.mark));
        let (name, made_at) = if let Some((name, made_at)) = seen.page.known(&seen.mark) {
            (name.clone(), made_at.or(seen.date))
        } else {
            // Older than it looks, or not: it counts from the day on which it was first seen.
            let client = seen.user.client_id.as_deref().unwrap_or("technical-user");
            (KeyName(format!("{client}-{}", seen.mark)), self.settings.since.or(seen.date))
        };
        Key { id, name, created_at: made_at, expires_at: None }
    }

    fn missing() -> Failure {
        Failure::new(Class::ClientError, "the portal does not know this technical user")
    }

    /// Refuses what a reset would only break.
    fn may_be_reset(user: &User) -> Result<(), Failure> {
        let refuse =
            |why: &str| Err(Failure::new(Class::ClientError, format!("`{}` is not reset: {why}", user.name)));
        if user.kind == Kind::External {
            return refuse(
                "the portal cannot reset a technical user of the wallet; use `replace = \"second-user\"`",
            );
        }
        if user.of_provider {
            return refuse(
                "it belongs to the provider of the app, who has to reset it: open a ticket, and use `replace = \"by-hand\"`",
            );
        }
        if user.state != Some(KeyState::Ready) {
            return refuse("the portal says that it is not active");
        }
        Ok(())
    }

    async fn reset(&self, role: Role, name: &KeyName, seen: Seen) -> Result<Key, Failure> {
        let (told, mut date) =
            self.backend.reset(&self.settings.user).await.map_err(|error| refused(error, role))?;
        let secret = if let Some(secret) = told {
            secret
        } else {
            // It was reset, and the answer does not say what to.
            let again = self.look().await.map_err(Failure::ambiguous)?.ok_or_else(Self::missing)?;
            date = again.date;
            again.secret
        };
        let mark = secret.mark(&self.settings.user);
        if mark == seen.mark {
            let text = "the portal answered the reset with the secret of before";
            return Err(Failure::new(Class::Decode, text).ambiguous());
        }
        let mut page = seen.page.clone();
        page.keep(name.clone(), mark.clone(), date, &secret);
        // Where this fails, the portal still has the secret, and the intent on disk says whose it is.
        self.ledger.save(page.clone()).await.map_err(Failure::ambiguous)?;
        Ok(self.key(&Seen { date, page, secret, mark, ..seen }))
    }

    fn by_hand(name: &KeyName, user: &User) -> Failure {
        let client = user.client_id.as_deref().unwrap_or("without a client id");
        let text = format!(
            "the secret `{name}` is a person's to make: in the portal, under Technical User Management, reset the secret of the \
             technical user `{}` (client `{client}`), and be at hand: the one in use stops working at that moment, and rekeyd \
             gives the fresh one on as soon as it sees it",
            user.name
        );
        Failure::new(Class::NotFound, text)
    }
}

/// What a look at the technical user showed.
struct Seen {
    user: User,
    /// When, on the portal's clock.
    date: Option<Timestamp>,
    page: Page,
    /// The secret in force.
    secret: Secret,
    mark: String,
}

#[async_trait::async_trait]
impl Issuer for InPlace {
    async fn list(&self) -> Result<Sightings, Failure> {
        let mut found = Vec::new();
        if let Some(mut seen) = self.look().await? {
            if self.ledger.is_ours().await {
                self.settle(&mut seen).await?;
            }
            found.extend(seen.user.state.map(|state| Sighting { key: self.key(&seen), state }));
        }
        Ok(Sightings::from([(Role::Sole, found)]))
    }

    async fn create(&self, role: Role, name: &KeyName) -> Result<Key, Failure> {
        let mut seen = self.look().await?.ok_or_else(Self::missing)?;
        self.settle(&mut seen).await?;
        if seen.page.known(&seen.mark).is_some_and(|(known, _)| known == name) {
            // An earlier attempt took effect.
            return Ok(self.key(&seen));
        }
        if self.settings.may_reset {
            Self::may_be_reset(&seen.user)?;
        }
        let intent = Intent { name: name.clone(), before: seen.mark.clone() };
        if seen.page.intent.as_ref() != Some(&intent) {
            seen.page.intent = Some(intent);
            self.ledger.save(seen.page.clone()).await?;
        }
        if self.settings.may_reset {
            self.reset(role, name, seen).await
        } else {
            Err(Self::by_hand(name, &seen.user))
        }
    }

    async fn read(&self, _role: Role, key: &Key) -> Result<Arc<ServiceKey>, Failure> {
        let seen = self.look().await?.ok_or_else(Self::missing)?;
        if self.key(&seen).id != key.id {
            let text =
                format!("`{}` is not the secret in force any more, and no other one can be read", key.name);
            return Err(Failure::new(Class::Conflict, text));
        }
        self.backend.key_of(&seen.user, &seen.secret).map(Arc::new)
    }

    /// There is nothing to delete: a secret ends with the one that takes its place, and the technical user stays.
    async fn delete(&self, _role: Role, key: &Key) -> Result<(), Failure> {
        match self.look().await? {
            Some(seen) if self.key(&seen).id == key.id => {
                let text =
                    format!("`{}` is in force: a technical user is never deleted for its secret", key.name);
                Err(Failure::new(Class::ClientError, text))
            }
            _ => Ok(()),
        }
    }

    async fn access(&self) -> Access {
        Access::Unknown("the portal does not say which roles a login has".to_owned())
    }
}
