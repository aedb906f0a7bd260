//! A journal that several instances may share, with a disk that can fail, and what is known of it from outside.
//!
//! It is the product's journal in memory: the same rules for leases, order and hashes. Around it: appends that are
//! refused, appends that are written and reported as failed, and processes that die before or after the write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rekeyd::domain::Timestamp;
use rekeyd::domain::event::{Entry, Event, Trigger, Wish};
use rekeyd::domain::fleet::{Fleet, FleetEvent, Opening};
use rekeyd::domain::fold;
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::key::KeySet;
use rekeyd::domain::names::{CredentialId, TenantId};
use rekeyd::domain::plan::{rotation_due, window_end};
use rekeyd::domain::record::Record;
use rekeyd::domain::stage::{Phase, Stage};
use rekeyd::domain::story;
use rekeyd::journal::memory::MemoryJournal;
use rekeyd::ports::{Draft, Journal, JournalError, Lease};

use super::judge::violation;
use super::ports::Life;
use super::sim::{Sim, World, tenant_of};
use super::time::{DAY, HOUR, Millis, stamp};

/// Keys whose window ends within this time of the beginning came to rekeyd too late.
const GRACE: Millis = 60 * DAY;

/// What one journal says, as it stands on disk.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) memory: MemoryJournal,
    pub(crate) lines: BTreeMap<CredentialId, Line>,
    /// The fleet, folded by the product.
    pub(crate) fleet: Fleet,
    /// When rotations were admitted, by the world's clock, and whether they passed the fuse.
    pub(crate) admissions: Vec<(Millis, bool)>,
}

/// One credential in one journal.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) record: Record,
    /// When the set in use was proven, by the world's clock.
    pub(crate) proven: Millis,
    /// The entry with the last intent to delete.
    pub(crate) delete_sent: u64,
    /// The entry with the last hold.
    pub(crate) hold: u64,
}

impl Line {
    /// The line after `entry`, which was written at `now`.
    fn after(before: Option<Self>, now: Millis, entry: &Entry) -> Result<Self, fold::Misfit> {
        let phase = before.as_ref().map(|line| line.record.stage.phase());
        let (mut proven, mut delete_sent, mut hold) =
            before.as_ref().map_or((0, 0, 0), |line| (line.proven, line.delete_sent, line.hold));
        let record = fold::apply(before.map(|line| line.record), entry)?;
        match &entry.event {
            Event::Proven { .. } if phase != Some(Phase::Retiring) => proven = now,
            Event::DeleteSent { .. } => delete_sent = entry.sequence,
            Event::Wished(Wish::Hold { .. }) => hold = entry.sequence,
            _ => {}
        }
        Ok(Self { record, proven, delete_sent, hold })
    }

    /// Whether a rotation is under way and its fresh keys are not proven.
    fn is_unproven(&self) -> bool {
        let phase = self.record.stage.phase();
        matches!(phase, Phase::Creating | Phase::Testing | Phase::Delivering | Phase::Provisioning)
            && self.record.halt.is_none()
    }
}

impl Store {
    /// The journal as the daemon opens one that was put in its place: it halts every rotation under way.
    pub(crate) async fn doubted(mut self, now: Millis) -> Self {
        let under_way = |line: &&Line| line.record.stage.phase() != Phase::Settled;
        let doubtful: Vec<Record> =
            self.lines.values().filter(under_way).map(|line| line.record.clone()).collect();
        for record in doubtful {
            let (id, at) = (record.credential, stamp(now));
            // By then every lease of before has ended, whatever clock it was taken by.
            let late = stamp(now + 2 * HOUR);
            let lease = self.memory.acquire(&id.tenant, "opening", late, Duration::from_mins(1)).await;
            let lease = lease.unwrap().expect("nobody is there");
            let event = Event::Halted(HaltReason::OldJournal);
            let draft = Draft { at, credential: id.clone(), follows: record.sequence, event };
            let entry = self.memory.append(&lease, draft).await.unwrap();
            self.memory.release(&lease).await.unwrap();
            self.fleet.apply(&entry);
            let line = Line::after(self.lines.remove(&id), now, &entry).unwrap();
            self.lines.insert(id, line);
        }
        self
    }

    /// What stands on disk now, for a backup or a clone.
    pub(crate) fn copy(&self) -> Self {
        Self {
            memory: self.memory.copy(),
            lines: self.lines.clone(),
            fleet: self.fleet.clone(),
            admissions: self.admissions.clone(),
        }
    }
}

/// The journal as one life sees it.
pub(crate) struct HostJournal {
    pub(crate) sim: Arc<Sim>,
    pub(crate) life: Arc<Life>,
    pub(crate) memory: MemoryJournal,
}

/// What becomes of one use of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskFate {
    Fine,
    Refused,
    Lost,
    DiesBefore,
    DiesAfter,
}

fn unavailable() -> JournalError {
    JournalError::Unavailable("the disk failed".to_owned())
}

impl HostJournal {
    /// Whether the disk works just now.
    async fn reach(&self) -> Result<(), JournalError> {
        self.life.gate(&self.sim).await;
        match self.sim.disk(&self.life, false) {
            DiskFate::Refused | DiskFate::Lost => Err(unavailable()),
            _ => Ok(()),
        }
    }
}

#[async_trait::async_trait]
impl Journal for HostJournal {
    async fn append(&self, lease: &Lease, draft: Draft) -> Result<Entry, JournalError> {
        self.life.gate(&self.sim).await;
        let fate = self.sim.disk(&self.life, true);
        if fate == DiskFate::DiesBefore {
            self.life.kill();
        }
        self.life.gate(&self.sim).await;
        if fate == DiskFate::Refused {
            return Err(unavailable());
        }
        let entry = self.memory.append(lease, draft).await?;
        self.sim.world().journalled(&self.life, self.sim.now(), self.life.now(&self.sim), &entry);
        if fate == DiskFate::DiesAfter {
            self.life.kill();
        }
        self.life.gate(&self.sim).await;
        if fate == DiskFate::Lost { Err(unavailable()) } else { Ok(entry) }
    }

    async fn read(&self, tenant: Option<&TenantId>, after: u64) -> Result<Vec<Entry>, JournalError> {
        self.reach().await?;
        self.memory.read(tenant, after).await
    }

    async fn acquire(
        &self,
        tenant: &TenantId,
        holder: &str,
        now: Timestamp,
        life: Duration,
    ) -> Result<Option<Lease>, JournalError> {
        self.reach().await?;
        let lease = self.memory.acquire(tenant, holder, now, life).await?;
        let mut leases = self.life.leases.lock().unwrap();
        match &lease {
            Some(lease) => leases.insert(tenant.clone(), lease.until),
            None => leases.remove(tenant),
        };
        Ok(lease)
    }

    async fn release(&self, lease: &Lease) -> Result<(), JournalError> {
        self.reach().await?;
        self.life.leases.lock().unwrap().remove(&lease.tenant);
        self.memory.release(lease).await
    }

    async fn verify(&self) -> Result<u64, JournalError> {
        self.memory.verify().await
    }
}

impl World {
    /// One entry is on disk.
    fn journalled(&mut self, life: &Life, now: Millis, wall: Timestamp, entry: &Entry) {
        let id = &entry.credential;
        let tell =
            || format!("host{} {} journal #{} {}", life.host, id, entry.sequence, story::tell(&entry.event));
        self.tell(now, entry.sequence, tell);
        if let Event::Fleet(event) = &entry.event {
            self.check_fleet(life, now, wall, event);
        }
        self.stores[life.store].fleet.apply(entry);
        if id.is_fleet() {
            return;
        }
        let before = self.stores[life.store].lines.remove(id);
        self.check_entry(now, wall, before.as_ref(), entry);
        match Line::after(before, now, entry) {
            Ok(next) => {
                self.stores[life.store].lines.insert(id.clone(), next);
            }
            Err(misfit) => self.find(now, violation("misfit", misfit.to_string())),
        }
    }

    /// What may be said of an entry in the light of what stood there before.
    fn check_entry(&mut self, now: Millis, wall: Timestamp, before: Option<&Line>, entry: &Entry) {
        let Some(line) = before else { return };
        let id = &entry.credential;
        match &entry.event {
            Event::Begun { trigger, .. } => {
                self.rotations += 1;
                let due = rotation_due(&self.policies[tenant_of(id)], line.record.stage.in_use());
                let is_due = due.is_ok_and(|due| due.is_some_and(|due| due <= wall));
                if *trigger == Trigger::Schedule && !is_due {
                    self.find(now, violation("needless rotation", format!("{id} was not due")));
                }
                if line.record.is_held(wall) {
                    self.find(now, violation("begun while held", format!("{id}")));
                }
            }
            Event::Halted(reason) => self.count(reason.code()),
            Event::Proven { .. } => {
                if let Stage::Provisioning { live, .. } = &line.record.stage {
                    let late = self.is_late(id, live, now);
                    self.late |= late == Some(true);
                    self.count(match late {
                        Some(true) => "proven late",
                        Some(false) => "proven in time",
                        None => "came too late",
                    });
                }
            }
            Event::Completed => {
                let back = line.record.turned_back.is_some();
                self.count(if back { "turned back" } else { "rotated" });
            }
            _ => {}
        }
    }

    /// Whether the journal holds a success of the consumer that is to be seen once more.
    pub(crate) fn believes(&self, store: usize, tenant: usize) -> bool {
        let line = self.stores[store].lines.get(&self.policies[tenant].credential);
        let watch = line.and_then(|line| match &line.record.stage {
            Stage::Provisioning { watch, .. } => Some(watch),
            Stage::Restoring { watch, .. } => watch.as_ref(),
            Stage::Retiring { retirement, .. } => retirement.watch.as_ref(),
            _ => None,
        });
        watch.is_some_and(|watch| watch.worked.is_some())
    }

    /// Whether keys are in use for longer than their window. Who came with keys whose window ended in the first weeks
    /// could not be in time.
    pub(crate) fn is_late(&self, id: &CredentialId, live: &KeySet, now: Millis) -> Option<bool> {
        let end = window_end(&self.policies[tenant_of(id)], live).ok().flatten();
        end.filter(|end| *end > stamp(GRACE)).map(|end| end < stamp(now))
    }

    /// The rules of the fleet, counted once more from outside.
    fn check_fleet(&mut self, life: &Life, now: Millis, wall: Timestamp, event: &FleetEvent) {
        self.count(event.name());
        let FleetEvent::Admitted { credential, pass, window_overridden, .. } = event else { return };
        let size = self.policies.len();
        let limit = self.rules.fuse_limit(size);
        let store = &mut self.stores[life.store];
        let mut wrong = Vec::new();
        if store.fleet.halt.is_some() {
            wrong.push("the fleet is halted".to_owned());
        }
        store.admissions.push((now, pass.fuse));
        let recent = store.admissions.iter().rev().take_while(|(at, _)| at + DAY > now).count();
        if recent > limit && !pass.fuse && self.clocks_are_right {
            wrong.push(format!("{recent} rotations began in 24 hours, {limit} may"));
        }
        let is_open = |id: &CredentialId| store.lines.get(id).is_some_and(Line::is_unproven);
        let under_way = store.lines.keys().filter(|id| *id != credential && is_open(id)).count();
        if under_way >= self.rules.rotations_at_once {
            wrong.push(format!("{under_way} rotations are under way already"));
        }
        let closed = matches!((self.maintenance[tenant_of(credential)])(wall), Opening::Closed(_));
        if closed && !window_overridden {
            wrong.push("its window is closed".to_owned());
        }
        if *window_overridden {
            self.count("window overridden");
        }
        for why in wrong {
            self.find(now, violation("admitted wrongly", format!("{credential}: {why}")));
        }
    }
}
