//! The world of one story, what happened in it so far, and how that is told.

use std::collections::BTreeMap;
use std::fmt::Write;

use rekeyd::domain::event::Event;
use rekeyd::domain::names::{KeyId, KeyName, Role};
use rekeyd::domain::plan::{self, Plan};
use rekeyd::domain::proof::{Gate, retire_gates, soak_gates};
use rekeyd::domain::record::Record;
use rekeyd::domain::stage::{Phase, Stage};
use rekeyd::domain::{Timestamp, story};

use crate::given::policy;
use crate::world::{Manners, World};

/// No story takes more steps.
const PATIENCE: u32 = 20_000;

pub(crate) struct Scene {
    pub(crate) world: World,
    /// What the consumer held at first.
    pub(crate) first: BTreeMap<Role, KeyId>,
    /// Looks at which deployments did not work, since the consumer held a `ciapi` key that was gone.
    pub(crate) without_ciapi: u32,
    /// Looks in all.
    pub(crate) looks: u32,
    /// The most keys of one role that lived at once.
    pub(crate) most_keys: usize,
    /// Moments at which the process was killed, each in a world of its own.
    pub(crate) deaths: u32,
    /// Events that were told already.
    told: usize,
    /// What is to be told besides the events.
    says: String,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let world = World::new(policy(), 1, 0, Manners::default());
        let first = world.held.clone();
        Self {
            world,
            first,
            without_ciapi: 0,
            looks: 0,
            most_keys: 0,
            deaths: 0,
            told: 0,
            says: String::new(),
        }
    }

    pub(crate) fn record(&self) -> Result<&Record, String> {
        self.world.record.as_ref().ok_or_else(|| "nothing is known of the credential yet".to_owned())
    }

    pub(crate) fn phase(&self) -> Option<Phase> {
        self.world.record.as_ref().map(Record::phase)
    }

    pub(crate) fn count(&self, event: &str) -> usize {
        self.world.journal.iter().filter(|entry| entry.event.name() == event).count()
    }

    /// One look and one step, and what holds after every step whatever happens.
    pub(crate) fn turn(&mut self) -> Result<(), String> {
        self.world.turn();
        self.looks += 1;
        self.invariants()
    }

    fn invariants(&mut self) -> Result<(), String> {
        let world = &self.world;
        let may_hold = world.record.as_ref().map(|record| record.stage.may_hold()).unwrap_or_default();
        if let Some(id) = may_hold.into_iter().find(|id| !world.exists(id)) {
            return Err(format!("`{id}`, which the consumer may hold, is gone"));
        }
        if !world.exists(&world.held[&Role::Cirt]) {
            return Err("the consumer is locked out: the `cirt` key it holds is gone".to_owned());
        }
        self.without_ciapi += u32::from(!world.exists(&world.held[&Role::Ciapi]));
        self.most_keys = world.keys.values().map(Vec::len).max().unwrap_or(0).max(self.most_keys);
        Ok(())
    }

    pub(crate) fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), String> {
        for _ in 0..PATIENCE {
            if done(self) {
                return Ok(());
            }
            self.turn()?;
        }
        Err(format!("it is never {what}"))
    }

    pub(crate) fn run_for(&mut self, span: chrono::TimeDelta) -> Result<(), String> {
        let end = self.world.now + span;
        for _ in 0..PATIENCE {
            if self.world.now >= end {
                // Nobody looks before the time has come.
                self.world.now = end;
                return Ok(());
            }
            self.turn()?;
        }
        Err("it goes round in circles".to_owned())
    }

    /// What the next look would lead to; nothing is done.
    pub(crate) fn peek(&mut self) -> Plan {
        self.world.plan()
    }

    pub(crate) fn gates(&mut self) -> Result<Vec<Gate>, String> {
        let record = self.record()?.clone();
        let (policy, now) = (self.world.policy.clone(), self.world.now);
        let observation = self.world.observe(plan::looks(&policy, Some(&record), now));
        Ok(match &record.stage {
            Stage::Soaking { .. } => soak_gates(&policy, &record, &observation, now),
            Stage::Retiring { retirement, .. } => {
                let next = policy.roles.iter().find(|role| retirement.old.contains_key(role));
                next.map_or_else(Vec::new, |role| retire_gates(&policy, &record, &observation, *role, now))
            }
            stage => return Err(format!("no deletion is ahead while `{}`", stage.phase())),
        })
    }

    pub(crate) fn say(&mut self, text: &str) {
        for line in text.lines() {
            writeln!(self.says, "    | {}", short(line)).expect("a string takes all");
        }
    }

    /// What happened since it was last asked. What repeats itself is told once, and how often.
    pub(crate) fn told(&mut self) -> String {
        let mut text = String::new();
        let (before, entries) = self.world.journal.split_at(self.told.min(self.world.journal.len()));
        let mut teller = story::Teller::default();
        for entry in before {
            teller.tell(entry);
        }
        let mut alike: Option<Alike> = None;
        for (index, entry) in entries.iter().enumerate() {
            let words = teller.tell(entry);
            let told = gist(&entry.event);
            if let Some(alike) = alike.as_mut().filter(|alike| alike.told == told) {
                alike.times += 1;
                alike.until = entry.at;
                continue;
            }
            // An intent whose call fails like the one before it.
            let next = entries.get(index + 1).map(|entry| gist(&entry.event));
            let is_intent = matches!(
                entry.event,
                Event::CreateSent { .. } | Event::ProvisionSent | Event::DeleteSent { .. }
            );
            if is_intent && alike.as_ref().is_some_and(|alike| Some(&alike.told) == next.as_ref()) {
                continue;
            }
            close(&mut text, alike.take());
            writeln!(text, "    {} {}", stamp(entry.at), short(&words)).expect("a string takes all");
            if let Event::Halted(reason) = &entry.event {
                let remedy = short(&reason.remedy(&entry.credential));
                writeln!(text, "    {:19} what to do: {remedy}", "").expect("a string takes all");
            }
            alike = Some(Alike { told, times: 0, until: entry.at });
        }
        close(&mut text, alike);
        self.told = self.world.journal.len();
        text.push_str(&std::mem::take(&mut self.says));
        text
    }

    /// How things stand.
    pub(crate) fn now(&self) -> String {
        let phase = self.phase().map_or("unknown", Phase::as_str);
        let world = &self.world;
        let mut text = format!("\nIn the end, {}: {phase}\n", stamp(world.now));
        for (role, keys) in &world.keys {
            let names: Vec<String> = keys
                .iter()
                .map(|seen| {
                    let held = if world.held[role] == seen.key.id { " (the consumer holds it)" } else { "" };
                    format!("`{}`{held}", short(&seen.key.name.0))
                })
                .collect();
            writeln!(text, "    {role} keys at the issuer: {}", names.join(", "))
                .expect("a string takes all");
        }
        text
    }

    pub(crate) fn fresh_name(&self, role: Role) -> Result<KeyName, String> {
        let name = self.world.journal.iter().rev().find_map(|entry| match &entry.event {
            Event::Begun { names, .. } => names.get(&role).cloned(),
            _ => None,
        });
        name.ok_or_else(|| "no rotation has begun".to_owned())
    }
}

/// A line that repeats itself.
struct Alike {
    told: String,
    times: u32,
    until: Timestamp,
}

/// An event in words, without what differs from one time to the next.
fn gist(event: &Event) -> String {
    match event {
        Event::StepFailed { step, failure, .. } => format!("`{step}` failed: {failure}"),
        event => short(&story::tell(event)),
    }
}

fn close(text: &mut String, alike: Option<Alike>) {
    if let Some(Alike { times, until, .. }) = alike.filter(|alike| alike.times > 0) {
        writeln!(text, "    {} the same, {times} more times until then", stamp(until))
            .expect("a string takes all");
    }
}

fn stamp(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The text without the part of our key names that chance makes.
fn short(text: &str) -> String {
    let mut parts = text.split("rekeyd-");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end =
            part.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-').unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        match name.rsplit_once('-').filter(|(_, tag)| tag.len() == 11) {
            Some((head, _)) => write!(out, "rekeyd-{head}-…{rest}").expect("a string takes all"),
            None => write!(out, "rekeyd-{part}").expect("a string takes all"),
        }
    }
    out
}
