//! Parse, run, turn the outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    rekeyd::cli::main().into()
}
