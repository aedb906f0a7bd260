//! The families that live in the registry.

use prometheus::{
    CounterVec, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry,
};

const UPSTREAM_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const PHASE_BUCKETS: [f64; 11] = [5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0];
const TICK_BUCKETS: [f64; 7] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

/// Makes metrics in one registry.
pub(super) struct Shop(pub(super) Registry);

impl Shop {
    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let family =
            IntCounterVec::new(Opts::new(name, help), labels).expect("the name and labels are valid");
        self.0.register(Box::new(family.clone())).expect("each name is registered once");
        family
    }

    fn sums(&self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        let family = CounterVec::new(Opts::new(name, help), labels).expect("the name and labels are valid");
        self.0.register(Box::new(family.clone())).expect("each name is registered once");
        family
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        let metric = IntCounter::new(name, help).expect("the name is valid");
        self.0.register(Box::new(metric.clone())).expect("each name is registered once");
        metric
    }

    fn flag(&self, name: &str, help: &str) -> IntGauge {
        let metric = IntGauge::new(name, help).expect("the name is valid");
        self.0.register(Box::new(metric.clone())).expect("each name is registered once");
        metric
    }

    fn gauge(&self, name: &str, help: &str) -> Gauge {
        let metric = Gauge::new(name, help).expect("the name is valid");
        self.0.register(Box::new(metric.clone())).expect("each name is registered once");
        metric
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let metric = Histogram::with_opts(options).expect("the name and buckets are valid");
        self.0.register(Box::new(metric.clone())).expect("each name is registered once");
        metric
    }

    fn histograms(&self, name: &str, help: &str, label: &str, buckets: &[f64]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let family = HistogramVec::new(options, &[label]).expect("the name, label and buckets are valid");
        self.0.register(Box::new(family.clone())).expect("each name is registered once");
        family
    }
}

/// Calls to upstreams.
pub(super) struct Upstream {
    pub(super) requests: IntCounterVec,
    pub(super) failures: IntCounterVec,
    pub(super) duration: HistogramVec,
    pub(super) retries: IntCounterVec,
    pub(super) throttled: IntCounterVec,
    pub(super) throttle_wait: CounterVec,
}

impl Upstream {
    pub(super) fn new(shop: &Shop) -> Self {
        Self {
            requests: shop.counters(
                "rekeyd_upstream_requests_total",
                "Requests sent to an upstream, repetitions included.",
                &["landscape", "operation"],
            ),
            failures: shop.counters(
                "rekeyd_upstream_request_failures_total",
                "Requests to an upstream that failed, by class.",
                &["landscape", "operation", "class"],
            ),
            duration: shop.histograms(
                "rekeyd_upstream_request_duration_seconds",
                "Time from sending a request to the end of its answer.",
                "operation",
                &UPSTREAM_BUCKETS,
            ),
            retries: shop.counters(
                "rekeyd_upstream_retries_total",
                "Requests to an upstream that were repeated.",
                &["operation"],
            ),
            throttled: shop.counters(
                "rekeyd_upstream_throttled_total",
                "Requests that the server refused with 429, or that were not sent: during a pause it asked for, or by the own limiter.",
                &["landscape", "class"],
            ),
            throttle_wait: shop.sums(
                "rekeyd_upstream_throttle_wait_seconds_total",
                "Time requests waited for their turn before they were sent.",
                &["landscape"],
            ),
        }
    }
}

/// Rotations of the whole fleet; what is counted of each credential is in `tally.rs`.
pub(super) struct Rotations {
    pub(super) ended: IntCounterVec,
    pub(super) failures: IntCounterVec,
    pub(super) overridden: IntCounter,
    pub(super) deliveries: IntCounter,
    pub(super) duration: Histogram,
    pub(super) phase_duration: HistogramVec,
}

impl Rotations {
    pub(super) fn new(shop: &Shop) -> Self {
        Self {
            ended: shop.counters(
                "rekeyd_rotations_total",
                "Rotations that ended, whatever the outcome, by what made them start.",
                &["class"],
            ),
            failures: shop.counters(
                "rekeyd_rotation_phase_failures_total",
                "Rotations that turned back or halted, by the phase in which they did.",
                &["phase"],
            ),
            overridden: shop.counter(
                "rekeyd_rotation_window_overridden_total",
                "Rotations that began in a closed maintenance window, since none was left before the end.",
            ),
            deliveries: shop
                .counter("rekeyd_deliveries_total", "Deliveries of a credential that the consumer accepted."),
            duration: shop.histogram(
                "rekeyd_rotation_duration_seconds",
                "Time from the begin of a rotation to the proof that the consumer works with its keys.",
                &PHASE_BUCKETS,
            ),
            phase_duration: shop.histograms(
                "rekeyd_rotation_phase_duration_seconds",
                "Time a rotation spent in a phase.",
                "phase",
                &PHASE_BUCKETS,
            ),
        }
    }
}

/// What the daemon does.
pub(super) struct Process {
    pub(super) triggers: IntCounterVec,
    pub(super) triggers_ignored: IntCounterVec,
    pub(super) started: Gauge,
    pub(super) last_tick: Gauge,
    pub(super) tick_delay: Histogram,
    pub(super) panics: IntCounter,
    pub(super) log_messages: IntCounterVec,
    pub(super) http_requests: IntCounterVec,
    pub(super) auth_failures: IntCounter,
}

impl Process {
    pub(super) fn new(shop: &Shop) -> Self {
        Self {
            triggers: shop.counters("rekeyd_triggers_total", "Wishes to look or to rotate.", &["class"]),
            triggers_ignored: shop.counters(
                "rekeyd_triggers_ignored_total",
                "Wishes to rotate that were not acted upon, by the reason.",
                &["class"],
            ),
            started: shop.gauge(
                "rekeyd_start_timestamp_seconds",
                "When the daemon was started, by its own clock at that time.",
            ),
            last_tick: shop.gauge(
                "rekeyd_scheduler_last_tick_timestamp_seconds",
                "When the scheduler last woke the engine, at least every minute.",
            ),
            tick_delay: shop.histogram(
                "rekeyd_scheduler_tick_delay_seconds",
                "How late the scheduler was.",
                &TICK_BUCKETS,
            ),
            panics: shop.counter("rekeyd_panics_total", "Defects that were caught."),
            log_messages: shop.counters("rekeyd_log_messages_total", "Lines logged, by level.", &["class"]),
            http_requests: shop.counters(
                "rekeyd_http_requests_total",
                "Requests to the own listener.",
                &["operation"],
            ),
            auth_failures: shop.counter(
                "rekeyd_http_auth_failures_total",
                "Requests to the own listener without the right password.",
            ),
        }
    }
}

/// Journal and configuration.
pub(super) struct Records {
    pub(super) writes: IntCounter,
    pub(super) write_failures: IntCounter,
    pub(super) recoveries: IntCounterVec,
    pub(super) reload_success_timestamp: Gauge,
    pub(super) reload_successful: IntGauge,
}

impl Records {
    pub(super) fn new(shop: &Shop) -> Self {
        Self {
            writes: shop.counter("rekeyd_journal_writes_total", "Events written to the journal, durably."),
            write_failures: shop.counter(
                "rekeyd_journal_write_failures_total",
                "Failures of the journal; nothing is begun after one.",
            ),
            recoveries: shop.counters(
                "rekeyd_journal_recoveries_total",
                "Rotations that were found under way at the start.",
                &["class"],
            ),
            reload_success_timestamp: shop.gauge(
                "rekeyd_config_last_reload_success_timestamp_seconds",
                "When a configuration was last accepted.",
            ),
            reload_successful: shop.flag(
                "rekeyd_config_last_reload_successful",
                "Whether the last load of the configuration, and of `web.config.yml`, was accepted.",
            ),
        }
    }
}
