//! Sections of the daemon's file of which each has a task of its own: sinks, and global accounts. A reload that changes them
//! starts the tasks anew, and nothing else waits for them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Daemon;
use crate::config::cis::Cis;
use crate::config::daemon::Sink;

/// How often it is looked whether the sections are still the same.
const LOOK: Duration = Duration::from_secs(5);

/// Runs `follow` for each of the sections until `stop`.
pub(super) async fn each<S, F>(
    daemon: &Arc<Daemon>,
    stop: &CancellationToken,
    sections: fn(&Daemon) -> Vec<S>,
    follow: impl Fn(Arc<Daemon>, S, CancellationToken) -> F,
) where
    S: Clone + PartialEq,
    F: Future<Output = ()> + Send + 'static,
{
    while !stop.is_cancelled() {
        let running = sections(daemon);
        let mut tasks = JoinSet::new();
        let generation = stop.child_token();
        for section in running.clone() {
            tasks.spawn(follow(Arc::clone(daemon), section, generation.clone()));
        }
        while !stop.is_cancelled() && sections(daemon) == running {
            daemon.nap(stop, LOOK).await;
        }
        generation.cancel();
        while tasks.join_next().await.is_some() {}
    }
}

impl Daemon {
    /// The sinks, as configured now.
    pub(super) fn sinks(&self) -> Vec<Sink> {
        self.config.lock().expect("no holder of the lock panics").daemon.sinks.clone()
    }

    /// The global accounts, as configured now.
    pub(super) fn accounts(&self) -> Vec<Cis> {
        self.config.lock().expect("no holder of the lock panics").daemon.cis.clone()
    }

    /// The name of this instance.
    pub(super) fn instance(&self) -> String {
        self.config.lock().expect("no holder of the lock panics").daemon.instance.clone()
    }

    /// Where the state is.
    pub(super) fn state_dir(&self) -> PathBuf {
        self.config.lock().expect("no holder of the lock panics").daemon.state_dir.clone()
    }

    /// Waits so long, or until `stop`.
    pub(super) async fn nap(&self, stop: &CancellationToken, pause: Duration) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.clock.sleep(pause) => {}
        }
    }
}
