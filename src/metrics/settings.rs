//! What the operator wants told, and whether what he wrote is accepted.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Metrics, seconds};
use crate::domain::Timestamp;

/// How much is told of each credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// At most [`FULL`](super::FULL) series.
    Full,
    /// At most [`SUMMARY`](super::SUMMARY) series.
    Summary,
}

/// What was set last.
#[derive(Debug, Default)]
pub(super) struct Settings {
    is_summary: AtomicBool,
    config_is_refused: AtomicBool,
    web_config_is_refused: AtomicBool,
}

impl Metrics {
    /// Tells as much of each credential as `detail` says from now on.
    pub fn tell(&self, detail: Detail) {
        self.settings.is_summary.store(detail == Detail::Summary, Ordering::Relaxed);
    }

    pub(super) fn detail(&self) -> Detail {
        if self.settings.is_summary.load(Ordering::Relaxed) { Detail::Summary } else { Detail::Full }
    }

    /// A configuration was loaded, or refused.
    pub fn reloaded(&self, now: Timestamp, accepted: bool) {
        self.settings.config_is_refused.store(!accepted, Ordering::Relaxed);
        self.config_state();
        if accepted {
            self.records.reload_success_timestamp.set(seconds(now));
        }
    }

    /// The file of the pages was read again, or what it says was refused.
    pub fn web_config_read(&self, accepted: bool) {
        self.settings.web_config_is_refused.store(!accepted, Ordering::Relaxed);
        self.config_state();
    }

    fn config_state(&self) {
        let of = [&self.settings.config_is_refused, &self.settings.web_config_is_refused];
        let is_refused = of.iter().any(|of| of.load(Ordering::Relaxed));
        self.records.reload_successful.set(i64::from(!is_refused));
    }
}
