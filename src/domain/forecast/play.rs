//! The play: what happens next in virtual time, and who may begin then.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Bound;
use std::time::Duration;

use super::course::{self, Keys, Times};
use super::{Coming, Forecast, MOST_ROTATIONS, Member, Stopped};
use crate::domain::event::{Entry, Event, Trigger};
use crate::domain::evidence::{Basis, Evidence, Grade};
use crate::domain::fleet::{Candidate, Fleet, FleetEvent, Pass, Rules, admit};
use crate::domain::names::{CredentialId, RotationId};
use crate::domain::observation::Observation;
use crate::domain::plan::pause;
use crate::domain::proof::Gate;
use crate::domain::{Timestamp, after, before};

/// What happens to a credential. The order is that of one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// The consumer is proven to work.
    Proven,
    /// The soak is over.
    Soaked,
    /// Nothing is left of the old keys.
    Over,
    /// The schedule, or a gate that opens, wakes it.
    Wakes,
    /// Nobody is told anything: those who wait ask again.
    Asks,
}

/// How one that waits is ordered: emergencies first, then by the end of its window, then by name.
type Urgency = (bool, Timestamp, usize);

/// What kept one waiting: the gate, and whose rotation goes before, where it is that of one other.
type Waited = (&'static str, Option<CredentialId>);

/// Those behind so many who were turned away are turned away as well.
const ASKED_BEHIND: usize = 8;
/// Who waits for something that nobody can date asks again after this time.
const ASKS_AGAIN: Duration = Duration::from_hours(6);

pub(super) struct Play<'a> {
    rules: &'a Rules,
    members: &'a [Member<'a>],
    fleet: Fleet,
    now: Timestamp,
    next: BinaryHeap<Reverse<(Timestamp, What, usize)>>,
    waiting: BTreeSet<Urgency>,
    keys: BTreeMap<usize, Keys>,
    waited_for: BTreeMap<usize, Waited>,
    held: BTreeMap<usize, Timestamp>,
    begun: BTreeSet<usize>,
    sequence: u64,
    forecast: Forecast,
}

impl<'a> Play<'a> {
    pub(super) fn new(
        rules: &'a Rules,
        fleet: &Fleet,
        members: &'a [Member<'a>],
        now: Timestamp,
        until: Timestamp,
    ) -> Self {
        let forecast = Forecast {
            from: now,
            until,
            coming: Vec::new(),
            stopped: Vec::new(),
            fleet_halted: fleet.halt.is_some(),
            cut_off: false,
        };
        let mut play = Self {
            rules,
            members,
            fleet: fleet.clone(),
            now,
            next: BinaryHeap::new(),
            waiting: BTreeSet::new(),
            keys: BTreeMap::new(),
            waited_for: BTreeMap::new(),
            held: BTreeMap::new(),
            begun: BTreeSet::new(),
            sequence: fleet.read,
            forecast,
        };
        if play.forecast.fleet_halted {
            play.enter(CredentialId::fleet(), Event::Fleet(FleetEvent::Resumed { reason: String::new() }));
        }
        for (of, member) in members.iter().enumerate() {
            match course::stopped(member, now) {
                Some(stopped) => play.forecast.stopped.push(stopped),
                None => play.take_up(of),
            }
        }
        play
    }

    /// Takes a credential up where its journal left it.
    fn take_up(&mut self, of: usize) {
        let member = &self.members[of];
        let Some(record) = member.record else { return };
        self.keys.insert(of, course::keys_of(member.policy, record));
        match Times::under_way(member, self.now) {
            Some(times) => {
                self.held.extend(course::held_until(record, self.now).map(|until| (of, until)));
                let ends_at = course::old_end(member.policy, record);
                let coming = self.coming(of, times, true, ends_at);
                self.goes(of, times, Coming { due_at: None, ..coming });
            }
            None => self.wait_for_schedule(of),
        }
    }

    pub(super) fn run(&mut self) {
        while let Some(Reverse((at, ..))) = self.next.peek().copied() {
            if at > self.forecast.until || self.forecast.cut_off {
                return;
            }
            self.now = at;
            while let Some(Reverse((_, what, of))) =
                self.next.peek().copied().filter(|Reverse(next)| next.0 == at)
            {
                self.next.pop();
                self.happens(what, of);
            }
            self.let_in();
        }
    }

    pub(super) fn end(mut self) -> Forecast {
        for (_, _, of) in std::mem::take(&mut self.waiting) {
            let member = &self.members[of];
            let (gate, first) = self.waited_for.get(&of).cloned().unwrap_or(("fleet", None));
            let first = first.map_or_else(String::new, |id| format!(": `{id}` goes before"));
            self.forecast.stopped.push(Stopped {
                credential: member.policy.credential.clone(),
                why: format!("due, and the gate `{gate}` stays closed until then{first}"),
                remedy: format!("`rekeyd explain {}` shows the gates", member.policy.credential),
                ends_at: self.keys.get(&of).and_then(|keys| keys.ends_at),
            });
        }
        self.forecast.coming.sort_by(|one, other| {
            (one.begins_at, &one.credential).cmp(&(other.begins_at, &other.credential))
        });
        self.forecast.stopped.sort_by(|one, other| one.credential.cmp(&other.credential));
        self.forecast
    }

    fn happens(&mut self, what: What, of: usize) {
        let id = || self.members[of].policy.credential.clone();
        match what {
            What::Proven => {
                let seen = Observation::nothing(self.now);
                let evidence = Evidence::seen(Grade::Acted, Basis::Report, &seen, self.now);
                self.enter(id(), Event::Proven { evidence });
            }
            What::Soaked => self.enter(id(), Event::RetireBegun),
            What::Over => {
                self.enter(id(), Event::Completed);
                self.wait_for_schedule(of);
            }
            What::Wakes => {
                let urgency = self.urgency(of);
                self.waiting.insert(urgency);
            }
            What::Asks => {}
        }
    }

    /// The first tick at which it is due and not held.
    fn wait_for_schedule(&mut self, of: usize) {
        let member = &self.members[of];
        let asked = self.asked(of).is_some();
        let due = self.keys.get(&of).and_then(|keys| keys.due_at);
        let due = if asked { Some(self.now) } else { due };
        let Some(mut due) = due.map(|due| due.max(self.now)) else { return };
        let held = member.record.and_then(|record| record.hold.as_ref()?.until);
        if let Some(until) = held.filter(|until| due < *until) {
            self.held.insert(of, until);
            due = until;
        }
        let paused = self.paused(of);
        // Who is asked for a rotation, or rests after one that turned back, looks at once; else the schedule wakes it.
        let at = if due == self.now && (asked || paused.is_some()) {
            Some(due)
        } else {
            (member.tick)(before(due, Duration::from_secs(1)))
        };
        let at = at.map(|at| paused.map_or(at, |until| at.max(until)));
        if let Some(at) = at {
            self.next.push(Reverse((at, What::Wakes, of)));
        }
    }

    /// Until when one rests whose last rotation turned back, unless it has begun again since.
    fn paused(&self, of: usize) -> Option<Timestamp> {
        let member = &self.members[of];
        let record = member.record.filter(|_| !self.begun.contains(&of))?;
        pause(member.policy, record, self.now).map(|(until, _)| until)
    }

    /// What a person asked for, unless that rotation was begun.
    fn asked(&self, of: usize) -> Option<Pass> {
        let asked = self.members[of].record?.asked.as_ref().filter(|_| !self.begun.contains(&of))?;
        Some(asked.pass)
    }

    fn urgency(&self, of: usize) -> Urgency {
        let emergency = self.asked(of).is_some_and(|pass| pass.emergency);
        let ends_at = self.keys.get(&of).and_then(|keys| keys.ends_at);
        (!emergency, ends_at.unwrap_or(Timestamp::MAX_UTC), of)
    }

    /// Lets begin who may, the most urgent first.
    fn let_in(&mut self) {
        let mut ahead = 0;
        let mut opens_at: Option<Timestamp> = None;
        let mut from = Bound::Unbounded;
        while let Some(urgency) = self.waiting.range((from, Bound::Unbounded)).next().copied() {
            if ahead >= ASKED_BEHIND || self.forecast.cut_off {
                break;
            }
            from = Bound::Excluded(urgency);
            let of = urgency.2;
            match self.asks(of, ahead) {
                Ok(()) => {
                    self.waiting.remove(&urgency);
                    self.begins(of);
                }
                Err(gate) if gate.name == "maintenance window" => {
                    self.waiting.remove(&urgency);
                    self.waited_for.insert(of, (gate.name, None));
                    let at = gate.opens_at.unwrap_or_else(|| after(self.now, ASKS_AGAIN));
                    self.next.push(Reverse((at, What::Wakes, of)));
                }
                Err(gate) => {
                    self.waited_for.insert(of, (gate.name, self.goes_before(gate.name)));
                    ahead += 1;
                    let at = gate.opens_at.filter(|at| *at > self.now);
                    opens_at = [opens_at, at].into_iter().flatten().min();
                }
            }
        }
        if !self.waiting.is_empty() {
            let latest = after(self.now, ASKS_AGAIN);
            let at = opens_at.map_or(latest, |at| at.min(latest));
            self.next.push(Reverse((at, What::Asks, usize::MAX)));
        }
    }

    /// Whose rotation the others wait for, where it is the only one: the canary's, say.
    fn goes_before(&self, gate: &str) -> Option<CredentialId> {
        let mut open = self.fleet.attempts.iter().filter(|(_, attempt)| attempt.is_open(self.now));
        match (open.next(), open.next()) {
            (Some((id, _)), None) if gate == "share" => Some(id.clone()),
            _ => None,
        }
    }

    /// The first gate that is closed, in the order in which people are told.
    fn asks(&self, of: usize, ahead: usize) -> Result<(), Gate> {
        let member = &self.members[of];
        let candidate = Candidate {
            credential: &member.policy.credential,
            ends_at: self.keys.get(&of).and_then(|keys| keys.ends_at),
            pass: self.asked(of).unwrap_or_default(),
            soak: member.policy.soak,
            opening: (member.opening)(self.now),
            ahead,
            size: self.members.len(),
        };
        let answer = admit(self.rules, &self.fleet, &candidate, self.now);
        answer.map(|_| ()).map_err(|gates| {
            let closed = gates.into_iter().find(|gate| !gate.open);
            closed.expect("who is turned away stands before a gate")
        })
    }

    fn begins(&mut self, of: usize) {
        let member = &self.members[of];
        let id = member.policy.credential.clone();
        let pass = self.asked(of).unwrap_or_default();
        let admitted = FleetEvent::Admitted {
            credential: id.clone(),
            pass,
            window_overridden: false,
            release: self.rules.release.clone(),
        };
        self.enter(CredentialId::fleet(), Event::Fleet(admitted));
        let begun = Event::Begun {
            rotation: RotationId(String::new()),
            trigger: Trigger::Schedule,
            generation: 0,
            names: BTreeMap::new(),
            reason: String::new(),
        };
        self.enter(id, begun);
        self.begun.insert(of);
        let times = Times::of(member, self.now);
        let (generation, ends_at) =
            self.keys.get(&of).map_or((0, None), |keys| (keys.generation, keys.ends_at));
        let coming = self.coming(of, times, false, ends_at);
        self.keys.insert(of, course::made_at(member.policy, generation + 1, self.now));
        self.goes(of, times, Coming { generation: generation + 1, ..coming });
    }

    fn goes(&mut self, of: usize, times: Times, coming: Coming) {
        let parts = [(times.proven, What::Proven), (times.soaked, What::Soaked), (times.over, What::Over)];
        for (at, what) in parts {
            self.next.push(Reverse((at.max(self.now), what, of)));
        }
        self.forecast.coming.push(coming);
        self.forecast.cut_off = self.forecast.coming.len() >= MOST_ROTATIONS;
    }

    fn coming(&mut self, of: usize, times: Times, under_way: bool, ends_at: Option<Timestamp>) -> Coming {
        let (waited_for, goes_before) = self.waited_for.remove(&of).unzip();
        let keys = self.keys.get(&of);
        Coming {
            credential: self.members[of].policy.credential.clone(),
            generation: keys.map_or(0, |keys| keys.generation),
            under_way,
            due_at: keys.and_then(|keys| keys.due_at),
            begins_at: times.begun,
            retires_at: times.soaked,
            over_at: times.over,
            ends_at,
            waited_for: waited_for.map(str::to_owned),
            goes_before: goes_before.flatten(),
            held_until: self.held.remove(&of),
        }
    }

    /// What happens is folded into the copy of the fleet, as the daemon does it from the journal.
    fn enter(&mut self, credential: CredentialId, event: Event) {
        self.sequence += 1;
        self.fleet.apply(&Entry { sequence: self.sequence, at: self.now, credential, event });
    }
}
