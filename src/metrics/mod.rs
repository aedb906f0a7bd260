//! One struct with every metric, and its own registry.
//!
//! The names and labels are in `docs/reference/metrics.md`. Instants are Unix seconds; what is unknown is absent;
//! failure counters exist at zero from the start. Upstream series are per landscape (the host that is spoken to) and
//! operation, not per tenant. What grows with the fleet is written at scrape time from a snapshot (`snapshot.rs`), so that
//! it cannot outlive what it describes, and as much of it as the operator wants ([`Detail`]).

mod discovery;
mod families;
mod fleet;
mod labels;
mod settings;
mod sinks;
mod snapshot;
mod tally;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::{GaugeVec, Opts, Registry, TextEncoder};

use crate::domain::event::{Event, Trigger};
use crate::domain::failure::Class;
use crate::domain::fleet::{FleetEvent, Overview};
use crate::domain::names::{CredentialId, TenantId};
use crate::domain::record::Record;
use crate::domain::stage::Phase;
use crate::domain::view::View;
use crate::domain::{Timestamp, between};
use families::{Process, Records, Rotations, Shop, Upstream};
pub use labels::{IGNORED, OPERATIONS, PAGES, THROTTLED};
pub use settings::Detail;
pub use snapshot::{FULL, SUMMARY};
use tally::Tally;

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

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    upstream: Upstream,
    rotation: Rotations,
    process: Process,
    records: Records,
    sinks: sinks::Sinks,
    discovery: discovery::Discovery,
    /// The pauses that are on, by landscape.
    pauses: Mutex<BTreeMap<String, Timestamp>>,
    tally: Mutex<Tally>,
    settings: settings::Settings,
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let shop = Shop(Registry::new());
        let metrics = Self {
            upstream: Upstream::new(&shop),
            rotation: Rotations::new(&shop),
            process: Process::new(&shop),
            records: Records::new(&shop),
            sinks: sinks::Sinks::new(&shop),
            discovery: discovery::Discovery::new(&shop),
            pauses: Mutex::default(),
            tally: Mutex::default(),
            settings: settings::Settings::default(),
            registry: shop.0,
        };
        metrics.zero();
        metrics
    }

    /// Makes every series with closed labels exist at zero.
    fn zero(&self) {
        for operation in OPERATIONS {
            self.upstream.retries.with_label_values(&[operation]);
            self.upstream.duration.with_label_values(&[operation]);
        }
        for trigger in Trigger::ALL {
            self.process.triggers.with_label_values(&[trigger.as_str()]);
            self.rotation.ended.with_label_values(&[trigger.as_str()]);
        }
        for class in IGNORED {
            self.process.triggers_ignored.with_label_values(&[class]);
        }
        for phase in FAILING {
            self.rotation.phase_duration.with_label_values(&[phase.as_str()]);
            self.rotation.failures.with_label_values(&[phase.as_str()]);
        }
        for class in ["resumed", "restored", "halted"] {
            self.records.recoveries.with_label_values(&[class]);
        }
        for class in ["error", "warn", "info"] {
            self.process.log_messages.with_label_values(&[class]);
        }
        for page in PAGES {
            self.process.http_requests.with_label_values(&[page]);
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

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the counters of a configured credential exist at zero.
    pub fn know_credential(&self, id: &CredentialId) {
        self.tally().know(id);
    }

    /// Removes the counters of a credential that is no longer configured. The tenant's own go when `last` says so.
    pub fn forget_credential(&self, id: &CredentialId, last: bool) {
        self.tally().forget(id, last);
    }

    /// Makes the upstream series of a landscape exist at zero.
    pub fn know_landscape(&self, landscape: &str) {
        for class in THROTTLED {
            self.upstream.throttled.with_label_values(&[landscape, class]);
        }
        self.upstream.throttle_wait.with_label_values(&[landscape]);
        for operation in OPERATIONS {
            self.upstream.requests.with_label_values(&[landscape, operation]);
            for class in Class::ALL {
                self.upstream.failures.with_label_values(&[landscape, operation, class.as_str()]);
            }
        }
    }

    /// One request to an upstream has ended.
    pub fn upstream(&self, landscape: &str, operation: &str, took: Duration, failure: Option<Class>) {
        self.upstream.requests.with_label_values(&[landscape, operation]).inc();
        self.upstream.duration.with_label_values(&[operation]).observe(took.as_secs_f64());
        if let Some(class) = failure {
            self.upstream.failures.with_label_values(&[landscape, operation, class.as_str()]).inc();
        }
    }

    /// One request to an upstream is being repeated.
    pub fn upstream_retry(&self, operation: &str) {
        self.upstream.retries.with_label_values(&[operation]).inc();
    }

    /// One request was throttled, by one of [`THROTTLED`].
    pub fn throttled(&self, landscape: &str, class: &str) {
        self.upstream.throttled.with_label_values(&[landscape, class]).inc();
    }

    /// A landscape asks for a pause; of several the last one to end is shown.
    pub fn throttled_until(&self, landscape: &str, until: Timestamp) {
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pauses.entry(landscape.to_owned()).or_insert(until);
        *known = until.max(*known);
    }

    /// One request has waited for its turn.
    pub fn throttle_waited(&self, landscape: &str, waited: Duration) {
        self.upstream.throttle_wait.with_label_values(&[landscape]).inc_by(waited.as_secs_f64());
    }

    /// One event was journalled; `before` and `after` are the record around it.
    pub fn count(&self, before: Option<&Record>, after: &Record, event: &Event) {
        self.records.writes.inc();
        let Some(before) = before else { return };
        let (id, phase) = (&after.credential, before.stage.phase());
        match event {
            Event::Delivered { .. } => self.rotation.deliveries.inc(),
            Event::StepFailed { step, .. } if step == "deliver" => {
                self.tally().credential(id).delivery_failures.add();
            }
            Event::TurnedBack { .. } | Event::SameSecret { .. } | Event::Halted(_)
                if phase != Phase::Settled =>
            {
                self.rotation.failures.with_label_values(&[phase.as_str()]).inc();
                self.tally().credential(id).failures.add();
            }
            Event::Proven { .. } if phase == Phase::Restoring => {
                self.tally().restored(id, after.written_at);
            }
            Event::Completed => self.completed(after),
            _ => {}
        }
        if after.stage.phase() != phase && phase != Phase::Settled {
            let took = between(before.entered_at, after.entered_at);
            self.rotation.phase_duration.with_label_values(&[phase.as_str()]).observe(took.as_secs_f64());
        }
    }

    /// One event of the fleet was journalled.
    pub fn count_fleet(&self, event: &FleetEvent) {
        self.records.writes.inc();
        if matches!(event, FleetEvent::Admitted { window_overridden: true, .. }) {
            self.rotation.overridden.inc();
        }
    }

    fn completed(&self, record: &Record) {
        let Some(rotation) = &record.rotation else { return };
        self.rotation.ended.with_label_values(&[rotation.trigger.as_str()]).inc();
        if let Some(proven) = rotation.proven_at {
            self.rotation.duration.observe(between(rotation.begun_at, proven).as_secs_f64());
        }
    }

    /// The journal could not be written or read.
    pub fn journal_failed(&self) {
        self.records.write_failures.inc();
    }

    /// A rotation was found under way at the start.
    pub fn recovered(&self, record: &Record) {
        let class = match record.phase() {
            Phase::Halted => "halted",
            Phase::Restoring => "restored",
            _ => "resumed",
        };
        self.records.recoveries.with_label_values(&[class]).inc();
    }

    /// Something woke the engine.
    pub fn triggered(&self, trigger: Trigger) {
        self.process.triggers.with_label_values(&[trigger.as_str()]).inc();
    }

    /// A wish to rotate was not acted upon.
    pub fn trigger_ignored(&self, class: &str) {
        self.process.triggers_ignored.with_label_values(&[class]).inc();
    }

    /// One check of a tenant has ended.
    pub fn checked(&self, tenant: &TenantId, complete: bool) {
        let mut tally = self.tally();
        let of = tally.tenant(tenant);
        of.checks.add();
        if !complete {
            of.failures.add();
        }
    }

    /// The scheduler woke the engine, `late` after its time.
    pub fn ticked(&self, now: Timestamp, late: Duration) {
        self.process.last_tick.set(seconds(now));
        self.process.tick_delay.observe(late.as_secs_f64());
    }

    /// The daemon has started, and wakes the engine without waiting for a tick.
    pub fn started(&self, now: Timestamp) {
        self.process.started.set(seconds(now));
        self.process.last_tick.set(seconds(now));
    }

    /// Somebody asked for a page without the right password.
    pub fn auth_failed(&self) {
        self.process.auth_failures.inc();
    }

    /// A defect was caught.
    pub fn panicked(&self) {
        self.process.panics.inc();
    }

    /// A line was logged.
    pub fn logged(&self, class: &str) {
        self.process.log_messages.with_label_values(&[class]).inc();
    }

    /// The own listener was asked for something.
    pub fn asked(&self, page: &str) {
        self.process.http_requests.with_label_values(&[page]).inc();
    }

    /// The whole exposition, text format 0.0.4: the registry, then the snapshot of `views` and of the fleet.
    pub fn render(&self, views: &[View], fleet: Option<&Overview>, now: Timestamp) -> Vec<u8> {
        let mut text = String::with_capacity(16 * 1024);
        TextEncoder::new()
            .encode_utf8(&self.registry.gather(), &mut text)
            .expect("writing to memory does not fail and gathered families are valid");
        snapshot::write(views, &self.tally(), self.detail(), now, &mut text);
        if let Some(fleet) = fleet {
            fleet::write(fleet, &mut text);
        }
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.retain(|_, until| *until > now);
        snapshot::pauses(&pauses, &mut text);
        text.into_bytes()
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
