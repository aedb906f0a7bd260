//! The world of the first model: an issuer, a consumer, the journal's disk, and whoever works on them. It does what it
//! is told and keeps the truth, which the walkers only see by looking.

use std::sync::Arc;

use rekeyd::domain::fold;
use rekeyd::domain::key::{Key, KeyState};
use rekeyd::domain::names::Role;
use rekeyd::domain::observation::Verdict;
use rekeyd::domain::record::Record;
use rekeyd::ports::Lease;

use super::host::Host;
use super::setup::Setup;

/// Which key: keys of one tag are alike, whichever path they were made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    pub(crate) role: Role,
    pub(crate) maker: Maker,
    pub(crate) generation: u8,
    /// 1 for a second key of one name.
    pub(crate) copy: u8,
}

/// Who made a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Maker {
    /// A person, before rekeyd came.
    First,
    Rekeyd,
    /// A person, meanwhile and for something else.
    Hand,
}

/// What the consumer is given: a `ciapi` and a `cirt`.
pub(crate) type Pair = [Tag; 2];

pub(crate) fn of(pair: Pair, role: Role) -> Tag {
    pair[usize::from(role == Role::Cirt)]
}

/// One key at the issuer, or what is left of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) tag: Tag,
    pub(crate) state: KeyState,
    pub(crate) made_at: i64,
    pub(crate) gone_at: Option<i64>,
    pub(crate) by_hand: bool,
    /// Whether the consumer was ever given it.
    pub(crate) given: bool,
}

/// A run of the consumer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// It deploys the pair that was held when it began.
    pub(crate) pair: Pair,
    pub(crate) began: i64,
    /// `None` never ends.
    pub(crate) ends: Option<i64>,
    pub(crate) unlucky: bool,
}

/// The end of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) verdict: Verdict,
    pub(crate) at: i64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Consumer {
    pub(crate) held: Pair,
    pub(crate) run: Option<Run>,
    pub(crate) last: Ended,
    /// The end before the last: what a stale answer shows.
    pub(crate) before: Ended,
    pub(crate) deployed_at: i64,
    pub(crate) deployed_before: i64,
    /// The pair of the last run that succeeded, when the first such run of this pair ended, and when the last began.
    pub(crate) works_with: Pair,
    pub(crate) works_since: i64,
    pub(crate) works_from: i64,
}

/// A call whose caller has given up and which takes effect all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Create(Tag),
    Deliver(Pair),
    /// A delivery that another one, which was answered, has overtaken.
    Overtaken(Pair),
    Provision,
    Delete(Tag),
}

/// What is noted beside the truth, to judge by.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is noted by itself")]
pub(crate) struct Book {
    /// The pair that the consumer said it took, or a person said it has.
    pub(crate) told: Pair,
    /// When the last `ciapi` went that the consumer had been given.
    pub(crate) ciapi_gone_at: Option<i64>,
    /// How often a clock leapt ahead: one pause of a watched wait was then shorter than it looked.
    pub(crate) leaps: u8,
    /// The consumer said or showed something that was not so, or a person entered keys behind rekeyd's back.
    pub(crate) lied: bool,
    /// The consumer said, when it was asked last, that it cannot be asked to provision.
    pub(crate) no_post: bool,
    /// A person confirmed something that was not so.
    pub(crate) misled: bool,
    /// More keys than two generations have an explanation: a create that came late or twice, a person.
    pub(crate) crowded: bool,
}

/// Everything.
#[derive(Clone)]
pub(crate) struct World {
    /// True time.
    pub(crate) time: i64,
    /// Which of the setup's two policies is configured.
    pub(crate) reconfigured: bool,
    /// The journal, folded.
    pub(crate) disk: Option<Arc<Record>>,
    pub(crate) head: u64,
    pub(crate) lease: Option<Lease>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) keys: Vec<Held>,
    pub(crate) consumer: Consumer,
    pub(crate) late: Option<(Call, i64)>,
    pub(crate) book: Book,
    pub(crate) wrong: Option<String>,
}

/// How long a run of the consumer takes.
pub(crate) const RUN: i64 = 1;
/// A call that was given up takes effect within this time, or never.
pub(crate) const LATEST: i64 = 4;
/// How long a fresh key may be missing from a listing: the policy's `lag`.
pub(crate) const LAG: i64 = 1;
/// How long a deleted key may still be listed: two of the policy's polls.
pub(crate) const GHOST: i64 = 2;
/// How long a token lives.
pub(crate) const TOKEN_LIFE: i64 = 2;

impl World {
    pub(crate) fn new(setup: &Setup) -> Self {
        let pair = setup.first_pair();
        let first = |tag| Held {
            tag,
            state: KeyState::Ready,
            made_at: -1000,
            gone_at: None,
            by_hand: false,
            given: true,
        };
        let ended = Ended { verdict: Verdict::Success, at: -1000 };
        Self {
            time: 0,
            reconfigured: false,
            disk: None,
            head: 0,
            lease: None,
            hosts: vec![Host::new(); setup.hosts],
            keys: pair.map(first).to_vec(),
            consumer: Consumer {
                held: pair,
                run: None,
                last: ended,
                before: ended,
                deployed_at: -1000,
                deployed_before: -1000,
                works_with: pair,
                works_since: -1000,
                works_from: -1000,
            },
            late: None,
            book: Book {
                told: pair,
                ciapi_gone_at: None,
                leaps: 0,
                lied: false,
                no_post: false,
                misled: false,
                crowded: false,
            },
            wrong: None,
        }
    }

    pub(crate) fn accuse(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    pub(crate) fn key(&self, tag: Tag) -> Option<&Held> {
        self.keys.iter().find(|held| held.tag == tag && held.gone_at.is_none())
    }

    /// Whether a token can be had with a key.
    pub(crate) fn accepts(&self, tag: Tag) -> bool {
        self.key(tag).is_some_and(|held| matches!(held.state, KeyState::Ready | KeyState::Deleting))
    }

    /// Whether a key went by somebody else's hand.
    pub(crate) fn went_by_hand(&self, tag: Tag) -> bool {
        self.keys.iter().any(|held| held.tag == tag && held.by_hand)
    }

    /// Lets time go by, and with it what goes on by itself.
    pub(crate) fn advance(&mut self, setup: &Setup, to: i64) {
        while self.time < to {
            // What goes on by itself ends soon: after that time goes by in one leap.
            self.time = if self.time + 16 < to && self.is_still() { to } else { self.time + 1 };
            self.settle(setup);
        }
    }

    fn is_still(&self) -> bool {
        let running = self.consumer.run.is_some_and(|run| run.ends.is_some());
        let changing =
            self.keys.iter().any(|held| held.state != KeyState::Ready && held.state != KeyState::Broken);
        self.late.is_none() && !running && !changing
    }

    fn settle(&mut self, setup: &Setup) {
        let now = self.time;
        if self.late.is_some_and(|(_, until)| until < now) {
            self.late = None;
        }
        if let Some(run) = self.consumer.run
            && run.ends.is_some_and(|ends| ends <= now)
        {
            self.end_run(run);
        }
        for held in &mut self.keys {
            match held.state {
                KeyState::Busy if held.made_at < now => held.state = KeyState::Ready,
                KeyState::Deleting if held.gone_at.is_none() => {
                    held.state = KeyState::Ready;
                    held.gone_at = Some(now);
                }
                _ => {}
            }
        }
        // What went long ago is nowhere any more, unless somebody asks who did it.
        let (consumer, record) = (self.consumer, self.disk.as_deref());
        let asked = |tag: Tag| {
            consumer.held.contains(&tag)
                || record.is_some_and(|record| {
                    record.stage.keys().iter().any(|(_, key)| setup.tag(&key.id) == tag)
                })
        };
        self.keys.retain(|held| {
            held.gone_at.is_none_or(|gone| now <= gone + GHOST + TOKEN_LIFE) || asked(held.tag)
        });
    }

    /// A run works with a `ciapi` that is accepted, or with a token made while it was.
    fn end_run(&mut self, run: Run) {
        let ciapi = of(run.pair, Role::Ciapi);
        let gone_at = self.keys.iter().filter(|held| held.tag == ciapi).find_map(|held| held.gone_at);
        let has_token = gone_at.is_some_and(|gone| run.began < gone + TOKEN_LIFE);
        let works = (self.accepts(ciapi) || has_token) && !run.unlucky;
        let consumer = &mut self.consumer;
        consumer.run = None;
        consumer.before = consumer.last;
        let verdict = if works { Verdict::Success } else { Verdict::Error };
        consumer.last = Ended { verdict, at: self.time };
        if works {
            consumer.deployed_before = consumer.deployed_at;
            consumer.deployed_at = self.time;
            consumer.works_from = run.began;
            if consumer.works_with != run.pair {
                consumer.works_with = run.pair;
                consumer.works_since = self.time;
            }
        }
    }

    pub(crate) fn start_run(&mut self, setup: &Setup, ends: bool, unlucky: bool) {
        let ends = ends.then_some(self.time + RUN);
        let unlucky = unlucky || (setup.manners.hates_fresh && self.consumer.held != setup.first_pair());
        self.consumer.run = Some(Run { pair: self.consumer.held, began: self.time, ends, unlucky });
    }

    /// Whether there is a key of this name, which then cannot be made.
    pub(crate) fn is_taken(&self, tag: Tag) -> bool {
        let named = |held: &Held| Tag { copy: 0, ..held.tag } == tag && held.gone_at.is_none();
        self.keys.iter().any(|held| named(held) && held.state != KeyState::Broken)
    }

    /// Makes a key, in place of one of its name that could not be made.
    pub(crate) fn create(&mut self, setup: &Setup, tag: Tag, state: KeyState) -> Tag {
        if setup.in_place {
            // The one in use dies with that. Nobody but the operator's wish for it is to blame.
            let time = self.time;
            let of_role = |held: &&mut Held| held.tag.role == tag.role && held.gone_at.is_none();
            for held in self.keys.iter_mut().filter(of_role) {
                (held.gone_at, held.by_hand) = (Some(time), true);
            }
        }
        let named = |held: &&Held| Tag { copy: 0, ..held.tag } == tag;
        self.keys.retain(|held| !(named(&held) && held.state == KeyState::Broken));
        // A key that is made again is another key.
        let copy = self.keys.iter().filter(named).map(|held| held.tag.copy + 1).max().unwrap_or(0);
        let tag = Tag { copy, ..tag };
        self.keys.push(Held { tag, state, made_at: self.time, gone_at: None, by_hand: false, given: false });
        self.keys.sort_by_key(|held| held.tag);
        tag
    }

    /// Hands a pair over; `takes` says which of it the consumer takes.
    pub(crate) fn offer(&mut self, setup: &Setup, pair: Pair, takes: [bool; 2]) {
        for held in self.keys.iter_mut().filter(|held| pair.contains(&held.tag)) {
            held.given = true;
        }
        // Without a status nobody can tell that it was under way before.
        self.book.lied |= setup.manners.no_status && self.consumer.run.is_some();
        for (index, takes) in takes.into_iter().enumerate() {
            if takes {
                self.consumer.held[index] = pair[index];
            }
        }
        if setup.manners.runs_on_put {
            self.start_run(setup, !setup.manners.stuck, false);
        }
    }

    /// A late call takes effect.
    pub(crate) fn land(&mut self, setup: &Setup) {
        let Some((call, _)) = self.late.take() else { return };
        match call {
            Call::Create(tag) if self.is_taken(tag) => {}
            Call::Create(tag) => {
                self.create(setup, tag, KeyState::Ready);
                self.book.crowded = true;
            }
            Call::Deliver(pair) => {
                self.offer(setup, pair, [true, true]);
                self.book.told = pair;
            }
            Call::Overtaken(pair) => self.overtaken(setup, pair),
            Call::Provision => self.start_run(setup, !setup.manners.stuck, false),
            Call::Delete(tag) => self.delete(setup, tag, false),
        }
    }

    /// A delivery takes effect after that of another instance. Nobody is told. What the answer to the other one said may
    /// not have been so, and is now.
    pub(crate) fn overtaken(&mut self, setup: &Setup, pair: Pair) {
        self.book.lied |= self.consumer.held != self.book.told;
        self.offer(setup, pair, [true, true]);
    }

    /// rekeyd deletes a key; `slowly` leaves it to be deleted a little later.
    pub(crate) fn delete(&mut self, setup: &Setup, tag: Tag, slowly: bool) {
        let Some(held) = self.key(tag).copied() else { return };
        self.judge_deletion(setup, &held);
        let now = self.time;
        if tag.role == Role::Ciapi && held.given && !self.book.told.contains(&tag) {
            self.book.ciapi_gone_at = Some(now);
        }
        for held in self.keys.iter_mut().filter(|held| held.tag == tag && held.gone_at.is_none()) {
            if slowly {
                held.state = KeyState::Deleting;
            } else {
                held.gone_at = Some(now);
            }
        }
    }

    /// Folds an entry into the journal's disk.
    pub(crate) fn journal(&mut self, entry: &rekeyd::domain::event::Entry) {
        // What is journalled survives being written and read.
        let text = serde_json::to_string(entry).expect("an entry serialises");
        let read: rekeyd::domain::event::Entry =
            serde_json::from_str(&text).expect("what was written can be read");
        assert_eq!(read, *entry, "what is read is what was written");
        let before = self.disk.as_deref().cloned();
        let record = fold::apply(before, &read).expect("only what fits is journalled");
        self.head = read.sequence;
        self.disk = Some(Arc::new(record));
    }

    /// What the issuer lists. `behind` leaves out what was made just now and shows what has just gone.
    pub(crate) fn list(&self, setup: &Setup, behind: bool) -> rekeyd::domain::key::Sightings {
        let mut sightings: rekeyd::domain::key::Sightings =
            Role::PAIR.into_iter().map(|role| (role, vec![])).collect();
        for held in &self.keys {
            let shown = if behind {
                held.made_at + LAG <= self.time && held.gone_at.is_none_or(|gone| self.time < gone + GHOST)
            } else {
                held.gone_at.is_none()
            };
            if shown {
                let key: Key = setup.key(held.tag);
                let sighting = rekeyd::domain::key::Sighting { key, state: held.state };
                sightings.entry(held.tag.role).or_default().push(sighting);
            }
        }
        sightings
    }
}
