//! What Service Manager answers, mutated.

use serde_json::Value;

use super::binding;
use crate::http::malform::batter;
use crate::issuer::binding::{Job, is_guid};

#[test]
fn bindings_and_operations() {
    let samples = [
        r#"{"id":"6f1c2f3e-1111-4222-a333-444455556666","name":"rekeyd-ciapi-g1-abc","ready":true,"service_instance_id":"a90e","context":{"subaccount_id":"s","zone_id":"z","instance_name":"calm-api","region":"cf-eu10","subdomain":"acme-dev"},"credentials":{"clientid":"sb-x!b1|calm!b2","clientsecret":"NotARealSecret"},"created_at":"2026-01-02T03:04:05.678901Z","updated_at":"2026-01-02T03:04:05.678901Z","labels":{"subaccount_id":["s"]},"last_operation":{"type":"create","state":"succeeded"}}"#,
        r#"{"id":"b","name":"k","ready":false,"service_instance_id":"a90e","last_operation":{"type":"create","state":"in progress"}}"#,
        r#"{"id":"o","type":"create","state":"succeeded","resource_id":"b","resource_type":"/v1/service_bindings","created_at":"2026-01-02T03:04:05.678901Z"}"#,
        r#"{"id":"o","type":"create","state":"failed","resource_id":"b","description":"bind failed","errors":{"error":"BrokerError","description":"no","broker_error":{"StatusCode":500,"ErrorMessage":"NotARealSecret","Description":"NotARealSecret"}}}"#,
    ];
    batter("service-manager", &samples, |body| {
        let text = String::from_utf8_lossy(body);
        if let Some(link) = binding::next_link(&text) {
            assert!(text.contains(link));
        }
        let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
        if let Ok(found) = binding::binding(&value) {
            // Both become part of an address or of a decision.
            assert!(is_guid(&found.seen.key.id.0) && !found.seen.key.name.0.is_empty());
        }
        match binding::operation(&value) {
            Job::Complete(id) => {
                assert!(id.is_none_or(|id| is_guid(&id)));
                assert_eq!(value["state"], "succeeded", "nothing else is the end");
            }
            Job::Failed(_) => assert_eq!(value["state"], "failed"),
            Job::Running => {}
        }
    });
}
