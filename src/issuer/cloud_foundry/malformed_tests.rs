//! What Cloud Foundry answers, mutated.

use serde_json::Value;

use super::binding;
use crate::http::malform::batter;
use crate::issuer::binding::{Job, is_guid};

#[test]
fn keys_and_jobs() {
    let samples = [
        r#"{"guid":"6f1c2f3e-1111-4222-a333-444455556666","name":"rekeyd-ciapi-g1-abc","type":"key","created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:05Z","last_operation":{"type":"create","state":"succeeded","description":null,"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:05Z"},"metadata":{"labels":{},"annotations":{}},"relationships":{"service_instance":{"data":{"guid":"a90e"}}},"links":{"self":{"href":"https://a.example/v3/x"}}}"#,
        r#"{"guid":"g","name":null,"type":"app","relationships":{"service_instance":{"data":{"guid":"a90e"}}}}"#,
        r#"{"guid":"j","created_at":"2026-01-02T03:04:05Z","operation":"service_keys.create","state":"COMPLETE","errors":[],"warnings":[],"links":{"self":{"href":"https://a.example/v3/jobs/j"},"service_credential_binding":{"href":"https://a.example/v3/service_credential_bindings/g"}}}"#,
        r#"{"guid":"j","state":"FAILED","errors":[{"code":10009,"title":"CF-UnableToPerform","detail":"bind could not be completed"}]}"#,
    ];
    batter("cloud-foundry", &samples, |body| {
        let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
        if let Ok(Some(found)) = binding::binding(&value) {
            // Both become part of an address or of a decision.
            assert!(is_guid(&found.seen.key.id.0) && !found.seen.key.name.0.is_empty());
        }
        if let Job::Complete(Some(guid)) = binding::job(&value) {
            assert!(is_guid(&guid));
            assert_eq!(value["state"], "COMPLETE", "nothing else is the end");
        }
    });
}
