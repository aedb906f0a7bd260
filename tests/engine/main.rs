//! The walk with a journal in memory and an outside world that answers at once: what the plan alone cannot show.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod fleet;
mod outage;
mod told;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekeyd::clock::Clock;
use rekeyd::daemon::unmanaged::strays;
use rekeyd::domain::event::{Trigger, Wish};
use rekeyd::domain::evidence::Grade;
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::fleet::{Opening, Pass, Rules};
use rekeyd::domain::fold::fold;
use rekeyd::domain::key::{Key, KeyState, Sighting, Sightings};
use rekeyd::domain::names::{CredentialId, KeyId, KeyName, Role};
use rekeyd::domain::observation::{Content, Status, Verdict};
use rekeyd::domain::policy::{Limits, Pin, Policy, Provision, Witness};
use rekeyd::domain::record::Record;
use rekeyd::domain::stage::Phase;
use rekeyd::domain::window::Window;
use rekeyd::domain::{Timestamp, after};
use rekeyd::engine::{Engine, Settings, Unit};
use rekeyd::journal::memory::MemoryJournal;
use rekeyd::metrics::Metrics;
use rekeyd::ports::{Accepted, Consumer, Issuer, Journal};
use rekeyd::secret::ServiceKey;
use tokio::sync::Notify;

/// A clock that stands still until it is moved, or jumps by itself after so many readings.
pub(crate) struct Hands(pub(crate) Mutex<(Timestamp, u64)>, Mutex<Option<(u32, chrono::TimeDelta)>>);

impl Hands {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self(Mutex::new((now, 0)), Mutex::default())
    }

    pub(crate) fn jump_after(&self, readings: u32, by: chrono::TimeDelta) {
        *self.1.lock().unwrap() = Some((readings, by));
    }
}

#[async_trait::async_trait]
impl Clock for Hands {
    fn now(&self) -> Timestamp {
        let mut hands = self.0.lock().unwrap();
        let mut jump = self.1.lock().unwrap();
        match jump.as_mut() {
            Some((0, by)) => {
                hands.0 += *by;
                *jump = None;
            }
            Some((readings, _)) => *readings -= 1,
            None => {}
        }
        hands.0
    }
    async fn sleep(&self, _: Duration) {}
    fn nonce(&self) -> u64 {
        let mut hands = self.0.lock().unwrap();
        hands.1 += 1;
        hands.1
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

#[derive(Default)]
pub(crate) struct Outside {
    pub(crate) keys: Mutex<Sightings>,
    pub(crate) created: Mutex<Vec<KeyName>>,
    pub(crate) deleted: Mutex<Vec<KeyName>>,
    /// The looks at the consumer that a run still takes.
    pub(crate) run: Mutex<u32>,
    pub(crate) deployed_at: Mutex<Option<Timestamp>>,
    /// So many lists on, one waits at the gate; 0 for none.
    pub(crate) gated: AtomicUsize,
    pub(crate) at_gate: Notify,
    pub(crate) gate: Notify,
    pub(crate) clock: Option<Arc<Hands>>,
    /// Why nothing of the issuer can be had, while that is so; shared by all whose issuer it is.
    pub(crate) outage: Arc<Mutex<Option<Class>>>,
    /// Nothing can be created.
    pub(crate) stuck: AtomicBool,
    /// Nothing can be created with this login.
    pub(crate) refuses_to_create: Mutex<bool>,
    /// The content cannot be seen.
    pub(crate) hidden: AtomicBool,
    /// When a list was asked for.
    pub(crate) listed: Mutex<Vec<Timestamp>>,
    /// Every key has one and the same secret.
    pub(crate) one_secret: AtomicBool,
    /// The journal that is looked at whenever a call has an effect, and what was seen.
    pub(crate) watched: Mutex<Option<MemoryJournal>>,
    pub(crate) calls: Mutex<Vec<Call>>,
}

/// A call that has an effect.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) what: &'static str,
    pub(crate) at: Timestamp,
    /// The last event in the journal.
    pub(crate) after: Option<&'static str>,
    /// Somebody else could have taken the lease.
    pub(crate) unleased: bool,
}

impl Outside {
    fn now(&self) -> Timestamp {
        self.clock.as_ref().unwrap().now()
    }
    async fn called(&self, what: &'static str) {
        let journal = self.watched.lock().unwrap().clone();
        let Some(journal) = journal else { return };
        let after = journal.read(None, 0).await.unwrap().last().map(|entry| entry.event.name());
        let (tenant, at) = (policy().credential.tenant, self.clock.as_ref().unwrap().0.lock().unwrap().0);
        let taken = journal.acquire(&tenant, "a thief", at, Duration::ZERO).await.unwrap();
        self.calls.lock().unwrap().push(Call { what, at, after, unleased: taken.is_some() });
    }
    fn out(&self) -> Result<(), Failure> {
        self.outage.lock().unwrap().map_or(Ok(()), |class| Err(Failure::new(class, "the issuer is out")))
    }
    pub(crate) fn add(&self, role: Role, name: KeyName, created: Timestamp) -> Key {
        let key = Key { id: KeyId(format!("id-{name}")), name, created_at: Some(created), expires_at: None };
        let seen = Sighting { key: key.clone(), state: KeyState::Ready };
        self.keys.lock().unwrap().entry(role).or_default().push(seen);
        key
    }
}

#[async_trait::async_trait]
impl Issuer for Outside {
    async fn list(&self) -> Result<Sightings, Failure> {
        let seen = self.keys.lock().unwrap().clone();
        let one_less = |left: usize| left.checked_sub(1);
        if self.gated.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) == Ok(1) {
            self.at_gate.notify_one();
            self.gate.notified().await;
        }
        self.listed.lock().unwrap().push(self.now());
        self.out()?;
        Ok(seen)
    }
    async fn create(&self, role: Role, name: &KeyName) -> Result<Key, Failure> {
        self.out()?;
        if self.stuck.load(Ordering::SeqCst) {
            return Err(Failure::new(Class::ServerError, "the broker is out"));
        }
        if *self.refuses_to_create.lock().unwrap() {
            return Err(Failure::new(Class::Unauthorized, "the login is refused"));
        }
        self.called("create").await;
        self.created.lock().unwrap().push(name.clone());
        Ok(self.add(role, name.clone(), self.now()))
    }
    async fn read(&self, _: Role, key: &Key) -> Result<Arc<ServiceKey>, Failure> {
        let of = if self.one_secret.load(Ordering::SeqCst) { "all" } else { key.id.0.as_str() };
        let text = format!(
            r#"{{"clientid":"{0}","clientsecret":"secret-of-{of}","tokenurl":"https://t.example/oauth/token","url":"https://u.example"}}"#,
            key.id
        );
        Ok(Arc::new(ServiceKey::parse(&text).unwrap()))
    }
    async fn delete(&self, role: Role, key: &Key) -> Result<(), Failure> {
        self.called("delete").await;
        self.deleted.lock().unwrap().push(key.name.clone());
        self.keys.lock().unwrap().get_mut(&role).unwrap().retain(|seen| seen.key.id != key.id);
        Ok(())
    }
}

#[async_trait::async_trait]
impl Consumer for Outside {
    async fn test(&self, _: Role, _: &ServiceKey) -> Result<Grade, Failure> {
        Ok(Grade::Read)
    }
    async fn deliver(&self, _: &BTreeMap<Role, Arc<ServiceKey>>) -> Result<Accepted, Failure> {
        self.called("deliver").await;
        Ok(Accepted::default())
    }
    async fn provision(&self) -> Result<Accepted, Failure> {
        self.called("provision").await;
        *self.run.lock().unwrap() = 2;
        Ok(Accepted::default())
    }
    async fn status(&self) -> Result<Status, Failure> {
        let mut run = self.run.lock().unwrap();
        let verdict = if *run > 1 { Verdict::InProgress } else { Verdict::Success };
        if *run == 1 {
            *self.deployed_at.lock().unwrap() = Some(self.now());
        }
        *run = run.saturating_sub(1);
        Ok(Status { verdict, word: verdict.as_str().to_owned(), at: None, detail: None })
    }
    async fn content(&self, _: &ServiceKey) -> Result<Content, Failure> {
        if self.hidden.load(Ordering::SeqCst) {
            return Err(Failure::new(Class::ServerError, "the content cannot be seen"));
        }
        Ok(Content { deployed_at: *self.deployed_at.lock().unwrap(), started: true })
    }
    async fn is_refused(&self, _: Role, _: &ServiceKey) -> Result<bool, Failure> {
        Ok(true)
    }
}

pub(crate) fn policy() -> Policy {
    Policy {
        credential: "acme/dataplane".parse().unwrap(),
        issuer: "cloud-foundry",
        consumer: "dataspace",
        roles: vec![Role::Ciapi, Role::Cirt],
        window: Window::DEFAULT,
        lead: Duration::from_hours(30 * 24),
        soak: Duration::from_hours(48),
        settle: Duration::from_mins(5),
        provision: Provision::WhenNeeded,
        witness: Witness::Consumer,
        deadline: Duration::from_mins(30),
        poll: Duration::from_secs(15),
        token_life: Duration::from_hours(24),
        propagation: Duration::from_mins(2),
        lag: Duration::from_mins(1),
        proofs: 1,
        proof_span: Duration::ZERO,
        spread: Duration::ZERO,
        evidence_life: Duration::from_mins(15),
        retire_foreign: true,
        in_use: BTreeMap::new(),
        limits: Limits::default(),
        pin: Pin {
            issuer: "i".to_owned(),
            places: BTreeMap::new(),
            consumer: "c".to_owned(),
            in_place: false,
        },
    }
}

struct Scene {
    id: CredentialId,
    clock: Arc<Hands>,
    outside: Arc<Outside>,
    journal: MemoryJournal,
}

impl Scene {
    /// Two keys made by hand that are `days` old.
    fn new(days: i64) -> Self {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock = Arc::new(Hands::new(now));
        let outside = Arc::new(Outside { clock: Some(Arc::clone(&clock)), ..Outside::default() });
        for role in Role::PAIR {
            outside.add(role, KeyName(format!("first-{role}")), now - chrono::TimeDelta::days(days));
        }
        Self { id: policy().credential, clock, outside, journal: MemoryJournal::new() }
    }

    async fn engine(&self, holder: &str) -> Arc<Engine> {
        self.engine_of(holder, policy()).await
    }

    async fn engine_of(&self, holder: &str, policy: Policy) -> Arc<Engine> {
        let settings = Settings {
            holder: holder.to_owned(),
            lease_life: Duration::from_mins(2),
            concurrency: 2,
            rules: Rules::default(),
        };
        let journal: Arc<dyn Journal> = Arc::new(self.journal.clone());
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let engine = Engine::new(settings, journal, clock, Arc::new(Metrics::new()));
        let unit = Unit {
            policy: Arc::new(policy),
            issuer: Arc::clone(&self.outside) as _,
            consumer: Arc::clone(&self.outside) as _,
            next_tick: Arc::new(|now| Some(after(now, Duration::from_hours(6)))),
            maintenance: Arc::new(|_| Opening::Always),
        };
        engine.start(vec![unit]).await.unwrap();
        engine
    }

    fn pass(&self, time: Duration) {
        let mut hands = self.clock.0.lock().unwrap();
        hands.0 = after(hands.0, time);
    }

    /// Walks, and turns the clock to the next look.
    async fn turn(&self, engine: &Arc<Engine>) {
        engine.wake_due(self.clock.now());
        engine.quiet().await;
        let wait = engine.until_due(self.clock.now(), Duration::from_hours(6));
        self.pass(wait.max(Duration::from_secs(1)));
    }

    async fn names(&self) -> Vec<&'static str> {
        let entries = self.journal.read(None, 0).await.unwrap();
        fold(&entries).unwrap();
        entries.iter().map(|entry| entry.event.name()).collect()
    }
}

#[tokio::test]
async fn a_whole_rotation() {
    let scene = Scene::new(340);
    let engine = scene.engine("one").await;
    for _ in 0..200 {
        scene.turn(&engine).await;
    }
    let names = scene.names().await;
    assert_eq!(names.last(), Some(&"completed"), "{names:?}");
    assert_eq!(scene.outside.created.lock().unwrap().len(), 2);
    assert_eq!(
        *scene.outside.deleted.lock().unwrap(),
        ["first-ciapi", "first-cirt"].map(|name| KeyName(name.to_owned()))
    );
}

#[tokio::test]
async fn two_instances_that_die_in_turn_rotate_once() {
    let scene = Scene::new(340);
    for life in 0..300 {
        // Whoever was at work is gone without a word; its lease ends by itself.
        let engine = scene.engine(&format!("life-{life}")).await;
        scene.turn(&engine).await;
        scene.turn(&engine).await;
    }
    let names = scene.names().await;
    assert_eq!(names.last(), Some(&"completed"), "{names:?}");
    assert_eq!(scene.outside.created.lock().unwrap().len(), 2);
    assert_eq!(scene.outside.deleted.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn who_rests_is_woken_when_the_clock_is_set_back() {
    let scene = Scene::new(1);
    let engine = scene.engine("one").await;
    scene.turn(&engine).await;
    scene.pass(Duration::from_hours(30 * 24));
    scene.turn(&engine).await;
    scene.clock.0.lock().unwrap().0 -= chrono::TimeDelta::days(30);
    assert_eq!(
        engine.wake_due(scene.clock.now()).walkers,
        1,
        "its next look was decided on a clock that was ahead"
    );
    engine.quiet().await;
    assert_eq!(engine.wake_due(scene.clock.now()).walkers, 0, "it was decided anew");
    // Nor does the lease that was taken then keep a second instance out for so long.
    drop(engine);
    let other = scene.engine("two").await;
    scene.pass(Duration::from_mins(3));
    scene.turn(&other).await;
    assert!(other.view(&scene.id).unwrap().lease_held);
    assert_eq!(scene.names().await, ["adopted"]);
}

/// Walks until the soak is over but for one look.
async fn about_to_retire(scene: &Scene, engine: &Arc<Engine>) {
    for _ in 0..200 {
        let view = engine.view(&scene.id).unwrap();
        let soaks = |record: &Record| {
            let needed = view.policy.renewals_over(view.policy.soak);
            record.stage.phase() == Phase::Soaking && record.renewals + 1 >= needed
        };
        if view.record.as_deref().is_some_and(soaks) {
            scene.pass(Duration::from_hours(48));
            return;
        }
        scene.turn(engine).await;
    }
    panic!("{:?}", scene.names().await);
}

#[tokio::test]
async fn a_hold_that_comes_during_the_look_stops_the_deletion() {
    let (mut before_the_last, mut after_the_last) = (0, 0);
    // During whichever look of the walks that delete.
    for look in 1..60 {
        let scene = Scene::new(340);
        let engine = scene.engine("one").await;
        about_to_retire(&scene, &engine).await;
        scene.outside.gated.store(look, Ordering::SeqCst);
        if !until_at_the_gate(&scene, &engine).await {
            after_the_last += 1;
            continue;
        }
        let before = scene.outside.deleted.lock().unwrap().len();
        let written = scene.names().await.len();
        let (asking, id) = (Arc::clone(&engine), scene.id.clone());
        let wish = Wish::Hold { until: None, reason: "audit".to_owned() };
        let asked = tokio::spawn(async move { asking.wish(&id, wish).await });
        tokio::task::yield_now().await;
        scene.outside.gate.notify_one();
        engine.quiet().await;
        asked.await.unwrap().unwrap();
        assert_eq!(scene.outside.deleted.lock().unwrap().len(), before, "look {look}");
        assert_eq!(scene.names().await[written], "wished", "look {look}: nothing comes before it");
        before_the_last += usize::from(before == 1);
    }
    assert!(before_the_last > 0 && after_the_last > 0, "{before_the_last}, {after_the_last}");
}

/// Walks until a look waits at the gate; false where both old keys went first.
async fn until_at_the_gate(scene: &Scene, engine: &Arc<Engine>) -> bool {
    for _ in 0..200 {
        engine.wake_due(scene.clock.now());
        tokio::select! {
            () = scene.outside.at_gate.notified() => return true,
            () = engine.quiet() => {}
        }
        if scene.outside.deleted.lock().unwrap().len() == 2 {
            return false;
        }
        scene.turn(engine).await;
    }
    panic!("{:?}", scene.names().await);
}

#[tokio::test]
async fn a_look_that_outlasts_the_lease_is_followed_by_no_step_beside_another_instance() {
    let scene = Scene::new(340);
    let slow = scene.engine("slow").await;
    about_to_retire(&scene, &slow).await;
    scene.outside.gated.store(1, Ordering::SeqCst);
    slow.wake_due(scene.clock.now());
    scene.outside.at_gate.notified().await;
    scene.pass(Duration::from_mins(3));
    let other = scene.engine("other").await;
    other.wake_due(scene.clock.now());
    other.quiet().await;
    let before = scene.names().await.len();
    scene.outside.gate.notify_one();
    slow.quiet().await;
    assert_eq!(scene.names().await.len(), before, "the slow one has nothing to say any more");
}

/// Another instance delivered meanwhile, and then the clock of the slow one was set back: by what it reads, its lease has not
/// ended. The journal knows better.
#[tokio::test]
async fn a_lease_that_a_clock_set_back_makes_longer_lets_no_delivery_out() {
    let (mut looks, mut delivered) = (0, 0);
    for look in 1..6 {
        let scene = Scene::new(340);
        *scene.outside.watched.lock().unwrap() = Some(scene.journal.clone());
        let delivers =
            || scene.outside.calls.lock().unwrap().iter().filter(|call| call.what == "deliver").count();
        let slow = scene.engine("slow").await;
        scene.outside.gated.store(look, Ordering::SeqCst);
        if !until_at_the_gate(&scene, &slow).await {
            continue;
        }
        scene.pass(Duration::from_mins(3));
        let other = scene.engine("other").await;
        for _ in 0..20 {
            if delivers() == 1 {
                break;
            }
            other.wake_due(scene.clock.now());
            other.quiet().await;
        }
        let before = delivers();
        let back = chrono::TimeDelta::minutes(-3);
        scene.clock.0.lock().unwrap().0 += back;
        scene.outside.gate.notify_one();
        slow.quiet().await;
        assert_eq!(delivers(), before, "look {look}: {:?}", scene.names().await);
        looks += 1;
        delivered += before;
    }
    assert!(looks > 0 && delivered > 0, "{looks}, {delivered}");
}

/// Failure story 49: nothing is known of hundreds of old keys, so nothing is done to them. Which are in use a person says, and
/// the others are listed as keys of nobody's.
#[tokio::test]
async fn an_empty_journal_and_five_hundred_old_keys_rotate_nothing() {
    let scene = Scene::new(400);
    for number in 1..250 {
        for role in Role::PAIR {
            let made = scene.clock.now() - chrono::TimeDelta::days(400 + number);
            scene.outside.add(role, KeyName(format!("old-{role}-{number}")), made);
        }
    }
    let nothing_was_done = || {
        scene.outside.created.lock().unwrap().is_empty() && scene.outside.deleted.lock().unwrap().is_empty()
    };
    let engine = scene.engine("one").await;
    for _ in 0..20 {
        scene.turn(&engine).await;
    }
    assert!(scene.names().await.is_empty() && nothing_was_done());
    let person = engine.view(&scene.id).unwrap().reason.and_then(|reason| reason.person);
    assert!(person.as_ref().is_some_and(|what| what.contains("credential.keys.ciapi.key")), "{person:?}");
    // Named, and so young that nothing is due.
    let in_use = Role::PAIR.map(|role| (role, KeyName(format!("first-{role}")))).into();
    let policy = Policy { in_use, window: Window::Span(Duration::from_hours(24 * 2000)), ..policy() };
    let engine = scene.engine_of("two", policy).await;
    scene.pass(Duration::from_mins(3));
    for _ in 0..20 {
        scene.turn(&engine).await;
    }
    assert_eq!(scene.names().await, ["adopted"]);
    assert!(nothing_was_done());
    let (strays, unseen) = strays(&engine.views());
    assert_eq!((strays.len(), unseen.len()), (498, 0));
}

/// Who slept longer than the lease, and finds it still his own, does not act on what he saw before: a clone with a
/// journal of its own may have been at work.
#[tokio::test]
async fn what_was_seen_before_a_sleep_is_seen_again_before_a_step() {
    let scene = Scene::new(20);
    let engine = scene.engine("one").await;
    engine.wake_due(scene.clock.now());
    engine.quiet().await;
    assert_eq!(scene.names().await, ["adopted"]);
    scene.outside.gated.store(1, Ordering::SeqCst);
    let (asking, id) = (Arc::clone(&engine), scene.id.clone());
    let wish = Wish::Rotate { trigger: Trigger::Command, reason: "drill".to_owned(), pass: Pass::default() };
    let asked = tokio::spawn(async move { asking.wish(&id, wish).await });
    scene.outside.at_gate.notified().await;
    scene.pass(Duration::from_mins(3));
    let of_a_clone = KeyName::ours(Role::Cirt, 1, &scene.id, 4711);
    scene.outside.add(Role::Cirt, of_a_clone, scene.clock.now());
    scene.outside.gate.notify_one();
    engine.quiet().await;
    asked.await.unwrap().unwrap();
    assert!(scene.outside.created.lock().unwrap().is_empty(), "{:?}", scene.names().await);
    assert_eq!(scene.names().await.last(), Some(&"halted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wish_is_left_lying() {
    let scene = Scene::new(10);
    let engine = scene.engine("one").await;
    scene.turn(&engine).await;
    for round in 0..3000 {
        let wish =
            if round % 2 == 0 { Wish::Hold { until: None, reason: "test".to_owned() } } else { Wish::Unhold };
        engine.push_one(&scene.id);
        let answer = tokio::time::timeout(Duration::from_secs(20), engine.wish(&scene.id, wish)).await;
        answer.expect("every wish is answered").unwrap();
    }
}

#[tokio::test]
async fn asking_twice_rotates_once() {
    let scene = Scene::new(10);
    let engine = scene.engine("one").await;
    scene.turn(&engine).await;
    let wish =
        || Wish::Rotate { trigger: Trigger::Command, reason: "test".to_owned(), pass: Pass::default() };
    engine.wish(&scene.id, wish()).await.unwrap();
    engine.wish(&scene.id, wish()).await.unwrap_err();
    for _ in 0..200 {
        scene.turn(&engine).await;
    }
    assert_eq!(scene.outside.created.lock().unwrap().len(), 2);
}
