//! The real process, really killed: at every reply and every write, under stops, power cuts, failing disks, damaged
//! journals and jumping clocks. `make kill` runs the long version, `make test` a short one of each.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod backup;
mod chance;
mod damage;
mod disk;
#[path = "../e2e/fleet.rs"]
#[expect(dead_code, reason = "the end-to-end tests use the rest")]
mod fleet;
mod ground;
mod jump;
mod mount;
mod pause;
mod power;
mod process;
mod replies;
mod storm;
mod tally;
mod width;
mod writes;

/// Whether this is `make kill`.
pub(crate) fn is_long() -> bool {
    std::env::var_os("KILL_LONG").is_some()
}
