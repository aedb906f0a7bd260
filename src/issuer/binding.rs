//! What the issuers of service bindings have in common: how a binding and the work on it are described, what a look
//! for a name says about a create, and how something under way is seen through to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::failure::{Class, Failure};
use crate::domain::key::{Key, KeyState, Sighting, Sightings};
use crate::domain::names::{KeyName, Role};
use crate::domain::{Timestamp, between};
use crate::http::Http;
use crate::http::address::Address;
use crate::http::error::HttpError;
use crate::http::request::Reply;
use crate::secret::ServiceKey;

/// More pages than this are not a list any more.
const PAGES: usize = 200;

/// One service key in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The service instance it belongs to.
    pub instance: String,
    /// The key.
    pub seen: Sighting,
}

/// What the description of something under way says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    /// It is not at its end.
    Running,
    /// It is done; the key it made, where it says so.
    Complete(Option<String>),
    /// It came to nothing, for this reason.
    Failed(String),
}

/// How something under way ended.
pub(super) enum Ended {
    Complete(Option<String>),
    Failed(String),
    /// It is not known any more: it ended, nobody knows how.
    Lost,
}

/// How long something under way may take, and the pause between two looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the first look to the last.
    pub deadline: Duration,
    /// From one look to the next.
    pub poll: Duration,
}

/// Whether an id may become a part of a path.
pub(super) fn is_guid(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// How far along a key is. Keys of old have no last operation: they are ready. A deletion that failed leaves the key.
pub(super) fn state(operation: Option<&str>, state: Option<&str>) -> KeyState {
    match (operation, state) {
        (Some("create"), Some("succeeded")) | (Some("delete"), Some("failed")) => KeyState::Ready,
        (Some("create"), Some("failed")) => KeyState::Broken,
        (Some("create"), _) => KeyState::Busy,
        (Some("delete"), _) => KeyState::Deleting,
        _ => KeyState::Ready,
    }
}

/// A time with or without a fraction, with `Z` or an offset. One that cannot be read is unknown.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
        .ok()
        .map(|at| at.with_timezone(&Utc))
}

/// Follows something to its end with `look`, within its time.
pub(super) async fn see_through<L, F>(
    http: &Http,
    patience: Patience,
    whose: &str,
    look: L,
) -> Result<Ended, Failure>
where
    L: Fn() -> F + Send + Sync,
    F: Future<Output = Result<Job, HttpError>> + Send,
{
    let clock = http.clock();
    let started = clock.monotonic();
    let is_late = |wait| clock.monotonic() + wait >= started + patience.deadline;
    loop {
        let wait = match look().await {
            Ok(Job::Complete(guid)) => return Ok(Ended::Complete(guid)),
            Ok(Job::Failed(why)) => return Ok(Ended::Failed(why)),
            Ok(Job::Running) => patience.poll,
            Err(error) if error.class == Class::NotFound => return Ok(Ended::Lost),
            Err(error) if error.class.is_passing() => {
                let asked = error.not_before.map(|at| between(clock.now(), at));
                let wait = asked.unwrap_or_default().max(patience.poll);
                if is_late(wait) {
                    return Err(error.into());
                }
                wait
            }
            Err(error) => return Err(error.into()),
        };
        if is_late(wait) {
            let text = format!("`poll_job` at `{whose}`: not at its end in time");
            return Err(Failure::new(Class::Timeout, text));
        }
        clock.sleep(wait).await;
    }
}

/// The pages of one list, so that none is read twice and there is an end to them.
#[derive(Default)]
pub(super) struct Pages(BTreeSet<String>);

impl Pages {
    /// Turns to a page; false where the list does not end.
    pub(super) fn turn_to(&mut self, page: &Address) -> bool {
        self.0.len() < PAGES && self.0.insert(page.as_str().to_owned())
    }
}

/// The entries of a page, under `field`.
pub(super) fn entries(reply: &Reply, page: &mut Value, field: &str) -> Result<Vec<Value>, HttpError> {
    match page.get_mut(field).map(Value::take) {
        Some(Value::Array(entries)) => Ok(entries),
        _ => Err(reply.unreadable(&format!("there are no `{field}` in the answer"))),
    }
}

/// Refuses a list, read to its last page, that has fewer entries than `total`: something was deleted while its pages were
/// read, and what slid over their edge may be missing. An entry is told from others by its `id`.
pub(super) fn must_be_whole(
    reply: &Reply,
    found: &[Value],
    id: &str,
    total: Option<u64>,
) -> Result<(), HttpError> {
    let distinct: BTreeSet<_> = found.iter().filter_map(|value| value.get(id)?.as_str()).collect();
    if total.is_some_and(|total| (distinct.len() as u64) < total) {
        return Err(reply.unreadable("the list is shorter than it says"));
    }
    Ok(())
}

/// The keys of each role, in the order of their ids.
pub(super) fn by_role(instances: &BTreeMap<Role, String>, found: &[Binding]) -> Sightings {
    let of = |instance: &String| -> Vec<Sighting> {
        let mut seen: Vec<_> = found
            .iter()
            .filter(|binding| binding.instance == *instance)
            .map(|binding| binding.seen.clone())
            .collect();
        seen.sort_by(|left, right| left.key.id.cmp(&right.key.id));
        seen
    };
    instances.iter().map(|(role, instance)| (*role, of(instance))).collect()
}

/// The instances without their roles. Two roles on one could not be told apart.
pub(super) fn apart(instances: &BTreeMap<Role, String>) -> Result<BTreeSet<String>, Failure> {
    let guids: BTreeSet<String> = instances.values().cloned().collect();
    if guids.len() < instances.len() {
        let text = "two roles share one service instance: their keys cannot be told apart";
        return Err(Failure::new(Class::ClientError, text));
    }
    Ok(guids)
}

/// The one key of this name. None, several or an unfinished one leave open what the create did.
pub(super) fn only(found: &[Binding], name: &KeyName, context: &str) -> Result<Key, Failure> {
    let unclear = |class, what: &str| {
        Err(Failure::new(class, format!("creating `{name}`: {context}: {what}")).ambiguous())
    };
    match found {
        [] => unclear(Class::ServerError, "it is not listed"),
        [only] => match only.seen.state {
            KeyState::Ready => Ok(only.seen.key.clone()),
            KeyState::Busy => unclear(Class::Timeout, "it is still being made"),
            KeyState::Broken => unclear(Class::ServerError, "the issuer could not make it"),
            KeyState::Deleting => unclear(Class::Conflict, "it is being deleted"),
        },
        _ => unclear(Class::Conflict, "there are several of this name"),
    }
}

/// Whether a key that was read back is the one that was ordered, and ready.
pub(super) fn is_made(made: &Binding, instance: &str, name: &KeyName) -> bool {
    made.instance == instance && made.seen.key.name == *name && made.seen.state == KeyState::Ready
}

/// Work that failed was answered, not lost: it counts as an attempt (a quota does not pass by itself).
pub(super) fn answered(mut failure: Failure) -> Failure {
    if failure.class == Class::ServerError {
        failure.class = Class::ClientError;
    }
    failure
}

/// The point of no return: what stands behind the id of `key` must be what the journal believes.
pub(super) fn must_be_meant(seen: &Binding, instance: &str, key: &Key) -> Result<(), Failure> {
    let found = &seen.seen.key.name;
    if seen.instance == instance && *found == key.name {
        return Ok(());
    }
    let text = format!("`{}` is not deleted: its id leads to `{found}` or another instance", key.name);
    Err(Failure::new(Class::ClientError, text))
}

/// What a deletion that was refused means: that the key `is_gone`, that an operation is in its way, or what it says.
pub(super) fn refused_deletion(error: HttpError, is_gone: bool) -> Result<(), Failure> {
    if is_gone {
        return Ok(());
    }
    let is_busy = error.status == Some(422);
    let mut failure = unless_missing(error, is_gone);
    if is_busy {
        failure.class = Class::Conflict;
    }
    Err(failure)
}

/// After a deletion: gone, or not known to be. `look` is what a look for the key showed just now.
pub(super) fn must_be_gone(
    look: Result<Option<Binding>, Failure>,
    key: &Key,
    what: &str,
) -> Result<(), Failure> {
    if look.map_err(Failure::ambiguous)?.is_none() {
        return Ok(());
    }
    let text = format!("deleting `{}`: {what}, and the key is still there", key.name);
    Err(Failure::new(Class::ServerError, text).ambiguous())
}

/// Reads the key with its secret from an answer.
pub(super) fn service_key(reply: &Reply, role: Role, key: &Key) -> Result<ServiceKey, HttpError> {
    let text = std::str::from_utf8(&reply.body).map_err(|_| reply.unreadable("it is not UTF-8"))?;
    ServiceKey::parse(text).map_err(|why| {
        let why = crate::http::redact::mask(&why.to_string());
        reply.unreadable(&format!("the key `{}` of role `{role}` cannot be read: {why}", key.name))
    })
}

/// A failure in which a 404 of unknown origin, one that is not `gone`, is not mistaken for an answer.
pub(super) fn unless_missing(error: HttpError, is_gone: bool) -> Failure {
    let of_somebody = error.class == Class::NotFound && !is_gone;
    let mut failure = Failure::from(error);
    if of_somebody {
        failure.class = Class::ServerError;
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_operations_are_states() {
        let check = |operation, result, expected| assert_eq!(state(operation, result), expected);
        check(None, None, KeyState::Ready);
        check(Some("create"), Some("succeeded"), KeyState::Ready);
        check(Some("create"), Some("initial"), KeyState::Busy);
        check(Some("create"), Some("in progress"), KeyState::Busy);
        check(Some("create"), Some("newly invented"), KeyState::Busy);
        check(Some("create"), Some("failed"), KeyState::Broken);
        check(Some("delete"), Some("in progress"), KeyState::Deleting);
        check(Some("delete"), Some("newly invented"), KeyState::Deleting);
        check(Some("delete"), Some("failed"), KeyState::Ready);
        check(Some("update"), Some("in progress"), KeyState::Ready);
    }

    #[test]
    fn times_are_read_in_every_form() {
        let expected = timestamp("2026-01-02T03:04:05Z");
        assert!(expected.is_some());
        for text in ["2026-01-02T03:04:05+00:00", "2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05+0000"] {
            assert_eq!(timestamp(text), expected, "{text}");
        }
        assert_eq!(timestamp("2026-01-02T03:04:05.000000000Z"), expected);
        for text in ["", "yesterday", "2026-01-02", "2026-01-02T03:04:05"] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }
}
