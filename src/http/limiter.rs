//! How fast the way out calls: a bucket of tokens for each landscape and login and for each token endpoint, shared by
//! every tenant, and one line before it that is served in the order of arrival.
//!
//! A call stands in line for a few seconds at most. Beyond that it is sent away with the time of its turn, and its
//! place is kept for when it comes back, so that newcomers do not overtake those who were asked to wait.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::gate::Caller;
use crate::clock::Clock;

/// The longest a call stands in line: a walker that waits keeps others from their work.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);

/// How long the place of a call that was sent away is kept beyond its time. Meanwhile it holds up those behind it by
/// one token.
const GRACE: Duration = Duration::from_secs(10);

/// Places in one line that are kept for calls sent away.
const KEPT_PLACES: usize = 8192;

/// Lines that are remembered; ten thousand tenants need about two each.
const KEPT_LINES: usize = 32_768;

/// How many calls may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// From one token to the next.
    pub(super) interval: Duration,
    /// Tokens in a full bucket: calls that may be made at once after a quiet time.
    pub(super) burst: u32,
}

impl Rate {
    /// At a token endpoint: a third of what XSUAA takes from all the clients of a subaccount, 60 a second (facts: OAuth,
    /// section 7).
    pub(super) const TOKENS: Self = Self { interval: Duration::from_millis(50), burst: 20 };

    /// So many in an hour.
    pub(super) fn hourly(calls: u32, burst: u32) -> Self {
        Self { interval: Duration::from_hours(1) / calls.max(1), burst: burst.max(1) }
    }

    /// The same, but no more than so many in an hour, and no more than an eighteenth of that at once. At 5400 that is 300
    /// at once, 390 in a minute and 5700 in an hour; Service Manager takes 600 and 6000 (facts: Service Manager, section
    /// 4).
    pub(super) fn at_most(self, calls: u32) -> Self {
        let slower = Self::hourly(calls, calls / 18);
        Self { interval: self.interval.max(slower.interval), burst: self.burst.min(slower.burst) }
    }
}

/// Every line there is.
#[derive(Default)]
pub(super) struct Limiter(Mutex<BTreeMap<Caller, Line>>);

impl Limiter {
    /// Waits for the turn of `who` in the line of `lane`. `Ok` is the time it took; `Err` says that its turn is too far
    /// off to wait for, and how far.
    pub(super) async fn pass(
        &self,
        lane: &Caller,
        who: u64,
        rate: Rate,
        clock: &dyn Clock,
    ) -> Result<Duration, Duration> {
        let arrived = clock.monotonic();
        let number = self.line(lane, arrived, |line| line.join(who, arrived));
        // Whoever stops waiting, for whatever reason, leaves the line.
        let _standing = Standing { limiter: self, lane, number };
        loop {
            let now = clock.monotonic();
            let wait = self.line(lane, now, |line| line.ask(number, rate, now));
            if wait.is_zero() {
                return Ok(now.saturating_sub(arrived));
            }
            if now + wait > arrived + PATIENCE {
                self.line(lane, now, |line| line.send_away(number, now + wait + GRACE));
                return Err(wait);
            }
            clock.sleep(wait).await;
        }
    }

    /// Empties the bucket of `lane`: the other side has said that it was too much.
    pub(super) fn drain(&self, lane: &Caller, rate: Rate, now: Duration) {
        self.line(lane, now, |line| line.full_at = now + rate.interval * rate.burst);
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<Caller, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line<T>(&self, lane: &Caller, now: Duration, change: impl FnOnce(&mut Line) -> T) -> T {
        let mut lines = self.lines();
        if lines.len() >= KEPT_LINES && !lines.contains_key(lane) {
            // A full bucket that nobody waits for is like a new one.
            lines.retain(|_, line| now < line.full_at || !line.places.is_empty());
        }
        change(lines.entry(lane.clone()).or_default())
    }
}

/// Somebody who stands in line now.
struct Standing<'a> {
    limiter: &'a Limiter,
    lane: &'a Caller,
    number: u64,
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        if let Some(line) = self.limiter.lines().get_mut(self.lane) {
            line.leave(self.number);
        }
    }
}

/// One bucket and the line before it.
#[derive(Default)]
struct Line {
    /// When the bucket is full again if nobody takes a token. It holds a token less for each interval until then.
    full_at: Duration,
    places: BTreeMap<u64, Place>,
    next: u64,
}

struct Place {
    who: u64,
    /// Until when the place is kept for one who was sent away; `None` for one who stands here.
    kept_until: Option<Duration>,
}

impl Line {
    /// A place for `who`: the one that was kept, or else one at the end.
    fn join(&mut self, who: u64, now: Duration) -> u64 {
        self.forget(now);
        let kept = self.places.iter_mut().find(|(_, place)| place.who == who && place.kept_until.is_some());
        if let Some((number, place)) = kept {
            place.kept_until = None;
            return *number;
        }
        self.next += 1;
        self.places.insert(self.next, Place { who, kept_until: None });
        self.next
    }

    /// How long until the turn of `number`. Zero: it is now, and a token is taken.
    fn ask(&mut self, number: u64, rate: Rate, now: Duration) -> Duration {
        self.forget(now);
        let ahead = u32::try_from(self.places.range(..number).count()).unwrap_or(u32::MAX);
        let taken = self.full_at.max(now) + rate.interval * ahead.saturating_add(1);
        let turn = taken.saturating_sub(rate.interval * rate.burst);
        if turn <= now {
            self.full_at = self.full_at.max(now) + rate.interval;
            self.places.remove(&number);
        }
        turn.saturating_sub(now)
    }

    fn send_away(&mut self, number: u64, kept_until: Duration) {
        let has_room = self.places.len() <= KEPT_PLACES;
        if let Some(place) = self.places.get_mut(&number).filter(|_| has_room) {
            place.kept_until = Some(kept_until);
        }
    }

    fn leave(&mut self, number: u64) {
        if self.places.get(&number).is_some_and(|place| place.kept_until.is_none()) {
            self.places.remove(&number);
        }
    }

    fn forget(&mut self, now: Duration) {
        self.places.retain(|_, place| place.kept_until.is_none_or(|until| now < until));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { interval: Duration::from_millis(200), burst: 5 };

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_full_bucket_is_a_burst_and_then_one_goes_at_a_time() {
        let mut line = Line::default();
        let now = at(100_000);
        let waits: Vec<_> = (0..8)
            .map(|who| {
                let number = line.join(who, now);
                line.ask(number, RATE, now)
            })
            .collect();
        let expected = [0, 0, 0, 0, 0, 200, 400, 600].map(at);
        assert_eq!(waits, expected);
    }

    #[test]
    fn one_who_was_sent_away_finds_his_place_before_the_newcomers() {
        let mut line = Line { full_at: at(100_000 + 5 * 200), ..Line::default() };
        let first = line.join(1, at(100_000));
        assert_eq!(line.ask(first, RATE, at(100_000)), at(200));
        line.send_away(first, at(100_200) + GRACE);
        let newcomer = line.join(2, at(100_200));
        assert_eq!(line.ask(newcomer, RATE, at(100_200)), at(200), "the one token is the first one's");
        let back = line.join(1, at(100_200));
        assert_eq!((back, line.ask(back, RATE, at(100_200))), (first, Duration::ZERO));
        assert_eq!(line.ask(newcomer, RATE, at(100_400)), Duration::ZERO);
    }

    #[test]
    fn one_who_does_not_come_back_holds_nobody_up_for_long() {
        let mut line = Line { full_at: at(100_000 + 5 * 200), ..Line::default() };
        for who in 0..100 {
            let number = line.join(who, at(100_000));
            line.send_away(number, at(110_000));
        }
        let newcomer = line.join(1000, at(109_999));
        assert!(line.ask(newcomer, RATE, at(109_999)) > Duration::ZERO);
        assert_eq!(line.ask(newcomer, RATE, at(110_000)), Duration::ZERO);
    }

    #[test]
    fn rates_have_sense_whatever_is_asked() {
        assert_eq!(Rate::hourly(18_000, 60), Rate { interval: at(200), burst: 60 });
        assert_eq!(Rate::hourly(0, 0), Rate { interval: Duration::from_hours(1), burst: 1 });
        let slow = Rate::hourly(18_000, 1000).at_most(5400);
        assert_eq!(slow, Rate { interval: Duration::from_hours(1) / 5400, burst: 300 });
        assert_eq!(Rate::hourly(60, 2).at_most(5400), Rate::hourly(60, 2), "nothing becomes faster");
    }

    /// What happens to a line: somebody comes, somebody gives up, the other side complains, time goes by.
    #[derive(Debug, Clone)]
    enum Happens {
        Comes(u64),
        GivesUp(usize),
        Drained,
        Passes(u64),
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            6 => (0_u64..40).prop_map(Happens::Comes),
            1 => (0_usize..8).prop_map(Happens::GivesUp),
            1 => Just(Happens::Drained),
            4 => (0_u64..700).prop_map(Happens::Passes),
        ]
    }

    proptest! {
        /// However they come: no more calls in any span than the burst and what drips into the bucket, and nobody who
        /// stands in line is overtaken by one who came later.
        #[test]
        fn no_span_holds_more_than_its_share_and_nobody_is_overtaken(
            story in prop::collection::vec(happens(), 1..200)
        ) {
            let mut line = Line::default();
            let mut now = at(50_000);
            let mut standing: Vec<u64> = Vec::new();
            let mut gone: Vec<Duration> = Vec::new();
            for event in story {
                match event {
                    Happens::Comes(who) => standing.push(line.join(who, now)),
                    Happens::GivesUp(index) if index < standing.len() => line.leave(standing.remove(index)),
                    Happens::GivesUp(_) => {}
                    Happens::Drained => line.full_at = now + RATE.interval * RATE.burst,
                    Happens::Passes(milliseconds) => now += at(milliseconds),
                }
                // The worst order to ask in: whoever came last asks first.
                standing.sort_unstable();
                let asked: Vec<(u64, bool)> = standing
                    .iter()
                    .rev()
                    .map(|number| (*number, line.ask(*number, RATE, now).is_zero()))
                    .collect();
                let last = asked.iter().find(|(_, goes)| *goes).map(|(number, _)| *number);
                for (number, goes) in asked {
                    prop_assert!(goes || last.is_none_or(|last| last < number), "{number} was overtaken");
                    if goes {
                        standing.retain(|other| *other != number);
                        gone.push(now);
                    }
                }
            }
            for (index, from) in gone.iter().enumerate() {
                for (count, to) in gone[index..].iter().enumerate() {
                    let dripped = to.saturating_sub(*from).as_millis() / RATE.interval.as_millis();
                    prop_assert!((count as u128) < u128::from(RATE.burst) + dripped);
                }
            }
        }
    }
}
