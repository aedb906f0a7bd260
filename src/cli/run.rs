//! `run`.

use clap::Args;

use super::{Common, Exit, check, fail};
use crate::daemon::triggers::Signals;
use crate::daemon::{self, Fatal, Options};

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Do one round and exit, for timers. What is under way goes on in the next round.
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(common: &Common, run: &Run) -> Exit {
    // Before anything else: a signal that is not handled ends the process.
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(problem) => {
            return fail(
                Exit::Failed,
                &format!(
                    "signals cannot be handled, so nothing runs: {problem}; `rekeyd diagnose` looks around"
                ),
            );
        }
    };
    let loaded = match check::load(common) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let options = Options { config: common.config.clone(), socket: common.socket.clone(), once: run.once };
    match daemon::run(options, loaded, signals).await {
        Ok(daemon::End::Stopped) => Exit::Done,
        Ok(daemon::End::NeedsPerson) => Exit::Person,
        Ok(daemon::End::Incomplete) => Exit::Later,
        Ok(daemon::End::Unwritten) => fail(
            Exit::Failed,
            "the journal could not be written, so the daemon went no further: `rekeyd diagnose` looks at what is in its way",
        ),
        Err(problem) => {
            let exit = match &problem {
                Fatal::Config(_) => Exit::Config,
                Fatal::Permission(_) => Exit::Permission,
                Fatal::Person(_) => Exit::Person,
                Fatal::Other(_) => Exit::Failed,
            };
            fail(exit, &format!("{problem}; nothing runs: `rekeyd diagnose` looks at what is in its way"))
        }
    }
}
