//! Small files of rekeyd's own beside the journal: there is the old one or the new one, never a part.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Puts `bytes` in the place of what is at `path`, for nobody but this user, and returns when that is on disk. Waits for
/// the disk on a thread where that holds nobody up.
pub async fn put(path: PathBuf, bytes: Vec<u8>) -> io::Result<()> {
    let done = tokio::task::spawn_blocking(move || replace(&path, &bytes)).await;
    done.unwrap_or_else(|_| Err(io::Error::other("writing broke off")))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let aside = path.with_extension("new");
    // What a crash left here was never in its place.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn what_was_there_is_replaced_whole_and_what_a_crash_left_is_not_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/one.json");
        put(path.clone(), b"first".to_vec()).await.unwrap();
        fs::write(path.with_extension("new"), "half of so").unwrap();
        put(path.clone(), b"second".to_vec()).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!path.with_extension("new").exists());
    }
}
