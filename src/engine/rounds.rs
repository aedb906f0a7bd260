//! What wakes the walkers, and what waits for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Engine;
use crate::domain::event::Trigger;
use crate::domain::event::Wish;
use crate::domain::fleet::Pass;
use crate::domain::names::CredentialId;
use crate::domain::plan::rotation_due;
use crate::domain::view::View;
use crate::domain::{Timestamp, between};

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
        self.wake_where(false, |desk| desk.view().reason.is_some_and(|reason| reason.code == "fleet"))
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
