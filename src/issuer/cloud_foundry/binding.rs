//! Service credential bindings and jobs as Cloud Foundry describes them, read tolerantly (facts: Cloud Foundry,
//! sections 3 and 6).

use serde_json::{Value, json};

use crate::domain::key::{Key, Sighting};
use crate::domain::names::{KeyId, KeyName};
use crate::http::redact;
use crate::issuer::binding::{Binding, Job, is_guid, state, timestamp};

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
