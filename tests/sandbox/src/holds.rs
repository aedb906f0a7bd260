//! Requests and replies that are held until somebody lets them go: a test can kill its client right there.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use crate::request::Operation;

/// One request that is held.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    /// Its number.
    pub id: u64,
    /// What it is for.
    pub operation: Operation,
    /// Its tenant, where one can be told.
    pub tenant: Option<String>,
    /// The path with its variable parts named.
    pub path: String,
    /// Whether it has taken effect already.
    pub after_effect: bool,
}

/// How a held request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// As if nothing had been: it takes effect if it has not yet, and is answered.
    Continue,
    /// The connection is closed; what has not taken effect never does.
    Drop,
}

/// What is held, each with the way to let it go, and the last number given.
#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    held: BTreeMap<u64, (Held, oneshot::Sender<Release>)>,
}

/// Everything that is held.
#[derive(Debug)]
pub(crate) struct Holds {
    waiting: Mutex<Waiting>,
    count: watch::Sender<usize>,
}

impl Holds {
    pub(crate) fn new() -> Self {
        Self { waiting: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// Waits here until released. A sandbox that ends drops what it holds.
    pub(crate) async fn hold(&self, mut what: Held) -> Release {
        let (sender, receiver) = oneshot::channel();
        let count = {
            let mut waiting = self.lock();
            waiting.last += 1;
            what.id = waiting.last;
            waiting.held.insert(what.id, (what, sender));
            waiting.held.len()
        };
        self.count.send_replace(count);
        receiver.await.unwrap_or(Release::Drop)
    }

    pub(crate) fn all(&self) -> Vec<Held> {
        self.lock().held.values().map(|(held, _)| held.clone()).collect()
    }

    /// Waits until so many are held at once.
    pub(crate) async fn at_least(&self, count: usize) {
        let mut seen = self.count.subscribe();
        // The sender lives as long as `self`, so that waiting can only end by the condition.
        let _ = seen.wait_for(|held| *held >= count).await;
    }

    /// Lets one go, or all; returns how many.
    pub(crate) fn release(&self, id: Option<u64>, how: Release) -> usize {
        let (released, left) = {
            let mut waiting = self.lock();
            let ids: Vec<u64> =
                waiting.held.keys().copied().filter(|one| id.is_none_or(|id| id == *one)).collect();
            let released: Vec<_> = ids.iter().filter_map(|id| waiting.held.remove(id)).collect();
            (released, waiting.held.len())
        };
        self.count.send_replace(left);
        let count = released.len();
        for (_, sender) in released {
            // The request is gone when the sandbox ends meanwhile; then there is nothing to release.
            let _ = sender.send(how);
        }
        count
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
