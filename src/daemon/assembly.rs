//! From the configuration to the units the engine walks: each credential with its issuer and its consumer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::daemon::Daemon;
use crate::config::maintenance::opening;
use crate::config::tenant::{
    CloudFoundry as CloudFoundrySection, Credential, IssuerKind, Place, Portal, Replace, Tenant,
};
use crate::config::{Config, Difference, web};
use crate::consumer::dataspace::{self, Dataspace};
use crate::consumer::local::Local;
use crate::domain::failure::Failure;
use crate::domain::names::{CredentialId, Role};
use crate::engine::Unit;
use crate::http::Http;
use crate::http::client::HttpSettings;
use crate::issuer::binding::Patience;
use crate::issuer::cloud_foundry::foundry::{Foundry, FoundrySettings};
use crate::issuer::cloud_foundry::{self, CloudFoundry};
use crate::issuer::file::{self, Folder};
use crate::issuer::portal::backend::{Backend, BackendSettings};
use crate::issuer::portal::in_place::{self, InPlace};
use crate::issuer::portal::second_user::{self, SecondUser};
use crate::issuer::service_manager::manager::{Manager, ManagerSettings};
use crate::issuer::service_manager::{self, ServiceManager};
use crate::metrics::{self, Metrics};
use crate::ports::{Consumer, Issuer};

/// What a configuration amounts to.
pub struct Assembly {
    /// Every credential.
    pub units: Vec<Unit>,
    /// The one way out.
    pub http: Arc<Http>,
}

/// Builds everything. Nothing is sent.
pub fn assemble(
    config: &Config,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
) -> Result<Assembly, Failure> {
    let http = http(&config.daemon, metrics, clock)?;
    Ok(Assembly { units: units(config, &http)?, http })
}

/// The way out alone.
pub fn http(daemon: &Daemon, metrics: &Arc<Metrics>, clock: &Arc<dyn Clock>) -> Result<Arc<Http>, Failure> {
    Ok(Arc::new(Http::new(settings(daemon), Arc::clone(metrics), Arc::clone(clock))?))
}

/// The units alone, on a way out that exists.
pub fn units(config: &Config, http: &Arc<Http>) -> Result<Vec<Unit>, Failure> {
    let mut shared = Shared { seals: config.daemon.state_dir.join("seals"), ..Shared::default() };
    let mut units = Vec::new();
    for tenant in &config.tenants {
        for credential in &tenant.credentials {
            units.push(unit(tenant, credential, http, &mut shared)?);
        }
    }
    Ok(units)
}

/// How much the metrics tell.
pub fn detail(daemon: &Daemon) -> metrics::Detail {
    match daemon.detail {
        web::Detail::Full => metrics::Detail::Full,
        web::Detail::Summary => metrics::Detail::Summary,
    }
}

/// The journal's file.
pub fn journal_path(daemon: &Daemon) -> PathBuf {
    daemon.state_dir.join("journal.db")
}

/// Every credential that is configured.
pub fn credentials(config: &Config) -> Vec<CredentialId> {
    let credentials = config.tenants.iter().flat_map(|tenant| &tenant.credentials);
    credentials.map(|credential| credential.policy.credential.clone()).collect()
}

/// What a reload changes, in words.
pub fn in_words(difference: &Difference) -> String {
    let mut parts = Vec::new();
    if difference.daemon {
        parts.push(
            "the daemon's part changed (listeners, instance, state directory and the collector of traces only change at a restart)"
                .to_owned(),
        );
    }
    for (what, tenants) in
        [("added", &difference.added), ("changed", &difference.changed), ("removed", &difference.removed)]
    {
        if !tenants.is_empty() {
            let names: Vec<String> = tenants.iter().map(|tenant| format!("`{tenant}`")).collect();
            parts.push(format!("{what}: {}", names.join(", ")));
        }
    }
    if parts.is_empty() { "nothing changed".to_owned() } else { parts.join("; ") }
}

pub(super) fn settings(daemon: &Daemon) -> HttpSettings {
    HttpSettings {
        connect_timeout: daemon.http.connect_timeout,
        read_timeout: daemon.http.read_timeout,
        total_timeout: daemon.http.total_timeout,
        allow_http: daemon.http.allow_http,
        extra_ca: daemon.http.ca_certificates.clone(),
        calls_per_hour: daemon.http.calls_per_hour,
        burst: daemon.http.burst,
        ..HttpSettings::default()
    }
}

/// Where a login goes, who logs in, what it is told apart by besides, and what it proves itself with: a tenant with
/// another password must not live on this one's.
type Login = (String, String, Option<String>, [u8; 32]);

/// One Cloud Foundry per landscape and login, so that its links, tokens and pauses are shared; the same with Service
/// Manager.
#[derive(Default)]
struct Shared {
    foundries: BTreeMap<Login, Arc<Foundry>>,
    managers: BTreeMap<Login, Arc<Manager>>,
    portals: BTreeMap<Login, Arc<Backend>>,
    /// Where secrets are sealed.
    seals: PathBuf,
}

fn unit(
    tenant: &Tenant,
    credential: &Credential,
    http: &Arc<Http>,
    shared: &mut Shared,
) -> Result<Unit, Failure> {
    let (schedule, windows) = (Arc::clone(&tenant.schedule), Arc::clone(&tenant.maintenance));
    Ok(Unit {
        policy: Arc::new(credential.policy.clone()),
        issuer: issuer(tenant, credential, http, shared)?,
        consumer: consumer(tenant, credential, http)?,
        next_tick: Arc::new(move |now| schedule.next_after(now)),
        maintenance: Arc::new(move |now| opening(&windows, now)),
    })
}

fn issuer(
    tenant: &Tenant,
    credential: &Credential,
    http: &Arc<Http>,
    shared: &mut Shared,
) -> Result<Arc<dyn Issuer>, Failure> {
    match credential.issuer {
        IssuerKind::CloudFoundry => {
            let foundry = shared.foundry(tenant, credential, http)?;
            let places =
                credential.places.iter().filter_map(|(role, place)| Some((*role, at_foundry(place)?)));
            Ok(Arc::new(CloudFoundry::new(
                foundry,
                cloud_foundry::Settings {
                    credential: credential.policy.credential.clone(),
                    places: places.collect(),
                },
            )))
        }
        IssuerKind::ServiceManager => {
            let manager = shared.manager(tenant, credential, http)?;
            let instances = credential.places.iter().map(|(role, place)| (*role, place.to_string()));
            Ok(Arc::new(ServiceManager::new(
                manager,
                service_manager::Settings {
                    credential: credential.policy.credential.clone(),
                    instances: instances.collect(),
                },
            )))
        }
        IssuerKind::Portal => technical_user(tenant, credential, http, shared),
        IssuerKind::File => {
            let files = tenant.files.as_ref().expect("a checked configuration has the issuer's section");
            let roles: BTreeSet<Role> = credential.places.keys().copied().collect();
            Ok(Arc::new(Folder::new(file::Settings { folder: files.folder.clone(), roles })))
        }
    }
}

/// The technical user of a credential, replaced as the operator wants it.
fn technical_user(
    tenant: &Tenant,
    credential: &Credential,
    http: &Arc<Http>,
    shared: &mut Shared,
) -> Result<Arc<dyn Issuer>, Failure> {
    let section = tenant.portal.as_ref().expect("a checked configuration has the issuer's section");
    let backend = shared.portal(section, credential.policy.poll, http)?;
    let id = credential.policy.credential.clone();
    let Some(Place::TechnicalUser { id: user, replace, since }) = credential.places.get(&Role::Sole).cloned()
    else {
        unreachable!("a checked configuration names the technical user")
    };
    if replace == Replace::SecondUser {
        let settings = second_user::Settings { credential: id, user, since };
        return Ok(Arc::new(SecondUser::new(backend, settings)));
    }
    let seal_key = section.seal_key.clone().expect("a checked configuration has something to seal with");
    let ledger = shared.seals.join(format!("{}.{}.seal", id.tenant, id.name));
    let may_reset = replace == Replace::Reset;
    let settings = in_place::Settings { credential: id, user, since, may_reset, ledger, seal_key };
    Ok(Arc::new(InPlace::new(backend, settings)?))
}

impl Shared {
    fn portal(
        &mut self,
        section: &Portal,
        poll: Duration,
        http: &Arc<Http>,
    ) -> Result<Arc<Backend>, Failure> {
        let login = (
            section.url.clone(),
            section.client_id.clone(),
            Some(section.token_url.clone()),
            section.secret.fingerprint(),
        );
        if let Some(known) = self.portals.get(&login) {
            return Ok(Arc::clone(known));
        }
        let settings = BackendSettings {
            url: section.url.clone(),
            token_url: section.token_url.clone(),
            client_id: section.client_id.clone(),
            secret: section.secret.clone(),
            patience: patience(poll),
        };
        let made = Arc::new(Backend::new(Arc::clone(http), &settings)?);
        self.portals.insert(login, Arc::clone(&made));
        Ok(made)
    }

    fn foundry(
        &mut self,
        tenant: &Tenant,
        credential: &Credential,
        http: &Arc<Http>,
    ) -> Result<Arc<Foundry>, Failure> {
        let settings =
            tenant.cloud_foundry.as_ref().expect("a checked configuration has the issuer's section");
        let fingerprint = settings.password.fingerprint();
        let login = (settings.api.clone(), settings.user.clone(), settings.origin.clone(), fingerprint);
        if let Some(known) = self.foundries.get(&login) {
            return Ok(Arc::clone(known));
        }
        let settings = foundry_settings(settings, credential.policy.poll);
        let made = Arc::new(Foundry::new(Arc::clone(http), settings)?);
        self.foundries.insert(login, Arc::clone(&made));
        Ok(made)
    }

    fn manager(
        &mut self,
        tenant: &Tenant,
        credential: &Credential,
        http: &Arc<Http>,
    ) -> Result<Arc<Manager>, Failure> {
        let section =
            tenant.service_manager.as_ref().expect("a checked configuration has the issuer's section");
        let key = &section.key;
        let login =
            (section.url.clone(), key.client_id.clone(), Some(key.token_url.clone()), key.fingerprint());
        if let Some(known) = self.managers.get(&login) {
            return Ok(Arc::clone(known));
        }
        let settings = ManagerSettings {
            url: section.url.clone(),
            key: key.clone(),
            calls_per_hour: section.calls_per_hour,
            patience: patience(credential.policy.poll),
        };
        let made = Arc::new(Manager::new(Arc::clone(http), &settings)?);
        self.managers.insert(login, Arc::clone(&made));
        Ok(made)
    }
}

/// A job is seen through to its end for this long before its outcome counts as unknown.
const JOB_DEADLINE: Duration = Duration::from_mins(3);

fn foundry_settings(section: &CloudFoundrySection, poll: Duration) -> FoundrySettings {
    FoundrySettings {
        api: section.api.clone(),
        user: section.user.clone(),
        password: section.password.clone(),
        origin: section.origin.clone(),
        patience: patience(poll),
    }
}

/// A job usually takes seconds, so it is looked at more often than a data plane.
fn patience(poll: Duration) -> Patience {
    Patience { deadline: JOB_DEADLINE, poll: poll.min(Duration::from_secs(2)) }
}

fn at_foundry(place: &Place) -> Option<cloud_foundry::Place> {
    match place {
        Place::Guid(guid) => Some(cloud_foundry::Place::Guid(guid.clone())),
        Place::Named { org, space, name } => {
            Some(cloud_foundry::Place::Named { org: org.clone(), space: space.clone(), name: name.clone() })
        }
        Place::Folder | Place::TechnicalUser { .. } => None,
    }
}

fn consumer(
    tenant: &Tenant,
    credential: &Credential,
    http: &Arc<Http>,
) -> Result<Arc<dyn Consumer>, Failure> {
    if let Some(local) = &credential.local {
        return Ok(Arc::new(Local::new(Arc::clone(http), local.clone())));
    }
    Ok(Arc::new(dataspace(tenant, http)?))
}

/// The data space of a tenant that has one.
pub fn dataspace(tenant: &Tenant, http: &Arc<Http>) -> Result<Dataspace, Failure> {
    let section = tenant.dataspace.as_ref().expect("a checked configuration has the consumer's section");
    let settings = dataspace::Settings {
        key: Arc::new(section.key.clone()),
        url: Some(section.url.clone()),
        base_path: section.base_path.clone(),
        words: section.status_words.clone(),
        timeout: None,
    };
    Dataspace::new(Arc::clone(http), &settings)
}
