//! A soak is time in which somebody watched: neither a clock that leaps nor a daemon that was down lets it end.

use std::time::Duration;

use rekeyd::domain::policy::{Policy, Provision};
use rekeyd::domain::stage::Phase;

use super::policy;
use super::walk::{count, is_settled_again, phase, timeline, walk};
use super::world::{Manners, World};

/// Walks to the soak, lets the clock leap, and answers how much time really went by until the first deletion.
fn soaked_for(leap: chrono::TimeDelta) -> chrono::TimeDelta {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Soaking)));
    let proven = world.now;
    world.now += chrono::TimeDelta::hours(1);
    world.now += leap;
    assert!(walk(&mut world, 400, |world, _| count(world, "delete-sent") > 0), "{}", timeline(&world));
    world.now - proven - leap
}

#[test]
fn a_leap_of_the_clock_takes_at_most_an_eighth_off_a_soak() {
    assert!(soaked_for(chrono::TimeDelta::zero()) >= chrono::TimeDelta::hours(48));
    for days in [1, 2, 30, 400] {
        let soaked = soaked_for(chrono::TimeDelta::days(days));
        assert!(soaked >= chrono::TimeDelta::hours(42), "{days} days ahead: {soaked}");
    }
}

#[test]
fn renewals_that_come_at_once_are_no_soak() {
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Soaking)));
    world.now += chrono::TimeDelta::days(30);
    walk(&mut world, 2, |_, _| false);
    assert_eq!(count(&world, "renewed"), 1, "one for the whole leap");
    assert_eq!(phase(&world), Some(Phase::Soaking));
}

#[test]
fn a_leap_of_the_clock_kills_no_token_early() {
    let mut world = World::new(policy(), 1, 0, Manners { ignores_put: true, ..Manners::default() });
    assert!(walk(&mut world, 400, |world, _| count(world, "gone") == 1), "{}", timeline(&world));
    let gone = world.now;
    let renewed = count(&world, "renewed");
    assert!(walk(&mut world, 400, |world, _| count(world, "renewed") > renewed), "{}", timeline(&world));
    world.now += chrono::TimeDelta::days(2);
    let posted = count(&world, "provisioned");
    assert!(walk(&mut world, 400, |world, _| count(world, "provisioned") > posted), "{}", timeline(&world));
    assert!(
        world.now - gone - chrono::TimeDelta::days(2) >= chrono::TimeDelta::hours(24),
        "{}",
        timeline(&world)
    );
}

#[test]
fn a_leap_of_the_clock_ends_no_second_soak() {
    let policy = Policy { provision: Provision::Never, ..policy() };
    let mut world = World::new(policy, 1, 0, Manners::default());
    for _ in 0..600 {
        if phase(&world) == Some(Phase::Provisioning) {
            world.deployed_at = world.now;
        }
        world.turn();
        if count(&world, "gone") == 1 {
            break;
        }
    }
    let gone = world.now;
    world.now += chrono::TimeDelta::days(30);
    assert!(walk(&mut world, 400, |world, _| count(world, "delete-sent") == 2), "{}", timeline(&world));
    assert!(
        world.now - gone - chrono::TimeDelta::days(30) >= chrono::TimeDelta::hours(42),
        "{}",
        timeline(&world)
    );
    assert!(walk(&mut world, 400, |world, _| is_settled_again(world)));
}

#[test]
fn time_in_which_the_consumer_fails_is_no_soak() {
    use rekeyd::domain::observation::Verdict;
    let mut world = World::new(policy(), 1, 0, Manners::default());
    assert!(walk(&mut world, 200, |world, _| phase(world) == Some(Phase::Soaking)));
    world.verdict = Verdict::Error;
    let from = world.now;
    walk(&mut world, 400, |world, _| world.now - from > chrono::TimeDelta::days(10));
    assert_eq!((count(&world, "renewed"), world.deletes.len()), (0, 0), "{}", timeline(&world));
    world.verdict = Verdict::Success;
    let from = world.now;
    assert!(walk(&mut world, 400, |world, _| count(world, "delete-sent") > 0), "{}", timeline(&world));
    assert!(world.now - from >= chrono::TimeDelta::hours(41), "{}", timeline(&world));
}

#[test]
fn a_short_soak_needs_no_renewals() {
    let short = Policy { soak: Duration::from_secs(1), ..policy() };
    assert_eq!(short.renewals_over(short.soak), 0);
    assert_eq!(policy().renewals_over(policy().soak), 8);
    assert_eq!(policy().renewals_over(Duration::MAX), 1000);
}
