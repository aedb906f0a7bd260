//! The way out in a storm: the real `http`, issuer and consumer against a sandbox that limits, or garbles, most of what
//! it answers. Hours of pauses pass in virtual time; the sandbox's books judge.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crowd;
mod limited;
mod malformed;
mod time;
mod way;

/// How many of something a run is to last for: a few in `make test`, many behind `make storm` and `make fuzz`.
pub(crate) fn target(variable: &str, few: u64) -> u64 {
    std::env::var(variable).map_or(few, |text| text.parse().expect("a number"))
}
