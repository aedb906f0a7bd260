//! The first model: one credential, and everything that can happen to it.

use rekeyd::domain::names::Role;
use rekeyd::domain::observation::{Observation, Seen};
use rekeyd::domain::plan::{Step, rotation_due};
use serde::Serialize;

use super::act::{Act, Asked, Entered, HELD_UP, JUMPS, faults};
use super::clock::stamp;
use super::host::{At, Came, Play};
use super::print::Print;
use super::search::Model;
use super::setup::{Disturbed, Setup};
use super::world::{Call, Pair, Tag, World};

impl Model for Setup {
    type State = World;
    type Act = Act;

    fn first(&self) -> World {
        World::new(self)
    }

    fn free(&self, world: &World) -> Vec<Act> {
        let next = runnable(world);
        let mut acts: Vec<Act> = next.into_iter().map(Act::Walk).collect();
        if world.late.is_some() {
            acts.push(Act::Lands);
        }
        acts
    }

    fn disturbed(&self, world: &World) -> Vec<Act> {
        let mut acts = Vec::new();
        for host in runnable(world) {
            acts.extend(faults().into_iter().map(|fault| Act::Faulty(host, fault)));
        }
        for host in 0..world.hosts.len() {
            acts.push(Act::Crash(host));
            acts.extend(HELD_UP.map(|length| Act::Sleep(host, length)));
            // The clocks of two instances differ a little, not by days.
            let jumps = JUMPS.iter().filter(|by| self.hosts == 1 || by.abs() < 6);
            acts.extend(jumps.map(|by| Act::Clock(host, *by)));
            acts.push(Act::Push(host));
        }
        acts.extend([true, false].map(Act::OwnRun));
        if self.disturbed == Disturbed::ByAll {
            acts.extend(Asked::ALL.map(Act::Asks));
            acts.push(Act::Reconfigure);
            acts.extend(
                world.keys.iter().filter(|held| held.gone_at.is_none()).map(|held| Act::HandDelete(held.tag)),
            );
            acts.extend(Role::PAIR.map(Act::HandCreate));
            acts.extend(
                [Entered::InUse, Entered::Newest, Entered::First, Entered::Mixed].map(Act::HandEnter),
            );
        }
        acts
    }

    fn take(&self, world: &World, act: Act, story: Option<&mut Vec<String>>) -> Option<World> {
        let fault = if let Act::Faulty(_, fault) = act { Some(fault) } else { None };
        let mut play = Play::new(self, world.clone(), fault, story);
        let happens = match act {
            Act::Walk(host) => {
                play.walk(host);
                true
            }
            Act::Faulty(host, _) => {
                play.walk(host);
                play.met
            }
            Act::Lands => {
                play.tell(|world| format!("a call that was given up takes effect: {:?}", world.late));
                play.world.land(self);
                true
            }
            Act::Crash(host) => {
                play.crash(host);
                true
            }
            Act::Sleep(host, length) => sleep(&mut play, host, length),
            Act::Clock(host, by) => {
                play.tell(|_| format!("the clock of #{host} jumps by {by} steps"));
                play.host(host).ahead += by;
                let leaps = by > 0 || self.hosts > 1;
                // One leap is made up for by the pause between two renewals, a second one so soon is not.
                let happens = !leaps || play.world.book.leaps == 0;
                play.world.book.leaps += u8::from(leaps);
                happens
            }
            Act::Asks(asked) => play.ask(asked),
            Act::Push(host) => play.push(host),
            Act::Reconfigure => {
                play.tell(|_| "somebody changes the configuration".to_owned());
                play.world.reconfigured = !play.world.reconfigured;
                play.world.hosts.iter().all(|host| matches!(host.at, At::Rests))
            }
            Act::HandDelete(tag) => {
                play.delete_by_hand(tag);
                true
            }
            Act::HandCreate(role) => play.create_by_hand(role),
            Act::HandEnter(entered) => play.enter_by_hand(entered),
            Act::OwnRun(succeeds) => {
                play.tell(|_| "the consumer deploys by itself".to_owned());
                let idle = play.world.consumer.run.is_none();
                play.world.start_run(self, !self.manners.stuck, !succeeds);
                idle
            }
        };
        happens.then_some(play.world)
    }

    fn print(&self, world: &World) -> u128 {
        let mut print = Print::default();
        print_world(&mut print, self, world);
        for host in 0..world.hosts.len() {
            print_host(&mut print, self, world, host);
        }
        print.finish()
    }

    fn wrong(&self, world: &World) -> Option<String> {
        world.judge_state(self)
    }

    fn end(&self, world: &World) -> Option<&'static str> {
        world.end()
    }

    fn kind(&self, act: Act) -> &'static str {
        act.kind()
    }
}

/// The instances that go on next.
fn runnable(world: &World) -> Vec<usize> {
    let hosts = 0..world.hosts.len();
    let soonest = hosts.clone().map(|host| world.due(host)).min().expect("there is an instance");
    hosts.filter(|host| world.due(*host) == soonest).collect()
}

fn sleep(play: &mut Play<'_>, host: usize, length: i64) -> bool {
    let until = play.world.time + length;
    let awake = matches!(play.host(host).at, At::Rests | At::Walks(_));
    play.tell(|_| format!("#{host} sleeps for {length} steps"));
    play.host(host).held_up_until = until;
    awake
}

fn print_tag(print: &mut Print, tag: Tag) {
    print.word(tag.role as u8);
    print.word(tag.maker as u8);
    print.word(tag.generation);
    print.word(tag.copy);
}

fn print_pair(print: &mut Print, pair: Pair) {
    for tag in pair {
        print_tag(print, tag);
    }
}

fn print_world(print: &mut Print, setup: &Setup, world: &World) {
    print.instant(world.time);
    print.word(world.reconfigured);
    print.part(&world.disk.as_deref());
    print.number(world.keys.len());
    for held in &world.keys {
        print_tag(print, held.tag);
        print.word(held.state as u8);
        print.word(held.by_hand);
        print.word(held.given);
        print.instant(held.made_at.max(world.time - super::world::LAG));
        print.instant(held.gone_at.unwrap_or(world.time + 1));
    }
    let consumer = &world.consumer;
    print_pair(print, consumer.held);
    if let Some(run) = consumer.run {
        print_pair(print, run.pair);
        print.instant(run.began);
        print.word(run.ends.is_some());
        print.instant(run.ends.unwrap_or(run.began));
        print.word(run.unlucky);
    }
    for ended in [consumer.last, consumer.before] {
        print.word(ended.verdict as u8);
        if setup.manners.dated {
            print.instant(ended.at);
        }
    }
    print.instant(consumer.deployed_at);
    print.instant(consumer.deployed_before);
    print_pair(print, consumer.works_with);
    print.instant(consumer.works_since.max(world.time - super::setup::SOAK));
    print.instant(consumer.works_from);
    if let Some((call, until)) = world.late {
        print_call(print, call);
        print.instant(until);
    }
    let book = &world.book;
    print_pair(print, book.told);
    print.instant(book.ciapi_gone_at.unwrap_or(world.time + 1));
    print.word(book.leaps);
    for flag in [book.lied, book.no_post, book.misled, book.crowded] {
        print.word(flag);
    }
}

fn print_call(print: &mut Print, call: Call) {
    match call {
        Call::Create(tag) => print_tag(print, tag),
        Call::Deliver(pair) => print_pair(print, pair),
        Call::Overtaken(pair) => {
            print.word(7_u8);
            print_pair(print, pair);
        }
        Call::Provision => print.word(9_u8),
        Call::Delete(tag) => {
            print.word(8_u8);
            print_tag(print, tag);
        }
    }
}

fn print_host(print: &mut Print, setup: &Setup, world: &World, host: usize) {
    let (it, now) = (&world.hosts[host], world.now(host));
    print.instant(now);
    let sequence = it.record.as_ref().map(|record| record.sequence);
    let in_step = sequence == world.disk.as_ref().map(|record| record.sequence);
    print.word(in_step);
    if !in_step {
        print.part(&it.record.as_deref());
    }
    let holder = world.holder(host);
    let on_record = world.lease.as_ref().filter(|lease| lease.holder == holder);
    print.word(on_record.is_some());
    let current = it.lease.as_ref().map(|lease| on_record.is_some_and(|record| record.fence == lease.fence));
    print.part(&current);
    // An end that has passed is as good as any other.
    let end = |lease: Option<&rekeyd::ports::Lease>| {
        lease.map_or(now, |lease| super::clock::step_of(lease.until).max(now))
    };
    print.instant(end(it.lease.as_ref()));
    print.instant(end(world.lease.as_ref()));
    for tag in &it.wallet {
        print_tag(print, *tag);
    }
    print.number(it.wallet.len());
    print.word(it.blind);
    print.instant(it.held_up_until.max(world.time));
    let due = it.record.as_ref().is_some_and(|record| {
        let due = rotation_due(setup.policy(world.reconfigured), record.stage.in_use());
        due.ok().flatten().is_some_and(|due| due <= stamp(now))
    });
    print.word(due);
    match &it.at {
        At::Rests => {
            print.word(0_u8);
            print.text(it.says);
            print.word(it.asks);
            print.instant(it.next_look.max(now));
            print.instant(it.rested_at.max(now));
        }
        At::Walks(seen) => {
            print.word(1_u8);
            if let Some((looks, observation)) = seen {
                print.part(&(looks.keys, looks.status, looks.content));
                print_observation(print, observation);
            }
        }
        At::Planned { observation, planned_at } => {
            print.word(2_u8);
            print.instant(*planned_at);
            print_observation(print, observation);
        }
        At::Intended(step, observation) => {
            print.word(3_u8);
            print_step(print, step);
            print_observation(print, observation);
        }
        At::Answered(name, step, came) => {
            print.word(4_u8);
            print.text(name);
            print_step(print, step);
            match &**came {
                Came::Of(event) => print.part(event),
                Came::OfItself => print.word(0_u8),
                Came::Failed(failure) => print.part(failure),
            }
        }
    }
}

/// What of a step that was sent is not in the record.
fn print_step(print: &mut Print, step: &Step) {
    print.text(step.name());
    match step {
        Step::Create { role, .. } | Step::Test { role, .. } => print.part(role),
        Step::Delete { role, key, .. } | Step::Probe { role, key } => print.part(&(role, &key.id)),
        _ => {}
    }
}

fn print_observation(print: &mut Print, observation: &Observation) {
    fn seen<T: Serialize>(print: &mut Print, seen: &Seen<T>) {
        match seen {
            Seen::NotAsked => print.word(0_u8),
            Seen::Yes(what) => {
                print.word(1_u8);
                print.part(what);
            }
            Seen::Unknown(failure) => {
                print.word(2_u8);
                print.part(failure);
            }
        }
    }
    match &observation.keys {
        Seen::Yes(sightings) => {
            for (role, seen) in sightings {
                print.part(role);
                for sighting in seen {
                    print.part(&(&sighting.key.id, sighting.state));
                }
            }
        }
        Seen::NotAsked => print.word(0_u8),
        Seen::Unknown(failure) => print.part(failure),
    }
    seen(print, &observation.status);
    seen(print, &observation.content);
    print.word(observation.blind);
}
