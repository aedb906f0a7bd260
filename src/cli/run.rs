//! `run`.

use clap::Args;

use super::client::Daemon;
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
            let advice = beside(common, run.once).await;
            let advice = advice.as_deref().unwrap_or("`rekeyd diagnose` looks at what is in its way");
            fail(exit, &format!("{problem}; nothing runs: {advice}"))
        }
    }
}

/// What to do where another daemon runs already, and which it is.
async fn beside(common: &Common, once: bool) -> Option<String> {
    let daemon = Daemon::of(common);
    let own = i32::try_from(std::process::id()).ok();
    // What failed may have come after the socket was bound: that is nobody else.
    let process = daemon.process().await.filter(|process| Some(*process) != own)?;
    let what = if once {
        "a round of one's own is for where none runs, and `rekeyd rotate --due` has this one look at everything now"
    } else {
        "`rekeyd status` shows what it does, and `rekeyd reload` has it read its configuration again"
    };
    Some(format!("the daemon of process {process} runs and answers on `{}`: {what}", daemon.path.display()))
}
