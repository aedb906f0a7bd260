//! Whether one rotation may begin now: gates again, and `explain` shows them.

use std::time::Duration;

use super::{Fleet, Opening, Pass, Progress, Rules, share};
use crate::domain::names::CredentialId;
use crate::domain::proof::Gate;
use crate::domain::{Timestamp, after, between};

/// A credential that wants to begin.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// Which.
    pub credential: &'a CredentialId,
    /// When the window of its keys ends, where that is known.
    pub ends_at: Option<Timestamp>,
    /// What a person lets it pass.
    pub pass: Pass,
    /// How long its rotation soaks.
    pub soak: Duration,
    /// Its maintenance windows.
    pub opening: Opening,
    /// How many with less time left are known to wait.
    pub ahead: usize,
    /// How many credentials the fleet has.
    pub size: usize,
}

impl Candidate<'_> {
    /// Whether there is no time to let each share soak before the next.
    fn hurries(&self, now: Timestamp) -> bool {
        self.pass.emergency || self.ends_at.is_some_and(|end| end < after(now, self.soak * 4))
    }
}

/// A rotation that may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// It begins in a closed window, since none is left before the end.
    pub window_overridden: bool,
}

/// Whether `candidate` may begin; `Err` holds the gates, at least one of them closed.
pub fn admit(
    rules: &Rules,
    fleet: &Fleet,
    candidate: &Candidate<'_>,
    now: Timestamp,
) -> Result<Admission, Vec<Gate>> {
    let gates = gates(rules, fleet, candidate, now);
    if gates.iter().all(|gate| gate.open) {
        return Ok(Admission { window_overridden: matches!(candidate.opening, Opening::Closed(_)) });
    }
    Err(gates)
}

/// Every gate before a rotation begins.
pub fn gates(rules: &Rules, fleet: &Fleet, candidate: &Candidate<'_>, now: Timestamp) -> Vec<Gate> {
    vec![
        halt_gate(fleet),
        window(candidate, now),
        staging(rules, fleet, candidate, now),
        fuse(rules, fleet, candidate, now),
        at_once(rules, fleet, candidate, now),
    ]
}

fn gate(name: &'static str, open: bool, why: String, opens_at: Option<Timestamp>) -> Gate {
    Gate { name, open, why, opens_at: opens_at.filter(|_| !open) }
}

/// Who goes before, where somebody does.
fn behind(ahead: usize) -> String {
    match ahead {
        0 => String::new(),
        1 => "; one credential with less time left goes before".to_owned(),
        many => format!("; {many} credentials with less time left go before"),
    }
}

/// How many rotations others wait for. Who they are is said behind it, by whoever knows how they stand.
fn on_their_way(rotations: usize) -> String {
    match rotations {
        0 => "none is on its way".to_owned(),
        1 => "one is on its way".to_owned(),
        many => format!("{many} are on their way"),
    }
}

/// The gate that stops everybody.
pub fn halt_gate(fleet: &Fleet) -> Gate {
    let why = fleet.halt.as_ref().map_or_else(
        || "the fleet is not halted".to_owned(),
        |(reason, _)| format!("the fleet is halted: {reason}"),
    );
    gate("fleet halt", fleet.halt.is_none(), why, None)
}

fn window(candidate: &Candidate<'_>, now: Timestamp) -> Gate {
    let stamp = |at: Timestamp| at.format("%Y-%m-%d %H:%M UTC").to_string();
    let (open, why, opens_at) = match candidate.opening {
        Opening::Always => (true, "no maintenance windows are set".to_owned(), None),
        Opening::Open(until) => (true, format!("open until {}", stamp(until)), None),
        Opening::Closed(_) if candidate.pass.emergency => {
            (true, "closed, and passed: the keys are exposed".to_owned(), None)
        }
        Opening::Closed(None) => (true, "closed, and passed: it never opens".to_owned(), None),
        Opening::Closed(Some(next)) if candidate.ends_at.is_some_and(|end| next >= end) => {
            (true, "closed, and passed: none is left before the keys end".to_owned(), None)
        }
        Opening::Closed(Some(next)) => (false, "no window is open".to_owned(), Some(next)),
    };
    debug_assert!(open || opens_at.is_some_and(|at| at > now), "a closed window opens later");
    gate("maintenance window", open, why, opens_at)
}

/// Who may go now: one, a share, a larger share, everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// The first one, alone.
    Canary,
    /// A few.
    First,
    /// Many.
    Second,
    /// All that the fuse lets.
    Everybody,
}

impl Share {
    /// Every share, in order.
    pub const ALL: [Self; 4] = [Self::Canary, Self::First, Self::Second, Self::Everybody];

    /// The share as a label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::First => "first_share",
            Self::Second => "second_share",
            Self::Everybody => "everybody",
        }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Canary => "the canary",
            Self::First => "the first share",
            Self::Second => "the second share",
            Self::Everybody => "everybody",
        })
    }
}

/// Who may go after so many successes, and how many of them may be open (not soaked); `None` is no limit.
pub(super) fn staged(rules: &Rules, size: usize, successes: usize) -> (Share, Option<usize>) {
    let first = share(size, rules.first_share_percent);
    let second = share(size, rules.second_share_percent);
    if !rules.canary || size < 2 {
        (Share::Everybody, None)
    } else if successes == 0 {
        (Share::Canary, Some(1))
    } else if successes < 1 + first {
        (Share::First, Some(first))
    } else if successes < 1 + first + second {
        (Share::Second, Some(second))
    } else {
        (Share::Everybody, None)
    }
}

fn staging(rules: &Rules, fleet: &Fleet, candidate: &Candidate<'_>, now: Timestamp) -> Gate {
    let hurry = candidate.hurries(now);
    let successes = fleet.successes(rules, hurry, now);
    let (stage, Some(limit)) = staged(rules, candidate.size, successes) else {
        let why = "everybody may go: no rotation waits for another one to soak";
        return gate("share", true, why.to_owned(), None);
    };
    let is_open = |attempt: &&super::Attempt| {
        if hurry { attempt.is_under_way(now) } else { attempt.is_open(now) }
    };
    let open = fleet.attempts.values().filter(is_open).count();
    let room = limit.saturating_sub(open);
    let until = if hurry { "is proven" } else { "is proven and has soaked" };
    let rule = match stage {
        Share::Canary => {
            format!("the first rotation of this release goes alone, and the others wait until it {until}")
        }
        _ if limit == 1 => {
            format!("{stage} goes, one rotation at a time, and the others wait until it {until}")
        }
        _ => format!("{stage} goes, {limit} rotations at once, and the others wait until one {until}"),
    };
    let why = format!("{rule}{}; {}", behind(candidate.ahead), on_their_way(open));
    gate("share", candidate.ahead < room, why, None)
}

fn fuse(rules: &Rules, fleet: &Fleet, candidate: &Candidate<'_>, now: Timestamp) -> Gate {
    let limit = rules.fuse_limit(candidate.size);
    let used = fleet.admitted_lately(now);
    if candidate.pass.fuse {
        return gate("fuse", true, format!("{used} of {limit} in 24 hours, and passed: it is meant"), None);
    }
    let room = limit.saturating_sub(used);
    let why = format!("{}{}", begun(used, limit), behind(candidate.ahead));
    let opens_at = fleet.fuse_opens_at(limit, now);
    gate("fuse", candidate.ahead < room, why, opens_at)
}

/// How many rotations began in 24 hours, of how many that may.
pub fn begun(used: usize, limit: usize) -> String {
    if used > limit {
        return format!(
            "{used} rotations have begun in 24 hours, more than the {limit} that may: the others passed the fuse"
        );
    }
    match (limit, used) {
        (1, 0) => "the one rotation that may begin in 24 hours has not begun".to_owned(),
        (1, _) => "the one rotation that may begin in 24 hours has begun".to_owned(),
        _ => format!("{used} of the {limit} rotations that may begin in 24 hours have begun"),
    }
}

/// How many rotations may be under way at once.
pub fn most_at_once(limit: usize) -> String {
    match limit {
        1 => "one rotation goes at a time until it is proven".to_owned(),
        limit => format!("at most {limit} rotations go at once until they are proven"),
    }
}

fn at_once(rules: &Rules, fleet: &Fleet, candidate: &Candidate<'_>, now: Timestamp) -> Gate {
    let under_way = fleet.attempts.values().filter(|attempt| attempt.is_under_way(now)).count();
    let room = rules.rotations_at_once.saturating_sub(under_way);
    let rule = most_at_once(rules.rotations_at_once);
    let why = format!("{rule}{}; {}", behind(candidate.ahead), on_their_way(under_way));
    gate("at once", candidate.ahead < room, why, None)
}

/// When `remaining` more rotations will have ended, as far as can be said: by the rotations proven in the last 24
/// hours, or where there are none by `each`, the longest that one may take; then the last one soaks.
pub fn time_to_end(
    rules: &Rules,
    fleet: &Fleet,
    remaining: usize,
    each: Duration,
    pass: Pass,
    size: usize,
    now: Timestamp,
) -> Duration {
    let lanes = rules.rotations_at_once.max(1);
    let rounds = u32::try_from(remaining.div_ceil(lanes)).unwrap_or(u32::MAX);
    let stages = match staged(rules, size, fleet.successes(rules, true, now)).0 {
        Share::Canary => 3,
        Share::First => 2,
        Share::Second => 1,
        Share::Everybody => 0,
    };
    let by_lanes = each.saturating_mul(rounds.saturating_add(stages));
    if pass.fuse {
        return by_lanes;
    }
    let limit = rules.fuse_limit(size);
    let used = fleet.admitted_lately(now).min(limit);
    let days = (remaining.saturating_sub(limit - used)).div_ceil(limit);
    let opens = fleet.fuse_opens_at(limit, now).map_or(super::FUSE_SPAN, |at| between(now, at));
    let by_fuse = if days == 0 {
        Duration::ZERO
    } else {
        opens + super::FUSE_SPAN * u32::try_from(days - 1).unwrap_or(u32::MAX)
    };
    by_lanes.max(by_fuse.saturating_add(each))
}

impl Fleet {
    /// Rotations of an emergency that are not proven yet, among those that were admitted.
    pub fn emergencies_under_way(&self, now: Timestamp) -> usize {
        self.attempts.values().filter(|attempt| attempt.pass.emergency && attempt.is_under_way(now)).count()
    }

    /// Whether the credential's last admission is still waiting for its rotation to begin.
    pub fn is_admitted(&self, id: &CredentialId, now: Timestamp) -> bool {
        self.attempts
            .get(id)
            .is_some_and(|attempt| attempt.progress == Progress::Admitted && attempt.is_under_way(now))
    }
}
