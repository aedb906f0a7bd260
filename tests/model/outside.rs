//! Looks and calls: what a walker sees of the world, and what it brings about there.

use std::collections::BTreeMap;

use rekeyd::domain::Timestamp;
use rekeyd::domain::event::Event;
use rekeyd::domain::evidence::{Baseline, Grade};
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::key::{Key, KeySet, KeyState};
use rekeyd::domain::names::Role;
use rekeyd::domain::observation::{Content, Looks, Observation, Seen, Status, Verdict};
use rekeyd::domain::plan::Step;

use super::act::{Answer, Blur, Fault, Odd};
use super::clock::stamp;
use super::host::{Came, Play};
use super::setup::tag_of;
use super::world::{Call, LATEST, Pair, Tag};

fn timeout() -> Failure {
    Failure::new(Class::Timeout, "no answer")
}

impl Play<'_> {
    pub(crate) fn look(&mut self, host: usize, looks: Looks) -> Observation {
        let keys = if looks.keys { self.list() } else { Seen::NotAsked };
        let status = if looks.status { self.status() } else { Seen::NotAsked };
        let content = if looks.content { self.content(host) } else { Seen::NotAsked };
        let passing = |failure: &Failure| failure.class.is_passing();
        let blind = keys.failure().is_some() || status.failure().is_some_and(passing);
        let it = self.host(host);
        it.blind = if blind { it.blind.saturating_add(1) } else { 0 };
        let blind = it.blind;
        Observation { at: self.now(host), keys, status, content, blind }
    }

    fn blurred(&mut self, blur: Blur) -> bool {
        let blurred = self.meets(Fault::Look(blur));
        if blurred {
            self.tell(|_| format!("   (a look goes wrong: {blur:?})"));
        }
        blurred
    }

    fn list(&mut self) -> Seen<rekeyd::domain::key::Sightings> {
        if self.blurred(Blur::ListTimesOut) {
            return Seen::Unknown(timeout());
        }
        if self.blurred(Blur::ListRefused) {
            return Seen::Unknown(Failure::new(Class::Unauthorized, "401"));
        }
        let exact = self.world.list(self.setup, false);
        if self.fault == Some(Fault::Look(Blur::ListBehind)) {
            let behind = self.world.list(self.setup, true);
            if behind != exact && self.blurred(Blur::ListBehind) {
                return Seen::Yes(behind);
            }
        }
        Seen::Yes(exact)
    }

    fn status(&mut self) -> Seen<Status> {
        if self.setup.manners.no_status {
            return Seen::Unknown(Failure::new(Class::NotFound, "404"));
        }
        if self.blurred(Blur::StatusTimesOut) {
            return Seen::Unknown(timeout());
        }
        let consumer = &self.world.consumer;
        let (running, last, before) = (consumer.run, consumer.last, consumer.before);
        let (mut verdict, mut at) =
            running.map_or((last.verdict, last.at), |run| (Verdict::InProgress, run.began));
        let truth = verdict;
        if self.blurred(Blur::StatusStale) {
            let shown = if running.is_some() { last } else { before };
            (verdict, at) = (shown.verdict, shown.at);
        } else if self.blurred(Blur::StatusSaysSuccess) {
            (verdict, at) = (Verdict::Success, self.world.time);
        } else if self.blurred(Blur::StatusSaysError) {
            (verdict, at) = (Verdict::Error, self.world.time);
        } else if self.blurred(Blur::StatusStrange) {
            verdict = Verdict::Unknown;
        }
        // A success that is none, or an end where a run is still to come to one.
        let hides_a_run = truth == Verdict::InProgress && verdict == Verdict::Error;
        self.world.book.lied |= hides_a_run || (verdict == Verdict::Success && truth != Verdict::Success);
        let at = self.setup.manners.dated.then(|| stamp(at));
        Seen::Yes(Status { verdict, word: verdict.as_str().to_owned(), at, detail: None })
    }

    fn content(&mut self, host: usize) -> Seen<Content> {
        let record = self.host(host).record.clone();
        let newest = record.as_ref().and_then(|record| record.stage.newest().get(&Role::Ciapi).cloned());
        let Some(key) = newest else { return Seen::NotAsked };
        let tag = match self.material(host, Role::Ciapi, &key) {
            Ok(tag) => tag,
            Err(failure) => return Seen::Unknown(failure),
        };
        if self.setup.manners.no_content {
            return Seen::Unknown(Failure::new(Class::Forbidden, "403"));
        }
        if self.blurred(Blur::ContentTimesOut) {
            return Seen::Unknown(timeout());
        }
        if !self.world.accepts(tag) {
            return Seen::Unknown(Failure::new(Class::Unauthorized, "401"));
        }
        let stale = self.blurred(Blur::ContentStale);
        let started = !self.blurred(Blur::ContentHalf);
        let consumer = &self.world.consumer;
        let at = if stale { consumer.deployed_before } else { consumer.deployed_at };
        Seen::Yes(Content { deployed_at: Some(stamp(at)), started })
    }

    /// One call to the outside, as far as it gets.
    pub(crate) fn call(&mut self, host: usize, step: &Step, observation: &Observation) -> Came {
        if matches!(step, Step::Deliver { .. }) && !self.is_leased(host) {
            // Reading the secrets may have taken a while.
            return Came::OfItself;
        }
        let changes = matches!(
            step,
            Step::Create { .. } | Step::Deliver { .. } | Step::Provision { .. } | Step::Delete { .. }
        );
        let answer = match self.fault {
            Some(Fault::Call(answer)) if changes || !matches!(answer, Answer::Lost | Answer::Late) => answer,
            _ => return self.effect(host, step, observation),
        };
        if answer == Answer::Late && !self.comes_late(host, step) {
            return self.effect(host, step, observation);
        }
        self.met = true;
        self.tell(|_| format!("   (`{}` goes wrong: {answer:?})", step.name()));
        let failure = match answer {
            Answer::Unreachable => Failure::new(Class::Connect, "no connection"),
            Answer::Late => timeout().ambiguous(),
            Answer::Lost => {
                let came = self.effect(host, step, observation);
                // An answer that says no is as good as none.
                if matches!(came, Came::Failed(_)) {
                    return came;
                }
                timeout().ambiguous()
            }
            Answer::Refused => Failure::new(Class::ClientError, "400"),
            Answer::Unauthorized => Failure::new(Class::Unauthorized, "401"),
            Answer::NotFound => {
                if matches!(step, Step::Provision { .. }) {
                    self.world.book.no_post = true;
                    return Came::Of(Event::CannotProvision);
                }
                Failure::new(Class::NotFound, "404")
            }
            Answer::Throttled => {
                let not_before = Some(stamp(self.world.now(host) + 3));
                Failure { not_before, ..Failure::new(Class::Throttled, "429") }
            }
        };
        Came::Failed(failure)
    }

    /// Whether a call can take effect later, and if so, that it will.
    fn comes_late(&mut self, host: usize, step: &Step) -> bool {
        let call = match step {
            Step::Create { role, name } => Call::Create(tag_of(*role, name)),
            Step::Deliver { keys } => match self.pair(host, keys) {
                Ok(pair) if !self.setup.manners.no_put && !self.setup.manners.ignores_put => {
                    Call::Deliver(pair)
                }
                _ => return false,
            },
            Step::Provision { .. } if !self.setup.manners.no_post => Call::Provision,
            Step::Delete { key, .. } => Call::Delete(self.setup.tag(&key.id)),
            _ => return false,
        };
        if self.world.late.is_some() {
            return false;
        }
        self.world.late = Some((call, self.world.time + LATEST));
        true
    }

    fn odd(&mut self, odd: Odd) -> bool {
        let meets = self.meets(Fault::Effect(odd));
        if meets {
            self.tell(|_| format!("   ({odd:?})"));
        }
        meets
    }

    fn effect(&mut self, host: usize, step: &Step, observation: &Observation) -> Came {
        let came = match step {
            Step::Rest | Step::Note(_) | Step::Begin { .. } => unreachable!("nothing is called for these"),
            Step::Create { role, name } => self.create(host, tag_of(*role, name)),
            Step::Test { role, fresh, old } => self.test(host, *role, fresh, old.as_ref()),
            Step::Deliver { keys } => self.pair(host, keys).and_then(|pair| self.deliver(host, pair)),
            Step::Provision { baseline } => Ok(self.provision(baseline)),
            Step::Confirm { keys, basis } => {
                self.try_all(host, keys).map(|()| Event::Works { basis: *basis })
            }
            Step::Renew { keys } => self.try_all(host, keys).map(|()| {
                let verdict = observation.status.known().map(|status| status.verdict);
                Event::Renewed { verdict }
            }),
            Step::Delete { key, .. } => return self.delete(self.setup.tag(&key.id)),
            Step::Probe { role, key } => Ok(self.probe(host, *role, key)),
        };
        came.map_or_else(Came::Failed, Came::Of)
    }

    fn create(&mut self, host: usize, tag: Tag) -> Result<Event, Failure> {
        if self.world.is_taken(tag) {
            self.judge_conflict(host, tag);
            return Err(Failure::new(Class::Conflict, "the name is taken").ambiguous());
        }
        if self.setup.in_place && self.odd(Odd::MadeBroken) {
            return Err(Failure::new(Class::ServerError, "the reset failed"));
        }
        let state = if self.setup.in_place {
            KeyState::Ready
        } else if self.odd(Odd::MadeBroken) {
            KeyState::Broken
        } else if self.odd(Odd::MadeSlowly) {
            KeyState::Busy
        } else {
            KeyState::Ready
        };
        let made = self.world.create(self.setup, tag, state);
        // Who is held up between the last look at his lease and the call cannot be stopped: his key comes late.
        self.world.book.crowded |= !self.world.is_leased(host);
        if !self.setup.in_place && self.odd(Odd::MadeTwice) {
            self.world.create(self.setup, tag, state);
            self.world.book.crowded = true;
        }
        match state {
            KeyState::Ready => Ok(Event::Made { role: tag.role, key: self.setup.key(made) }),
            KeyState::Broken => Err(Failure::new(Class::ServerError, "making it failed")),
            _ => Err(timeout().ambiguous()),
        }
    }

    fn test(&mut self, host: usize, role: Role, fresh: &Key, old: Option<&Key>) -> Result<Event, Failure> {
        let tag = self.material(host, role, fresh)?;
        if let Some(old) = old {
            self.material(host, role, old)?;
            if self.setup.manners.same_secret {
                return Ok(Event::SameSecret { role });
            }
        }
        self.get_token(tag)?;
        let grade = if role == Role::Ciapi { Grade::Read } else { Grade::Token };
        Ok(Event::Tested { role, grade })
    }

    fn get_token(&self, tag: Tag) -> Result<(), Failure> {
        if self.world.accepts(tag) { Ok(()) } else { Err(Failure::new(Class::Unauthorized, "401")) }
    }

    fn pair(&mut self, host: usize, keys: &KeySet) -> Result<Pair, Failure> {
        let mut pair = self.world.consumer.held;
        for (index, role) in Role::PAIR.into_iter().enumerate() {
            if let Some(key) = keys.get(&role) {
                pair[index] = self.material(host, role, key)?;
            }
        }
        Ok(pair)
    }

    fn deliver(&mut self, host: usize, pair: Pair) -> Result<Event, Failure> {
        if self.setup.manners.no_put {
            return Err(Failure::new(Class::NotFound, "404"));
        }
        if !self.world.is_leased(host) {
            // Its clock says that its lease lasts, and the other's that it is over: like a call that takes effect late.
            self.world.overtaken(self.setup, pair);
            return Ok(Event::Delivered { upstream_at: self.date() });
        }
        let takes = if self.setup.manners.ignores_put || self.odd(Odd::TakesNothing) {
            [false, false]
        } else if self.odd(Odd::TakesCiapi) {
            [true, false]
        } else if self.odd(Odd::TakesCirt) {
            [false, true]
        } else {
            [true, true]
        };
        self.world.offer(self.setup, pair, takes);
        self.world.book.told = pair;
        if let Some((call, _)) = &mut self.world.late
            && let Call::Deliver(overtaken) = *call
        {
            *call = Call::Overtaken(overtaken);
        }
        Ok(Event::Delivered { upstream_at: self.date() })
    }

    /// What the consumer's answer says of the time. Its clock is right.
    fn date(&self) -> Option<Timestamp> {
        (!self.setup.manners.no_date).then(|| stamp(self.world.time))
    }

    fn provision(&mut self, baseline: &Baseline) -> Event {
        if self.setup.manners.no_post {
            return Event::CannotProvision;
        }
        self.world.book.no_post = false;
        if !self.odd(Odd::RunsNot) {
            let hangs = self.setup.manners.stuck || self.odd(Odd::RunHangs);
            let unlucky = self.odd(Odd::RunFails);
            self.world.start_run(self.setup, !hangs, unlucky);
        }
        Event::Provisioned { baseline: baseline.clone(), upstream_at: self.date() }
    }

    fn try_all(&mut self, host: usize, keys: &KeySet) -> Result<(), Failure> {
        for (role, key) in keys {
            let tag = self.material(host, *role, key)?;
            self.get_token(tag)?;
        }
        Ok(())
    }

    fn delete(&mut self, tag: Tag) -> Came {
        if !self.odd(Odd::DeletesNot) {
            let slowly = self.odd(Odd::DeletesSlowly);
            self.world.delete(self.setup, tag, slowly);
        }
        Came::OfItself
    }

    fn probe(&mut self, host: usize, role: Role, key: &Key) -> Event {
        let tag = self.setup.tag(&key.id);
        if !self.host(host).wallet.contains(&tag) {
            return Event::Probed { role, refused: None };
        }
        let refused = !self.world.accepts(tag) && !self.odd(Odd::StillWorks);
        Event::Probed { role, refused: Some(refused) }
    }

    /// The keys of a pair, as a person or the journal names them.
    pub(crate) fn pair_of(&self, keys: &KeySet) -> Option<Pair> {
        let tags: BTreeMap<Role, Tag> =
            keys.iter().map(|(role, key)| (*role, self.setup.tag(&key.id))).collect();
        Some([*tags.get(&Role::Ciapi)?, *tags.get(&Role::Cirt)?])
    }
}
