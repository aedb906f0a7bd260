//! What became of the messages to the sinks.

use prometheus::{GaugeVec, IntCounterVec, Opts};

use super::Metrics;
use super::families::Shop;

/// What becomes of a message: the closed set of the label `class`.
const OUTCOMES: [&str; 3] = ["sent", "failed", "dropped"];

/// The families of the sinks.
pub(super) struct Sinks {
    notices: IntCounterVec,
    queue: GaugeVec,
}

impl Sinks {
    pub(super) fn new(shop: &Shop) -> Self {
        let queue = Opts::new(
            "rekeyd_sink_queue_length",
            "Entries of the journal that the sink is still to be told of.",
        );
        let queue = GaugeVec::new(queue, &["sink"]).expect("the name and labels are valid");
        shop.0.register(Box::new(queue.clone())).expect("each name is registered once");
        Self {
            notices: shop.counters(
                "rekeyd_sink_notices_total",
                "Messages to a sink that it took, that failed and are tried again, or that it refuses and were given up.",
                &["sink", "class"],
            ),
            queue,
        }
    }
}

impl Metrics {
    /// Makes the series of a sink exist at zero.
    pub fn know_sink(&self, sink: &str) {
        for class in OUTCOMES {
            self.sinks.notices.with_label_values(&[sink, class]);
        }
        self.sinks.queue.with_label_values(&[sink]);
    }

    /// Counts a message.
    pub fn sink(&self, sink: &str, class: &'static str) {
        self.sinks.notices.with_label_values(&[sink, class]).inc();
    }

    /// How many entries of the journal it is still to be told of.
    pub fn sink_queue(&self, sink: &str, length: usize) {
        self.sinks.queue.with_label_values(&[sink]).set(u32::try_from(length).map_or(f64::MAX, f64::from));
    }
}
