//! What must never be, judged by the truth and not by what rekeyd knows of it.

use rekeyd::domain::event::{Entry, Event};
use rekeyd::domain::key::KeyState;
use rekeyd::domain::names::Role;
use rekeyd::domain::proof::pin_difference;
use rekeyd::domain::stage::Stage;

use super::clock::step_of;
use super::host::Play;
use super::setup::{RENEWAL, SOAK, Setup};
use super::world::{Held, Maker, Tag, World, of};

impl Play<'_> {
    /// Judges an entry at the moment it gets on disk.
    pub(crate) fn judge_entry(&mut self, host: usize, entry: &Entry) {
        let (now, policy) = (self.now(host), self.policy());
        if let Event::Adopted { live, .. } = &entry.event
            && let Some(pair) = self.pair_of(live)
        {
            self.world.book.told = pair;
            // Of one key there is no telling what it is for: it is taken for the one in use, and is treated so.
            for held in self.world.keys.iter_mut().filter(|held| pair.contains(&held.tag)) {
                held.given = true;
            }
        }
        let Some(record) = self.world.disk.clone() else { return };
        // What this rotation made in place of another took that one along.
        let fresh = |held: &Held| {
            held.tag.maker == Maker::Rekeyd && u32::from(held.tag.generation) == record.generation
        };
        let burnt = self.setup.in_place && self.world.keys.iter().any(fresh);
        let begun = !matches!(record.stage, Stage::Settled { .. });
        if burnt && begun && matches!(entry.event, Event::TurnedBack { .. } | Event::DeleteSent { .. }) {
            self.world.accuse(format!("`{}` although the secret before it is dead", entry.event.name()));
        }
        let changes = matches!(
            entry.event,
            Event::Begun { .. }
                | Event::CreateSent { .. }
                | Event::ProvisionSent
                | Event::DeleteSent { .. }
                | Event::RetireBegun
        );
        if !changes {
            return;
        }
        let name = entry.event.name();
        if let Some(halt) = &record.halt {
            self.world.accuse(format!("`{name}` while halted: {}", halt.reason));
        }
        if pin_difference(&record.pin, &policy.pin).is_some() {
            self.world.accuse(format!("`{name}` although the configuration points elsewhere"));
        }
        if record.is_held(now) && !matches!(entry.event, Event::CreateSent { .. } | Event::ProvisionSent) {
            self.world.accuse(format!("`{name}` while held"));
        }
        if let Event::DeleteSent { name, .. } = &entry.event {
            let may_hold = record.stage.may_hold();
            let held = record.stage.keys().into_iter().find(|(_, key)| key.name == *name);
            if held.is_some_and(|(_, key)| may_hold.contains(&key.id)) {
                self.world.accuse(format!("`{name}` is to be deleted and the consumer may hold it"));
            }
        }
    }

    /// A name was asked for again although a listing would have shown it.
    pub(crate) fn judge_conflict(&mut self, host: usize, tag: Tag) {
        let came_late = self.world.book.crowded || self.world.book.leaps > 0;
        // Who was held up right before the call cannot be stopped; the issuer refuses the name.
        if !came_late && self.world.is_leased(host) {
            self.world.accuse(format!("a second create of {tag:?} was sent although it could be seen"));
        }
    }

    /// Whoever rests with nothing to do leaves no key behind that nobody needs.
    pub(crate) fn judge_rest(&mut self, host: usize) {
        let Some(record) = self.world.disk.clone() else { return };
        let now = self.now(host);
        if self.met || !matches!(record.stage, Stage::Settled { .. }) || record.is_held(now) {
            return;
        }
        for held in self.world.keys.clone() {
            let key = self.setup.key(held.tag);
            let needed = record.stage.keys().into_iter().any(|(_, live)| live.id == key.id)
                || record.left.contains_key(&key.name)
                || record
                    .delete_sent
                    .as_ref()
                    .is_some_and(|(name, at)| *name == key.name && step_of(now) < step_of(*at) + 3);
            let alive = held.gone_at.is_none() && matches!(held.state, KeyState::Ready | KeyState::Broken);
            if held.tag.maker == Maker::Rekeyd && alive && !needed {
                self.world.accuse(format!(
                    "`{}` is an orphan: nobody needs it and nobody clears it away",
                    key.name
                ));
            }
        }
    }
}

impl World {
    /// Judges a deletion by rekeyd at the moment of its effect.
    pub(crate) fn judge_deletion(&mut self, setup: &Setup, held: &Held) {
        if let Some(why) = self.unproven(setup, held) {
            let name = setup.key(held.tag).name;
            self.accuse(format!("`{name}` is deleted: {why}"));
        }
    }

    fn unproven(&self, setup: &Setup, held: &Held) -> Option<&'static str> {
        let (book, consumer, tag) = (&self.book, &self.consumer, held.tag);
        if tag.maker == Maker::Hand && !held.given {
            return Some("a person made it for something else");
        }
        if book.misled {
            return None;
        }
        let told = consumer.held == book.told;
        // What nobody could find out: it said it took both and took the `ciapi` only, so that every proof succeeds.
        let took_half = of(consumer.held, Role::Ciapi) == of(book.told, Role::Ciapi) && !told;
        let can_exclude = setup.can_exclude(self.reconfigured) && !book.no_post;
        if !held.given && !told {
            // A person entered what rekeyd had made and given to nobody.
            return None;
        }
        if tag == of(consumer.held, Role::Cirt) && !took_half && (can_exclude || told) {
            return Some("the consumer holds this `cirt`: it is locked out");
        }
        if tag == of(consumer.held, Role::Ciapi) && told {
            return Some("the consumer holds this `ciapi`, and never said otherwise");
        }
        if !held.given {
            return None;
        }
        if told && !book.lied && consumer.works_with != consumer.held {
            return Some("no run has succeeded with what the consumer holds");
        }
        // What the proof by exclusion shows afterwards, it shows without a soak of its own.
        let excluded = can_exclude && tag.role == Role::Cirt;
        let soaked = consumer.works_since + SOAK - RENEWAL * i64::from(book.leaps);
        if told && !book.lied && !excluded && self.time < soaked && consumer.works_with == consumer.held {
            return Some("its successor has not soaked");
        }
        if tag.role == Role::Cirt {
            let partner = Tag { role: Role::Ciapi, ..tag };
            if self.key(partner).is_some() {
                return Some("the `ciapi` of the same pair is still there");
            }
            let excluded = book.ciapi_gone_at.is_none_or(|gone| consumer.works_from >= gone);
            if can_exclude && !excluded && !book.lied {
                return Some("no run has succeeded since the `ciapi` of the same pair went");
            }
        }
        None
    }

    /// What is wrong with a state as it is.
    pub(crate) fn judge_state(&self, setup: &Setup) -> Option<String> {
        if let Some(wrong) = &self.wrong {
            return Some(wrong.clone());
        }
        let record = self.disk.as_deref()?;
        for id in record.stage.may_hold() {
            let tag = setup.tag(id);
            if self.key(tag).is_none() && !self.went_by_hand(tag) {
                return Some(format!("`{}` is gone and the consumer may hold it", setup.key(tag).name));
            }
        }
        for role in Role::PAIR {
            let ours = self.keys.iter().filter(|held| {
                held.tag.role == role && held.gone_at.is_none() && held.tag.maker != Maker::Hand
            });
            let stays = |held: &&Held| record.left.contains_key(&setup.key(held.tag).name);
            let (count, left) = (ours.clone().count(), ours.filter(stays).count());
            // An issuer that makes two of one create, or one long after it was given up, is not stopped by anybody.
            if count > 3 + usize::from(self.book.crowded) || (count - left > 2 && !self.book.crowded) {
                return Some(format!("{count} `{role}` keys live, and {left} of them were left"));
            }
        }
        None
    }

    /// Whether this needs nothing more, or nothing but a person.
    pub(crate) fn end(&self) -> Option<&'static str> {
        if self.late.is_some() {
            return None;
        }
        let rests = |says: &[&str]| {
            let in_step = |record: Option<u64>| record == self.disk.as_deref().map(|record| record.sequence);
            self.hosts.iter().any(|host| {
                in_step(host.record.as_deref().map(|record| record.sequence)) && says.contains(&host.says)
            })
        };
        let Some(record) = self.disk.as_deref() else {
            return rests(&["not-adopted"]).then_some("not adopted");
        };
        if let Some(halt) = &record.halt {
            return Some(halt.reason.code());
        }
        // The record stands still until a person does what is asked.
        let asked = self.hosts.iter().any(|host| host.asks && host.record == self.disk);
        match &record.stage {
            Stage::Settled { .. } if rests(&["not-due", "held"]) => Some("settled"),
            _ if asked => Some("a person is asked"),
            _ if record.hold.as_ref().is_some_and(|hold| hold.until.is_none())
                && rests(&["held", "gate"]) =>
            {
                Some("held")
            }
            _ => None,
        }
    }
}
