//! What the consumer's status means, read tolerantly: the shape of the answer is not documented (facts: DSI,
//! section 8). Words that mean nothing to us are never success.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Map, Value};

use crate::domain::observation::{Status, Verdict};
use crate::domain::{Timestamp, between};
use crate::http::redact;

/// Further words an operator has met, normalised, and what they mean.
pub type Words = BTreeMap<String, Verdict>;

const SUCCESS: [&str; 16] = [
    "SUCCESS",
    "SUCCESSFUL",
    "SUCCEEDED",
    "COMPLETED",
    "COMPLETE",
    "DEPLOYED",
    "PROVISIONED",
    "ACTIVE",
    "READY",
    "AVAILABLE",
    "FINISHED",
    "DONE",
    "OK",
    "ONBOARDED",
    "SUCCESSFULLYDEPLOYED",
    "SUCCESSFULLYPROVISIONED",
];

const IN_PROGRESS: [&str; 16] = [
    "PENDING",
    "PROCESSING",
    "INPROGRESS",
    "RUNNING",
    "DEPLOYING",
    "PROVISIONING",
    "STARTING",
    "STOPPING",
    "QUEUED",
    "SCHEDULED",
    "INITIAL",
    "REQUESTED",
    "ACCEPTED",
    "ONBOARDING",
    "REGISTERED",
    "STARTED",
];

const ERROR: [&str; 11] = [
    "ERROR",
    "FAILED",
    "FAIL",
    "FAILURE",
    "FAILONLICENSEERROR",
    "UNAVAILABLE",
    "ABORTED",
    "CANCELLED",
    "CANCELED",
    "REJECTED",
    "TIMEOUT",
];

const ABSENT: [&str; 5] = ["NOTFOUND", "NOTPROVISIONED", "NOTDEPLOYED", "NOTSTARTED", "UNREGISTERED"];

const STATUS_FIELDS: [&str; 7] = [
    "STATUS",
    "STATE",
    "PROVISIONINGSTATUS",
    "DEPLOYMENTSTATUS",
    "DATAPLANESTATUS",
    "OVERALLSTATUS",
    "RESULT",
];

const DETAIL_FIELDS: [&str; 6] = ["MESSAGE", "DETAIL", "DESCRIPTION", "ERROR", "ERRORDETAIL", "ERRORS"];

const TIME_FIELDS: [&str; 12] = [
    "UPDATEDAT",
    "LASTUPDATED",
    "LASTUPDATEDAT",
    "LASTMODIFIED",
    "LASTMODIFIEDAT",
    "MODIFIEDAT",
    "CHANGEDAT",
    "UPDATEDON",
    "MODIFIEDON",
    "COMPLETEDAT",
    "FINISHEDAT",
    "TIMESTAMP",
];

/// The longest word of the consumer that is kept.
const WORD_LIMIT: usize = 40;

/// How deep the status may hide.
const DEPTH: usize = 4;

/// A time this close to the answer's own is taken for the time of the answer, which is new at every look and would
/// make an old success look fresh.
const ANSWER_TIME: std::time::Duration = std::time::Duration::from_secs(5);

/// Reads the body of an answer of 2xx that was given at `answered_at` on the consumer's clock.
pub fn read(body: &[u8], words: &Words, answered_at: Option<Timestamp>) -> Status {
    if body.iter().all(u8::is_ascii_whitespace) {
        return status(Verdict::NotProvisioned, "no content");
    }
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return read_text(body, words);
    };
    let found = verdict(&value, words, DEPTH).unwrap_or((Verdict::Unknown, "no status in it".to_owned()));
    let mut status = status(found.0, &found.1);
    status.at = times(&value, DEPTH).into_iter().filter(|at| is_of_the_state(*at, answered_at)).max();
    status.detail = detail(&value);
    status
}

fn read_text(body: &[u8], words: &Words) -> Status {
    let text = String::from_utf8_lossy(&body[..body.len().min(4096)]);
    let text = text.trim();
    if text.starts_with('<') {
        return status(Verdict::Unknown, "HTML");
    }
    status(of_word(text, words, false), text)
}

fn status(verdict: Verdict, word: &str) -> Status {
    Status { verdict, word: redact::shorten(&redact::mask(word), WORD_LIMIT), at: None, detail: None }
}

/// Without an answer's time nothing can be told from it.
fn is_of_the_state(at: Timestamp, answered_at: Option<Timestamp>) -> bool {
    answered_at.is_some_and(|answered_at| at < answered_at && between(at, answered_at) > ANSWER_TIME)
}

/// Upper case, only letters and digits.
pub fn normalise(word: &str) -> String {
    word.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

/// Letters and digits, and what people write between or after them: what is left of noise or of a broken document
/// may spell a word once the rest is taken out of it.
fn is_plain(word: &str) -> bool {
    word.chars().all(|letter| letter.is_alphanumeric() || " _-.!".contains(letter))
}

/// What one word means; `STARTED` is the end only for one artifact among several.
fn of_word(word: &str, words: &Words, of_artifact: bool) -> Verdict {
    let is_plain = is_plain(word.trim());
    let word = normalise(word);
    if let Some(verdict) = words.get(&word) {
        return *verdict;
    }
    if !is_plain {
        return Verdict::Unknown;
    }
    let among = |list: &[&str]| list.contains(&word.as_str());
    match () {
        () if of_artifact && word == "STARTED" => Verdict::Success,
        () if among(&SUCCESS) => Verdict::Success,
        () if among(&IN_PROGRESS) => Verdict::InProgress,
        () if among(&ERROR) => Verdict::Error,
        () if among(&ABSENT) => Verdict::NotProvisioned,
        () => Verdict::Unknown,
    }
}

/// The verdict on a document, and the word it rests on; `None` where no status is in it.
fn verdict(value: &Value, words: &Words, depth: usize) -> Option<(Verdict, String)> {
    match value {
        Value::String(word) => Some((of_word(word, words, false), word.clone())),
        Value::Array(entries) => Some(of_list(entries, words, depth)),
        Value::Object(fields) if depth > 0 => of_object(fields, words, depth - 1),
        _ => None,
    }
}

/// An object's own word, put right by the artifacts it lists: a whole is no better than its parts.
fn of_object(fields: &Map<String, Value>, words: &Words, depth: usize) -> Option<(Verdict, String)> {
    let own = STATUS_FIELDS.iter().find_map(|name| match field(fields, name)? {
        Value::String(word) => Some((of_word(word, words, false), word.clone())),
        nested @ Value::Object(_) => verdict(nested, words, depth),
        _ => None,
    });
    let parts = fields.iter().filter(|(name, _)| !DETAIL_FIELDS.contains(&field_name(name).as_str()));
    let lists = parts.clone().filter_map(|(_, value)| match value {
        Value::Array(entries) if has_status(entries) => Some(of_list(entries, words, depth)),
        _ => None,
    });
    let worst_list = lists.min_by_key(|(verdict, _)| goodness(*verdict));
    match (own, worst_list) {
        (Some(own), Some(list)) if own.0 == Verdict::Success && list.0 != Verdict::Success => Some(list),
        (Some(own), _) => Some(own),
        (None, Some(list)) => Some(list),
        (None, None) => {
            parts.filter(|(_, value)| value.is_object()).find_map(|(_, value)| verdict(value, words, depth))
        }
    }
}

fn has_status(entries: &[Value]) -> bool {
    entries.iter().any(|entry| {
        entry.as_object().is_some_and(|fields| STATUS_FIELDS.iter().any(|name| field(fields, name).is_some()))
    })
}

fn goodness(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Error => 0,
        Verdict::Unknown => 1,
        Verdict::NotProvisioned => 2,
        Verdict::InProgress => 3,
        Verdict::Success => 4,
    }
}

/// A list of artifacts or steps: one failure is a failure, an unknown word leaves it open, and success takes all.
fn of_list(entries: &[Value], words: &Words, depth: usize) -> (Verdict, String) {
    let of_entry = |entry: &Value| match entry {
        Value::String(word) => (of_word(word, words, true), word.clone()),
        Value::Object(fields) => {
            let word = STATUS_FIELDS.iter().find_map(|name| field(fields, name)?.as_str());
            word.map(|word| (of_word(word, words, true), word.to_owned()))
                .or_else(|| verdict(entry, words, depth.saturating_sub(1)))
                .unwrap_or((Verdict::Unknown, "no status in it".to_owned()))
        }
        _ => (Verdict::Unknown, "no status in it".to_owned()),
    };
    let read: Vec<_> = entries.iter().map(of_entry).collect();
    let Some(worst) = read.iter().min_by_key(|(verdict, _)| goodness(*verdict)) else {
        return (Verdict::NotProvisioned, "an empty list".to_owned());
    };
    let all_absent = read.iter().all(|(verdict, _)| *verdict == Verdict::NotProvisioned);
    match worst.0 {
        Verdict::NotProvisioned if !all_absent => (Verdict::InProgress, worst.1.clone()),
        _ => worst.clone(),
    }
}

/// The field of this normalised name, with any prefix (`edc:`, an IRI) left aside.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.iter().find(|(found, _)| field_name(found) == name).map(|(_, value)| value)
}

fn field_name(name: &str) -> String {
    normalise(name.rsplit([':', '/', '#']).next().unwrap_or(name))
}

fn detail(value: &Value) -> Option<String> {
    let Value::Object(fields) = value else {
        return None;
    };
    let found = DETAIL_FIELDS.iter().find_map(|name| field(fields, name).filter(|value| !value.is_null()))?;
    let text = match found {
        Value::String(text) if text.trim().is_empty() => return None,
        Value::String(text) => redact::mask(text),
        other => redact::redact(other.to_string().as_bytes()),
    };
    Some(redact::shorten(&text, redact::LIMIT))
}

/// Every time of change in the document.
fn times(value: &Value, depth: usize) -> Vec<Timestamp> {
    match value {
        Value::Object(fields) if depth > 0 => fields
            .iter()
            .flat_map(|(name, value)| {
                if TIME_FIELDS.contains(&field_name(name).as_str()) {
                    return instant(value).into_iter().collect();
                }
                times(value, depth - 1)
            })
            .collect(),
        Value::Array(entries) if depth > 0 => {
            entries.iter().flat_map(|entry| times(entry, depth - 1)).collect()
        }
        _ => Vec::new(),
    }
}

/// An instant as SAP's services write them: ISO 8601 with or without a zone, `/Date(ms)/`, epoch
/// milliseconds or seconds.
pub(super) fn instant(value: &Value) -> Option<Timestamp> {
    /// Seconds stay below this until the year 5138, milliseconds are above it since 1973.
    const MILLISECONDS_FROM: i64 = 100_000_000_000;
    match value {
        Value::Number(number) => match number.as_i64()? {
            milliseconds if milliseconds >= MILLISECONDS_FROM => {
                DateTime::from_timestamp_millis(milliseconds)
            }
            seconds if seconds > 0 => DateTime::from_timestamp(seconds, 0),
            _ => None,
        },
        Value::String(text) => {
            if let Some(date) = text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/")) {
                // An offset may follow; it does not move the instant.
                let digits = date.split(['+', '-']).next()?;
                return DateTime::from_timestamp_millis(digits.parse().ok()?);
            }
            DateTime::parse_from_rfc3339(text)
                .map(|at| at.with_timezone(&Utc))
                .or_else(|_| {
                    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map(|at| at.and_utc())
                })
                .ok()
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
