//! Technical users of a data space's portal, Catena-X or Cofinity-X (facts: portal). The secret of one is a key in our
//! words.
//!
//! There are two ways to a fresh one. The secret of a user can be reset, by rekeyd or by a person, which kills the one in
//! use ([`in_place`], `docs/adr/0015-a-reset-in-place-goes-forward-only.md`); or a second user with the same roles takes
//! the place of the first ([`second_user`]).

pub mod backend;
pub mod in_place;
mod ledger;
pub mod second_user;
mod user;

#[cfg(test)]
mod malformed_tests;
#[cfg(test)]
mod tests;
