//! Commands that ask something of the running daemon.

use clap::Args;

use super::client::Daemon;
use super::tell::One;
use super::{Common, Exit, show, watch};
use crate::clock::{Clock, SystemClock};
use crate::daemon::protocol::{Done, ResumeFleet, RotateRequest, RotateScope, WishRequest};
use crate::domain::after;
use crate::domain::event::{Trigger, Wish};
use crate::domain::fleet::Pass;
use crate::domain::names::CredentialId;

/// `rotate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rekeyd rotate acme-prod/dataplane --wait\n  rekeyd rotate --due\n  rekeyd rotate --all --reason exposed\n\n\
The reason `exposed` declares an emergency: keys are replaced whatever their age and whether or not a maintenance \
window is open. Every gate before a deletion holds, and so does the fuse unless --i-mean-it is given."
)]
#[expect(clippy::struct_excessive_bools, reason = "one per flag of the command line")]
pub(crate) struct Rotate {
    /// Which credential, as `tenant/credential`.
    #[arg(value_name = "T/C", required_unless_present_any = ["due", "all"], conflicts_with_all = ["due", "all"])]
    credential: Option<CredentialId>,
    /// Look at everything now and rotate what is due.
    #[arg(long, conflicts_with = "all")]
    due: bool,
    /// Rotate everything, whatever its age.
    #[arg(long)]
    all: bool,
    /// Why; it stands in the history. `exposed` declares an emergency.
    #[arg(long, default_value = "asked for by command")]
    reason: String,
    /// Pass the fuse, which limits how many rotations begin in 24 hours. No gate before a deletion is passed.
    #[arg(long)]
    i_mean_it: bool,
    /// Follow the rotation until it is done. Ctrl-C detaches; the rotation goes on.
    #[arg(long)]
    wait: bool,
}

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

pub(super) async fn rotate(common: &Common, rotate: &Rotate) -> Exit {
    let daemon = Daemon::of(common);
    let pass = Pass::of(&rotate.reason, rotate.i_mean_it);
    let Some(credential) = &rotate.credential else {
        let scope = if rotate.all { RotateScope::All } else { RotateScope::Due };
        let request = RotateRequest { scope, reason: rotate.reason.clone(), pass };
        return match daemon.post::<_, Done>("/v1/rotate", &request).await {
            Ok(done) => {
                tell_many(common, &done, request.scope, pass);
                Exit::Done
            }
            Err(exit) => exit,
        };
    };
    let wish = Wish::Rotate { trigger: Trigger::Command, reason: rotate.reason.clone(), pass };
    follow(common, &daemon, credential, wish, rotate.wait).await
}

fn tell_many(common: &Common, done: &Done, scope: RotateScope, pass: Pass) {
    if common.json {
        println!("{}", serde_json::to_string(done).expect("an answer is plain data"));
        return;
    }
    for why in &done.refused {
        eprintln!("rekeyd: not asked: {why}");
    }
    if common.quiet {
        return;
    }
    let woken = scope == RotateScope::Due && pass == Pass::default();
    let what = if woken { "were woken, and what is due rotates" } else { "are asked to rotate" };
    println!("{} credentials {what}; `rekeyd status` shows them", done.credentials);
    if let Some(emergency) = &done.emergency {
        println!("{}", show::emergency(emergency, SystemClock::new().now()));
        if !pass.fuse {
            println!("the fuse limits how many begin in 24 hours; `--i-mean-it` passes it");
        }
    }
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

async fn follow(common: &Common, daemon: &Daemon, credential: &CredentialId, wish: Wish, wait: bool) -> Exit {
    let from = match watch::last_sequence(daemon, credential).await {
        Ok(from) => from,
        Err(exit) => return exit,
    };
    let request = WishRequest { credential: credential.clone(), wish };
    if let Err(exit) = daemon.post::<_, Done>("/v1/wish", &request).await {
        return exit;
    }
    if wait {
        return watch::watch(common, daemon, credential, from).await;
    }
    say(
        common,
        &format!("`{credential}`: it is written down; `rekeyd status {credential}` shows what comes of it"),
    );
    Exit::Done
}

fn say(common: &Common, text: &str) {
    if common.json {
        println!("{}", serde_json::json!({ "message": text }));
    } else if !common.quiet {
        println!("{text}");
    }
}
