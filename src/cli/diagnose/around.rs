//! What is around rekeyd: the network, the clock, and systemd.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Finding, Verdict};
use crate::config::Config;
use crate::domain::spelling;
use crate::http::address::Address;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The hosts that the configuration names: each must be found and take a connection.
pub(super) async fn reachable(config: &Config, findings: &mut Vec<Finding>) {
    if let Some(proxy) = proxy() {
        let finding =
            Finding::new("network", Verdict::Note, format!("calls go through the proxy in `{proxy}`"));
        findings.push(finding.advice("`rekeyd check-config --online` tries every login through it"));
        return;
    }
    for place in places(config) {
        let what = format!("network to {place}");
        findings.push(match timeout(PATIENCE, TcpStream::connect(place.as_str())).await {
            Ok(Ok(_)) => Finding::ok(what, "it takes a connection"),
            Ok(Err(problem)) => Finding::new(what, Verdict::Fault, problem.to_string())
                .advice("see to name resolution and firewall; a proxy is named by `HTTPS_PROXY` in the unit"),
            Err(_) => Finding::new(what, Verdict::Fault, "no connection within 5 s")
                .advice("a firewall may swallow the packets; a proxy is named by `HTTPS_PROXY` in the unit"),
        });
    }
}

fn proxy() -> Option<&'static str> {
    let is_set = |name: &&str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].into_iter().find(is_set)
}

/// `host:port` of every issuer, consumer and global account, once each.
fn places(config: &Config) -> BTreeSet<String> {
    let pins =
        config.tenants.iter().flat_map(|tenant| &tenant.credentials).map(|credential| &credential.policy.pin);
    let accounts = config.daemon.cis.iter().flat_map(|cis| {
        [Some(&cis.key.token_url), cis.key.endpoints.get(crate::cis::ACCOUNTS)].into_iter().flatten()
    });
    let addresses = pins.flat_map(|pin| [&pin.issuer, &pin.consumer]).chain(accounts);
    addresses.filter_map(|text| Address::parse(text).ok()).map(|address| address.place()).collect()
}

/// Whether the clock is set by the network.
pub(super) async fn clock(findings: &mut Vec<Finding>) {
    const WHAT: &str = "clock";
    let said = ask("timedatectl", &["show", "--property=NTPSynchronized", "--value"]).await;
    findings.push(match said.as_deref() {
        Some("yes") => Finding::ok(WHAT, "it is set by the network"),
        Some("no") => Finding::new(WHAT, Verdict::Warning, "it is not set by the network")
            .advice("`timedatectl set-ntp true`: soaks and deadlines are counted by the clock"),
        _ => Finding::new(WHAT, Verdict::Note, "nobody here says whether it is set by the network"),
    });
}

/// How the unit stands, where systemd runs.
pub(super) async fn service(findings: &mut Vec<Finding>) {
    const WHAT: &str = "service";
    if !Path::new("/run/systemd/system").exists() {
        findings.push(Finding::new(WHAT, Verdict::Note, "systemd does not run here"));
        return;
    }
    let properties = "--property=LoadState,ActiveState,SubState,UnitFileState,NRestarts,Result";
    let Some(said) = ask("systemctl", &["show", "rekeyd.service", properties]).await else {
        findings.push(Finding::new(WHAT, Verdict::Note, "systemd was asked and did not answer"));
        return;
    };
    findings.push(unit(&said));
}

/// What `systemctl show` says of the unit.
fn unit(said: &str) -> Finding {
    const WHAT: &str = "service";
    let of = |name: &str| {
        let mut lines = said.lines().filter_map(|line| line.split_once('='));
        lines.find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    };
    if of("LoadState") != "loaded" {
        return Finding::new(WHAT, Verdict::Note, "there is no unit `rekeyd.service`")
            .advice("docs/how-to/install.md installs it");
    }
    let (active, sub, result) = (of("ActiveState"), of("SubState"), of("Result"));
    let restarts = spelling::many(of("NRestarts").parse::<u64>().unwrap_or(0), "restart", "restarts");
    let seen = format!("{active} ({sub}), {}, {restarts}", of("UnitFileState"));
    if active != "active" {
        let advice = "`systemctl status rekeyd` and `journalctl -u rekeyd` say why; exit code 78 is the configuration, 3 \
                      a person";
        return Finding::new(WHAT, Verdict::Fault, format!("{seen}, {result}")).advice(advice);
    }
    if of("UnitFileState") != "enabled" {
        let finding = Finding::new(WHAT, Verdict::Warning, seen);
        return finding.advice("it does not start at the next boot: `systemctl enable rekeyd`");
    }
    if of("NRestarts") != "0" {
        let finding = Finding::new(WHAT, Verdict::Warning, seen);
        return finding.advice("it was restarted by systemd: `journalctl -u rekeyd -p warning`");
    }
    Finding::ok(WHAT, seen)
}

/// The first line of what a program says, where it says something in time and ends well.
async fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let command = Command::new(program).args(arguments).kill_on_drop(true).output();
    let output = timeout(PATIENCE, command).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_read() {
        let said = |active: &str, file: &str, restarts: &str| {
            format!(
                "LoadState=loaded\nActiveState={active}\nSubState=running\nUnitFileState={file}\nNRestarts={restarts}\nResult=success\n"
            )
        };
        let check = |text: &str, verdict, seen: &str| {
            let finding = unit(text);
            assert_eq!((finding.verdict, finding.seen.as_str()), (verdict, seen));
        };
        check(&said("active", "enabled", "0"), Verdict::Ok, "active (running), enabled, 0 restarts");
        check(&said("active", "disabled", "0"), Verdict::Warning, "active (running), disabled, 0 restarts");
        check(&said("active", "enabled", "3"), Verdict::Warning, "active (running), enabled, 3 restarts");
        check(&said("active", "enabled", "1"), Verdict::Warning, "active (running), enabled, 1 restart");
        check(
            &said("failed", "enabled", "0"),
            Verdict::Fault,
            "failed (running), enabled, 0 restarts, success",
        );
        check("LoadState=not-found\n", Verdict::Note, "there is no unit `rekeyd.service`");
    }
}
