//! What rekeyd keeps of the secrets of one technical user, since the portal knows neither names nor dates: sealed, in
//! one file, written whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::disk;
use crate::domain::Timestamp;
use crate::domain::failure::{Class, Failure};
use crate::domain::names::KeyName;
use crate::secret::Secret;
use crate::secret::seal::Sealer;

/// More secrets of one technical user are not remembered; of all but the last one only their marks are.
const REMEMBERED: usize = 24;

/// The largest file that can be one.
const LIMIT: u64 = 64 << 10;

/// A reset that was, or is to be, asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intent {
    /// The name of what it makes.
    pub(super) name: KeyName,
    /// The mark of the secret before it.
    pub(super) before: String,
}

/// A secret that rekeyd made or saw made.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) name: KeyName,
    /// What tells it from others.
    pub(super) mark: String,
    /// When it was made, on the portal's clock.
    pub(super) made_at: Option<Timestamp>,
    /// Itself, where it is the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// Everything that is remembered.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Page {
    /// Whose secrets these are.
    #[serde(default)]
    pub(super) user: String,
    #[serde(default)]
    pub(super) intent: Option<Intent>,
    #[serde(default)]
    kept: Vec<Kept>,
}

impl Page {
    /// What is known of the secret with this mark. One that nobody knows and that came after an intent is what the
    /// reset made.
    pub(super) fn known(&self, mark: &str) -> Option<(&KeyName, Option<Timestamp>)> {
        let kept = self.kept.iter().rev().find(|kept| kept.mark == mark);
        kept.map(|kept| (&kept.name, kept.made_at))
            .or_else(|| self.fulfilled(mark).map(|intent| (&intent.name, None)))
    }

    /// The intent that brought about the secret with this mark.
    pub(super) fn fulfilled(&self, mark: &str) -> Option<&Intent> {
        let is_known = self.kept.iter().any(|kept| kept.mark == mark);
        self.intent.as_ref().filter(|intent| !is_known && intent.before != mark)
    }

    /// The last secret that was kept.
    pub(super) fn last(&self) -> Option<Secret> {
        self.kept.last()?.secret.clone().map(Secret::new)
    }

    /// Keeps a secret, and forgets the intent that it fulfils.
    pub(super) fn keep(&mut self, name: KeyName, mark: String, made_at: Option<Timestamp>, secret: &Secret) {
        for kept in &mut self.kept {
            kept.secret = None;
        }
        self.kept.retain(|kept| kept.mark != mark);
        self.kept.push(Kept { name, mark, made_at, secret: Some(secret.expose().to_owned()) });
        let surplus = self.kept.len().saturating_sub(REMEMBERED);
        self.kept.drain(..surplus);
        self.intent = None;
    }
}

/// The file of one credential.
pub(super) struct Ledger {
    path: PathBuf,
    sealer: Arc<Sealer>,
    user: String,
}

impl Ledger {
    pub(super) fn new(path: PathBuf, sealer: Sealer, user: &str) -> Self {
        Self { path, sealer: Arc::new(sealer), user: user.to_owned() }
    }

    /// What is remembered; nothing where there is no file, or one of another technical user.
    pub(super) async fn load(&self) -> Result<Page, Failure> {
        let (path, sealer, user) = (self.path.clone(), Arc::clone(&self.sealer), self.user.clone());
        off_the_runtime(move || load(&path, &sealer, &user)).await
    }

    /// Remembers. It is on disk when this returns.
    pub(super) async fn save(&self, page: Page) -> Result<(), Failure> {
        let page = Page { user: self.user.clone(), ..page };
        let text = serde_json::to_string(&page).map(Secret::new);
        let text =
            text.map_err(|_| Failure::new(Class::ClientError, "what is to be sealed cannot be written"))?;
        let bytes =
            self.sealer.seal(&text).map_err(|why| Failure::new(Class::ServerError, why.to_string()))?;
        disk::put(self.path.clone(), bytes).await.map_err(|error| at(&self.path, &error))
    }

    /// Whether the file is this process's to write: who looks on as another user leaves it alone.
    pub(super) async fn is_ours(&self) -> bool {
        let path = self.path.clone();
        let owner = off_the_runtime(move || Ok(fs::metadata(&path).map(|file| file.uid()).ok())).await;
        matches!(owner, Ok(Some(owner)) if owner == nix::unistd::geteuid().as_raw())
    }
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| {
        Err(Failure::new(Class::ServerError, "the sealed file: the work on it broke off"))
    })
}

fn load(path: &Path, seal: &Sealer, user: &str) -> Result<Page, Failure> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Page::default()),
        Err(error) => return Err(at(path, &error)),
        Ok(file) => file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| at(path, &error))?,
    };
    let refuse = |why: String| {
        let text = format!(
            "`{}` cannot be used: {why}; put the seal key back that it was written with, or, if that is lost, move the \
             file away: the secret itself can be read at the portal, and is then taken for one that rekeyd did not make",
            path.display()
        );
        Failure::new(Class::ClientError, text)
    };
    if bytes.len() as u64 > LIMIT {
        return Err(refuse("it is larger than 64 kB".to_owned()));
    }
    let text = seal.open(&bytes).map_err(|why| refuse(why.to_string()))?;
    let page: Page =
        serde_json::from_str(text.expose()).map_err(|_| refuse("what is in it cannot be read".to_owned()))?;
    Ok(if page.user == user { page } else { Page::default() })
}

fn at(path: &Path, error: &io::Error) -> Failure {
    let class = match error.kind() {
        io::ErrorKind::PermissionDenied => Class::Forbidden,
        _ => Class::ServerError,
    };
    Failure::new(class, format!("`{}`: {error}", path.display()))
}
