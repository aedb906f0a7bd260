//! The sandbox's one door to time. Everything else asks the world, whose clock can be moved forward.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// What the machine's clock says.
#[expect(clippy::disallowed_methods, reason = "the sandbox's one reading of the clock")]
pub(crate) fn machine_time() -> DateTime<Utc> {
    Utc::now()
}

/// Waits, for injected latency and dripping bodies only.
#[expect(clippy::disallowed_methods, reason = "the sandbox's one way to wait")]
pub(crate) async fn wait(duration: Duration) {
    tokio::time::sleep(duration).await;
}
