//! The ids of a rotation's trace, from its own id: the same before and after a restart, on every instance.

use aws_lc_rs::digest::{SHA256, digest};
use opentelemetry::trace::{SpanId, TraceId};

/// The trace.
pub(super) fn trace(rotation: &str) -> TraceId {
    TraceId::from_bytes(part(rotation, 0))
}

/// The span that is the whole rotation.
pub(super) fn root(rotation: &str) -> SpanId {
    SpanId::from_bytes(part(rotation, 16))
}

/// So many bytes of its SHA-256, from `start` on.
fn part<const LENGTH: usize>(rotation: &str, start: usize) -> [u8; LENGTH] {
    let sum = digest(&SHA256, rotation.as_bytes());
    let bytes = sum.as_ref().get(start..start + LENGTH).expect("a SHA-256 has 32 bytes");
    bytes.try_into().expect("the slice is as long as the array")
}
