//! The sandbox, seen by a client over real sockets.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop as tests do")]

mod books;
mod cis;
mod client;
mod conduct;
mod faults;
mod hostile;
mod lies;
mod limits;
mod managed;
mod process;
mod shapes;
mod stubborn;
