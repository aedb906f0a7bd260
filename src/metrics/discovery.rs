//! What is seen of global accounts, and how old the key is with which it is seen.

use prometheus::{GaugeVec, IntCounterVec, Opts};

use super::families::Shop;
use super::{Metrics, seconds};
use crate::domain::Timestamp;
use crate::domain::coverage::Tally;

/// The families of the sources. Their label is the name of the source.
pub(super) struct Discovery {
    subaccounts: GaugeVec,
    uncovered: GaugeVec,
    unknown: GaugeVec,
    last_success: GaugeVec,
    key_due: GaugeVec,
    failures: IntCounterVec,
}

/// The one label.
const LABELS: [&str; 1] = ["issuer"];

impl Discovery {
    pub(super) fn new(shop: &Shop) -> Self {
        let gauge = |name: &str, help: &str| {
            let family =
                GaugeVec::new(Opts::new(name, help), &LABELS).expect("the name and labels are valid");
            shop.0.register(Box::new(family.clone())).expect("each name is registered once");
            family
        };
        Self {
            subaccounts: gauge(
                "rekeyd_discovery_subaccounts",
                "Subaccounts that should have a tenant or have one, as of the last look; absent before the first.",
            ),
            uncovered: gauge(
                "rekeyd_discovery_subaccounts_uncovered",
                "Of these without a tenant; absent before the first look.",
            ),
            unknown: gauge(
                "rekeyd_discovery_subaccounts_unknown",
                "Of these that a tenant may be in whose place cannot be told; absent before the first look.",
            ),
            last_success: gauge(
                "rekeyd_discovery_last_success_timestamp_seconds",
                "When the account was last seen whole, before a restart as well; absent if it never was.",
            ),
            key_due: gauge(
                "rekeyd_discovery_key_due_timestamp_seconds",
                "When the own key for the account is due to be replaced by hand.",
            ),
            failures: shop.counters(
                "rekeyd_discovery_failures_total",
                "Looks at the account that failed.",
                &LABELS,
            ),
        }
    }
}

impl Metrics {
    /// Makes the counter of a source exist at zero.
    pub fn know_source(&self, source: &str) {
        self.discovery.failures.with_label_values(&[source]);
    }

    /// Removes every series of a source that is no longer configured.
    pub fn forget_source(&self, source: &str) {
        let of = &self.discovery;
        // What does not exist is removed already.
        let _ = of.failures.remove_label_values(&[source]);
        for family in [&of.subaccounts, &of.uncovered, &of.unknown, &of.last_success, &of.key_due] {
            let _ = family.remove_label_values(&[source]);
        }
    }

    /// The account was last seen whole then.
    pub fn discovered(&self, source: &str, at: Timestamp) {
        self.discovery.last_success.with_label_values(&[source]).set(seconds(at));
    }

    /// A look at the account failed.
    pub fn discovery_failed(&self, source: &str) {
        self.discovery.failures.with_label_values(&[source]).inc();
    }

    /// How many subaccounts are covered, as of what was last seen.
    pub fn covered(&self, source: &str, tally: Tally) {
        let of = &self.discovery;
        for (family, count) in [
            (&of.subaccounts, tally.subaccounts),
            (&of.uncovered, tally.uncovered),
            (&of.unknown, tally.unknown),
        ] {
            family.with_label_values(&[source]).set(u32::try_from(count).map_or(f64::MAX, f64::from));
        }
    }

    /// When the own key for the account is due.
    pub fn own_key_due(&self, source: &str, due: Timestamp) {
        self.discovery.key_due.with_label_values(&[source]).set(seconds(due));
    }
}
