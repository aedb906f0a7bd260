//! One struct with every metric, and its own registry.
//!
//! The names and labels are in `docs/reference/metrics.md`. Instants are Unix seconds; what is unknown is absent;
//! failure counters exist at zero from the start. Upstream series are per landscape (the host that is spoken to) and
//! operation, not per tenant.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use crate::domain::failure::Class;

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    upstream_requests: IntCounterVec,
    upstream_failures: IntCounterVec,
    upstream_duration: HistogramVec,
    upstream_retries: IntCounterVec,
}

/// What is asked of an upstream: the closed set of the label `operation`.
pub const OPERATIONS: [&str; 13] = [
    "token",
    "discover",
    "list_keys",
    "create_key",
    "poll_job",
    "read_key",
    "delete_key",
    "test_key",
    "put_credentials",
    "read_credentials",
    "start_dataplane",
    "get_dataplane",
    "root",
];

const UPSTREAM_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let registry = Registry::new();
        let upstream_requests = counter(
            &registry,
            "rekeyd_upstream_requests_total",
            "Requests sent to an upstream, repetitions included.",
            &["landscape", "operation"],
        );
        let upstream_failures = counter(
            &registry,
            "rekeyd_upstream_request_failures_total",
            "Requests to an upstream that failed, by class.",
            &["landscape", "operation", "class"],
        );
        let upstream_retries = counter(
            &registry,
            "rekeyd_upstream_retries_total",
            "Requests to an upstream that were repeated.",
            &["operation"],
        );
        let options = HistogramOpts::new(
            "rekeyd_upstream_request_duration_seconds",
            "Time from sending a request to the end of its answer.",
        );
        let upstream_duration = HistogramVec::new(options.buckets(UPSTREAM_BUCKETS.to_vec()), &["operation"])
            .expect("the name and labels are valid");
        registry.register(Box::new(upstream_duration.clone())).expect("each name is registered once");
        for operation in OPERATIONS {
            upstream_retries.with_label_values(&[operation]);
            upstream_duration.with_label_values(&[operation]);
        }
        Self { registry, upstream_requests, upstream_failures, upstream_duration, upstream_retries }
    }

    /// The registry to gather from.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Makes the upstream series of a landscape exist at zero.
    pub fn know_landscape(&self, landscape: &str) {
        for operation in OPERATIONS {
            self.upstream_requests.with_label_values(&[landscape, operation]);
            for class in Class::ALL {
                self.upstream_failures.with_label_values(&[landscape, operation, class.as_str()]);
            }
        }
    }

    /// One request to an upstream has ended.
    pub fn upstream(&self, landscape: &str, operation: &str, took: Duration, failure: Option<Class>) {
        self.upstream_requests.with_label_values(&[landscape, operation]).inc();
        self.upstream_duration.with_label_values(&[operation]).observe(took.as_secs_f64());
        if let Some(class) = failure {
            self.upstream_failures.with_label_values(&[landscape, operation, class.as_str()]).inc();
        }
    }

    /// One request to an upstream is being repeated.
    pub fn upstream_retry(&self, operation: &str) {
        self.upstream_retries.with_label_values(&[operation]).inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let family = IntCounterVec::new(Opts::new(name, help), labels).expect("the name and labels are valid");
    registry.register(Box::new(family.clone())).expect("each name is registered once");
    family
}
