//! Keys that a person makes and drops into a folder: `<folder>/<role>/<name>.json`, exactly as downloaded.
//!
//! The folder stands in for the issuer. What it says about age comes from the key itself: the time of a file is the
//! time of a copy. Deleting moves the file to `<folder>/retired/`; at SAP a person deletes the key.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::failure::{Class, Failure};
use crate::domain::key::{Key, KeyState, Sighting, Sightings};
use crate::domain::names::{KeyId, KeyName, Role};
use crate::http::redact;
use crate::ports::Issuer;
use crate::secret::{Secret, ServiceKey};

/// The largest file that can be a key; a key with a certificate chain has about 8 kB.
const KEY_LIMIT: u64 = 64 << 10;

/// More files than this in one folder are not a rotation.
const FILES: usize = 1000;

/// Where the keys of one credential are dropped.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder, with one folder per role in it.
    pub folder: PathBuf,
    /// The roles.
    pub roles: BTreeSet<Role>,
}

/// The issuer that is a folder and a person.
pub struct Folder(Arc<Settings>);

impl Folder {
    /// The issuer for one folder.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(settings))
    }

    /// Runs on a thread where reading a disk holds nobody up.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Settings) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let settings = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&settings)).await;
        done.unwrap_or_else(|_| Err(Failure::new(Class::ServerError, "reading the key folder broke off")))
    }
}

#[async_trait::async_trait]
impl Issuer for Folder {
    async fn list(&self) -> Result<Sightings, Failure> {
        self.run(|settings| {
            let mut found = BTreeMap::new();
            for role in &settings.roles {
                found.insert(*role, settings.list(*role)?);
            }
            Ok(found)
        })
        .await
    }

    /// Always a failure of the class `NotFound`: it says which key a person must drop where.
    async fn create(&self, role: Role, name: &KeyName) -> Result<Key, Failure> {
        let path = self.0.path(role, name)?;
        let text = format!(
            "the key `{name}` must be made by hand: create a service key of this name for role `{role}` and put it, \
             as downloaded and with mode 0600, at `{}`",
            path.display()
        );
        Err(Failure::new(Class::NotFound, text))
    }

    async fn read(&self, role: Role, key: &Key) -> Result<Arc<ServiceKey>, Failure> {
        let name = key.name.clone();
        self.run(move |settings| settings.read(&settings.path(role, &name)?).map(Arc::new)).await
    }

    async fn delete(&self, role: Role, key: &Key) -> Result<(), Failure> {
        let name = key.name.clone();
        self.run(move |settings| settings.retire(role, &name)).await
    }
}

impl Settings {
    fn path(&self, role: Role, name: &KeyName) -> Result<PathBuf, Failure> {
        let text = &name.0;
        let is_plain = !text.is_empty()
            && text.len() <= 200
            && !text.starts_with('.')
            && !text.contains(|letter: char| letter == '/' || letter.is_control());
        if !is_plain {
            return Err(Failure::new(Class::ClientError, "a key name that cannot be a file name"));
        }
        Ok(self.folder.join(role.as_str()).join(format!("{text}.json")))
    }

    fn list(&self, role: Role) -> Result<Vec<Sighting>, Failure> {
        let folder = self.folder.join(role.as_str());
        let entries = fs::read_dir(&folder).map_err(|error| at(&folder, &error))?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| at(&folder, &error))?.path();
            let Some(name) = key_name(&path)? else { continue };
            if found.len() >= FILES {
                return Err(refused(&folder, "there are more than 1000 files in it"));
            }
            let read = self.read(&path)?;
            let id = KeyId(format!("{role}/{name}"));
            let key = Key { id, name, created_at: read.created_at, expires_at: read.valid_until };
            found.push(Sighting { key, state: KeyState::Ready });
        }
        found.sort_by(|left, right| left.key.id.cmp(&right.key.id));
        Ok(found)
    }

    fn read(&self, path: &Path) -> Result<ServiceKey, Failure> {
        let text = read_private(path)?;
        ServiceKey::parse(text.expose()).map_err(|why| {
            let text = format!(
                "`{}` cannot be read as a service key: {}",
                path.display(),
                redact::mask(&why.to_string())
            );
            Failure::new(Class::Decode, text)
        })
    }

    /// Moves a key aside in one step, under a name that is free.
    fn retire(&self, role: Role, name: &KeyName) -> Result<(), Failure> {
        let from = self.path(role, name)?;
        match fs::symlink_metadata(&from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The folder must be there, or its absence would pass for a deletion.
                let folder = self.folder.join(role.as_str());
                return fs::metadata(&folder).map(|_| ()).map_err(|error| at(&folder, &error));
            }
            Err(error) => return Err(at(&from, &error)),
            Ok(_) => {}
        }
        let aside = self.folder.join("retired");
        fs::create_dir_all(&aside).map_err(|error| at(&aside, &error))?;
        let to = (0..FILES)
            .map(|number| match number {
                0 => aside.join(format!("{role}-{name}.json")),
                _ => aside.join(format!("{role}-{name}.{number}.json")),
            })
            .find(|path| fs::symlink_metadata(path).is_err())
            .ok_or_else(|| refused(&aside, "no name is free in it"))?;
        fs::rename(&from, &to).map_err(|error| at(&from, &error))?;
        for folder in [&aside, &self.folder.join(role.as_str())] {
            let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|error| at(folder, &error).ambiguous())?;
        }
        Ok(())
    }
}

/// The name of the key in a file; `None` for files that are none of ours.
fn key_name(path: &Path) -> Result<Option<KeyName>, Failure> {
    let is_json = path.extension().is_some_and(|ending| ending == "json");
    match path.file_stem().map(std::ffi::OsStr::to_str) {
        Some(Some(name)) if is_json && !name.starts_with('.') => Ok(Some(KeyName(name.to_owned()))),
        Some(None) if is_json => Err(refused(path, "its name is not UTF-8")),
        _ => Ok(None),
    }
}

/// Reads a file that only its owner and group may read. What was checked is what is read, also when somebody swaps
/// the file in between.
fn read_private(path: &Path) -> Result<Secret, Failure> {
    let seen = fs::symlink_metadata(path).map_err(|error| at(path, &error))?;
    if !seen.is_file() {
        return Err(refused(path, "it is not a regular file; links are not followed"));
    }
    let file = fs::File::open(path).map_err(|error| at(path, &error))?;
    let opened = file.metadata().map_err(|error| at(path, &error))?;
    if (opened.dev(), opened.ino()) != (seen.dev(), seen.ino()) {
        return Err(refused(path, "it was replaced while it was opened"));
    }
    if opened.mode() & 0o027 != 0 {
        return Err(refused(path, "others may read it or its group may write it: set mode 0600"));
    }
    if opened.len() > KEY_LIMIT {
        return Err(refused(path, "it is larger than 64 kB"));
    }
    let mut text = String::new();
    let read = file.take(KEY_LIMIT + 1).read_to_string(&mut text);
    let text = Secret::new(text);
    match read {
        Err(error) => Err(at(path, &error)),
        Ok(length) if length as u64 > KEY_LIMIT => Err(refused(path, "it is larger than 64 kB")),
        Ok(_) => Ok(text),
    }
}

fn refused(path: &Path, why: &str) -> Failure {
    Failure::new(Class::ClientError, format!("`{}` is not used: {why}", path.display()))
}

fn at(path: &Path, error: &io::Error) -> Failure {
    let class = match error.kind() {
        io::ErrorKind::NotFound => Class::ClientError,
        io::ErrorKind::PermissionDenied => Class::Forbidden,
        io::ErrorKind::InvalidData => Class::Decode,
        _ => Class::ServerError,
    };
    Failure::new(class, format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
