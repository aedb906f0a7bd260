//! Commands that ask something of the running daemon.

use std::fmt::Write as _;

use clap::Args;

use super::client::Daemon;
use super::tell::One;
use super::{Common, Exit, fail, watch};
use crate::clock::{Clock, SystemClock};
use crate::daemon::protocol::{Done, ResumeFleet, WishRequest};
use crate::domain::after;
use crate::domain::event::Wish;
use crate::domain::names::CredentialId;
use crate::domain::spelling;

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

/// `restore`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  rekeyd restore acme-prod/dataplane --reason \"the data plane misbehaves\" --wait\n\n\
Possible from the delivery of the fresh keys to the end of their soak. The old keys are delivered again and proven like any \
others; then the fresh ones soak and are retired. It counts as a failed rotation, since a person saw that the consumer does \
not do well with the fresh keys: where no rotation of this release went well before it, or more than `halt-percent` failed \
in a week, the fleet halts, and nothing else begins until `rekeyd resume --fleet`.\n\n\
Where the old keys are due, the rotation is tried again by itself, after a rest of one soak that grows with every turn: \
`rekeyd status` and `rekeyd forecast` say when, and `rekeyd hold T/C` stops that."
)]
pub(crate) struct Restore {
    /// Which credential, as `tenant/credential`.
    #[arg(value_name = "T/C")]
    credential: CredentialId,
    /// Why; it stands in the history.
    #[arg(long, default_value = "asked for by command")]
    reason: String,
    /// Follow until the old keys are back and the fresh ones gone. Ctrl-C detaches (75); the way back goes on.
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
    #[arg(long = "for", value_name = "DURATION", value_parser = lasting)]
    duration: Option<std::time::Duration>,
}

/// A time to hold for.
fn lasting(text: &str) -> Result<std::time::Duration, String> {
    const EXPECTED: &str = "expected a time like `3 days`, `12 h` or `1 h 30 min`";
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err(format!(
            "it would be over at once: {EXPECTED}, or leave `--for` out to hold until it is lifted"
        )),
        Ok(time) => Ok(time),
        Err(problem) => Err(format!("{problem}: {EXPECTED}")),
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

pub(super) async fn restore(common: &Common, restore: &Restore) -> Exit {
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
            let text = format!("reloaded: {}", spelling::many(done.credentials, "credential", "credentials"));
            if common.json {
                println!("{}", serde_json::json!({ "message": text, "notes": done.notes }));
            } else if !common.quiet {
                println!("{}", [vec![text], done.notes].concat().join("\n"));
            }
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
    let past = match watch::past(daemon, credential).await {
        Ok(past) => past,
        Err(exit) => return exit,
    };
    let request = WishRequest { credential: credential.clone(), wish };
    // Who comes back to the way back asks for nothing new.
    if wait && matches!(request.wish, Wish::Restore { .. }) {
        if past.went_back() {
            return watch::back_already(common, daemon, &request).await;
        }
        if past.goes_back() && watch::is_under_way(daemon, &request, &past).await {
            say_followed(common, &format!("`{credential}`: the old keys are asked back already"));
            return watch::watch(common, daemon, &request, past).await;
        }
    }
    let done = match daemon.ask::<_, Done>("/v1/wish", &request).await {
        Ok(Ok(done)) => done,
        Ok(Err(refusal)) if wait && watch::is_under_way(daemon, &request, &past).await => {
            say_followed(common, &refusal.error);
            return watch::watch(common, daemon, &request, past).await;
        }
        Ok(Err(refusal)) => return fail(Exit::of_refusal(refusal.exit), &refusal.error),
        Err(exit) => return exit,
    };
    if !(wait && common.json) {
        say_taken(common, credential, &request.wish, &done, wait);
    }
    if wait { watch::watch(common, daemon, &request, past).await } else { Exit::Done }
}

/// It is not asked for anew, and why.
fn say_followed(common: &Common, why: &str) {
    if !common.quiet && !common.json {
        eprintln!("rekeyd: {why}; it is followed");
    }
}

/// What was asked for is written down: what comes now, or what stands before it.
fn say_taken(common: &Common, credential: &CredentialId, wish: &Wish, done: &Done, wait: bool) {
    let mut text = format!("`{credential}`: it is written down");
    if done.waits.is_empty() {
        write!(text, "; `rekeyd status {credential}` shows what comes of it").expect("a string takes all");
    } else {
        text.push_str(", and waits for");
        for gate in &done.waits {
            write!(text, "\n  {}: {}", gate.name, gate.sentence()).expect("a string takes all");
        }
        let follow =
            if wait { String::new() } else { format!("`rekeyd rotate {credential} --wait` follows it, ") };
        let ends = format!("\n{follow}`rekeyd rotate --withdraw {credential}` takes it back until it begins");
        text.push_str(&ends);
    }
    for note in &done.notes {
        write!(text, "\n{note}").expect("a string takes all");
    }
    if matches!(wish, Wish::Restore { .. }) {
        text.push_str(&restored(credential));
    }
    if common.json {
        println!("{}", serde_json::json!({ "message": text, "waits": done.waits, "notes": done.notes }));
    } else if !common.quiet {
        println!("{text}");
    }
}

/// What a person who goes back ought to know.
fn restored(id: &CredentialId) -> String {
    format!(
        "\nthe old keys are delivered again and proven; then the fresh ones soak and are retired. It counts \
    as a failed rotation: where no rotation of this release went well before it, or too many failed in a week, the \
    fleet halts and nothing else begins until `rekeyd resume --fleet`. Where the old keys are due, the rotation is tried \
    again by itself after a rest, one soak at first and one more each time, and after a few it halts for a person: `rekeyd status {id}` says when and how \
    many, and `rekeyd hold {id}` stops that"
    )
}

pub(super) fn say(common: &Common, text: &str) {
    if common.json {
        println!("{}", serde_json::json!({ "message": text }));
    } else if !common.quiet {
        println!("{text}");
    }
}
