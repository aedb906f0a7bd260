//! What happened, durably.
//!
//! Two adapters of one port: [`sqlite`] is the file that the daemon trusts, [`memory`] is its twin for tests and
//! simulations. Neither decides by itself. Who may hold a lease and what may be appended is decided in `rules`, what
//! a line looks like and how lines hang together is in `chain`; both adapters only fetch, ask, and write. The same
//! conformance suite runs on both.

mod chain;
pub mod memory;
pub mod rules;
pub mod sqlite;

#[cfg(test)]
mod tests;
