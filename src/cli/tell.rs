//! Commands that tell: status, plan, explain, history, and the predicate for scripts.

use clap::{Args, Subcommand};

use super::client::Daemon;
use super::{Common, Exit, Which, fail, offline, show};
use crate::clock::{Clock, SystemClock};
use crate::daemon::protocol;
use crate::daemon::report::{PlanStatus, Status};
use crate::domain::names::CredentialId;
use crate::domain::stage::Stage;
use crate::domain::story;

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
    let daemon = Daemon::of(common);
    let up = daemon.is_up().await;
    let status = if up { daemon.get::<Status>("/v1/status").await } else { offline::status(common).await };
    let mut status = match status {
        Ok(status) => status,
        Err(exit) => return exit,
    };
    let whole = which.which.is_none();
    status.credentials.retain(|status| which.matches(&status.credential));
    if status.credentials.is_empty() {
        return nothing(which);
    }
    if common.json {
        println!("{}", serde_json::to_string_pretty(&status).expect("a status is plain data"));
    } else if !common.quiet {
        if !up {
            println!("no daemon answers: this is what the journal says");
        }
        match status.credentials.as_slice() {
            [only] => print!("{}", show::credential(only)),
            many => print!("{}", show::fleet(&many.iter().collect::<Vec<_>>())),
        }
        if whole || status.fleet.halt.is_some() {
            print!("\n{}", show::rules(&status.fleet, status.at));
        }
    }
    let halted = whole && status.fleet.halt.is_some();
    let person =
        halted || status.credentials.iter().any(super::super::daemon::report::CredentialStatus::needs_person);
    if person { Exit::Person } else { Exit::Done }
}

pub(super) fn nothing(which: &Which) -> Exit {
    let name = which.which.as_deref().unwrap_or_default();
    if name.is_empty() {
        return fail(Exit::Config, "no credential is configured: add a file to `tenants.d`");
    }
    fail(Exit::Usage, &format!("there is no tenant or credential `{name}`; `rekeyd status` lists them"))
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
        Ok(plans) if plans.is_empty() => return nothing(which),
        Ok(plans) => plans,
        Err(exit) => return exit,
    };
    if common.json {
        println!("{}", serde_json::to_string_pretty(&plans).expect("a plan is plain data"));
    } else if !common.quiet {
        let text: Vec<String> = plans.iter().map(show::plan).collect();
        print!("{}", text.join("\n"));
    }
    if plans.iter().any(|plan| plan.person.is_some()) { Exit::Person } else { Exit::Done }
}

pub(super) async fn explain(common: &Common, one: &One) -> Exit {
    let which = Which { which: Some(one.credential.to_string()) };
    let plan = match plans(common, &which).await {
        Ok(mut plans) if plans.len() == 1 => plans.remove(0),
        Ok(_) => return nothing(&which),
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
            (false, "settled") => print!("\nbefore a rotation begins:\n{}", show::gates(&plan.gates)),
            (false, _) => print!("\nbefore the next deletion:\n{}", show::gates(&plan.gates)),
        }
    }
    if plan.person.is_some() { Exit::Person } else { Exit::Done }
}

pub(super) async fn history(common: &Common, history: &History) -> Exit {
    let daemon = Daemon::of(common);
    let up = daemon.is_up().await;
    if !up && history.follow {
        return fail(Exit::Unavailable, "no daemon answers, so there is nothing to follow");
    }
    let clock = SystemClock::new();
    let mut after = 0;
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
            if !history.which.matches(&entry.credential) {
                continue;
            }
            if common.json {
                println!("{}", serde_json::to_string(&entry).expect("an entry is plain data"));
            } else {
                println!(
                    "{}  {:<24}  {}",
                    show::time(entry.at),
                    entry.credential.to_string(),
                    story::tell(&entry.event)
                );
            }
        }
        if !more && !history.follow {
            return Exit::Done;
        }
        if !more {
            tokio::select! {
                () = clock.sleep(std::time::Duration::from_millis(500)) => {}
                _ = tokio::signal::ctrl_c() => return Exit::Done,
            }
        }
    }
}

/// The answer stands in the exit code: 0 yes, 1 no, 2 unknown credential, 255 cannot tell.
pub(super) async fn needs_rotation(common: &Common, needs: &Needs) -> Exit {
    let Ok(id) = needs.credential.parse::<CredentialId>() else {
        return fail(
            Exit::Unknown,
            &format!("`{}` is no credential: expected `tenant/credential`", needs.credential),
        );
    };
    let Ok(views) = offline::views(common).await else { return Exit::Unknown };
    let Some(view) = views.into_iter().find(|view| view.credential == id) else {
        return fail(Exit::Usage, &format!("there is no credential `{id}`"));
    };
    let Some(record) = &view.record else {
        return fail(Exit::Unknown, &format!("nothing is known of `{id}` yet"));
    };
    let now = SystemClock::new().now();
    let due = match (&record.stage, crate::domain::plan::rotation_due(&view.policy, record.stage.in_use())) {
        (Stage::Settled { .. }, Ok(Some(due))) => now >= due || record.asked.is_some(),
        // A rotation under way needs the daemon to go on.
        (Stage::Settled { .. }, _) => return fail(Exit::Unknown, &format!("the age of `{id}` is not known")),
        _ => true,
    };
    if common.json {
        println!("{}", serde_json::json!({ "credential": id.to_string(), "needs_rotation": due }));
    } else if !common.quiet {
        println!("{}", if due { "yes" } else { "no" });
    }
    if due { Exit::Done } else { Exit::Failed }
}

pub(super) async fn audit(common: &Common, Audit::Verify: &Audit) -> Exit {
    match offline::verify(common).await {
        Ok(entries) => {
            if common.json {
                println!("{}", serde_json::json!({ "whole": true, "entries": entries }));
            } else if !common.quiet {
                println!("the hash chain is whole: {entries} entries");
            }
            Exit::Done
        }
        Err(exit) => exit,
    }
}
