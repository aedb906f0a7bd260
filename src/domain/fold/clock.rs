//! A clock that was ahead and was set back. What was written meanwhile bears times that are still to come, and every
//! wait that is counted from one of them would last until then. Nothing can have happened later than now: so each of
//! them becomes now, and the waits start over.

use crate::domain::Timestamp;
use crate::domain::evidence::Watch;
use crate::domain::record::Record;
use crate::domain::retirement::Change;
use crate::domain::stage::Stage;

/// Takes every instant of `record` that is later than `at` back to `at`. A hold ends when its person said, and what
/// is news is told by the consumer's clock.
pub(super) fn set_back(record: &mut Record, at: Timestamp) {
    let back = |time: &mut Timestamp| *time = (*time).min(at);
    back(&mut record.entered_at);
    record.trouble.retry_at = record.trouble.retry_at.map(|time| time.min(at));
    record.succeeded_at.iter_mut().for_each(back);
    if let Some(rotation) = &mut record.rotation {
        back(&mut rotation.begun_at);
        rotation.proven_at.iter_mut().for_each(back);
    }
    if let Some(outcome) = &mut record.outcome {
        back(&mut outcome.at);
    }
    if let Some((_, sent_at)) = &mut record.delete_sent {
        back(sent_at);
    }
    match &mut record.stage {
        Stage::Settled { .. } | Stage::Testing { .. } | Stage::Delivering { .. } => {}
        Stage::Creating { sent, .. } => sent.values_mut().for_each(back),
        Stage::Provisioning { watch, .. } => watch_back(watch, at),
        Stage::Restoring { watch, .. } => watch.iter_mut().for_each(|watch| watch_back(watch, at)),
        Stage::Soaking { evidence, .. } => {
            back(&mut evidence.reached_at);
            back(&mut evidence.renewed_at);
        }
        Stage::Retiring { retirement, .. } => {
            back(&mut retirement.evidence.reached_at);
            back(&mut retirement.evidence.renewed_at);
            retirement.last_gone_at.iter_mut().for_each(back);
            retirement.watch.iter_mut().for_each(|watch| watch_back(watch, at));
            if let Change::Undone(time) | Change::Sought(Some(time)) = &mut retirement.change {
                back(time);
            }
            if let Some(leaving) = &mut retirement.leaving {
                leaving.asked_at.iter_mut().for_each(back);
                leaving.gone_at.iter_mut().for_each(back);
                leaving.still_works_at.iter_mut().for_each(back);
            }
        }
    }
}

fn watch_back(watch: &mut Watch, at: Timestamp) {
    let back = |time: &mut Timestamp| *time = (*time).min(at);
    back(&mut watch.since);
    watch.posted_at.iter_mut().for_each(back);
    watch.rested_at.iter_mut().for_each(back);
    watch.faltered_at.iter_mut().for_each(back);
    if let Some(worked) = &mut watch.worked {
        back(&mut worked.first_at);
        back(&mut worked.last_at);
    }
}
