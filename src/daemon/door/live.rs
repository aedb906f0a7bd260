//! `web.config.yml` as it is now: looked at with every request, read when it or a file that it names has changed.
//!
//! Architecture Invariant: what cannot be read changes nothing. Nor does a file that takes TLS or every password away: a
//! file that is being written is empty for a moment. Both are reported once; the latter counts from the next start on.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tracing::{error, info};

use super::auth::Auth;
use super::rate::Bucket;
use crate::clock::Clock;
use crate::config::problem::{Problem, Site};
use crate::config::web::file::{self, WebFile};
use crate::metrics::Metrics;

/// What tells a file from what it was: device, number, size, time of change.
type Stamp = Vec<Option<(u64, u64, u64, i64, i64)>>;

/// The file.
pub(in crate::daemon) struct Live {
    path: PathBuf,
    state: Mutex<State>,
    pub(super) auth: Auth,
    pub(super) bucket: Bucket,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
}

struct State {
    file: Arc<WebFile>,
    /// The files that were looked at last, and what they were.
    files: Vec<PathBuf>,
    stamp: Stamp,
}

impl Live {
    /// Reads it for the first time.
    pub(in crate::daemon) fn open(
        path: &Path,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Vec<Problem>> {
        let stamp_before = stamp(&[path.to_owned()]);
        let file = file::read(path)?;
        let mut stamp = stamp(&file.files);
        // Where it changed meanwhile, it is read again at the first request.
        stamp[..1].clone_from_slice(&stamp_before);
        let state = Mutex::new(State { files: file.files.clone(), file: Arc::new(file), stamp });
        let (auth, bucket) = (Auth::new(), Bucket::default());
        Ok(Self { path: path.to_owned(), state, auth, bucket, metrics, clock })
    }

    /// What holds now.
    pub(in crate::daemon) fn current(&self) -> Arc<WebFile> {
        let mut state = self.state.lock().expect("no holder of the lock panics");
        let seen = stamp(&state.files);
        if seen != state.stamp {
            state.stamp = seen;
            self.renew(&mut state);
        }
        Arc::clone(&state.file)
    }

    fn renew(&self, state: &mut State) {
        let found = file::read(&self.path).and_then(|file| self.weighed(&state.file, file));
        self.metrics.web_config_read(found.is_ok());
        match found {
            Ok(file) => {
                info!(event = "reloaded", "`{}` is read anew", self.path.display());
                if file.files != state.files {
                    state.files.clone_from(&file.files);
                    state.stamp = stamp(&state.files);
                }
                state.file = Arc::new(file);
            }
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                let problems = problems.join("\n");
                error!(event = "reload-refused", "the pages stay as they were:\n{problems}");
            }
        }
    }

    /// Refuses what protects less.
    fn weighed(&self, old: &WebFile, new: WebFile) -> Result<WebFile, Vec<Problem>> {
        let lost = [
            (old.tls.is_some() && new.tls.is_none(), "TLS"),
            (!old.users.is_empty() && new.users.is_empty(), "every password"),
        ];
        let Some((_, what)) = lost.into_iter().find(|(is_lost, _)| *is_lost) else { return Ok(new) };
        let found = format!("the file takes {what} away from the pages");
        let problem = Problem::error(&Site::Whole(self.path.as_path().into()), "web.config-file", found);
        Err(vec![problem.remedy("put it back, or start rekeyd anew if it is meant")])
    }
}

fn stamp(files: &[PathBuf]) -> Stamp {
    let look = |file: &PathBuf| {
        let found = std::fs::metadata(file).ok()?;
        Some((found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    };
    files.iter().map(look).collect()
}
