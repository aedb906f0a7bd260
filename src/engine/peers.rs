//! Those who share an issuer share its outages: the first who sees it again wakes the others, whose waits have grown to
//! hours by then. How fast they come is for the walkers' slots and the limiter of `http`.

use std::sync::Arc;

use super::desk::{Desk, Hand};
use super::{Engine, Unit};
use crate::domain::Timestamp;
use crate::domain::failure::{Class, Failure};
use crate::domain::observation::Seen;
use crate::domain::stage::Stage;
use crate::domain::view::View;

/// Looks in a row that could not see the issuer: with fewer it was a hiccup, and nobody waits long for that.
const OUTAGE: u32 = 3;

/// Counts what a look at the issuer saw.
pub(super) fn note<T>(hand: &mut Hand, keys: &Seen<T>) {
    match keys {
        Seen::NotAsked => {}
        Seen::Unknown(failure) => {
            hand.unseen = if passes(failure) { hand.unseen.saturating_add(1) } else { 0 }
        }
        Seen::Yes(_) => {
            hand.sees_again |= hand.unseen >= OUTAGE;
            hand.unseen = 0;
        }
    }
}

impl Engine {
    /// The issuer of `unit` is back: whoever waits because of its outage looks now.
    pub(super) fn wake_peers(self: &Arc<Self>, unit: &Unit) {
        let now = self.clock.now();
        let issuer = &unit.policy.pin.issuer;
        let peers: Vec<(Arc<Desk>, bool)> = {
            let desks = self.desks.read().expect("no holder of the lock panics");
            let peers = desks.values().filter_map(|desk| {
                let push = desk.read(|view| {
                    let shares =
                        view.policy.pin.issuer == *issuer && view.credential != unit.policy.credential;
                    shares.then(|| waits(view, now)).flatten()
                });
                push.map(|push| (Arc::clone(desk), push))
            });
            peers.collect()
        };
        if !peers.is_empty() {
            tracing::info!(
                "`{issuer}` answers again: {} credentials that waited for it look now",
                peers.len()
            );
        }
        for (desk, push) in peers {
            self.wake_one(&desk, push);
        }
    }
}

/// Whether it waits for what passes by itself, and if so, whether a push is needed to end the wait: a look that could
/// not see is only repeated sooner, a step that failed has a journalled time.
fn waits(view: &View, now: Timestamp) -> Option<bool> {
    let record = view.record.as_ref();
    let trouble =
        record.filter(|record| !matches!(record.stage, Stage::Settled { .. })).map(|record| &record.trouble);
    let backs_off = trouble.is_some_and(|trouble| {
        trouble.retry_at.is_some_and(|at| now < at) && trouble.last.as_ref().is_some_and(passes)
    });
    let blind = view.observation.as_ref().and_then(|seen| seen.keys.failure()).is_some_and(passes);
    (backs_off || blind).then_some(backs_off)
}

/// A refused login is not for another tenant to try again, and a 429 says itself until when.
fn passes(failure: &Failure) -> bool {
    failure.class.is_passing() && failure.class != Class::Throttled
}
