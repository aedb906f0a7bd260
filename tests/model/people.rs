//! What people do: ask, confirm, meddle with keys, and enter them at the consumer.

use rekeyd::domain::event::{Event, Trigger, Wish};
use rekeyd::domain::fleet::Pass;
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::key::{KeySet, KeyState};
use rekeyd::domain::names::Role;
use rekeyd::domain::stage::Stage;
use rekeyd::domain::wish;

use super::act::{Asked, Entered};
use super::clock::stamp;
use super::host::{At, Play};
use super::setup::tag_of;
use super::world::{Held, Maker, Pair, Tag};

impl Play<'_> {
    /// A person asks for something; whichever instance can take it takes it. Answers whether it was taken.
    pub(crate) fn ask(&mut self, asked: Asked) -> bool {
        for host in 0..self.world.hosts.len() {
            let at_hand = matches!(self.host(host).at, At::Rests | At::Walks(_));
            if at_hand && self.world.hosts[host].held_up_until <= self.world.time && self.hold_lease(host) {
                return self.ask_of(host, asked);
            }
        }
        false
    }

    fn ask_of(&mut self, host: usize, asked: Asked) -> bool {
        let now = self.world.now(host);
        let reason = "asked for".to_owned();
        let wish = match asked {
            Asked::Rotate => Wish::Rotate { trigger: Trigger::Command, reason, pass: Pass::default() },
            Asked::Restore => Wish::Restore { reason },
            Asked::Hold => Wish::Hold { until: None, reason },
            Asked::HoldForAWhile => Wish::Hold { until: Some(stamp(now + 5)), reason },
            Asked::Unhold => Wish::Unhold,
            Asked::Resume | Asked::RepairAndResume => Wish::Resume,
            Asked::Confirm | Asked::ConfirmWrongly => Wish::Confirm,
        };
        let record = self.host(host).record.clone();
        if wish::admit(record.as_deref(), &wish, stamp(now)).is_err() || !self.does_as_asked(host, asked) {
            return false;
        }
        self.tell(|_| format!("somebody asks: {asked:?}"));
        if self.append(host, Event::Wished(wish)).is_err() {
            return false;
        }
        self.wake(host);
        true
    }

    fn wake(&mut self, host: usize) {
        let now = self.world.now(host);
        self.host(host).next_look = now;
    }

    /// What a person does before asking. Answers whether it is possible.
    fn does_as_asked(&mut self, host: usize, asked: Asked) -> bool {
        let record = self.host(host).record.clone();
        let Some((reason, stage)) = record
            .as_ref()
            .and_then(|record| record.halt.as_ref().map(|halt| (halt.reason.clone(), record.stage.clone())))
        else {
            return !matches!(asked, Asked::RepairAndResume);
        };
        let truth = self.world.consumer;
        match (asked, &reason) {
            (Asked::RepairAndResume, HaltReason::DuplicateName { role, name, .. }) => {
                let tag = tag_of(*role, name);
                let doubles =
                    self.world.keys.iter().filter(|held| held.tag.copy > 0 && held.tag.role == tag.role);
                for tag in doubles.map(|held| held.tag).collect::<Vec<_>>() {
                    self.delete_by_hand(tag);
                }
                true
            }
            (
                Asked::RepairAndResume,
                HaltReason::ExclusionFailed { .. }
                | HaltReason::RestoreFailed { .. }
                | HaltReason::Indeterminate,
            ) => {
                let newest = stage.newest().clone();
                self.pair_of(&newest).is_some_and(|pair| self.enter(pair))
            }
            (Asked::RepairAndResume, _) => false,
            // The keys that were to be entered were entered, and the data plane was onboarded again.
            (Asked::Confirm, HaltReason::ManualDelivery { .. }) => {
                let newest = stage.newest().clone();
                let Some(pair) = self.pair_of(&newest) else { return false };
                for held in self.world.keys.iter_mut().filter(|held| pair.contains(&held.tag)) {
                    held.given = true;
                }
                self.enter(pair)
            }
            (Asked::Confirm, HaltReason::Indeterminate) => {
                let newest = self.pair_of(stage.newest());
                truth.works_with == truth.held && newest == Some(truth.held)
            }
            (Asked::Confirm, _) => self.adopted().is_some_and(|pair| pair == truth.held),
            (Asked::ConfirmWrongly, _) => {
                self.world.book.misled = true;
                true
            }
            _ => true,
        }
    }

    /// What would be taken for the keys in use.
    fn adopted(&self) -> Option<Pair> {
        let sightings = self.world.list(self.setup, false);
        let live: KeySet = rekeyd::domain::plan::adoption(self.policy(), &sightings).ok()?;
        self.pair_of(&live)
    }

    /// A person enters a pair at the consumer and onboards it again.
    fn enter(&mut self, pair: Pair) -> bool {
        if !pair.iter().all(|tag| self.world.accepts(*tag)) {
            return false;
        }
        self.tell(|_| format!("somebody enters {pair:?} at the consumer"));
        self.world.consumer.held = pair;
        self.world.book.told = pair;
        self.world.start_run(self.setup, !self.setup.manners.stuck, false);
        true
    }

    pub(crate) fn push(&mut self, host: usize) -> bool {
        let at_hand = matches!(self.host(host).at, At::Rests | At::Walks(_));
        if !at_hand || !self.hold_lease(host) {
            return false;
        }
        let now = self.now(host);
        let record = self.host(host).record.clone();
        let waits = record.is_some_and(|record| {
            let backs_off = record.trouble.retry_at.is_some_and(|at| now < at);
            let pauses = record.cycles > 0 && !record.pushed && matches!(record.stage, Stage::Settled { .. });
            record.halt.is_none() && (backs_off || pauses)
        });
        if !waits || self.append(host, Event::Pushed).is_err() {
            return false;
        }
        self.tell(|_| "somebody pushes".to_owned());
        self.wake(host);
        true
    }

    pub(crate) fn delete_by_hand(&mut self, tag: Tag) {
        self.tell(|_| format!("somebody deletes {tag:?} by hand"));
        let (now, told) = (self.world.time, self.world.book.told);
        for held in self.world.keys.iter_mut().filter(|held| held.tag == tag && held.gone_at.is_none()) {
            held.gone_at = Some(now);
            held.by_hand = true;
            if tag.role == Role::Ciapi && held.given && !told.contains(&tag) {
                self.world.book.ciapi_gone_at = Some(now);
            }
        }
    }

    pub(crate) fn create_by_hand(&mut self, role: Role) -> bool {
        let tag = Tag { role, maker: Maker::Hand, generation: 0, copy: 0 };
        if self.world.keys.iter().any(|held| held.tag == tag) {
            return false;
        }
        self.tell(|_| format!("somebody makes {tag:?} by hand"));
        let made_at = self.world.time;
        let held = Held { tag, state: KeyState::Ready, made_at, gone_at: None, by_hand: false, given: false };
        self.world.keys.push(held);
        self.world.keys.sort_by_key(|held| held.tag);
        true
    }

    /// A person enters keys at the consumer that nobody asked for.
    pub(crate) fn enter_by_hand(&mut self, entered: Entered) -> bool {
        let Some(record) = self.world.disk.clone() else { return false };
        let first = self.setup.first_pair();
        let newest = self.pair_of(record.stage.newest());
        let pair = match entered {
            Entered::First => Some(first),
            Entered::InUse => self.pair_of(record.stage.in_use()),
            Entered::Newest => newest,
            Entered::Mixed => newest.map(|newest| [newest[0], first[1]]),
        };
        let Some(pair) = pair.filter(|pair| *pair != self.world.consumer.held) else { return false };
        let told = self.world.book.told;
        let entered = self.enter(pair);
        // Nobody told rekeyd.
        self.world.book.told = told;
        self.world.book.lied = true;
        entered
    }
}
