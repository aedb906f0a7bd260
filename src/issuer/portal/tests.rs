//! The issuers against a stub of a portal.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::backend::{Backend, BackendSettings};
use super::in_place::{self, InPlace};
use super::second_user::{self, SecondUser};
use crate::domain::failure::{Class, Failure};
use crate::domain::key::{Key, KeyState};
use crate::domain::names::{CredentialId, KeyId, KeyName, Role};
use crate::http::testing::{Answer, Asked, ManualClock, Stub, http, ok, says, token};
use crate::issuer::binding::Patience;
use crate::ports::Issuer;
use crate::secret::{ClientProof, Secret};

const USERS: &str = "/backend/api/administration/serviceaccount/owncompany/serviceaccounts";
const FIRST: &str = "NotARealSecret-1";
const SECOND: &str = "NotARealSecret-2";

fn credential() -> CredentialId {
    "acme/offer".parse().unwrap()
}

fn name(generation: u32) -> KeyName {
    KeyName::ours(Role::Sole, generation, &credential(), 7)
}

/// A portal whose login works; everything else is up to the test.
async fn portal(reply: impl Fn(&Asked, &str) -> Answer + Send + Sync + 'static) -> Stub {
    Stub::start(move |asked, url| match asked.path.as_str() {
        "/idp/token" => token("t", 300),
        _ => reply(asked, url),
    })
    .await
}

fn backend(stub: &Stub) -> Arc<Backend> {
    let settings = BackendSettings {
        url: format!("{}/backend", stub.url),
        token_url: format!("{}/idp/token", stub.url),
        client_id: "sa7".to_owned(),
        secret: Secret::new("NotARealSecret-0".to_owned()),
        patience: Patience { deadline: Duration::from_mins(5), poll: Duration::from_secs(5) },
    };
    Arc::new(Backend::new(http(&ManualClock::new()), &settings).unwrap())
}

fn in_place(stub: &Stub, folder: &Path, may_reset: bool) -> InPlace {
    let settings = in_place::Settings {
        credential: credential(),
        user: "u-1".to_owned(),
        since: None,
        may_reset,
        ledger: folder.join("seals/acme.offer.seal"),
        seal_key: Secret::new("a seal key of the operator's own".to_owned()),
    };
    InPlace::new(backend(stub), settings).unwrap()
}

fn described(secret: &str) -> Value {
    json!({
        "serviceAccountId": "u-1", "clientId": "sa42", "name": "Data Space Integration", "usertype": "internal",
        "companyServiceAccountTypeId": "OWN", "status": "ACTIVE", "authenticationServiceUrl": "", "secret": secret,
        "roles": [{ "roleId": "r-1", "clientId": "c", "roleName": "Connector Management" }],
    })
}

fn missing() -> Answer {
    says(404, json!({ "type": "t", "title": "not found", "status": 404, "errors": {} }))
}

/// A portal with one technical user, whose reset is answered as the test likes.
async fn resetting(answer: impl Fn(u32) -> Answer + Send + Sync + 'static) -> Stub {
    let resets = Mutex::new(0);
    portal(move |asked, _| {
        let mut resets = resets.lock().unwrap();
        if asked.is("POST", &format!("{USERS}/u-1/resetCredentials")) {
            *resets += 1;
            return answer(*resets);
        }
        ok(described(&format!("NotARealSecret-{}", *resets + 1)))
    })
    .await
}

fn secret_of(answer: u32) -> Answer {
    ok(
        json!({ "serviceAccountId": "u-1", "clientId": "sa42", "secret": format!("NotARealSecret-{}", answer + 1) }),
    )
}

async fn listed(issuer: &dyn Issuer) -> Vec<Key> {
    issuer.list().await.unwrap()[&Role::Sole].iter().map(|seen| seen.key.clone()).collect()
}

#[tokio::test]
async fn a_reset_is_sealed_and_what_it_made_is_known_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let stub = resetting(secret_of).await;
    let issuer = in_place(&stub, folder.path(), true);
    let before = listed(&issuer).await;
    assert_eq!(before.len(), 1);
    assert!(before[0].name.0.starts_with("sa42-"), "{before:?}");
    let made = issuer.create(Role::Sole, &name(1)).await.unwrap();
    assert_eq!(made.name, name(1));
    assert_ne!(made.id, before[0].id);
    let after = listed(&issuer).await;
    assert_eq!((after.len(), &after[0].id, &after[0].name), (1, &made.id, &made.name));
    let read = issuer.read(Role::Sole, &made).await.unwrap();
    assert!(matches!(&read.proof, ClientProof::Secret(secret) if secret.expose() == SECOND));
    assert_eq!(
        (read.client_id.as_str(), read.token_url.clone()),
        ("sa42", format!("{}/idp/token", stub.url))
    );
    assert!(issuer.read(Role::Sole, &before[0]).await.is_err(), "the old one is dead");
    // Nothing is ever deleted for its secret.
    issuer.delete(Role::Sole, &before[0]).await.unwrap();
    assert!(issuer.delete(Role::Sole, &made).await.is_err());
    assert!(stub.asked().iter().all(|asked| asked.method != "DELETE"));
    let sealed = std::fs::read(folder.path().join("seals/acme.offer.seal")).unwrap();
    let text = String::from_utf8_lossy(&sealed);
    assert!(!text.contains(SECOND) && !text.contains("sa42"), "{text}");
}

#[tokio::test]
async fn a_reset_whose_answer_was_lost_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let stub = resetting(|_| Answer::Says(502, "", "<html>".to_owned())).await;
    let issuer = in_place(&stub, folder.path(), true);
    let failure = issuer.create(Role::Sole, &name(1)).await.unwrap_err();
    assert!(failure.effect_unknown, "{failure:?}");
    // The process may have died here; another one reads the intent and sees another secret than before.
    let again = in_place(&stub, folder.path(), true);
    let seen = listed(&again).await;
    assert_eq!((seen.len(), &seen[0].name), (1, &name(1)));
    let made = again.create(Role::Sole, &name(1)).await.unwrap();
    assert_eq!(made.id, seen[0].id);
    assert_eq!(stub.count("POST", &format!("{USERS}/u-1/resetCredentials")), 1);
}

#[tokio::test]
async fn a_reset_that_had_no_effect_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let stub =
        portal(|asked, _| if asked.method == "POST" { says(503, json!({})) } else { ok(described(FIRST)) })
            .await;
    let issuer = in_place(&stub, folder.path(), true);
    let before = listed(&issuer).await;
    for sent in 1..3 {
        issuer.create(Role::Sole, &name(1)).await.unwrap_err();
        assert_eq!(listed(&issuer).await, before, "the old one is in force");
        assert_eq!(stub.count("POST", &format!("{USERS}/u-1/resetCredentials")), sent);
    }
}

#[tokio::test]
async fn an_answer_without_the_secret_is_made_up_for_by_a_look() {
    let folder = tempfile::tempdir().unwrap();
    let stub = resetting(|_| ok(json!({ "serviceAccountId": "u-1" }))).await;
    let issuer = in_place(&stub, folder.path(), true);
    let made = issuer.create(Role::Sole, &name(1)).await.unwrap();
    assert!(
        matches!(&issuer.read(Role::Sole, &made).await.unwrap().proof, ClientProof::Secret(s) if s.expose() == SECOND)
    );
}

#[tokio::test]
async fn by_hand_a_person_is_told_what_to_do_and_what_came_of_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let reset = Arc::new(Mutex::new(false));
    let shown = Arc::clone(&reset);
    let stub = portal(move |_, _| ok(described(if *shown.lock().unwrap() { SECOND } else { FIRST }))).await;
    let issuer = in_place(&stub, folder.path(), false);
    let failure = issuer.create(Role::Sole, &name(1)).await.unwrap_err();
    assert_eq!(failure.class, Class::NotFound, "a person makes it: {failure:?}");
    assert!(failure.cause.contains("sa42") && failure.cause.contains(&name(1).0), "{failure:?}");
    assert!(stub.asked().iter().all(|asked| asked.method == "GET" || asked.path == "/idp/token"));
    *reset.lock().unwrap() = true;
    let seen = listed(&issuer).await;
    assert_eq!(seen[0].name, name(1));
    // A second reset by hand is not taken for the same.
    let third = portal(|_, _| ok(described("NotARealSecret-3"))).await;
    let seen = listed(&in_place(&third, folder.path(), false)).await;
    assert!(seen[0].name.parse_ours().is_none(), "{seen:?}");
}

#[tokio::test]
async fn what_a_reset_would_only_break_is_refused_without_a_call() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |change: Value, expected: &str| {
        let mut user = described(FIRST);
        for (key, value) in change.as_object().unwrap() {
            user[key] = value.clone();
        }
        let stub = portal(move |_, _| ok(user.clone())).await;
        let failure = in_place(&stub, folder.path(), true).create(Role::Sole, &name(1)).await.unwrap_err();
        assert!(failure.cause.contains(expected), "{failure:?}");
        assert!(!failure.effect_unknown);
        assert_eq!(stub.count("POST", &format!("{USERS}/u-1/resetCredentials")), 0);
    };
    check(json!({ "usertype": "external" }), "second-user").await;
    check(json!({ "companyServiceAccountTypeId": "PROVIDER_OWNED" }), "provider").await;
    check(json!({ "status": "INACTIVE" }), "not active").await;
}

#[tokio::test]
async fn a_sealed_file_that_cannot_be_opened_stops_everything_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let stub = resetting(secret_of).await;
    in_place(&stub, folder.path(), true).create(Role::Sole, &name(1)).await.unwrap();
    let path = folder.path().join("seals/acme.offer.seal");
    let mut sealed = std::fs::read(&path).unwrap();
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    std::fs::write(&path, &sealed).unwrap();
    let issuer = in_place(&stub, folder.path(), true);
    let check = |failure: Failure| {
        assert!(
            failure.cause.contains("seal key") && failure.cause.contains("acme.offer.seal"),
            "{failure:?}"
        );
        assert!(!failure.effect_unknown);
    };
    check(issuer.list().await.unwrap_err());
    check(issuer.create(Role::Sole, &name(2)).await.unwrap_err());
    assert_eq!(stub.count("POST", &format!("{USERS}/u-1/resetCredentials")), 1);
}

#[tokio::test]
async fn a_user_that_the_portal_does_not_know_is_gone_and_a_404_from_elsewhere_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let stub = portal(|_, _| missing()).await;
    assert!(listed(&in_place(&stub, folder.path(), true)).await.is_empty());
    let stub = portal(|_, _| Answer::Says(404, "", "<html>no such route</html>".to_owned())).await;
    let failure = in_place(&stub, folder.path(), true).list().await.unwrap_err();
    assert_eq!(failure.class, Class::ServerError, "{failure:?}");
}

fn second_user(stub: &Stub) -> SecondUser {
    let settings = second_user::Settings { credential: credential(), user: "u-1".to_owned(), since: None };
    SecondUser::new(backend(stub), settings)
}

fn entry(id: &str, name: &str, status: &str) -> Value {
    json!({
        "serviceAccountId": id, "clientId": (status == "ACTIVE").then_some("sb-1"), "name": name, "userType": "EXTERNAL",
        "serviceAccountType": "OWN", "status": status, "novelty": 1,
    })
}

fn page(entries: &[Value], pages: u64, total: usize) -> Answer {
    ok(
        json!({ "meta": { "totalElements": total, "totalPages": pages, "page": 0, "contentSize": entries.len() }, "content": entries }),
    )
}

fn wallet_user(id: &str, name: &str, status: &str) -> Value {
    let mut user = entry(id, name, status);
    user["usertype"] = json!("external");
    user["authenticationServiceUrl"] =
        json!(if status == "ACTIVE" { "https://wallet.example" } else { "please wait" });
    user["secret"] = json!(SECOND);
    user["roles"] = json!([{ "roleId": "r-2" }]);
    user
}

#[tokio::test]
async fn the_users_of_a_credential_are_listed_over_several_pages_and_no_others() {
    let mine = name(3).0;
    let stub = portal(move |asked, _| match asked.query.as_str() {
        "page=0&size=15" => {
            page(&[entry("u-1", "dim-Wallet", "ACTIVE"), entry("u-8", "dim-Other", "ACTIVE")], 2, 4)
        }
        "page=1&size=15" => {
            page(&[entry("u-2", &format!("dim-{mine}"), "PENDING"), entry("u-9", "x", "DELETED")], 2, 4)
        }
        other => panic!("{other}"),
    })
    .await;
    let found = second_user(&stub).list().await.unwrap();
    let seen: Vec<_> = found[&Role::Sole].iter().map(|seen| (seen.key.id.0.as_str(), seen.state)).collect();
    assert_eq!(seen, [("u-1", KeyState::Ready), ("u-2", KeyState::Busy)]);
    assert_eq!(found[&Role::Sole][1].key.name, name(3));
}

#[tokio::test]
async fn a_list_that_is_shorter_than_it_says_is_no_list() {
    let stub = portal(|_, _| page(&[entry("u-1", "dim-Wallet", "ACTIVE")], 1, 2)).await;
    assert!(second_user(&stub).list().await.unwrap_err().cause.contains("shorter"));
}

#[tokio::test]
async fn a_second_user_has_the_roles_of_the_first_and_is_waited_for() {
    let (mine, looks) = (format!("dim-{}", name(1).0), Mutex::new(0));
    let stub = portal(move |asked, _| match (asked.method.as_str(), asked.path.strip_prefix(USERS)) {
        ("GET", Some("")) => page(&[entry("u-1", "dim-Wallet", "ACTIVE")], 1, 1),
        ("GET", Some("/u-1")) => ok(wallet_user("u-1", "dim-Wallet", "ACTIVE")),
        ("POST", Some("")) => ok(json!([wallet_user("u-2", &mine, "PENDING")])),
        ("GET", Some("/u-2")) => {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            ok(wallet_user("u-2", &mine, if *looks > 2 { "ACTIVE" } else { "PENDING" }))
        }
        other => panic!("{other:?}"),
    })
    .await;
    let issuer = second_user(&stub);
    let made = issuer.create(Role::Sole, &name(1)).await.unwrap();
    assert_eq!((made.id.0.as_str(), &made.name), ("u-2", &name(1)));
    let order = stub.asked().into_iter().find(|asked| asked.is("POST", USERS)).unwrap().json();
    assert_eq!((&order["roleIds"], &order["name"]), (&json!(["r-2"]), &json!(name(1).0)));
    let read = issuer.read(Role::Sole, &made).await.unwrap();
    assert_eq!(read.token_url, "https://wallet.example/oauth/token");
}

#[tokio::test]
async fn a_user_is_deleted_by_its_id_only_where_that_leads_to_its_name() {
    let key = |id: &str, name: &KeyName| Key {
        id: KeyId(id.to_owned()),
        name: name.clone(),
        created_at: None,
        expires_at: None,
    };
    let (mine, gone) = (format!("dim-{}", name(1).0), Mutex::new(false));
    let stub = portal(move |asked, _| {
        let mut gone = gone.lock().unwrap();
        if asked.method == "DELETE" {
            *gone = true;
            return Answer::Says(204, "", String::new());
        }
        ok(wallet_user("u-2", &mine, if *gone { "PENDING_DELETION" } else { "ACTIVE" }))
    })
    .await;
    let issuer = second_user(&stub);
    assert!(issuer.delete(Role::Sole, &key("u-2", &name(9))).await.unwrap_err().cause.contains("leads to"));
    assert!(stub.asked().iter().all(|asked| asked.method != "DELETE"));
    issuer.delete(Role::Sole, &key("u-2", &name(1))).await.unwrap();
    issuer.delete(Role::Sole, &key("u-2", &name(1))).await.unwrap();
    assert_eq!(stub.count("DELETE", &format!("{USERS}/u-2")), 1);
}

#[tokio::test]
async fn a_deletion_that_is_refused_says_why() {
    for (status, expected) in [(403, "by hand"), (409, "linked to a connector")] {
        let mine = name(1).0;
        let stub = portal(move |asked, _| match asked.method.as_str() {
            "DELETE" => says(status, json!({ "title": "no", "status": status })),
            _ => ok(wallet_user("u-2", &mine, "ACTIVE")),
        })
        .await;
        let key = Key { id: KeyId("u-2".to_owned()), name: name(1), created_at: None, expires_at: None };
        let failure = second_user(&stub).delete(Role::Sole, &key).await.unwrap_err();
        assert!(failure.cause.contains(expected), "{failure:?}");
        assert!(!failure.cause.contains(SECOND));
    }
}
