//! What comes back from token services and routers, and keys as issuers give them, mutated.

use std::sync::Arc;
use std::time::Duration;

use super::malform::batter;
use super::request::Reply;
use super::{address::Address, redact, retry_after, token};
use crate::domain::Timestamp;
use crate::secret::ServiceKey;

fn reply(body: &[u8]) -> Reply {
    Reply {
        status: 200,
        location: None,
        link: None,
        date: None,
        body: body.to_vec(),
        retry_after: None,
        routed: true,
        what: "`token` at `a.example`".to_owned(),
        changes: false,
    }
}

#[test]
fn tokens_and_their_errors() {
    let samples = [
        r#"{"access_token":"eyJhbGciOiJSUzI1NiJ9.e30.c2ln","token_type":"bearer","expires_in":43199,"scope":"uaa.resource","jti":"1"}"#,
        r#"{"access_token":"eyJ","token_type":"bearer","refresh_token":"abc-r","expires_in":"1199","id_token":"x"}"#,
        r#"{"error":"unauthorized","error_description":"Bad credentials"}"#,
        r#"{"error":"invalid_grant"}"#,
    ];
    batter("token", &samples, |body| {
        let reply = reply(body);
        if let Ok(token) = token::read(&reply, Duration::ZERO, None) {
            // A token goes into a header: it is one word or none at all.
            let text = token.secret.expose();
            assert!(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        token::rejects_client(&reply);
    });
}

#[test]
fn service_keys() {
    let samples = [
        r#"{"credentials":{"oauth":{"clientid":"sb-1!b1|it!b2","clientsecret":"s$1=","url":"https://a.example","tokenurl":"https://b.example/oauth/token","createdate":"2026-01-02T03:04:05.678Z"}}}"#,
        r#"{"oauth":{"clientid":"sb-1!b1|it!b2","certificate":"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n","key":"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n","url":"https://a.example","tokenurl":"https://b.example/oauth/token","certificatedetails":{"validuntil":"2027-01-02T03:04:05.000Z"}}}"#,
        r#"{"uaa":{"clientid":"c","clientsecret":"s","url":"https://b.example"},"endpoints":{"api":"https://a.example"}}"#,
    ];
    batter("service-key", &samples, |body| {
        if let Ok(text) = std::str::from_utf8(body)
            && let Ok(key) = ServiceKey::parse(text)
        {
            assert!(!key.client_id.is_empty() && !key.token_url.is_empty());
        }
    });
}

#[test]
fn pauses_links_and_texts() {
    let now = Timestamp::UNIX_EPOCH;
    let samples = [
        "30",
        "1731337173",
        "Mon, 11 Nov 2024 14:59:33 GMT",
        "2024-11-11 14:59:33 +0000 UTC",
        "https://api.cf.eu10.hana.ondemand.com/v3/jobs/6f1c2f3e-1111-2222",
        "<html><head><title>502</title></head><body>nginx</body></html>",
        r#"{"errors":[{"code":10008,"title":"CF-UnprocessableEntity","detail":"clientsecret=abc"}]}"#,
    ];
    let here = Arc::new(Address::parse("https://api.cf.eu10.hana.ondemand.com/v3").unwrap());
    batter("header", &samples, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        assert!(retry_after::wait(&text, now).is_none_or(|wait| wait <= retry_after::LONGEST));
        let host = |address: Option<Address>| address.is_none_or(|address| address.host() == here.host());
        assert!(host(here.follow(&text)), "{text}");
        redact::redact(bytes);
    });
}
