//! What the pages for people are told: the same status, forecast and journal that the commands are told over the control
//! socket, with nothing asked of SAP.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::Months;
use tokio::task::spawn_blocking;

use super::Daemon;
use super::fleet_status::FleetStatus;
use super::gates::GateStatus;
use super::report::{CredentialStatus, HaltStatus, KeyStatus};
use super::unmanaged::CisStatus;
use crate::domain::Timestamp;
use crate::domain::event::{Entry, Event};
use crate::domain::forecast::Forecast;
use crate::domain::names::{CredentialId, TenantId};
use crate::domain::observation::Observation;
use crate::domain::spelling;
use crate::domain::story::Teller as Story;
use crate::domain::view::View;
use crate::page::model::{Account, Board, Credential, Fleet, Halt, Key, Row, Teller, Tenant, Told};
use crate::page::{MONTHS, Source};

/// Older than this, the last turn means that the main loop stands still.
pub(super) const STALLED: Duration = Duration::from_mins(5);

/// What happened last: sentences on the page of the fleet, and on that of a tenant.
const TOLD: usize = 12;
const TOLD_OF_TENANT: usize = 100;

/// Entries that are read to tell the last ones: a rotation has fewer.
const READ: usize = 500;

/// How long a page waits for a forecast; one that takes longer is shown the next time.
const PATIENCE: Duration = Duration::from_secs(2);

/// A forecast is kept so many times as long as it took, so that it never takes more than a twentieth of a processor.
const KEPT: u32 = 20;
const KEPT_AT_LEAST: Duration = Duration::from_secs(2);

/// The daemon, as the pages see it.
pub(super) struct Showing {
    daemon: Arc<Daemon>,
    calendars: Arc<Calendars>,
}

/// The last forecast.
#[derive(Default)]
struct Calendars {
    /// With the moment, of the monotonic clock, until which it is new enough.
    last: Mutex<Option<(Arc<Forecast>, Duration)>>,
    /// Whoever makes a new one holds it.
    turn: tokio::sync::Mutex<()>,
}

impl Showing {
    pub(super) fn of(daemon: Arc<Daemon>) -> Self {
        Self { daemon, calendars: Arc::default() }
    }

    /// What comes; an older one, or none, where a new one takes too long.
    async fn calendar(&self) -> Option<Arc<Forecast>> {
        let (daemon, calendars) = (Arc::clone(&self.daemon), Arc::clone(&self.calendars));
        let made = tokio::spawn(async move { calendars.renew(daemon).await });
        tokio::select! {
            _ = made => {}
            () = self.daemon.clock.sleep(PATIENCE) => {}
        }
        self.calendars
            .last
            .lock()
            .expect("no holder of the lock panics")
            .as_ref()
            .map(|(last, _)| Arc::clone(last))
    }

    /// The last things that happened, the newest first; `None` where the journal cannot be read.
    async fn told(&self) -> Option<Vec<Told>> {
        let journal = self.daemon.engine.journal();
        let last = journal.recent(None, TOLD).await.ok()?;
        let wanted: BTreeSet<u64> = last.iter().map(|entry| entry.sequence).collect();
        let tenants: BTreeSet<&TenantId> = last.iter().map(|entry| &entry.credential.tenant).collect();
        let mut told = Vec::new();
        // How an entry is told depends on those before it of the same credential.
        for tenant in tenants {
            let entries = journal.recent(Some(tenant), READ).await.ok()?;
            told.extend(tell(&entries).filter(|(sequence, _)| wanted.contains(sequence)));
        }
        told.sort_by_key(|(sequence, _)| std::cmp::Reverse(*sequence));
        Some(told.into_iter().map(|(_, told)| told).collect())
    }

    async fn no_such(&self, name: &str) -> String {
        if let Ok(tenant) = name.parse::<TenantId>() {
            let entries = self.daemon.engine.journal().recent(Some(&tenant), 1).await.unwrap_or_default();
            if entries.iter().any(|entry| !entry.credential.is_fleet()) {
                return spelling::removed(name);
            }
        }
        let views = self.daemon.engine.views();
        spelling::no_such(name, views.iter().map(|view| &view.credential))
    }
}

impl Calendars {
    async fn renew(&self, daemon: Arc<Daemon>) {
        let _turn = self.turn.lock().await;
        let began = daemon.clock.monotonic();
        let is_new = |until: Duration| began < until;
        if self
            .last
            .lock()
            .expect("no holder of the lock panics")
            .as_ref()
            .is_some_and(|(_, until)| is_new(*until))
        {
            return;
        }
        let now = daemon.clock.now();
        let until = now.checked_add_months(Months::new(MONTHS)).expect("two years from now exist");
        let engine = Arc::clone(&daemon.engine);
        let Ok(forecast) = spawn_blocking(move || engine.forecast(until)).await else { return };
        let ended = daemon.clock.monotonic();
        let kept = (ended.saturating_sub(began) * KEPT).max(KEPT_AT_LEAST);
        *self.last.lock().expect("no holder of the lock panics") = Some((Arc::new(forecast), ended + kept));
    }
}

#[async_trait]
impl Source for Showing {
    fn asked(&self) {
        self.daemon.metrics.asked("page");
    }

    fn daemon(&self) -> Teller {
        self.daemon.teller()
    }

    async fn board(&self) -> Option<Board> {
        let (calendar, told) = (self.calendar().await, self.told().await);
        let daemon = Arc::clone(&self.daemon);
        let made = spawn_blocking(move || {
            let (teller, engine) = (daemon.teller(), &daemon.engine);
            let fleet = fleet(FleetStatus::of(engine, teller.at));
            let is_halted = fleet.halt.is_some();
            let rows = engine.views_by_now().iter().map(|view| row(view, is_halted, teller.at).0).collect();
            let accounts = daemon.seen_accounts().into_iter().map(|cis| account(cis, teller.at)).collect();
            Board { daemon: teller, fleet, rows, accounts, calendar, told }
        });
        // At the end of the process it is not begun any more.
        made.await.ok()
    }

    async fn tenant(&self, name: &str) -> Result<Tenant, String> {
        let (teller, engine) = (self.daemon.teller(), &self.daemon.engine);
        let mine = |view: &View| view.credential.tenant.as_str() == name;
        let views: Vec<View> = engine.views_by_now().into_iter().filter(mine).collect();
        let Some(tenant) = views.first().map(|view| view.credential.tenant.clone()) else {
            return Err(self.no_such(name).await);
        };
        let calendar = self.calendar().await;
        let entries = engine.journal().recent(Some(&tenant), READ).await.ok();
        let told = entries.as_deref().map(|entries| {
            let mut told: Vec<Told> = tell(entries).map(|(_, told)| told).collect();
            told.reverse();
            told.truncate(TOLD_OF_TENANT);
            told
        });
        let entries = entries.unwrap_or_default();
        let fleet = fleet(FleetStatus::of(engine, teller.at));
        let full = |view: &View| credential(&self.daemon, view, fleet.halt.is_some(), &entries, teller.at);
        let credentials = views.iter().map(full).collect();
        Ok(Tenant { daemon: teller, fleet, tenant, credentials, calendar, told })
    }
}

impl Daemon {
    fn teller(&self) -> Teller {
        Teller {
            at: self.clock.now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.instance(),
            is_stopping: self.is_stopping(),
            stands_still: Some(self.since_last_turn()).filter(|still| *still > STALLED),
            reload_refused: self.reload_refused.load(std::sync::atomic::Ordering::Relaxed),
        }
    }
}

/// Every entry as a sentence, with its number.
fn tell(entries: &[Entry]) -> impl Iterator<Item = (u64, Told)> {
    let mut story = Story::default();
    entries.iter().map(move |entry| {
        let credential = Some(entry.credential.clone()).filter(|id| !id.is_fleet());
        (entry.sequence, Told { at: entry.at, credential, text: story.tell(entry) })
    })
}

fn halt(halt: HaltStatus) -> Halt {
    Halt { reason: halt.reason, remedy: halt.remedy, since: halt.since }
}

fn fleet(status: FleetStatus) -> Fleet {
    Fleet {
        halt: status.halt.map(halt),
        failed: status
            .failed
            .into_iter()
            .map(|failed| (failed.credential, failed.at, failed.cause))
            .collect(),
        share: status.share_text,
        fuse_used: status.fuse_used,
        fuse_limit: status.fuse_limit,
        fuse_opens_at: status.fuse_opens_at,
        waiting: status.waiting.len(),
        waiting_due: status.waiting_due,
        emergency: status.emergency.map(|emergency| (emergency.remaining, emergency.ends_at)),
    }
}

fn account(cis: CisStatus, now: Timestamp) -> Account {
    Account {
        name: cis.name,
        uncovered: cis.uncovered,
        failure: cis.failure,
        key_due_since: cis.key_due_at.filter(|due| *due <= now),
    }
}

/// A credential in a line, and the status that it is made from.
fn row(view: &View, is_halted: bool, now: Timestamp) -> (Row, CredentialStatus) {
    let mut status = CredentialStatus::of(view, is_halted, now);
    let row = Row {
        credential: status.credential.clone(),
        phase: status.phase.clone(),
        stage: status.stage.clone(),
        since: status.since,
        made_at: status.in_use.values().filter_map(|key| key.created_at).min(),
        due_at: status.due_at,
        ends_at: status.ends_at,
        evidence: status.evidence,
        evidence_required: status.evidence_required,
        soak_ends_at: status.soak_ends_at,
        reason: status.reason.take(),
        person: status.person.take(),
        halt: status.halt.take().map(halt),
        hold: status.hold.take(),
        hold_until: status.hold_until,
        failures: status.failures,
        cause: status.cause.take(),
        checked_at: status.checked_at,
        looked_at: view.rested_at,
        unseen: view.observation.as_deref().and_then(unseen),
        next_look: status.next_look,
        lease_held: view.lease_held,
        turned_back: status.turned_back.clone().filter(|_| status.goes_back),
    };
    (row, status)
}

/// What the last look could not see, where it needed that.
fn unseen(seen: &Observation) -> Option<String> {
    let failures = [
        ("keys", seen.keys.failure()),
        ("status", seen.status.failure()),
        ("content", seen.content.failure()),
    ];
    let failed = failures.into_iter().find_map(|(what, failure)| Some(format!("{what}: {}", failure?)));
    failed.filter(|_| seen.blind > 0)
}

fn credential(
    daemon: &Daemon,
    view: &View,
    is_halted: bool,
    entries: &[Entry],
    now: Timestamp,
) -> Credential {
    let (row, status) = row(view, is_halted, now);
    let id = &row.credential;
    let is_wanted = status.asked.is_some() || row.due_at.is_some_and(|due| due <= now);
    let closed = if is_wanted { daemon.engine.barriers(id) } else { Vec::new() };
    let gates =
        closed.iter().map(|gate| (gate.name.to_owned(), GateStatus::of(gate, id).sentence())).collect();
    let key = |role: String, key: &KeyStatus, in_use| Key {
        role,
        name: key.name.clone(),
        in_use,
        made_at: key.created_at,
        ends_at: key.ends_at,
    };
    let mut keys: Vec<Key> =
        status.in_use.iter().map(|(role, used)| key(role.to_string(), used, true)).collect();
    for (role, others) in &status.others {
        keys.extend(others.iter().map(|other| key(role.to_string(), other, false)));
    }
    Credential {
        generation: status.generation,
        keys,
        consumer: status.consumer,
        asked: status.asked,
        tries_again: status.tries_again.filter(|_| status.turned_back.is_some()),
        last_success_at: status.last_success_at,
        gates,
        reached: reached(entries, id),
        row,
    }
}

/// When each phase of the last rotation of `id` was reached.
fn reached(entries: &[Entry], id: &CredentialId) -> Vec<(String, Timestamp)> {
    let mut reached = Vec::new();
    for entry in entries.iter().filter(|entry| entry.credential == *id) {
        let is_back = reached.iter().any(|(phase, _)| phase == "restoring");
        let phase = match &entry.event {
            Event::Begun { .. } => {
                reached.clear();
                "creating"
            }
            // The last key that is made ends the phase; the page takes the last instant of each.
            Event::Made { .. } => "testing",
            Event::Ready { .. } => "delivering",
            Event::Delivered { .. } if !is_back => "provisioning",
            Event::Proven { .. } => "soaking",
            Event::RetireBegun => "retiring",
            Event::TurnedBack { .. } | Event::SameSecret { .. } => "restoring",
            _ => continue,
        };
        reached.push((phase.to_owned(), entry.at));
    }
    reached
}
