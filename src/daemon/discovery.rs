//! Looking at global accounts, each in a task of its own and at its own pace. The last good answer is kept; an account that
//! cannot be seen delays nobody.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Daemon, sections, unmanaged};
use crate::cis::{Cis, Found};
use crate::config::cis::Cis as Section;
use crate::disk;
use crate::domain::coverage::{Coverage, Tally, coverage};
use crate::domain::failure::{Class, Failure};
use crate::domain::notice::{self, Notice};
use crate::domain::{Timestamp, after, before, spelling};
use crate::http::Http;

/// No look takes longer.
const LIMIT: Duration = Duration::from_mins(2);

/// The first pause after a failure; it doubles up to the account's own pace.
const AGAIN: Duration = Duration::from_mins(5);

/// What is known of the accounts.
#[derive(Default)]
pub(super) struct Discoveries {
    all: Mutex<BTreeMap<String, Seen>>,
    /// Grows with everything that is new.
    turn: AtomicU64,
}

/// What is known of one account.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// What was seen last, and when.
    pub(super) found: Option<(Timestamp, Arc<Found>)>,
    /// Who covers what of it.
    pub(super) coverage: Arc<Coverage>,
    /// Why the last look failed, where it did.
    pub(super) failure: Option<String>,
    /// What is remembered over a restart.
    pub(super) memory: Memory,
}

/// What is remembered of an account over a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    /// What tells the key from others, and gives nothing of it away.
    key: String,
    /// When this key was first seen.
    key_seen_at: Option<Timestamp>,
    /// When the account was last seen whole.
    pub(super) last_success_at: Option<Timestamp>,
}

impl Memory {
    /// What is remembered in `state`, as of `now`. Another key than before is new.
    pub(super) fn read(state: &Path, section: &Section, now: Timestamp) -> Self {
        let read = std::fs::read(path(state, &section.name)).ok();
        let mut memory: Self = read.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let mut key = section.key.sign(b"rekeyd: which key this is");
        key.truncate(16);
        if memory.key != key {
            memory = Self { key, key_seen_at: None, ..memory };
        }
        // A clock that was ahead must not make it younger.
        memory.key_seen_at = Some(memory.key_seen_at.map_or(now, |at| at.min(now)));
        memory
    }

    /// When the key was made, as far as that is known: as the operator says, or when it was first seen.
    pub(super) fn key_made_at(&self, section: &Section) -> Option<Timestamp> {
        section.created.or(section.key.created_at).or(self.key_seen_at)
    }

    /// When the key is due to be replaced.
    pub(super) fn key_due_at(&self, section: &Section) -> Option<Timestamp> {
        let by_age = self.key_made_at(section).map(|made| section.window.end(made));
        let end = [by_age, section.key.valid_until].into_iter().flatten().min()?;
        Some(before(end, section.lead))
    }
}

fn path(state: &Path, name: &str) -> PathBuf {
    state.join("discovery").join(format!("{name}.json"))
}

impl Discoveries {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the account of this name.
    pub(super) fn of(&self, name: &str) -> Option<Seen> {
        self.all().get(name).cloned()
    }

    /// Grows with everything that is new.
    pub(super) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Relaxed)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Seen)) {
        change(self.all().entry(name.to_owned()).or_default());
        self.turn.fetch_add(1, Ordering::Relaxed);
    }
}

/// Looks at every account until `stop`.
pub(super) async fn watch_all(daemon: Arc<Daemon>, stop: CancellationToken) {
    sections::each(&daemon, &stop, Daemon::accounts, watch).await;
}

/// Looks at the accounts whose time has come, for a daemon of one round.
pub(super) async fn round(daemon: &Daemon) {
    for section in daemon.accounts() {
        let last = begin(daemon, &section).await.last_success_at;
        let now = daemon.clock.now();
        // What is written of a time to come was written on a clock that was ahead.
        if last.is_none_or(|last| now < last || now >= after(last, section.every)) {
            daemon.look_at(&section).await;
        }
    }
}

async fn watch(daemon: Arc<Daemon>, section: Section, stop: CancellationToken) {
    begin(&daemon, &section).await;
    let mut failures = 0;
    while !stop.is_cancelled() {
        let is_seen = tokio::select! {
            is_seen = daemon.look_at(&section) => is_seen,
            () = stop.cancelled() => break,
        };
        failures = if is_seen { 0 } else { failures + 1 };
        let pause = if is_seen { section.every } else { again(failures).min(section.every) };
        daemon.nap(&stop, pause).await;
    }
    if !daemon.accounts().iter().any(|known| known.name == section.name) {
        daemon.metrics.forget_source(&section.name);
        daemon.discoveries.all().remove(&section.name);
    }
}

fn again(failures: u32) -> Duration {
    AGAIN.saturating_mul(1 << failures.saturating_sub(1).min(10))
}

/// What is known before the first look. Where nothing is known yet, that the key was seen is written down.
async fn begin(daemon: &Daemon, section: &Section) -> Memory {
    let (state, now) = (daemon.state_dir(), daemon.clock.now());
    let memory = {
        let section = section.clone();
        let read = tokio::task::spawn_blocking(move || Memory::read(&state, &section, now)).await;
        read.unwrap_or_default()
    };
    daemon.metrics.know_source(&section.name);
    if let Some(at) = memory.last_success_at {
        daemon.metrics.discovered(&section.name, at);
    }
    if let Some(due) = memory.key_due_at(section) {
        daemon.metrics.own_key_due(&section.name, due);
    }
    daemon.discoveries.change(&section.name, |seen| seen.memory = memory.clone());
    daemon.remember(section).await;
    memory
}

/// One look, within its limit.
pub(super) async fn look(http: &Arc<Http>, section: &Section) -> Result<Found, Failure> {
    let account = account(http, section)?;
    tokio::select! {
        found = account.look() => found,
        () = http.clock().sleep(LIMIT) => Err(Failure::new(Class::Timeout, "the look took longer than 2 minutes")),
    }
}

/// The account that a section describes.
pub(super) fn account(http: &Arc<Http>, section: &Section) -> Result<Cis, Failure> {
    Cis::new(http, &section.key, &section.locals)
}

impl Daemon {
    /// Looks at an account, and keeps what is seen. Answers whether anything was.
    pub(super) async fn look_at(&self, section: &Section) -> bool {
        let (name, outcome) = (&section.name, look(&self.http, section).await);
        let now = self.clock.now();
        let failed_before = self.discoveries.of(name).is_some_and(|seen| seen.failure.is_some());
        match outcome {
            Err(failure) => {
                self.metrics.discovery_failed(name);
                // Once, and once more when it is well again.
                if !failed_before {
                    warn!(
                        event = "discovery-failed",
                        "cis `{name}` cannot be seen, and is tried again: {failure}"
                    );
                }
                self.discoveries.change(name, |seen| seen.failure = Some(failure.to_string()));
                false
            }
            Ok(found) => {
                let covered = self.cover(section, &found);
                let tally = Tally::of(&covered);
                self.discoveries.change(name, |seen| {
                    seen.found = Some((now, Arc::new(found)));
                    seen.coverage = Arc::new(covered);
                    seen.failure = None;
                    seen.memory.last_success_at = Some(now);
                });
                self.metrics.discovered(name, now);
                self.metrics.covered(name, tally);
                let again = if failed_before { " again" } else { "" };
                info!(
                    event = "discovered",
                    "cis `{name}` is seen{again}: {}, {} with no tenant here, {} unknown",
                    spelling::many(tally.subaccounts, "subaccount", "subaccounts"),
                    tally.uncovered,
                    tally.unknown
                );
                self.remember(section).await;
                true
            }
        }
    }

    /// Holds what was seen against the tenants of now.
    fn cover(&self, section: &Section, found: &Found) -> Coverage {
        let marks = unmanaged::marks(&self.config.lock().expect("no holder of the lock panics"));
        coverage(&found.tree, &found.environments, &section.ignore, &marks)
    }

    /// Does so with what was seen last, for every account: the tenants have changed.
    pub(super) fn reassess(&self) {
        for section in self.accounts() {
            let Some((_, found)) = self.discoveries.of(&section.name).and_then(|seen| seen.found) else {
                continue;
            };
            let covered = self.cover(&section, &found);
            self.metrics.covered(&section.name, Tally::of(&covered));
            self.discoveries.change(&section.name, |seen| seen.coverage = Arc::new(covered));
        }
    }

    async fn remember(&self, section: &Section) {
        let Some(memory) = self.discoveries.of(&section.name).map(|seen| seen.memory) else { return };
        let path = path(&self.state_dir(), &section.name);
        let text = serde_json::to_vec(&memory).expect("it is plain data");
        if let Err(problem) = disk::put(path, text).await {
            warn!("what is known of cis `{}` cannot be written down: {problem}", section.name);
        }
    }

    /// What is told of the accounts.
    pub(super) fn discovery_notices(&self) -> Vec<Notice> {
        let now = self.clock.now();
        let mut notices = Vec::new();
        for section in self.accounts() {
            let Some(seen) = self.discoveries.of(&section.name) else { continue };
            if let Some((_, found)) = &seen.found {
                notices.extend(notice::uncovered(&section.name, &found.tree, &seen.coverage, now));
            }
            let due = seen.memory.key_due_at(&section);
            notices.extend(due.and_then(|due| notice::own_key_due(&section.name, due, now)));
        }
        notices
    }
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
