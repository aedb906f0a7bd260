//! The words of a data plane, and what they amount to.

use chrono::TimeZone;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(second: u32) -> Timestamp {
    Utc.with_ymd_and_hms(2026, 1, 2, 3, 4, second).unwrap()
}

fn check(body: &str, expected: Verdict) {
    let found = read(body.as_bytes(), &Words::new(), None);
    assert_eq!(found.verdict, expected, "{body}: {found:?}");
}

#[test]
fn every_word_of_the_table_is_known() {
    for (words, verdict) in [
        (&SUCCESS[..], Verdict::Success),
        (&IN_PROGRESS[..], Verdict::InProgress),
        (&ERROR[..], Verdict::Error),
        (&ABSENT[..], Verdict::NotProvisioned),
    ] {
        for word in words {
            check(&json!({ "status": word }).to_string(), verdict);
            check(&json!({ "Status": word.to_lowercase() }).to_string(), verdict);
            check(word, verdict);
        }
    }
}

#[test]
fn every_shape_is_read() {
    check("", Verdict::NotProvisioned);
    check(" \n", Verdict::NotProvisioned);
    check("\"Success\"", Verdict::Success);
    check("Successful", Verdict::Success);
    check("in progress", Verdict::InProgress);
    check("FAIL_ON_LICENSE_ERROR", Verdict::Error);
    check("<html>SUCCESS</html>", Verdict::Unknown);
    check("Data plane: SUCCESS", Verdict::Unknown);
    check("null", Verdict::Unknown);
    check("true", Verdict::Unknown);
    check("{}", Verdict::Unknown);
    check("[]", Verdict::NotProvisioned);
    check(r#"{"status":"ready to fail"}"#, Verdict::Unknown);
    check(r#"{"edc:state":"AVAILABLE"}"#, Verdict::Success);
    check(r#"{"https://w3id.org/edc/v0.0.1/ns/state":"STARTED"}"#, Verdict::InProgress);
    check(r#"{"provisioning_status":"deploying"}"#, Verdict::InProgress);
    check(r#"{"dataplane":{"overallStatus":"Error"}}"#, Verdict::Error);
    check(r#"{"status":{"state":"DONE"}}"#, Verdict::Success);
    check(r#"{"status":200,"state":"DONE"}"#, Verdict::Success);
    check(r#"{"status":200}"#, Verdict::Unknown);
}

#[test]
fn a_list_is_no_better_than_its_parts() {
    let list = |words: &[&str]| {
        json!(words.iter().map(|word| json!({ "id": "x", "Status": word })).collect::<Vec<_>>()).to_string()
    };
    check(&list(&["STARTED", "STARTED"]), Verdict::Success);
    check(&list(&["STARTED", "STARTING"]), Verdict::InProgress);
    check(&list(&["STARTED", "NOT_DEPLOYED"]), Verdict::InProgress);
    check(&list(&["STARTED", "ERROR", "WHATEVER"]), Verdict::Error);
    check(&list(&["STARTED", "WHATEVER"]), Verdict::Unknown);
    check(&list(&["NOT_DEPLOYED"]), Verdict::NotProvisioned);
    check(r#"["STARTED","DONE"]"#, Verdict::Success);
    check("[1]", Verdict::Unknown);
    check(r#"{"status":"SUCCESS","artifacts":[{"status":"ERROR"}]}"#, Verdict::Error);
    check(r#"{"status":"SUCCESS","artifacts":[{"status":"STARTED"}]}"#, Verdict::Success);
    check(r#"{"status":"ERROR","artifacts":[{"status":"STARTED"}]}"#, Verdict::Error);
    check(r#"{"steps":[{"state":"DONE"},{"state":"PENDING"}]}"#, Verdict::InProgress);
    check(r#"{"status":"SUCCESS","errors":[{"status":"ERROR"}]}"#, Verdict::Success);
}

#[test]
fn an_operator_adds_words() {
    let words =
        Words::from([("GRÜN".to_owned(), Verdict::Success), ("DONE".to_owned(), Verdict::InProgress)]);
    assert_eq!(read("grün".as_bytes(), &words, None).verdict, Verdict::Success);
    assert_eq!(read(b"done", &words, None).verdict, Verdict::InProgress);
}

#[test]
fn what_is_left_of_noise_is_no_word() {
    let verdict = |body: &[u8]| read(body, &Words::new(), None).verdict;
    assert_eq!(verdict(b"O\0\0{{{K{"), Verdict::Unknown);
    assert_eq!(verdict(br#"{"dep":loyed"#), Verdict::Unknown);
    assert_eq!(verdict(br#"{"status":"{\"OK\""}"#), Verdict::Unknown);
    assert_eq!(verdict(b" Successfully deployed.\n"), Verdict::Success);
}

#[test]
fn only_the_time_of_a_change_counts() {
    let check = |body: Value, answered: Option<Timestamp>, expected: Option<Timestamp>| {
        assert_eq!(read(body.to_string().as_bytes(), &Words::new(), answered).at, expected, "{body}");
    };
    let updated = json!({ "status": "OK", "updatedAt": "2026-01-02T03:04:05Z" });
    check(updated.clone(), Some(at(20)), Some(at(5)));
    check(updated.clone(), Some(at(8)), None);
    check(updated.clone(), Some(at(1)), None);
    check(updated, None, None);
    check(json!({ "status": "OK", "last_modified": 1_767_323_045_000_i64 }), Some(at(20)), Some(at(5)));
    check(json!({ "status": "OK", "timestamp": "/Date(1767323045000+0060)/" }), Some(at(20)), Some(at(5)));
    check(json!([{ "status": "OK", "ModifiedAt": "2026-01-02T03:04:05.0" }]), Some(at(20)), Some(at(5)));
    check(json!({ "status": "OK", "createdAt": "2026-01-02T03:04:05Z" }), Some(at(20)), None);
    check(json!({ "status": "OK", "updatedAt": "soon" }), Some(at(20)), None);
}

#[test]
fn words_and_details_are_short_and_hold_no_secret() {
    let secret = "66666666-7777-8888-9999-000000000000$NotARealSecret=";
    let body = json!({ "status": format!("weird {secret} word"), "message": [{ "message": secret }] });
    let found = read(body.to_string().as_bytes(), &Words::new(), None);
    let shown = format!("{found:?}");
    assert!(!shown.contains("NotAReal") && !shown.contains("66666666"), "{shown}");
    let found = read("x ".repeat(500).as_bytes(), &Words::new(), None);
    assert_eq!(found.word.chars().count(), WORD_LIMIT);
}

proptest! {
    #[test]
    fn nothing_panics_and_noise_is_never_success(body in proptest::collection::vec(any::<u8>(), 1..64)) {
        let found = read(&body, &Words::new(), Some(at(0)));
        // Two letters of noise may spell one of the words.
        prop_assert!(found.verdict != Verdict::Success || body.len() < 8);
    }

    #[test]
    fn unknown_words_are_unknown(word in "[a-z]{13,20}x") {
        prop_assert_eq!(read(word.as_bytes(), &Words::new(), None).verdict, Verdict::Unknown);
    }
}
