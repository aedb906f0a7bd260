//! What is to hold: each is compared with what really happened in the world.

use rekeyd::domain::event::Event;
use rekeyd::domain::names::{KeyId, Role};
use rekeyd::domain::stage::Phase;

use super::{Phrase, delta, ensure, number, phase, role};

pub(super) const PHRASES: &[Phrase] = &[
    ("the phase is {}", |scene, values| {
        let wanted = phase(values[0])?;
        let found = scene.phase().map_or("unknown", Phase::as_str);
        ensure(scene.phase() == Some(wanted), || format!("it is `{found}`"))
    }),
    ("it is halted with {}", |scene, values| {
        let halt = scene.record()?.halt.clone().ok_or("it is not halted")?;
        ensure(halt.reason.code() == values[0], || format!("it is halted with `{}`", halt.reason.code()))
    }),
    ("exactly {} keys were created", |scene, values| {
        let found = scene.world.creates;
        ensure(found == number(values[0])?, || format!("{found} were created, not {}", values[0]))
    }),
    ("at most {} keys were created", |scene, values| {
        let found = scene.world.creates;
        ensure(found <= number(values[0])?, || format!("{found} were created"))
    }),
    ("nothing was created", |scene, _| {
        ensure(scene.world.creates == 0, || format!("{} keys were created", scene.world.creates))
    }),
    ("no create was sent although its key was there", |scene, _| {
        ensure(scene.world.taken == 0, || format!("{} were", scene.world.taken))
    }),
    ("nothing was deleted", |scene, _| {
        ensure(scene.world.deletes.is_empty(), || format!("{:?} were deleted", scene.world.deletes))
    }),
    ("only the first {} key was deleted", |scene, values| {
        let first = scene.first[&role(values[0])?].clone();
        ensure(scene.world.deletes == [first], || format!("{:?} were deleted", scene.world.deletes))
    }),
    ("the first keys were deleted, ciapi before cirt", |scene, _| {
        let expected: Vec<KeyId> = Role::PAIR.iter().map(|role| scene.first[role].clone()).collect();
        ensure(scene.world.deletes == expected, || format!("{:?} were deleted", scene.world.deletes))
    }),
    ("the first keys exist", |scene, _| {
        let gone = scene.first.values().find(|id| !scene.world.exists(id));
        ensure(gone.is_none(), || format!("{gone:?} is gone"))
    }),
    ("nothing of ours is left at the issuer", |scene, _| {
        let ours = scene.world.keys.values().flatten().find(|seen| seen.key.name.parse_ours().is_some());
        ensure(ours.is_none(), || format!("{ours:?} is left"))
    }),
    ("the issuer has {} {} keys", |scene, values| {
        let found = scene.world.keys[&role(values[1])?].len();
        ensure(found == number(values[0])? as usize, || format!("it has {found}"))
    }),
    ("never more than {} keys of a role lived at once", |scene, values| {
        ensure(scene.most_keys <= number(values[0])? as usize, || {
            format!("{} lived at once", scene.most_keys)
        })
    }),
    ("the consumer holds the first keys", |scene, _| {
        ensure(scene.world.held == scene.first, || format!("it holds {:?}", scene.world.held))
    }),
    ("the consumer holds the keys in use", |scene, _| {
        let in_use = &scene.record()?.stage.in_use().clone();
        let same = in_use.iter().all(|(role, key)| scene.world.held[role] == key.id);
        ensure(same, || format!("it holds {:?}", scene.world.held))
    }),
    ("the keys in use are fresh", |scene, _| {
        let stage = &scene.record()?.stage;
        let first = stage.in_use().iter().find(|(role, key)| scene.first[*role] == key.id);
        ensure(first.is_none(), || format!("{first:?} is in use"))
    }),
    ("the consumer worked throughout", |scene, _| {
        ensure(scene.looks > 0 && scene.without_ciapi == 0, || {
            format!("it could not deploy at {} of {} looks", scene.without_ciapi, scene.looks)
        })
    }),
    ("data transfer worked throughout", |scene, _| {
        // Whoever holds a `cirt` key that is gone ends the story at once.
        ensure(scene.looks > 0, || "nobody looked".to_owned())
    }),
    ("each ended with one fresh key per role and a consumer that worked throughout", |scene, _| {
        ensure(scene.deaths > 50, || format!("only {} deaths were tried", scene.deaths))
    }),
    ("the history has at most {} {}", |scene, values| {
        let found = scene.count(values[1]);
        ensure(found > 0 && found <= number(values[0])? as usize, || format!("it has it {found} times"))
    }),
    ("the history has {} {} times", |scene, values| {
        let found = scene.count(values[0]);
        ensure(found == number(values[1])? as usize, || format!("it has it {found} times"))
    }),
    ("the history has no {}", |scene, values| {
        let found = scene.count(values[0]);
        ensure(found == 0, || format!("it has it {found} times"))
    }),
    ("in the history {} comes before {}", |scene, values| {
        let place = |name| scene.world.journal.iter().position(|entry| entry.event.name() == name);
        let (first, second) = (place(values[0]), place(values[1]));
        let (Some(first), Some(second)) = (first, second) else {
            return Err(format!("they are at {first:?} and {second:?}"));
        };
        ensure(first < second, || format!("they are at {first} and {second}"))
    }),
    ("the first deletion came at least {} after the proof", |scene, values| {
        let at = |wanted: fn(&Event) -> bool| {
            scene.world.journal.iter().find(|entry| wanted(&entry.event)).map(|entry| entry.at)
        };
        let proven = at(|event| matches!(event, Event::Proven { .. })).ok_or("nothing was proven")?;
        let deleted = at(|event| matches!(event, Event::DeleteSent { .. })).ok_or("nothing was deleted")?;
        ensure(deleted - proven >= delta(values[0])?, || format!("it came {} after it", deleted - proven))
    }),
    ("it says {}: {}", |scene, values| {
        let plan = scene.peek();
        scene.say(&format!("{}: {}", plan.reason.code, plan.reason.text));
        ensure(plan.reason.code == values[0] && plan.reason.text.contains(values[1]), || {
            format!("it says {}: {}", plan.reason.code, plan.reason.text)
        })
    }),
    ("a person is told: {}", |scene, values| {
        let plan = scene.peek();
        let told = plan.reason.person.ok_or("nobody is told anything")?;
        scene.say(&told);
        ensure(told.contains(values[0]), || told)
    }),
    ("the next step is {}", |scene, values| {
        let plan = scene.peek();
        ensure(plan.step.name() == values[0], || {
            format!("it is `{}`: {}", plan.step.name(), plan.reason.text)
        })
    }),
    ("no attempt was counted", |scene, _| {
        let attempts = scene.record()?.trouble.attempts;
        ensure(attempts == 0, || format!("{attempts} were"))
    }),
    ("its first cause is `{}`", |scene, values| {
        let first = scene.record()?.trouble.first.clone().ok_or("nothing failed")?;
        ensure(first.cause == values[0], || first.cause)
    }),
    ("at most {} calls were made to {}", |scene, values| {
        let found = scene.world.calls.get(values[1]).copied().unwrap_or(0);
        ensure(found > 0 && found <= number(values[0])?, || format!("{found} were"))
    }),
    ("explain shows the gate `{}` {}", |scene, values| {
        let gates = scene.gates()?;
        for gate in &gates {
            let state = if gate.open { "open" } else { "closed" };
            scene.say(&format!("{:15} {state:7} {}", gate.name, gate.why));
        }
        let gate = gates.into_iter().find(|gate| gate.name == values[0]).ok_or("there is no such gate")?;
        ensure(gate.open == (values[1] == "open"), || gate.why)
    }),
    ("a rotation has begun within {}", |scene, values| {
        let begun = scene.world.journal.iter().rev().find(|entry| entry.event.name() == "begun");
        let begun = begun.ok_or("none has")?;
        let ago = scene.world.now - begun.at;
        ensure(ago <= delta(values[0])?, || format!("it began {ago} ago"))
    }),
];
