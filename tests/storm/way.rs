//! The adapters of a tenant, as the daemon builds them, on a clock of the test's choice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rekeyd::clock::Clock;
use rekeyd::consumer::dataspace::{self, Dataspace};
use rekeyd::domain::key::Key;
use rekeyd::domain::names::Role;
use rekeyd::http::Http;
use rekeyd::http::client::HttpSettings;
use rekeyd::issuer::binding::Patience;
use rekeyd::issuer::cloud_foundry::foundry::{Foundry, FoundrySettings};
use rekeyd::issuer::cloud_foundry::{self, CloudFoundry, Place};
use rekeyd::metrics::Metrics;
use rekeyd::ports::Issuer;
use rekeyd::secret::{Secret, ServiceKey};
use sap_sandbox::Sandbox;

/// A way out without a limit of its own: the sandbox's are to be met.
pub(crate) fn http(clock: Arc<dyn Clock>) -> Arc<Http> {
    let settings = HttpSettings {
        allow_http: true,
        system_proxy: false,
        read_timeout: Duration::from_secs(3),
        total_timeout: Duration::from_secs(5),
        calls_per_hour: 3_600_000,
        burst: 10_000,
        ..HttpSettings::default()
    };
    Arc::new(Http::new(settings, Arc::new(Metrics::new()), clock).unwrap())
}

/// The landscape that all tenants are on.
pub(crate) fn foundry(sandbox: &Sandbox, http: &Arc<Http>, tenant: &str) -> Arc<Foundry> {
    let access = sandbox.access(tenant).unwrap();
    let settings = FoundrySettings {
        api: access.cloud_foundry_api,
        user: access.user,
        password: Secret::new(access.password),
        origin: access.origin,
        patience: Patience { deadline: Duration::from_mins(3), poll: Duration::from_secs(2) },
    };
    Arc::new(Foundry::new(Arc::clone(http), settings).unwrap())
}

/// The service instances of a tenant.
pub(crate) fn instances(sandbox: &Sandbox, tenant: &str) -> BTreeSet<String> {
    let access = sandbox.access(tenant).unwrap();
    BTreeSet::from([access.ciapi, access.cirt])
}

/// The issuer of a tenant's keys.
pub(crate) fn issuer(sandbox: &Sandbox, foundry: &Arc<Foundry>, tenant: &str) -> CloudFoundry {
    let access = sandbox.access(tenant).unwrap();
    let places =
        BTreeMap::from([(Role::Ciapi, Place::Guid(access.ciapi)), (Role::Cirt, Place::Guid(access.cirt))]);
    let credential = format!("{tenant}/dataplane").parse().unwrap();
    CloudFoundry::new(Arc::clone(foundry), cloud_foundry::Settings { credential, places })
}

/// The consumer of a tenant.
pub(crate) fn consumer(sandbox: &Sandbox, http: &Arc<Http>, tenant: &str) -> Dataspace {
    let key = ServiceKey::parse(&sandbox.access(tenant).unwrap().dsi_key.to_string()).unwrap();
    let settings = dataspace::Settings {
        key: Arc::new(key),
        url: None,
        base_path: dataspace::BASE_PATH.to_owned(),
        words: BTreeMap::new(),
        timeout: None,
    };
    Dataspace::new(Arc::clone(http), &settings).unwrap()
}

/// The keys that a tenant has from the start, with their secrets. The sandbox has to be kind meanwhile.
pub(crate) async fn keys(issuer: &CloudFoundry) -> BTreeMap<Role, (Key, Arc<ServiceKey>)> {
    let mut found = BTreeMap::new();
    for (role, sightings) in issuer.list().await.unwrap() {
        let name = format!("{role}-1");
        let key = sightings.into_iter().find(|seen| seen.key.name.0 == name).unwrap().key;
        let secret = issuer.read(role, &key).await.unwrap();
        found.insert(role, (key, secret));
    }
    found
}
