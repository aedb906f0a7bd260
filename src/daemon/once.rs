//! One round and no more, for timers.

use std::sync::Arc;

use tracing::info;

use super::triggers::Signals;
use super::{Daemon, End, report, told_to_stop, unwritten};

/// Walks everybody once. Told to stop meanwhile, it finishes the calls in flight and leaves the rest to the next round.
pub(super) async fn round(daemon: &Arc<Daemon>, mut signals: Signals) -> End {
    daemon.engine.wake_due(daemon.clock.now());
    let is_over = tokio::select! {
        () = daemon.engine.quiet() => true,
        () = told_to_stop(&mut signals) => false,
    };
    let views = daemon.engine.views();
    if is_over {
        daemon.engine.stop().await;
    } else {
        daemon.stop(&mut signals).await;
    }
    if unwritten(&daemon.engine) {
        return End::Unwritten;
    }
    if !is_over {
        return End::Stopped;
    }
    info!("the round is over: {}", daemon.summary());
    super::discovery::round(daemon).await;
    super::sinks::flush(daemon).await;
    if daemon.statuses().iter().any(report::CredentialStatus::needs_person) {
        return End::NeedsPerson;
    }
    let blind = views.iter().any(|view| view.observation.as_ref().is_none_or(|seen| seen.blind > 0));
    if blind { End::Incomplete } else { End::Stopped }
}
