//! People: those who meddle at odd moments, and the one who puts things right in the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rekeyd::domain::after;
use rekeyd::domain::event::{Trigger, Wish};
use rekeyd::domain::fleet::Pass;
use rekeyd::domain::names::{KeyName, Role};
use rekeyd::engine::Engine;

use super::chance::Dice;
use super::consumer::Pair;
use super::judge::Finding;
use super::sim::{ROLES, Sim, World};
use super::tenant::{By, Maker, Tenant};
use super::time::{HOUR, MINUTE, Millis, offset_stamp};

/// Somebody does something to a tenant, after a while.
pub(crate) async fn meddle(sim: Arc<Sim>, tenant: usize, later: Millis) {
    sim.sleep(later).await;
    let now = sim.now();
    let asked = {
        let mut guard = sim.world();
        let world = &mut *guard;
        if world.calm {
            return;
        }
        let mut dice = world.dice.fork();
        if dice.below(3) == 0 {
            by_hand(world, &mut dice, tenant, now);
            return;
        }
        wish(world, &mut dice, tenant, now)
    };
    if let Some((engine, wish)) = asked {
        ask(&sim, tenant, &engine, wish).await;
    }
}

/// Asks one engine for something, and says what came of it.
pub(crate) async fn ask(sim: &Sim, tenant: usize, engine: &Arc<Engine>, wish: Wish) {
    let id = sim.world().policies[tenant].credential.clone();
    let text = format!("somebody asks of {id}: {wish:?}");
    sim.world().tell(sim.now(), 20, || text);
    // Who is asked may be dead or paused; nobody waits for ever.
    let text = tokio::select! {
        biased;
        answer = engine.wish(&id, wish) => format!("{id} answers: {answer:?}"),
        () = sim.sleep(HOUR) => format!("{id} does not answer"),
    };
    sim.world().tell(sim.now(), 21, || text);
}

/// A wish, and whom to ask.
fn wish(world: &mut World, dice: &mut Dice, tenant: usize, now: Millis) -> Option<(Arc<Engine>, Wish)> {
    let host = dice.index(world.hosts.len());
    let engine = world.hosts[host].engine.clone()?;
    let life = world.hosts[host].life.clone()?;
    let reason = || "meddling".to_owned();
    let wish = match dice.below(10) {
        0 | 1 => {
            let pass = Pass { fuse: dice.below(4) == 0, emergency: dice.below(4) == 0 };
            Wish::Rotate { trigger: Trigger::Command, reason: reason(), pass }
        }
        2 | 3 => Wish::Restore { reason: reason() },
        4 => {
            let wall = offset_stamp(now, life.offset.load(Ordering::SeqCst));
            let until = after(wall, Duration::from_millis(dice.between(MINUTE, 200 * HOUR)));
            Wish::Hold { until: Some(until), reason: reason() }
        }
        5 => Wish::Unhold,
        6 | 7 => Wish::Resume,
        8 => {
            world.tenants[tenant].told = true;
            Wish::Confirm
        }
        _ => {
            engine.push_one(&world.policies[tenant].credential);
            return None;
        }
    };
    Some((engine, wish))
}

/// Somebody changes something at the issuer or at the consumer, behind rekeyd's back.
fn by_hand(world: &mut World, dice: &mut Dice, number: usize, now: Millis) {
    let mut found = Vec::new();
    let tenant = &mut world.tenants[number];
    tenant.settle(now, &mut found);
    let what = change(tenant, dice, now, &mut found);
    world.tell(now, 22, || format!("by hand, t{number}: {what}"));
    world.find_all(now, found);
}

fn change(tenant: &mut Tenant, dice: &mut Dice, now: Millis, found: &mut Vec<Finding>) -> String {
    let role = dice.pick(&ROLES);
    match dice.below(8) {
        0 | 1 => {
            tenant.add(role, KeyName(format!("reporting-{}", dice.below(1000))), Maker::Foreign, now);
            "a foreign key is made".to_owned()
        }
        2 => {
            let alive: Vec<usize> = alive(tenant, role);
            if alive.is_empty() {
                return "there is nothing to delete".to_owned();
            }
            let place = dice.pick(&alive);
            tenant.meddled = true;
            tenant.delete(place, By::Hand, now, (0, 0), found);
            format!("`{}` is deleted", tenant.keys[place].name)
        }
        3 => {
            tenant.run(now, By::Hand);
            "the data plane is onboarded again".to_owned()
        }
        4 | 5 => {
            tenant.manners.fail_next = u32::try_from(dice.between(1, 3)).unwrap();
            "the next runs will fail".to_owned()
        }
        6 => {
            tenant.manners.stuck = !tenant.manners.stuck;
            format!("runs are stuck: {}", tenant.manners.stuck)
        }
        _ => {
            let (Some(ciapi), Some(cirt)) = (some(tenant, Role::Ciapi, dice), some(tenant, Role::Cirt, dice))
            else {
                return "there are no keys to enter".to_owned();
            };
            tenant.meddled = true;
            enter(tenant, Pair { ciapi, cirt }, now, found)
        }
    }
}

/// The keys of a role that are alive and not somebody else's.
fn alive(tenant: &Tenant, role: Role) -> Vec<usize> {
    let is_it = |place: &usize| {
        let key = &tenant.keys[*place];
        key.role == role && key.is_alive() && key.maker != Maker::Foreign
    };
    (0..tenant.keys.len()).filter(is_it).collect()
}

fn some(tenant: &Tenant, role: Role, dice: &mut Dice) -> Option<usize> {
    let alive = alive(tenant, role);
    (!alive.is_empty()).then(|| dice.pick(&alive))
}

/// The manual way: somebody pastes two keys in the user interface and onboards again.
pub(crate) fn enter(tenant: &mut Tenant, pair: Pair, now: Millis, found: &mut Vec<Finding>) -> String {
    tenant.put(pair, By::Hand, found);
    tenant.run(now, By::Hand);
    let name = |place: usize| tenant.keys[place].name.clone();
    format!("`{}` and `{}` are entered at the consumer", name(pair.ciapi), name(pair.cirt))
}
