//! Service keys in every shape, and what is no service key.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const SECRET: &str = "6666-7777$NotARealSecret_0=";

fn parse(value: &Value) -> ServiceKey {
    ServiceKey::parse(&value.to_string()).expect("the shape is one of SAP's")
}

fn check(value: &Value, token_url: &str, url: Option<&str>) {
    for wrapped in [value.clone(), json!({ "credentials": value }), json!({"id": "x", "credentials": value})]
    {
        let key = parse(&wrapped);
        assert_eq!(key.client_id, "sb-1!b1|it!b2", "{wrapped}");
        assert_eq!(key.token_url, token_url, "{wrapped}");
        assert_eq!(key.url.as_deref(), url, "{wrapped}");
    }
}

#[test]
fn every_shape_is_read() {
    let (id, secret) = ("sb-1!b1|it!b2", SECRET);
    let token = "https://a.authentication.eu10.example/oauth/token";
    let base = "https://a.authentication.eu10.example";
    let service = Some("https://a.it-cpi000.cfapps.eu10.example");
    let runtime = json!({"clientid": id, "clientsecret": secret, "url": service, "tokenurl": token});
    check(&json!({ "oauth": runtime }), token, service);
    check(&runtime, token, service);
    check(&json!({"clientid": id, "clientsecret": secret, "url": base}), token, None);
    check(&json!({"uaa": {"clientid": id, "clientsecret": secret, "url": format!("{base}/")}}), token, None);
    check(
        &json!({"url": service, "uaa": {"clientid": id, "clientsecret": secret, "url": base}}),
        token,
        service,
    );
    check(&json!({"clientid": id, "clientsecret": secret, "url": token}), token, None);
    let alert = json!({"url": service, "oauth_url": format!("{token}?grant_type=client_credentials"),
        "client_id": id, "client_secret": secret});
    check(&alert, token, service);
    let manager =
        json!({"clientid": id, "clientsecret": secret, "url": base, "sm_url": "https://sm.example"});
    check(&manager, token, None);
    assert_eq!(parse(&manager).endpoints["sm_url"], "https://sm.example");
    let alm = json!({"endpoints": {"Api": "https://acme.alm.example/api"},
        "uaa": {"clientid": id, "clientsecret": secret, "url": base}});
    check(&alm, token, None);
    assert_eq!(parse(&alm).endpoints["Api"], "https://acme.alm.example/api");
}

#[test]
fn certificates_come_in_three_kinds() {
    let certificate = "-----BEGIN CERTIFICATE-----\\nMIIE\\n-----END CERTIFICATE-----\\n";
    let key = "-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY-----\\n";
    let details = json!({"validuntil": "2026-06-24T12:56:52.000Z"});
    let inside = json!({"oauth": {"clientid": "c", "certificate": certificate, "key": key,
        "tokenurl": "https://cert.example/oauth/token", "certificatedetails": details}});
    let beside = json!({"oauth": {"clientid": "c", "certificate": certificate, "key": key,
        "tokenurl": "https://cert.example/oauth/token"}, "certificatedetails": details});
    let x509 = json!({"clientid": "c", "clientsecret": "", "credential-type": "x509", "certificate": certificate,
        "key": key, "url": "https://plain.example", "certUrl": "https://cert.example", "certificatedetails": details});
    for value in [inside, beside, x509] {
        let parsed = parse(&value);
        assert_eq!(parsed.token_url, "https://cert.example/oauth/token");
        assert_eq!(
            parsed.valid_until.expect("the details are found").to_rfc3339(),
            "2026-06-24T12:56:52+00:00"
        );
        let ClientProof::Certificate { chain, key } = parsed.proof else { panic!("a certificate login") };
        assert_eq!(chain, "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----\n");
        assert!(key.expose().starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    }
}

#[test]
fn dates_have_any_fraction_or_are_unknown() {
    let date = |created: Value| {
        let key = json!({"clientid": "c", "clientsecret": "s", "tokenurl": "https://t.example", "createdate": created});
        parse(&key).created_at.map(|at| at.timestamp_millis())
    };
    for digits in 0..=9 {
        let fraction = if digits == 0 { String::new() } else { format!(".{}", "5".repeat(digits)) };
        assert!(date(json!(format!("2025-01-02T03:04:05{fraction}Z"))).is_some(), "{digits} digits");
    }
    assert_eq!(date(json!("2025-01-02T03:04:05.678Z")), Some(1_735_787_045_678));
    assert_eq!(date(json!("2025-01-02T03:04:05.678+0000")), Some(1_735_787_045_678));
    assert_eq!(date(json!(1_735_787_045_678_i64)), Some(1_735_787_045_678));
    for unknown in [json!("yesterday"), json!(""), json!(null), json!(i64::MAX), json!(1.5), json!([])] {
        assert_eq!(date(unknown.clone()), None, "{unknown}");
    }
}

#[test]
fn refusals_say_what_is_missing() {
    let check = |json: &str, expected: &str| {
        let error = ServiceKey::parse(json).expect_err("this is no service key");
        assert_eq!(error.to_string(), expected, "{json}");
    };
    check("", "it is not JSON (line 1, column 0)");
    check("{\"clientid\":\n}", "it is not JSON (line 2, column 1)");
    check("[]", "it is JSON but no object");
    check("{}", "it has neither a `clientsecret` nor a `certificate` with its `key`");
    check(r#"{"clientsecret": 5}"#, "`clientsecret` is no text");
    check(r#"{"clientsecret": "s"}"#, "it has no `clientid`");
    check(r#"{"clientid": "c", "certificate": "x"}"#, "it has a `certificate` without its private `key`");
    check(r#"{"clientid": "c", "certificate": "x", "key": "y"}"#, "`certificate` is not PEM");
    let no_address = "it has no token address (`tokenurl`, `oauth_url`, `certurl` or `url`)";
    check(r#"{"clientid": "c", "clientsecret": "s"}"#, no_address);
    check(
        r#"{"clientid": "c", "clientsecret": "s", "tokenurl": "ftp://x"}"#,
        "`tokenurl` is no http address",
    );
    check(
        r#"{"clientid": "c", "clientsecret": "s", "tokenurl": "https://u:p@x"}"#,
        "`tokenurl` is no http address",
    );
    check(&" ".repeat(SIZE_LIMIT + 1), "it is longer than 1 MB");
}

#[test]
fn the_role_is_guessed_from_the_client_id_then_from_the_host() {
    let hint = |id: &str, url: &str| {
        parse(&json!({"clientid": id, "clientsecret": "s", "tokenurl": "https://t.example", "url": url}))
            .role_hint()
    };
    let api_host = "https://acme.it-cpi000.cfapps.eu10.example";
    let runtime_host = "https://acme.it-cpi000-rt.cfapps.eu10.example";
    assert_eq!(hint("sb-1!b1|it!b2", runtime_host), Some("ciapi"));
    assert_eq!(hint("sb-1!b1|it-rt-acme-dev!b2", api_host), Some("cirt"));
    assert_eq!(hint("sb-1!b1|other!b2", api_host), Some("ciapi"));
    assert_eq!(hint("sb-1!b1|other!b2", runtime_host), Some("cirt"));
    assert_eq!(hint("sb-1!b1|dsi!b2", "https://acme.dsi.example"), None);
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = [
        "clientid",
        "client_id",
        "clientsecret",
        "certificate",
        "key",
        "url",
        "tokenurl",
        "oauth_url",
        "oauth",
        "uaa",
        "credentials",
        "endpoints",
        "certificatedetails",
        "validuntil",
        "createdate",
        "certurl",
        "other",
    ];
    let leaf = prop_oneof![
        Just(json!(SECRET)),
        Just(Value::Null),
        Just(json!("https://x.example/")),
        any::<i64>().prop_map(Value::from),
        Just(json!("-----BEGIN CERTIFICATE-----")),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        proptest::collection::btree_map(proptest::sample::select(names.to_vec()), inner, 0..8)
            .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = ServiceKey::parse(&text);
    }

    #[test]
    fn no_json_makes_it_panic_or_shows_a_secret(value in any_json(), cut in 0_usize..400) {
        let mut text = value.to_string();
        let shown = format!("{:?}", ServiceKey::parse(&text).map(|key| ClientProof::clone(&key.proof)));
        prop_assert!(!shown.contains("NotARealSecret"));
        while !text.is_char_boundary(cut.min(text.len())) { text.pop(); }
        text.truncate(cut);
        let shown = format!("{:?}", ServiceKey::parse(&text).map_err(|error| error.to_string()));
        prop_assert!(!shown.contains("NotARealSecret"));
    }
}
