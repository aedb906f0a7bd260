//! The decisions: laws as properties, corners as tables.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asking;
mod backoff;
mod bereft;
mod corners;
mod coverage;
mod evidence;
mod fleet;
mod forecast;
mod found;
mod gates;
mod given;
mod health;
mod in_place;
mod names;
mod notice;
mod person;
mod proving;
mod series;
mod soaking;
mod strangers;
mod walk;
mod window;
mod words;
mod world;

use rekeyd::domain::Timestamp;

pub(crate) use given::{credential, policy};

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
