//! One struct with every metric, and its own registry.
//!
//! The names and labels are in `docs/reference/metrics.md`. Instants are Unix seconds; what is unknown is absent;
//! failure counters exist at zero from the start. Upstream series are per landscape (the host that is spoken to) and
//! operation, not per tenant. What is per credential and not a counter is written at scrape time from a snapshot
//! ([`snapshot`]), so that it cannot outlive what it describes.

mod snapshot;

use std::time::Duration;

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    Opts, Registry, TextEncoder,
};

use crate::domain::event::{Event, Trigger};
use crate::domain::failure::Class;
use crate::domain::names::{CredentialId, TenantId};
use crate::domain::record::Record;
use crate::domain::stage::Phase;
use crate::domain::view::View;
use crate::domain::{Timestamp, between};

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

/// Why a wish to rotate was not acted upon: the closed set of the label `class` of `rekeyd_triggers_ignored_total`.
pub const IGNORED: [&str; 7] = ["coalesced", "cooldown", "held", "fuse", "halted", "standby", "draining"];

/// What the own listener is asked for.
pub const PAGES: [&str; 6] = ["metrics", "healthy", "ready", "status", "page", "other"];

/// The phases in which a rotation can fail.
const FAILING: [Phase; 7] = [
    Phase::Creating,
    Phase::Testing,
    Phase::Delivering,
    Phase::Provisioning,
    Phase::Soaking,
    Phase::Retiring,
    Phase::Restoring,
];

const UPSTREAM_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const PHASE_BUCKETS: [f64; 11] = [5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0];
const TICK_BUCKETS: [f64; 7] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    upstream_requests: IntCounterVec,
    upstream_failures: IntCounterVec,
    upstream_duration: HistogramVec,
    upstream_retries: IntCounterVec,
    rotations: IntCounterVec,
    rotation_failures: IntCounterVec,
    restorations: IntCounterVec,
    deliveries: IntCounterVec,
    delivery_failures: IntCounterVec,
    rotation_duration: Histogram,
    phase_duration: HistogramVec,
    triggers: IntCounterVec,
    triggers_ignored: IntCounterVec,
    checks: IntCounterVec,
    check_failures: IntCounterVec,
    last_tick: Gauge,
    tick_delay: Histogram,
    journal_writes: IntCounter,
    journal_write_failures: IntCounter,
    journal_recoveries: IntCounterVec,
    reload_successful: IntGauge,
    reload_success_timestamp: Gauge,
    panics: IntCounter,
    log_messages: IntCounterVec,
    http_requests: IntCounterVec,
}

/// Makes metrics in one registry.
struct Shop(Registry);

impl Shop {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let family =
            IntCounterVec::new(Opts::new(name, help), labels).expect("the name and labels are valid");
        self.0.register(Box::new(family.clone())).expect("each name is registered once");
        family
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        let metric = IntCounter::new(name, help).expect("the name is valid");
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

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let shop = Shop(Registry::new());
        let reload_successful = IntGauge::new(
            "rekeyd_config_last_reload_successful",
            "Whether the last load of the configuration was accepted.",
        )
        .expect("the name is valid");
        shop.0.register(Box::new(reload_successful.clone())).expect("each name is registered once");
        let tenant_credential = ["tenant", "credential"];
        let metrics = Self {
            upstream_requests: shop.counters(
                "rekeyd_upstream_requests_total",
                "Requests sent to an upstream, repetitions included.",
                &["landscape", "operation"],
            ),
            upstream_failures: shop.counters(
                "rekeyd_upstream_request_failures_total",
                "Requests to an upstream that failed, by class.",
                &["landscape", "operation", "class"],
            ),
            upstream_duration: shop.histograms(
                "rekeyd_upstream_request_duration_seconds",
                "Time from sending a request to the end of its answer.",
                "operation",
                &UPSTREAM_BUCKETS,
            ),
            upstream_retries: shop.counters(
                "rekeyd_upstream_retries_total",
                "Requests to an upstream that were repeated.",
                &["operation"],
            ),
            rotations: shop.counters(
                "rekeyd_rotations_total",
                "Rotations that ended, whatever the outcome, by what made them start.",
                &["tenant", "credential", "class"],
            ),
            rotation_failures: shop.counters(
                "rekeyd_rotation_failures_total",
                "Rotations that turned back or halted, by the phase in which they did.",
                &["tenant", "credential", "phase"],
            ),
            restorations: shop.counters(
                "rekeyd_rotation_restorations_total",
                "Rotations after which the previous keys were put back and proven.",
                &tenant_credential,
            ),
            deliveries: shop.counters(
                "rekeyd_deliveries_total",
                "Deliveries of a credential that the consumer accepted.",
                &tenant_credential,
            ),
            delivery_failures: shop.counters(
                "rekeyd_delivery_failures_total",
                "Deliveries of a credential that failed.",
                &tenant_credential,
            ),
            rotation_duration: shop.histogram(
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
            triggers: shop.counters("rekeyd_triggers_total", "Wishes to look or to rotate.", &["class"]),
            triggers_ignored: shop.counters(
                "rekeyd_triggers_ignored_total",
                "Wishes to rotate that were not acted upon, by the reason.",
                &["class"],
            ),
            checks: shop.counters("rekeyd_checks_total", "Checks of a tenant.", &["tenant"]),
            check_failures: shop.counters(
                "rekeyd_check_failures_total",
                "Checks of a tenant in which something could not be seen.",
                &["tenant"],
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
            journal_writes: shop
                .counter("rekeyd_journal_writes_total", "Events written to the journal, durably."),
            journal_write_failures: shop.counter(
                "rekeyd_journal_write_failures_total",
                "Failures of the journal; nothing is begun after one.",
            ),
            journal_recoveries: shop.counters(
                "rekeyd_journal_recoveries_total",
                "Rotations that were found under way at the start.",
                &["class"],
            ),
            reload_successful,
            reload_success_timestamp: shop.gauge(
                "rekeyd_config_last_reload_success_timestamp_seconds",
                "When a configuration was last accepted.",
            ),
            panics: shop.counter("rekeyd_panics_total", "Defects that were caught."),
            log_messages: shop.counters("rekeyd_log_messages_total", "Lines logged, by level.", &["class"]),
            http_requests: shop.counters(
                "rekeyd_http_requests_total",
                "Requests to the own listener.",
                &["operation"],
            ),
            registry: shop.0,
        };
        metrics.zero();
        metrics
    }

    /// Makes every series with closed labels exist at zero.
    fn zero(&self) {
        for operation in OPERATIONS {
            self.upstream_retries.with_label_values(&[operation]);
            self.upstream_duration.with_label_values(&[operation]);
        }
        for trigger in Trigger::ALL {
            self.triggers.with_label_values(&[trigger.as_str()]);
        }
        for class in IGNORED {
            self.triggers_ignored.with_label_values(&[class]);
        }
        for phase in FAILING {
            self.phase_duration.with_label_values(&[phase.as_str()]);
        }
        for class in ["resumed", "restored", "halted"] {
            self.journal_recoveries.with_label_values(&[class]);
        }
        for class in ["error", "warn", "info"] {
            self.log_messages.with_label_values(&[class]);
        }
        for page in PAGES {
            self.http_requests.with_label_values(&[page]);
        }
        let build = GaugeVec::new(
            Opts::new("rekeyd_build_info", "The running binary; always 1."),
            &["version", "target"],
        )
        .expect("the name and labels are valid");
        let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), &target]).set(1.0);
        self.registry.register(Box::new(build)).expect("each name is registered once");
        let process = prometheus::process_collector::ProcessCollector::for_self();
        self.registry.register(Box::new(process)).expect("each name is registered once");
    }

    /// Makes the counters of a configured credential exist at zero.
    pub fn know_credential(&self, id: &CredentialId) {
        let (tenant, name) = (id.tenant.as_str(), id.name.as_str());
        for trigger in Trigger::ALL {
            self.rotations.with_label_values(&[tenant, name, trigger.as_str()]);
        }
        for phase in FAILING {
            self.rotation_failures.with_label_values(&[tenant, name, phase.as_str()]);
        }
        for family in [&self.restorations, &self.deliveries, &self.delivery_failures] {
            family.with_label_values(&[tenant, name]);
        }
        self.checks.with_label_values(&[tenant]);
        self.check_failures.with_label_values(&[tenant]);
    }

    /// Removes the counters of a credential that is no longer configured. The tenant's own go when `last` says so.
    pub fn forget_credential(&self, id: &CredentialId, last: bool) {
        let (tenant, name) = (id.tenant.as_str(), id.name.as_str());
        // What does not exist is removed already.
        for trigger in Trigger::ALL {
            let _ = self.rotations.remove_label_values(&[tenant, name, trigger.as_str()]);
        }
        for phase in FAILING {
            let _ = self.rotation_failures.remove_label_values(&[tenant, name, phase.as_str()]);
        }
        for family in [&self.restorations, &self.deliveries, &self.delivery_failures] {
            let _ = family.remove_label_values(&[tenant, name]);
        }
        if last {
            let _ = self.checks.remove_label_values(&[tenant]);
            let _ = self.check_failures.remove_label_values(&[tenant]);
        }
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

    /// One event was journalled; `before` and `after` are the record around it.
    pub fn count(&self, before: Option<&Record>, after: &Record, event: &Event) {
        self.journal_writes.inc();
        let Some(before) = before else { return };
        let (tenant, name) = (after.credential.tenant.as_str(), after.credential.name.as_str());
        let phase = before.stage.phase();
        match event {
            Event::Delivered { .. } => self.deliveries.with_label_values(&[tenant, name]).inc(),
            Event::StepFailed { step, .. } if step == "deliver" => {
                self.delivery_failures.with_label_values(&[tenant, name]).inc();
            }
            Event::TurnedBack { .. } | Event::SameSecret { .. } | Event::Halted(_)
                if phase != Phase::Settled =>
            {
                self.rotation_failures.with_label_values(&[tenant, name, phase.as_str()]).inc();
            }
            Event::Proven { .. } if phase == Phase::Restoring => {
                self.restorations.with_label_values(&[tenant, name]).inc();
            }
            Event::Completed => self.completed(after),
            _ => {}
        }
        if after.stage.phase() != phase && phase != Phase::Settled {
            let took = between(before.entered_at, after.entered_at);
            self.phase_duration.with_label_values(&[phase.as_str()]).observe(took.as_secs_f64());
        }
    }

    fn completed(&self, record: &Record) {
        let id = &record.credential;
        let Some(rotation) = &record.rotation else { return };
        let class = rotation.trigger.as_str();
        self.rotations.with_label_values(&[id.tenant.as_str(), id.name.as_str(), class]).inc();
        if let Some(proven) = rotation.proven_at {
            self.rotation_duration.observe(between(rotation.begun_at, proven).as_secs_f64());
        }
    }

    /// The journal could not be written or read.
    pub fn journal_failed(&self) {
        self.journal_write_failures.inc();
    }

    /// A rotation was found under way at the start.
    pub fn recovered(&self, record: &Record) {
        let class = match record.phase() {
            Phase::Halted => "halted",
            Phase::Restoring => "restored",
            _ => "resumed",
        };
        self.journal_recoveries.with_label_values(&[class]).inc();
    }

    /// Something woke the engine.
    pub fn triggered(&self, trigger: Trigger) {
        self.triggers.with_label_values(&[trigger.as_str()]).inc();
    }

    /// A wish to rotate was not acted upon.
    pub fn trigger_ignored(&self, class: &str) {
        self.triggers_ignored.with_label_values(&[class]).inc();
    }

    /// One check of a tenant has ended.
    pub fn checked(&self, tenant: &TenantId, complete: bool) {
        self.checks.with_label_values(&[tenant.as_str()]).inc();
        if !complete {
            self.check_failures.with_label_values(&[tenant.as_str()]).inc();
        }
    }

    /// The scheduler woke the engine, `late` after its time.
    pub fn ticked(&self, now: Timestamp, late: Duration) {
        self.last_tick.set(seconds(now));
        self.tick_delay.observe(late.as_secs_f64());
    }

    /// A configuration was loaded, or refused.
    pub fn reloaded(&self, now: Timestamp, accepted: bool) {
        self.reload_successful.set(i64::from(accepted));
        if accepted {
            self.reload_success_timestamp.set(seconds(now));
        }
    }

    /// A defect was caught.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// A line was logged.
    pub fn logged(&self, class: &str) {
        self.log_messages.with_label_values(&[class]).inc();
    }

    /// The own listener was asked for something.
    pub fn asked(&self, page: &str) {
        self.http_requests.with_label_values(&[page]).inc();
    }

    /// The whole exposition, text format 0.0.4: the registry, then the snapshot of `views`.
    pub fn render(&self, views: &[View], now: Timestamp) -> Vec<u8> {
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("writing to memory does not fail and gathered families are valid");
        text.extend_from_slice(snapshot::write(views, now).as_bytes());
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// An instant as a metric value.
fn seconds(at: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit 53 bits for 285 000 years")]
    let milliseconds = at.timestamp_millis() as f64;
    milliseconds / 1000.0
}
