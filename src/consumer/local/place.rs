//! A file that is there whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::config::tenant::Owner;
use crate::domain::failure::{Class, Failure};
use crate::secret::Secret;

/// A file, and whose it is.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) owner: Owner,
}

impl Target {
    /// Writes the key and puts it in its place in one step. What was there stays until then, and is gone after that.
    pub(super) async fn write(&self, document: &Secret) -> Result<(), Failure> {
        let (target, document) = (self.clone(), document.clone());
        let done = tokio::task::spawn_blocking(move || target.replace(document.expose())).await;
        let done = done.unwrap_or_else(|_| Err(io::Error::other("writing broke off")));
        done.map_err(|error| {
            let text = format!("`{}` cannot be written: {error}", self.path.display());
            // It may be in its place already, and not yet be on disk.
            Failure::new(Class::ServerError, text).ambiguous()
        })
    }

    fn replace(&self, document: &str) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let aside = folder.join(format!(".{name}.rekeyd"));
        // What a crash left here was never in its place.
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let written = self.fill(&aside, document).and_then(|()| fs::rename(&aside, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        written?;
        File::open(folder)?.sync_all()
    }

    fn fill(&self, aside: &Path, document: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(aside)?;
        file.write_all(document.as_bytes())?;
        file.write_all(b"\n")?;
        if self.owner != Owner::default() {
            fchown(&file, self.owner.user, self.owner.group)?;
        }
        // Last, so that nobody reads what is not whole, and after the owner, which clears some bits.
        file.set_permissions(Permissions::from_mode(self.mode))?;
        file.sync_all()
    }
}
