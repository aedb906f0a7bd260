//! The decisions, and nothing else.
//!
//! No input, no output, no clock, no chance: what is here is data and functions of data. Read in this order: the
//! words ([`names`], [`key`], [`window`], [`policy`]), where a rotation stands ([`stage`],
//! [`retirement`]), what can be seen
//! ([`observation`], [`evidence`]), what may come of a step ([`event`], [`failure`]), how events move the stage
//! ([`record`], [`fold`]), what a person may ask for ([`wish`]), what must hold before a key is retired ([`proof`]), what to do next
//! ([`plan`]), who of the whole fleet may begin ([`fleet`]), and what
//! comes of all that over the next months ([`forecast`]). Beside all that stands who is not managed at all: [`coverage`] of
//! subaccounts, and [`stray`] keys. [`story`], [`view`], [`notice`] and [`spelling`] tell people.

pub mod backoff;
pub mod coverage;
pub mod event;
pub mod evidence;
pub mod failure;
pub mod fleet;
pub mod fold;
pub mod forecast;
pub mod halt;
pub mod health;
pub mod key;
pub mod names;
pub mod notice;
pub mod observation;
pub mod plan;
pub mod policy;
pub mod proof;
pub mod record;
pub mod retirement;
pub mod spelling;
pub mod stage;
pub mod story;
pub mod stray;
pub mod view;
pub mod window;
pub mod wish;

/// An instant, UTC. Always a value that somebody passed in.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// The clocks of two instances differ by less. What was written later than this from now was written on a clock that
/// was ahead.
pub const CLOCK_TOLERANCE: std::time::Duration = std::time::Duration::from_hours(1);

/// `at` plus `span`, staying at the end of time instead of overflowing.
pub fn after(at: Timestamp, span: std::time::Duration) -> Timestamp {
    chrono::TimeDelta::from_std(span)
        .ok()
        .and_then(|delta| at.checked_add_signed(delta))
        .unwrap_or(Timestamp::MAX_UTC)
}

/// `at` minus `span`, staying at the beginning of time instead of overflowing.
pub fn before(at: Timestamp, span: std::time::Duration) -> Timestamp {
    chrono::TimeDelta::from_std(span)
        .ok()
        .and_then(|delta| at.checked_sub_signed(delta))
        .unwrap_or(Timestamp::MIN_UTC)
}

/// The time from `from` to `to`, zero where `to` is not later.
pub fn between(from: Timestamp, to: Timestamp) -> std::time::Duration {
    (to - from).to_std().unwrap_or_default()
}
