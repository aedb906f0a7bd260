//! Which trace a span is in, and what never gets into one.

use std::sync::Arc;

use opentelemetry_sdk::trace::SpanData;
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt;

use super::{Ended, QUEUE, ids, spans};
use crate::clock::SystemClock;

/// What ends while `work` is done, in the order in which it ends.
fn ended(work: impl FnOnce()) -> Vec<SpanData> {
    let (layer, Ended(mut ended)) = spans(Arc::new(SystemClock::new()));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    std::iter::from_fn(|| ended.try_recv().ok()).collect()
}

#[test]
fn a_rotations_own_id_decides_which_trace_it_is() {
    let found = ended(|| {
        for _ in 0..2 {
            let walk = info_span!("walk", tenant = "acme").entered();
            let step = info_span!("step", rotation = "r-1", step = "create").entered();
            drop(info_span!("call", operation = "create_key", status = tracing::field::Empty).entered());
            drop(step);
            drop(info_span!("look", rotation = "").entered());
            drop(walk);
        }
        drop(info_span!("rotation", rotation = "r-1", since = 1_000_i64));
    });
    let (walks, whole) = (found.chunks(4), found.last().unwrap());
    assert_eq!(found.len(), 9);
    for walk in walks.take(2) {
        let [call, step, look, walk] = walk else { panic!("{walk:?}") };
        assert_eq!(call.span_context.trace_id(), ids::trace("r-1"));
        assert_eq!(call.parent_span_id, step.span_context.span_id());
        assert_eq!(step.parent_span_id, ids::root("r-1"), "whoever walks, the rotation is above it");
        assert_eq!(look.span_context.trace_id(), walk.span_context.trace_id());
        assert_eq!(look.parent_span_id, walk.span_context.span_id());
        assert_ne!(walk.span_context.trace_id(), ids::trace("r-1"));
    }
    assert_ne!(found[3].span_context.trace_id(), found[7].span_context.trace_id(), "each walk has its own");
    assert_eq!(whole.span_context.span_id(), ids::root("r-1"));
    assert_eq!(whole.start_time, std::time::UNIX_EPOCH + std::time::Duration::from_secs(1));
    assert_ne!(ids::trace("r-1"), ids::trace("r-2"));
}

#[test]
fn what_others_say_and_what_is_logged_stays_here() {
    let found = ended(|| {
        let library = info_span!(target: "hyper", "connect", password = "s3cret").entered();
        let own = info_span!("step", step = "create").entered();
        info!(token = "s3cret", "s3cret");
        drop(own);
        drop(library);
    });
    assert_eq!(found.len(), 1);
    assert!(!format!("{found:?}").contains("s3cret"));
}

#[test]
fn a_queue_that_is_full_stops_nobody() {
    let found = ended(|| {
        for _ in 0..QUEUE + 10 {
            drop(info_span!("step"));
        }
    });
    assert_eq!(found.len(), QUEUE);
}
