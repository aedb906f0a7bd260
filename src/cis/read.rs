//! What CIS answers, read tolerantly (facts: CIS, sections 3 and 4): dates in three forms, labels that are JSON inside JSON,
//! members that are missing although they are required. Unknown members and words are passed over.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;

use crate::domain::Timestamp;
use crate::domain::coverage::{Directory, Environment, Subaccount, Tree};

/// More subaccounts or directories than this are no account of anybody's.
const MOST: usize = 100_000;

/// The longest name that is kept.
const LONGEST: usize = 200;

/// Reads the list of subaccounts. An error is an entry that a subaccount may hide in.
pub fn subaccounts(body: &Value) -> Result<Vec<Subaccount>, &'static str> {
    let entries = body.get("value").and_then(Value::as_array).ok_or("there is no `value` in the answer")?;
    if entries.len() > MOST {
        return Err("there are more subaccounts than any account has");
    }
    entries.iter().map(subaccount).collect()
}

/// Reads the account with its directories, and puts the subaccounts of the list and of the tree into it, each once: what was
/// made between the two answers is in one of them only. The list counts where both have it.
pub fn tree(body: &Value, listed: Vec<Subaccount>) -> Result<Tree, &'static str> {
    let mut tree = Tree {
        guid: text(body, "guid"),
        name: text(body, "displayName"),
        directories: Vec::new(),
        subaccounts: Vec::new(),
    };
    let mut all: BTreeMap<String, Subaccount> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    // Without recursion: how deep it is, the other side decides.
    let mut open: Vec<(&Value, Option<String>)> = vec![(body, None)];
    while let Some((node, parent)) = open.pop() {
        for subaccount in members(node, "subaccounts")? {
            let mut read = self::subaccount(subaccount)?;
            read.parent = read.parent.or_else(|| parent.clone());
            all.insert(read.guid.clone(), read);
        }
        for child in members(node, "children")? {
            let guid = guid(child).ok_or("a directory without a `guid`")?;
            if seen.insert(guid.clone()) {
                let name = text(child, "displayName");
                tree.directories.push(Directory { guid: guid.clone(), name, parent: parent.clone() });
                open.push((child, Some(guid)));
            }
        }
        if all.len() > MOST || seen.len() > MOST {
            return Err("there are more subaccounts than any account has");
        }
    }
    all.extend(listed.into_iter().map(|subaccount| (subaccount.guid.clone(), subaccount)));
    tree.subaccounts = all.into_values().collect();
    Ok(tree)
}

/// Reads the environments of a subaccount; only Cloud Foundry is kept, and one that does not say where it is is none.
pub fn environments(body: &Value) -> Result<Vec<Environment>, &'static str> {
    let missing = "there are no `environmentInstances` in the answer";
    let entries = body.get("environmentInstances").and_then(Value::as_array).ok_or(missing)?;
    Ok(entries.iter().take(MOST).filter_map(environment).collect())
}

/// The code of an error, in the documented envelope or the flat one of the specification.
pub fn said(body: &Value) -> Option<u64> {
    let error = body.get("error").filter(|error| error.is_object()).unwrap_or(body);
    error.get("code")?.as_u64().or_else(|| error.get("code")?.as_str()?.parse().ok())
}

/// A date in any of its forms: milliseconds since 1970, ISO 8601, or as the command line's backend writes it. One that
/// cannot be read is unknown.
pub fn date(value: &Value) -> Option<Timestamp> {
    let text = match value {
        Value::Number(number) => return DateTime::from_timestamp_millis(number.as_i64()?),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    if let Ok(milliseconds) = text.parse() {
        return DateTime::from_timestamp_millis(milliseconds);
    }
    // Newer Java puts a narrow space in front of AM and PM.
    let plain = text.replace(['\u{202f}', '\u{a0}'], " ");
    let written = || NaiveDateTime::parse_from_str(&plain, "%b %d, %Y, %I:%M:%S %p").ok();
    let iso = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
        .map(|at| at.with_timezone(&Utc));
    iso.ok().or_else(|| Some(written()?.and_utc()))
}

/// What decides where a subaccount belongs may be missing, but not be of another type: what it says would be lost.
fn subaccount(value: &Value) -> Result<Subaccount, &'static str> {
    let decisive = |name: &str| match value.get(name) {
        None | Some(Value::Null | Value::String(_)) => Ok(text(value, name)),
        Some(_) => Err("a subaccount with a member that is no text"),
    };
    let guid = guid(value).ok_or("a subaccount without a `guid`")?;
    let parent = decisive("parentGUID")?;
    // Who is directly in the account has the account's guid there.
    let is_in_account = parent.is_empty() || parent == text(value, "globalAccountGUID");
    Ok(Subaccount {
        name: Some(text(value, "displayName"))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| guid.clone()),
        guid,
        parent: (!is_in_account).then_some(parent),
        region: decisive("region")?,
        subdomain: decisive("subdomain")?,
        zone: decisive("technicalName")?,
        state: decisive("state")?,
        production: match text(value, "usedForProduction").as_str() {
            "USED_FOR_PRODUCTION" => Some(true),
            "NOT_USED_FOR_PRODUCTION" => Some(false),
            _ => None,
        },
        created_at: value.get("createdDate").and_then(date),
    })
}

fn environment(value: &Value) -> Option<Environment> {
    if text(value, "environmentType") != "cloudfoundry" {
        return None;
    }
    let subaccount = text(value, "subaccountGUID");
    let labels = inner(value.get("labels")?)?;
    let label = |name: &str| {
        let named =
            |key: &str| key.split_whitespace().collect::<Vec<_>>().join(" ").eq_ignore_ascii_case(name);
        let found = labels.as_object()?.iter().find(|(key, _)| named(key)).map(|(_, value)| plain(value));
        found.filter(|text| !text.is_empty())
    };
    // `API Endpoint:` with a colon is met as well (the command line of BTP).
    let api = label("API Endpoint").or_else(|| label("API Endpoint:"))?;
    let org = label("Org Name").or_else(|| label("Org Name:"))?;
    let api = api.trim_end_matches('/').to_owned();
    (!subaccount.is_empty()).then_some(Environment { subaccount, api, org })
}

/// A document that is a text with JSON in it, or the JSON itself.
fn inner(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) if text.len() <= 1 << 16 => serde_json::from_str(text).ok(),
        Value::Object(_) => Some(value.clone()),
        _ => None,
    }
}

/// The entries under `name`, where there are any; anything but a list may hide some.
fn members<'a>(value: &'a Value, name: &str) -> Result<&'a [Value], &'static str> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(entries)) => Ok(entries),
        Some(_) => Err("`children` or `subaccounts` is no list"),
    }
}

/// An id that may be shown and kept.
fn guid(value: &Value) -> Option<String> {
    let guid = value.get("guid")?.as_str()?;
    let is_id = (1..=128).contains(&guid.len())
        && guid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_id.then(|| guid.to_owned())
}

/// A text on one line, not too long; empty where there is none.
fn text(value: &Value, name: &str) -> String {
    value.get(name).map(plain).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default().trim();
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(LONGEST).collect()
}
