//! Real files, real programs.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::config::tenant::{Owner, Program};
use crate::http::testing::{Answer, ManualClock, Stub, http, says, token};

const SECRET: &str = "b1946ac9-uuid$NotARealSecret=";

fn key(stub: &str) -> Arc<ServiceKey> {
    let text = format!(
        r#"{{"credentials":{{"endpoints":{{"Api":"https://calm.example/api"}},"clientid":"sb-calm!b1","clientsecret":"{SECRET}","url":"{stub}"}}}}"#
    );
    Arc::new(ServiceKey::parse(&text).unwrap())
}

fn sole() -> BTreeMap<Role, Arc<ServiceKey>> {
    BTreeMap::from([(Role::Sole, key("https://uaa.example"))])
}

/// A program in a folder of its own.
fn script(folder: &Path, text: &str) -> Program {
    let path = folder.join("program");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let folder = folder.display().to_string();
    Program { path, arguments: vec![folder], timeout: Duration::from_secs(20) }
}

fn consumer(way: Way, check: Option<Program>) -> Local {
    Local::new(http(&ManualClock::new()), tenant::Local { way, check })
}

fn file(path: PathBuf, reload: Option<Program>) -> Way {
    Way::File { path, mode: 0o640, owner: Owner::default(), reload }
}

#[tokio::test]
async fn the_file_is_the_key_without_its_envelope_and_is_replaced_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    fs::write(&path, "old").unwrap();
    // What a crash left behind.
    fs::write(folder.path().join(".key.json.rekeyd"), "half").unwrap();
    let before = fs::metadata(&path).unwrap().ino();
    let to = consumer(file(path.clone(), Some(script(folder.path(), r#"cp "$1/key.json" "$1/read""#))), None);
    to.deliver(&sole()).await.unwrap();
    let written: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(written["clientsecret"], SECRET);
    assert_eq!(written["endpoints"]["Api"], "https://calm.example/api");
    let after = fs::metadata(&path).unwrap();
    assert_eq!(after.permissions().mode() & 0o777, 0o640);
    assert_ne!(after.ino(), before, "a file of its own, put in its place");
    assert_eq!(fs::read(folder.path().join("read")).unwrap(), fs::read(&path).unwrap(), "it was read again");
    assert!(!folder.path().join(".key.json.rekeyd").exists());
    // Once more is the same.
    to.deliver(&sole()).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_written_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/key.json");
    let failure = consumer(file(missing, None), None).deliver(&sole()).await.unwrap_err();
    assert!(failure.cause.contains("missing/key.json` cannot be written"), "{failure}");
    assert!(!failure.cause.contains(SECRET));
    // A folder of that name cannot be replaced.
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("in-it"), "").unwrap();
    assert!(consumer(file(taken.clone(), None), None).deliver(&sole()).await.is_err());
    assert!(taken.join("in-it").exists());
    assert!(!folder.path().join(".taken.rekeyd").exists(), "nothing secret is left lying about");
}

#[tokio::test]
async fn a_reload_that_fails_is_a_failed_delivery_that_may_have_taken_effect() {
    let folder = tempfile::tempdir().unwrap();
    let reload = script(folder.path(), "echo no such unit >&2; exit 5");
    let to = consumer(file(folder.path().join("key.json"), Some(reload)), None);
    let failure = to.deliver(&sole()).await.unwrap_err();
    assert!(failure.effect_unknown, "{failure:?}");
    assert!(failure.cause.contains("exit status: 5: no such unit"), "{failure}");
    assert!(folder.path().join("key.json").exists());
}

#[tokio::test]
async fn a_program_gets_the_key_on_its_standard_input_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let deliver = script(
        folder.path(),
        r#"cat > "$1/input"; env > "$1/environment"; tr '\0' '\n' < /proc/$$/cmdline > "$1/arguments""#,
    );
    consumer(Way::Command(deliver), None).deliver(&sole()).await.unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("input"), sole()[&Role::Sole].document.expose());
    for seen in [read("environment"), read("arguments")] {
        assert!(!seen.contains(SECRET) && !seen.contains("sb-calm"), "{seen}");
    }
    assert!(!read("environment").contains("CARGO"), "nothing of ours: {}", read("environment"));
}

#[tokio::test]
async fn a_program_that_fails_is_quoted_without_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    for said in ["cat", r#"echo "cannot use $(cat)""#, "cut -c 100-130"] {
        let deliver = script(folder.path(), &format!("{said}; exit 1"));
        let failure = consumer(Way::Command(deliver), None).deliver(&sole()).await.unwrap_err();
        assert!(failure.cause.contains("exit status: 1") && failure.effect_unknown, "{failure:?}");
        for part in ["NotAReal", "b1946ac9", "sb-calm"] {
            assert!(!failure.cause.contains(part), "{failure}");
        }
    }
}

#[tokio::test]
async fn a_program_that_does_not_read_or_says_too_much_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["exit 0", "exec <&-; exit 0", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"] {
        let deliver = script(folder.path(), text);
        consumer(Way::Command(deliver), None).deliver(&sole()).await.unwrap();
    }
}

#[tokio::test]
async fn a_program_that_does_not_end_is_ended_with_whatever_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"sleep 1000 & echo $! > "$1/child"; wait"#;
    let deliver = Program { timeout: Duration::from_secs(1), ..script(folder.path(), text) };
    let failure = consumer(Way::Command(deliver), None).deliver(&sole()).await.unwrap_err();
    assert_eq!((failure.class, failure.effect_unknown), (Class::Timeout, true), "{failure}");
    let child = fs::read_to_string(folder.path().join("child")).unwrap();
    let path = format!("/proc/{}/stat", child.trim());
    // Gone, or a zombie that nobody has waited for yet; dying takes a moment.
    let is_dead = || fs::read_to_string(&path).map_or(true, |state| state.contains(") Z "));
    assert!((0..1_000_000).any(|_| is_dead()), "the child lives on");
}

#[tokio::test]
async fn one_that_stays_behind_does_not_hold_up_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let deliver = script(folder.path(), "sleep 1000 &\nexit 0");
    consumer(Way::Command(deliver), None).deliver(&sole()).await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_not_there_says_so_before_anything_happens() {
    let deliver = Program {
        path: PathBuf::from("/no/such/program"),
        arguments: Vec::new(),
        timeout: Duration::from_secs(1),
    };
    let failure = consumer(Way::Command(deliver), None).deliver(&sole()).await.unwrap_err();
    assert!(!failure.effect_unknown);
    assert!(failure.cause.contains("`/no/such/program` cannot be started"), "{failure}");
}

#[tokio::test]
async fn the_check_is_the_word_of_the_consumer_as_of_when_it_began() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let check = script(folder.path(), r#"[ -e "$1/works" ] || { echo "401 from the service"; exit 3; }"#);
    let to = Local::new(http(&clock), tenant::Local { way: Way::Manual, check: Some(check) });
    let status = to.status().await.unwrap();
    assert_eq!((status.verdict, status.at), (Verdict::Error, Some(to.http.clock().now())));
    assert_eq!(status.detail.as_deref(), Some("ended with exit status: 3: 401 from the service"));
    fs::write(folder.path().join("works"), "").unwrap();
    assert_eq!(to.status().await.unwrap().verdict, Verdict::Success);
    // What cannot be run says nothing, neither good nor bad.
    fs::remove_file(folder.path().join("program")).unwrap();
    assert!(to.status().await.unwrap_err().class.is_passing());
}

#[tokio::test]
async fn who_says_nothing_is_no_failure() {
    let to = consumer(Way::Manual, None);
    assert_eq!(to.deliver(&sole()).await.unwrap(), Accepted::default());
    assert_eq!(to.status().await.unwrap_err().class, Class::NotFound);
    assert_eq!(to.provision().await.unwrap_err().class, Class::NotFound);
}

#[tokio::test]
async fn the_pair_of_a_data_plane_is_not_for_it() {
    let pair = Role::PAIR.map(|role| (role, key("https://uaa.example"))).into();
    assert_eq!(consumer(Way::Manual, None).deliver(&pair).await.unwrap_err().class, Class::ClientError);
}

#[tokio::test]
async fn a_key_is_tried_at_its_token_service() {
    let stub = Stub::start(|asked, _| match asked.path.as_str() {
        "/oauth/token" if asked.body.contains("NotARealSecret") => token("t", 3600),
        _ => Answer::Says(404, "", String::new()),
    })
    .await;
    let to = consumer(Way::Manual, None);
    assert_eq!(to.test(Role::Sole, &key(&stub.url)).await.unwrap(), Grade::Token);
    assert!(!to.is_refused(Role::Sole, &key(&stub.url)).await.unwrap());
    let gone = Stub::start(|_, _| says(401, serde_json::json!({ "error": "invalid_client" }))).await;
    assert!(to.is_refused(Role::Sole, &key(&gone.url)).await.unwrap());
}
