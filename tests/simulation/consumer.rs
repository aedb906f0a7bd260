//! The consumer as it truly is: the pair it holds, the pair it deployed last, and its runs.

use rekeyd::domain::names::Role;

use super::tenant::By;
use super::time::{DAY, HOUR, MINUTE, Millis, SECOND};

/// One key per role, by its place in the tenant's book of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) ciapi: usize,
    pub(crate) cirt: usize,
}

impl Pair {
    pub(crate) fn of(self, role: Role) -> usize {
        match role {
            Role::Ciapi => self.ciapi,
            Role::Cirt => self.cirt,
            Role::Sole => unreachable!("the consumers here are data planes"),
        }
    }
}

/// How a tenant's outside world behaves.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one way to misbehave, and any go together")]
pub(crate) struct Manners {
    /// A delivery is answered with 200 and nothing is taken over.
    pub(crate) ignores_put: bool,
    /// Only the `cirt` entry of a delivery is taken over.
    pub(crate) takes_cirt_only: bool,
    /// There is no endpoint to deliver to.
    pub(crate) no_put: bool,
    /// There is no endpoint to provision with.
    pub(crate) no_post: bool,
    /// A delivery starts a run.
    pub(crate) runs_on_put: bool,
    /// Runs never end.
    pub(crate) stuck: bool,
    /// So many of the coming runs fail although the credential is fine.
    pub(crate) fail_next: u32,
    /// The previous end is shown for so many looks after a run began while none was under way.
    pub(crate) stale_looks: u32,
    /// How long a run takes at most.
    pub(crate) run_time: Millis,
    /// Its answers say when.
    pub(crate) tells_time: bool,
    /// How far its clock is ahead.
    pub(crate) skew: i64,
    /// A token lives so long: a run succeeds with a key that was deleted a shorter time ago.
    pub(crate) token_life: Millis,
    /// A delivery is taken over so much later than it is answered, at most.
    pub(crate) put_delay: Millis,
    /// Every key of an instance has the same secret.
    pub(crate) same_secret: bool,
    /// Deleted keys go on working.
    pub(crate) undying: bool,
    /// Lists lag behind by at most this.
    pub(crate) list_lag: Millis,
    /// A fresh key is refused for at most this.
    pub(crate) propagation: Millis,
    /// While a run is under way one look in so many shows another state than the true one. Zero is never.
    pub(crate) flaps: u64,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            ignores_put: false,
            takes_cirt_only: false,
            no_put: false,
            no_post: false,
            runs_on_put: false,
            stuck: false,
            fail_next: 0,
            stale_looks: 0,
            run_time: 15 * MINUTE,
            tells_time: false,
            skew: 0,
            token_life: 12 * HOUR,
            put_delay: 0,
            same_secret: false,
            undying: false,
            list_lag: 30 * SECOND,
            propagation: 18 * SECOND,
            flaps: 0,
        }
    }
}

/// Whether a run began before the last delivery, and who could know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// It began after it, or rekeyd itself had asked for it.
    No,
    /// The last look before the delivery showed it.
    Shown,
    /// A person began it, and the last look before the delivery did not show it.
    Hidden,
}

/// A run under way.
#[derive(Debug, Clone, Copy)]
struct Run {
    pair: Pair,
    began: Millis,
    began_tick: u64,
    ready: Millis,
    /// A person began it.
    by_hand: bool,
    /// The last look showed that something is, or may be, under way.
    shown: bool,
    before: Before,
}

/// What a look shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Running,
    Ended { well: bool },
}

/// What the consumer is and has done.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is something that may be true of it")]
pub(crate) struct Consumer {
    pub(crate) held: Pair,
    /// The held pair was entered by a person.
    pub(crate) held_by_hand: bool,
    pub(crate) deployed: Pair,
    pub(crate) deployed_at: Millis,
    /// A run that began after the held pair was stored has succeeded with it.
    pub(crate) proven: bool,
    /// Since the last delivery that may have been answered a run has come to a good end, with whatever pair, of which no
    /// look before it showed that it is of before.
    pub(crate) looked_proven: bool,
    /// The tick at which the last successful run with the held pair began.
    pub(crate) success_tick: Option<u64>,
    /// The tick at which the last successful run began, with whatever pair.
    pub(crate) good_run_tick: Option<u64>,
    /// A person began the last successful run: before the delivery and without any look that showed it, or with another pair
    /// than the one that was delivered, which was taken over later. Nothing tells it from one that the delivery brought about.
    pub(crate) hidden_proof: bool,
    /// The pair that was delivered last, taken over or not.
    pub(crate) delivered: Option<Pair>,
    /// Deliveries that took effect.
    pub(crate) deliveries: u64,
    /// The delivery that took effect last was sent before one that had taken effect already: what the consumer was given
    /// back is gone again, and no look shows it.
    pub(crate) overtaken: bool,
    /// The tick of the last delivery that was answered with 200 and not, or not wholly, taken over.
    pub(crate) ignored_tick: Option<u64>,
    run: Option<Run>,
    last: (bool, Millis),
    stale_looks: u32,
    /// A delivery that is taken over later: when, the pair, and the tick of the delivery where it is not the pair that was
    /// delivered.
    late_put: Option<(Millis, Pair, Option<u64>)>,
}

impl Consumer {
    pub(crate) fn onboarded(pair: Pair) -> Self {
        Self {
            held: pair,
            held_by_hand: false,
            deployed: pair,
            deployed_at: 0,
            proven: true,
            looked_proven: true,
            success_tick: None,
            good_run_tick: None,
            hidden_proof: false,
            delivered: None,
            deliveries: 0,
            overtaken: false,
            ignored_tick: None,
            run: None,
            last: (true, 0),
            stale_looks: 0,
            late_put: None,
        }
    }

    /// What happens next by itself, and when.
    pub(crate) fn next_event(&self, manners: &Manners) -> Option<Millis> {
        let run = self.run.filter(|_| !manners.stuck).map(|run| run.ready);
        let put = self.late_put.map(|(at, ..)| at);
        [run, put].into_iter().flatten().min()
    }

    /// Takes over the delivery that is due at `now`; `false` where none is.
    pub(crate) fn take_late_put(&mut self, now: Millis) -> bool {
        let Some((_, pair, ignored)) = self.late_put.take_if(|(at, ..)| *at <= now) else { return false };
        self.store(pair, false);
        self.ignored_tick = ignored.or(self.ignored_tick);
        true
    }

    pub(crate) fn take_later(&mut self, at: Millis, pair: Pair, ignored: Option<u64>) {
        self.late_put = Some((at, pair, ignored));
    }

    /// Stores a pair. The same pair again changes nothing but that a person may have entered it.
    pub(crate) fn store(&mut self, pair: Pair, by_hand: bool) {
        if pair != self.held {
            self.held = pair;
            self.held_by_hand = by_hand;
            self.proven = false;
            self.success_tick = None;
            self.ignored_tick = None;
        } else if by_hand && self.delivered.is_some_and(|delivered| delivered != pair) {
            self.held_by_hand = true;
        }
    }

    /// Whether the held pair is not the one that every look says: a delivery came after the one that followed it, or was
    /// answered and ignored, and a run has come to a good end since.
    pub(crate) fn misread(&self) -> Option<&'static str> {
        if self.overtaken {
            return Some("a delivery had taken effect after the one that put the old keys back");
        }
        if self.ignored_tick.is_some() && self.hidden_proof {
            return Some("the consumer had ignored its successor, and a run of before looked like its proof");
        }
        match (self.ignored_tick, self.good_run_tick) {
            (Some(ignored), Some(success)) if success > ignored => {
                Some("the consumer had ignored its successor")
            }
            _ => None,
        }
    }

    /// Begins a run with the pair that is stored now; one under way is replaced.
    pub(crate) fn start_run(&mut self, manners: &Manners, by: By, now: Millis, tick: u64, takes: Millis) {
        // What is shown late is how it was before: of a run that takes the place of another one, that one.
        if self.run.is_none() {
            self.stale_looks = manners.stale_looks;
        }
        self.run = Some(Run {
            pair: self.held,
            began: now,
            began_tick: tick,
            ready: now + takes,
            by_hand: by == By::Hand,
            shown: false,
            before: Before::No,
        });
    }

    /// The pair of the run that is due to end at `now`.
    pub(crate) fn run_to_end(&self, manners: &Manners, now: Millis) -> Option<Pair> {
        self.run.filter(|run| !manners.stuck && run.ready <= now).map(|run| run.pair)
    }

    /// Ends the run. `works` says whether its `ciapi` key was accepted.
    pub(crate) fn end_run(&mut self, manners: &mut Manners, works: bool) {
        let Some(run) = self.run.take() else { return };
        let unlucky = manners.fail_next > 0;
        manners.fail_next = manners.fail_next.saturating_sub(1);
        let well = works && !unlucky;
        self.last = (well, run.ready);
        if !well {
            return;
        }
        self.looked_proven |= run.before != Before::Shown;
        self.deployed_at = run.ready;
        self.deployed = run.pair;
        self.good_run_tick = Some(run.began_tick);
        let another = run.by_hand && self.delivered != Some(run.pair);
        self.hidden_proof = run.before == Before::Hidden || another;
        if run.pair == self.held {
            self.proven = true;
            self.success_tick = Some(run.began_tick);
        }
    }

    /// A delivery has come. One that was given up and comes `late` is nobody's measure of what is new: what was seen since the
    /// one that was answered has been seen.
    pub(crate) fn deliver(&mut self, pair: Pair, late: bool) {
        self.delivered = Some(pair);
        self.deliveries += 1;
        self.overtaken = false;
        if late {
            return;
        }
        self.looked_proven = false;
        if let Some(run) = &mut self.run {
            run.before = match (run.shown, run.by_hand) {
                (true, _) => Before::Shown,
                (false, true) => Before::Hidden,
                (false, false) => Before::No,
            };
        }
    }

    /// The delivery that has just come was sent when only so many had; `before` is the pair of the last of them all.
    pub(crate) fn came_late(&mut self, deliveries: u64, before: Option<Pair>) {
        self.overtaken = self.deliveries > deliveries + 1 && self.delivered != before;
    }

    /// A look at the status: what it shows, and since when.
    pub(crate) fn look(&mut self) -> (Shown, Millis) {
        let ended = (Shown::Ended { well: self.last.0 }, self.last.1);
        let Some(run) = self.run else { return ended };
        if self.stale_looks > 0 {
            self.stale_looks -= 1;
            return ended;
        }
        (Shown::Running, run.began)
    }

    /// A look was told this of the run that is under way: that something is, or may be, or not.
    pub(crate) fn showed(&mut self, under_way: bool) {
        if let Some(run) = &mut self.run {
            run.shown = under_way;
        }
    }
}

/// The longest a delivery may be taken over after its answer, and still be of the kind the product is made for.
pub(crate) const LONGEST_PUT_DELAY: Millis = 10 * MINUTE;

/// No token lives longer than this; the policy says the same.
pub(crate) const LONGEST_TOKEN_LIFE: Millis = DAY;
