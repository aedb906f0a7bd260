//! The consumer: which pair it holds, which pair it last deployed, and its provisioning runs.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::scenario::tenant::{Dataplane, Role};

/// One entry of the PUT body, as the consumer stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) client_id: String,
    pub(crate) secret: String,
    pub(crate) url: String,
    pub(crate) token_url: String,
}

/// The pair that the consumer works with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) ciapi: Credential,
    pub(crate) cirt: Credential,
}

impl Pair {
    pub(crate) fn of(&self, role: Role) -> &Credential {
        match role {
            Role::Ciapi => &self.ciapi,
            Role::Cirt => &self.cirt,
        }
    }

    /// What is left of `offered` when only the entry of one role is taken over.
    fn taking(&self, offered: Pair, only: Option<Role>) -> Pair {
        match only {
            None => offered,
            Some(Role::Ciapi) => Pair { ciapi: offered.ciapi, cirt: self.cirt.clone() },
            Some(Role::Cirt) => Pair { ciapi: self.ciapi.clone(), cirt: offered.cirt },
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Error,
}

/// What a look at the status shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Pending,
    Deploying,
    Final(Outcome),
}

#[derive(Debug)]
struct Run {
    /// The pair that was stored when the run began: it deploys this one.
    pair: Pair,
    started_tick: u64,
    started_at: DateTime<Utc>,
    ready_at: DateTime<Utc>,
    polls: u32,
    polls_left: u32,
}

/// The end of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) at: DateTime<Utc>,
}

/// What the consumer is and does.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) traits: Dataplane,
    pub(crate) held: Pair,
    pub(crate) deployed: Pair,
    pub(crate) deployed_on: DateTime<Utc>,
    /// A run that began after the held pair was stored has succeeded with it.
    pub(crate) proven: bool,
    /// The tick at which the last successful run *with the held pair* began.
    pub(crate) success_tick: Option<u64>,
    /// The tick of the last PUT that answered 200 and was ignored although it carried another pair.
    pub(crate) ignored_tick: Option<u64>,
    pub(crate) runs: u64,
    run: Option<Run>,
    last: Ended,
    stale: Option<(u32, Ended)>,
    /// A pair that was accepted and is not in use yet, and from when on it is.
    late: Option<(Pair, DateTime<Utc>)>,
    /// The last look showed an end that was not so.
    flapped: bool,
    /// Every PUT body that arrived, and whether it was taken.
    pub(crate) bodies: Vec<(Value, bool)>,
}

impl Consumer {
    /// A consumer that was onboarded with `pair` and has worked with it since.
    pub(crate) fn onboarded(traits: Dataplane, pair: Pair, at: DateTime<Utc>) -> Self {
        Self {
            traits,
            held: pair.clone(),
            deployed: pair,
            deployed_on: at,
            proven: true,
            success_tick: None,
            ignored_tick: None,
            runs: 0,
            run: None,
            last: Ended { outcome: Outcome::Success, at },
            stale: None,
            late: None,
            flapped: false,
            bodies: Vec::new(),
        }
    }

    /// Takes over a pair, or one entry of it, or does not, as its traits say. PUTs never overtake each other: what an
    /// earlier one has left to be done is no longer of interest.
    pub(crate) fn offer(&mut self, offered: Pair, only: Option<Role>, tick: u64) {
        if self.traits.ignore_put {
            if offered != self.held {
                self.ignored_tick = Some(tick);
            }
            return;
        }
        let next = self.held.taking(offered, only.or(self.traits.put_only));
        self.store(next);
    }

    /// Takes over a pair later. A consumer that ignores what it is given does so at once.
    pub(crate) fn offer_late(&mut self, offered: Pair, at: DateTime<Utc>, tick: u64) {
        if self.traits.ignore_put {
            return self.offer(offered, None, tick);
        }
        self.late = Some((offered, at));
    }

    /// Takes over what is late, if its time has come. Answers whether it did.
    pub(crate) fn applies_late(&mut self, now: DateTime<Utc>) -> bool {
        let Some((pair, _)) = self.late.take_if(|(_, at)| *at <= now) else { return false };
        let next = self.held.taking(pair, self.traits.put_only);
        self.store(next);
        true
    }

    /// Stores a pair. Storing the same pair again changes nothing.
    pub(crate) fn store(&mut self, next: Pair) {
        self.late = None;
        if next != self.held {
            self.held = next;
            self.proven = false;
            self.success_tick = None;
            self.ignored_tick = None;
        }
    }

    /// Begins a run with the pair that is stored now; it takes at least `polls` looks. A run in progress is replaced.
    pub(crate) fn start_run(&mut self, now: DateTime<Utc>, tick: u64, polls: u32, stale_polls: u32) {
        self.stale = (stale_polls > 0).then_some((stale_polls, self.last));
        self.runs += 1;
        self.run = Some(Run {
            pair: self.held.clone(),
            started_tick: tick,
            started_at: now,
            ready_at: now + TimeDelta::milliseconds(i64::from(self.traits.milliseconds)),
            polls,
            polls_left: polls,
        });
    }

    /// The pair of a run that is due to end now.
    pub(crate) fn run_to_end(&self, now: DateTime<Utc>) -> Option<&Pair> {
        let run = self.run.as_ref()?;
        (!self.traits.stuck && run.polls_left == 0 && now >= run.ready_at).then_some(&run.pair)
    }

    /// Ends the run. `ciapi_works` says whether its `ciapi` secret is accepted right now.
    pub(crate) fn end_run(&mut self, now: DateTime<Utc>, ciapi_works: bool) {
        let Some(run) = self.run.take() else { return };
        let unlucky = self.traits.fail_first > 0;
        self.traits.fail_first = self.traits.fail_first.saturating_sub(1);
        if unlucky || !ciapi_works {
            self.last = Ended { outcome: Outcome::Error, at: now };
            return;
        }
        self.last = Ended { outcome: Outcome::Success, at: now };
        self.deployed_on = now;
        if run.pair == self.held {
            self.proven = true;
            self.success_tick = Some(run.started_tick);
        }
        self.deployed = run.pair;
    }

    /// A look at the status, which also lets a run go on.
    pub(crate) fn look(&mut self) -> (Shown, DateTime<Utc>) {
        if let Some((left, ended)) = self.stale {
            self.stale = (left > 1).then_some((left - 1, ended));
            return (Shown::Final(ended.outcome), ended.at);
        }
        let Some(run) = &mut self.run else { return (Shown::Final(self.last.outcome), self.last.at) };
        run.polls_left = run.polls_left.saturating_sub(1);
        let early = run.polls_left * 2 >= run.polls && run.polls > 0;
        (if early { Shown::Pending } else { Shown::Deploying }, run.started_at)
    }

    /// Shows another end than there is, or an end where there is none: once, and never twice in a row.
    pub(crate) fn flap(&mut self, wanted: bool, shown: Shown) -> Shown {
        self.flapped = wanted && !self.flapped;
        if !self.flapped {
            return shown;
        }
        match shown {
            Shown::Final(Outcome::Success) | Shown::Pending => Shown::Final(Outcome::Error),
            Shown::Final(Outcome::Error) | Shown::Deploying => Shown::Final(Outcome::Success),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.run.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(secret: &str) -> Credential {
        let text = |t: &str| t.to_owned();
        Credential { client_id: text("c"), secret: text(secret), url: text("u"), token_url: text("t") }
    }

    fn pair(generation: &str) -> Pair {
        Pair {
            ciapi: credential(&format!("api-{generation}")),
            cirt: credential(&format!("rt-{generation}")),
        }
    }

    fn consumer(traits: Dataplane) -> Consumer {
        Consumer::onboarded(traits, pair("0"), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_run_deploys_the_pair_that_was_stored_when_it_began() {
        let mut it = consumer(Dataplane { polls: 0, ..Dataplane::default() });
        it.store(pair("1"));
        it.start_run(DateTime::UNIX_EPOCH, 1, 0, 0);
        it.store(pair("2"));
        it.end_run(DateTime::UNIX_EPOCH, true);
        assert_eq!(it.deployed, pair("1"));
        assert!(!it.proven, "the held pair was never deployed");
    }

    #[test]
    fn the_previous_end_is_shown_for_a_while() {
        let mut it = consumer(Dataplane::default());
        it.start_run(DateTime::UNIX_EPOCH, 1, 2, 1);
        let shown: Vec<Shown> = (0..3).map(|_| it.look().0).collect();
        assert_eq!(shown, [Shown::Final(Outcome::Success), Shown::Pending, Shown::Deploying]);
    }

    #[test]
    fn a_repeated_put_does_not_lose_the_proof() {
        let mut it = consumer(Dataplane::default());
        it.offer(pair("0"), None, 1);
        assert!(it.proven && it.ignored_tick.is_none());
    }

    #[test]
    fn a_late_put_waits_for_its_time_and_is_superseded_by_a_newer_one() {
        let later = DateTime::UNIX_EPOCH + TimeDelta::seconds(5);
        let mut it = consumer(Dataplane::default());
        it.offer_late(pair("1"), later, 1);
        assert!(!it.applies_late(DateTime::UNIX_EPOCH));
        assert_eq!(it.held, pair("0"));
        assert!(it.applies_late(later));
        assert_eq!((&it.held, it.proven), (&pair("1"), false));
        it.offer_late(pair("2"), later, 2);
        it.offer(pair("1"), None, 3);
        assert!(!it.applies_late(later));
        assert_eq!(it.held, pair("1"));
    }

    #[test]
    fn a_false_end_is_never_shown_twice_in_a_row() {
        let mut it = consumer(Dataplane::default());
        let truth = Shown::Final(Outcome::Success);
        let shown: Vec<bool> = (0..4).map(|_| it.flap(true, truth) == truth).collect();
        assert_eq!(shown, [false, true, false, true]);
    }
}
