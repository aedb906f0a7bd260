//! The only door to time and to chance.
//!
//! Everything that decides takes `now` as a value; everything that waits asks a [`Clock`]. That is what lets the
//! tests turn the calendar and replay a run. `clippy.toml` forbids every other source.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// What time it is, how to wait, and a number nobody else has.
#[async_trait::async_trait]
pub trait Clock: Send + Sync {
    /// The wall clock, UTC. It may jump; nothing may be decided on two readings of it but by comparing instants.
    fn now(&self) -> DateTime<Utc>;

    /// Waits on the monotonic clock.
    async fn sleep(&self, duration: Duration);

    /// A number to make a name unique with. Not for keys or secrets.
    fn nonce(&self) -> u64;

    /// Time since some fixed moment on the monotonic clock, for measuring how long something took.
    fn monotonic(&self) -> Duration;
}

/// The clock of the machine.
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn new() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait::async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn nonce(&self) -> u64 {
        use std::hash::{BuildHasher, Hasher};
        // Each `RandomState` is seeded from the operating system.
        std::collections::hash_map::RandomState::new().build_hasher().finish()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}
