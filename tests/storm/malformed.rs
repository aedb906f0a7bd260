//! Answers that make no sense, over real HTTP, to every call that there is: nothing panics, nothing hangs, nothing is
//! told to another host, and no key of the consumer's is touched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rekeyd::clock::Clock;
use rekeyd::domain::key::Key;
use rekeyd::domain::names::{KeyName, Role};
use rekeyd::ports::{Consumer, Issuer};
use rekeyd::secret::ServiceKey;
use sap_sandbox::Sandbox;
use sap_sandbox::scenario::hostile::Rates;
use sap_sandbox::scenario::tenant::TenantPlan;
use sap_sandbox::scenario::{Hostility, Scenario, Scheme};
use sap_sandbox::world::change::Change;

use crate::time::VirtualClock;
use crate::{target, way};

/// Tenants that work at once.
const TENANTS: usize = 4;

/// Longer than any call may take: its own limit is 5 s, and a step consists of a few.
const HANG: Duration = Duration::from_mins(1);

fn scenario() -> Scenario {
    let tenants = (0..TENANTS).map(|number| TenantPlan::new(&format!("t{number}")));
    let rates = Rates {
        garbled: 0.5,
        heavy: 0.0005,
        elsewhere: 0.05,
        after: 0.05,
        unknown_fields: 0.3,
        absent_fields: 0.1,
        unknown_states: 0.2,
        ..Rates::none()
    };
    Scenario { rates, scheme: Scheme::Http, strict: true, ..Scenario::of(tenants) }
}

struct Tenant {
    issuer: rekeyd::issuer::cloud_foundry::CloudFoundry,
    consumer: rekeyd::consumer::dataspace::Dataspace,
    keys: BTreeMap<Role, (Key, Arc<ServiceKey>)>,
    /// A key that nobody holds.
    spare: Key,
}

impl Tenant {
    /// One call of each kind in turn. What comes of it does not matter here.
    async fn step(&self, turn: u64) {
        let (key, secret) = &self.keys[&Role::Ciapi];
        let name = KeyName(format!("extra-{}", turn % 3));
        match turn % 10 {
            0 => drop(self.issuer.list().await),
            1 => drop(self.issuer.read(Role::Ciapi, key).await),
            2 => drop(self.issuer.create(Role::Cirt, &name).await),
            3 => drop(self.issuer.delete(Role::Cirt, &self.spare).await),
            4 => drop(self.consumer.status().await),
            5 => drop(self.consumer.content(secret).await),
            6 => drop(self.consumer.test(Role::Ciapi, secret).await),
            7 => drop(self.consumer.is_refused(Role::Ciapi, secret).await),
            8 => drop(self.consumer.provision().await),
            _ => drop(self.consumer.deliver(&self.pair()).await),
        }
    }

    fn pair(&self) -> BTreeMap<Role, Arc<ServiceKey>> {
        self.keys.iter().map(|(role, (_, secret))| (*role, Arc::clone(secret))).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_answered_does_harm() {
    let wanted = target("MALFORMED_STEPS", 3000);
    let sandbox = Arc::new(Sandbox::start(scenario()).await.unwrap());
    let clock = VirtualClock::new(Arc::clone(&sandbox), TENANTS);
    sandbox.change(Change::Hostility { mode: Hostility::Kind }).unwrap();
    let http = way::http(Arc::clone(&clock) as Arc<dyn Clock>);
    let mut tenants = Vec::new();
    let mover = tokio::spawn({
        let clock = Arc::clone(&clock);
        async move { clock.run().await }
    });
    for number in 0..TENANTS {
        let id = format!("t{number}");
        let foundry = way::foundry(&sandbox, &http, &id);
        let issuer = way::issuer(&sandbox, &foundry, &id);
        let keys = way::keys(&issuer).await;
        let spare = issuer.create(Role::Cirt, &KeyName("spare".to_owned())).await.unwrap();
        tenants.push(Tenant { issuer, consumer: way::consumer(&sandbox, &http, &id), keys, spare });
    }
    sandbox.change(Change::Hostility { mode: Hostility::Safety }).unwrap();
    let workers: Vec<_> = tenants
        .into_iter()
        .map(|tenant| {
            let clock = Arc::clone(&clock);
            tokio::spawn(async move {
                let _working = clock.working();
                let mut hangs = 0;
                for turn in 0..wanted / TENANTS as u64 {
                    hangs += u64::from(tokio::time::timeout(HANG, tenant.step(turn)).await.is_err());
                }
                hangs
            })
        })
        .collect();
    let mut hangs = 0;
    for worker in workers {
        hangs += worker.await.expect("nothing panics");
    }
    mover.await.unwrap();
    let books = sandbox.books();
    println!("malformed: answers={} panics=0 hangs={hangs}", books.calls);
    assert_eq!(hangs, 0);
    assert_eq!((books.strayed_secrets, books.improper_requests), (0, 0), "{:#?}", books.misconduct);
    assert_eq!(
        (books.lockouts, books.dead_ciapi, books.foreign_deletions),
        (0, 0, 0),
        "{:#?}",
        books.entries
    );
    let deleted =
        books.tenants.values().flat_map(|tenant| &tenant.keys).filter(|key| key.deleted_at.is_some());
    assert!(deleted.clone().all(|key| key.name == "spare" || key.name.starts_with("extra-")));
}
