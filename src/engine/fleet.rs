//! The turnstile before every rotation: one at a time asks the fleet, and what it answers is journalled first.
//!
//! The fleet has a stream of its own in the journal, with a lease of its own: of two instances only one admits at a
//! time, and one that was paused for longer than its lease is refused by its fencing number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::barrier::{first_closed, turned_away, wait_for};
use super::desk::{Hand, WishError};
use super::{Engine, Unit, tell};
use crate::domain::event::{Entry, Event};
use crate::domain::fleet::{self, Candidate, Fleet, FleetEvent, Rules};
use crate::domain::names::CredentialId;
use crate::domain::plan::{Plan, Step, window_end};
use crate::domain::policy::Policy;
use crate::domain::proof::Gate;
use crate::domain::record::Record;
use crate::domain::{Timestamp, after};
use crate::ports::{Draft, JournalError, Lease};

/// How urgent one is that waits: emergencies first, then by the end of the window, then by name.
pub(super) type Urgency = (bool, Timestamp, CredentialId);

/// Where everybody passes who wants to begin.
#[derive(Default)]
pub(super) struct Turnstile {
    /// The fleet as far as the journal was read.
    fleet: tokio::sync::Mutex<(Fleet, Option<Lease>)>,
    /// Who waits for the fleet, and not for a window.
    waiting: Mutex<BTreeMap<CredentialId, Urgency>>,
    /// Who was woken and may want to begin once it has looked.
    pub(super) expected: Mutex<BTreeMap<CredentialId, Urgency>>,
    /// What was last known, for people and metrics.
    pub(super) view: Mutex<Arc<Fleet>>,
}

pub(super) const UNPOISONED: &str = "no holder of the lock panics";

impl Turnstile {
    pub(super) async fn start(&self, entries: &[Entry]) {
        let fleet = Fleet::fold(entries);
        *self.view.lock().expect(UNPOISONED) = Arc::new(fleet.clone());
        self.fleet.lock().await.0 = fleet;
    }

    fn wait(&self, id: &CredentialId, urgency: Urgency) {
        self.waiting.lock().expect(UNPOISONED).insert(id.clone(), urgency);
    }

    /// Waits no more, for whatever reason.
    pub(super) fn leave(&self, id: &CredentialId) {
        self.waiting.lock().expect(UNPOISONED).remove(id);
    }

    /// Who is not chosen waits no more.
    pub(super) fn keep(&self, chosen: impl Fn(&CredentialId) -> bool) {
        self.waiting.lock().expect(UNPOISONED).retain(|id, _| chosen(id));
    }

    fn ahead_of(&self, urgency: &Urgency) -> usize {
        let waiting = self.waiting.lock().expect(UNPOISONED);
        let expected = self.expected.lock().expect(UNPOISONED);
        let only_expected = expected.iter().filter(|(id, _)| **id != urgency.2 && !waiting.contains_key(*id));
        let ahead = |other: &&Urgency| *other < urgency;
        waiting.values().filter(ahead).count() + only_expected.map(|(_, other)| other).filter(ahead).count()
    }

    pub(super) fn most_urgent(&self, many: usize) -> Vec<CredentialId> {
        let mut waiting: Vec<Urgency> = self.waiting.lock().expect(UNPOISONED).values().cloned().collect();
        waiting.sort_unstable();
        waiting.into_iter().take(many).map(|(.., id)| id).collect()
    }
}

impl Engine {
    /// Takes new rules over.
    pub fn set_rules(&self, rules: Rules) {
        *self.rules.write().expect(UNPOISONED) = Arc::new(rules);
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().expect(UNPOISONED))
    }

    pub(super) fn size(&self) -> usize {
        self.desks.read().expect(UNPOISONED).len()
    }

    /// Asks the fleet about a plan: one that begins becomes a rest where the fleet does not let it.
    pub(super) async fn moderate(&self, unit: &Unit, hand: &Hand, plan: Plan) -> Result<Plan, JournalError> {
        let id = &unit.policy.credential;
        if let (Step::Begin { .. }, Some(record)) = (&plan.step, &hand.record) {
            // Several ask at once: those behind see in what order.
            self.expect_as(id, urgency_of(&unit.policy, record));
            let answer = self.ask_fleet(unit, record, plan).await;
            self.expect_no_more(id);
            return answer;
        }
        if plan.step == Step::Rest {
            // Any other step comes before it is known whether it begins.
            self.expect_no_more(id);
        }
        self.turnstile.leave(id);
        Ok(plan)
    }

    async fn ask_fleet(&self, unit: &Unit, record: &Record, plan: Plan) -> Result<Plan, JournalError> {
        let mut turnstile = self.turnstile.fleet.lock().await;
        let (fleet, lease) = &mut *turnstile;
        let now = self.clock.now();
        if !self.hold_turnstile(lease).await? {
            self.turnstile.leave(&unit.policy.credential);
            let text = "another instance asks the fleet just now".to_owned();
            return Ok(wait_for(now, "fleet-busy", text, Some(after(now, self.settings.lease_life))));
        }
        self.catch_up(fleet).await?;
        self.raise_alarm(fleet, lease).await?;
        let rules = self.rules();
        if fleet.is_admitted(&unit.policy.credential, now) && fleet.halt.is_none() {
            // Admitted before a crash: it is not counted twice.
            return Ok(plan);
        }
        let candidate = self.candidate(unit, record, now);
        match fleet::admit(&rules, fleet, &candidate, now) {
            Ok(admission) => {
                let event = FleetEvent::Admitted {
                    credential: unit.policy.credential.clone(),
                    pass: candidate.pass,
                    window_overridden: admission.window_overridden,
                    release: rules.release.clone(),
                };
                self.write_fleet(fleet, lease, event).await?;
                self.turnstile.leave(&unit.policy.credential);
                Ok(plan)
            }
            Err(gates) => {
                let gates = self.with_names(fleet, gates, now);
                Ok(self.turn_away(unit, record, &gates, fleet.halt.is_some(), now))
            }
        }
    }

    pub(super) fn candidate<'a>(&self, unit: &'a Unit, record: &Record, now: Timestamp) -> Candidate<'a> {
        let ends_at = window_end(&unit.policy, record.stage.in_use()).ok().flatten();
        let pass = record.asked.as_ref().map(|asked| asked.pass).unwrap_or_default();
        Candidate {
            credential: &unit.policy.credential,
            ends_at,
            pass,
            soak: unit.policy.soak,
            opening: (unit.maintenance)(now),
            ahead: self.turnstile.ahead_of(&urgency_of(&unit.policy, record)),
            size: self.size(),
        }
    }

    fn turn_away(&self, unit: &Unit, record: &Record, gates: &[Gate], halted: bool, now: Timestamp) -> Plan {
        let id = &unit.policy.credential;
        if first_closed(gates).name == "maintenance window" {
            self.turnstile.leave(id);
        } else {
            self.turnstile.wait(id, urgency_of(&unit.policy, record));
        }
        turned_away(record, gates, halted, now)
    }

    /// Every gate before this credential may begin, for people: nothing is written.
    pub(super) fn fleet_gates(&self, unit: &Unit, record: &Record, now: Timestamp) -> Vec<Gate> {
        let fleet = Arc::clone(&self.turnstile.view.lock().expect(UNPOISONED));
        let gates = fleet::gates(&self.rules(), &fleet, &self.candidate(unit, record, now), now);
        self.with_names(&fleet, gates, now)
    }

    /// Ends the halt of the fleet. Returns when that is on disk.
    pub async fn resume_fleet(self: &Arc<Self>, reason: &str) -> Result<(), WishError> {
        let id = CredentialId::fleet();
        let mut turnstile = self.turnstile.fleet.lock().await;
        let (fleet, lease) = &mut *turnstile;
        if !self.hold_turnstile(lease).await? {
            return Err(WishError::Busy(id));
        }
        self.catch_up(fleet).await?;
        if fleet.halt.is_none() {
            return Err(WishError::Refused {
                credential: id,
                why:
                    "the fleet is not halted, so there is nothing to end: `rekeyd status` shows how it stands"
                        .to_owned(),
            });
        }
        self.write_fleet(fleet, lease, FleetEvent::Resumed { reason: reason.to_owned() }).await?;
        drop(turnstile);
        self.wake_waiting(usize::MAX);
        Ok(())
    }

    /// Something happened that may let others begin, or must stop them.
    pub(super) async fn heed(self: &Arc<Self>) {
        match self.is_halted_now().await {
            Ok(true) => {}
            Ok(false) => self.wake_waiting(self.rules().rotations_at_once),
            // Nobody begins without asking again.
            Err(problem) => tracing::warn!(%problem, "the fleet could not be asked"),
        }
    }

    async fn is_halted_now(&self) -> Result<bool, JournalError> {
        let mut turnstile = self.turnstile.fleet.lock().await;
        let (fleet, lease) = &mut *turnstile;
        if self.hold_turnstile(lease).await? {
            self.catch_up(fleet).await?;
            self.raise_alarm(fleet, lease).await?;
        }
        Ok(fleet.halt.is_some())
    }

    fn wake_waiting(self: &Arc<Self>, many: usize) {
        for id in self.turnstile.most_urgent(many) {
            if let Some(desk) = self.desk(&id) {
                self.wake_one(&desk, false);
            }
        }
    }

    async fn raise_alarm(&self, fleet: &mut Fleet, lease: &mut Option<Lease>) -> Result<(), JournalError> {
        let Some(reason) = fleet.alarm(&self.rules(), self.size(), self.clock.now()) else { return Ok(()) };
        self.write_fleet(fleet, lease, FleetEvent::Halted(reason)).await
    }

    async fn write_fleet(
        &self,
        fleet: &mut Fleet,
        lease: &mut Option<Lease>,
        event: FleetEvent,
    ) -> Result<(), JournalError> {
        let held = lease.as_ref().expect("who writes for the fleet holds its lease");
        let draft = Draft {
            at: self.clock.now(),
            credential: CredentialId::fleet(),
            follows: fleet.sequence,
            event: Event::Fleet(event),
        };
        let entry = match self.journal.append(held, draft).await {
            Ok(entry) => entry,
            Err(problem) => {
                // Another instance may have it by now.
                *lease = None;
                return Err(problem);
            }
        };
        tell::tell_fleet(&entry);
        if let Event::Fleet(event) = &entry.event {
            self.metrics.count_fleet(event);
        }
        // The next look reads it with everything else, in the order of the journal.
        self.catch_up(fleet).await
    }

    async fn catch_up(&self, fleet: &mut Fleet) -> Result<(), JournalError> {
        let news = self.journal.read(None, fleet.read).await?;
        if news.is_empty() {
            return Ok(());
        }
        for entry in &news {
            fleet.apply(entry);
        }
        *self.turnstile.view.lock().expect(UNPOISONED) = Arc::new(fleet.clone());
        Ok(())
    }

    async fn hold_turnstile(&self, lease: &mut Option<Lease>) -> Result<bool, JournalError> {
        let now = self.clock.now();
        let life = self.settings.lease_life;
        if lease.as_ref().is_some_and(|lease| after(now, life / 2) < lease.until) {
            return Ok(true);
        }
        let tenant = CredentialId::fleet().tenant;
        *lease = self.journal.acquire(&tenant, &self.settings.holder, now, life).await?;
        Ok(lease.is_some())
    }

    /// Gives the fleet's lease back.
    pub(super) async fn leave_turnstile(&self) {
        let lease = self.turnstile.fleet.lock().await.1.take();
        if let Some(lease) = lease
            && let Err(problem) = self.journal.release(&lease).await
        {
            tracing::debug!(%problem, "the fleet's lease was not given back: it ends by itself");
        }
    }
}

pub(super) fn urgency_of(policy: &Policy, record: &Record) -> Urgency {
    let ends_at = window_end(policy, record.stage.in_use()).ok().flatten();
    let pass = record.asked.as_ref().map(|asked| asked.pass).unwrap_or_default();
    (!pass.emergency, ends_at.unwrap_or(Timestamp::MAX_UTC), policy.credential.clone())
}
