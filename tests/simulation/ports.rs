//! The outside world as the engine is shown it: issuer, consumer and clock of one life of one instance.
//!
//! A process that is dead never hears of anything again, and one that is paused hears of it later; what it sent before
//! goes its way all the same.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekeyd::clock::Clock;
use rekeyd::domain::Timestamp;
use rekeyd::domain::evidence::Grade;
use rekeyd::domain::failure::Failure;
use rekeyd::domain::key::{Key, Sightings};
use rekeyd::domain::names::{KeyName, Role, TenantId};
use rekeyd::domain::observation::{Content, Status};
use rekeyd::ports::{Accepted, Consumer, Issuer};
use rekeyd::secret::ServiceKey;
use tokio::sync::Notify;

use super::chance::Dice;
use super::consumer::Pair;
use super::faults::Fate;
use super::request::{Reply, Request};
use super::sim::Sim;
use super::tenant::place_of;
use super::time::{Millis, offset_stamp};

/// One life of one instance, from its start to its crash.
pub(crate) struct Life {
    pub(crate) host: usize,
    pub(crate) number: u64,
    /// Which journal it works on.
    pub(crate) store: usize,
    dead: AtomicBool,
    /// The wall clock was set: whoever waits looks up.
    pub(crate) stirred: Notify,
    pub(crate) died: Notify,
    pub(crate) paused_until: AtomicU64,
    /// How far its wall clock is ahead.
    pub(crate) offset: AtomicI64,
    /// Until when it holds which lease, by its own clock.
    pub(crate) leases: Mutex<BTreeMap<TenantId, Timestamp>>,
    nonces: Mutex<Dice>,
}

impl Life {
    pub(crate) fn new(host: usize, number: u64, store: usize, offset: i64, dice: Dice) -> Arc<Self> {
        Arc::new(Self {
            host,
            number,
            store,
            dead: AtomicBool::new(false),
            stirred: Notify::new(),
            died: Notify::new(),
            paused_until: AtomicU64::new(0),
            offset: AtomicI64::new(offset),
            leases: Mutex::default(),
            nonces: Mutex::new(dice),
        })
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_one();
    }

    pub(crate) fn pause_until(&self, at: Millis) {
        self.paused_until.fetch_max(at, Ordering::SeqCst);
    }

    pub(crate) fn holder(&self) -> String {
        format!("host{}-{}", self.host, self.number)
    }

    /// Goes on only while the process runs: never again once it is dead.
    pub(crate) async fn gate(&self, sim: &Sim) {
        loop {
            if self.is_dead() {
                std::future::pending::<()>().await;
            }
            let until = self.paused_until.load(Ordering::SeqCst);
            let now = sim.now();
            if now >= until {
                return;
            }
            sim.sleep(until - now).await;
        }
    }

    pub(crate) fn now(&self, sim: &Sim) -> Timestamp {
        offset_stamp(sim.now(), self.offset.load(Ordering::SeqCst))
    }
}

/// The clock of one life.
pub(crate) struct HostClock {
    pub(crate) sim: Arc<Sim>,
    pub(crate) life: Arc<Life>,
}

#[async_trait::async_trait]
impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        self.life.now(&self.sim)
    }

    async fn sleep(&self, duration: Duration) {
        let time = u64::try_from(duration.as_micros().div_ceil(1000)).unwrap();
        self.sim.sleep(time).await;
        self.life.gate(&self.sim).await;
    }

    fn nonce(&self) -> u64 {
        self.life.nonces.lock().unwrap().roll()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.sim.now())
    }
}

/// Issuer and consumer of one tenant, as one life sees them.
pub(crate) struct Outside {
    pub(crate) sim: Arc<Sim>,
    pub(crate) life: Arc<Life>,
    pub(crate) tenant: usize,
}

impl Outside {
    /// One request, from its sending to its answer.
    async fn call(&self, request: Request) -> Result<Reply, Failure> {
        self.life.gate(&self.sim).await;
        let trip = self.sim.send(&self.life, self.tenant, &request);
        self.sim.sleep(trip.out).await;
        if self.life.is_dead() && !(trip.outlives && request.changes()) {
            std::future::pending::<()>().await;
        }
        let reply = match trip.fate {
            Fate::Fine => self.sim.apply(&self.life, self.tenant, &request),
            Fate::Before(failure) => Err(failure),
            Fate::After(failure) => {
                let _ = self.sim.apply(&self.life, self.tenant, &request);
                self.sim.world().count(request.lost());
                Err(failure)
            }
            Fate::Late(late, failure) => {
                self.apply_later(late, request);
                Err(failure)
            }
        };
        if trip.back > 0 {
            self.sim.sleep(trip.back).await;
        }
        self.life.gate(&self.sim).await;
        self.sim.answered(&self.life, self.tenant, &reply);
        reply
    }

    fn apply_later(&self, late: Millis, request: Request) {
        let (sim, life, tenant) = (Arc::clone(&self.sim), Arc::clone(&self.life), self.tenant);
        let deliveries = sim.world().tenants[tenant].consumer.deliveries;
        tokio::spawn(async move {
            sim.sleep(late).await;
            sim.apply_late(&life, tenant, &request, deliveries);
        });
    }

    async fn expect<T>(&self, request: Request, read: fn(Reply) -> Option<T>) -> Result<T, Failure> {
        let reply = self.call(request).await?;
        Ok(read(reply).expect("each request has its kind of answer"))
    }
}

#[async_trait::async_trait]
impl Issuer for Outside {
    async fn list(&self) -> Result<Sightings, Failure> {
        let read = |reply| if let Reply::Keys(keys) = reply { Some(keys) } else { None };
        self.expect(Request::List, read).await
    }

    async fn create(&self, role: Role, name: &KeyName) -> Result<Key, Failure> {
        let read = |reply| if let Reply::Made(key) = reply { Some(key) } else { None };
        self.expect(Request::Create { role, name: name.clone() }, read).await
    }

    async fn read(&self, _: Role, key: &Key) -> Result<Arc<ServiceKey>, Failure> {
        let read = |reply| if let Reply::Secret(secret) = reply { Some(secret) } else { None };
        self.expect(Request::Read { place: place_of(&key.id.0) }, read).await
    }

    async fn delete(&self, _: Role, key: &Key) -> Result<(), Failure> {
        let read = |reply| if let Reply::Done = reply { Some(()) } else { None };
        self.expect(Request::Delete { place: place_of(&key.id.0) }, read).await
    }
}

#[async_trait::async_trait]
impl Consumer for Outside {
    async fn test(&self, role: Role, key: &ServiceKey) -> Result<Grade, Failure> {
        let read = |reply| if let Reply::Grade(grade) = reply { Some(grade) } else { None };
        self.expect(Request::Test { role, place: place_of(&key.client_id) }, read).await
    }

    async fn deliver(&self, keys: &BTreeMap<Role, Arc<ServiceKey>>) -> Result<Accepted, Failure> {
        let place = |role| place_of(&keys[&role].client_id);
        let pair = Pair { ciapi: place(Role::Ciapi), cirt: place(Role::Cirt) };
        self.expect(Request::Deliver { pair }, accepted).await
    }

    async fn provision(&self) -> Result<Accepted, Failure> {
        self.expect(Request::Provision, accepted).await
    }

    async fn status(&self) -> Result<Status, Failure> {
        let read = |reply| if let Reply::Status(status) = reply { Some(status) } else { None };
        self.expect(Request::Status, read).await
    }

    async fn content(&self, ciapi: &ServiceKey) -> Result<Content, Failure> {
        let read = |reply| if let Reply::Content(content) = reply { Some(content) } else { None };
        self.expect(Request::Content { place: place_of(&ciapi.client_id) }, read).await
    }

    async fn is_refused(&self, _: Role, key: &ServiceKey) -> Result<bool, Failure> {
        let read = |reply| if let Reply::Refused(refused) = reply { Some(refused) } else { None };
        self.expect(Request::IsRefused { place: place_of(&key.client_id) }, read).await
    }
}

#[expect(clippy::needless_pass_by_value, reason = "every reader takes the reply")]
fn accepted(reply: Reply) -> Option<Accepted> {
    if let Reply::Accepted(accepted) = reply { Some(accepted) } else { None }
}

/// A task of the simulation that lasts until the end.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}
