//! What can be told without the daemon: from the configuration and the journal, read-only.

use std::path::Path;
use std::sync::Arc;

use super::client::Daemon as Client;
use super::{Common, Exit, Which, check, fail};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::config::daemon::Daemon;
use crate::config::load::load_daemon;
use crate::daemon::assembly::{self, Assembly};
use crate::daemon::probing::Probing;
use crate::daemon::report::{PlanStatus, Status};
use crate::daemon::unmanaged::{self, CisStatus, Discovery, SourceProbe};
use crate::domain::Timestamp;
use crate::domain::event::Entry;
use crate::domain::forecast::Forecast;
use crate::domain::names::{CredentialId, TenantId};
use crate::domain::view::View;
use crate::engine::{Engine, Settings};
use crate::http::Http;
use crate::http::local::LocalError;
use crate::journal::memory::MemoryJournal;
use crate::journal::sqlite::SqliteJournal;
use crate::metrics::Metrics;
use crate::ports::{Journal, JournalError};

/// Says on stderr that the daemon was not asked, and what is told instead.
fn notice(common: &Common) {
    if common.quiet {
        return;
    }
    let client = Client::of(common);
    let path = client.path.display();
    let next = client.elsewhere().unwrap_or_else(|| "`rekeyd run` starts one".to_owned());
    eprintln!("rekeyd: no daemon answers on `{path}`: what follows rests on the journal; {next}");
}

/// Whoever may not ask the daemon may not read what it reads either: that is said once, and not for every file.
async fn is_admitted(common: &Common) -> Result<(), Exit> {
    let client = Client::of(common);
    match client.try_get::<Status>("/v1/status").await {
        Err(problem @ LocalError::Denied) => Err(client.unreachable(&problem)),
        _ => Ok(()),
    }
}

/// The journal of the configured daemon, read-only; an empty one where there is none yet.
fn journal(daemon: &Daemon) -> Result<Arc<dyn Journal>, Exit> {
    let path = assembly::journal_path(daemon);
    if !path.exists() {
        return Ok(Arc::new(MemoryJournal::new()));
    }
    match SqliteJournal::open_read_only(&path) {
        Ok(journal) => Ok(Arc::new(journal)),
        Err(problem) => Err(unreadable(&path, &problem)),
    }
}

/// What is damaged is a person's to mend; what cannot be read just now may be read later.
fn unreadable(path: &Path, problem: &JournalError) -> Exit {
    let exit = match problem {
        JournalError::Damaged(_) => Exit::Person,
        _ => Exit::Unavailable,
    };
    let text = format!(
        "the journal `{}` cannot be read, so nothing is known: {problem}; `rekeyd diagnose` looks at what is in its way",
        path.display()
    );
    fail(exit, &text)
}

async fn engine(common: &Common) -> Result<Arc<Engine>, Exit> {
    is_admitted(common).await?;
    let loaded = check::load(common)?;
    let journal = journal(&loaded.config.daemon)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = Arc::new(Metrics::new());
    let Assembly { units, .. } = assembly::assemble(&loaded.config, &metrics, &clock)
        .map_err(|problem| fail(Exit::Config, &format!("{problem}; `rekeyd check-config` reads it again")))?;
    let settings = Settings {
        holder: "reader".to_owned(),
        lease_life: loaded.config.daemon.lease_life,
        concurrency: loaded.config.daemon.concurrency,
        rules: loaded.config.daemon.rules.clone(),
    };
    let engine = Engine::new(settings, journal, clock, metrics);
    let unusable = |problem| format!("the journal cannot be used: {problem}; `rekeyd diagnose` looks at it");
    engine.start(units).await.map_err(|problem| fail(Exit::Failed, &unusable(problem)))?;
    Ok(engine)
}

pub(super) async fn views(common: &Common) -> Result<Vec<View>, Exit> {
    Ok(engine(common).await?.views())
}

pub(super) async fn status(common: &Common) -> Result<Status, Exit> {
    let engine = engine(common).await?;
    notice(common);
    let mut status = Status::of(&engine, SystemClock::new().now());
    status.daemon = String::new();
    status.cis = CisStatus::remembered(&check::load(common)?.config, status.at);
    Ok(status)
}

/// The credentials that `which` means.
fn meant(engine: &Engine, which: &Which) -> Vec<CredentialId> {
    let ids = engine.views().into_iter().map(|view| view.credential);
    ids.filter(|id| which.matches(id)).collect()
}

pub(super) async fn plans(common: &Common, which: &Which) -> Result<Vec<PlanStatus>, Exit> {
    let engine = engine(common).await?;
    notice(common);
    let mut plans = Vec::new();
    for id in meant(&engine, which) {
        plans.extend(engine.peek_at(&id).await.map(|peek| PlanStatus::of(&id, &peek)));
    }
    Ok(plans)
}

pub(super) async fn probe(common: &Common, which: &Which) -> Result<Vec<Probing>, Exit> {
    let engine = engine(common).await?;
    notice(common);
    let mut probed = Vec::new();
    for id in meant(&engine, which) {
        probed.extend(engine.probe(&id).await.map(|tried| Probing::of(&id, &tried)));
    }
    Ok(probed)
}

/// Which of the configured sources work.
pub(super) async fn probe_sources(common: &Common) -> Result<Vec<SourceProbe>, Exit> {
    let (config, http) = way_out(common)?;
    let mut probes = Vec::new();
    for section in &config.daemon.cis {
        probes.push(SourceProbe::of(&http, section).await);
    }
    Ok(probes)
}

/// What nobody manages, looked at now.
pub(super) async fn discover(common: &Common) -> Result<Discovery, Exit> {
    let engine = engine(common).await?;
    let (config, http) = way_out(common)?;
    notice(common);
    let accounts = unmanaged::accounts_alone(&config, &http).await;
    let mut views = engine.views();
    for view in &mut views {
        if let Some(peek) = engine.peek_at(&view.credential).await {
            view.observation = Some(Arc::new(peek.observation));
        }
    }
    let (keys, unseen) = unmanaged::strays(&views);
    Ok(Discovery { schema: unmanaged::SCHEMA, at: SystemClock::new().now(), accounts, keys, unseen })
}

/// The configuration and the way out alone.
fn way_out(common: &Common) -> Result<(Config, Arc<Http>), Exit> {
    let config = check::load(common)?.config;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let http = assembly::http(&config.daemon, &Arc::new(Metrics::new()), &clock)
        .map_err(|problem| fail(Exit::Config, &format!("{problem}; `rekeyd check-config` reads it again")))?;
    Ok((config, http))
}

pub(super) async fn forecast(common: &Common, which: &Which, until: Timestamp) -> Result<Forecast, Exit> {
    let engine = engine(common).await?;
    notice(common);
    // Where no daemon has looked yet, this looks itself.
    let unknown =
        engine.views().into_iter().filter(|view| view.record.is_none() && which.matches(&view.credential));
    for view in unknown {
        engine.presume(&view.credential).await;
    }
    Ok(engine.forecast(until))
}

pub(super) async fn entries(common: &Common, after: u64) -> Result<Vec<Entry>, Exit> {
    is_admitted(common).await?;
    let daemon = check::load_daemon(common)?;
    let entries = journal(&daemon)?.read(None, after).await;
    let entries = entries.map_err(|problem| unreadable(&assembly::journal_path(&daemon), &problem))?;
    notice(common);
    Ok(entries)
}

/// What the journal tells of `tenant`; nothing where it cannot be read.
pub(super) async fn told_of(common: &Common, tenant: &TenantId) -> Vec<Entry> {
    let Ok(daemon) = load_daemon(&common.config, &crate::daemon::environment()) else { return Vec::new() };
    let path = assembly::journal_path(&daemon);
    let Some(journal) = path.exists().then(|| SqliteJournal::open_read_only(&path)) else {
        return Vec::new();
    };
    let Ok(journal) = journal else { return Vec::new() };
    journal.read(Some(tenant), 0).await.unwrap_or_default()
}

pub(super) async fn verify(common: &Common) -> Result<u64, Exit> {
    let verified = journal(&check::load_daemon(common)?)?.verify().await;
    let whole = |problem| format!("{problem}; `rekeyd history` shows what can still be read");
    verified.map_err(|problem| fail(Exit::Failed, &whole(problem)))
}
