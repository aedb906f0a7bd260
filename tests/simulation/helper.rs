//! The one who puts things right, now and then while the faults go on and for good once they are over: he does what each
//! halt tells him to, and nothing else.

use std::sync::Arc;

use rekeyd::domain::event::Wish;
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::key::KeySet;
use rekeyd::domain::names::{KeyName, Role};
use rekeyd::domain::record::Record;
use rekeyd::domain::stage::Phase;
use rekeyd::engine::Engine;

use super::consumer::Pair;
use super::judge::Finding;
use super::operators::{ask, enter};
use super::ports::spawn;
use super::sim::{ROLES, Sim, World};
use super::tenant::{By, Maker, Tenant, place_of};
use super::time::{HOUR, MINUTE, Millis, SECOND};

/// How long he waits between two rounds once the faults are over.
pub(crate) const ROUND: Millis = 30 * HOUR + 7 * SECOND;

/// So long after a halt was ended rekeyd watches what the consumer does: the run of before is over by then.
const WATCHED: Millis = 27 * MINUTE;

/// What is done about one tenant.
struct Remedy {
    wish: Wish,
    /// Afterwards the data plane is onboarded again.
    then_run: bool,
    /// And once more when rekeyd has found out that it cannot ask for that itself, and watches.
    and_again: bool,
}

/// One round over all tenants.
pub(crate) async fn put_right(sim: &Arc<Sim>) {
    resume_fleet(sim).await;
    let count = sim.world().tenants.len();
    for tenant in 0..count {
        let Some((engine, remedy)) = remedy_of(sim, tenant) else { continue };
        ask(sim, tenant, &engine, remedy.wish).await;
        if remedy.then_run {
            onboard(sim, tenant);
        }
        if remedy.and_again {
            let sim = Arc::clone(sim);
            spawn(async move {
                sim.sleep(WATCHED).await;
                onboard(&sim, tenant);
            });
        }
    }
}

/// The data plane is onboarded again.
fn onboard(sim: &Sim, tenant: usize) {
    let (now, mut found) = (sim.now(), Vec::new());
    let mut world = sim.world();
    world.tell(now, 24, || format!("t{tenant} is onboarded again"));
    world.tenants[tenant].settle(now, &mut found);
    world.tenants[tenant].run(now, By::Hand);
    world.find_all(now, found);
}

/// Ends a halt of the fleet, as `rekeyd resume --fleet` does.
async fn resume_fleet(sim: &Sim) {
    let engine = {
        let world = sim.world();
        let halted = world.stores[world.hosts[0].store].fleet.halt.is_some();
        world.hosts.iter().find_map(|host| host.engine.clone()).filter(|_| halted)
    };
    if let Some(engine) = engine {
        let text = tokio::select! {
            biased;
            answer = engine.resume_fleet("it was looked at") => format!("the fleet is resumed: {answer:?}"),
            () = sim.sleep(HOUR) => "nobody answers".to_owned(),
        };
        sim.world().tell(sim.now(), 23, || text);
    }
}

fn remedy_of(sim: &Sim, number: usize) -> Option<(Arc<Engine>, Remedy)> {
    let now = sim.now();
    let mut guard = sim.world();
    let world = &mut *guard;
    let engine = leased_engine(world, number)?;
    let line = world.stores[world.hosts[0].store].lines.get(&world.policies[number].credential);
    let record = line.map(|line| line.record.clone());
    let view = engine.view(&world.policies[number].credential);
    let reason = view.and_then(|view| view.reason);
    let no_room = reason.as_ref().is_some_and(|reason| reason.code == "no-room");
    let needs_a_person = reason.is_some_and(|reason| reason.person.is_some());
    let mut found = Vec::new();
    let tenant = &mut world.tenants[number];
    tenant.settle(now, &mut found);
    if world.calm || tenant.dice.below(4) == 0 {
        repair(tenant);
    }
    let Some(record) = record else {
        if needs_a_person {
            // Which keys are in use cannot be told: he leaves those.
            leave_one_pair(tenant, now, &mut found);
        }
        world.find_all(now, found);
        return None;
    };
    let remedy = if let Some(halt) = &record.halt {
        Some(end_halt(tenant, &record, &halt.reason, now, &mut found))
    } else if record.readopt {
        // Which keys are in use is not clear: he makes it clear, and it is looked at again by itself.
        leave_one_pair(tenant, now, &mut found);
        None
    } else if record.hold.is_some() {
        Some(Remedy { wish: Wish::Unhold, then_run: false, and_again: false })
    } else {
        if no_room {
            clear_out(tenant, record.stage.in_use(), now, &mut found);
        } else if needs_a_person {
            // No halt, and a person is called all the same: the consumer fails, so he onboards again, with the keys in use where
            // those that it holds are dead.
            if !tenant.accepts(tenant.consumer.held.ciapi) {
                enter_set(tenant, record.stage.in_use(), now, &mut found);
            }
            tenant.run(now, By::Hand);
        }
        None
    };
    world.find_all(now, found);
    remedy.map(|remedy| (engine, remedy))
}

/// The engine that may work on this tenant, else any.
fn leased_engine(world: &World, number: usize) -> Option<Arc<Engine>> {
    let id = &world.policies[number].credential;
    let engines: Vec<&Arc<Engine>> = world.hosts.iter().filter_map(|host| host.engine.as_ref()).collect();
    let holds = |engine: &&&Arc<Engine>| engine.view(id).is_some_and(|view| view.lease_held);
    engines.iter().find(holds).or(engines.first()).map(|engine| Arc::clone(engine))
}

/// The consumer behaves from now on.
fn repair(tenant: &mut Tenant) {
    let manners = &mut tenant.manners;
    (manners.stuck, manners.ignores_put, manners.takes_cirt_only) = (false, false, false);
    (manners.undying, manners.same_secret, manners.fail_next, manners.flaps) = (false, false, 0, 0);
    (manners.skew, manners.stale_looks) = (0, 0);
}

fn end_halt(
    tenant: &mut Tenant,
    record: &Record,
    reason: &HaltReason,
    now: Millis,
    found: &mut Vec<Finding>,
) -> Remedy {
    let plain = |wish| Remedy { wish, then_run: false, and_again: false };
    match reason {
        HaltReason::ManualDelivery { keys } => {
            let named = |role| keys.iter().find_map(|name| tenant.named(role, name));
            if let (Some(ciapi), Some(cirt)) = (named(Role::Ciapi), named(Role::Cirt)) {
                enter(tenant, Pair { ciapi, cirt }, now, found);
                return Remedy { wish: Wish::Confirm, then_run: true, and_again: false };
            }
            plain(Wish::Resume)
        }
        HaltReason::Indeterminate => {
            enter_set(tenant, record.stage.newest(), now, found);
            let and_again = record.stage.phase() == Phase::Retiring;
            Remedy { wish: Wish::Resume, then_run: true, and_again }
        }
        HaltReason::ExclusionFailed { .. } | HaltReason::RestoreFailed { .. } => {
            enter_set(tenant, record.stage.in_use(), now, found);
            Remedy { wish: Wish::Resume, then_run: true, and_again: false }
        }
        HaltReason::LiveKeyGone { .. } | HaltReason::NewerGeneration { .. } | HaltReason::OldJournal => {
            leave_one_pair(tenant, now, found);
            plain(Wish::Confirm)
        }
        HaltReason::DuplicateName { role, name, .. } => {
            while let Some(place) = second_of(tenant, *role, name) {
                tenant.delete(place, By::Hand, now, (0, 0), found);
            }
            plain(Wish::Resume)
        }
        _ => plain(Wish::Resume),
    }
}

/// Deletes the keys that nobody uses, as he is told to where there is no room for fresh ones.
fn clear_out(tenant: &mut Tenant, in_use: &KeySet, now: Millis, found: &mut Vec<Finding>) {
    let used: Vec<usize> = in_use.values().map(|key| place_of(&key.id.0)).collect();
    let held = ROLES.map(|role| tenant.consumer.held.of(role));
    for place in 0..tenant.keys.len() {
        let key = &tenant.keys[place];
        let spare = key.is_alive() && key.maker != Maker::Foreign;
        if spare && !used.contains(&place) && !held.contains(&place) {
            tenant.delete(place, By::Hand, now, (0, 0), found);
        }
    }
}

fn second_of(tenant: &Tenant, role: Role, name: &KeyName) -> Option<usize> {
    let is_it = |place: &usize| {
        let key = &tenant.keys[*place];
        key.role == role && key.name == *name && key.deleted.is_none()
    };
    (0..tenant.keys.len()).filter(is_it).nth(1)
}

/// Enters a set by hand, if its keys are there.
fn enter_set(tenant: &mut Tenant, set: &KeySet, now: Millis, found: &mut Vec<Finding>) {
    let place = |role| set.get(&role).map(|key| place_of(&key.id.0));
    if let (Some(ciapi), Some(cirt)) = (place(Role::Ciapi), place(Role::Cirt))
        && tenant.keys[ciapi].is_alive()
        && tenant.keys[cirt].is_alive()
    {
        enter(tenant, Pair { ciapi, cirt }, now, found);
    }
}

/// Leaves one key per role at the issuer, the one that the consumer holds where it is alive, and enters the pair.
fn leave_one_pair(tenant: &mut Tenant, now: Millis, found: &mut Vec<Finding>) {
    let mut stay = [0, 0];
    for (role, stays) in ROLES.into_iter().zip(&mut stay) {
        let held = tenant.consumer.held.of(role);
        let ours = |place: &usize| {
            let key = &tenant.keys[*place];
            key.role == role && key.is_alive() && key.maker != Maker::Foreign
        };
        *stays = if tenant.keys[held].is_alive() {
            held
        } else {
            (0..tenant.keys.len()).rfind(ours).unwrap_or_else(|| {
                let name = KeyName(format!("by-hand-{role}-{}", tenant.keys.len()));
                tenant.add(role, name, Maker::Hand, now)
            })
        };
    }
    enter(tenant, Pair { ciapi: stay[0], cirt: stay[1] }, now, found);
    for place in 0..tenant.keys.len() {
        if !stay.contains(&place) && tenant.keys[place].deleted.is_none() {
            tenant.delete(place, By::Hand, now, (0, 0), found);
        }
    }
}
