//! Many tenants behind one login, in real time: when one of them is told to pause, all of them do.

use std::sync::Arc;
use std::time::Duration;

use rekeyd::clock::{Clock, SystemClock};
use rekeyd::domain::failure::Class;
use sap_sandbox::Sandbox;
use sap_sandbox::scenario::hostile::{Limits, Rates};
use sap_sandbox::scenario::tenant::TenantPlan;
use sap_sandbox::scenario::{Scenario, Scheme};

use crate::way;

const CROWD: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_behind_one_login_pauses_as_one() {
    let scenario = Scenario {
        rates: Rates { throttled: 0.05, ..Rates::none() },
        // Pauses of one or two seconds; what arrives in the first half second was on its way.
        pace: 0.02,
        limits: Limits { in_flight_milliseconds: 500, ..Limits::default() },
        scheme: Scheme::Http,
        ..Scenario::of([TenantPlan::new("t0")])
    };
    let sandbox = Arc::new(Sandbox::start(scenario).await.unwrap());
    let clock = Arc::new(SystemClock::new());
    let http = way::http(Arc::clone(&clock) as Arc<dyn Clock>);
    let foundry = way::foundry(&sandbox, &http, "t0");
    let crowd: Vec<_> = (0..CROWD)
        .map(|_| {
            let (sandbox, clock, foundry) = (Arc::clone(&sandbox), Arc::clone(&clock), Arc::clone(&foundry));
            tokio::spawn(async move {
                let instances = way::instances(&sandbox, "t0");
                let mut kept_back = 0;
                while clock.monotonic() < Duration::from_secs(8) {
                    if let Err(failure) = foundry.list(&instances).await {
                        assert_eq!(failure.class, Class::Throttled, "{failure}");
                        kept_back += usize::from(failure.cause.contains("was not sent"));
                        clock.sleep(Duration::from_millis(20)).await;
                    }
                }
                kept_back
            })
        })
        .collect();
    let mut kept_back = 0;
    for one in crowd {
        kept_back += one.await.unwrap();
    }
    let books = sandbox.books();
    println!("crowd: limited={} kept_back={kept_back} early_retries={}", books.limited, books.early_retries);
    assert!(books.limited >= 3, "{}", books.limited);
    assert!(kept_back > CROWD, "{kept_back}");
    assert_eq!(books.early_retries, 0, "{:#?}", books.misconduct);
}
