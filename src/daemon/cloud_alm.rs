//! Telling SAP Cloud ALM how every credential is: a task of its own, and nothing waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Daemon;
use crate::domain::health::{Health, health};
use crate::secret::ServiceKey;
use crate::sink::cloud_alm::CloudAlm;

/// What one section says of it.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) key: ServiceKey,
    pub(super) service: String,
    pub(super) every: Duration,
}

/// Tells it every so often until `stop`. What could not be told is told the next time, as it is then.
pub(super) async fn follow(daemon: Arc<Daemon>, settings: Settings, stop: CancellationToken) {
    let Some(sink) = build(&daemon, &settings) else { return stop.cancelled().await };
    let mut failed = false;
    while !stop.is_cancelled() {
        failed = tell(&daemon, &settings.name, &sink, failed).await;
        daemon.nap(&stop, settings.every).await;
    }
}

/// Tells it once, for a daemon of one round.
pub(super) async fn once(daemon: &Daemon, settings: &Settings) {
    if let Some(sink) = build(daemon, settings) {
        tell(daemon, &settings.name, &sink, false).await;
    }
}

fn build(daemon: &Daemon, settings: &Settings) -> Option<CloudAlm> {
    let made = CloudAlm::new(Arc::clone(&daemon.http), &settings.key, &settings.service, &daemon.instance());
    let name = &settings.name;
    let made = made.map_err(|problem| warn!("sink `{name}` tells nobody: {problem}")).ok()?;
    daemon.metrics.know_sink(name);
    Some(made)
}

/// Tells it, and answers whether that failed.
async fn tell(daemon: &Daemon, name: &str, sink: &CloudAlm, failed: bool) -> bool {
    let now = daemon.clock.now();
    let all: Vec<Health> = daemon.engine.views().iter().map(|view| health(view, now)).collect();
    match sink.tell(&all, now).await {
        Ok(()) => {
            if failed {
                info!(event = "sink-recovered", "sink `{name}` can be told again");
            }
            daemon.metrics.sink(name, "sent");
            false
        }
        Err(why) => {
            // Once, and once more when it is well again.
            if !failed {
                warn!(event = "sink-failed", "sink `{name}` cannot be told, and is tried again: {why}");
            }
            daemon.metrics.sink(name, "failed");
            true
        }
    }
}
