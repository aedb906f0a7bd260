//! How a delivery, there or back, moves the stage: what the consumer is like right before it, its acceptance, or the
//! hand of a person in its place.

use crate::domain::Timestamp;
use crate::domain::event::{Event, Wish};
use crate::domain::evidence::Watch;
use crate::domain::halt::HaltReason;
use crate::domain::record::Record;
use crate::domain::stage::Stage;

/// The stage that an event of a delivery leads to; `None` for any other.
pub(super) fn next(record: &Record, event: &Event, at: Timestamp) -> Option<Stage> {
    match (&record.stage, event) {
        // From a delivery where the consumer was seen under way right before.
        (
            Stage::Testing { live, fresh, .. } | Stage::Delivering { live, fresh, .. },
            Event::Ready { baseline },
        ) => Some(Stage::Delivering { live: live.clone(), fresh: fresh.clone(), baseline: baseline.clone() }),
        (Stage::Restoring { delivered: true, watch: None, .. }, Event::Ready { baseline: now }) => {
            let mut stage = record.stage.clone();
            if let Stage::Restoring { baseline, .. } = &mut stage {
                baseline.clone_from(now);
            }
            Some(stage)
        }
        (Stage::Delivering { live, fresh, baseline }, _) => {
            let news_after = accepted_at(record, event, at)?;
            Some(Stage::Provisioning {
                live: live.clone(),
                fresh: fresh.clone(),
                watch: Watch::new(at, news_after, baseline.clone()),
            })
        }
        (Stage::Restoring { baseline, .. }, _) => {
            let news_after = accepted_at(record, event, at)?;
            let started = Watch::new(at, news_after, baseline.clone());
            let mut stage = record.stage.clone();
            if let Stage::Restoring { watch, .. } = &mut stage {
                *watch = Some(started);
            }
            Some(stage)
        }
        _ => None,
    }
}

/// What is later than this is news of the delivery, where the event says that the consumer has it.
fn accepted_at(record: &Record, event: &Event, at: Timestamp) -> Option<Timestamp> {
    match event {
        Event::Delivered { upstream_at } => Some(upstream_at.unwrap_or(at)),
        // The person entered the keys at some moment after the baseline was taken.
        Event::Wished(Wish::Confirm) if by_hand(record) => Some(record.entered_at),
        _ => None,
    }
}

/// Whether a person was asked to enter the keys at the consumer.
fn by_hand(record: &Record) -> bool {
    record.halt.as_ref().is_some_and(|halt| matches!(halt.reason, HaltReason::ManualDelivery { .. }))
}
