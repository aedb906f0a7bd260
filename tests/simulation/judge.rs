//! What counts: the books of truth. Every change of a tenant goes through here and is judged at the moment of its effect,
//! by what is true and not by what anybody was told. The rules are those of the sandbox's books.

use rekeyd::domain::names::Role;

use super::consumer::Pair;
use super::tenant::{By, Key, Maker, Tenant};
use super::time::Millis;

/// Something worth writing down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What it is called.
    pub(crate) kind: &'static str,
    /// Whether it must never happen.
    pub(crate) is_violation: bool,
    /// To what.
    pub(crate) text: String,
}

pub(crate) fn violation(kind: &'static str, text: impl Into<String>) -> Finding {
    Finding { kind, is_violation: true, text: text.into() }
}

pub(crate) fn note(kind: &'static str, text: impl Into<String>) -> Finding {
    Finding { kind, is_violation: false, text: text.into() }
}

impl Tenant {
    /// Lets happen what happens by itself until `now`.
    pub(crate) fn settle(&mut self, now: Millis, found: &mut Vec<Finding>) {
        while let Some(at) = self.consumer.next_event(&self.manners).filter(|at| *at <= now) {
            if self.consumer.take_late_put(at) {
                self.reckon(By::Rekeyd, found);
                if self.manners.runs_on_put {
                    self.run(at, By::Rekeyd);
                }
            } else if let Some(pair) = self.consumer.run_to_end(&self.manners, at) {
                let works = self.gets_token(pair.ciapi, at);
                self.consumer.end_run(&mut self.manners, works);
            }
        }
    }

    /// Whether the consumer has a token for this key at `at`: a fresh one, or an old one that still lives.
    fn gets_token(&self, place: usize, at: Millis) -> bool {
        let cached = self.keys[place].deleted.is_some_and(|(gone, ..)| at < gone + self.manners.token_life);
        self.accepts(place) || cached
    }

    /// A pair is put into the consumer's hands.
    pub(crate) fn put(&mut self, pair: Pair, by: By, found: &mut Vec<Finding>) {
        self.next_tick();
        self.keys[pair.ciapi].delivered = true;
        self.keys[pair.cirt].delivered = true;
        self.consumer.store(pair, by == By::Hand);
        self.reckon(by, found);
    }

    /// Looks for a consumer that has come to hold a dead `cirt` key.
    pub(crate) fn reckon(&mut self, cause: By, found: &mut Vec<Finding>) {
        let held = self.consumer.held;
        self.keys[held.cirt].held_with.insert(held.ciapi);
        let dead = !self.accepts(held.cirt);
        if dead && !self.locked_out {
            let key = &self.keys[held.cirt];
            let text = format!("t{}: the consumer holds `{}`, which is dead", self.number, key.name);
            // Who deletes the key by hand, or enters it by hand, has brought it about himself.
            let by_hand = cause == By::Hand || key.was_deleted_by(By::Hand) || self.consumer.held_by_hand;
            let unseen = self.consumer.misread().is_some() && self.manners.no_post;
            found.push(match (by_hand, unseen) {
                (true, _) => note("lockout by hand", text),
                (false, true) => note("lockout, unseen", text),
                _ => violation("lockout", text),
            });
        }
        self.locked_out = dead;
    }

    /// Deletes a key. `lingers` is how long lists still show it, `works` how long a token is still had with it.
    pub(crate) fn delete(
        &mut self,
        place: usize,
        by: By,
        now: Millis,
        (lingers, works): (Millis, Millis),
        found: &mut Vec<Finding>,
    ) {
        if self.keys[place].deleted.is_some() {
            return;
        }
        if by == By::Rekeyd
            && let Some((kind, why)) = self.judge(&self.keys[place])
        {
            let text = format!("t{}: `{}` was deleted: {why}", self.number, self.keys[place].name);
            let tolerated = [CIAPI_RISKED, HIDDEN_RUN, OTHER_RUN, UNSEEN].contains(&kind);
            found.push(if tolerated { note(kind, text) } else { violation(kind, text) });
            self.keys[place].risked = kind == CIAPI_RISKED;
        }
        let tick = self.next_tick();
        let key = &mut self.keys[place];
        key.deleted = Some((now, tick, by));
        key.lingers_until = now + lingers;
        key.refused_from = now + works;
        self.reckon(by, found);
    }

    fn holds(&self, key: &Key) -> bool {
        let held = &self.keys[self.consumer.held.of(key.role)];
        held.secret_number == key.secret_number
    }

    /// What has to be said about the deletion of `key` by rekeyd right now.
    fn judge(&self, key: &Key) -> Option<(&'static str, &'static str)> {
        match key.maker {
            // A person who confirms says that whatever is there is in use.
            Maker::Foreign if self.told => None,
            Maker::Foreign => Some(("foreign deletion", "it was somebody else's")),
            _ if !key.delivered => None,
            _ if self.holds(key) => self.judge_held(key),
            _ => self.judge_released(key),
        }
    }

    /// The consumer holds the key: only a `ciapi` key may be risked, to find out a consumer that ignores
    /// deliveries, and only after a run that looked like a success.
    fn judge_held(&self, key: &Key) -> Option<(&'static str, &'static str)> {
        let another = |other: &Key| other.name != key.name && self.holds(other) && other.is_alive();
        if self.keys.iter().any(|other| other.role == key.role && another(other)) {
            return None;
        }
        // What a person entered behind rekeyd's back cannot be seen at the consumer.
        if self.consumer.held_by_hand {
            return Some((CIAPI_RISKED, "a person had entered it"));
        }
        if key.role == Role::Ciapi && (self.told || self.forgetful) {
            return Some((CIAPI_RISKED, "a person, or an old journal, had said that it is not held"));
        }
        match (self.consumer.misread(), key.role) {
            (Some(why), Role::Ciapi) => return Some((CIAPI_RISKED, why)),
            (Some(why), Role::Cirt) if self.manners.no_post => return Some((UNSEEN, why)),
            _ => {}
        }
        Some((UNPROVEN, "the consumer holds it"))
    }

    /// The consumer does not hold the key: has it proved that it can do without?
    fn judge_released(&self, key: &Key) -> Option<(&'static str, &'static str)> {
        if !self.accepts(self.consumer.held.of(key.role)) {
            // Where a person killed the successor, or it was risked before, nothing is made worse.
            let held = &self.keys[self.consumer.held.of(key.role)];
            let known = held.was_deleted_by(By::Hand) || (held.role == Role::Ciapi && held.risked);
            return (!known).then_some((UNPROVEN, "the successor that the consumer holds does not work"));
        }
        if self.consumer.held_by_hand {
            return None;
        }
        if !self.consumer.proven {
            return Some((
                self.unproven_kind(key),
                "no run has succeeded with the pair that the consumer holds",
            ));
        }
        if key.role == Role::Cirt && !self.manners.no_post && !self.meddled {
            return self.judge_exclusion(key).map(|why| (UNPROVEN, why));
        }
        None
    }

    /// Whether the run that passed for the proof of the delivery cannot be told from one: then it is noted.
    fn unproven_kind(&self, key: &Key) -> &'static str {
        // That it was with another pair cannot be seen. Only deployments are at stake, and the proof by exclusion finds it
        // out before the `cirt` key goes.
        if key.role == Role::Ciapi && self.consumer.looked_proven {
            return OTHER_RUN;
        }
        let excludes = key.role == Role::Cirt && !self.manners.no_post && !self.has_to_stay(key);
        if self.consumer.hidden_proof && !excludes { HIDDEN_RUN } else { UNPROVEN }
    }

    /// Whether a key that the consumer held with this one is there, which rekeyd did not make and may have to leave in place.
    fn has_to_stay(&self, key: &Key) -> bool {
        let held = self.keys[self.consumer.held.ciapi].secret_number;
        let partners = key.held_with.iter().map(|place| &self.keys[*place]);
        let stays =
            |key: &Key| key.secret_number != held && key.deleted.is_none() && key.maker == Maker::Hand;
        partners.into_iter().any(stays)
    }

    /// A run must have succeeded that began after every `ciapi` key was gone that the consumer held with this one.
    fn judge_exclusion(&self, key: &Key) -> Option<&'static str> {
        let held = self.keys[self.consumer.held.ciapi].secret_number;
        let partners = key.held_with.iter().map(|place| &self.keys[*place]);
        for partner in partners.filter(|partner| partner.secret_number != held) {
            let Some((_, gone, _)) = partner.deleted else {
                // What rekeyd did not make may have to stay, and then this cannot be excluded.
                if partner.maker == Maker::Hand {
                    continue;
                }
                return Some("a `ciapi` key that the consumer held with it is still there");
            };
            if self.consumer.success_tick.is_none_or(|success| success <= gone) {
                return Some("no run has succeeded since the `ciapi` key of the same pair was deleted");
            }
        }
        None
    }
}

/// A consumer that ignores deliveries is found out at the price of deployments; the books count it.
const CIAPI_RISKED: &str = "ciapi deleted while held";

/// A run that a person began, and that looked like it, passed for the proof of the delivery.
const HIDDEN_RUN: &str = "deleted after a hidden run";

/// A run with another pair than the one that the consumer holds passed for the proof of the delivery: it came after the
/// delivery, and before the consumer took that over.
const OTHER_RUN: &str = "ciapi deleted after another run";

const UNPROVEN: &str = "unproven deletion";

/// The consumer holds what every look says it does not, and cannot be asked to deploy: nothing finds that out, which
/// `docs/explanation/safety.md` says.
const UNSEEN: &str = "cirt deleted while held, unseen";
