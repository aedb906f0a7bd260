//! What is shown of what nobody manages.

use serde_json::json;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn found() -> Discovery {
    let subaccount = |guid: &str, name: &str, parent: Option<&str>, cover: &str, tenants: &[&str]| {
        json!({
            "guid": guid, "name": name, "parent": parent, "region": "eu10", "subdomain": name, "zone": guid,
            "state": if cover == "passing" { "DELETING" } else { "OK" }, "production": guid == "s1", "created_at": null,
            "cover": cover, "tenants": tenants, "cloud_foundry": null, "organization": null,
        })
    };
    let document = json!({
        "schema": 1, "at": "2026-03-02T12:00:00Z",
        "accounts": [{
            "cis": "main", "seen_at": "2026-03-02T12:00:00Z", "failure": null, "unseen": [], "guid": "ga", "name": "Acme",
            "directories": [
                { "guid": "d1", "name": "prod", "parent": null }, { "guid": "d2", "name": "inner", "parent": "d1" },
            ],
            "subaccounts": [
                subaccount("s1", "acme-prod", Some("d2"), "covered", &["acme", "beta"]),
                subaccount("s2", "Schatten & Co", Some("d1"), "uncovered", &[]),
                subaccount("s3", "old", Some("gone"), "passing", &[]),
                subaccount("s4", "legacy", None, "ignored", &[]),
                subaccount("s5", "who", None, "unknown", &["zeta"]),
            ],
        }],
        "keys": [
            { "credential": "acme/dataplane", "role": "ciapi", "kind": "unmanaged", "name": "reporting", "id": "k1",
              "created_at": "2025-03-02T12:00:00Z" },
            { "credential": "acme/dataplane", "role": "cirt", "kind": "orphan", "name": "rekeyd-cirt-g7-abc", "id": "k2",
              "created_at": null },
        ],
        "unseen": ["beta/dataplane"],
    });
    serde_json::from_value(document).unwrap()
}

#[test]
fn the_tree_is_shown_with_what_is_open() {
    let expected = "\
cis `main`: Acme, as of 2026-03-02 12:00:00
SUBACCOUNT       REGION  STATE     PRODUCTION  TENANT
prod/
  inner/
    acme-prod    eu10    OK        yes         acme, beta
  Schatten & Co  eu10    OK        no          nobody
legacy           eu10    OK        no          nobody, as configured
old              eu10    DELETING  no          none needed
who              eu10    OK        no          unknown, perhaps zeta

keys on the instances of the tenants that nobody manages
CREDENTIAL      ROLE   KEY        MADE                 AGE
acme/dataplane  ciapi  reporting  2025-03-02 12:00:00  365 days

keys with a name of rekeyd's that its journal does not know
CREDENTIAL      ROLE  KEY                 MADE     AGE
acme/dataplane  cirt  rekeyd-cirt-g7-abc  unknown

the keys of `beta/dataplane` were not seen: `rekeyd explain beta/dataplane` says why

where `zeta` is cannot be told from its keys: name its `subaccount` in the tenant's file, or add `[[cis.local]]`

1 subaccount has no tenant here: `rekeyd discover --write DIR` writes a file to fill in for each
";
    let mut found = found();
    assert_eq!(text(&found), expected);
    assert_eq!(exit(&found), Exit::Person);
    found.accounts[0].failure = Some("no answer".to_owned());
    assert_eq!(exit(&found), Exit::Person, "what surely is open counts more");
    found.accounts[0].subaccounts.remove(1);
    assert_eq!(exit(&found), Exit::Unavailable);
    found.accounts[0].failure = None;
    assert_eq!(exit(&found), Exit::Done);
}

#[test]
fn who_looks_at_no_account_is_told_how() {
    let mut found = found();
    (found.accounts, found.keys, found.unseen) = (Vec::new(), Vec::new(), Vec::new());
    let told = text(&found);
    assert!(told.contains("add a section `[[cis]]`") && told.contains("is managed"), "{told}");
    assert_eq!(exit(&found), Exit::Done);
}

#[test]
fn an_account_is_a_line_of_the_status() {
    let mut cis = CisStatus {
        name: "main".to_owned(),
        last_success_at: Some(at("2026-03-02T12:00:00Z")),
        failure: None,
        subaccounts: Some(7),
        uncovered: Some(2),
        unknown: Some(1),
        key_made_at: Some(at("2026-01-01T00:00:00Z")),
        key_age_is_known: false,
        key_due_at: Some(at("2026-12-02T00:00:00Z")),
    };
    let check = |cis: &CisStatus, now: &str, expected: &str| {
        assert_eq!(
            in_brief(std::slice::from_ref(cis), at(now)),
            format!("discovery  cis `main`: {expected}\n")
        );
    };
    check(
        &cis,
        "2026-03-02T12:00:00Z",
        "7 subaccounts, 2 with no tenant here (`rekeyd discover` names them), seen 2026-03-02 12:00:00; of 1 that is not \
         known; its own key is due 2026-12-02, counted from when it was first seen",
    );
    (cis.subaccounts, cis.failure) = (None, Some("401".to_owned()));
    check(
        &cis,
        "2026-12-02T00:00:00Z",
        "last seen 2026-03-02 12:00:00; it cannot be seen now: 401; its own key is due since 2026-12-02 and is replaced by \
         hand (docs/how-to/find-what-is-not-covered.md)",
    );
    (cis.last_success_at, cis.failure, cis.key_due_at) = (None, None, None);
    check(&cis, "2026-12-02T00:00:00Z", "not seen yet");
    assert_eq!(in_brief(&[], at("2026-12-02T00:00:00Z")), "");
}
