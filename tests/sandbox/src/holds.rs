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

/// Everything that is held.
#[derive(Debug)]
pub(crate) struct Holds {
    held: Mutex<(u64, BTreeMap<u64, (Held, oneshot::Sender<Release>)>)>,
    count: watch::Sender<usize>,
}

impl Holds {
    pub(crate) fn new() -> Self {
        Self { held: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// Waits here until released. A sandbox that ends drops what it holds.
    pub(crate) async fn hold(&self, mut what: Held) -> Release {
        let (sender, receiver) = oneshot::channel();
        let count = {
            let mut held = self.lock();
            held.0 += 1;
            what.id = held.0;
            let id = held.0;
            held.1.insert(id, (what, sender));
            held.1.len()
        };
        self.count.send_replace(count);
        receiver.await.unwrap_or(Release::Drop)
    }

    pub(crate) fn all(&self) -> Vec<Held> {
        self.lock().1.values().map(|(held, _)| held.clone()).collect()
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
            let mut held = self.lock();
            let ids: Vec<u64> = held.1.keys().copied().filter(|one| id.is_none_or(|id| id == *one)).collect();
            let released: Vec<_> = ids.iter().filter_map(|id| held.1.remove(id)).collect();
            (released, held.1.len())
        };
        self.count.send_replace(left);
        let count = released.len();
        for (_, sender) in released {
            // The request is gone when the sandbox ends meanwhile; then there is nothing to release.
            let _ = sender.send(how);
        }
        count
    }

    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, (Held, oneshot::Sender<Release>)>)> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
