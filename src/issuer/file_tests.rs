//! Keys from a folder: what is listed, what is refused, what a person is told.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn folder() -> (tempfile::TempDir, Folder) {
    let folder = tempfile::tempdir().unwrap();
    for role in Role::PAIR {
        fs::create_dir(folder.path().join(role.as_str())).unwrap();
    }
    let settings = Settings { folder: folder.path().to_owned(), roles: Role::PAIR.into_iter().collect() };
    (folder, Folder::new(settings))
}

const KEY: &str =
    r#"{"oauth":{"clientid":"sb-1","clientsecret":"s","tokenurl":"https://token.example/oauth/token"}}"#;
const DATED: &str = r#"{"oauth":{"clientid":"sb-1","clientsecret":"s","tokenurl":"https://token.example/oauth/token",
    "createdate":"2025-01-02T03:04:05.678Z"}}"#;

fn drop_key(folder: &tempfile::TempDir, path: &str, text: &str) -> PathBuf {
    let path = folder.path().join(path);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[tokio::test]
async fn keys_are_listed_read_and_moved_aside() {
    let (dir, issuer) = folder();
    drop_key(&dir, "ciapi/one.json", DATED);
    drop_key(&dir, "ciapi/two.json", KEY);
    drop_key(&dir, "ciapi/notes.txt", "no key");
    let found = issuer.list().await.unwrap();
    let keys: Vec<_> = found[&Role::Ciapi].iter().map(|seen| seen.key.clone()).collect();
    assert_eq!(keys.iter().map(|key| key.id.0.as_str()).collect::<Vec<_>>(), ["ciapi/one", "ciapi/two"]);
    assert!(keys[0].created_at.is_some());
    assert_eq!(keys[1].created_at, None, "the time of the file is not the age of the key");
    assert!(found[&Role::Cirt].is_empty());
    issuer.read(Role::Ciapi, &keys[0]).await.unwrap();
    issuer.delete(Role::Ciapi, &keys[0]).await.unwrap();
    issuer.delete(Role::Ciapi, &keys[0]).await.expect("gone already");
    assert!(dir.path().join("retired/ciapi-one.json").exists());
    drop_key(&dir, "ciapi/one.json", KEY);
    issuer.delete(Role::Ciapi, &keys[0]).await.unwrap();
    assert!(dir.path().join("retired/ciapi-one.1.json").exists(), "nothing is overwritten");
    assert_eq!(issuer.list().await.unwrap()[&Role::Ciapi].len(), 1);
}

#[tokio::test]
async fn creating_tells_a_person_what_to_do() {
    let (dir, issuer) = folder();
    let failure = issuer.create(Role::Cirt, &KeyName("rekeyd-cirt-g2-abc".to_owned())).await.unwrap_err();
    assert_eq!((failure.class, failure.effect_unknown), (Class::NotFound, false));
    let path = dir.path().join("cirt/rekeyd-cirt-g2-abc.json");
    assert!(failure.cause.contains(&path.display().to_string()), "{failure}");
    let climbing = issuer.create(Role::Cirt, &KeyName("../x".to_owned())).await.unwrap_err();
    assert_eq!(climbing.class, Class::ClientError);
}

#[tokio::test]
async fn unsafe_files_are_not_used_and_not_overlooked() {
    let (dir, issuer) = folder();
    let path = drop_key(&dir, "ciapi/one.json", KEY);
    let check = async |mode: u32, expected: bool| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(issuer.list().await.is_ok(), expected, "{mode:o}");
    };
    check(0o600, true).await;
    check(0o640, true).await;
    check(0o644, false).await;
    check(0o660, false).await;
    check(0o600, true).await;
    drop_key(&dir, "elsewhere.json", KEY);
    symlink(dir.path().join("elsewhere.json"), dir.path().join("ciapi/two.json")).unwrap();
    assert_eq!(issuer.list().await.unwrap_err().class, Class::ClientError);
    fs::remove_file(dir.path().join("ciapi/two.json")).unwrap();
    drop_key(&dir, "ciapi/big.json", &" ".repeat(70_000));
    assert_eq!(issuer.list().await.unwrap_err().class, Class::ClientError);
    drop_key(&dir, "ciapi/big.json", "{ half a k");
    assert_eq!(issuer.list().await.unwrap_err().class, Class::Decode);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_not_an_empty_one() {
    let (dir, issuer) = folder();
    fs::remove_dir(dir.path().join("cirt")).unwrap();
    assert_eq!(issuer.list().await.unwrap_err().class, Class::ClientError);
    let key = Key {
        id: KeyId("cirt/x".to_owned()),
        name: KeyName("x".to_owned()),
        created_at: None,
        expires_at: None,
    };
    assert!(issuer.delete(Role::Cirt, &key).await.is_err());
}
