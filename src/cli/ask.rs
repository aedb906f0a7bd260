//! Commands that ask something of the running daemon.

use clap::Args;

use super::client::Daemon;
use super::tell::One;
use super::{Common, Exit, fail, watch};
use crate::clock::{Clock, SystemClock};
use crate::daemon::protocol::{Done, ResumeFleet, WishRequest};
use crate::domain::after;
use crate::domain::event::Wish;
use crate::domain::names::CredentialId;

/// `resume`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rekeyd resume acme-prod/dataplane\n  rekeyd resume --fleet --reason \"the landscape is repaired\""
)]
pub(crate) struct Resume {
    /// Which credential, as `tenant/credential`.
    #[arg(value_name = "T/C", required_unless_present = "fleet", conflicts_with = "fleet")]
    credential: Option<CredentialId>,
    /// End the halt of the whole fleet instead.
    #[arg(long)]
    fleet: bool,
    /// Why the fleet may go on; it stands in the history.
    #[arg(long, default_value = "asked for by command", conflicts_with = "credential")]
    reason: String,
}

/// A credential and a reason.
#[derive(Debug, Args)]
pub(crate) struct WithReason {
    /// Which credential, as `tenant/credential`.
    #[arg(value_name = "T/C")]
    credential: CredentialId,
    /// Why; it stands in the history.
    #[arg(long, default_value = "asked for by command")]
    reason: String,
    /// Follow until it is done. Ctrl-C detaches.
    #[arg(long)]
    wait: bool,
}

/// `hold`.
#[derive(Debug, Args)]
pub(crate) struct Hold {
    /// Which credential, as `tenant/credential`.
    #[arg(value_name = "T/C")]
    credential: CredentialId,
    /// Why; it stands in the history.
    #[arg(long, default_value = "asked for by command")]
    reason: String,
    /// For how long, for example `"3 days"`; until it is lifted if left out.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<std::time::Duration>,
}

pub(super) async fn resume(common: &Common, resume: &Resume) -> Exit {
    let daemon = Daemon::of(common);
    if let Some(credential) = &resume.credential {
        return follow(common, &daemon, credential, Wish::Resume, false).await;
    }
    let request = ResumeFleet { reason: resume.reason.clone() };
    match daemon.post::<_, Done>("/v1/fleet/resume", &request).await {
        Ok(_) => {
            say(common, "the fleet goes on: a canary goes first again; `rekeyd status` shows it");
            Exit::Done
        }
        Err(exit) => exit,
    }
}

pub(super) async fn restore(common: &Common, restore: &WithReason) -> Exit {
    let wish = Wish::Restore { reason: restore.reason.clone() };
    follow(common, &Daemon::of(common), &restore.credential, wish, restore.wait).await
}

pub(super) async fn hold(common: &Common, hold: &Hold) -> Exit {
    let until = hold.duration.map(|duration| after(SystemClock::new().now(), duration));
    let wish = Wish::Hold { until, reason: hold.reason.clone() };
    follow(common, &Daemon::of(common), &hold.credential, wish, false).await
}

pub(super) async fn plain(common: &Common, one: &One, wish: Wish) -> Exit {
    follow(common, &Daemon::of(common), &one.credential, wish, false).await
}

pub(super) async fn reload(common: &Common) -> Exit {
    match Daemon::of(common).post::<_, Done>("/v1/reload", &()).await {
        Ok(done) => {
            say(common, &format!("reloaded: {} credentials", done.credentials));
            Exit::Done
        }
        Err(exit) => exit,
    }
}

/// Asks, and says what comes of it or follows it.
pub(super) async fn follow(
    common: &Common,
    daemon: &Daemon,
    credential: &CredentialId,
    wish: Wish,
    wait: bool,
) -> Exit {
    let from = match watch::last_sequence(daemon, credential).await {
        Ok(from) => from,
        Err(exit) => return exit,
    };
    let request = WishRequest { credential: credential.clone(), wish };
    let done = match daemon.ask::<_, Done>("/v1/wish", &request).await {
        Ok(Ok(done)) => done,
        Ok(Err(refusal)) if wait && watch::is_under_way(daemon, credential).await => {
            if !common.quiet && !common.json {
                eprintln!("rekeyd: {}; it is followed", refusal.error);
            }
            return watch::watch(common, daemon, credential, from).await;
        }
        Ok(Err(refusal)) => return fail(Exit::of_refusal(refusal.exit), &refusal.error),
        Err(exit) => return exit,
    };
    if !(wait && common.json) {
        say_taken(common, credential, &request.wish, &done, wait);
    }
    if wait { watch::watch(common, daemon, credential, from).await } else { Exit::Done }
}

/// What was asked for is written down: what comes now, or what stands before it.
fn say_taken(common: &Common, credential: &CredentialId, wish: &Wish, done: &Done, wait: bool) {
    let rotates = matches!(wish, Wish::Rotate { .. });
    let text = if done.waits.is_empty() {
        format!("`{credential}`: it is written down; `rekeyd status {credential}` shows what comes of it")
    } else {
        let waits = done.waits.iter().map(|gate| format!("\n  {}: {}", gate.name, gate.sentence()));
        format!("`{credential}`: it is written down, and waits for{}", waits.collect::<String>())
    };
    let follow =
        if wait { String::new() } else { format!("`rekeyd rotate {credential} --wait` follows it, ") };
    let ends = format!("\n{follow}`rekeyd rotate --withdraw {credential}` takes it back until it begins");
    let text = if rotates && !done.waits.is_empty() { text + &ends } else { text };
    if common.json {
        println!("{}", serde_json::json!({ "message": text, "waits": done.waits }));
    } else if !common.quiet {
        println!("{text}");
    }
}

pub(super) fn say(common: &Common, text: &str) {
    if common.json {
        println!("{}", serde_json::json!({ "message": text }));
    } else if !common.quiet {
        println!("{text}");
    }
}
