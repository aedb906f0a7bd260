//! The fleet's rules through the real engine: who begins, what stops everybody, what survives a restart.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekeyd::clock::Clock;
use rekeyd::daemon::fleet_status::FleetStatus;
use rekeyd::domain::after;
use rekeyd::domain::event::{Event, Trigger, Wish};
use rekeyd::domain::failure::Class;
use rekeyd::domain::fleet::{FleetEvent, FleetHaltReason, Opening, Pass, Rules};
use rekeyd::domain::names::{CredentialId, KeyName, Role};
use rekeyd::domain::plan::NextLook;
use rekeyd::domain::policy::Policy;
use rekeyd::domain::proof::Gate;
use rekeyd::domain::stage::Stage;
use rekeyd::engine::{Engine, Settings, Unit, WishError};
use rekeyd::journal::memory::MemoryJournal;
use rekeyd::metrics::Metrics;
use rekeyd::ports::Journal;

use super::{Hands, Outside, policy};

/// Several credentials of one age, each with an outside world of its own.
pub(crate) struct Fleet {
    pub(crate) clock: Arc<Hands>,
    pub(crate) journal: MemoryJournal,
    pub(crate) outsides: Vec<(CredentialId, Arc<Outside>)>,
    opening: Arc<Mutex<Opening>>,
    pub(crate) rules: Rules,
}

impl Fleet {
    pub(crate) fn new(size: usize, days: i64) -> Self {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock = Arc::new(Hands::new(now));
        let outside = |number: usize| {
            let outside = Arc::new(Outside { clock: Some(Arc::clone(&clock)), ..Outside::default() });
            for role in Role::PAIR {
                // The higher the number, the less time is left.
                let age =
                    chrono::TimeDelta::days(days) + chrono::TimeDelta::hours(i64::try_from(number).unwrap());
                outside.add(role, KeyName(format!("first-{role}")), now - age);
            }
            (format!("t{number}/dataplane").parse().unwrap(), outside)
        };
        let outsides = (0..size).map(outside).collect();
        let opening = Arc::new(Mutex::new(Opening::Always));
        Self { clock, journal: MemoryJournal::new(), outsides, opening, rules: Rules::default() }
    }

    pub(crate) async fn engine(&self, holder: &str) -> Arc<Engine> {
        let settings = Settings {
            holder: holder.to_owned(),
            lease_life: Duration::from_mins(2),
            concurrency: 2,
            rules: self.rules.clone(),
        };
        let journal: Arc<dyn Journal> = Arc::new(self.journal.clone());
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let engine = Engine::new(settings, journal, clock, Arc::new(Metrics::new()));
        engine.start(self.units()).await.unwrap();
        engine
    }

    fn units(&self) -> Vec<Unit> {
        let unit = |(id, outside): &(CredentialId, Arc<Outside>)| {
            let opening = Arc::clone(&self.opening);
            Unit {
                policy: Arc::new(Policy { credential: id.clone(), ..policy() }),
                issuer: Arc::clone(outside) as _,
                consumer: Arc::clone(outside) as _,
                next_tick: Arc::new(|now| Some(after(now, Duration::from_hours(6)))),
                maintenance: Arc::new(move |_| *opening.lock().unwrap()),
            }
        };
        self.outsides.iter().map(unit).collect()
    }

    pub(crate) fn pass(&self, time: Duration) {
        let mut hands = self.clock.0.lock().unwrap();
        hands.0 = after(hands.0, time);
    }

    pub(crate) async fn turn(&self, engine: &Arc<Engine>) {
        engine.wake_due(self.clock.now());
        engine.quiet().await;
        let wait = engine.until_due(self.clock.now(), Duration::from_hours(6));
        self.pass(wait.max(Duration::from_secs(1)));
    }

    /// Who has begun, in order.
    async fn begun(&self) -> Vec<CredentialId> {
        let entries = self.journal.read(None, 0).await.unwrap();
        let begun = entries.into_iter().filter(|entry| matches!(entry.event, Event::Begun { .. }));
        begun.map(|entry| entry.credential).collect()
    }

    async fn own(&self) -> Vec<FleetEvent> {
        let entries = self.journal.read(Some(&CredentialId::fleet().tenant), 0).await.unwrap();
        let own = entries.into_iter().filter_map(|entry| match entry.event {
            Event::Fleet(event) => Some(event),
            _ => None,
        });
        own.collect()
    }

    pub(crate) async fn until_begun(&self, engine: &Arc<Engine>, many: usize) -> Vec<CredentialId> {
        for _ in 0..2000 {
            let begun = self.begun().await;
            if begun.len() >= many {
                return begun;
            }
            self.turn(engine).await;
        }
        panic!("only {:?} have begun", self.begun().await);
    }
}

/// Failure story 10: the journal of 500 credentials was written by another release, and this one takes it up.
#[tokio::test]
async fn an_upgrade_of_five_hundred_credentials_begins_nothing() {
    let mut fleet = Fleet::new(500, 30);
    fleet.rules.release = "0.0.1".to_owned();
    let engine = fleet.engine("one").await;
    fleet.turn(&engine).await;
    engine.quiet().await;
    let known = fleet.journal.read(None, 0).await.unwrap().len();
    assert_eq!(known, 500, "each is recognised");
    fleet.pass(Duration::from_mins(5));
    fleet.rules.release = "0.1.0".to_owned();
    let upgraded = fleet.engine("two").await;
    for _ in 0..20 {
        fleet.turn(&upgraded).await;
    }
    assert_eq!(fleet.journal.read(None, 0).await.unwrap().len(), known, "there is nothing to write");
    assert!(fleet.outsides.iter().all(|(_, outside)| outside.created.lock().unwrap().is_empty()));
}

#[tokio::test]
async fn the_canary_soaks_before_the_next_begins_and_all_are_rotated() {
    let fleet = Fleet::new(6, 340);
    let engine = fleet.engine("one").await;
    let first = fleet.until_begun(&engine, 1).await;
    for _ in 0..20 {
        fleet.turn(&engine).await;
    }
    assert_eq!(fleet.begun().await, first, "the canary is alone");
    let all = fleet.until_begun(&engine, 6).await;
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 6, "each once");
    for _ in 0..300 {
        fleet.turn(&engine).await;
    }
    for (id, outside) in &fleet.outsides {
        assert_eq!(outside.deleted.lock().unwrap().len(), 2, "`{id}` is rotated to the end");
    }
    let admitted =
        fleet.own().await.iter().filter(|event| matches!(event, FleetEvent::Admitted { .. })).count();
    assert_eq!(admitted, 6);
}

/// The gate of this name before `id`, as `explain` shows it.
async fn gate(engine: &Arc<Engine>, id: &CredentialId, name: &str) -> Gate {
    let gates = engine.peek_at(id).await.unwrap().gates;
    gates.into_iter().find(|gate| gate.name == name).unwrap()
}

#[tokio::test]
async fn who_waits_is_told_for_whom_and_how_a_hold_that_is_in_the_way_is_lifted() {
    let fleet = Fleet::new(3, 340);
    let engine = fleet.engine("one").await;
    let canary = fleet.until_begun(&engine, 1).await.remove(0);
    let soaks = |engine: &Arc<Engine>| {
        let record = engine.view(&canary).unwrap().record.unwrap();
        matches!(record.stage, Stage::Soaking { .. })
    };
    while !soaks(&engine) {
        fleet.turn(&engine).await;
    }
    let other = &fleet.outsides[0].0;
    let closed = gate(&engine, other, "share").await;
    let text = format!("one is on its way: `{canary}` soaks until 2026-01-0");
    assert!(!closed.open && closed.why.contains(&text) && !closed.why.contains("unhold"), "{closed:?}");
    engine.wish(&canary, Wish::Hold { until: None, reason: "audit".to_owned() }).await.unwrap();
    engine.quiet().await;
    let why = gate(&engine, other, "share").await.why;
    let text = format!(
        "UTC and is held until somebody lifts it (audit), and `rekeyd unhold {canary}` lets it and all who wait go on"
    );
    assert!(why.contains(&text), "{why}");
    let unfinished = FleetStatus::of(&engine, fleet.clock.now()).unfinished;
    let remedies: Vec<_> = unfinished.into_iter().map(|one| (one.credential, one.remedy.is_some())).collect();
    assert_eq!(remedies, [(canary.clone(), true)]);
}

/// Walks until a person can put back what the canary's rotation delivered, and asks for it. Answers which it is.
pub(crate) async fn until_the_canary_is_put_back(fleet: &Fleet, engine: &Arc<Engine>) -> CredentialId {
    let canary = fleet.until_begun(engine, 1).await.remove(0);
    for _ in 0..200 {
        if engine.wish(&canary, Wish::Restore { reason: "partners complain".to_owned() }).await.is_ok() {
            break;
        }
        fleet.turn(engine).await;
    }
    canary
}

#[tokio::test]
async fn a_canary_that_fails_stops_the_fleet_over_restarts_until_it_is_resumed() {
    let fleet = Fleet::new(4, 340);
    let engine = fleet.engine("one").await;
    let canary = until_the_canary_is_put_back(&fleet, &engine).await;
    fleet.turn(&engine).await;
    let own = fleet.own().await;
    assert!(
        matches!(own.last(), Some(FleetEvent::Halted(FleetHaltReason::CanaryFailed { credential, .. })) if *credential == canary),
        "{own:?}"
    );
    for life in 0..5 {
        engine.stop().await;
        let engine = fleet.engine(&format!("life-{life}")).await;
        fleet.pass(Duration::from_mins(3));
        for _ in 0..20 {
            fleet.turn(&engine).await;
        }
        engine.stop().await;
    }
    assert_eq!(fleet.begun().await.len(), 1, "nothing begins any more");
    let engine = fleet.engine("last").await;
    fleet.pass(Duration::from_mins(3));
    engine.resume_fleet("the partner is back").await.unwrap();
    assert!(matches!(engine.resume_fleet("again").await, Err(WishError::Refused { .. })));
    fleet.until_begun(&engine, 2).await;
}

#[tokio::test]
async fn while_the_fleet_is_halted_nobody_is_asked_for_nothing() {
    let fleet = Fleet::new(4, 340);
    let engine = fleet.engine("one").await;
    let canary = until_the_canary_is_put_back(&fleet, &engine).await;
    // Everybody who waited has looked once more.
    let later = after(fleet.clock.now(), Duration::from_hours(2));
    for _ in 0..1000 {
        if fleet.clock.now() > later {
            break;
        }
        fleet.turn(&engine).await;
    }
    assert!(fleet.clock.now() > later);
    assert!(matches!(fleet.own().await.last(), Some(FleetEvent::Halted(_))));
    let due = engine.views().into_iter().filter(|view| view.credential != canary);
    for view in due {
        assert_eq!(view.look, Some(NextLook::Schedule), "`{}`: {:?}", view.credential, view.reason);
    }
    engine.resume_fleet("the partner is back").await.unwrap();
    engine.quiet().await;
    assert_eq!(fleet.begun().await.len(), 2, "who waited is woken");
}

#[tokio::test]
async fn two_instances_share_one_fuse() {
    let mut fleet = Fleet::new(8, 340);
    fleet.rules = Rules { canary: false, fuse_rotations: 3, fuse_percent: 0, ..Rules::default() };
    let (one, other) = (fleet.engine("one").await, fleet.engine("other").await);
    let day = after(fleet.clock.now(), Duration::from_hours(20));
    while fleet.clock.now() < day {
        one.wake_due(fleet.clock.now());
        other.wake_due(fleet.clock.now());
        one.quiet().await;
        other.quiet().await;
        fleet.pass(Duration::from_mins(5));
    }
    assert_eq!(fleet.begun().await.len(), 3);
    fleet.pass(Duration::from_hours(6));
    fleet.until_begun(&one, 6).await;
}

#[tokio::test]
async fn a_person_who_means_it_passes_the_fuse_and_no_halt() {
    let mut fleet = Fleet::new(4, 10);
    fleet.rules = Rules { canary: false, fuse_rotations: 1, fuse_percent: 0, ..Rules::default() };
    let engine = fleet.engine("one").await;
    fleet.turn(&engine).await;
    let rotate = |fuse| Wish::Rotate {
        trigger: Trigger::Command,
        reason: "test".to_owned(),
        pass: Pass { fuse, emergency: false },
    };
    for (number, fuse) in [(0, false), (1, false), (2, true), (3, true)] {
        engine.wish(&fleet.outsides[number].0, rotate(fuse)).await.unwrap();
    }
    for _ in 0..20 {
        fleet.turn(&engine).await;
    }
    let begun: BTreeSet<_> = fleet.begun().await.into_iter().collect();
    let expected: BTreeSet<_> =
        [0, 2, 3].into_iter().map(|number| fleet.outsides[number].0.clone()).collect();
    assert_eq!(begun, expected);
}

#[tokio::test]
async fn who_asks_is_told_what_it_waits_for_and_can_withdraw() {
    let mut fleet = Fleet::new(4, 10);
    fleet.rules = Rules { canary: false, fuse_rotations: 1, fuse_percent: 0, ..Rules::default() };
    let engine = fleet.engine("one").await;
    fleet.turn(&engine).await;
    let (first, second) = (&fleet.outsides[0].0, &fleet.outsides[1].0);
    let asked = |id: &CredentialId| engine.barriers(id).iter().map(|gate| gate.name).collect::<Vec<_>>();
    assert_eq!(asked(first), ["due"], "nobody has asked");
    let rotate =
        || Wish::Rotate { trigger: Trigger::Command, reason: "drill".to_owned(), pass: Pass::default() };
    for id in [first, second] {
        engine.wish(id, rotate()).await.unwrap();
        engine.quiet().await;
    }
    assert_eq!(fleet.begun().await, std::slice::from_ref(first));
    assert_eq!(asked(first), [""; 0], "it has begun");
    assert_eq!(asked(second), ["fuse"]);
    let peek = engine.peek_at(second).await.unwrap();
    assert_eq!(peek.plan.reason.code, "fleet");
    let expected = "asked for, and the gate `fuse` is closed until ";
    assert!(peek.plan.reason.text.starts_with(expected), "{}", peek.plan.reason.text);
    engine.wish(second, Wish::Withdraw { reason: "not today".to_owned() }).await.unwrap();
    engine.quiet().await;
    assert_eq!(engine.fleet().waiting, []);
    fleet.pass(Duration::from_hours(25));
    fleet.turn(&engine).await;
    assert_eq!(fleet.begun().await, std::slice::from_ref(first), "what is withdrawn does not begin");
    assert!(matches!(
        engine.wish(first, Wish::Withdraw { reason: "too late".to_owned() }).await,
        Err(WishError::Refused { .. })
    ));
}

#[tokio::test]
async fn who_is_taken_out_of_the_configuration_holds_up_nobody() {
    let mut fleet = Fleet::new(3, 340);
    let engine = fleet.engine("one").await;
    fleet.until_begun(&engine, 1).await;
    fleet.turn(&engine).await;
    assert_eq!(engine.fleet().waiting.len(), 2);
    let urgent = engine.fleet().waiting.remove(0);
    fleet.outsides.retain(|(id, _)| *id != urgent);
    engine.replace(fleet.units());
    assert!(!engine.fleet().waiting.contains(&urgent));
    assert_eq!(fleet.until_begun(&engine, 2).await.len(), 2);
}

#[tokio::test]
async fn a_closed_window_is_waited_for_and_the_next_opening_is_told() {
    let fleet = Fleet::new(1, 340);
    let opens = after(fleet.clock.now(), Duration::from_hours(5));
    *fleet.opening.lock().unwrap() = Opening::Closed(Some(opens));
    let engine = fleet.engine("one").await;
    fleet.turn(&engine).await;
    fleet.turn(&engine).await;
    assert!(fleet.begun().await.is_empty());
    let view = engine.view(&fleet.outsides[0].0).unwrap();
    assert!(view.reason.unwrap().text.contains("maintenance window"));
    let gates = engine.peek_at(&fleet.outsides[0].0).await.unwrap().gates;
    let window = gates.iter().find(|gate| gate.name == "maintenance window").unwrap();
    assert_eq!((window.open, window.opens_at), (false, Some(opens)));
    *fleet.opening.lock().unwrap() = Opening::Open(after(opens, Duration::from_hours(1)));
    fleet.until_begun(&engine, 1).await;
}

#[tokio::test]
async fn the_least_time_left_goes_first_even_if_it_looks_last() {
    let fleet = Fleet::new(6, 340);
    let engine = fleet.engine("one").await;
    let (urgent, slow) = fleet.outsides.last().unwrap();
    slow.gated.store(1, Ordering::SeqCst);
    engine.wake_due(fleet.clock.now());
    slow.at_gate.notified().await;
    let all_but_one_rest = || engine.views().iter().filter(|view| view.reason.is_none()).count() == 1;
    for _ in 0..10_000 {
        if all_but_one_rest() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(all_but_one_rest());
    assert!(fleet.begun().await.is_empty(), "nobody begins while the most urgent looks");
    slow.gate.notify_one();
    engine.quiet().await;
    assert_eq!(fleet.begun().await, std::slice::from_ref(urgent));
    let view = engine.fleet();
    assert_eq!(view.waiting.len(), 5, "{:?}", view.waiting);
}

#[tokio::test]
async fn who_waited_for_one_that_does_not_begin_goes_on_without_it() {
    let fleet = Fleet::new(3, 340);
    let engine = fleet.engine("one").await;
    let (_, dead) = fleet.outsides.last().unwrap();
    *dead.outage.lock().unwrap() = Some(Class::Connect);
    dead.gated.store(1, Ordering::SeqCst);
    engine.wake_due(fleet.clock.now());
    dead.at_gate.notified().await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(fleet.begun().await.is_empty());
    dead.gate.notify_one();
    engine.quiet().await;
    assert_eq!(
        fleet.begun().await,
        [fleet.outsides[1].0.clone()],
        "the next one has the least time left now"
    );
}
