//! What goes wrong on the way: rejected before the effect, lost after it, late by minutes, throttled, down for days.

use rekeyd::domain::failure::{Class, Failure};

use super::chance::Dice;
use super::request::Request;
use super::time::{DAY, HOUR, MINUTE, Millis, SECOND, stamp};

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// It takes effect and is answered.
    Fine,
    /// It takes no effect.
    Before(Failure),
    /// It takes effect, and the answer is lost.
    After(Failure),
    /// It is given up, and takes effect so much later.
    Late(Millis, Failure),
}

/// A request's way.
#[derive(Debug, Clone)]
pub(crate) struct Trip {
    /// From the sender to the effect.
    pub(crate) out: Millis,
    /// From the effect to the sender.
    pub(crate) back: Millis,
    pub(crate) fate: Fate,
    /// Whether it takes effect although its sender dies meanwhile.
    pub(crate) outlives: bool,
}

/// How bad the weather is: rates in 10 000.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) before: u64,
    pub(crate) after: u64,
    pub(crate) late: u64,
    /// An append to the journal fails.
    pub(crate) journal: u64,
}

/// When something is down, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) from: Millis,
    pub(crate) until: Millis,
    /// Of the issuer; else of the consumer.
    pub(crate) issuer: bool,
    pub(crate) class: Class,
}

impl Weather {
    /// The weather of the next days.
    pub(crate) fn drawn(dice: &mut Dice, hostility: u64) -> (Self, Millis) {
        let lasts = dice.between(2, 60) * DAY;
        let scale = match dice.below(10) {
            0..=3 => 0,
            4..=7 => hostility,
            8 => hostility * 3,
            _ => hostility * 6,
        };
        let part = |dice: &mut Dice| dice.below(scale + 1);
        let weather =
            Self { before: part(dice), after: part(dice), late: part(dice) / 4, journal: part(dice) / 8 };
        (weather, lasts)
    }
}

impl Outage {
    /// Some of what goes down in `span`.
    pub(crate) fn drawn(dice: &mut Dice, span: Millis) -> Self {
        let from = dice.below(span);
        let lasts = match dice.below(4) {
            0 => dice.between(MINUTE, HOUR),
            1 | 2 => dice.between(HOUR, DAY),
            _ => dice.between(DAY, 5 * DAY),
        };
        let classes = [
            Class::Connect,
            Class::Timeout,
            Class::ServerError,
            Class::Throttled,
            Class::Unauthorized,
            Class::Forbidden,
        ];
        Self { from, until: from + lasts, issuer: dice.below(2) == 0, class: dice.pick(&classes) }
    }
}

const PASSING: [Class; 8] = [
    Class::Timeout,
    Class::ServerError,
    Class::Connect,
    Class::Throttled,
    Class::Decode,
    Class::Conflict,
    Class::Dns,
    Class::Tls,
];

/// The longest a request that was given up may take until its effect.
const LONGEST_LATE: Millis = 10 * MINUTE;

/// Draws the way of one request.
pub(crate) fn trip(
    dice: &mut Dice,
    weather: Weather,
    outages: &[Outage],
    request: &Request,
    now: Millis,
) -> Trip {
    let longest = request.longest();
    let changes = request.changes();
    let out = dice.skewed(longest) + 1;
    let back = if changes { dice.skewed(longest) + 1 } else { 0 };
    let outlives = dice.below(2) == 0;
    let down = outages.iter().find(|outage| {
        (outage.from..outage.until).contains(&now) && outage.issuer == request.is_for_issuer()
    });
    if let Some(outage) = down {
        let failure = failure(dice, outage.class, now);
        return Trip { out, back: 0, fate: Fate::Before(failure), outlives };
    }
    let number = dice.below(10_000);
    let fate = if number < weather.before {
        let odd = dice.below(40);
        let class = match odd {
            0 => Class::Unauthorized,
            1 => Class::ClientError,
            _ => dice.pick(&PASSING),
        };
        Fate::Before(failure(dice, class, now))
    } else if number < weather.before + weather.after {
        let class = dice.pick(&[Class::Timeout, Class::ServerError, Class::Decode, Class::Connect]);
        Fate::After(Failure::new(class, "the answer was lost").ambiguous())
    } else if changes && number < weather.before + weather.after + weather.late {
        let late = SECOND + dice.skewed(LONGEST_LATE);
        Fate::Late(late, Failure::new(Class::Timeout, "no answer in time").ambiguous())
    } else {
        Fate::Fine
    };
    Trip { out, back, fate, outlives }
}

fn failure(dice: &mut Dice, class: Class, now: Millis) -> Failure {
    let mut failure = Failure::new(class, "a fault");
    match class {
        Class::Throttled if dice.below(3) > 0 => {
            failure.not_before = Some(stamp(now + dice.between(30, 90) * SECOND));
        }
        Class::Timeout | Class::ServerError | Class::Decode => failure.effect_unknown = true,
        _ => {}
    }
    failure
}
