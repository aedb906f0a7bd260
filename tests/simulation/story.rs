//! What a seed stands for: how many tenants and instances, how they behave, and what will befall them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rekeyd::domain::fleet::{Opening, Rules};
use rekeyd::domain::names::Role;
use rekeyd::domain::policy::{Limits, Pin, Policy, Provision, Witness};
use rekeyd::domain::window::Window;
use rekeyd::domain::{Timestamp, after};
use rekeyd::engine::Maintenance;

use super::chance::Dice;
use super::consumer::{LONGEST_PUT_DELAY, LONGEST_TOKEN_LIFE, Manners};
use super::faults::Outage;
use super::tenant::Tenant;
use super::time::{DAY, HOUR, MINUTE, Millis, SECOND};

/// How often something befalls an instance or a tenant: in 10 000 calls that change something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) crash: u64,
    /// The same in 10 000 calls that only read.
    pub(crate) idle_crash: u64,
    pub(crate) pause: u64,
    pub(crate) meddle: u64,
    /// The scale of the weather.
    pub(crate) hostility: u64,
}

/// One tenant of the story.
pub(crate) struct Part {
    pub(crate) policy: Arc<Policy>,
    pub(crate) tenant: Tenant,
    pub(crate) outages: Vec<Outage>,
    /// How often it is looked at while settled, and when in that time.
    pub(crate) period: (Millis, Millis),
    pub(crate) maintenance: Maintenance,
}

/// A setting of one wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jump {
    pub(crate) at: Millis,
    pub(crate) host: usize,
    pub(crate) by: i64,
    /// When it is right again.
    pub(crate) until: Millis,
}

/// How stories are drawn. A seed tells the same story for as long as it is drawn the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Draw {
    /// As until November 2026: settled credentials are looked at every few days, and polls are short.
    First,
    /// More stories in the same time: smaller fleets, and fewer looks that show what the one before has shown.
    Second,
}

impl Draw {
    /// Number `number`.
    pub(crate) fn numbered(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::First),
            2 => Some(Self::Second),
            _ => None,
        }
    }

    /// One of the first things with the first draw, one of the second things with the second.
    fn pick<T: Copy>(self, dice: &mut Dice, first: &[T], second: &[T]) -> T {
        dice.pick(if self == Self::First { first } else { second })
    }

    /// How many tenants, and how long the faults go on.
    fn size(self, dice: &mut Dice) -> (u64, Millis) {
        match self {
            Self::First => match dice.below(40) {
                0 => (dice.between(21, 50), 3 * YEAR),
                1..=4 => (dice.between(8, 20), 3 * YEAR + dice.below(YEAR)),
                _ => (dice.between(5, 7), 3 * YEAR + dice.below(YEAR)),
            },
            Self::Second => match dice.below(100) {
                0 => (dice.between(21, 50), 3 * YEAR),
                1..=4 => (dice.between(8, 20), 3 * YEAR),
                _ => (dice.pick(&[5, 5, 5, 6, 7]), 3 * YEAR + dice.below(30 * DAY)),
            },
        }
    }
}

/// The whole story.
pub(crate) struct Story {
    pub(crate) rates: Rates,
    pub(crate) hosts: usize,
    pub(crate) concurrency: usize,
    pub(crate) rules: Rules,
    /// How long somebody who puts things right waits between two rounds, on average.
    pub(crate) diligence: Millis,
    /// How long faults go on.
    pub(crate) span: Millis,
    pub(crate) cast: Vec<Part>,
    pub(crate) jumps: Vec<Jump>,
    /// When a backup is taken, and when it is restored.
    pub(crate) backups: Vec<(Millis, Millis)>,
    /// When a clone is started on a copy of the journal, and when it is stopped.
    pub(crate) clones: Vec<(Millis, Millis)>,
}

/// Whether clones are part of the stories.
const CLONES: bool = true;

const YEAR: Millis = 365 * DAY;

/// How long the story goes on after the faults: time for a pause, two soaks and the longest period.
pub(crate) const CALM: Millis = 60 * DAY;

impl Story {
    /// The story of these dice.
    pub(crate) fn drawn(dice: &mut Dice, draw: Draw) -> Self {
        let (tenants, span) = draw.size(dice);
        let hosts = dice.pick(&[1, 1, 2, 2, 3]);
        // Every start reads the whole journal: a large fleet dies less often, or it would do nothing else.
        let (crash, idle) = match draw {
            Draw::First => (dice.pick(&[0, 100, 500, 2000]) / (1 + tenants / 8), 20),
            Draw::Second => (dice.pick(&[0, 100, 300, 1000]) / (tenants / 5), 80),
        };
        let rates = Rates {
            crash,
            idle_crash: crash / idle,
            pause: dice.pick(&[0, 50, 300]),
            meddle: dice.pick(&[0, 0, 200, 1000]),
            hostility: dice.pick(&[0, 100, 500, 800]),
        };
        let cast = (0..usize::try_from(tenants).unwrap())
            .map(|number| drawn_role(dice, draw, number, span))
            .collect();
        let jumps = (0..dice.below(4)).map(|_| drawn_jump(dice, hosts, span)).collect();
        let backups = if dice.below(8) == 0 { vec![drawn_backup(dice, span)] } else { Vec::new() };
        let concurrency = usize::try_from(dice.pick(&[1, 2, 8, 64])).unwrap();
        let rules = drawn_rules(dice);
        let diligence = dice.pick(&[2, 5, 10, 20]) * DAY;
        let clones = if CLONES && dice.below(8) == 0 { vec![drawn_backup(dice, span)] } else { Vec::new() };
        Self { rates, hosts, concurrency, rules, diligence, span, cast, jumps, backups, clones }
    }
}

fn drawn_rules(dice: &mut Dice) -> Rules {
    let count = |dice: &mut Dice, low, high| usize::try_from(dice.between(low, high)).unwrap();
    Rules {
        fuse_rotations: count(dice, 1, 10),
        fuse_percent: count(dice, 0, 30),
        canary: dice.below(2) == 0,
        first_share_percent: count(dice, 1, 20),
        second_share_percent: count(dice, 20, 50),
        halt_percent: count(dice, 10, 60),
        rotations_at_once: count(dice, 1, 32),
        ..Rules::default()
    }
}

/// Every so many days the window is open for some hours; some never open, most always.
fn drawn_maintenance(dice: &mut Dice, draw: Draw) -> Maintenance {
    let every = i64::try_from(draw.pick(dice, &[1, 7, 14], &[1, 1, 1, 7]) * DAY).unwrap();
    let lasts = i64::try_from(dice.between(1, 12) * HOUR).unwrap();
    let never = dice.below(20) == 0;
    if dice.below(3) > 0 {
        return Arc::new(|_| Opening::Always);
    }
    Arc::new(move |now: Timestamp| {
        let since = now.timestamp_millis().rem_euclid(every);
        let later = |ms: i64| after(now, Duration::from_millis(u64::try_from(ms).unwrap()));
        match since < lasts {
            _ if never => Opening::Closed(None),
            true => Opening::Open(later(lasts - since)),
            false => Opening::Closed(Some(later(every - since))),
        }
    })
}

fn drawn_backup(dice: &mut Dice, span: Millis) -> (Millis, Millis) {
    let taken = dice.below(span - 100 * DAY);
    let later = dice.skewed(span - taken - 50 * DAY);
    (taken, taken + later + MINUTE)
}

fn drawn_jump(dice: &mut Dice, hosts: usize, span: Millis) -> Jump {
    let at = dice.below(span);
    let size = match dice.below(4) {
        0 => dice.between(SECOND, 10 * MINUTE),
        1 => HOUR,
        _ => dice.between(HOUR, DAY),
    };
    let size = i64::try_from(size).unwrap();
    let by = if dice.below(2) == 0 { size } else { -size };
    Jump { at, host: dice.index(hosts), by, until: at + dice.skewed(5 * DAY) }
}

fn drawn_role(dice: &mut Dice, draw: Draw, number: usize, span: Millis) -> Part {
    let provision = dice.pick(&[
        Provision::WhenNeeded,
        Provision::WhenNeeded,
        Provision::WhenNeeded,
        Provision::Always,
        Provision::Never,
    ]);
    let policy = drawn_policy(dice, draw, number, provision);
    let mut manners = drawn_manners(dice, provision);
    if policy.proofs < 2 {
        // One look is enough for this operator, so that one lie is.
        manners.flaps = 0;
    }
    let oldest = 400 * i64::try_from(DAY).unwrap();
    let ages = [0, 1].map(|_| i64::try_from(dice.below(u64::try_from(oldest).unwrap())).unwrap());
    let tenant = Tenant::new(number, manners, ages, dice.fork());
    let outages = (0..dice.below(6)).map(|_| Outage::drawn(dice, span)).collect();
    let every = draw.pick(dice, &[2, 4, 7, 10], &[7, 14, 14, 14]) * DAY;
    Part {
        policy: Arc::new(policy),
        tenant,
        outages,
        period: (every, dice.below(every)),
        maintenance: drawn_maintenance(dice, draw),
    }
}

/// The policy of one tenant.
pub(crate) fn drawn_policy(dice: &mut Dice, draw: Draw, number: usize, provision: Provision) -> Policy {
    let window = match dice.below(8) {
        0 => Window::Span(Duration::from_hours(24 * dice.between(90, 200))),
        _ => Window::DEFAULT,
    };
    Policy {
        credential: format!("t{number}/dataplane").parse().unwrap(),
        issuer: "cloud-foundry",
        consumer: "dataspace",
        roles: Role::PAIR.to_vec(),
        window,
        lead: Duration::from_hours(24 * 30),
        soak: Duration::from_hours(dice.pick(&[1, 6, 48, 48, 96])),
        settle: Duration::from_mins(5),
        provision,
        witness: Witness::Consumer,
        deadline: Duration::from_mins(30),
        poll: Duration::from_secs(draw.pick(dice, &[30, 60, 60, 120], &[60, 120, 300, 300])),
        token_life: Duration::from_millis(LONGEST_TOKEN_LIFE),
        propagation: Duration::from_mins(2),
        lag: Duration::from_mins(1),
        proofs: dice.pick(&[1, 2, 3]),
        proof_span: Duration::from_mins(dice.pick(&[0, 1, 5])),
        spread: Duration::from_hours(24 * dice.pick(&[0, 7, 30])),
        evidence_life: Duration::from_mins(draw.pick(dice, &[15, 60, 240], &[60, 240, 240, 480, 480])),
        retire_foreign: dice.below(5) > 0,
        in_use: BTreeMap::new(),
        limits: Limits::default(),
        pin: Pin {
            issuer: "i".to_owned(),
            places: BTreeMap::new(),
            consumer: "c".to_owned(),
            in_place: false,
        },
    }
}

/// Most are well-behaved; each vice has a few.
fn drawn_manners(dice: &mut Dice, provision: Provision) -> Manners {
    let never = provision == Provision::Never;
    let rare = |dice: &mut Dice, many| dice.below(many) == 0;
    Manners {
        ignores_put: rare(dice, 25),
        takes_cirt_only: rare(dice, 40),
        no_put: rare(dice, 30),
        no_post: never || rare(dice, 15),
        runs_on_put: never || rare(dice, 3),
        stuck: rare(dice, 60),
        fail_next: if rare(dice, 10) { u32::try_from(dice.between(1, 4)).unwrap() } else { 0 },
        stale_looks: if rare(dice, 4) { u32::try_from(dice.between(1, 3)).unwrap() } else { 0 },
        run_time: dice.pick(&[10 * SECOND, 2 * MINUTE, 2 * MINUTE, 5 * MINUTE, 20 * MINUTE]),
        tells_time: rare(dice, 3),
        skew: i64::try_from(dice.skewed(60 * SECOND)).unwrap() - 20_000,
        token_life: dice.below(LONGEST_TOKEN_LIFE),
        put_delay: if rare(dice, 8) { dice.below(LONGEST_PUT_DELAY) } else { 0 },
        same_secret: rare(dice, 50),
        undying: rare(dice, 80),
        list_lag: dice.skewed(50 * SECOND),
        propagation: dice.skewed(110 * SECOND),
        flaps: if rare(dice, 5) { dice.between(2, 10) } else { 0 },
    }
}
