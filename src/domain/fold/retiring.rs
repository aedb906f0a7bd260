//! How an event moves a retirement.

use super::stages::watch_event;
use crate::domain::Timestamp;
use crate::domain::event::{Event, Wish};
use crate::domain::evidence::{Baseline, Watch};
use crate::domain::key::KeySet;
use crate::domain::retirement::{Change, Leaving, Retirement};
use crate::domain::stage::{Course, Stage};

pub(super) fn retiring(
    fresh: &KeySet,
    retirement: &Retirement,
    course: &Course,
    event: &Event,
    at: Timestamp,
) -> Option<Stage> {
    let mut next = retirement.clone();
    match event {
        Event::Completed if next.old.is_empty() => return Some(Stage::Settled { live: fresh.clone() }),
        Event::DeleteSent { role, .. } => {
            next.leaving =
                Some(Leaving { role: *role, asked_at: Some(at), gone_at: None, still_works_at: None });
        }
        Event::Gone { role, .. } => {
            let asked_at = next.leaving.as_ref().and_then(|leaving| leaving.asked_at);
            next.leaving = Some(Leaving { role: *role, asked_at, gone_at: Some(at), still_works_at: None });
            next.last_gone_at = Some(at);
            next.proven_since = false;
        }
        Event::Probed { role, refused: Some(false) } => {
            let leaving = next.leaving.as_mut().filter(|leaving| leaving.role == *role)?;
            leaving.still_works_at = Some(at);
        }
        Event::Probed { role, .. } => {
            next.leaving.as_ref().filter(|leaving| leaving.role == *role && leaving.gone_at.is_some())?;
            next.leaving = None;
            next.old.remove(role);
        }
        Event::Left { role, name } => {
            next.old.remove(role);
            next.left.insert(name.clone());
        }
        Event::Proven { evidence } => {
            next.evidence = *evidence;
            next.proven_since = true;
            next.watch = None;
        }
        Event::CannotProvision => {
            // Where the proof is needed all the same, a run that a person starts will do.
            next.watch = Some(Watch { cannot_post: true, ..Watch::new(at, at, Baseline::default()) });
            next.cannot_redeploy = true;
            next.change = next.change.sought();
        }
        Event::Resting
        | Event::Rested { .. }
        | Event::Moving
        | Event::Works { .. }
        | Event::Falters { .. }
        | Event::StepFailed { .. } => {
            watch_event(next.watch.as_mut()?, event, at).then_some(())?;
        }
        Event::Provisioned { baseline, upstream_at } => {
            let watch = Watch::new(at, upstream_at.unwrap_or(at), baseline.clone());
            next.watch = Some(Watch { posted_at: Some(at), ..watch });
        }
        Event::ExclusionFailed { detail } => {
            next.exclusion_failed = Some(detail.clone());
            next.watch = None;
        }
        Event::Delivered { .. } if next.exclusion_failed.is_some() => next.redelivered = true,
        Event::Delivered { .. } if next.change == Change::Undo => next.change = Change::Undone(at),
        Event::ProvisionSent => next.change = next.change.sought(),
        Event::Wished(wish @ (Wish::Resume | Wish::Confirm)) => go_on(&mut next, wish, at),
        _ => return None,
    }
    Some(Stage::Retiring { fresh: fresh.clone(), retirement: next, course: course.clone() })
}

/// A person saw to what stopped the retirement: it is tried afresh.
fn go_on(retirement: &mut Retirement, wish: &Wish, at: Timestamp) {
    if *wish == Wish::Confirm {
        // He says that what the consumer holds is right; where it was to be given the set again, that he did it himself.
        let by_hand = retirement.change == Change::Undo;
        retirement.change = if by_hand { Change::Undone(at) } else { retirement.change.sought() };
    }
    if retirement.exclusion_failed.is_some() {
        // What it was given again, perhaps without an answer, may not be taken over yet.
        retirement.change = Change::Sought(Some(at));
    }
    retirement.exclusion_failed = None;
    retirement.redelivered = false;
    retirement.cannot_redeploy = false;
    retirement.watch = None;
    if let Some(leaving) = retirement.leaving.as_mut() {
        leaving.still_works_at = None;
    }
}
