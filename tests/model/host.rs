//! One instance at work, as `src/engine/{walk,act,look}.rs` has it: lease, look, plan, act, append. Only the calls to
//! the outside are the model's; the rules of the lease, the plan, the fold and the permits are the daemon's own.

use std::sync::Arc;
use std::time::Duration;

use rekeyd::domain::event::{Entry, Event};
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::fold;
use rekeyd::domain::key::Key;
use rekeyd::domain::names::Role;
use rekeyd::domain::observation::{Looks, Observation};
use rekeyd::domain::plan::{self, NextLook, Plan, Step};
use rekeyd::domain::policy::Policy;
use rekeyd::domain::record::Record;
use rekeyd::domain::stage::Stage;
use rekeyd::domain::{Timestamp, story};
use rekeyd::journal::rules;
use rekeyd::ports::Lease;

use super::act::{Fault, Moment};
use super::clock::{GRID, stamp, step_of};
use super::setup::{LEASE_LIFE, SCHEDULE, Setup, rotation};
use super::world::{Tag, World};

/// The life of a lease.
const LEASE: Duration = Duration::from_secs((LEASE_LIFE * GRID).unsigned_abs());

/// What one process has in memory.
#[derive(Clone)]
pub(crate) struct Host {
    /// Its clock is ahead of time by so many steps.
    pub(crate) ahead: i64,
    pub(crate) record: Option<Arc<Record>>,
    pub(crate) lease: Option<Lease>,
    /// The keys whose secrets it has read.
    pub(crate) wallet: Vec<Tag>,
    pub(crate) blind: u32,
    /// When it looks again, on its clock, and when it last said so.
    pub(crate) next_look: i64,
    pub(crate) rested_at: i64,
    /// Until then, in true time, it does nothing: it sleeps or is held up.
    pub(crate) held_up_until: i64,
    pub(crate) at: At,
    /// Why it rests, in the word of the plan.
    pub(crate) says: &'static str,
    /// Whether it says what a person must do.
    pub(crate) asks: bool,
    /// How often it was started: a process is a holder of its own.
    pub(crate) starts: u32,
}

/// Where in its walk a process is. What it was held up in is kept whole.
#[derive(Clone)]
pub(crate) enum At {
    Rests,
    Walks(Option<(Looks, Arc<Observation>)>),
    Planned { observation: Arc<Observation>, planned_at: i64 },
    Intended(Arc<Step>, Arc<Observation>),
    Answered(&'static str, Arc<Step>, Arc<Came>),
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Came {
    Of(Event),
    OfItself,
    Failed(Failure),
}

/// The walk ends here; the process reads the journal again.
pub(crate) struct Stops;

impl Host {
    pub(crate) fn new() -> Self {
        Self {
            ahead: 0,
            record: None,
            lease: None,
            wallet: Vec::new(),
            blind: 0,
            next_look: 0,
            rested_at: 0,
            held_up_until: 0,
            at: At::Rests,
            says: "",
            asks: false,
            starts: 0,
        }
    }
}

impl World {
    /// The time on the clock of a host.
    pub(crate) fn now(&self, host: usize) -> i64 {
        self.time + self.hosts[host].ahead
    }

    /// When a host goes on, in true time.
    pub(crate) fn due(&self, host: usize) -> i64 {
        let it = &self.hosts[host];
        let woken = match it.at {
            // A clock that was set back since is no reason to wait longer.
            At::Rests if self.now(host) >= it.rested_at => it.next_look - it.ahead,
            _ => self.time,
        };
        woken.max(it.held_up_until).max(self.time)
    }
}

/// One act that is being played.
pub(crate) struct Play<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) world: World,
    pub(crate) fault: Option<Fault>,
    /// Whether the fault met anything.
    pub(crate) met: bool,
    appends: u8,
    story: Option<&'a mut Vec<String>>,
}

impl<'a> Play<'a> {
    pub(crate) fn new(
        setup: &'a Setup,
        world: World,
        fault: Option<Fault>,
        story: Option<&'a mut Vec<String>>,
    ) -> Self {
        Self { setup, world, fault, met: false, appends: 0, story }
    }

    /// Takes a line down, where anybody listens.
    pub(crate) fn tell(&mut self, line: impl FnOnce(&World) -> String) {
        if let Some(story) = self.story.as_deref_mut() {
            let hours = self.world.time * GRID / 3600;
            let minutes = self.world.time * GRID % 3600 / 60;
            story.push(format!("{hours:>6}:{minutes:02}  {}", line(&self.world)));
        }
    }

    pub(crate) fn policy(&self) -> &'a Policy {
        self.setup.policy(self.world.reconfigured)
    }

    pub(crate) fn now(&self, host: usize) -> Timestamp {
        stamp(self.world.now(host))
    }

    pub(crate) fn host(&mut self, host: usize) -> &mut Host {
        &mut self.world.hosts[host]
    }

    /// Whether the fault is this one; if so, it is met.
    pub(crate) fn meets(&mut self, fault: Fault) -> bool {
        let meets = self.fault == Some(fault);
        self.met |= meets;
        meets
    }

    /// One round of a walk: the body of the loop in `Engine::steps`, or what is left of it after a hold-up.
    pub(crate) fn walk(&mut self, host: usize) {
        let due = self.world.due(host);
        self.world.advance(self.setup, due);
        let done = match std::mem::replace(&mut self.host(host).at, At::Rests) {
            At::Rests => self.round(host, None),
            At::Walks(seen) => self.round(host, seen),
            At::Planned { observation, planned_at } => {
                let record = self.host(host).record.clone();
                let plan = plan::plan(self.policy(), record.as_deref(), &observation, stamp(planned_at));
                self.act(host, &plan.step, &plan.reason.text, &observation)
            }
            At::Intended(step, observation) => self.call_and_believe(host, &step, &observation),
            At::Answered(name, step, came) => self.believe(host, name, &step, (*came).clone()),
        };
        if done.is_err() {
            self.tell(|_| format!("#{host} its walk stops"));
            let now = self.world.now(host);
            let it = self.host(host);
            it.lease = None;
            it.at = At::Rests;
            it.says = "";
            it.asks = false;
            it.next_look = now + 1;
            it.rested_at = now;
        }
    }

    fn round(&mut self, host: usize, mut seen: Option<(Looks, Arc<Observation>)>) -> Result<(), Stops> {
        let fence = self.host(host).lease.as_ref().map(|lease| lease.fence);
        if !self.hold_lease(host) {
            self.tell(|_| format!("#{host} another instance holds the lease"));
            self.rest(host, "not-leased", self.world.now(host) + LEASE_LIFE);
            return Ok(());
        }
        if self.host(host).lease.as_ref().map(|lease| lease.fence) != fence {
            seen = None;
        }
        let record = self.host(host).record.clone();
        let looks = plan::looks(self.policy(), record.as_deref(), self.now(host));
        let (had, observation) = match seen {
            Some((had, observation)) if covers(had, looks) => (had, observation),
            _ => (looks, Arc::new(self.look(host, looks))),
        };
        let now = self.now(host);
        let plan = plan::plan(self.policy(), record.as_deref(), &observation, now);
        self.tell(|_| format!("#{host} {} ({}): {}", plan.step.name(), plan.reason.code, plan.reason.text));
        if plan.step == Step::Rest {
            self.rest(host, plan.reason.code, self.next_look(host, &plan));
            self.host(host).asks = plan.reason.person.is_some();
            if plan.reason.code == "not-due" {
                self.judge_rest(host);
            }
            return Ok(());
        }
        let changes = match &plan.step {
            Step::Note(event) => matches!(event, Event::TurnedBack { .. } | Event::Ready { .. }),
            step => !matches!(step, Step::Begin { .. }),
        };
        self.host(host).at = At::Walks((!changes).then(|| (had, Arc::clone(&observation))));
        if let Some(length) = self.held_up(Moment::Planned) {
            let planned_at = self.world.now(host);
            self.hold_up(host, length, At::Planned { observation, planned_at });
            return Ok(());
        }
        self.act(host, &plan.step, &plan.reason.text, &observation)
    }

    fn next_look(&self, host: usize, plan: &Plan) -> i64 {
        let now = self.world.now(host);
        match plan.next_look {
            NextLook::Now => now,
            NextLook::At(at) => step_of(at).max(now + 1),
            NextLook::Schedule => now + SCHEDULE,
        }
    }

    fn rest(&mut self, host: usize, says: &'static str, next_look: i64) {
        let now = self.world.now(host);
        let it = self.host(host);
        it.at = At::Rests;
        it.says = says;
        it.asks = false;
        it.next_look = next_look;
        it.rested_at = now;
    }

    fn held_up(&mut self, moment: Moment) -> Option<i64> {
        match self.fault {
            Some(Fault::HeldUp(when, length)) if when == moment => {
                self.met = true;
                Some(length)
            }
            _ => None,
        }
    }

    fn hold_up(&mut self, host: usize, length: i64, at: At) {
        self.tell(|_| format!("#{host} is held up for {length} steps"));
        let until = self.world.time + length;
        let it = self.host(host);
        it.held_up_until = until;
        it.at = at;
    }

    /// Takes or renews the lease; where it changed hands, reads what the other one wrote.
    pub(crate) fn hold_lease(&mut self, host: usize) -> bool {
        let now = self.now(host);
        let mine = self.host(host).lease.clone();
        if mine.as_ref().is_some_and(|lease| rekeyd::domain::after(now, LEASE / 2) < lease.until) {
            return true;
        }
        let holder = self.world.holder(host);
        let tenant = &self.policy().credential.tenant;
        let Some(lease) = rules::grant(self.world.lease.as_ref(), tenant, &holder, now, LEASE) else {
            self.host(host).lease = None;
            return false;
        };
        if mine.is_none_or(|mine| mine.fence != lease.fence) {
            let disk = self.world.disk.clone();
            self.host(host).record = disk;
        }
        self.host(host).lease = Some(lease.clone());
        self.world.lease = Some(lease);
        true
    }

    /// Whether the lease outlasts the next call, as far as can be known.
    pub(crate) fn is_leased(&self, host: usize) -> bool {
        let soon = rekeyd::domain::after(self.now(host), LEASE / 4);
        self.world.hosts[host].lease.as_ref().is_some_and(|lease| soon < lease.until)
    }

    /// Appends one event and believes it. What is not on disk is not believed.
    pub(crate) fn append(&mut self, host: usize, event: Event) -> Result<(), Stops> {
        let number = self.appends;
        self.appends += 1;
        let entry = Entry {
            sequence: self.host(host).record.as_ref().map_or(0, |record| record.sequence) + 1,
            at: self.now(host),
            credential: self.policy().credential.clone(),
            event,
        };
        let memory = self.host(host).record.clone();
        // An event that does not fit is the daemon's mistake, whatever is on disk.
        let fits = fold::apply(memory.as_deref().cloned(), &entry).map(drop);
        assert_eq!(fits, Ok(()), "only what fits is journalled");
        if self.meets(Fault::AppendFails(number)) {
            self.tell(|_| format!("#{host} the append of `{}` fails", entry.event.name()));
            return Err(Stops);
        }
        let lease = self.host(host).lease.clone().expect("a walker holds the lease");
        let refused = rules::holds(self.world.lease.as_ref(), &lease)
            .and_then(|()| rules::follows(&entry.credential, entry.sequence - 1, self.world.head));
        if let Err(why) = refused {
            self.tell(|_| format!("#{host} the append of `{}` is refused: {why}", entry.event.name()));
            return Err(Stops);
        }
        self.judge_entry(host, &entry);
        self.world.journal(&entry);
        self.tell(|_| format!("#{host}   = {}", story::tell(&entry.event)));
        if self.meets(Fault::AppendUnanswered(number)) {
            self.tell(|_| format!("#{host} the append is not answered"));
            return Err(Stops);
        }
        let record = self.world.disk.clone();
        let settled = record.as_ref().is_some_and(|record| matches!(record.stage, Stage::Settled { .. }));
        let it = self.host(host);
        it.record = record;
        if settled {
            it.wallet.clear();
        }
        Ok(())
    }

    /// `Engine::act` as far as the call: what has to be on disk before it, and what is asked once more.
    fn act(
        &mut self,
        host: usize,
        step: &Step,
        reason: &str,
        observation: &Arc<Observation>,
    ) -> Result<(), Stops> {
        match step {
            Step::Rest => return Ok(()),
            Step::Note(event) => return self.append(host, event.clone()),
            Step::Begin { generation, trigger } => {
                let begun = Event::Begun {
                    rotation: rotation(*generation),
                    trigger: *trigger,
                    generation: *generation,
                    names: self.setup.names(*generation),
                    reason: reason.to_owned(),
                };
                return self.append(host, begun);
            }
            Step::Create { role, .. } => self.append(host, Event::CreateSent { role: *role })?,
            Step::Provision { .. } => self.append(host, Event::ProvisionSent)?,
            Step::Delete { role, key, permit } => {
                let record = self.host(host).record.clone().expect("there is a record");
                assert!(permit.covers(&key.id), "a permit is for the key it was made for");
                assert!(
                    !record.stage.may_hold().contains(&key.id),
                    "what the consumer may hold is never deleted"
                );
                if record.is_held(self.now(host)) {
                    return Ok(());
                }
                let _ = self.material(host, *role, key);
                let name = key.name.clone();
                self.append(host, Event::DeleteSent { role: *role, name, permit: permit.to_string() })?;
            }
            _ => {}
        }
        if matches!(step, Step::Create { .. } | Step::Provision { .. } | Step::Delete { .. }) {
            if !self.is_leased(host) {
                return Ok(());
            }
            if self.dies(host, Moment::Intended) {
                return Ok(());
            }
            if let Some(length) = self.held_up(Moment::Intended) {
                self.hold_up(host, length, At::Intended(Arc::new(step.clone()), Arc::clone(observation)));
                return Ok(());
            }
        }
        self.call_and_believe(host, step, observation)
    }

    fn call_and_believe(&mut self, host: usize, step: &Step, observation: &Observation) -> Result<(), Stops> {
        if let At::Rests = self.host(host).at {
            self.host(host).at = At::Walks(None);
        }
        let came = self.call(host, step, observation);
        if self.dies(host, Moment::Answered) {
            return Ok(());
        }
        if let Some(length) = self.held_up(Moment::Answered) {
            let at = At::Answered(step.name(), Arc::new(step.clone()), Arc::new(came));
            self.hold_up(host, length, at);
            return Ok(());
        }
        self.believe(host, step.name(), step, came)
    }

    fn believe(&mut self, host: usize, name: &str, step: &Step, came: Came) -> Result<(), Stops> {
        if let At::Rests = self.host(host).at {
            self.host(host).at = At::Walks(None);
        }
        let event = match came {
            Came::Of(event) => event,
            Came::OfItself => return Ok(()),
            Came::Failed(failure) => {
                let record = self.host(host).record.clone().expect("there is a record");
                let retry_at = plan::retry_at(self.policy(), &record, step, &failure, self.now(host));
                Event::StepFailed { step: name.to_owned(), failure, retry_at }
            }
        };
        self.append(host, event)
    }

    fn dies(&mut self, host: usize, moment: Moment) -> bool {
        let dies = self.meets(Fault::Dies(moment));
        if dies {
            self.crash(host);
        }
        dies
    }

    /// The process dies and starts again: what is not in the journal is gone.
    pub(crate) fn crash(&mut self, host: usize) {
        self.tell(|_| format!("#{host} dies and starts again"));
        let (now, record) = (self.world.now(host), self.world.disk.clone());
        let it = self.host(host);
        let (ahead, starts) = (it.ahead, it.starts + 1);
        *it = Host { ahead, starts, record, next_look: now, rested_at: now, ..Host::new() };
    }

    /// The secret part of a key, from the wallet or else from the issuer.
    pub(crate) fn material(&mut self, host: usize, role: Role, key: &Key) -> Result<Tag, Failure> {
        let tag = self.setup.tag(&key.id);
        debug_assert_eq!(tag.role, role, "a key has the role it was made for");
        if self.host(host).wallet.contains(&tag) {
            return Ok(tag);
        }
        if !self.world.accepts(tag) {
            return Err(Failure::new(Class::Conflict, "there is no such key"));
        }
        let wallet = &mut self.host(host).wallet;
        wallet.push(tag);
        wallet.sort();
        Ok(tag)
    }
}

impl World {
    /// The name under which a process holds leases.
    pub(crate) fn holder(&self, host: usize) -> String {
        format!("{host}-{}", self.hosts[host].starts)
    }

    /// Whether the journal takes what `host` writes.
    pub(crate) fn is_leased(&self, host: usize) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.holder == self.holder(host))
    }
}

/// Whether what was looked at before is enough for what is needed now.
fn covers(had: Looks, needed: Looks) -> bool {
    (had.keys || !needed.keys) && (had.status || !needed.status) && (had.content || !needed.content)
}
