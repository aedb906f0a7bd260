//! What wakes the walkers, and what waits for them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::error;

use super::Engine;
use super::desk::Desk;
use crate::domain::event::Trigger;
use crate::domain::event::Wish;
use crate::domain::fleet::Pass;
use crate::domain::names::{CredentialId, TenantId};
use crate::domain::plan::{LOGIN_REFUSED, NOT_PERMITTED, rotation_due};
use crate::domain::view::View;
use crate::domain::{Timestamp, after, between};

/// How long a credential rests whose walk panicked.
const PAUSE_AFTER_PANIC: Duration = Duration::from_mins(10);

/// What a trigger did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Woken {
    /// Walkers woken.
    pub walkers: usize,
}

/// What became of a wish that went to many.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// How many took it down.
    pub asked: usize,
    /// Why the others did not.
    pub refused: Vec<String>,
}

impl Engine {
    /// Wakes what is due at `now`.
    pub fn wake_due(self: &Arc<Self>, now: Timestamp) -> Woken {
        // Whoever is at work finds out for himself when to look next.
        self.wake_where(false, |desk| desk.is_due(now) && !desk.walking.load(Ordering::Acquire))
    }

    /// Wakes everything, passing over schedule and backoff, but no gate.
    pub fn push(self: &Arc<Self>) -> Woken {
        self.wake_where(true, |_| true)
    }

    /// Wakes one credential.
    pub fn push_one(self: &Arc<Self>, id: &CredentialId) -> bool {
        let desk = self.desk(id);
        if let Some(desk) = &desk {
            self.wake_one(desk, true);
        }
        desk.is_some()
    }

    /// Wakes everybody whom the fleet turned away: its rules, or the windows, may be others now.
    pub fn wake_turned_away(self: &Arc<Self>) -> Woken {
        self.wake_where(false, |desk| {
            desk.read(|view| view.reason.as_ref().is_some_and(|reason| reason.code == "fleet"))
        })
    }

    /// Wakes those of `tenants` that rest because a login was refused: another one is configured now. What waits between two
    /// attempts at a login that is still the same waits on.
    pub fn wake_refused(self: &Arc<Self>, tenants: &BTreeSet<TenantId>) -> Woken {
        let fails = |view: &View| {
            let trouble = view.record.as_ref().and_then(|record| record.trouble.last.as_ref());
            trouble.is_some_and(|failure| failure.class.is_login())
        };
        let is_unseen = |view: &View| {
            view.reason.as_ref().is_some_and(|reason| [LOGIN_REFUSED, NOT_PERMITTED].contains(&reason.code))
        };
        let is_one = |view: &View| tenants.contains(&view.credential.tenant);
        // Who failed at a step waits by its journal; who could not see only looks later.
        let pushed = self.wake_where(true, |desk| desk.read(|view| is_one(view) && fails(view)));
        let woken =
            self.wake_where(false, |desk| desk.read(|view| is_one(view) && !fails(view) && is_unseen(view)));
        Woken { walkers: pushed.walkers + woken.walkers }
    }

    /// Walks, and survives a defect: a panic ends this walk, not the daemon.
    async fn walk_guarded(self: &Arc<Self>, desk: &Arc<Desk>) -> bool {
        let (engine, walked) = (Arc::clone(self), Arc::clone(desk));
        let walked = tokio::spawn(async move { engine.walk(&walked).await }).await;
        if let Err(panic) = &walked {
            let id = desk.view().credential;
            error!(
                "the walk of `{id}` panicked, which is a defect; nothing was believed that is not on disk: {panic}"
            );
            self.metrics.panicked();
            let now = self.clock.now();
            desk.rest_until(after(now, PAUSE_AFTER_PANIC), now);
            // What was in memory is not to be trusted any more.
            self.turnstile.leave(&id);
            self.expect_no_more(&id);
            desk.hand.lock().await.forget();
        }
        walked.unwrap_or(false)
    }

    /// Wakes a walker for `desk`, unless one is at work: then it goes round once more.
    pub(super) fn wake_one(self: &Arc<Self>, desk: &Arc<Desk>, push: bool) {
        if push {
            desk.pushed.store(true, Ordering::Release);
        }
        self.expect(desk);
        // Said before it is asked whether somebody is at work: who stops working looks at it afterwards.
        desk.again.store(true, Ordering::Release);
        if desk.walking.swap(true, Ordering::AcqRel) {
            return;
        }
        let (engine, desk) = (Arc::clone(self), Arc::clone(desk));
        self.walkers.spawn(async move {
            let mut well;
            loop {
                let slot = engine.slots.acquire().await.expect("the semaphore is never closed");
                desk.again.swap(false, Ordering::AcqRel);
                well = engine.walk_guarded(&desk).await;
                drop(slot);
                desk.walking.swap(false, Ordering::AcqRel);
                let more = desk.again.load(Ordering::Acquire) && !engine.stop.is_cancelled();
                if !more || desk.walking.swap(true, Ordering::AcqRel) {
                    break;
                }
            }
            if well {
                engine.let_in();
            }
            engine.rested.notify_one();
        });
    }

    fn wake_where(self: &Arc<Self>, push: bool, chosen: impl Fn(&super::Desk) -> bool) -> Woken {
        if self.stop.is_cancelled() {
            return Woken::default();
        }
        let desks: Vec<_> = {
            let desks = self.desks.read().expect("no holder of the lock panics");
            desks.values().filter(|desk| chosen(desk)).cloned().collect()
        };
        for desk in &desks {
            self.wake_one(desk, push);
        }
        Woken { walkers: desks.len() }
    }

    /// Asks every credential to rotate, or only those that are `due`. The ones that cannot are counted as ignored.
    pub async fn wish_all(
        self: &Arc<Self>,
        due_only: bool,
        trigger: Trigger,
        reason: &str,
        pass: Pass,
    ) -> Taken {
        let now = self.clock.now();
        let mut taken = Taken::default();
        for view in self.views().into_iter().filter(|view| !due_only || is_due(view, now)) {
            let wish = Wish::Rotate { trigger, reason: reason.to_owned(), pass };
            match self.wish(&view.credential, wish).await {
                Ok(()) => taken.asked += 1,
                Err(why) => {
                    self.metrics.trigger_ignored("coalesced");
                    tracing::info!("`{}` is not asked to rotate: {why}", view.credential);
                    taken.refused.push(why.to_string());
                }
            }
        }
        taken
    }

    /// How long until something is due; at most `longest`.
    pub fn until_due(&self, now: Timestamp, longest: Duration) -> Duration {
        let desks = self.desks.read().expect("no holder of the lock panics");
        let next = desks.values().filter_map(|desk| desk.next_look()).filter(|at| *at > now).min();
        next.map_or(longest, |at| between(now, at).min(longest))
    }

    /// Waits until a walker rests; it may have found something sooner than was expected.
    pub async fn rested(&self) {
        self.rested.notified().await;
    }

    /// Waits until no walker is at work.
    pub async fn quiet(&self) {
        self.walkers.close();
        self.walkers.wait().await;
        self.walkers.reopen();
    }

    /// Takes no more steps. Calls in flight are finished, what came of them is journalled, leases are given back.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.walkers.close();
        self.walkers.wait().await;
        self.leave_turnstile().await;
        let desks: Vec<_> =
            self.desks.read().expect("no holder of the lock panics").values().cloned().collect();
        for desk in desks {
            let lease = desk.hand.lock().await.lease.take();
            if let Some(lease) = lease
                && let Err(problem) = self.journal.release(&lease).await
            {
                tracing::debug!(%problem, "a lease was not given back: it ends by itself");
            }
        }
    }
}

/// Whether its rotation is due by its age.
fn is_due(view: &View, now: Timestamp) -> bool {
    let Some(record) = &view.record else { return false };
    matches!(rotation_due(&view.policy, record.stage.in_use()), Ok(Some(due)) if due <= now)
}
