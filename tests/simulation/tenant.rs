//! One tenant as it truly is: its keys, its consumer, and how they change. Every change is judged as it happens.

use std::collections::BTreeSet;
use std::sync::Arc;

use rekeyd::domain::key::{Key as Sighted, KeyState, Sighting, Sightings};
use rekeyd::domain::names::{KeyId, KeyName, Role};
use rekeyd::secret::ServiceKey;

use super::chance::Dice;
use super::consumer::{Consumer, Manners, Pair};
use super::time::{Millis, offset_stamp};

/// Who made a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    /// It was there when the simulation began, or a person made it for the consumer.
    Hand,
    /// Somebody made it for another purpose.
    Foreign,
    /// rekeyd made it.
    Rekeyd,
}

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Rekeyd,
    Hand,
}

/// One key and all that is true of it.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: KeyName,
    pub(crate) role: Role,
    pub(crate) maker: Maker,
    /// When it was made; before the beginning for the first ones.
    pub(crate) created: i64,
    /// Lists show it from then on.
    pub(crate) listed_from: Millis,
    /// It is being made until then.
    pub(crate) ready_from: Millis,
    /// It is refused until then.
    pub(crate) works_from: Millis,
    /// Making it failed, and the name is taken all the same.
    pub(crate) broken: bool,
    pub(crate) deleted: Option<(Millis, u64, By)>,
    /// Lists show it until then although it is deleted.
    pub(crate) lingers_until: Millis,
    /// A token is had with it until then although it is deleted.
    pub(crate) refused_from: Millis,
    pub(crate) delivered: bool,
    /// It was deleted by rekeyd while the consumer held it, and that was noted.
    pub(crate) risked: bool,
    /// The `ciapi` keys that the consumer held together with this `cirt` key.
    pub(crate) held_with: BTreeSet<usize>,
    pub(crate) secret_number: usize,
    pub(crate) secret: Arc<ServiceKey>,
}

impl Key {
    pub(crate) fn is_alive(&self) -> bool {
        self.deleted.is_none() && !self.broken
    }

    pub(crate) fn was_deleted_by(&self, by: By) -> bool {
        self.deleted.is_some_and(|(_, _, who)| who == by)
    }
}

/// One tenant.
#[expect(clippy::struct_excessive_bools, reason = "each is something that may be true of it")]
pub(crate) struct Tenant {
    pub(crate) number: usize,
    pub(crate) keys: Vec<Key>,
    pub(crate) consumer: Consumer,
    pub(crate) manners: Manners,
    /// Counts the moments that have an order: deletions, stored pairs, runs.
    pub(crate) tick: u64,
    pub(crate) dice: Dice,
    /// A person said that he had entered a pair, and had not.
    pub(crate) told: bool,
    pub(crate) locked_out: bool,
    /// The last look at the status showed what was not so.
    pub(crate) lied: bool,
    /// Who looks has written down a success, and nothing since that speaks against it.
    pub(crate) believed: bool,
    /// What takes effect just now was given up minutes ago.
    pub(crate) late: bool,
    /// A person or a restored backup changed something behind rekeyd's back: what is left over is theirs to clear.
    pub(crate) meddled: bool,
    /// The journal told nothing about what rekeyd did meanwhile.
    pub(crate) forgetful: bool,
    /// A clone with a journal of its own is at work: of two that make a key at the same moment neither can know.
    pub(crate) cloned: bool,
}

fn secret(tenant: usize, place: usize, number: usize) -> Arc<ServiceKey> {
    let text = format!(
        r#"{{"clientid":"k{tenant}-{place}","clientsecret":"secret-{number}","tokenurl":"https://t.example/oauth/token","url":"https://u.example"}}"#
    );
    Arc::new(ServiceKey::parse(&text).unwrap())
}

/// The place of a key in the book, from the id that the issuer gave it.
pub(crate) fn place_of(id: &str) -> usize {
    id.rsplit_once('-').and_then(|(_, place)| place.parse().ok()).unwrap()
}

impl Tenant {
    pub(crate) fn new(number: usize, manners: Manners, ages: [i64; 2], mut dice: Dice) -> Self {
        let mut tenant = Self {
            number,
            keys: Vec::new(),
            consumer: Consumer::onboarded(Pair { ciapi: 0, cirt: 1 }),
            manners,
            tick: 0,
            dice: dice.fork(),
            told: false,
            locked_out: false,
            lied: false,
            believed: false,
            late: false,
            meddled: false,
            forgetful: false,
            cloned: false,
        };
        for (role, age) in Role::PAIR.into_iter().zip(ages) {
            let place = tenant.add(role, KeyName(format!("first-{role}")), Maker::Hand, 0);
            tenant.keys[place].created = -age;
            tenant.keys[place].delivered = true;
        }
        tenant.keys[1].held_with.insert(0);
        tenant
    }

    pub(crate) fn id_of(&self, place: usize) -> KeyId {
        KeyId(format!("k{}-{place}", self.number))
    }

    pub(crate) fn next_tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    /// Puts a key into the book; it works and is listed at once.
    pub(crate) fn add(&mut self, role: Role, name: KeyName, maker: Maker, now: Millis) -> usize {
        let place = self.keys.len();
        let number = if self.manners.same_secret { role as usize } else { place + 2 };
        self.keys.push(Key {
            name,
            role,
            maker,
            created: i64::try_from(now).unwrap(),
            listed_from: 0,
            ready_from: 0,
            works_from: 0,
            broken: false,
            deleted: None,
            lingers_until: 0,
            refused_from: 0,
            delivered: false,
            risked: false,
            held_with: BTreeSet::new(),
            secret_number: number,
            secret: secret(self.number, place, number),
        });
        place
    }

    pub(crate) fn named(&self, role: Role, name: &KeyName) -> Option<usize> {
        let is_it = |key: &Key| key.role == role && key.name == *name && key.deleted.is_none();
        self.keys.iter().position(is_it)
    }

    /// Whether the token service accepts this key's secret.
    pub(crate) fn accepts(&self, place: usize) -> bool {
        let wanted = &self.keys[place];
        let same = |key: &Key| key.role == wanted.role && key.secret_number == wanted.secret_number;
        wanted.is_alive() || self.keys.iter().any(|key| same(key) && key.is_alive())
    }

    pub(crate) fn sighted(&self, place: usize) -> Sighted {
        let key = &self.keys[place];
        Sighted {
            id: self.id_of(place),
            name: key.name.clone(),
            created_at: Some(offset_stamp(0, key.created)),
            expires_at: None,
        }
    }

    /// What a list shows at `now`, in any order.
    pub(crate) fn list(&mut self, now: Millis) -> Sightings {
        let mut sightings = Sightings::new();
        for (place, key) in self.keys.iter().enumerate() {
            let state = match key.deleted {
                Some(_) if now >= key.lingers_until => continue,
                Some((at, ..)) => {
                    // While a deletion is under way some lists say so and some lag.
                    if at % 2 == 0 { KeyState::Deleting } else { KeyState::Ready }
                }
                None if now < key.listed_from => continue,
                None if key.broken => KeyState::Broken,
                None if now < key.ready_from => KeyState::Busy,
                None => KeyState::Ready,
            };
            sightings.entry(key.role).or_default().push(Sighting { key: self.sighted(place), state });
        }
        for seen in sightings.values_mut() {
            self.dice.shuffle(seen);
        }
        sightings
    }
}
