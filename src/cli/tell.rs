//! Commands that tell: status, plan, explain, history, and the predicate for scripts.

use clap::{Args, Subcommand};

use super::client::Daemon;
use super::{Common, Exit, Which, check, discover, fail, offline, removed, rules, show};
use crate::clock::{Clock, SystemClock};
use crate::config::load;
use crate::daemon::report::{PlanStatus, Status};
use crate::daemon::{assembly, protocol};
use crate::domain::Timestamp;
use crate::domain::names::CredentialId;
use crate::domain::plan::rotation_due;
use crate::domain::policy::Policy;
use crate::domain::record::Record;
use crate::domain::spelling;
use crate::domain::stage::Stage;
use crate::domain::story::Teller;

/// One credential.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Which credential, as `tenant/credential`.
    #[arg(value_name = "T/C")]
    pub(super) credential: CredentialId,
}

/// `history`.
#[derive(Debug, Args)]
pub(crate) struct History {
    #[command(flatten)]
    which: Which,
    /// Go on printing as events come.
    #[arg(long)]
    follow: bool,
}

/// `needs-rotation`.
#[derive(Debug, Args)]
pub(crate) struct Needs {
    /// Which credential, as `tenant/credential`.
    #[arg(value_name = "T/C")]
    credential: String,
}

/// `audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check that the hash chain over the journal is whole.
    Verify,
}

pub(super) async fn status(common: &Common, which: &Which) -> Exit {
    let mut status = match standing(common).await {
        Ok(status) => status,
        Err(exit) => return exit,
    };
    let whole = which.which.is_none();
    let known: Vec<_> = status.credentials.iter().map(|status| status.credential.clone()).collect();
    status.credentials.retain(|status| which.matches(&status.credential));
    if status.credentials.is_empty() {
        return none_of(common, which, &known).await;
    }
    if common.json {
        println!("{}", serde_json::to_string_pretty(&status).expect("a status is plain data"));
    } else if !common.quiet {
        let halt = rules::halt(&status.fleet);
        if !halt.is_empty() {
            println!("{halt}");
        }
        match status.credentials.as_slice() {
            [only] => print!("{}", show::credential(only)),
            many => print!("{}", show::fleet(&many.iter().collect::<Vec<_>>())),
        }
        let silent = rules::silent(&status.fleet);
        if !silent.is_empty() {
            print!("\n{silent}");
        }
        if whole || status.fleet.halt.is_some() {
            print!("\n{}", rules::rules(&status.fleet, status.at));
            print!("{}", discover::in_brief(&status.cis, status.at));
        }
    }
    // Whoever is shown the halt of the fleet is told by the exit code as well.
    let person = status.fleet.halt.is_some()
        || status.credentials.iter().any(super::super::daemon::report::CredentialStatus::needs_person);
    if person { Exit::Person } else { Exit::Done }
}

/// Says that `which` means none of `known`, or that there is none at all.
pub(super) async fn none_of(common: &Common, which: &Which, known: &[CredentialId]) -> Exit {
    let Some(name) = which.which.as_deref().filter(|_| !known.is_empty()) else {
        let text = "no credential is configured, so nothing will be rotated: put a tenant into `tenants.d`, \
                    and `rekeyd check-config` reads it";
        return fail(Exit::Config, text);
    };
    if removed::is_in_the_journal(common, name).await {
        return fail(Exit::Usage, &spelling::removed(name));
    }
    fail(Exit::Usage, &spelling::no_such(name, known))
}

/// How everybody stands: asked of the daemon, or read from the journal where none answers.
pub(super) async fn standing(common: &Common) -> Result<Status, Exit> {
    let daemon = Daemon::of(common);
    if daemon.is_up().await { daemon.get("/v1/status").await } else { offline::status(common).await }
}

/// Says that `which` means nothing; the daemon or the configuration knows who may have been meant.
pub(super) async fn nothing(common: &Common, which: &Which) -> Exit {
    match known(common).await {
        Ok(known) => none_of(common, which, &known).await,
        Err(exit) => exit,
    }
}

/// Every credential of the daemon; of the configuration, where none answers.
pub(super) async fn known(common: &Common) -> Result<Vec<CredentialId>, Exit> {
    let daemon = Daemon::of(common);
    if daemon.is_up().await {
        let status: Status = daemon.get("/v1/status").await?;
        return Ok(status.credentials.into_iter().map(|status| status.credential).collect());
    }
    Ok(assembly::credentials(&check::load(common)?.config))
}

/// Whether `which` means anybody. Everything is meant where it names nobody.
pub(super) async fn meant(common: &Common, which: &Which) -> Result<(), Exit> {
    if which.which.is_none() {
        return Ok(());
    }
    let known = known(common).await?;
    if known.iter().any(|id| which.matches(id)) { Ok(()) } else { Err(none_of(common, which, &known).await) }
}

async fn plans(common: &Common, which: &Which) -> Result<Vec<PlanStatus>, Exit> {
    let daemon = Daemon::of(common);
    if !daemon.is_up().await {
        return offline::plans(common, which).await;
    }
    daemon.get_each(which, "/v1/plan").await
}

pub(super) async fn plan(common: &Common, which: &Which) -> Exit {
    let plans = match plans(common, which).await {
        Ok(plans) if plans.is_empty() => return nothing(common, which).await,
        Ok(plans) => plans,
        Err(exit) => return exit,
    };
    if common.json {
        println!("{}", serde_json::to_string_pretty(&plans).expect("a plan is plain data"));
    } else if !common.quiet {
        let text: Vec<String> = plans.iter().map(show::plan).collect();
        print!("{}", text.join("\n"));
    }
    if plans.iter().any(needs_person) { Exit::Person } else { Exit::Done }
}

/// Whether a person is needed: for it, or for the fleet that it is a part of.
fn needs_person(plan: &PlanStatus) -> bool {
    plan.person.is_some() || plan.gates.iter().any(|gate| gate.name == "fleet halt" && !gate.open)
}

pub(super) async fn explain(common: &Common, one: &One) -> Exit {
    let which = Which { which: Some(one.credential.to_string()) };
    let plan = match plans(common, &which).await {
        Ok(mut plans) if plans.len() == 1 => plans.remove(0),
        Ok(_) => return nothing(common, &which).await,
        Err(exit) => return exit,
    };
    if common.json {
        println!("{}", serde_json::to_string_pretty(&plan).expect("a plan is plain data"));
    } else if !common.quiet {
        print!("{}", show::plan(&plan));
        match (plan.gates.is_empty(), plan.stage.as_str()) {
            (true, _) => {
                println!("\nno gate is ahead of the next step; the next ones stand before a deletion");
            }
            (false, "settled" | "unknown") => {
                print!("\nbefore a rotation begins:\n{}", show::gates(&plan.gates));
            }
            (false, _) => print!("\nbefore the next deletion:\n{}", show::gates(&plan.gates)),
        }
    }
    if needs_person(&plan) { Exit::Person } else { Exit::Done }
}

pub(super) async fn history(common: &Common, history: &History) -> Exit {
    let daemon = Daemon::of(common);
    let up = daemon.is_up().await;
    if !up && history.follow {
        let text = "no daemon answers, so there is nothing to follow: `rekeyd run` starts one, and where systemd does \
                    `systemctl status rekeyd` says whether it runs; `rekeyd history` prints what the journal holds";
        return fail(Exit::Unavailable, text);
    }
    let clock = SystemClock::new();
    let mut after = 0;
    let mut printed = false;
    let mut teller = Teller::default();
    loop {
        let path = format!("/v1/history?after={after}");
        let entries = if up {
            daemon.get::<protocol::History>(&path).await.map(|history| history.entries)
        } else {
            offline::entries(common, after).await
        };
        let entries = match entries {
            Ok(entries) => entries,
            Err(exit) => return exit,
        };
        let more = up && !entries.is_empty();
        for entry in entries {
            after = entry.sequence;
            let told = teller.tell(&entry);
            if !history.which.matches(&entry.credential) {
                continue;
            }
            printed = true;
            if common.json {
                println!("{}", serde_json::to_string(&entry).expect("an entry is plain data"));
            } else {
                println!("{}  {:<24}  {}", show::time(entry.at), entry.credential.to_string(), told);
            }
        }
        if !more && !history.follow {
            return if printed { Exit::Done } else { untold(common, &history.which).await };
        }
        if !more {
            tokio::select! {
                () = clock.sleep(std::time::Duration::from_millis(500)) => {}
                _ = tokio::signal::ctrl_c() => return Exit::Done,
            }
        }
    }
}

/// Nothing is told of whom `which` means: nobody is meant, or nothing has happened.
async fn untold(common: &Common, which: &Which) -> Exit {
    // The journal needs the daemon's part of the configuration only: where the rest cannot be read, nobody is unknown.
    let readable =
        Daemon::of(common).is_up().await || load::load(&common.config, &crate::daemon::environment()).is_ok();
    if readable && let Err(exit) = meant(common, which).await {
        return exit;
    }
    if !common.json && !common.quiet {
        let whose = which.which.as_deref().map_or_else(String::new, |name| format!(" of `{name}`"));
        println!("the journal holds nothing{whose} yet; `rekeyd status` shows how things stand");
    }
    Exit::Done
}

/// The answer stands in the exit code: 0 yes, 1 no, 2 unknown credential, 255 cannot tell.
pub(super) async fn needs_rotation(common: &Common, needs: &Needs) -> Exit {
    let Ok(id) = needs.credential.parse::<CredentialId>() else {
        return fail(
            Exit::Unknown,
            &format!(
                "`{}` is no credential: expected `tenant/credential`, for example `acme-prod/dataplane`; \
                 `rekeyd status` lists them",
                needs.credential
            ),
        );
    };
    let Ok(views) = offline::views(common).await else { return Exit::Unknown };
    let Some(view) = views.iter().find(|view| view.credential == id) else {
        let known: Vec<CredentialId> = views.iter().map(|view| view.credential.clone()).collect();
        return none_of(common, &Which { which: Some(id.to_string()) }, &known).await;
    };
    let untold =
        |what: &str| fail(Exit::Unknown, &format!("{what}; `rekeyd explain {id}` says what is missing"));
    let Some(record) = &view.record else {
        return untold(&format!("nothing is known of `{id}` yet: the daemon has not recognised its keys"));
    };
    let now = SystemClock::new().now();
    let Some(due) = is_needed(&view.policy, record, now) else {
        return untold(&format!("the age of `{id}` is not known"));
    };
    if common.json {
        println!("{}", serde_json::json!({ "credential": id.to_string(), "needs_rotation": due }));
    } else if !common.quiet {
        println!("{}", if due { "yes" } else { "no" });
    }
    if due { Exit::Done } else { Exit::Failed }
}

/// Whether a rotation is due, or goes on until the consumer works with fresh keys. While old keys are retired, the ones in use
/// tell. `None` where their age is not known.
fn is_needed(policy: &Policy, record: &Record, now: Timestamp) -> Option<bool> {
    if !matches!(record.stage, Stage::Settled { .. } | Stage::Retiring { .. }) {
        return Some(true);
    }
    match rotation_due(policy, record.stage.in_use()) {
        _ if record.asked.is_some() => Some(true),
        Ok(Some(due)) => Some(now >= due),
        _ => None,
    }
}

pub(super) async fn audit(common: &Common, Audit::Verify: &Audit) -> Exit {
    match offline::verify(common).await {
        Ok(entries) => {
            if common.json {
                println!("{}", serde_json::json!({ "whole": true, "entries": entries }));
            } else if !common.quiet {
                let text = match entries {
                    0 => "the journal is empty: there is nothing to verify yet; the daemon writes it, `rekeyd run`".to_owned(),
                    many => format!("the hash chain is whole: {}", spelling::many(many, "entry", "entries")),
                };
                println!("{text}");
            }
            Exit::Done
        }
        Err(exit) => exit,
    }
}
