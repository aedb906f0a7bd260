//! `check-config`.

use clap::Args;

use super::{Common, Exit, fail, show};
use crate::clock::{Clock, SystemClock};
use crate::config::Loaded;
use crate::config::daemon::Daemon;
use crate::config::load;
use crate::config::problem::Problem;
use crate::daemon::assembly;
use crate::metrics::Metrics;

/// `check-config`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rekeyd check-config --config config/rekeyd.toml --online")]
pub(crate) struct CheckConfig {
    /// Also prove logins and permissions with read-only calls.
    #[arg(long)]
    online: bool,
    /// Take warnings for errors.
    #[arg(long)]
    deny_warnings: bool,
}

/// Loads the configuration, or prints every problem.
pub(super) fn load(common: &Common) -> Result<Loaded, Exit> {
    load::load(&common.config, &crate::daemon::environment()).map_err(|problems| {
        report(common, &problems);
        Exit::Config
    })
}

/// Loads the daemon's part alone, or prints what is wrong with it.
pub(super) fn load_daemon(common: &Common) -> Result<Daemon, Exit> {
    load::load_daemon(&common.config, &crate::daemon::environment()).map_err(|problems| {
        report(common, &problems);
        Exit::Config
    })
}

fn report(common: &Common, problems: &[Problem]) {
    for problem in problems {
        if common.json {
            println!("{}", serde_json::json!({ "problem": problem.to_string() }));
        } else {
            eprintln!("{problem}");
        }
    }
}

pub(super) async fn check(common: &Common, check: &CheckConfig) -> Exit {
    let loaded = match load(common) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    report(common, &loaded.warnings);
    if check.deny_warnings && !loaded.warnings.is_empty() {
        return Exit::Config;
    }
    let exit = if check.online { online(common, &loaded).await } else { Exit::Done };
    let tenants = loaded.config.tenants.len();
    let now = SystemClock::new().now();
    let ticks: Vec<String> = loaded
        .config
        .daemon
        .schedule
        .next_three(now)
        .into_iter()
        .map(|at| format!("{} UTC", show::time(at)))
        .collect();
    if common.json {
        println!(
            "{}",
            serde_json::json!({ "tenants": tenants, "next_checks": ticks, "ok": exit == Exit::Done })
        );
    } else if !common.quiet && exit == Exit::Done {
        println!("{tenants} tenants are well configured; the next checks are at {}", ticks.join(", "));
    }
    exit
}

/// Lists keys and asks for the status with every login, and says what does not work.
async fn online(common: &Common, loaded: &Loaded) -> Exit {
    let clock: std::sync::Arc<dyn Clock> = std::sync::Arc::new(SystemClock::new());
    let assembled = match assembly::assemble(&loaded.config, &std::sync::Arc::new(Metrics::new()), &clock) {
        Ok(assembled) => assembled,
        Err(problem) => return fail(Exit::Config, &problem.to_string()),
    };
    let mut exit = Exit::Done;
    for unit in assembled.units {
        let id = &unit.policy.credential;
        if let Err(failure) = unit.issuer.list().await {
            exit = fail(Exit::Unavailable, &format!("`{id}`: the keys cannot be listed: {failure}"));
        }
        match unit.consumer.status().await {
            Ok(status) if !common.quiet && !common.json => {
                println!("`{id}`: the consumer reports `{}`", status.word);
            }
            Ok(_) => {}
            Err(failure) => {
                exit = fail(
                    Exit::Unavailable,
                    &format!("`{id}`: the consumer's status cannot be had: {failure}"),
                );
            }
        }
    }
    exit
}
