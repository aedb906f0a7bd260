//! A storm of 429 in every form: each caller tries again at once, as a person does who pushes, and then when it is told
//! to. The way out has to keep every early try back: the sandbox writes down each one that arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rekeyd::clock::Clock;
use rekeyd::consumer::dataspace::Dataspace;
use rekeyd::domain::between;
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::names::Role;
use rekeyd::issuer::cloud_foundry::foundry::Foundry;
use rekeyd::ports::Consumer;
use rekeyd::secret::ServiceKey;
use sap_sandbox::Sandbox;
use sap_sandbox::scenario::hostile::{Limits, Rates};
use sap_sandbox::scenario::tenant::TenantPlan;
use sap_sandbox::scenario::{Hostility, Scenario, Scheme, TokenLives};
use sap_sandbox::world::change::Change;

use crate::time::VirtualClock;
use crate::{target, way};

/// Tenants, each with a login at its data space and one with its key.
const TENANTS: usize = 20;

/// What one login asks, over and over. No login has two of these, so that nothing is on its way when a pause begins.
enum Work {
    Keys(Arc<Foundry>, String),
    Status(Arc<Dataspace>),
    Content(Arc<Dataspace>, Arc<ServiceKey>),
}

impl Work {
    async fn ask(&self, sandbox: &Sandbox, turn: u64) -> Result<(), Failure> {
        match self {
            Self::Keys(foundry, tenant) => foundry.list(&way::instances(sandbox, tenant)).await.map(drop),
            Self::Status(consumer) => consumer.status().await.map(drop),
            // With a cached token and with a fresh one: they are one caller.
            Self::Content(consumer, key) if turn.is_multiple_of(2) => consumer.content(key).await.map(drop),
            Self::Content(consumer, key) => consumer.test(Role::Ciapi, key).await.map(drop),
        }
    }
}

/// Nothing but limits: 429 at more than half of the calls in each form, and few calls an hour.
fn scenario() -> Scenario {
    let tenants = (0..TENANTS).map(|number| TenantPlan::new(&format!("t{number}")));
    Scenario {
        rates: Rates { throttled: 0.6, ..Rates::none() },
        limits: Limits { cloud_foundry_per_hour: 200, in_flight_milliseconds: 0, ..Limits::default() },
        // A token outlives the storm's pauses, or every second call would be for a new one.
        token_lives: TokenLives { ciapi: 43_200, ..TokenLives::default() },
        scheme: Scheme::Http,
        ..Scenario::of(tenants)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_calls_before_the_end_of_a_pause() {
    let wanted = target("STORM_LIMITED", 3000);
    let sandbox = Arc::new(Sandbox::start(scenario()).await.unwrap());
    let clock = VirtualClock::new(Arc::clone(&sandbox), 2 * TENANTS + 1);
    let work = work(&sandbox, &clock).await;
    let told = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = work
        .into_iter()
        .map(|work| {
            let (sandbox, clock, told) = (Arc::clone(&sandbox), Arc::clone(&clock), Arc::clone(&told));
            tokio::spawn(async move {
                let _working = clock.working();
                hammer(&work, &sandbox, &clock, &told, wanted).await
            })
        })
        .collect();
    clock.run().await;
    let mut kept_back = 0;
    for worker in workers {
        kept_back += worker.await.unwrap();
    }
    let books = sandbox.books();
    println!("storm: limited={} early_retries={}", books.limited, books.early_retries);
    assert!(books.limited >= wanted, "{} of {wanted}", books.limited);
    assert!(
        kept_back >= wanted,
        "everybody pushed twice at each pause, and {kept_back} calls were kept back"
    );
    assert_eq!(books.early_retries, 0, "{:#?}", books.misconduct);
    assert_eq!(books.refused_tokens_reused, 0, "{:#?}", books.misconduct);
}

async fn work(sandbox: &Arc<Sandbox>, clock: &Arc<VirtualClock>) -> Vec<Work> {
    sandbox.change(Change::Hostility { mode: Hostility::Kind }).unwrap();
    let http = way::http(Arc::clone(clock) as Arc<dyn Clock>);
    let foundry = way::foundry(sandbox, &http, "t0");
    let mut work = Vec::new();
    for number in 0..TENANTS {
        let tenant = format!("t{number}");
        let consumer = Arc::new(way::consumer(sandbox, &http, &tenant));
        let keys = way::keys(&way::issuer(sandbox, &foundry, &tenant)).await;
        work.push(Work::Status(Arc::clone(&consumer)));
        work.push(Work::Content(consumer, Arc::clone(&keys[&Role::Ciapi].1)));
    }
    work.push(Work::Keys(foundry, "t0".to_owned()));
    sandbox.change(Change::Hostility { mode: Hostility::Safety }).unwrap();
    work
}

/// Asks until everybody together was told to pause often enough. Answers how often it was kept back.
async fn hammer(work: &Work, sandbox: &Sandbox, clock: &VirtualClock, told: &AtomicU64, wanted: u64) -> u64 {
    let (mut turn, mut kept_back) = (0, 0);
    while told.load(Ordering::SeqCst) < wanted {
        turn += 1;
        let Err(failure) = work.ask(sandbox, turn).await else { continue };
        assert_eq!(failure.class, Class::Throttled, "{failure}");
        // A pause that another caller on the same way was asked for is kept as well.
        told.fetch_add(u64::from(!was_kept_back(&failure)), Ordering::SeqCst);
        for _ in 0..2 {
            turn += 1;
            let again = work.ask(sandbox, turn).await;
            kept_back += u64::from(again.is_err_and(|failure| was_kept_back(&failure)));
        }
        clock.sleep(between(clock.now(), failure.not_before.unwrap())).await;
    }
    kept_back
}

fn was_kept_back(failure: &Failure) -> bool {
    failure.cause.contains("was not sent")
}
