//! What is asked of the outside world, what is answered, and how a request takes effect.

use std::sync::Arc;

use rekeyd::domain::evidence::Grade;
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::key::{Key as Sighted, Sightings};
use rekeyd::domain::names::{KeyName, Role};
use rekeyd::domain::observation::{Content, Status, Verdict};
use rekeyd::ports::Accepted;
use rekeyd::secret::ServiceKey;

use super::consumer::{LONGEST_PUT_DELAY, Pair, Shown};
use super::judge::{Finding, note, violation};
use super::tenant::{By, Key, Maker, Tenant};
use super::time::{MINUTE, Millis, SECOND, offset_stamp};

/// One call. Keys are named by their place in the tenant's book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    List,
    Create { role: Role, name: KeyName },
    Read { place: usize },
    Delete { place: usize },
    Test { role: Role, place: usize },
    Deliver { pair: Pair },
    Provision,
    Status,
    Content { place: usize },
    IsRefused { place: usize },
}

impl Request {
    /// Whether it changes anything.
    pub(crate) fn changes(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Delete { .. } | Self::Deliver { .. } | Self::Provision)
    }

    /// What is counted when it took effect and its answer was lost.
    pub(crate) fn lost(&self) -> &'static str {
        match self {
            Self::Create { .. } => "creates with a lost answer",
            Self::Deliver { .. } => "deliveries with a lost answer",
            Self::Delete { .. } => "deletions with a lost answer",
            Self::Provision => "deployments with a lost answer",
            _ => "reads with a lost answer",
        }
    }

    /// Whether the issuer is asked; else it is the consumer.
    pub(crate) fn is_for_issuer(&self) -> bool {
        matches!(self, Self::List | Self::Create { .. } | Self::Read { .. } | Self::Delete { .. })
    }

    /// How long it takes at most.
    pub(crate) fn longest(&self) -> Millis {
        match self {
            Self::Create { .. } | Self::Delete { .. } => MINUTE,
            Self::Deliver { .. } | Self::Provision => 5 * SECOND,
            _ => SECOND,
        }
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Keys(Sightings),
    Made(Sighted),
    Secret(Arc<ServiceKey>),
    Accepted(Accepted),
    Grade(Grade),
    Status(Status),
    Content(Content),
    Refused(bool),
    Done,
}

fn refuse(class: Class, text: &str) -> Result<Reply, Failure> {
    Err(Failure::new(class, text))
}

impl Tenant {
    /// Lets a request take effect.
    pub(crate) fn apply(
        &mut self,
        request: &Request,
        now: Millis,
        found: &mut Vec<Finding>,
    ) -> Result<Reply, Failure> {
        self.settle(now, found);
        match request {
            Request::List => Ok(Reply::Keys(self.list(now))),
            Request::Create { role, name } => self.create(*role, name, now, found),
            Request::Read { place } => self.read(*place, now),
            Request::Delete { place } => {
                let lag = self.manners.list_lag.max(1);
                let times = (self.dice.below(lag), self.dice.below(20 * SECOND));
                self.delete(*place, By::Rekeyd, now, times, found);
                Ok(Reply::Done)
            }
            Request::Test { role, place } => self.test(*role, *place, now),
            Request::Deliver { pair } => self.deliver(*pair, now, found),
            Request::Provision => self.provision(now),
            Request::Status => Ok(Reply::Status(self.status())),
            Request::Content { place } => self.content(*place),
            Request::IsRefused { place } => {
                let key = &self.keys[*place];
                Ok(Reply::Refused(!self.accepts(*place) && !self.manners.undying && now >= key.refused_from))
            }
        }
    }

    fn create(
        &mut self,
        role: Role,
        name: &KeyName,
        now: Millis,
        found: &mut Vec<Finding>,
    ) -> Result<Reply, Failure> {
        if let Some(place) = self.named(role, name) {
            if !self.keys[place].broken {
                return refuse(Class::Conflict, "the name is taken").map_err(Failure::ambiguous);
            }
            // The issuer replaces a failed key of the same name.
            self.keys[place].deleted = Some((now, self.tick, By::Rekeyd));
            self.keys[place].lingers_until = now;
        }
        // What a person deleted may be made once more; what rekeyd made and deleted may not.
        let before = |key: &Key| key.name == *name && !key.broken && !key.was_deleted_by(By::Hand);
        if self.keys.iter().any(before) {
            let text = format!("t{}: `{name}` was made twice", self.number);
            let late = self.late && self.named(role, name).is_none();
            found.push(if late {
                note("second create, late", text)
            } else {
                violation("second create", text)
            });
        }
        let breaks = self.dice.happens(100);
        let (lag, young) = (self.manners.list_lag.max(1), self.manners.propagation.max(1));
        let place = self.add(role, name.clone(), Maker::Rekeyd, now);
        let (listed, busy) = (self.dice.below(lag), self.dice.below(lag));
        let works = self.dice.below(young);
        let key = &mut self.keys[place];
        key.broken = breaks;
        (key.listed_from, key.ready_from, key.works_from) = (now + listed, now + busy, now + works);
        self.count_keys(role, found);
        if breaks {
            return refuse(Class::ClientError, "making the key failed");
        }
        Ok(Reply::Made(self.sighted(place)))
    }

    /// At most three keys of a role: what rekeyd made and one that it found. A clone may add one of its own.
    fn count_keys(&self, role: Role, found: &mut Vec<Finding>) {
        let alive = |maker| {
            self.keys
                .iter()
                .filter(move |key| key.role == role && key.is_alive() && key.maker == maker)
                .count()
        };
        let count = alive(Maker::Rekeyd) + alive(Maker::Hand).min(1);
        if count > 3 + usize::from(self.cloned) {
            found.push(violation("too many keys", format!("t{}: {count} live `{role}` keys", self.number)));
        }
    }

    fn read(&self, place: usize, now: Millis) -> Result<Reply, Failure> {
        let key = &self.keys[place];
        if !key.is_alive() || now < key.ready_from {
            return refuse(Class::NotFound, "there is no such key");
        }
        Ok(Reply::Secret(Arc::clone(&key.secret)))
    }

    fn test(&self, role: Role, place: usize, now: Millis) -> Result<Reply, Failure> {
        if !self.accepts(place) || now < self.keys[place].works_from {
            return refuse(Class::Unauthorized, "the key is refused");
        }
        Ok(Reply::Grade(if role == Role::Ciapi { Grade::Read } else { Grade::Token }))
    }

    fn accepted(&self, now: Millis) -> Reply {
        let told = self.manners.tells_time.then(|| offset_stamp(now, self.manners.skew));
        Reply::Accepted(Accepted { upstream_at: told })
    }

    fn deliver(&mut self, pair: Pair, now: Millis, found: &mut Vec<Finding>) -> Result<Reply, Failure> {
        if self.manners.no_put {
            return refuse(Class::NotFound, "there is no such endpoint");
        }
        let taken = Pair {
            ciapi: if self.manners.takes_cirt_only { self.consumer.held.ciapi } else { pair.ciapi },
            cirt: pair.cirt,
        };
        let tick = self.next_tick();
        // One that was given up, of the pair that was delivered again since, is no measure of what a run came after.
        let repeats = self.late && self.consumer.delivered == Some(pair);
        let ignored = self.consumer.ignored_tick.filter(|_| repeats).unwrap_or(tick);
        self.consumer.deliver(pair, self.late);
        if self.manners.ignores_put {
            if pair != self.consumer.held {
                self.consumer.ignored_tick = Some(ignored);
            }
            return Ok(self.accepted(now));
        }
        self.keys[pair.ciapi].delivered = true;
        self.keys[pair.cirt].delivered = true;
        let delay = self.manners.put_delay.min(LONGEST_PUT_DELAY);
        if delay > 0 {
            let after = self.dice.below(delay);
            self.consumer.take_later(now + after, taken, (taken != pair).then_some(ignored));
        } else {
            self.put(taken, By::Rekeyd, found);
            if self.manners.runs_on_put {
                self.run(now, By::Rekeyd);
            }
        }
        if taken != pair {
            self.consumer.ignored_tick = Some(ignored);
        }
        Ok(self.accepted(now))
    }

    /// Starts a run.
    pub(crate) fn run(&mut self, now: Millis, by: By) {
        let tick = self.next_tick();
        let takes = self.dice.between(SECOND, self.manners.run_time.max(2 * SECOND));
        self.consumer.start_run(&self.manners, by, now, tick, takes);
    }

    fn provision(&mut self, now: Millis) -> Result<Reply, Failure> {
        if self.manners.no_post {
            return refuse(Class::NotFound, "there is no such endpoint");
        }
        self.run(now, By::Rekeyd);
        Ok(self.accepted(now))
    }

    fn status(&mut self) -> Status {
        let (shown, since) = self.consumer.look();
        let mut verdict = match shown {
            Shown::Running => Verdict::InProgress,
            Shown::Ended { well: true } => Verdict::Success,
            Shown::Ended { well: false } => Verdict::Error,
        };
        // A status flaps while a run is under way: for one look, never for two in a row. The truth in between may not have
        // been heard, so it tells of no second success to whom the first one is all that was.
        let flaps = self.manners.flaps;
        let lies = flaps > 0 && shown == Shown::Running && !self.lied && self.dice.below(flaps) == 0;
        self.lied = lies;
        if lies {
            let lie = self.dice.pick(&[Verdict::Unknown, Verdict::Success, Verdict::Error]);
            verdict = if self.believed && lie == Verdict::Success { verdict } else { lie };
        }
        self.consumer.showed(verdict.may_be_under_way());
        Status {
            verdict,
            word: verdict.as_str().to_owned(),
            at: self.manners.tells_time.then(|| offset_stamp(since, self.manners.skew)),
            detail: None,
        }
    }

    fn content(&self, place: usize) -> Result<Reply, Failure> {
        if !self.accepts(place) {
            return refuse(Class::Unauthorized, "the key is refused");
        }
        let deployed_at = Some(offset_stamp(self.consumer.deployed_at, self.manners.skew));
        Ok(Reply::Content(Content { deployed_at, started: true }))
    }
}
