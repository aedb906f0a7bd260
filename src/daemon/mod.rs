//! Staying alive: from the first signal handler to the last lease given back.
//!
//! The life of the daemon is [`run`], read from top to bottom. A trigger wakes the engine and carries no data; a
//! refused reload changes nothing; a stop takes no more steps, waits for the calls in flight and leaves the rest to
//! the journal.

pub mod assembly;
mod cloud_alm;
mod consequences;
pub mod control;
mod discovery;
mod door;
pub mod fleet_status;
pub mod gates;
mod listen;
pub mod notify;
mod once;
mod opening;
pub mod probing;
pub mod protocol;
mod reload;
pub mod report;
mod sections;
mod showing;
mod silent;
mod sinks;
mod steps;
mod summary;
mod telemetry;
pub mod triggers;
pub mod unmanaged;
pub mod web;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::{Clock, SystemClock};
use crate::config::daemon::Usr1;
use crate::config::environment::Environment;
use crate::config::problem::Problem;
use crate::config::{Config, Loaded};
use crate::domain::event::Trigger;
use crate::domain::fleet::Pass;
use crate::domain::{Timestamp, between, spelling};
use crate::engine::{Engine, Settings};
use crate::http::Http;
use crate::logging::Filter;
use crate::metrics::Metrics;
use assembly::Assembly;
use summary::Digest;
use triggers::{Metronome, Signals, TICK, Wake};

/// What `rekeyd run` was told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// The control socket, where it is not the configured one.
    pub socket: Option<PathBuf>,
    /// One round only.
    pub once: bool,
}

/// Why the daemon cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(String),
    /// Something may not be opened.
    #[error("{0}")]
    Permission(String),
    /// Only a person can go on: starting again would find the same.
    #[error("{0}")]
    Person(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// How the daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told to, or its one round is over.
    Stopped,
    /// Its one round is over, and a person is needed.
    NeedsPerson,
    /// Its one round is over, and something could not be seen.
    Incomplete,
    /// The journal could not be written at the end: nothing was done that is not in it.
    Unwritten,
}

/// The running daemon.
pub struct Daemon {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    options: Options,
    config: Mutex<Config>,
    http: Arc<Http>,
    filter: Filter,
    reloading: tokio::sync::Mutex<()>,
    last_turn: AtomicU64,
    stopping: AtomicBool,
    reload_refused: AtomicBool,
    warnings: Mutex<Vec<Problem>>,
    discoveries: discovery::Discoveries,
}

/// Calls in flight are given this long at a stop; the unit's own limit is 45 s.
const STOP_LIMIT: Duration = Duration::from_secs(35);

/// systemd is not told a new status more often than this: it looks at everybody.
const STATUS_PAUSE: Duration = Duration::from_secs(5);

/// The life of the daemon.
pub async fn run(options: Options, loaded: Loaded, signals: Signals) -> Result<End, Fatal> {
    let metrics = Arc::new(Metrics::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (filter, traces) = telemetry::start(&loaded.config, &metrics, &clock)?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let daemon = raise(options, loaded, metrics, filter, Arc::clone(&clock)).await?;
    let end = if daemon.options.once {
        Ok(once::round(&daemon, signals).await)
    } else {
        stay(&daemon, signals).await
    };
    traces.finish(clock.as_ref()).await;
    end
}

/// From ready to stopped.
async fn stay(daemon: &Arc<Daemon>, signals: Signals) -> Result<End, Fatal> {
    let servers = CancellationToken::new();
    let _unlink = listen::serve(daemon, &servers).await?;
    let sinks = tokio::spawn(sinks::tell_all(Arc::clone(daemon), servers.child_token()));
    let sources = tokio::spawn(discovery::watch_all(Arc::clone(daemon), servers.child_token()));
    let metronome = Metronome::start()
        .await
        .map_err(|problem| Fatal::Other(format!("the scheduler cannot start: {problem}")))?;
    notify::ready(&daemon.summary());
    info!("rekeyd {} is ready: {}", env!("CARGO_PKG_VERSION"), daemon.summary());
    daemon.metrics.triggered(Trigger::Recovery);
    turn(daemon, metronome, signals).await;
    servers.cancel();
    // A message on its way is not waited for: it is told again.
    sinks.abort();
    sources.abort();
    info!("stopped; what is under way goes on at the next start");
    Ok(if unwritten(&daemon.engine) { End::Unwritten } else { End::Stopped })
}

/// Journal, adapters and engine.
async fn raise(
    options: Options,
    Loaded { config, warnings }: Loaded,
    metrics: Arc<Metrics>,
    filter: Filter,
    clock: Arc<dyn Clock>,
) -> Result<Arc<Daemon>, Fatal> {
    let path = assembly::journal_path(&config.daemon);
    // Unique for each start.
    let holder =
        format!("{}-{}-{:08x}", config.daemon.instance, std::process::id(), clock.nonce() & 0xffff_ffff);
    let journal = opening::open(&path, &holder, clock.now()).await?;
    let Assembly { units, http } = assembly::assemble(&config, &metrics, &clock)
        .map_err(|problem| Fatal::Config(problem.to_string()))?;
    let settings = Settings {
        holder,
        lease_life: config.daemon.lease_life,
        concurrency: config.daemon.concurrency,
        rules: config.daemon.rules.clone(),
    };
    let engine = Engine::new(settings, Arc::new(journal), Arc::clone(&clock), Arc::clone(&metrics));
    for unit in &units {
        metrics.know_credential(&unit.policy.credential);
    }
    let left = engine.start(units).await.map_err(|problem| opening::unusable(&path, &problem))?;
    for record in left {
        let id = &record.credential;
        warn!(
            "`{id}` has a rotation under way (`{}`) and is not configured: put its configuration back",
            record.phase()
        );
    }
    for view in engine.views() {
        if let Some(record) =
            view.record.filter(|record| record.stage.phase() != crate::domain::stage::Phase::Settled)
        {
            metrics.recovered(&record);
            info!("`{}` goes on where it was: `{}`", record.credential, record.phase());
        }
    }
    metrics.started(clock.now());
    metrics.reloaded(clock.now(), true);
    metrics.tell(assembly::detail(&config.daemon));
    let daemon = Daemon {
        engine,
        metrics,
        options,
        config: Mutex::new(config),
        http,
        filter,
        reloading: tokio::sync::Mutex::new(()),
        last_turn: AtomicU64::new(0),
        stopping: AtomicBool::new(false),
        reload_refused: AtomicBool::new(false),
        warnings: Mutex::new(warnings),
        discoveries: discovery::Discoveries::default(),
        clock,
    };
    daemon.turned();
    Ok(Arc::new(daemon))
}

/// Whether the last walk of anybody was stopped by the journal.
fn unwritten(engine: &Engine) -> bool {
    engine.views().iter().any(|view| view.stopped.is_some())
}

/// The main loop: whatever comes, wake what is due, and say that the loop moves.
async fn turn(daemon: &Arc<Daemon>, mut metronome: Metronome, mut signals: Signals) {
    let longest = notify::watchdog().map_or(TICK, |pause| pause.min(TICK));
    let mut told = daemon.clock.monotonic();
    let mut digest = Digest::new(daemon.clock.now());
    loop {
        daemon.turned();
        notify::alive();
        daemon.digest(&mut digest);
        if daemon.clock.monotonic().saturating_sub(told) >= STATUS_PAUSE {
            notify::status(&daemon.summary());
            told = daemon.clock.monotonic();
        }
        let now = daemon.clock.now();
        daemon.engine.wake_due(now);
        let nap = daemon.engine.until_due(now, longest);
        let wake = tokio::select! {
            wake = signals.next() => Some(wake),
            () = metronome.tick() => Some(Wake::Tick),
            () = daemon.engine.rested() => None,
            () = daemon.clock.sleep(nap) => None,
        };
        match wake {
            None => {}
            Some(Wake::Tick) => daemon.ticked(),
            Some(Wake::Push) => daemon.push(),
            Some(Wake::Dump) => daemon.dump(),
            Some(Wake::Reload) => {
                // What is wrong with it is logged and counted.
                let _ = daemon.reload().await;
            }
            Some(Wake::Stop) => return daemon.stop(&mut signals).await,
        }
    }
}

impl Daemon {
    fn turned(&self) {
        let now = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        self.last_turn.store(now, Ordering::Relaxed);
    }

    /// How long the main loop has stood still.
    pub fn since_last_turn(&self) -> Duration {
        let last = Duration::from_millis(self.last_turn.load(Ordering::Relaxed));
        self.clock.monotonic().saturating_sub(last)
    }

    /// Whether the daemon is on its way out.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn ticked(&self) {
        let now = self.clock.now();
        let minute = Timestamp::from_timestamp(now.timestamp() / 60 * 60, 0).unwrap_or(now);
        self.metrics.ticked(now, between(minute, now));
    }

    fn push(self: &Arc<Self>) {
        self.metrics.triggered(Trigger::Signal);
        let usage = self.config.lock().expect("no holder of the lock panics").daemon.usr1;
        match usage {
            Usr1::Due => {
                let woken = self.engine.push();
                let many = spelling::many(woken.walkers, "credential is", "credentials are");
                info!("SIGUSR1: {many} looked at now, and what is due is rotated");
            }
            Usr1::All => {
                let engine = Arc::clone(&self.engine);
                tokio::spawn(async move {
                    let taken = engine.wish_all(false, Trigger::Signal, "SIGUSR1", Pass::default()).await;
                    let many = spelling::many(taken.asked, "credential is", "credentials are");
                    info!("SIGUSR1: {many} asked to rotate");
                });
            }
            Usr1::Ignore => info!("SIGUSR1 is ignored, as configured"),
        }
    }

    fn dump(&self) {
        info!("{}", self.summary());
        for status in self.statuses() {
            let reason = status.reason.unwrap_or_default();
            info!("`{}`: {}, evidence {}, {reason}", status.credential, status.phase, status.evidence);
        }
    }

    async fn stop(&self, signals: &mut Signals) {
        self.stopping.store(true, Ordering::Relaxed);
        notify::stopping();
        info!("stopping: calls in flight are finished, no step is begun");
        tokio::select! {
            () = self.engine.stop() => {}
            () = self.clock.sleep(STOP_LIMIT) => {
                warn!("a call took too long and is given up; the journal knows where to go on");
            }
            () = told_to_stop(signals) => warn!("told twice: stopping at once; the journal knows where to go on"),
        }
    }
}

/// The environment of the process.
pub fn environment() -> Environment {
    // What is not text cannot be a key or a secret of ours.
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Waits for SIGTERM or SIGINT, and lets every other signal pass.
async fn told_to_stop(signals: &mut Signals) {
    while signals.next().await != Wake::Stop {}
}
