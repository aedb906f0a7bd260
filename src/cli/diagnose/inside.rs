//! What belongs to rekeyd: configuration, state directory, journal, and the daemon itself.

use std::os::unix::fs::MetadataExt;

use rustix::fs::{Access, access, statvfs};

use super::{Finding, Verdict};
use crate::cli::Common;
use crate::cli::client::Daemon;
use crate::cli::whose::Whose;
use crate::clock::{Clock, SystemClock};
use crate::config::daemon::Daemon as Settings;
use crate::config::problem::{Problem, Severity};
use crate::config::{Config, load};
use crate::daemon::assembly;
use crate::daemon::report::{CredentialStatus, Status};
use crate::domain::plan::{LOGIN_REFUSED, NOT_PERMITTED};
use crate::domain::spelling;
use crate::domain::{CLOCK_TOLERANCE, after};
use crate::http::local::LocalError;
use crate::journal::sqlite::SqliteJournal;
use crate::ports::Journal;

/// Free space below which a journal is soon in need.
const LITTLE_SPACE: u64 = 64 << 20;

pub(super) fn configuration(common: &Common, findings: &mut Vec<Finding>) -> Option<Config> {
    const WHAT: &str = "configuration";
    match load::load(&common.config, &crate::daemon::environment()) {
        Ok(loaded) => {
            let seen = format!(
                "`{}`: {}",
                common.config.display(),
                spelling::many(loaded.config.tenants.len(), "tenant", "tenants")
            );
            findings.push(if loaded.warnings.is_empty() {
                Finding::ok(WHAT, seen)
            } else {
                let seen =
                    format!("{seen}, {}", spelling::many(loaded.warnings.len(), "warning", "warnings"));
                Finding::new(WHAT, Verdict::Warning, seen).advice("`rekeyd check-config` names them")
            });
            Some(loaded.config)
        }
        Err(problems) => {
            let seen = format!("`{}`: {}", common.config.display(), counted(&problems));
            let advice = "`rekeyd check-config` names them; what only the daemon's user may read, `sudo -u rekeyd rekeyd \
                          check-config` does, and where systemd hands secrets to the unit `systemctl reload rekeyd` alone";
            findings.push(Finding::new(WHAT, Verdict::Fault, seen).advice(advice));
            None
        }
    }
}

/// Errors and warnings apart: a warning is in nobody's way.
fn counted(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let warnings = problems.len() - errors;
    let errors = spelling::many(errors, "error", "errors");
    match warnings {
        0 => errors,
        warnings => format!("{errors}, {}", spelling::many(warnings, "warning", "warnings")),
    }
}

pub(super) fn state(daemon: &Settings, findings: &mut Vec<Finding>) {
    const WHAT: &str = "state directory";
    let dir = &daemon.state_dir;
    let shown = dir.display();
    let finding = match std::fs::metadata(dir) {
        Err(problem) => Finding::new(WHAT, Verdict::Fault, format!("`{shown}`: {problem}")).advice(
            "systemd makes it by `StateDirectory=`; without systemd make it, for the daemon's user alone",
        ),
        Ok(seen) if seen.mode() & 0o007 != 0 => {
            let text = format!("`{shown}` is open to everybody ({:o})", seen.mode() & 0o777);
            Finding::new(WHAT, Verdict::Warning, text).advice(format!("`chmod o-rwx {shown}`"))
        }
        Ok(_) if access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() => {
            Finding::new(WHAT, Verdict::Note, format!("`{shown}` is not this user's")).advice(
                "run this as the daemon's user to have it looked at: `sudo -u rekeyd rekeyd diagnose`",
            )
        }
        Ok(_) => Finding::ok(WHAT, format!("`{shown}` can be written")),
    };
    findings.push(finding);
    if let Ok(space) = statvfs(dir) {
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let seen = format!("{} MiB are free", free >> 20);
        findings.push(if free < LITTLE_SPACE {
            let advice = "make room: without a journal that can be written nothing is rotated";
            Finding::new("space", Verdict::Fault, seen).advice(advice)
        } else {
            Finding::ok("space", seen)
        });
    }
}

pub(super) async fn journal(daemon: &Settings, findings: &mut Vec<Finding>) {
    const WHAT: &str = "journal";
    let path = assembly::journal_path(daemon);
    if !path.exists() {
        let seen = format!("there is none yet at `{}`", path.display());
        findings
            .push(Finding::new(WHAT, Verdict::Note, seen).advice("the daemon makes it at its first start"));
        return;
    }
    let advice = "docs/how-to/mend-the-journal.md says how to put a backup back";
    let verified = match SqliteJournal::open_read_only(&path) {
        Ok(journal) => match journal.verify().await {
            Ok(entries) => journal.read(None, entries.saturating_sub(1)).await.map(|last| (entries, last)),
            Err(problem) => Err(problem),
        },
        Err(problem) => Err(problem),
    };
    match verified {
        Err(problem) => findings.push(Finding::new(WHAT, Verdict::Fault, problem.to_string()).advice(advice)),
        Ok((entries, last)) => {
            findings.push(Finding::ok(
                WHAT,
                format!("{}, the hash chain is whole", spelling::many(entries, "entry", "entries")),
            ));
            let now = SystemClock::new().now();
            if let Some(entry) = last.last().filter(|entry| entry.at > after(now, CLOCK_TOLERANCE)) {
                let seen = format!("the last entry is of {}, which is still to come", entry.at);
                let advice =
                    "set the clock right before anything else: soaks and deadlines are counted by it";
                findings.push(Finding::new("clock", Verdict::Fault, seen).advice(advice));
            }
        }
    }
}

/// The daemon, and what it says; beside a configuration that holds, or does not.
pub(super) async fn daemon(common: &Common, holds: bool) -> Vec<Finding> {
    let client = Daemon::of(common);
    let status = match client.try_get::<Status>("/v1/status").await {
        Ok(status) => status,
        Err(problem) => return vec![silent(&client, problem, holds)],
    };
    let mut findings = vec![answers(&status, holds)];
    findings.extend(refused("login", LOGIN_REFUSED, &status.credentials));
    findings.extend(refused("rights", NOT_PERMITTED, &status.credentials));
    findings.push(person(&status.credentials, status.fleet.halt.is_some()));
    findings
}

const DAEMON: &str = "daemon";

/// The daemon does not answer.
fn silent(client: &Daemon, problem: LocalError, holds: bool) -> Finding {
    match problem {
        LocalError::Absent => {
            let finding = Finding::new(DAEMON, Verdict::Fault, "none answers on the control socket");
            let start = "`rekeyd run` starts one; where systemd does: `systemctl start rekeyd`, then `journalctl -u rekeyd`";
            let mend = if holds { "" } else { "mend the configuration first; " };
            finding.advice(client.elsewhere().unwrap_or_else(|| format!("{mend}{start}")))
        }
        LocalError::Denied => {
            let seen = "the control socket may not be opened by this user";
            let group = Whose::of(&client.path).filter(|whose| whose.admits).map(|whose| whose.group);
            let join = group.map_or_else(String::new, |group| {
                format!(", or be in its group: `usermod -aG {group} $USER`")
            });
            let ask = format!("ask as the daemon's user, `sudo -u rekeyd rekeyd diagnose`{join}");
            Finding::new(DAEMON, Verdict::Note, seen).advice(ask)
        }
        LocalError::Other(text) => Finding::new(DAEMON, Verdict::Fault, text)
            .advice("its log says why; where systemd runs it: `journalctl -u rekeyd`"),
    }
}

/// The daemon that answers.
fn answers(status: &Status, holds: bool) -> Finding {
    let ours = env!("CARGO_PKG_VERSION");
    let other = status.daemon != ours;
    let many = spelling::many(status.credentials.len(), "credential", "credentials");
    let seen = if other {
        format!("version {} runs, and this is {ours}", status.daemon)
    } else {
        format!("version {ours} answers, {many}")
    };
    if !holds {
        let seen = format!("{seen}; it goes on with the configuration that it has");
        let advice =
            "mend the configuration, then `rekeyd reload`; do not restart it before: it would not start";
        return Finding::new(DAEMON, Verdict::Warning, seen).advice(advice);
    }
    if other {
        return Finding::new(DAEMON, Verdict::Warning, seen).advice(
            "restart it, which changes nothing else; where systemd runs it: `systemctl restart rekeyd`",
        );
    }
    Finding::ok(DAEMON, seen)
}

/// The logins at the issuers that are refused, or may not do what no rotation goes on without.
fn refused(what: &'static str, code: &str, credentials: &[CredentialStatus]) -> Option<Finding> {
    let mut refused = credentials.iter().filter(|status| status.code.as_deref() == Some(code));
    let first = refused.next()?;
    let more = match refused.count() {
        0 => String::new(),
        more => format!(" and of {more} more"),
    };
    let why = first.reason.as_deref().unwrap_or_default();
    let finding = Finding::new(what, Verdict::Fault, format!("that of `{}`{more}: {why}", first.credential));
    Some(finding.advice(first.person.clone().unwrap_or_default()))
}

/// Who waits for a person, by name.
fn person(credentials: &[CredentialStatus], fleet: bool) -> Finding {
    const WHAT: &str = "rotations";
    /// More names than this are a list for `status`.
    const NAMES: usize = 3;
    let waiting: Vec<&CredentialStatus> = credentials.iter().filter(|status| status.needs_person()).collect();
    if waiting.is_empty() {
        if fleet {
            return Finding::new(WHAT, Verdict::Fault, "the fleet is halted").advice(FLEET);
        }
        return Finding::ok(WHAT, "nobody waits for a person");
    }
    let names: Vec<String> =
        waiting.iter().take(NAMES).map(|status| format!("`{}`", status.credential)).collect();
    let more = match waiting.len().saturating_sub(NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let wait = spelling::many(waiting.len(), "waits", "wait").replacen(
        ' ',
        &format!(" of {} ", credentials.len()),
        1,
    );
    let halted = if fleet { ", and the fleet is halted" } else { "" };
    let seen = format!("{wait} for a person: {}{more}{halted}", names.join(", "));
    let each =
        format!("`rekeyd explain {}` says what to do, and `rekeyd status` for all", waiting[0].credential);
    let advice = if fleet { format!("{each}; {FLEET}") } else { each };
    Finding::new(WHAT, Verdict::Fault, seen).advice(advice)
}

const FLEET: &str = "`rekeyd status` shows what halted the fleet, and what to do";

#[cfg(test)]
mod tests {
    use super::*;

    fn status(id: &str, code: &str, person: Option<&str>) -> CredentialStatus {
        let document = serde_json::json!({
            "credential": id, "phase": "settled", "stage": "settled", "in_use": {}, "others": {}, "evidence": 4,
            "evidence_required": 4, "failures": 0, "code": code, "reason": "it said 401", "person": person,
        });
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn who_waits_for_a_person_is_named() {
        let all = |waiting: usize| -> Vec<CredentialStatus> {
            let person = |number| (number < waiting).then_some("do it");
            (0..5).map(|number| status(&format!("t{number}/dataplane"), "x", person(number))).collect()
        };
        let check = |waiting, fleet, expected: &str| assert_eq!(person(&all(waiting), fleet).seen, expected);
        check(0, false, "nobody waits for a person");
        check(0, true, "the fleet is halted");
        check(1, false, "1 of 5 waits for a person: `t0/dataplane`");
        check(
            4,
            true,
            "4 of 5 wait for a person: `t0/dataplane`, `t1/dataplane`, `t2/dataplane` and 1 more, and the fleet is halted",
        );
        let advice = "`rekeyd explain t0/dataplane` says what to do, and `rekeyd status` for all";
        assert_eq!(person(&all(1), false).advice, advice);
    }

    #[test]
    fn a_warning_is_no_error() {
        let site = crate::config::problem::Site::Variable("A".to_owned());
        let problems = [Problem::error(&site, "", "wrong"), Problem::warning(&site, "", "odd")];
        assert_eq!(counted(&problems), "1 error, 1 warning");
        assert_eq!(counted(&problems[..1]), "1 error");
    }

    #[test]
    fn a_refused_login_is_a_fault_with_the_next_command() {
        let status = |id: &str, code: &str| status(id, code, Some("`rekeyd reload`"));
        let login = |all: &[CredentialStatus]| refused("login", LOGIN_REFUSED, all);
        assert_eq!(login(&[status("acme/dataplane", "not-due")]), None);
        let all = ["acme/dataplane", "beta/dataplane"].map(|id| status(id, LOGIN_REFUSED));
        let expected =
            Finding::new("login", Verdict::Fault, "that of `acme/dataplane` and of 1 more: it said 401");
        assert_eq!(login(&all), Some(expected.advice("`rekeyd reload`")));
    }
}
