//! `register` and `provision`: the calls with which a connector begins.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Common, Exit, Which, check, confirm, fail, tell};
use crate::clock::{Clock, SystemClock};
use crate::config::tenant::Tenant;
use crate::consumer::dataspace::Dataspace;
use crate::consumer::dataspace::registration::preview;
use crate::daemon::assembly;
use crate::domain::failure::{Class, Failure};
use crate::domain::observation::{self, Verdict};
use crate::metrics::Metrics;
use crate::ports::Consumer as _;

/// No two looks at a data plane are closer than this.
const POLL: Duration = Duration::from_secs(2);

/// The tabs of Integration Suite in which a person does the same.
const CONNECT: &str = "Connect to a Data Space";
const ONBOARD: &str = "Onboard the Data Plane";

/// `register`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rekeyd register acme-prod --config config/rekeyd.toml")]
pub(crate) struct Register {
    /// The tenant; its file has a section `[registration]`.
    #[arg(value_name = "T")]
    tenant: String,
    /// Send it without asking.
    #[arg(long)]
    yes: bool,
}

/// `provision`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rekeyd provision acme-prod --config config/rekeyd.toml")]
pub(crate) struct Provision {
    /// The tenant.
    #[arg(value_name = "T")]
    tenant: String,
    /// Only follow what is under way.
    #[arg(long)]
    follow: bool,
}

/// A tenant's data space, and how long it may take.
struct Place {
    tenant: Tenant,
    dataspace: Dataspace,
    deadline: Duration,
    poll: Duration,
}

async fn place(common: &Common, name: &str) -> Result<Place, Exit> {
    let config = check::load(common)?.config;
    let Some(tenant) = config.tenants.iter().find(|tenant| tenant.id.as_str() == name) else {
        let which = Which { which: Some(name.to_owned()) };
        return Err(tell::none_of(common, &which, &assembly::credentials(&config)).await);
    };
    if tenant.dataspace.is_none() {
        let text = format!(
            "the file of `{name}` has no section `[dataspace]`: add it, and `rekeyd check-config` reads it"
        );
        return Err(fail(Exit::Config, &text));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let wrong =
        |problem: Failure| fail(Exit::Config, &format!("{problem}; `rekeyd check-config` says where"));
    let http = assembly::http(&config.daemon, &Arc::new(Metrics::new()), &clock).map_err(wrong)?;
    let dataspace = assembly::dataspace(tenant, &http).map_err(wrong)?;
    let of_dataspace = tenant.credentials.iter().find(|one| one.policy.consumer == "dataspace");
    let (deadline, poll) = of_dataspace.map_or((Duration::from_mins(30), POLL), |one| {
        (one.policy.settle + one.policy.deadline, one.policy.poll)
    });
    Ok(Place { tenant: tenant.clone(), dataspace, deadline, poll })
}

pub(super) async fn register(common: &Common, asked: &Register) -> Exit {
    let place = match place(common, &asked.tenant).await {
        Ok(place) => place,
        Err(exit) => return exit,
    };
    let id = &place.tenant.id;
    let Some(registration) = &place.tenant.registration else {
        let text = format!(
            "the file of `{id}` has no section `[registration]`: `rekeyd man --dir DIR` writes `rekeyd.toml.5`, which lists its keys, and `rekeyd check-config` reads it"
        );
        return fail(Exit::Config, &text);
    };
    let to = place.dataspace.registration();
    let shown = serde_json::to_string_pretty(&preview(registration)).expect("it is plain data");
    if !common.quiet && !common.json {
        println!("POST {to}\n{shown}");
    }
    if !asked.yes && !confirm::asked("Send it? [y/N] ", &["y", "Y", "yes"]) {
        return fail(Exit::Usage, "nothing was sent: answer `y` on a terminal, or say `--yes`");
    }
    match place.dataspace.register(registration).await {
        Ok(status) => {
            if common.json {
                println!("{}", serde_json::json!({ "tenant": id, "to": to.as_str(), "status": status }));
            } else if !common.quiet {
                println!(
                    "accepted ({status}). The control planes restart now: SAP asks for 5 minutes before the keys are handed over, and for 5 more \
                     before `rekeyd provision {id}`"
                );
            }
            Exit::Done
        }
        Err(failure) => refused(&failure, &format!("`{id}` is not registered"), CONNECT),
    }
}

pub(super) async fn provision(common: &Common, asked: &Provision) -> Exit {
    let place = match place(common, &asked.tenant).await {
        Ok(place) => place,
        Err(exit) => return exit,
    };
    let id = place.tenant.id.to_string();
    match rotating(common, &place.tenant).await {
        Ok(None) => {}
        // Who only looks spoils nothing.
        Ok(_) | Err(_) if asked.follow => {}
        Err(exit) => return exit,
        Ok(Some(stage)) => {
            let text = format!(
                "`{id}` has a rotation under way (`{stage}`), whose proof would be worth nothing if somebody else deployed \
                 meanwhile: wait for `rekeyd status {id}`"
            );
            return fail(Exit::Later, &text);
        }
    }
    let before = match place.dataspace.status().await {
        Ok(status) => status,
        Err(failure) => return unseen(&failure, &id),
    };
    say(common, &before);
    if !asked.follow {
        if let Err(failure) = place.dataspace.provision().await {
            return refused(&failure, &format!("`{id}` is not provisioned"), ONBOARD);
        }
        if !common.quiet && !common.json {
            println!("provisioning is asked for; SAP says that it takes up to 20 minutes");
        }
    }
    follow(common, &place, before, asked.follow).await
}

/// Looks again and again until the data plane has come to an end that is not the one of before.
async fn follow(common: &Common, place: &Place, before: observation::Status, only: bool) -> Exit {
    let (clock, id) = (SystemClock::new(), &place.tenant.id);
    let Ok(mut stop) = signal(SignalKind::interrupt()) else {
        return fail(
            Exit::Failed,
            "signals cannot be handled, so nothing is followed: `rekeyd diagnose` looks around",
        );
    };
    let (mut shown, mut moved) = (before.clone(), only || !before.verdict.is_final());
    while clock.monotonic() < place.deadline {
        match place.dataspace.status().await {
            Ok(status) => {
                if (status.verdict, &status.word) != (shown.verdict, &shown.word) {
                    say(common, &status);
                }
                moved |= status.verdict == Verdict::InProgress || status.at > before.at;
                if moved && status.verdict.is_final() {
                    return ended(common, place, &status);
                }
                shown = status;
            }
            // The next look may see more.
            Err(failure) if failure.class.is_passing() => {}
            Err(failure) => return unseen(&failure, id.as_str()),
        }
        tokio::select! {
            () = clock.sleep(place.poll.max(POLL)) => {}
            _ = stop.recv() => {
                println!("SAP goes on; `rekeyd provision {id} --follow` looks again");
                return Exit::Done;
            }
        }
    }
    let text = format!(
        "the data plane of `{id}` still reports `{}`, and nothing new was seen: look at Integration Suite (Settings > Data Spaces), or \
         `rekeyd provision {id} --follow` looks on",
        shown.word
    );
    fail(Exit::Unavailable, &text)
}

fn ended(common: &Common, place: &Place, status: &observation::Status) -> Exit {
    let id = &place.tenant.id;
    if common.json {
        println!(
            "{}",
            serde_json::json!({ "tenant": id, "verdict": status.verdict.as_str(), "word": status.word })
        );
    }
    if status.verdict == Verdict::Success {
        return Exit::Done;
    }
    let detail = status.detail.as_deref().unwrap_or("SAP says no more");
    fail(
        Exit::Failed,
        &format!(
            "the data plane of `{id}` fails: {detail}; Integration Suite (Settings > Data Spaces) shows the flows, and `rekeyd provision {id}` tries again"
        ),
    )
}

fn say(common: &Common, status: &observation::Status) {
    if !common.quiet && !common.json {
        println!("the data plane reports `{}` ({})", status.word, status.verdict.as_str().replace('_', " "));
    }
}

/// The stage of a rotation of the tenant's that is under way. Where no daemon answers the journal says so: the next round
/// of a timer goes on with it.
async fn rotating(common: &Common, tenant: &Tenant) -> Result<Option<String>, Exit> {
    let status = tell::standing(common).await?;
    let mine = status.credentials.into_iter().filter(|status| status.credential.tenant == tenant.id);
    Ok(mine.map(|status| status.stage).find(|stage| !["settled", "unknown"].contains(&stage.as_str())))
}

/// The data plane cannot be seen, and why.
fn unseen(failure: &Failure, id: &str) -> Exit {
    refused(failure, &format!("the data plane of `{id}` cannot be seen"), ONBOARD)
}

/// A call that came to nothing. Where there is no such call, a person does it.
fn refused(failure: &Failure, what: &str, tab: &str) -> Exit {
    if failure.class == Class::NotFound {
        let text = format!(
            "this data space has no such call ({failure}): in Integration Suite open Settings > Data Spaces, and go through \
             the tab *{tab}*; then `rekeyd status`"
        );
        return fail(Exit::Person, &text);
    }
    let (exit, advice) = match failure.class {
        class if class.is_login() => (Exit::Permission, "`rekeyd check-config --online` tries the login"),
        Class::ClientError => (Exit::Failed, "`rekeyd check-config --online` tries the login"),
        _ => (Exit::Unavailable, "`rekeyd diagnose` looks at the way there"),
    };
    fail(exit, &format!("{what}: {failure}; {advice}"))
}
