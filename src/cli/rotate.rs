//! `rotate`: one credential or many, and taking that back.

use clap::Args;

use super::ask::{follow, say};
use super::client::Daemon;
use super::{Common, Exit, confirm, fail, rules};
use crate::clock::{Clock, SystemClock};
use crate::daemon::protocol::{Done, RotateRequest, RotateScope, WishRequest};
use crate::daemon::report::Status;
use crate::domain::event::{Trigger, Wish};
use crate::domain::fleet::Pass;
use crate::domain::names::CredentialId;
use crate::domain::spelling;

/// `rotate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rekeyd rotate acme-prod/dataplane --wait\n  rekeyd rotate --due\n  rekeyd rotate --withdraw acme-prod/dataplane\n  rekeyd rotate --withdraw --all\n  rekeyd rotate --all --reason exposed --yes\n\n\
The reason `exposed` declares an emergency: keys are replaced whatever their age and whether or not a maintenance \
window is open. Every gate before a deletion holds, and so does the fuse unless --i-mean-it is given.\n\n\
A rotation may have to wait: for the end of a halt of the fleet, a maintenance window, its share of the fleet, the fuse. \
The answer says so, and what opens it. It waits until then, over restarts too, unless it is withdrawn."
)]
#[expect(clippy::struct_excessive_bools, reason = "one per flag of the command line")]
pub(crate) struct Rotate {
    /// Which credential, as `tenant/credential`.
    #[arg(value_name = "T/C", required_unless_present_any = ["due", "all"], conflicts_with_all = ["due", "all"])]
    credential: Option<CredentialId>,
    /// Look at everything now and rotate what is due.
    #[arg(long, conflicts_with = "all")]
    due: bool,
    /// Rotate everything, whatever its age; asks once on a terminal. With --withdraw: all that was asked for.
    #[arg(long)]
    all: bool,
    /// Do not ask before --all, for scripts.
    #[arg(long, requires = "all", conflicts_with_all = ["credential", "due"])]
    yes: bool,
    /// Why; it stands in the history. `exposed` declares an emergency.
    #[arg(long, default_value = "asked for by command")]
    reason: String,
    /// Pass the fuse, which limits how many rotations begin in 24 hours. No gate before a deletion is passed.
    #[arg(long)]
    i_mean_it: bool,
    /// Take back what was asked for; no rotation that has begun is stopped.
    #[arg(long, conflicts_with_all = ["due", "i_mean_it", "wait"])]
    withdraw: bool,
    /// Follow the rotation until it is done, also one that is under way: exit code 0 for fresh keys, 1 where the old ones stay.
    /// Ctrl-C detaches (75); the rotation goes on.
    #[arg(long, conflicts_with_all = ["due", "all"])]
    wait: bool,
}

pub(super) async fn rotate(common: &Common, rotate: &Rotate) -> Exit {
    let daemon = Daemon::of(common);
    let pass = Pass::of(&rotate.reason, rotate.i_mean_it);
    let Some(credential) = &rotate.credential else {
        if rotate.all && rotate.withdraw {
            return withdraw_all(common, &daemon, &rotate.reason).await;
        }
        if rotate.all
            && !rotate.yes
            && let Err(exit) = agreed(&daemon).await
        {
            return exit;
        }
        let scope = if rotate.all { RotateScope::All } else { RotateScope::Due };
        return many(common, &daemon, scope, &rotate.reason, pass).await;
    };
    if rotate.withdraw {
        return withdraw(common, &daemon, credential, &rotate.reason).await;
    }
    let wish = Wish::Rotate { trigger: Trigger::Command, reason: rotate.reason.clone(), pass };
    follow(common, &daemon, credential, wish, rotate.wait).await
}

/// Asks whether everything is meant.
async fn agreed(daemon: &Daemon) -> Result<(), Exit> {
    if !confirm::is_possible() {
        let text = "nothing was asked: there is no terminal to ask on whether everything is meant; `rekeyd rotate --all --yes` \
                    says so, and `rekeyd rotate --due` rotates only what is due";
        return Err(fail(Exit::Usage, text));
    }
    let status = daemon.get::<Status>("/v1/status").await?;
    let many = spelling::many(status.credentials.len(), "credential", "credentials");
    if confirm::asked(
        &format!("{many} will be asked to rotate, whatever the age of the keys; type yes: "),
        &["yes"],
    ) {
        return Ok(());
    }
    Err(fail(Exit::Usage, "nothing was asked: `rekeyd rotate --due` rotates only what is due"))
}

/// What withdrawing does not change.
const DUE_ALL_THE_SAME: &str =
    "what is due rotates all the same, and what has begun goes on: `rekeyd status` shows both";

/// Everything that was asked for and has not begun is taken back.
async fn withdraw_all(common: &Common, daemon: &Daemon, reason: &str) -> Exit {
    let status = match daemon.get::<Status>("/v1/status").await {
        Ok(status) => status,
        Err(exit) => return exit,
    };
    let asked =
        status.credentials.iter().filter(|status| status.asked.is_some() && status.stage == "settled");
    let (mut withdrawn, mut refused) = (0_usize, Vec::new());
    for status in asked {
        let wish = Wish::Withdraw { reason: reason.to_owned() };
        let request = WishRequest { credential: status.credential.clone(), wish };
        match daemon.ask::<_, Done>("/v1/wish", &request).await {
            Ok(Ok(_)) => withdrawn += 1,
            Ok(Err(refusal)) => refused.push(refusal.error),
            Err(exit) => return exit,
        }
    }
    for why in &refused {
        eprintln!("rekeyd: not withdrawn: {why}");
    }
    let rotations = spelling::many(withdrawn, "rotation that was", "rotations that were");
    let text = match withdrawn {
        0 => "no rotation that was asked for waits to begin, so there is nothing to withdraw".to_owned(),
        1 => format!("{rotations} asked for is withdrawn; {DUE_ALL_THE_SAME}"),
        _ => format!("{rotations} asked for are withdrawn; {DUE_ALL_THE_SAME}"),
    };
    if common.json {
        println!("{}", serde_json::json!({ "withdrawn": withdrawn, "refused": refused }));
    } else {
        say(common, &text);
    }
    if refused.is_empty() { Exit::Done } else { Exit::Failed }
}

async fn many(common: &Common, daemon: &Daemon, scope: RotateScope, reason: &str, pass: Pass) -> Exit {
    let request = RotateRequest { scope, reason: reason.to_owned(), pass };
    let done = match daemon.post::<_, Done>("/v1/rotate", &request).await {
        Ok(done) => done,
        Err(exit) => return exit,
    };
    tell_many(common, &done, scope, pass);
    if !common.json && !common.quiet {
        // Who may begin is the fleet's to say, and a halt of it is no secret.
        match daemon.get::<Status>("/v1/status").await {
            Ok(status) => print!("{}{}", rules::halt(&status.fleet), rules::rules(&status.fleet, status.at)),
            Err(exit) => return exit,
        }
    }
    Exit::Done
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
    let what = if woken { "woken, and what is due rotates" } else { "asked to rotate" };
    let credentials = spelling::many(done.credentials, "credential is", "credentials are");
    println!("{credentials} {what}; `rekeyd status` shows more");
    if done.emergency.is_some() && !pass.fuse {
        println!("the fuse limits how many begin in 24 hours; `--i-mean-it` passes it");
    }
}

/// What was asked for is taken back. A rotation that is due goes on being due.
async fn withdraw(common: &Common, daemon: &Daemon, credential: &CredentialId, reason: &str) -> Exit {
    let wish = Wish::Withdraw { reason: reason.to_owned() };
    let request = WishRequest { credential: credential.clone(), wish };
    if let Err(exit) = daemon.post::<_, Done>("/v1/wish", &request).await {
        return exit;
    }
    let status = match daemon.get::<Status>("/v1/status").await {
        Ok(status) => status,
        Err(exit) => return exit,
    };
    let mine = status.credentials.iter().find(|status| status.credential == *credential);
    let now = SystemClock::new().now();
    let is_due = mine.and_then(|status| status.due_at).is_some_and(|due| due <= now);
    let text = if is_due && mine.is_some_and(|status| status.hold.is_some()) {
        format!(
            "it is due and held: nothing begins before `rekeyd unhold {credential}`, or the end of the hold"
        )
    } else if is_due {
        format!("and it rotates all the same, since it is due: `rekeyd hold {credential}` stops that")
    } else {
        format!("nothing begins before it is due; `rekeyd status {credential}` shows when")
    };
    say(common, &format!("`{credential}`: the rotation that was asked for is withdrawn; {text}"));
    Exit::Done
}
