//! The desk of one credential: what its walker has at hand.
//!
//! Secrets are read from the issuer when a step needs them and kept here, in memory, while a rotation is under way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::oneshot;

use super::{Engine, Unit};
use crate::domain::Timestamp;
use crate::domain::event::Wish;
use crate::domain::names::{CredentialId, KeyId};
use crate::domain::record::Record;
use crate::domain::view::View;
use crate::ports::{JournalError, Lease};
use crate::secret::ServiceKey;

/// What only the walker touches.
pub(super) struct Hand {
    /// What the journal says. `None` is nothing; reread when `fence` is not the lease's.
    pub(super) record: Option<Arc<Record>>,
    /// The lease, and with it the journal as of when it was read.
    pub(super) lease: Option<Lease>,
    /// Secrets read from the issuer.
    pub(super) wallet: BTreeMap<KeyId, Arc<ServiceKey>>,
    /// Looks in a row that could not see.
    pub(super) blind: u32,
    /// Looks in a row that could not see the issuer, because of what passes by itself.
    pub(super) unseen: u32,
    /// The issuer was seen again after an outage: others that share it want to know.
    pub(super) sees_again: bool,
    /// Something was written that the fleet must heed.
    pub(super) stirs_fleet: bool,
}

impl Hand {
    /// What a walker knows who has only read the journal.
    pub(super) fn of(record: Option<Arc<Record>>) -> Self {
        Self {
            record,
            lease: None,
            wallet: BTreeMap::new(),
            blind: 0,
            unseen: 0,
            sees_again: false,
            stirs_fleet: false,
        }
    }

    /// Forgets everything, so that the next walk reads the journal again.
    pub(super) fn forget(&mut self) {
        self.record = None;
        self.lease = None;
        self.wallet.clear();
    }
}

/// A wish that waits to be journalled, and who waits for it.
pub(super) struct Asked {
    pub(super) wish: Wish,
    pub(super) answer: oneshot::Sender<Result<(), WishError>>,
}

/// Why a wish was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// There is no such credential in the configuration.
    #[error("there is no credential `{0}`")]
    NoSuch(CredentialId),
    /// It makes no sense now.
    #[error("`{credential}`: {why}")]
    Refused {
        /// Which.
        credential: CredentialId,
        /// Why, and what to do instead.
        why: String,
    },
    /// It could not be written down.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Another instance holds the lease, or the daemon is stopping.
    #[error("`{0}` cannot be worked on by this instance now: try again")]
    Busy(CredentialId),
}

/// The desk of one credential.
pub(super) struct Desk {
    pub(super) unit: RwLock<Unit>,
    pub(super) hand: tokio::sync::Mutex<Hand>,
    pub(super) inbox: Mutex<Vec<Asked>>,
    view: RwLock<View>,
    /// A walker is queued or at work.
    pub(super) walking: AtomicBool,
    /// Somebody woke it meanwhile.
    pub(super) again: AtomicBool,
    /// Somebody pushed: backoff and pauses are to be passed over.
    pub(super) pushed: AtomicBool,
}

impl Desk {
    pub(super) fn new(unit: Unit, record: Option<Record>) -> Self {
        let record = record.map(Arc::new);
        let view = View {
            credential: unit.policy.credential.clone(),
            policy: Arc::clone(&unit.policy),
            record: record.clone(),
            observation: None,
            checked_at: None,
            reason: None,
            next_look: None,
            rested_at: None,
            look: None,
            stopped: None,
            lease_held: false,
            lease_until: None,
            next_tick: None,
        };
        let hand = Hand::of(record);
        Self {
            unit: RwLock::new(unit),
            hand: tokio::sync::Mutex::new(hand),
            inbox: Mutex::default(),
            view: RwLock::new(view),
            walking: AtomicBool::new(false),
            again: AtomicBool::new(false),
            pushed: AtomicBool::new(false),
        }
    }

    pub(super) fn unit(&self) -> Unit {
        self.unit.read().expect("no holder of the lock panics").clone()
    }

    pub(super) fn retool(&self, unit: Unit) {
        self.publish(|view| view.policy = Arc::clone(&unit.policy));
        *self.unit.write().expect("no holder of the lock panics") = unit;
    }

    pub(super) fn view(&self) -> View {
        self.read(View::clone)
    }

    /// What `read` makes of the view, which is not copied.
    pub(super) fn read<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(&self.view.read().expect("no holder of the lock panics"))
    }

    pub(super) fn publish(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.view.write().expect("no holder of the lock panics"));
    }

    pub(super) fn next_look(&self) -> Option<Timestamp> {
        self.read(|view| view.next_look)
    }

    /// Nothing is to be done until `next`, as far as is known at `now`.
    pub(super) fn rest_until(&self, next: Timestamp, now: Timestamp) {
        self.publish(|view| {
            view.next_look = Some(next);
            view.rested_at = Some(now);
        });
    }

    /// Whether it is time to look. A desk that was never looked at is due, and so is one whose next look was decided
    /// on a clock that has been set back since.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.read(|view| {
            view.next_look.is_none_or(|at| at <= now) || view.rested_at.is_some_and(|at| now < at)
        })
    }

    pub(super) fn take_inbox(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.inbox.lock().expect("no holder of the lock panics"))
    }

    pub(super) fn has_wishes(&self) -> bool {
        !self.inbox.lock().expect("no holder of the lock panics").is_empty()
    }

    pub(super) fn is_pushed(&self) -> bool {
        self.pushed.swap(false, Ordering::AcqRel)
    }
}

/// Wishes that may wait at one desk; more are refused.
const INBOX_LIMIT: usize = 16;

impl Engine {
    /// Asks something of a credential. Returns when the wish is on disk.
    pub async fn wish(self: &Arc<Self>, id: &CredentialId, wish: Wish) -> Result<(), WishError> {
        let desk = self.desk(id).ok_or_else(|| WishError::NoSuch(id.clone()))?;
        let (answer, answered) = oneshot::channel();
        {
            let mut inbox = desk.inbox.lock().expect("no holder of the lock panics");
            if inbox.len() >= INBOX_LIMIT {
                return Err(WishError::Busy(id.clone()));
            }
            inbox.push(Asked { wish, answer });
        }
        self.wake_one(&desk, false);
        answered.await.unwrap_or_else(|_| Err(WishError::Busy(id.clone())))
    }
}
