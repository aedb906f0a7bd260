//! The time of the model: whole steps of ten minutes. A look, a call and an append take none of it; it goes by while
//! everybody rests, or while somebody is held up.

use rekeyd::domain::Timestamp;

/// The seconds of one step.
pub(crate) const GRID: i64 = 600;

/// When the model begins, in seconds since 1970.
pub(crate) const BEGIN: i64 = 1_772_323_200;

/// Longer than every span of the policy: gaps between instants are told apart up to here (a day is 144 steps).
pub(crate) const FAR: i64 = 150;

/// An instant, in steps since the model began.
pub(crate) fn stamp(at: i64) -> Timestamp {
    Timestamp::from_timestamp(BEGIN + at * GRID, 0).expect("the model does not last for ever")
}

/// The first step at or after `at`.
pub(crate) fn step_of(at: Timestamp) -> i64 {
    let elapsed = at - stamp(0);
    let nanoseconds = elapsed
        .num_nanoseconds()
        .map_or_else(|| i128::from(elapsed.num_seconds()) * 1_000_000_000, i128::from);
    let step = i128::from(GRID) * 1_000_000_000;
    let up = nanoseconds.div_euclid(step) + i128::from(nanoseconds.rem_euclid(step) > 0);
    i64::try_from(up).expect("an instant is not that far")
}

#[test]
fn steps_round_up() {
    for (at, expected) in [(0, 0), (600, 1), (1, 1), (601, 2), (-1, 0), (-600, -1)] {
        let at = stamp(0) + chrono::TimeDelta::seconds(at);
        assert_eq!(step_of(at), expected, "{at}");
    }
    assert_eq!(step_of(stamp(0) + chrono::TimeDelta::nanoseconds(1)), 1);
}
