//! Service credential bindings and jobs as Cloud Foundry describes them, read tolerantly (facts: Cloud Foundry,
//! sections 3 and 6).

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::domain::Timestamp;
use crate::domain::key::{Key, KeyState, Sighting};
use crate::domain::names::{KeyId, KeyName};
use crate::http::redact;

/// One service key in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The service instance it belongs to.
    pub instance: String,
    /// The key.
    pub seen: Sighting,
}

/// Reads one entry of a list. `Ok(None)` is a binding of an application; an error is an entry that a key may hide in.
pub(super) fn binding(value: &Value) -> Result<Option<Binding>, &'static str> {
    if value.get("type").and_then(Value::as_str) == Some("app") {
        return Ok(None);
    }
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let guid = text("/guid").filter(|guid| is_guid(guid)).ok_or("a key without a usable `guid`")?;
    let name = text("/name").filter(|name| !name.is_empty()).ok_or("a key without a `name`")?;
    let instance = text("/relationships/service_instance/data/guid").ok_or("a key without an instance")?;
    let state = state(text("/last_operation/type"), text("/last_operation/state"));
    let created_at = text("/created_at").and_then(timestamp);
    let key =
        Key { id: KeyId(guid.to_owned()), name: KeyName(name.to_owned()), created_at, expires_at: None };
    Ok(Some(Binding { instance: instance.to_owned(), seen: Sighting { key, state } }))
}

/// Whether an id may become a part of a path.
pub(super) fn is_guid(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// How far along a key is. Keys of old have no last operation: they are ready. A deletion that failed leaves the key.
fn state(operation: Option<&str>, state: Option<&str>) -> KeyState {
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

/// What a job's description says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    /// It is not at its end.
    Running,
    /// It is done; the key it made, where it says so.
    Complete(Option<String>),
    /// It came to nothing, for this reason.
    Failed(String),
}

/// Reads a job. A state nobody knows is not the end.
pub(super) fn job(value: &Value) -> Job {
    match value.get("state").and_then(Value::as_str) {
        Some("COMPLETE") => {
            let link = value.pointer("/links/service_credential_binding/href").and_then(Value::as_str);
            let guid = link.and_then(|link| link.trim_end_matches('/').rsplit('/').next());
            Job::Complete(guid.filter(|guid| is_guid(guid)).map(str::to_owned))
        }
        // A broker's words may hold what it was sent.
        Some("FAILED") => {
            let errors = value.get("errors").cloned().unwrap_or_default();
            Job::Failed(redact::redact(json!({ "errors": errors }).to_string().as_bytes()))
        }
        _ => Job::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn an_entry_that_hides_a_key_is_an_error() {
        let whole = json!({
            "guid": "g1", "name": "k", "type": "key", "created_at": "2026-01-02T03:04:05Z", "new": [1],
            "relationships": { "service_instance": { "data": { "guid": "i1" } } }
        });
        assert_eq!(binding(&whole).unwrap().unwrap().instance, "i1");
        for missing in ["guid", "name", "relationships"] {
            let mut part = whole.clone();
            part.as_object_mut().unwrap().remove(missing);
            assert!(binding(&part).is_err(), "{missing}");
        }
        let mut evil = whole;
        evil["guid"] = json!("../organizations");
        assert!(binding(&evil).is_err());
        assert_eq!(binding(&json!({ "type": "app", "name": null })), Ok(None));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let word =
            prop_oneof![Just("guid"), Just("name"), Just("type"), Just("state"), Just("links"), Just("data")];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(word.clone().prop_map(str::to_owned), inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_panics(value in any_json(), text in "\\PC*") {
            let _ = binding(&value);
            job(&value);
            timestamp(&text);
        }
    }
}
