//! Keys of ours that the journal does not know: restored backups, clones, a journal that was lost.

use std::time::Duration;

use rekeyd::domain::after;
use rekeyd::domain::event::{Event, Trigger, Wish};
use rekeyd::domain::fleet::Pass;
use rekeyd::domain::fold;
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::names::{KeyName, Role};
use rekeyd::domain::stage::Phase;

use super::policy;
use super::walk::{count, is_settled_again, phase, timeline, walk};
use super::world::{Manners, World};

fn rotate() -> Wish {
    Wish::Rotate { trigger: Trigger::Command, reason: "test".to_owned(), pass: Pass::default() }
}

fn is_halted_by_a_stranger(world: &World) -> bool {
    let halt = world.record.as_ref().and_then(|record| record.halt.as_ref());
    halt.is_some_and(|halt| matches!(halt.reason, HaltReason::NewerGeneration { .. }))
}

/// Puts a key of the generation under way beside ours, as a clone of this instance would.
fn add_of_a_clone(world: &mut World) {
    let generation = world.record.as_ref().unwrap().generation;
    let name = KeyName::ours(Role::Cirt, generation, &world.policy.credential, 4711);
    let now = world.now;
    world.add(Role::Cirt, name, now);
}

#[test]
fn a_clone_at_work_on_the_same_generation_halts_in_every_stage_that_looks() {
    for wanted in [Phase::Creating, Phase::Delivering, Phase::Soaking, Phase::Retiring] {
        let mut world = World::new(policy(), 1, 0, Manners::default());
        assert!(walk(&mut world, 400, |world, _| phase(world) == Some(wanted)), "{}", timeline(&world));
        let (creates, deletes) = (world.creates, world.deletes.len());
        add_of_a_clone(&mut world);
        world.turn();
        assert!(is_halted_by_a_stranger(&world), "{wanted}: {}", timeline(&world));
        walk(&mut world, 20, |_, _| false);
        assert_eq!((world.creates, world.deletes.len()), (creates, deletes), "{wanted}");
    }
}

#[test]
fn a_person_who_confirms_a_stranger_lets_it_stay_and_the_rotation_goes_on() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Soaking)));
    add_of_a_clone(&mut world);
    world.turn();
    world.wish(Wish::Confirm).unwrap();
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!(world.deletes.len(), 2, "the stranger stays");
    assert_eq!(world.keys[&Role::Cirt].len(), 2);
}

#[test]
fn an_older_backup_of_the_journal_halts_before_anything_is_made_or_deleted() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
    let backup = world.journal.clone();
    world.wish(rotate()).unwrap();
    assert!(walk(&mut world, 400, |world, _| count(world, "completed") == 2), "{}", timeline(&world));
    let (creates, deletes) = (world.creates, world.deletes.len());
    world.journal = backup;
    world.crash();
    for _ in 0..50 {
        world.turn();
    }
    assert_eq!(phase(&world), Some(Phase::Halted), "{}", timeline(&world));
    assert_eq!((world.creates, world.deletes.len()), (creates, deletes));
}

#[test]
fn a_lost_journal_adopts_nothing_of_ours_unless_a_person_names_it() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)), "{}", timeline(&world));
    let made = world.creates;
    world.journal.clear();
    world.record = None;
    world.now = after(world.now, Duration::from_hours(24 * 400));
    let plan = world.turn();
    assert_eq!(plan.reason.code, "not-adopted");
    assert!(plan.reason.person.is_some_and(|what| what.contains("the journal was lost")));
    walk(&mut world, 20, |_, _| false);
    assert!(world.record.is_none());
    assert_eq!(world.creates, made);

    let name = |role: &Role| world.keys[role][0].key.name.clone();
    world.policy.in_use = Role::PAIR.iter().map(|role| (*role, name(role))).collect();
    assert!(walk(&mut world, 600, |world, _| is_settled_again(world)), "{}", timeline(&world));
    assert_eq!(world.creates, made + 2);
}

#[test]
fn a_key_of_ours_that_went_and_is_listed_late_is_no_stranger() {
    let mut world = World::new(policy(), 1, 0, Manners { fails: 1, ..Manners::default() });
    // The consumer fails once: the fresh keys are retired in the end, and bear the newest generation there is.
    assert!(walk(&mut world, 600, |world, _| count(world, "completed") == 1), "{}", timeline(&world));
    let gone: Vec<KeyName> = world.record.as_ref().unwrap().gone.clone();
    assert_eq!(gone.len(), 2, "{}", timeline(&world));
    let now = world.now;
    for (role, name) in Role::PAIR.into_iter().zip(gone) {
        world.add(role, name, now);
    }
    world.turn();
    assert_ne!(phase(&world), Some(Phase::Halted), "{}", timeline(&world));
    let folded = fold::fold(&world.journal).unwrap().remove(&world.policy.credential);
    assert_eq!(folded, world.record);
}

#[test]
fn a_fresh_key_that_somebody_deletes_is_never_delivered() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Delivering)));
    let held = world.held.clone();
    world.keys.get_mut(&Role::Cirt).unwrap().pop();
    for _ in 0..60 {
        world.turn();
        assert_eq!(world.held, held, "{}", timeline(&world));
    }
    assert_eq!(count(&world, "delivered"), count(&world, "turned-back"), "only the old set is put back");
}

/// Believing an old copy that the fresh keys were never delivered would take the consumer's only keys away.
#[test]
fn fresh_keys_are_not_cleared_away_where_the_keys_in_use_are_gone() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 400, |world, _| phase(world) == Some(Phase::Testing)), "{}", timeline(&world));
    let live = world.record.as_ref().unwrap().stage.in_use().clone();
    let baseline = rekeyd::domain::evidence::Baseline::default();
    world.write(Event::TurnedBack { why: "testing took too long".to_owned(), baseline });
    world.keys.get_mut(&Role::Cirt).unwrap().retain(|seen| seen.key.id != live[&Role::Cirt].id);
    for _ in 0..60 {
        world.turn();
    }
    assert!(world.deletes.is_empty(), "{}", timeline(&world));
    let halt = world.record.as_ref().and_then(|record| record.halt.clone()).map(|halt| halt.reason);
    assert!(matches!(halt, Some(HaltReason::LiveKeyGone { role: Role::Cirt, .. })), "{halt:?}");
}

/// A rotation that was under way in an old copy: a person says which keys are in use, and it starts over from there.
#[test]
fn a_person_who_confirms_an_old_journal_starts_over_with_the_keys_in_use() {
    for reached in [Phase::Creating, Phase::Testing, Phase::Provisioning, Phase::Soaking, Phase::Retiring] {
        let mut world = World::new(policy(), 1, 0, Manners::default());
        assert!(walk(&mut world, 400, |world, _| phase(world) == Some(reached)), "{}", timeline(&world));
        world.write(Event::Halted(HaltReason::OldJournal));
        let deletes = world.deletes.len();
        world.policy.in_use = world
            .held
            .iter()
            .map(|(role, id)| {
                let seen = world.keys[role].iter().find(|seen| seen.key.id == *id);
                (*role, seen.unwrap().key.name.clone())
            })
            .collect();
        world.wish(Wish::Confirm).unwrap();
        assert!(walk(&mut world, 40, |world, _| count(world, "adopted") == 2), "{}", timeline(&world));
        let live: Vec<_> =
            world.record.as_ref().unwrap().stage.in_use().values().map(|key| &key.id).collect();
        assert_eq!(live, world.held.values().collect::<Vec<_>>(), "{reached}");
        assert_eq!(world.deletes.len(), deletes, "{reached}: what is spare stays for a person");
        assert_eq!(phase(&world), Some(Phase::Settled), "{reached}");
        let folded = fold::fold(&world.journal).unwrap().remove(&world.policy.credential);
        assert_eq!(folded, world.record);
    }
}
