//! What every journal keeps to, and the two journals held against each other.

pub(super) mod conformance;
mod samples;
mod twins;
