//! The walk: look, plan, act, write down, look again, until the plan says rest.
//!
//! The engine knows the outside world by its ports only. It takes the plan's one step, journals what came of it, and
//! believes nothing that is not on disk. Several credentials are walked at once, each by one walker at a time; what
//! wakes a walker carries no data, so waking twice is waking once.

mod act;
mod barrier;
mod desk;
mod fleet;
mod forecast;
mod glance;
mod look;
mod order;
mod peek;
mod peers;
mod probe;
mod rounds;
mod tell;
mod unfinished;
mod walk;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use desk::WishError;
pub use glance::{Emergency, FleetView};
pub use peek::Peek;
pub use probe::Tried;
pub use rounds::{Taken, Woken};
pub use unfinished::Unfinished;

use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::domain::fleet::{Opening, Rules};
use crate::domain::names::{CredentialId, TenantId};
use crate::domain::policy::Policy;
use crate::domain::record::Record;
use crate::domain::stage::Phase;
use crate::domain::view::View;
use crate::metrics::Metrics;
use crate::ports::{Consumer, Issuer, Journal, JournalError};
use desk::Desk;
use fleet::Turnstile;

/// Whether the maintenance windows of a credential's tenant are open.
pub type Maintenance = Arc<dyn Fn(Timestamp) -> Opening + Send + Sync>;

/// When a credential is looked at while nothing is under way.
pub type NextTick = Arc<dyn Fn(Timestamp) -> Option<Timestamp> + Send + Sync>;

/// One credential and its outside world.
#[derive(Clone)]
pub struct Unit {
    /// What the operator wants.
    pub policy: Arc<Policy>,
    /// Where its keys come from.
    pub issuer: Arc<dyn Issuer>,
    /// Who is given it.
    pub consumer: Arc<dyn Consumer>,
    /// The tenant's schedule.
    pub next_tick: NextTick,
    /// The tenant's maintenance windows.
    pub maintenance: Maintenance,
}

/// How the engine works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this process among the holders of leases; unique for each start.
    pub holder: String,
    /// How long a lease lasts without renewal.
    pub lease_life: Duration,
    /// How many credentials are walked at once.
    pub concurrency: usize,
    /// What the operator wants for the whole fleet.
    pub rules: Rules,
}

/// The engine.
pub struct Engine {
    settings: Settings,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    desks: RwLock<BTreeMap<CredentialId, Arc<Desk>>>,
    rules: RwLock<Arc<Rules>>,
    turnstile: Turnstile,
    slots: Semaphore,
    walkers: TaskTracker,
    stop: CancellationToken,
    rested: Notify,
}

impl Engine {
    /// An engine that knows no credential yet.
    pub fn new(
        settings: Settings,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let slots = Semaphore::new(settings.concurrency);
        let rules = RwLock::new(Arc::new(settings.rules.clone()));
        Arc::new(Self {
            settings,
            rules,
            turnstile: Turnstile::default(),
            journal,
            clock,
            metrics,
            desks: RwLock::default(),
            slots,
            walkers: TaskTracker::new(),
            stop: CancellationToken::new(),
            rested: Notify::new(),
        })
    }

    /// Reads the journal and takes the credentials in hand. Called once at start, before anything is woken. Answers
    /// the rotations under way of credentials that are not configured.
    pub async fn start(&self, units: Vec<Unit>) -> Result<Vec<Record>, StartError> {
        let entries = self.journal.read(None, 0).await?;
        let mut records = crate::domain::fold::fold(&entries)?;
        self.turnstile.start(&entries).await;
        let mut desks = self.desks.write().expect("no holder of the lock panics");
        for unit in units {
            let id = unit.policy.credential.clone();
            let record = records.remove(&id);
            desks.insert(id, Arc::new(Desk::new(unit, record)));
        }
        let under_way = |record: &Record| record.stage.phase() != Phase::Settled;
        Ok(records.into_values().filter(under_way).collect())
    }

    /// Takes a new configuration over. A credential that is new is read from the journal at its first walk; one that
    /// is gone finishes its step and is walked no more.
    pub fn replace(&self, units: Vec<Unit>) {
        let mut desks = self.desks.write().expect("no holder of the lock panics");
        let mut next = BTreeMap::new();
        for unit in units {
            let id = unit.policy.credential.clone();
            let desk = desks.remove(&id).map_or_else(
                || Arc::new(Desk::new(unit.clone(), None)),
                |desk| {
                    desk.retool(unit.clone());
                    desk
                },
            );
            next.insert(id, desk);
        }
        self.turnstile.keep(|id| next.contains_key(id));
        *desks = next;
    }

    /// Every credential, as it was last seen.
    pub fn views(&self) -> Vec<View> {
        let desks = self.desks.read().expect("no holder of the lock panics");
        desks.values().map(|desk| desk.view()).collect()
    }

    /// One credential, as it was last seen.
    pub fn view(&self, id: &CredentialId) -> Option<View> {
        self.desk(id).map(|desk| desk.view())
    }

    /// The journal, for reading.
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    /// The tenants in hand.
    pub fn tenants(&self) -> Vec<TenantId> {
        let desks = self.desks.read().expect("no holder of the lock panics");
        let mut tenants: Vec<_> = desks.keys().map(|id| id.tenant.clone()).collect();
        tenants.dedup();
        tenants
    }

    fn desk(&self, id: &CredentialId) -> Option<Arc<Desk>> {
        self.desks.read().expect("no holder of the lock panics").get(id).cloned()
    }
}

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal does not make sense.
    #[error(transparent)]
    Misfit(#[from] crate::domain::fold::Misfit),
}
