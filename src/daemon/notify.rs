//! What systemd is told. Without systemd nobody listens, and that is fine.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(problem) = sd_notify::notify(states) {
        debug!(%problem, "systemd was not told");
    }
}

/// The daemon is up: configuration, journal and listeners.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload begins. [`ready`] must follow on every path, or systemd waits for ever.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(problem) => debug!(%problem, "the monotonic clock cannot be read"),
    }
}

/// The daemon is stopping.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// The line `systemctl status` shows.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// The loop moves.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] must be said, where systemd watches.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|life| life / 2)
}
