//! Traces for a collector that speaks OTLP: one trace for each rotation, with the calls that were made for it.
//!
//! What the engine and the way out say as spans of `tracing` is kept here until a span ends, and sent in batches by a task of
//! its own. A rotation takes days and outlives restarts: the ids of its trace come from its own id, so whatever walks on with it
//! lands in the same trace, and its whole span is sent when it is over.
//!
//! Architecture Invariant: nobody waits for a collector. What does not fit into the queue, or cannot be sent, is lost.

mod ids;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{ExporterBuildError, RetryPolicy, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter, SpanLinks};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Clock;

/// Spans that wait to be sent, at most.
const QUEUE: usize = 4096;

/// Spans of one message, at most.
const BATCH: usize = 512;

/// How long spans are gathered for one message.
const GATHER: Duration = Duration::from_secs(2);

/// The name of the span that is a whole rotation.
const ROTATION: &str = "rotation";

/// Keeps the spans of ours and hands on those that have ended.
pub struct Spans {
    ended: mpsc::Sender<SpanData>,
    clock: Arc<dyn Clock>,
    scope: InstrumentationScope,
}

/// What has ended and is to be sent.
pub struct Ended(mpsc::Receiver<SpanData>);

/// A layer, and where its spans come out.
pub fn spans(clock: Arc<dyn Clock>) -> (Spans, Ended) {
    let (ended, out) = mpsc::channel(QUEUE);
    let scope = InstrumentationScope::builder("rekeyd").with_version(env!("CARGO_PKG_VERSION")).build();
    (Spans { ended, clock, scope }, Ended(out))
}

/// A span that has not ended.
struct Open {
    trace: TraceId,
    id: SpanId,
    parent: SpanId,
    started: SystemTime,
    said: Said,
}

/// What a span says: its fields.
#[derive(Default)]
struct Said {
    attributes: Vec<KeyValue>,
    rotation: Option<String>,
    since: Option<i64>,
    failed: Option<String>,
}

impl Said {
    fn add(&mut self, field: &Field, value: String) {
        if value.is_empty() {
            return;
        }
        match field.name() {
            "rotation" => self.rotation = Some(value.clone()),
            "class" => self.failed = Some(value.clone()),
            _ => {}
        }
        self.attributes.push(KeyValue::new(format!("rekeyd.{}", field.name()), value));
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name() == "since" {
            self.since = Some(value);
        } else {
            self.attributes.push(KeyValue::new(format!("rekeyd.{}", field.name()), value));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_i64(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format!("{value:?}"));
    }
}

/// Only what rekeyd itself says, whose fields are known: a library's could hold anything.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("rekeyd")
}

impl Spans {
    /// Which trace a span is in, and whose child it is there. A rotation's own id decides, not who happens to walk.
    fn place(&self, name: &str, said: &Said, above: Option<(TraceId, SpanId)>) -> (TraceId, SpanId, SpanId) {
        let fresh = SpanId::from_bytes(self.clock.nonce().to_be_bytes());
        let Some(rotation) = &said.rotation else {
            return above.map_or_else(
                || (ids::trace(&format!("{:x}", self.clock.nonce())), fresh, SpanId::INVALID),
                |(trace, parent)| (trace, fresh, parent),
            );
        };
        let (trace, root) = (ids::trace(rotation), ids::root(rotation));
        if name == ROTATION {
            return (trace, root, SpanId::INVALID);
        }
        let parent = above.filter(|(above, _)| *above == trace).map_or(root, |(_, parent)| parent);
        (trace, fresh, parent)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id).filter(|span| is_ours(span.metadata())) else { return };
        let mut said = Said::default();
        attributes.record(&mut said);
        let above = span
            .parent()
            .and_then(|parent| parent.extensions().get::<Open>().map(|open| (open.trace, open.id)));
        let (trace, id, parent) = self.place(span.name(), &said, above);
        let now = self.clock.now();
        let since = said.since.and_then(chrono::DateTime::from_timestamp_millis);
        let started = SystemTime::from(since.unwrap_or(now));
        span.extensions_mut().insert(Open { trace, id, parent, started, said });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            values.record(&mut open.said);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(Open { trace, id, parent, started, said }) = span.extensions_mut().remove::<Open>() else {
            return;
        };
        let data = SpanData {
            span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: if span.name() == "call" { SpanKind::Client } else { SpanKind::Internal },
            name: span.name().into(),
            start_time: started,
            end_time: SystemTime::from(self.clock.now()).max(started),
            attributes: said.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: said.failed.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        };
        // A queue that is full has no place: nobody waits.
        let _ = self.ended.try_send(data);
    }
}

/// Sends what has ended to a collector.
pub struct Sender {
    ended: mpsc::Receiver<SpanData>,
    exporter: opentelemetry_otlp::SpanExporter,
}

impl Sender {
    /// `client` is the way to the collector, `instance` the name of this daemon.
    pub fn new<C: HttpClient + 'static>(
        ended: Ended,
        url: &str,
        instance: &str,
        client: C,
    ) -> Result<Self, ExporterBuildError> {
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(url)
            // The library would sleep in the thread that it runs in; what cannot be sent is lost instead.
            .with_retry_policy(RetryPolicy::disabled())
            .build()?;
        let resource = Resource::builder_empty().with_service_name("rekeyd").with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance.to_owned()),
        ]);
        exporter.set_resource(&resource.build());
        Ok(Self { ended: ended.0, exporter })
    }

    /// Sends until `stop`, and then what is left.
    pub async fn run(mut self, clock: Arc<dyn Clock>, stop: CancellationToken) {
        while let Some(first) = self.next(&stop).await {
            tokio::select! {
                () = clock.sleep(GATHER) => {}
                () = stop.cancelled() => {}
            }
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(next) = self.ended.try_recv()
            {
                batch.push(next);
            }
            // The client says what is wrong, once.
            let _ = self.exporter.export(batch).await;
        }
    }

    async fn next(&mut self, stop: &CancellationToken) -> Option<SpanData> {
        tokio::select! {
            biased;
            next = self.ended.recv() => next,
            () = stop.cancelled() => None,
        }
    }
}
