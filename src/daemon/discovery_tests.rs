//! What is remembered of an account, and when its key is due.

use std::collections::BTreeSet;

use super::*;
use crate::domain::window::Window;
use crate::secret::ServiceKey;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn section(secret: &str, created: Option<Timestamp>) -> Section {
    let key = serde_json::json!({
        "endpoints": { "accounts_service_url": "https://accounts.example" },
        "uaa": { "clientid": "c", "clientsecret": secret, "url": "https://ga.example" },
    });
    Section {
        name: "main".to_owned(),
        key: ServiceKey::parse(&key.to_string()).unwrap(),
        every: Duration::from_hours(6),
        ignore: BTreeSet::new(),
        created,
        window: Window::Months(12),
        lead: Duration::from_hours(30 * 24),
        locals: Vec::new(),
    }
}

#[test]
fn a_key_is_as_old_as_the_operator_says_or_as_it_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let (first, later) = (at("2026-01-31T12:00:00Z"), at("2026-06-01T12:00:00Z"));
    let known = section("NotARealSecret", None);
    let memory = Memory::read(folder.path(), &known, first);
    assert_eq!(memory.key_due_at(&known), Some(at("2027-01-01T12:00:00Z")));
    let file = path(folder.path(), "main");
    let written = serde_json::to_string(&Memory { last_success_at: Some(first), ..memory }).unwrap();
    assert!(!written.contains("NotARealSecret"), "{written}");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, &written).unwrap();
    // A restart does not make it younger; another key is as young as it is.
    let again = Memory::read(folder.path(), &known, later);
    assert_eq!((again.key_made_at(&known), again.last_success_at), (Some(first), Some(first)));
    let other = section("AnotherNotRealSecret", None);
    let fresh = Memory::read(folder.path(), &other, later);
    assert_eq!((fresh.key_made_at(&other), fresh.last_success_at), (Some(later), Some(first)));
    let declared = section("NotARealSecret", Some(at("2025-06-01T00:00:00Z")));
    assert_eq!(again.key_due_at(&declared), Some(at("2026-05-02T00:00:00Z")));
    // What cannot be read is nothing that is remembered.
    std::fs::write(&file, "{\"key\":7}").unwrap();
    assert_eq!(Memory::read(folder.path(), &known, later).key_made_at(&known), Some(later));
}

#[test]
fn after_failures_it_is_tried_less_and_less_often() {
    let minutes = |failures| again(failures).as_secs() / 60;
    assert_eq!([1, 2, 3, 4].map(minutes), [5, 10, 20, 40]);
    assert!(again(u32::MAX) > Duration::from_hours(24), "the account's own pace is the end of it");
}
