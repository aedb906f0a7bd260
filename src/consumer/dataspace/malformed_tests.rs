//! What the data space and Cloud Integration answer, mutated.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{content, status_words};
use crate::domain::Timestamp;
use crate::domain::observation::Verdict;
use crate::http::malform::batter;

#[test]
fn statuses_that_are_no_success() {
    let samples = [
        r#"{"status":"DEPLOYING","updatedAt":"2026-01-02T03:04:05.678Z"}"#,
        r#"{"provisioningStatus":"ERROR","message":"deployment of the integration content failed"}"#,
        r#"{"steps":[{"name":"security material","status":"PENDING"},{"name":"flows","status":"FAIL"}]}"#,
        r#"{"edc:state":"REGISTERED","edc:updatedAt":1767323045000}"#,
        r#""In Progress""#,
        "PENDING",
        r#"[{"message":"not found","type":"Error","path":null,"invalidValue":null}]"#,
    ];
    let now = Some(Timestamp::UNIX_EPOCH);
    batter("status", &samples, |body| {
        let status = status_words::read(body, &BTreeMap::new(), now);
        // No word of success is in the samples or among the odd values: none may be read into them.
        assert_ne!(status.verdict, Verdict::Success, "{}", String::from_utf8_lossy(body));
    });
}

#[test]
fn artifacts() {
    let samples = [
        r#"{"d":{"results":[{"Id":"com.sap.integration.dsi.dataplane","Version":"1.0.0","Type":"INTEGRATION_FLOW","DeployedOn":"/Date(1767323045000)/","Status":"STARTED"},{"Id":"Other","Status":"ERROR"}],"__next":"https://a.example/x?page=2"}}"#,
        r#"{"value":[{"Id":"com.sap.integration.dsi.callback","DeployedOn":"2026-01-02T03:04:05","Status":"STARTED"}],"@odata.nextLink":null}"#,
    ];
    batter("content", &samples, |body| {
        if let Ok(value) = serde_json::from_slice::<Value>(body)
            && let Some(page) = content::page(&value)
        {
            let found = content::content(&page.pieces);
            assert!(!found.started || !page.pieces.is_empty(), "nothing has not started");
        }
    });
}
