//! Service bindings and operations as Service Manager describes them, read tolerantly (facts: Service Manager,
//! sections 2 and 3). Lists and single bindings carry credentials: nothing here repeats what it read.

use serde_json::{Value, json};

use crate::domain::key::{Key, KeyState, Sighting};
use crate::domain::names::{KeyId, KeyName};
use crate::http::redact;
use crate::issuer::binding::{Binding, Job, is_guid, state, timestamp};

/// Reads one entry of a list, or a binding by itself. An error is an entry that a key may hide in.
pub(super) fn binding(value: &Value) -> Result<Binding, &'static str> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let id = text("/id").filter(|id| is_guid(id)).ok_or("a binding without a usable `id`")?;
    let name = text("/name").filter(|name| !name.is_empty()).ok_or("a binding without a `name`")?;
    let instance = text("/service_instance_id").ok_or("a binding without an instance")?;
    let is_half = value.get("ready").and_then(Value::as_bool) == Some(false);
    let state = how_far(text("/last_operation/type"), text("/last_operation/state"), is_half);
    let created_at = text("/created_at").and_then(timestamp);
    let key = Key { id: KeyId(id.to_owned()), name: KeyName(name.to_owned()), created_at, expires_at: None };
    Ok(Binding { instance: instance.to_owned(), seen: Sighting { key, state } })
}

/// What is not ready although its last operation says so is still being made; where even its deletion failed, making it
/// has failed before.
fn how_far(operation: Option<&str>, result: Option<&str>, is_half: bool) -> KeyState {
    match state(operation, result) {
        KeyState::Ready if is_half && operation == Some("delete") => KeyState::Broken,
        KeyState::Ready if is_half => KeyState::Busy,
        state => state,
    }
}

/// Reads an operation. A state nobody knows is not the end.
pub(super) fn operation(value: &Value) -> Job {
    match value.get("state").and_then(Value::as_str) {
        Some("succeeded") => {
            let id = value.get("resource_id").and_then(Value::as_str);
            Job::Complete(id.filter(|id| is_guid(id)).map(str::to_owned))
        }
        // A broker's words may hold what it was sent.
        Some("failed") => {
            let part = |name| value.get(name).cloned().unwrap_or_default();
            let said = json!({ "description": part("description"), "errors": part("errors") });
            Job::Failed(redact::redact(said.to_string().as_bytes()))
        }
        _ => Job::Running,
    }
}

/// The condition of a list: `field eq 'value'`. A quote in a value is doubled.
pub(super) fn equals(field: &str, value: &str) -> String {
    format!("{field} eq '{}'", value.replace('\'', "''"))
}

/// The target of a `Link` header's `rel="next"`.
pub(super) fn next_link(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = |parameter: &str| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"') == "next"
        };
        parameters.split(';').any(is_next).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Value {
        json!({
            "id": "b1", "name": "k", "ready": true, "service_instance_id": "i1", "novelty": [1],
            "context": { "instance_name": "calm-api" }, "labels": { "subaccount_id": ["s"] },
            "credentials": { "clientid": "c", "clientsecret": "NotARealSecret" },
            "created_at": "2026-01-02T03:04:05.678901Z", "updated_at": "2026-01-02T03:04:05.678901Z",
            "last_operation": { "type": "create", "state": "succeeded" },
        })
    }

    #[test]
    fn a_binding_is_read_and_its_secret_is_not() {
        let read = binding(&whole()).unwrap();
        assert_eq!((read.instance.as_str(), read.seen.state), ("i1", KeyState::Ready));
        assert_eq!(read.seen.key.created_at, timestamp("2026-01-02T03:04:05.678901Z"));
        assert!(!format!("{read:?}").contains("NotARealSecret"));
        let mut undated = whole();
        undated["created_at"] = json!("yesterday");
        assert_eq!(binding(&undated).unwrap().seen.key.created_at, None, "an unknown age is unknown");
    }

    #[test]
    fn an_entry_that_hides_a_key_is_an_error() {
        for missing in ["id", "name", "service_instance_id"] {
            let mut part = whole();
            part.as_object_mut().unwrap().remove(missing);
            assert!(binding(&part).is_err(), "{missing}");
        }
        for evil in [json!("../service_instances"), json!(""), json!("."), json!(7)] {
            let mut part = whole();
            part["id"] = evil;
            assert!(binding(&part).is_err());
        }
    }

    #[test]
    fn what_is_not_ready_is_not_ready() {
        let check = |ready: Value, operation: Value, expected| {
            let mut value = whole();
            value["ready"] = ready;
            value["last_operation"] = operation;
            assert_eq!(binding(&value).unwrap().seen.state, expected, "{value}");
        };
        let of = |kind: &str, state: &str| json!({ "type": kind, "state": state });
        check(json!(true), Value::Null, KeyState::Ready);
        check(Value::Null, Value::Null, KeyState::Ready);
        check(json!(false), Value::Null, KeyState::Busy);
        check(json!(false), of("create", "in progress"), KeyState::Busy);
        check(json!(false), of("create", "pending"), KeyState::Busy);
        check(json!(false), of("create", "failed"), KeyState::Broken);
        check(json!(false), of("delete", "failed"), KeyState::Broken);
        check(json!(true), of("delete", "failed"), KeyState::Ready);
        check(json!(true), of("delete", "in progress"), KeyState::Deleting);
        check(json!(true), of("update", "in progress"), KeyState::Ready);
        check(json!(false), of("create", "succeeded"), KeyState::Busy);
    }

    #[test]
    fn operations_end_or_go_on() {
        let check = |value: Value, expected| assert_eq!(operation(&value), expected);
        check(json!({ "state": "succeeded", "resource_id": "b1" }), Job::Complete(Some("b1".to_owned())));
        check(json!({ "state": "succeeded", "resource_id": "../b1" }), Job::Complete(None));
        check(json!({ "state": "succeeded" }), Job::Complete(None));
        for running in
            [json!("pending"), json!("in progress"), json!("newly invented"), json!(7), Value::Null]
        {
            check(json!({ "state": running }), Job::Running);
        }
        let failed = operation(&json!({
            "state": "failed", "description": "bind failed",
            "errors": { "error": "BrokerError", "description": "it said no",
                "broker_error": { "StatusCode": 500, "ErrorMessage": "NotARealSecret", "Description": "NotARealSecret" } },
        }));
        let Job::Failed(why) = failed else { panic!("{failed:?}") };
        assert!(why.contains("bind failed") && why.contains("it said no"), "{why}");
        assert!(!why.contains("NotARealSecret"), "{why}");
    }

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(equals("name", "it's 'so'"), "name eq 'it''s ''so'''");
    }

    #[test]
    fn the_next_page_is_found_in_a_link() {
        let check = |header, expected| assert_eq!(next_link(header), expected, "{header}");
        check("<https://a/v1?token=x>; rel=\"next\"", Some("https://a/v1?token=x"));
        check("<https://a/1>; rel=\"prev\", </v1?token=y>; title=\"t\"; rel=next", Some("/v1?token=y"));
        for none in
            ["", "next", "<https://a>", "<https://a>; rel=\"last\"", "<https://a; rel=next", "<a>; rel"]
        {
            check(none, None);
        }
    }
}
