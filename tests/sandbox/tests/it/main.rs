//! The sandbox, seen by a client over real sockets.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop as tests do")]

mod books;
mod client;
mod faults;
mod hostile;
mod process;
mod shapes;
mod stubborn;
