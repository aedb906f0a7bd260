//! `check-config`.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::SecondsFormat;
use chrono_tz::Tz;
use clap::Args;

use super::{Common, Exit, fail, show};
use crate::clock::{Clock, SystemClock};
use crate::config::cis::Cis;
use crate::config::daemon::Daemon;
use crate::config::excerpt::excerpt;
use crate::config::load;
use crate::config::problem::{Problem, Severity, warnings_counted};
use crate::config::schedule::Schedule;
use crate::config::{Config, Loaded};
use crate::daemon::assembly;
use crate::domain::Timestamp;
use crate::domain::spelling;
use crate::engine::Unit;
use crate::http::Http;
use crate::metrics::Metrics;
use crate::ports::Access;

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

/// Loads the configuration, or prints what is in the way.
pub(super) fn load(common: &Common) -> Result<Loaded, Exit> {
    load::load(&common.config, &crate::daemon::environment())
        .map_err(|problems| in_the_way(common, &problems))
}

/// Loads the daemon's part alone, or prints what is wrong with it.
pub(super) fn load_daemon(common: &Common) -> Result<Daemon, Exit> {
    load::load_daemon(&common.config, &crate::daemon::environment())
        .map_err(|problems| in_the_way(common, &problems))
}

/// Who wants something else than a check is shown the errors, and how many warnings there are besides.
fn in_the_way(common: &Common, problems: &[Problem]) -> Exit {
    let errors: Vec<Problem> =
        problems.iter().filter(|problem| problem.severity == Severity::Error).cloned().collect();
    report(common, &errors);
    if let Some(warnings) = warnings_counted(problems).filter(|_| !common.json) {
        eprintln!("{warnings}");
    }
    counted(common, problems)
}

fn counted(common: &Common, problems: &[Problem]) -> Exit {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if common.json {
        return Exit::Config;
    }
    let many = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
    let text = format!(
        "the configuration has {many}, and nothing is done with it: mend what is named above, \
         and `rekeyd check-config` reads it again"
    );
    fail(Exit::Config, &text)
}

/// Prints every problem: for people with its line and a caret, else as one object a line.
fn report(common: &Common, problems: &[Problem]) {
    for problem in problems {
        if common.json {
            println!("{}", in_json(problem));
            continue;
        }
        eprintln!("{problem}");
        if let Some(lines) = excerpt(problem) {
            eprintln!("{lines}");
        }
    }
}

fn in_json(problem: &Problem) -> serde_json::Value {
    let place = problem.site.line_and_column();
    serde_json::json!({
        "problem": problem.to_string(),
        "severity": problem.severity.to_string(),
        "file": problem.site.file(),
        "line": place.map(|(line, _)| line),
        "column": place.map(|(_, column)| column),
        "key": problem.key,
        "found": problem.found,
        "expected": problem.expected,
        "remedy": problem.remedy,
    })
}

pub(super) async fn check(common: &Common, check: &CheckConfig) -> Exit {
    let loaded = match load::load(&common.config, &crate::daemon::environment()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            report(common, &problems);
            return counted(common, &problems);
        }
    };
    report(common, &loaded.warnings);
    if check.deny_warnings && !loaded.warnings.is_empty() {
        if common.json {
            return Exit::Config;
        }
        return fail(
            Exit::Config,
            "warnings are taken for errors: mend what is named above, and `rekeyd check-config` reads it again",
        );
    }
    let exit = if check.online { online(common, &loaded).await } else { Exit::Done };
    let now = SystemClock::new().now();
    let schedules = schedules(&loaded.config);
    if common.json {
        let next: Vec<_> =
            schedules.iter().map(|(schedule, tenants)| next_in_json(schedule, *tenants, now)).collect();
        let tenants = loaded.config.tenants.len();
        println!(
            "{}",
            serde_json::json!({ "tenants": tenants, "next_checks": next, "ok": exit == Exit::Done })
        );
    } else if !common.quiet && exit == Exit::Done {
        println!("{} well configured", many_tenants(loaded.config.tenants.len()));
        for (schedule, tenants) in schedules {
            print!("{}", next_checks(schedule, tenants, now));
        }
    }
    exit
}

/// Every schedule once, and how many tenants are looked at by it; the daemon's first.
fn schedules(config: &Config) -> Vec<(&Schedule, usize)> {
    let mut found: Vec<(&Schedule, usize)> = vec![(&config.daemon.schedule, 0)];
    for tenant in &config.tenants {
        match found.iter_mut().find(|(schedule, _)| **schedule == *tenant.schedule) {
            Some((_, tenants)) => *tenants += 1,
            None => found.push((&tenant.schedule, 1)),
        }
    }
    // The daemon's own goes unsaid where every tenant has another.
    if found.len() > 1 && found[0].1 == 0 {
        found.remove(0);
    }
    found
}

fn many_tenants(many: usize) -> String {
    if many == 1 { "1 tenant is".to_owned() } else { format!("{many} tenants are") }
}

/// The next three ticks in UTC and in the schedule's own time.
fn next_checks(schedule: &Schedule, tenants: usize, now: Timestamp) -> String {
    let (zone, cron) = (schedule.zone(), schedule.text());
    let mut text = format!("{} looked at by `{cron}` in {zone}, next at\n", many_tenants(tenants));
    for at in schedule.next_three(now) {
        let local = at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %Z");
        let local = if zone == Tz::UTC { String::new() } else { format!(" = {local}") };
        writeln!(text, "  {} UTC{local}", show::time(at)).expect("a string takes all");
    }
    text
}

fn next_in_json(schedule: &Schedule, tenants: usize, now: Timestamp) -> serde_json::Value {
    let zone = schedule.zone();
    let ticks = schedule.next_three(now).into_iter();
    let ticks: Vec<_> = ticks
        .map(|at| serde_json::json!({ "utc": at, "local": at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false) }))
        .collect();
    serde_json::json!({ "cron": schedule.text(), "zone": zone.name(), "tenants": tenants, "at": ticks })
}

/// Lists keys, asks for the status with every login and what it may do, and says what does not work.
async fn online(common: &Common, loaded: &Loaded) -> Exit {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let assembled = match assembly::assemble(&loaded.config, &Arc::new(Metrics::new()), &clock) {
        Ok(assembled) => assembled,
        Err(problem) => return fail(Exit::Config, &problem.to_string()),
    };
    let mut found = Vec::new();
    for unit in assembled.units {
        found.extend([keys(common, &unit).await, consumer(common, &unit).await]);
    }
    for section in &loaded.config.daemon.cis {
        found.push(account(common, &assembled.http, section).await);
    }
    // What surely is missing counts more than what did not answer.
    let permission = found.iter().find(|exit| **exit == Exit::Permission);
    let other = found.iter().rfind(|exit| **exit != Exit::Done);
    permission.or(other).copied().unwrap_or(Exit::Done)
}

/// Whether a global account can be looked at.
async fn account(common: &Common, http: &Arc<Http>, section: &Cis) -> Exit {
    let name = &section.name;
    let looked = match crate::cis::Cis::new(http, &section.key, &section.locals) {
        Ok(account) => account.look().await,
        Err(failure) => Err(failure),
    };
    match looked {
        Ok(found) => {
            if !common.quiet && !common.json {
                let many = spelling::many(found.tree.subaccounts.len(), "subaccount", "subaccounts");
                println!("cis `{name}`: {many} in `{}`", found.tree.name);
            }
            for unseen in &found.unseen {
                eprintln!("rekeyd: warning: cis `{name}`: a key of `[[cis.local]]` shows nothing: {unseen}");
            }
            if found.unseen.is_empty() { Exit::Done } else { Exit::Unavailable }
        }
        Err(failure) => {
            let exit = if failure.class.is_login() { Exit::Permission } else { Exit::Unavailable };
            let text = format!(
                "cis `{name}`: the account cannot be seen, so nobody is told of a subaccount without a tenant: {failure}; \
                 `rekeyd diagnose` looks at the way there"
            );
            fail(exit, &text)
        }
    }
}

/// Whether the keys can be listed, and made and deleted as far as that is shown.
async fn keys(common: &Common, unit: &Unit) -> Exit {
    let id = &unit.policy.credential;
    if let Err(failure) = unit.issuer.list().await {
        let text = format!(
            "`{id}`: the keys cannot be listed, and without that nothing is rotated: {failure}; `rekeyd diagnose` looks at the way there"
        );
        return fail(Exit::Unavailable, &text);
    }
    match unit.issuer.access().await {
        Access::Writes => Exit::Done,
        Access::ReadsOnly { why, remedy } => {
            let text = format!(
                "`{id}`: the login may list keys and not make them, so no rotation would begin: {why}; {remedy}, then \
                 `rekeyd check-config --online` looks again"
            );
            fail(Exit::Permission, &text)
        }
        Access::Unknown(why) => {
            if !common.quiet {
                eprintln!(
                    "rekeyd: warning: `{id}`: whether the login may make keys cannot be told: {why}; see that it is a \
                     Space Developer in the space of the service instances"
                );
            }
            Exit::Done
        }
    }
}

/// Whether the consumer answers.
async fn consumer(common: &Common, unit: &Unit) -> Exit {
    let id = &unit.policy.credential;
    match unit.consumer.status().await {
        Ok(status) => {
            if !common.quiet && !common.json {
                println!("`{id}`: the consumer reports `{}`", status.word);
            }
            Exit::Done
        }
        Err(failure) => {
            let text = format!(
                "`{id}`: the consumer's status cannot be had, and without that nothing is proven: {failure}; `rekeyd diagnose` looks at the way there"
            );
            fail(Exit::Unavailable, &text)
        }
    }
}
