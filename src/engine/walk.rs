//! The walk of one credential.

use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument, debug, error, warn};

use super::act::Came;
use super::desk::{Asked, Desk, Hand, WishError};
use super::look::look;
use super::{Engine, Unit, tell};
use crate::domain::event::{Entry, Event};
use crate::domain::observation::{Looks, Observation};
use crate::domain::plan::{self, NextLook, Plan, Step};
use crate::domain::record::Record;
use crate::domain::stage::Stage;
use crate::domain::{Timestamp, after, fleet, fold, wish};
use crate::ports::{Draft, JournalError};

/// Steps in one walk; a walk that takes more goes round in circles.
const STEP_LIMIT: usize = 256;

/// How long a walk that failed inside waits before the next one.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(10);

impl Engine {
    /// Walks one credential until its plan says rest, and notes when to look again. Answers whether the journal took it.
    pub(super) async fn walk(self: &Arc<Self>, desk: &Desk) -> bool {
        let unit = desk.unit();
        let id = unit.policy.credential.clone();
        let span = tracing::info_span!("walk", tenant = %id.tenant, credential = %id.name);
        let mut hand = desk.hand.lock().await;
        let result = self.steps(desk, &unit, &mut hand).instrument(span.clone()).await;
        let well = result.is_ok();
        let stopped = result.as_ref().err().map(ToString::to_string);
        let next = match result {
            Ok(next) => next,
            Err(problem) => {
                span.in_scope(
                    || error!(%problem, "the walk of `{id}` stops: nothing was believed that is not on disk"),
                );
                self.metrics.journal_failed();
                // What is in memory may be behind or ahead of the journal: read it again.
                hand.lease = None;
                after(self.clock.now(), PAUSE_AFTER_ERROR)
            }
        };
        // A wish that came in late is taken by the next walk, unless there will be none.
        if hand.lease.is_none() || self.stop.is_cancelled() {
            for asked in desk.take_inbox() {
                let _ = asked.answer.send(Err(WishError::Busy(id.clone())));
            }
        }
        desk.publish(|view| view.stopped = stopped);
        desk.rest_until(next, self.clock.now());
        let stirred = std::mem::take(&mut hand.stirs_fleet);
        let sees_again = std::mem::take(&mut hand.sees_again);
        drop(hand);
        self.expect_no_more(&id);
        if sees_again {
            self.wake_peers(&unit);
        }
        if stirred {
            self.heed().await;
        }
        well
    }

    async fn steps(&self, desk: &Desk, unit: &Unit, hand: &mut Hand) -> Result<Timestamp, JournalError> {
        let id = &unit.policy.credential;
        let mut seen: Option<(Looks, Arc<Observation>)> = None;
        for _ in 0..STEP_LIMIT {
            if self.stop.is_cancelled() {
                return Ok(after(self.clock.now(), PAUSE_AFTER_ERROR));
            }
            let fence = hand.lease.as_ref().map(|lease| lease.fence);
            if !self.hold_lease(desk, unit, hand).await? {
                debug!("another instance works on `{}`", id.tenant);
                self.turnstile.leave(id);
                return Ok(after(self.clock.now(), self.settings.lease_life));
            }
            if hand.lease.as_ref().map(|lease| lease.fence) != fence {
                // Somebody else may have been at work since the last look.
                seen = None;
            }
            self.take_wishes(desk, unit, hand).await?;
            let observation = self.observe(unit, hand, &mut seen).await;
            let now = self.clock.now();
            let plan = plan::plan(&unit.policy, hand.record.as_deref(), &observation, now);
            let plan = self.moderate(unit, hand, plan).await?;
            let next_look = self.publish(desk, unit, hand, &plan, &observation, now);
            if plan.step == Step::Rest {
                debug!(code = plan.reason.code, next = %next_look, "`{id}` rests: {}", plan.reason.text);
                return Ok(next_look);
            }
            if !self.is_leased(hand) {
                // The look took its time: another instance comes first, and what was seen is no longer how it is.
                seen = None;
                continue;
            }
            if desk.has_wishes() {
                continue;
            }
            debug!(step = plan.step.name(), code = plan.reason.code, "{}", plan.reason.text);
            // A delivery that comes next is measured by a look of its own.
            let delivers_next =
                matches!(plan.step, Step::Note(Event::TurnedBack { .. } | Event::Ready { .. }));
            if delivers_next || !matches!(plan.step, Step::Note(_) | Step::Begin { .. }) {
                seen = None;
            }
            let (rotation, phase) = under_way(hand);
            let span = tracing::info_span!("step", rotation, phase, step = plan.step.name());
            let act = self.act(unit, hand, &observation, &plan.step, &plan.reason.text);
            let came = act.instrument(span).await?;
            self.believe(unit, hand, &plan, came).await?;
            publish_record(desk, hand);
        }
        warn!("`{id}` took {STEP_LIMIT} steps in one walk and pauses: please report this");
        Ok(after(self.clock.now(), unit.policy.poll))
    }

    /// Whether the lease outlasts the next call, as far as can be known.
    pub(super) fn is_leased(&self, hand: &Hand) -> bool {
        let soon = after(self.clock.now(), self.settings.lease_life / 4);
        hand.lease.as_ref().is_some_and(|lease| soon < lease.until)
    }

    /// Looks, or takes the last look again where nothing was done outside since.
    async fn observe(
        &self,
        unit: &Unit,
        hand: &mut Hand,
        seen: &mut Option<(Looks, Arc<Observation>)>,
    ) -> Arc<Observation> {
        let looks = plan::looks(&unit.policy, hand.record.as_deref(), self.clock.now());
        if let Some((had, observation)) = seen
            && covers(*had, looks)
        {
            return Arc::clone(observation);
        }
        let (rotation, phase) = under_way(hand);
        let span = tracing::info_span!("look", rotation, phase);
        let observation = Arc::new(look(unit, hand, looks, self.clock.as_ref()).instrument(span).await);
        *seen = Some((looks, Arc::clone(&observation)));
        observation
    }

    async fn believe(
        &self,
        unit: &Unit,
        hand: &mut Hand,
        plan: &Plan,
        came: Came,
    ) -> Result<(), JournalError> {
        let event = match came {
            Came::Of(event) => event,
            Came::OfItself => return Ok(()),
            Came::Failed(failure) => {
                let record =
                    hand.record.as_ref().expect("only a credential with a record has steps that fail");
                let retry_at = plan::retry_at(&unit.policy, record, &plan.step, &failure, self.clock.now());
                Event::StepFailed { step: plan.step.name().to_owned(), failure, retry_at }
            }
        };
        self.write(unit, hand, event).await
    }

    /// Appends one event and folds it. What is not on disk is not believed.
    pub(super) async fn write(&self, unit: &Unit, hand: &mut Hand, event: Event) -> Result<(), JournalError> {
        let lease = hand.lease.as_ref().expect("a walker holds the lease");
        let follows = hand.record.as_ref().map_or(0, |record| record.sequence);
        let draft =
            Draft { at: self.clock.now(), credential: unit.policy.credential.clone(), follows, event };
        // What does not fit must not get on disk: the next start would refuse the whole journal.
        assert_fits(hand.record.as_deref().cloned(), &draft);
        let entry = self.journal.append(lease, draft).await?;
        let before = hand.record.take();
        let record = fold::apply(before.as_deref().cloned(), &entry)
            .map_err(|misfit| JournalError::Damaged(misfit.to_string()))?;
        tell::tell(&entry, &record);
        tell::trace(&entry, &record);
        self.metrics.count(before.as_deref(), &record, &entry.event);
        hand.stirs_fleet |= fleet::stirs(&entry.event);
        if matches!(record.stage, Stage::Settled { .. }) {
            hand.wallet.clear();
        }
        hand.record = Some(Arc::new(record));
        Ok(())
    }

    /// Takes or renews the lease; where it changed hands, reads what the other one wrote.
    async fn hold_lease(&self, desk: &Desk, unit: &Unit, hand: &mut Hand) -> Result<bool, JournalError> {
        let now = self.clock.now();
        let life = self.settings.lease_life;
        if hand.lease.as_ref().is_some_and(|lease| after(now, life / 2) < lease.until) {
            return Ok(true);
        }
        let tenant = &unit.policy.credential.tenant;
        let Some(lease) = self.journal.acquire(tenant, &self.settings.holder, now, life).await? else {
            hand.lease = None;
            desk.publish(|view| view.lease_held = false);
            return Ok(false);
        };
        if hand.lease.as_ref().is_none_or(|mine| mine.fence != lease.fence) {
            self.reread(unit, hand).await?;
        }
        desk.publish(|view| {
            view.lease_held = true;
            view.lease_until = Some(lease.until);
        });
        hand.lease = Some(lease);
        Ok(true)
    }

    /// Renews the lease; `false` where it changed hands, and then what the other one wrote is read before the next step.
    pub(super) async fn renews_lease(&self, unit: &Unit, hand: &mut Hand) -> Result<bool, JournalError> {
        let (now, life) = (self.clock.now(), self.settings.lease_life);
        let renewed =
            self.journal.acquire(&unit.policy.credential.tenant, &self.settings.holder, now, life).await?;
        let mine = hand.lease.take();
        hand.lease = renewed.filter(|lease| mine.is_some_and(|mine| mine.fence == lease.fence));
        Ok(self.is_leased(hand))
    }

    async fn reread(&self, unit: &Unit, hand: &mut Hand) -> Result<(), JournalError> {
        let id = &unit.policy.credential;
        let known = hand.record.as_ref().map_or(0, |record| record.sequence);
        let news = self.journal.read(Some(&id.tenant), known).await?;
        let mut record = hand.record.take().map(Arc::unwrap_or_clone);
        for entry in news.iter().filter(|entry| entry.credential == *id) {
            let next = fold::apply(record, entry);
            record = Some(next.map_err(|misfit| JournalError::Damaged(misfit.to_string()))?);
        }
        hand.record = record.map(Arc::new);
        Ok(())
    }

    async fn take_wishes(&self, desk: &Desk, unit: &Unit, hand: &mut Hand) -> Result<(), JournalError> {
        for Asked { wish, answer } in desk.take_inbox() {
            let admitted = wish::admit(hand.record.as_deref(), &wish, self.clock.now());
            let result = match admitted {
                Ok(()) => self.write(unit, hand, Event::Wished(wish)).await.map_err(WishError::from),
                Err(why) => Err(WishError::Refused { credential: unit.policy.credential.clone(), why }),
            };
            let failed = match &result {
                Err(WishError::Journal(problem)) => Some(problem.clone()),
                _ => None,
            };
            publish_record(desk, hand);
            let _ = answer.send(result);
            if let Some(problem) = failed {
                return Err(problem);
            }
        }
        if desk.is_pushed() && waits(hand, self.clock.now()) {
            self.write(unit, hand, Event::Pushed).await?;
        }
        Ok(())
    }

    fn publish(
        &self,
        desk: &Desk,
        unit: &Unit,
        hand: &Hand,
        plan: &Plan,
        observation: &Observation,
        now: Timestamp,
    ) -> Timestamp {
        let tick = (unit.next_tick)(now);
        let next_look = match plan.next_look {
            NextLook::Now => now,
            NextLook::At(at) => at,
            NextLook::Schedule => tick.unwrap_or(Timestamp::MAX_UTC),
        };
        let complete = observation.blind == 0 && observation.keys.known().is_some();
        let record = hand.record.clone();
        desk.publish(|view| {
            view.record = record;
            if complete {
                view.checked_at = Some(observation.at);
            }
            view.observation = Some(Arc::new(tell::merge(view.observation.as_deref(), observation)));
            view.reason = Some(plan.reason.clone());
            view.look = Some(plan.next_look);
            view.next_tick = tick;
        });
        if observation.keys != crate::domain::observation::Seen::NotAsked {
            self.metrics.checked(&unit.policy.credential.tenant, complete);
        }
        next_look
    }
}

/// An event that does not fit is our mistake, so the walk ends here and the journal stays whole.
fn assert_fits(record: Option<Record>, draft: &Draft) {
    let entry = Entry {
        sequence: draft.follows + 1,
        at: draft.at,
        credential: draft.credential.clone(),
        event: draft.event.clone(),
    };
    let fits = fold::apply(record, &entry).map(drop);
    assert_eq!(fits, Ok(()), "only what fits is journalled");
}

/// The id of the rotation under way, or nothing, and the phase.
fn under_way(hand: &Hand) -> (String, &'static str) {
    let Some(record) = &hand.record else { return (String::new(), "") };
    let is_settled = matches!(record.stage, Stage::Settled { .. });
    let rotation = record.rotation.as_ref().filter(|_| !is_settled);
    (rotation.map_or_else(String::new, |rotation| rotation.id.0.clone()), record.phase().as_str())
}

fn publish_record(desk: &Desk, hand: &Hand) {
    let record = hand.record.clone();
    desk.publish(|view| view.record = record);
}

/// Whether what was looked at before is enough for what is needed now.
fn covers(had: Looks, needed: Looks) -> bool {
    (had.keys || !needed.keys) && (had.status || !needed.status) && (had.content || !needed.content)
}

/// Whether the credential waits for a time that somebody who pushes may pass over.
fn waits(hand: &Hand, now: Timestamp) -> bool {
    hand.record.as_ref().is_some_and(|record| {
        let backs_off = record.trouble.retry_at.is_some_and(|at| now < at);
        let pauses = record.cycles > 0 && !record.pushed && matches!(record.stage, Stage::Settled { .. });
        record.halt.is_none() && (backs_off || pauses)
    })
}
