//! `discover`: subaccounts without a tenant, and keys of nobody's. It only reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;

use super::client::Daemon;
use super::{Common, Exit, offline, show, template};
use crate::daemon::unmanaged::{Account, CisStatus, Covered, Discovery};
use crate::domain::spelling;
use crate::domain::stray::{Stray, StrayKind};
use crate::domain::{Timestamp, between};

/// `discover`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rekeyd discover --config config/rekeyd.toml

It ends with 3 where a subaccount has no tenant here, and with 69 where an account could not be seen.")]
pub(crate) struct Discover {
    /// Write a tenant's file to be filled in for each subaccount without one; what is there is left alone.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

pub(super) async fn discover(common: &Common, asked: &Discover) -> Exit {
    let daemon = Daemon::of(common);
    let found = if daemon.is_up().await {
        daemon.get::<Discovery>("/v1/discover").await
    } else {
        offline::discover(common).await
    };
    let found = match found {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    if common.json {
        println!("{}", serde_json::to_string_pretty(&found).expect("it is plain data"));
    } else if !common.quiet {
        print!("{}", text(&found));
    }
    for account in &found.accounts {
        if let Some(failure) = &account.failure {
            let was = account.seen_at.map_or_else(
                || "nothing is known of its subaccounts".to_owned(),
                |at| format!("what is told of it is of {}", show::time(at)),
            );
            eprintln!(
                "rekeyd: cis `{}` cannot be seen, so {was}: {failure}; `rekeyd check-config --online` tries the login",
                account.cis
            );
        }
        for unseen in &account.unseen {
            eprintln!(
                "rekeyd: warning: cis `{}`: the Cloud Foundry of a subaccount is not known: {unseen}",
                account.cis
            );
        }
    }
    if let Some(folder) = &asked.write
        && let Err(exit) = template::write(common, folder, &found).await
    {
        return exit;
    }
    exit(&found)
}

/// What surely is open counts more than what could not be seen.
fn exit(found: &Discovery) -> Exit {
    let mut subaccounts = found.accounts.iter().flat_map(|account| &account.subaccounts);
    if subaccounts.any(|of| of.cover == "uncovered") {
        return Exit::Person;
    }
    let is_blind = found.accounts.iter().any(|account| account.failure.is_some());
    if is_blind { Exit::Unavailable } else { Exit::Done }
}

fn text(found: &Discovery) -> String {
    let mut parts: Vec<String> = found.accounts.iter().filter_map(account).collect();
    if found.accounts.is_empty() {
        parts.push(
            "no global account is looked at, so nothing is known of subaccounts: add a section `[[cis]]` to the daemon's \
             file, and `rekeyd check-config` reads it\n"
                .to_owned(),
        );
    }
    for (kind, title) in [
        (StrayKind::Unmanaged, "keys on the instances of the tenants that nobody manages"),
        (StrayKind::Orphan, "keys with a name of rekeyd's that its journal does not know"),
    ] {
        let of: Vec<&Stray> = found.keys.iter().filter(|key| key.kind == kind).collect();
        if !of.is_empty() {
            parts.push(format!("{title}\n{}", keys(&of, found.at)));
        }
    }
    if found.keys.is_empty() && found.unseen.is_empty() {
        parts.push("every key that was seen on the instances of the tenants is managed\n".to_owned());
    }
    if !found.unseen.is_empty() {
        let names: Vec<String> = found.unseen.iter().take(5).map(|id| format!("`{id}`")).collect();
        let more = found.unseen.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        parts.push(format!(
            "the keys of {}{more} were not seen: `rekeyd explain {}` says why\n",
            names.join(", "),
            found.unseen[0]
        ));
    }
    let open: Vec<&Covered> = found.accounts.iter().flat_map(|account| &account.subaccounts).collect();
    let count = |word: &str| open.iter().filter(|of| of.cover == word).count();
    if count("unknown") > 0 {
        let names: BTreeSet<String> = open
            .iter()
            .filter(|of| of.cover == "unknown")
            .flat_map(|of| of.tenants.iter().map(|tenant| format!("`{tenant}`")))
            .collect();
        parts.push(format!(
            "where {} is cannot be told from its keys: name its `subaccount` in the tenant's file, or add `[[cis.local]]`\n",
            names.into_iter().take(5).collect::<Vec<_>>().join(", ")
        ));
    }
    if count("uncovered") > 0 {
        let many = spelling::many(count("uncovered"), "subaccount has", "subaccounts have");
        parts.push(format!(
            "{many} no tenant here: `rekeyd discover --write DIR` writes a file to fill in for each\n"
        ));
    }
    parts.join("\n")
}

/// The tree of an account that was seen.
fn account(account: &Account) -> Option<String> {
    let seen_at = account.seen_at?;
    let directories: BTreeMap<&str, &str> =
        account.directories.iter().map(|of| (of.guid.as_str(), of.name.as_str())).collect();
    let mut rows = Vec::new();
    inside(account, None, &directories, 0, &mut rows);
    let head = format!("cis `{}`: {}, as of {}", account.cis, account.name, show::time(seen_at));
    let table = show::table(&["SUBACCOUNT", "REGION", "STATE", "PRODUCTION", "TENANT"], &rows);
    Some(format!("{head}\n{table}"))
}

/// What is directly in `parent`: the directories first, each with what is in it. A tree is as deep as it was read: SAP has
/// seven levels.
fn inside(
    account: &Account,
    parent: Option<&str>,
    directories: &BTreeMap<&str, &str>,
    depth: usize,
    rows: &mut Vec<Vec<String>>,
) {
    let indented = |name: &str| format!("{}{}", "  ".repeat(depth), show::clip(name, 40));
    let mut below: Vec<_> = account.directories.iter().filter(|of| of.parent.as_deref() == parent).collect();
    below.sort_by_key(|of| (&of.name, &of.guid));
    for directory in below.into_iter().filter(|_| depth < 32) {
        rows.push(vec![indented(&format!("{}/", directory.name))]);
        inside(account, Some(&directory.guid), directories, depth + 1, rows);
    }
    let is_here = |of: &&Covered| {
        let known = of.subaccount.parent.as_deref().filter(|guid| directories.contains_key(guid));
        known == parent
    };
    let mut here: Vec<&Covered> = account.subaccounts.iter().filter(is_here).collect();
    here.sort_by_key(|of| (&of.subaccount.name, &of.subaccount.guid));
    for of in here {
        let subaccount = &of.subaccount;
        let production = subaccount.production.map_or("", |is| if is { "yes" } else { "no" });
        rows.push(vec![
            indented(&subaccount.name),
            subaccount.region.clone(),
            subaccount.state.clone(),
            production.to_owned(),
            tenant(of),
        ]);
    }
}

fn tenant(of: &Covered) -> String {
    let names = of.tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match of.cover.as_str() {
        "covered" => show::clip(&names, 60),
        "uncovered" => "nobody".to_owned(),
        "unknown" => show::clip(&format!("unknown, perhaps {names}"), 60),
        "ignored" => "nobody, as configured".to_owned(),
        _ => "none needed".to_owned(),
    }
}

fn keys(keys: &[&Stray], now: Timestamp) -> String {
    let row = |key: &&Stray| {
        let made = key.created_at.map_or_else(|| "unknown".to_owned(), show::time);
        let age = key.created_at.map_or_else(String::new, |at| days(at, now));
        vec![key.credential.to_string(), key.role.to_string(), show::clip(&key.name, 40), made, age]
    };
    show::table(&["CREDENTIAL", "ROLE", "KEY", "MADE", "AGE"], &keys.iter().map(row).collect::<Vec<_>>())
}

fn days(from: Timestamp, to: Timestamp) -> String {
    spelling::many(between(from, to).as_secs() / 86_400, "day", "days")
}

/// The accounts in few words, for the status: a line each.
pub(super) fn in_brief(all: &[CisStatus], now: Timestamp) -> String {
    let lines: Vec<(&str, String)> = all.iter().map(|cis| ("discovery", line(cis, now))).collect();
    if lines.is_empty() { String::new() } else { show::facts(&lines) }
}

fn line(cis: &CisStatus, now: Timestamp) -> String {
    let mut parts = Vec::new();
    match (cis.subaccounts, cis.last_success_at) {
        (Some(all), Some(at)) => {
            let uncovered = cis.uncovered.unwrap_or_default();
            let names = if uncovered > 0 { " (`rekeyd discover` names them)" } else { "" };
            let many = spelling::many(all, "subaccount", "subaccounts");
            parts.push(format!("{many}, {uncovered} with no tenant here{names}, seen {}", show::time(at)));
            if let Some(unknown) = cis.unknown.filter(|unknown| *unknown > 0) {
                parts.push(format!("of {unknown} that is not known"));
            }
        }
        (_, Some(at)) => parts.push(format!("last seen {}", show::time(at))),
        (_, None) => parts.push("not seen yet".to_owned()),
    }
    parts.extend(
        cis.failure.as_ref().map(|failure| format!("it cannot be seen now: {}", show::clip(failure, 80))),
    );
    if let Some(due) = cis.key_due_at {
        let day = due.format("%Y-%m-%d");
        parts.push(if now >= due {
            format!("its own key is due since {day} and is replaced by hand (docs/how-to/find-what-is-not-covered.md)")
        } else {
            let guessed = if cis.key_age_is_known { "" } else { ", counted from when it was first seen" };
            format!("its own key is due {day}{guessed}")
        });
    }
    format!("cis `{}`: {}", cis.name, parts.join("; "))
}

#[cfg(test)]
#[path = "discover_tests.rs"]
mod tests;
