//! A small world with an issuer and a consumer, driven by the real plan and the real fold, with faults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rekeyd::domain::event::{Entry, Event, Wish};
use rekeyd::domain::evidence::Grade;
use rekeyd::domain::failure::{Class, Failure};
use rekeyd::domain::fold;
use rekeyd::domain::key::{Key, KeyState, Sighting, Sightings};
use rekeyd::domain::names::{KeyId, KeyName, Role, RotationId};
use rekeyd::domain::observation::{Content, Looks, Observation, Seen, Status, Verdict};
use rekeyd::domain::plan::{self, NextLook, Plan, Step};
use rekeyd::domain::policy::Policy;
use rekeyd::domain::record::Record;
use rekeyd::domain::{Timestamp, after};

#[path = "script.rs"]
pub(crate) mod script;

use script::{How, Script};

/// Chance, from a seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        many > 0 && self.roll().is_multiple_of(many)
    }
}

/// How the consumer behaves.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one way to misbehave, and any of them go together"
)]
pub(crate) struct Manners {
    /// It answers 200 to a delivery and keeps what it has.
    pub(crate) ignores_put: bool,
    /// Its next runs fail although the credential is fine.
    pub(crate) fails: u32,
    /// Every run with a key of ours fails.
    pub(crate) fails_with_fresh: bool,
    /// It has no delivery endpoint.
    pub(crate) no_put: bool,
    /// It has no endpoint to be provisioned with.
    pub(crate) no_post: bool,
    /// It never finishes.
    pub(crate) stuck: bool,
    /// Every key has the secret of its instance.
    pub(crate) same_secret: bool,
    /// Its status cannot be seen.
    pub(crate) unseen: bool,
    /// So many seconds go by until a fresh key is listed.
    pub(crate) list_lag: i64,
    /// So many seconds go by until a fresh key is accepted.
    pub(crate) known_after: i64,
    /// So many seconds its status lags behind.
    pub(crate) status_lag: i64,
    /// So many seconds it lives on a token of a key that is gone.
    pub(crate) token_life: i64,
    /// A deleted key goes on working.
    pub(crate) deleted_works: bool,
    /// The issuer cannot be listed.
    pub(crate) issuer_down: bool,
    /// It says nothing at all, and takes keys from the hands of a person only.
    pub(crate) silent: bool,
}

pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) now: Timestamp,
    pub(crate) dice: Dice,
    /// One call in so many fails before its effect, and one in so many after it. Zero is never.
    pub(crate) fault: u64,
    pub(crate) manners: Manners,
    pub(crate) keys: BTreeMap<Role, Vec<Sighting>>,
    /// What the consumer holds.
    pub(crate) held: BTreeMap<Role, KeyId>,
    pub(crate) verdict: Verdict,
    pub(crate) run: Option<(u32, bool)>,
    pub(crate) deployed_at: Timestamp,
    pub(crate) journal: Vec<Entry>,
    pub(crate) record: Option<Record>,
    wallet: BTreeSet<KeyId>,
    /// What is to go wrong, and when.
    pub(crate) script: Script,
    /// What its status says next, instead of what is so.
    pub(crate) lies: Vec<Verdict>,
    /// What the consumer said, and since when.
    said: Vec<(Timestamp, Verdict)>,
    gone: BTreeMap<KeyId, Timestamp>,
    /// Calls that went out.
    pub(crate) calls: BTreeMap<&'static str, u32>,
    pub(crate) creates: u32,
    /// Creates that were refused because the key was there already.
    pub(crate) taken: u32,
    pub(crate) deletes: Vec<KeyId>,
    blind: u32,
    serial: u32,
}

fn passing(dice: &mut Dice) -> Failure {
    let class = [Class::Timeout, Class::ServerError, Class::Connect, Class::Throttled];
    Failure::new(class[usize::try_from(dice.roll() % 4).unwrap()], "a fault")
}

impl World {
    pub(crate) fn new(policy: Policy, seed: u64, fault: u64, manners: Manners) -> Self {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let created = after(now, Duration::ZERO) - chrono::TimeDelta::days(340);
        let mut world = Self {
            policy,
            now,
            dice: Dice(seed),
            fault,
            manners,
            keys: BTreeMap::new(),
            held: BTreeMap::new(),
            verdict: Verdict::Success,
            run: None,
            deployed_at: created,
            journal: Vec::new(),
            record: None,
            wallet: BTreeSet::new(),
            script: Script::default(),
            lies: Vec::new(),
            said: Vec::new(),
            gone: BTreeMap::new(),
            calls: BTreeMap::new(),
            creates: 0,
            taken: 0,
            deletes: Vec::new(),
            blind: 0,
            serial: 0,
        };
        for role in world.policy.roles.clone() {
            let id = world.add(role, KeyName(format!("first-{role}")), created);
            world.held.insert(role, id);
        }
        world
    }

    pub(crate) fn add(&mut self, role: Role, name: KeyName, created: Timestamp) -> KeyId {
        self.serial += 1;
        let id = KeyId(format!("{role}-{}", self.serial));
        let key = Key { id: id.clone(), name, created_at: Some(created), expires_at: None };
        self.keys.entry(role).or_default().push(Sighting { key, state: KeyState::Ready });
        id
    }

    pub(crate) fn exists(&self, id: &KeyId) -> bool {
        self.keys.values().flatten().any(|seen| seen.key.id == *id)
    }

    pub(crate) fn write(&mut self, event: Event) {
        let sequence = self.journal.len() as u64 + 1;
        let entry = Entry { sequence, at: self.now, credential: self.policy.credential.clone(), event };
        // What is journalled survives being written and read.
        let text = serde_json::to_string(&entry).unwrap();
        let entry: Entry = serde_json::from_str(&text).unwrap();
        self.record = Some(fold::apply(self.record.take(), &entry).unwrap());
        self.journal.push(entry);
        if matches!(self.record.as_ref().unwrap().stage, rekeyd::domain::stage::Stage::Settled { .. }) {
            self.wallet.clear();
        }
    }

    pub(crate) fn wish(&mut self, wish: Wish) -> Result<(), String> {
        rekeyd::domain::wish::admit(self.record.as_ref(), &wish, self.now)?;
        self.write(Event::Wished(wish));
        Ok(())
    }

    /// The process dies and starts again: what is not in the journal is gone.
    pub(crate) fn crash(&mut self) {
        self.wallet.clear();
        self.blind = 0;
        self.record = fold::fold(&self.journal).unwrap().remove(&self.policy.credential);
    }

    fn fails(&mut self) -> bool {
        let many = self.fault;
        self.dice.one_in(many)
    }

    /// The consumer's run goes on by one look.
    fn proceed(&mut self) {
        let Some((left, fails)) = self.run else { return };
        if self.manners.stuck {
            return;
        }
        if left > 0 {
            self.run = Some((left - 1, fails));
            self.verdict = Verdict::InProgress;
            return;
        }
        self.run = None;
        let works = self.held.get(&Role::Ciapi).is_some_and(|id| self.exists(id) || self.has_token_of(id));
        let fresh = |id: &KeyId| {
            self.keys
                .values()
                .flatten()
                .any(|seen| seen.key.id == *id && seen.key.name.parse_ours().is_some())
        };
        let averse = self.manners.fails_with_fresh && self.held.values().any(fresh);
        if works && !fails && !averse {
            self.deployed_at = self.now;
            self.verdict = Verdict::Success;
        } else {
            self.verdict = Verdict::Error;
        }
    }

    fn has_token_of(&self, id: &KeyId) -> bool {
        let life = chrono::TimeDelta::seconds(self.manners.token_life);
        self.gone.get(id).is_some_and(|gone| self.now < *gone + life)
    }

    fn call(&mut self, what: &'static str) {
        *self.calls.entry(what).or_default() += 1;
    }

    /// What the consumer says now; with a lag, what was so a while ago.
    fn word(&mut self) -> Verdict {
        if let Some(lie) = self.lies.pop() {
            return lie;
        }
        if self.manners.status_lag == 0 {
            // Nothing lags: a clock that is set back does not bring back what was said then.
            return self.verdict;
        }
        if self.said.last().is_none_or(|(_, last)| *last != self.verdict) {
            self.said.push((self.now, self.verdict));
        }
        let seen = self.now - chrono::TimeDelta::seconds(self.manners.status_lag);
        let said = self.said.iter().rev().find(|(since, _)| *since <= seen).or(self.said.first());
        said.map_or(self.verdict, |(_, verdict)| *verdict)
    }

    pub(crate) fn observe(&mut self, looks: Looks) -> Observation {
        if looks.status || looks.content {
            self.proceed();
        }
        for (asked, what) in [(looks.keys, "list"), (looks.status, "status"), (looks.content, "content")] {
            if asked {
                self.call(what);
            }
        }
        let keys = if !looks.keys {
            Seen::NotAsked
        } else if self.manners.issuer_down || self.fails() {
            Seen::Unknown(passing(&mut self.dice))
        } else {
            let listed = self.now - chrono::TimeDelta::seconds(self.manners.list_lag);
            let mut keys = Sightings::from_iter(self.keys.clone());
            // Where nothing lags, a clock of ours that is set back hides no key.
            if self.manners.list_lag > 0 {
                for seen in keys.values_mut() {
                    seen.retain(|seen| seen.key.created_at.is_none_or(|created| created <= listed));
                }
            }
            Seen::Yes(keys)
        };
        let status = if !looks.status {
            Seen::NotAsked
        } else if self.manners.silent {
            Seen::Unknown(Failure::new(Class::NotFound, "it says nothing"))
        } else if self.manners.unseen || self.fails() {
            Seen::Unknown(passing(&mut self.dice))
        } else {
            let verdict = self.word();
            Seen::Yes(Status { verdict, word: verdict.as_str().to_owned(), at: None, detail: None })
        };
        let content = if !looks.content || self.manners.silent {
            Seen::NotAsked
        } else if self.fails() {
            Seen::Unknown(passing(&mut self.dice))
        } else {
            Seen::Yes(Content { deployed_at: Some(self.deployed_at), started: true })
        };
        let passes = |failure: Option<&Failure>| failure.is_some_and(|failure| failure.class.is_passing());
        let blind = keys.failure().is_some() || passes(status.failure());
        self.blind = if blind { self.blind + 1 } else { 0 };
        Observation { at: self.now, keys, status, content, blind: self.blind }
    }

    pub(crate) fn plan(&mut self) -> Plan {
        let looks = plan::looks(&self.policy, self.record.as_ref(), self.now);
        let observation = self.observe(looks);
        let plan = plan::plan(&self.policy, self.record.as_ref(), &observation, self.now);
        self.gates_agree(&plan, &observation);
        plan
    }

    /// What people are told of the gates before a rotation is what the plan goes by.
    fn gates_agree(&self, plan: &Plan, observation: &Observation) {
        let Some(record) = self
            .record
            .as_ref()
            .filter(|record| matches!(record.stage, rekeyd::domain::stage::Stage::Settled { .. }))
        else {
            return;
        };
        let gates =
            plan::begin_gates(&self.policy, record, observation.keys.known(), &observation.status, self.now);
        let closed: Vec<_> = gates.iter().filter(|gate| !gate.open).map(|gate| gate.name).collect();
        let expected = match plan.reason.code {
            "halted" => "halt",
            "not-due" | "age-unknown" => "due",
            "held" => "hold",
            "pause" => "pause",
            "no-room" => "room",
            "in-place" => "in place",
            "cannot-see" | "login-refused" | "not-permitted" => "issuer",
            _ => "",
        };
        if matches!(plan.step, Step::Begin { .. }) {
            assert!(closed.is_empty(), "{closed:?} closed, and it begins");
        } else if !expected.is_empty() {
            assert!(closed.contains(&expected), "`{}`, and only {closed:?} closed", plan.reason.code);
        }
    }

    /// One look and one step. Answers the plan that was followed.
    pub(crate) fn turn(&mut self) -> Plan {
        let plan = self.plan();
        if plan.step == Step::Rest {
            self.now = match plan.next_look {
                NextLook::At(at) => at.max(after(self.now, Duration::from_secs(1))),
                _ => after(self.now, Duration::from_hours(6)),
            };
            return plan;
        }
        // Every step takes some time.
        self.now = after(self.now, Duration::from_secs(1));
        match self.act(&plan.step) {
            _ if self.script.dies() => self.crash(),
            Ok(Some(event)) if self.script.point() => drop(event),
            Ok(Some(event)) => {
                self.write(event);
                self.script.point();
            }
            Ok(None) => {}
            Err(failure) => {
                let record = self.record.as_ref().unwrap();
                let retry_at = plan::retry_at(&self.policy, record, &plan.step, &failure, self.now);
                self.write(Event::StepFailed { step: plan.step.name().to_owned(), failure, retry_at });
            }
        }
        if self.script.dies() {
            self.crash();
        }
        plan
    }

    fn act(&mut self, step: &Step) -> Result<Option<Event>, Failure> {
        let outside = !matches!(step, Step::Note(_) | Step::Begin { .. } | Step::Rest);
        let how = if outside { self.script.next(step.name()) } else { None };
        if let Step::Create { role, .. } = step {
            self.write(Event::CreateSent { role: *role });
        }
        if let Step::Provision { .. } = step {
            self.write(Event::ProvisionSent);
        }
        if let Step::Delete { role, key, permit } = step {
            assert!(permit.covers(&key.id));
            self.wallet.insert(key.id.clone());
            self.write(Event::DeleteSent { role: *role, name: key.name.clone(), permit: permit.to_string() });
        }
        if outside && self.script.point() {
            return Ok(None);
        }
        match &how {
            Some(How::Refused(failure)) => return Err(failure.clone()),
            Some(How::DiesBefore) => {
                self.script.die();
                return Ok(None);
            }
            Some(How::Lost(_) | How::DiesAfter) | None => {}
        }
        if outside && self.fails() {
            return Err(passing(&mut self.dice));
        }
        if outside {
            self.call(step.name());
        }
        let event = self.effect(step)?;
        match how {
            Some(How::Lost(failure)) => return Err(failure.ambiguous()),
            Some(How::DiesAfter) => self.script.die(),
            _ => {}
        }
        if outside && (self.script.dies() || self.script.point()) {
            return Ok(None);
        }
        if outside && self.fails() {
            return Err(passing(&mut self.dice).ambiguous());
        }
        Ok(event)
    }

    fn effect(&mut self, step: &Step) -> Result<Option<Event>, Failure> {
        Ok(match step {
            Step::Rest => None,
            Step::Note(event) => Some(event.clone()),
            Step::Begin { generation, trigger } => {
                let id = self.policy.credential.clone();
                let nonce = self.dice.roll();
                let roles = self.policy.roles.iter();
                let names = roles.map(|role| (*role, KeyName::ours(*role, *generation, &id, nonce)));
                Some(Event::Begun {
                    rotation: RotationId::new(&id, *generation, nonce),
                    trigger: *trigger,
                    generation: *generation,
                    names: names.collect(),
                    reason: "test".to_owned(),
                })
            }
            Step::Create { role, name } => {
                if self.keys[role].iter().any(|seen| seen.key.name == *name) {
                    self.taken += 1;
                    return Err(Failure::new(Class::Conflict, "the name is taken").ambiguous());
                }
                self.creates += 1;
                if self.policy.pin.in_place {
                    // The secret in use is gone with it.
                    self.keys.get_mut(role).unwrap().clear();
                }
                let id = self.add(*role, name.clone(), self.now);
                let seen = self.keys[role].iter().find(|seen| seen.key.id == id).unwrap();
                Some(Event::Made { role: *role, key: seen.key.clone() })
            }
            Step::Test { role, .. } if self.manners.same_secret => Some(Event::SameSecret { role: *role }),
            Step::Test { role, fresh, old } => {
                // Both secrets are read, to compare them.
                if !self.exists(&fresh.id) || old.as_ref().is_some_and(|old| !self.exists(&old.id)) {
                    return Err(Failure::new(Class::Conflict, "there is no such key"));
                }
                let delay = chrono::TimeDelta::seconds(self.manners.known_after);
                if !delay.is_zero() && fresh.created_at.is_some_and(|made| self.now < made + delay) {
                    return Err(Failure::new(Class::Unauthorized, "a key made just now is not known yet"));
                }
                Some(Event::Tested { role: *role, grade: Grade::Read })
            }
            Step::Deliver { keys } => {
                if self.manners.no_put {
                    return Err(Failure::new(Class::NotFound, "404"));
                }
                if !self.manners.ignores_put && !self.manners.silent {
                    self.held = keys.iter().map(|(role, key)| (*role, key.id.clone())).collect();
                }
                Some(Event::Delivered { upstream_at: None })
            }
            Step::Provision { baseline } => {
                if self.manners.no_post {
                    return Ok(Some(Event::CannotProvision));
                }
                let fails = self.manners.fails > 0;
                self.manners.fails = self.manners.fails.saturating_sub(1);
                self.run = Some((2, fails));
                Some(Event::Provisioned { baseline: baseline.clone(), upstream_at: None })
            }
            Step::Confirm { keys, basis } => {
                assert!(keys.values().all(|key| self.exists(&key.id)), "the fresh keys exist");
                Some(Event::Works { basis: *basis })
            }
            Step::Renew { keys } => {
                assert!(keys.values().all(|key| self.exists(&key.id)), "the keys in use exist");
                Some(Event::Renewed { verdict: Some(self.verdict) })
            }
            Step::Delete { role, key, .. } => {
                self.keys.get_mut(role).unwrap().retain(|seen| seen.key.id != key.id);
                self.deletes.push(key.id.clone());
                self.gone.insert(key.id.clone(), self.now);
                None
            }
            Step::Probe { role, key } => {
                let works = self.manners.deleted_works || self.exists(&key.id);
                let refused = self.wallet.contains(&key.id).then_some(!works);
                Some(Event::Probed { role: *role, refused })
            }
        })
    }
}
