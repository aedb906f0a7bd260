//! What belongs to rekeyd: configuration, state directory, journal, and the daemon itself.

use std::os::unix::fs::MetadataExt;

use rustix::fs::{Access, access, statvfs};

use super::{Finding, Verdict};
use crate::cli::Common;
use crate::cli::client::Daemon;
use crate::cli::show;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, load};
use crate::daemon::assembly;
use crate::daemon::report::{CredentialStatus, Status};
use crate::domain::plan::{LOGIN_REFUSED, NOT_PERMITTED};
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
                show::many(loaded.config.tenants.len(), "tenant", "tenants")
            );
            findings.push(if loaded.warnings.is_empty() {
                Finding::ok(WHAT, seen)
            } else {
                let seen = format!("{seen}, {}", show::many(loaded.warnings.len(), "warning", "warnings"));
                Finding::new(WHAT, Verdict::Warning, seen).advice("`rekeyd check-config` names them")
            });
            Some(loaded.config)
        }
        Err(problems) => {
            let seen = format!(
                "`{}`: {}",
                common.config.display(),
                show::many(problems.len(), "problem", "problems")
            );
            let advice = "`rekeyd check-config` names them; what only the daemon's user may read, `sudo -u rekeyd rekeyd \
                          check-config` does, and where systemd hands secrets to the unit `systemctl reload rekeyd` alone";
            findings.push(Finding::new(WHAT, Verdict::Fault, seen).advice(advice));
            None
        }
    }
}

pub(super) fn state(config: &Config, findings: &mut Vec<Finding>) {
    const WHAT: &str = "state directory";
    let dir = &config.daemon.state_dir;
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

pub(super) async fn journal(config: &Config, findings: &mut Vec<Finding>) {
    const WHAT: &str = "journal";
    let path = assembly::journal_path(&config.daemon);
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
                format!("{}, the hash chain is whole", show::many(entries, "entry", "entries")),
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

pub(super) async fn daemon(common: &Common, findings: &mut Vec<Finding>) {
    const WHAT: &str = "daemon";
    let client = Daemon::of(common);
    let status = match client.try_get::<Status>("/v1/status").await {
        Ok(status) => status,
        Err(LocalError::Absent) => {
            let finding = Finding::new(WHAT, Verdict::Fault, "none answers on the control socket");
            if let Some(elsewhere) = client.elsewhere() {
                findings.push(finding.advice(elsewhere));
                return;
            }
            findings.push(finding.advice("`rekeyd run` starts one; where systemd does: `systemctl start rekeyd`, then `journalctl -u rekeyd`"));
            return;
        }
        Err(LocalError::Denied) => {
            let finding =
                Finding::new(WHAT, Verdict::Note, "the control socket may not be opened by this user");
            findings.push(finding.advice("be in the daemon's group: `usermod -aG rekeyd $USER`"));
            return;
        }
        Err(LocalError::Other(text)) => {
            findings.push(
                Finding::new(WHAT, Verdict::Fault, text)
                    .advice("its log says why; where systemd runs it: `journalctl -u rekeyd`"),
            );
            return;
        }
    };
    let ours = env!("CARGO_PKG_VERSION");
    findings.push(if status.daemon == ours {
        Finding::ok(
            WHAT,
            format!(
                "version {ours} answers, {}",
                show::many(status.credentials.len(), "credential", "credentials")
            ),
        )
    } else {
        let seen = format!("version {} runs, and this is {ours}", status.daemon);
        Finding::new(WHAT, Verdict::Warning, seen).advice(
            "restart it, which changes nothing else; where systemd runs it: `systemctl restart rekeyd`",
        )
    });
    findings.extend(refused("login", LOGIN_REFUSED, &status.credentials));
    findings.extend(refused("rights", NOT_PERMITTED, &status.credentials));
    let waiting = status.credentials.iter().filter(|status| status.needs_person()).count();
    findings.push(person(waiting, &status.credentials, status.fleet.halt.is_some()));
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

fn person(waiting: usize, credentials: &[CredentialStatus], fleet: bool) -> Finding {
    const WHAT: &str = "rotations";
    if waiting == 0 && !fleet {
        return Finding::ok(WHAT, "nobody waits for a person");
    }
    let seen = format!(
        "{waiting} of {} wait for a person{}",
        credentials.len(),
        if fleet { ", and the fleet is halted" } else { "" }
    );
    Finding::new(WHAT, Verdict::Fault, seen).advice("`rekeyd status` shows what each of them needs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_login_is_a_fault_with_the_next_command() {
        let status = |id: &str, code: &str| {
            let document = serde_json::json!({
                "credential": id, "phase": "settled", "stage": "settled", "in_use": {}, "others": {}, "evidence": 4,
                "evidence_required": 4, "failures": 0, "code": code, "reason": "it said 401", "person": "`rekeyd reload`",
            });
            serde_json::from_value::<CredentialStatus>(document).unwrap()
        };
        let login = |all: &[CredentialStatus]| refused("login", LOGIN_REFUSED, all);
        assert_eq!(login(&[status("acme/dataplane", "not-due")]), None);
        let all = ["acme/dataplane", "beta/dataplane"].map(|id| status(id, LOGIN_REFUSED));
        let expected =
            Finding::new("login", Verdict::Fault, "that of `acme/dataplane` and of 1 more: it said 401");
        assert_eq!(login(&all), Some(expected.advice("`rekeyd reload`")));
    }
}
