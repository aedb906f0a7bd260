//! `diagnose`: everything around the daemon that can go wrong, looked at once, with advice.

mod around;
mod inside;

use super::client::Daemon;
use super::{Common, Exit, show};
use crate::config::load::load_daemon;

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// It could not be told, or it is no fault.
    Note,
    /// It is going to be in the way.
    Warning,
    /// It is in the way.
    Fault,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
struct Finding {
    /// What.
    what: String,
    /// How it stands.
    verdict: Verdict,
    /// What was seen.
    seen: String,
    /// What to do, where there is something to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
}

impl Finding {
    fn new(what: impl Into<String>, verdict: Verdict, seen: impl Into<String>) -> Self {
        Self { what: what.into(), verdict, seen: seen.into(), advice: String::new() }
    }

    fn ok(what: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::new(what, Verdict::Ok, seen)
    }

    fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), ..self }
    }
}

pub(super) async fn diagnose(common: &Common) -> Exit {
    let mut findings = Vec::new();
    let config = inside::configuration(common, &mut findings);
    // What is wrong with a tenant keeps nobody from looking at the rest.
    let rest = config.is_none().then(|| load_daemon(&common.config, &crate::daemon::environment()).ok());
    if let Some(daemon) =
        config.as_ref().map(|config| &config.daemon).or(rest.as_ref().and_then(Option::as_ref))
    {
        inside::state(daemon, &mut findings);
        inside::journal(daemon, &mut findings).await;
    }
    if Daemon::is_known(common) {
        findings.extend(inside::daemon(common, config.is_some()).await);
    }
    if let Some(config) = &config {
        around::reachable(config, &mut findings).await;
    }
    around::clock(&mut findings).await;
    around::service(&mut findings).await;
    if common.json {
        println!("{}", serde_json::to_string_pretty(&findings).expect("findings are plain data"));
    } else if !common.quiet {
        print!("{}", text(&findings));
    }
    let is_fault = |finding: &Finding| finding.verdict == Verdict::Fault;
    match (&config, findings.iter().any(is_fault)) {
        (None, _) => Exit::Config,
        (Some(_), true) => Exit::Failed,
        (Some(_), false) => Exit::Done,
    }
}

fn text(findings: &[Finding]) -> String {
    let word = |verdict| match verdict {
        Verdict::Ok => "ok",
        Verdict::Note => "-",
        Verdict::Warning => "warning",
        Verdict::Fault => "FAULT",
    };
    let row = |finding: &Finding| {
        vec![word(finding.verdict).to_owned(), finding.what.clone(), show::clip(&finding.seen, 100)]
    };
    let rows: Vec<Vec<String>> = findings.iter().map(row).collect();
    let mut text = show::table(&["STATE", "WHAT", "SEEN"], &rows);
    let advised: Vec<String> = findings
        .iter()
        .filter(|finding| !finding.advice.is_empty())
        .map(|finding| format!("{}: {}\n", finding.what, finding.advice))
        .collect();
    if !advised.is_empty() {
        text.push_str("\nwhat to do:\n");
        text.extend(advised);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_what_to_do() {
        let findings = [
            Finding::ok("configuration", "2 tenants"),
            Finding::new("clock", Verdict::Note, "nobody says whether it is set by the network"),
            Finding::new("state directory", Verdict::Fault, "`/var/lib/rekeyd` cannot be written")
                .advice("run this as the user of the daemon"),
        ];
        let expected = "\
STATE  WHAT             SEEN
ok     configuration    2 tenants
-      clock            nobody says whether it is set by the network
FAULT  state directory  `/var/lib/rekeyd` cannot be written

what to do:
state directory: run this as the user of the daemon
";
        assert_eq!(text(&findings), expected);
    }
}
