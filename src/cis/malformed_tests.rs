//! What CIS answers, mutated.

use serde_json::Value;

use super::read;
use crate::http::malform::batter;

#[test]
fn accounts_subaccounts_and_environments() {
    let samples = [
        r#"{"guid":"aa","displayName":"acme","children":[{"guid":"d1","displayName":"prod","parentGUID":"aa","subaccounts":[{"guid":"11","technicalName":"11","displayName":"acme-dev","globalAccountGUID":"aa","parentGUID":"d1","region":"eu10","subdomain":"acme-dev-x1","usedForProduction":"USED_FOR_PRODUCTION","state":"OK","labels":{"owner":["a"]},"createdDate":1716884651000}],"children":[{"guid":"d2","displayName":"inner"}]}],"subaccounts":[]}"#,
        r#"{"value":[{"guid":"11","displayName":"acme-dev","region":"eu10","subdomain":"x","state":"OK","createdDate":"May 28, 2026, 8:24:11 AM"},{"guid":"12","state":"DELETING","createdDate":"2026-05-28T08:24:11Z"}]}"#,
        r#"{"environmentInstances":[{"id":"e","environmentType":"cloudfoundry","platformId":"o","landscapeLabel":"cf-eu12","state":"OK","subaccountGUID":"11","labels":"{\"API Endpoint\":\"https://api.cf.eu12.hana.ondemand.com\",\"Org Name\":\"acme-dev\",\"Org Id\":\"o\"}"}]}"#,
        r#"{"error":{"code":11000,"message":"no","target":"/accounts","details":[{"code":11001,"message":"NotARealSecret"}]},"correlationID":"c"}"#,
        r#"{"code":11006,"message":"too many","correlationID":"c"}"#,
    ];
    batter("cis", &samples, |body| {
        let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
        let listed = read::subaccounts(&value).unwrap_or_default();
        assert!(listed.iter().all(|of| !of.guid.is_empty() && !of.name.is_empty()));
        if let Ok(tree) = read::tree(&value, listed) {
            let guids: std::collections::BTreeSet<_> = tree.subaccounts.iter().map(|of| &of.guid).collect();
            assert_eq!(guids.len(), tree.subaccounts.len(), "each is there once");
            assert!(tree.subaccounts.iter().all(|of| !of.name.contains(char::is_control)));
        }
        for found in read::environments(&value).unwrap_or_default() {
            assert!(!found.api.is_empty() && !found.org.is_empty() && !found.subaccount.is_empty());
        }
        let _ = read::said(&value);
    });
}
