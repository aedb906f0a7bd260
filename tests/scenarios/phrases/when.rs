//! What happens: the daemon runs, the clock turns, people ask.

use rekeyd::domain::event::{Event, Trigger, Wish};
use rekeyd::domain::fleet::Pass;
use rekeyd::domain::stage::{Phase, Stage};

use super::{Phrase, delta, ensure, number, phase, role};
use crate::scene::Scene;

pub(super) const PHRASES: &[Phrase] = &[
    ("the daemon runs until it is {}", |scene, values| {
        let wanted = phase(values[0])?;
        scene.run_until(values[0], |scene| scene.phase() == Some(wanted))
    }),
    ("the daemon runs until the rotation is over", |scene, _| {
        let before = scene.count("completed");
        scene.run_until("over", |scene| {
            scene.count("completed") > before && scene.phase() == Some(Phase::Settled)
        })
    }),
    ("the daemon runs until {} is journalled", |scene, values| {
        let (name, before) = (values[0], scene.count(values[0]));
        scene.run_until("journalled", |scene| scene.count(name) > before)
    }),
    ("the daemon runs for {}", |scene, values| scene.run_for(delta(values[0])?)),
    ("the daemon looks once", |scene, _| scene.turn()),
    ("{} pass while the daemon is down", |scene, values| {
        scene.world.now += delta(values[0])?;
        scene.world.crash();
        Ok(())
    }),
    ("the machine is suspended for {}", |scene, values| {
        scene.world.now += delta(values[0])?;
        Ok(())
    }),
    ("the process restarts", |scene, _| {
        let before = scene.world.record.clone();
        scene.world.crash();
        ensure(scene.world.record == before, || "the journal does not say what was known".to_owned())
    }),
    ("the process restarts {} times, a look apart", |scene, values| {
        for _ in 0..number(values[0])? {
            scene.turn()?;
            scene.world.crash();
        }
        Ok(())
    }),
    ("a backup of the journal from before the rotation is restored", |scene, _| {
        let begun = scene.world.journal.iter().position(|entry| entry.event.name() == "begun");
        let begun = begun.ok_or("no rotation has begun")?;
        scene.world.journal.truncate(begun);
        scene.world.crash();
        scene.told();
        Ok(())
    }),
    ("the operator asks to {}", |scene, values| {
        let wish = wish(values[0])?;
        scene.world.wish(wish)
    }),
    ("a death at every moment is tried, each until the rotation is over", deaths),
    ("SIGUSR1 arrives {} times", |scene, values| {
        for _ in 0..number(values[0])? {
            push(scene);
        }
        Ok(())
    }),
    ("somebody gives the consumer the first keys by hand and deploys it", |scene, _| {
        scene.world.held = scene.first.clone();
        scene.world.deployed_at = scene.world.now;
        Ok(())
    }),
    ("{} {} keys that nobody manages are deleted at the issuer", |scene, values| {
        let (many, role) = (number(values[0])?, role(values[1])?);
        let keys = scene.world.keys.get_mut(&role).ok_or("there are none")?;
        for _ in 0..many {
            let last = keys.iter().rposition(|seen| seen.key.name.0.starts_with("by-hand-"));
            keys.remove(last.ok_or("there are none")?);
        }
        Ok(())
    }),
    ("somebody gives the consumer the fresh keys by hand", |scene, _| {
        let fresh = scene.record()?.stage.newest().clone();
        scene.world.held = fresh.into_iter().map(|(role, key)| (role, key.id)).collect();
        Ok(())
    }),
];

/// Tells the same story again and again, with a death at another moment each time.
fn deaths(scene: &mut Scene, _: &[&str]) -> Result<(), String> {
    let whole = |dies_at: Option<u32>| {
        let mut scene = Scene::new();
        scene.world.script.dies_at = dies_at;
        scene.run_until("over", |scene| scene.count("completed") > 0)?;
        Ok::<_, String>(scene)
    };
    let moments = whole(None)?.world.script.points;
    for moment in 1..=moments {
        let one = whole(Some(moment)).map_err(|why| format!("killed at moment {moment}: {why}"))?;
        let single = one.world.keys.values().all(|keys| keys.len() == 1);
        if one.world.creates != 2 || !single || one.without_ciapi > 0 || one.world.held == scene.first {
            return Err(format!("killed at moment {moment}: {}", one.now()));
        }
        scene.deaths += 1;
    }
    scene.say(&format!("{moments} moments, each followed by a restart"));
    Ok(())
}

fn wish(text: &str) -> Result<Wish, String> {
    let reason = "told in a story".to_owned();
    Ok(match text {
        "rotate" => Wish::Rotate { trigger: Trigger::Command, reason, pass: Pass::default() },
        "withdraw" => Wish::Withdraw { reason },
        "restore" => Wish::Restore { reason },
        "hold" => Wish::Hold { until: None, reason },
        "unhold" => Wish::Unhold,
        "resume" => Wish::Resume,
        "confirm" => Wish::Confirm,
        other => return Err(format!("nobody can ask to `{other}`")),
    })
}

/// As the engine does: a push is journalled where the credential waits for a time that may be passed over.
fn push(scene: &mut Scene) {
    let Some(record) = &scene.world.record else { return };
    let backs_off = record.trouble.retry_at.is_some_and(|at| scene.world.now < at);
    let pauses = record.cycles > 0 && !record.pushed && matches!(record.stage, Stage::Settled { .. });
    if record.halt.is_none() && (backs_off || pauses) {
        scene.world.write(Event::Pushed);
    }
}
