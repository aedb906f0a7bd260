//! What is said beside a daemon whose configuration was changed since it was read, or whose upstreams do not answer.

use std::collections::BTreeMap;
use std::fs;

use crate::ground::Ground;

fn told(ground: &Ground, arguments: &[&str], code: i32) -> String {
    let output = ground.run(&BTreeMap::new(), arguments);
    let text = ground.plain(&[output.stdout, output.stderr].concat());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

#[test]
fn a_broken_tenant_hides_nothing_of_the_daemon_that_goes_on() {
    let ground = Ground::named("a daemon");
    ground.write("tenants.d/acme.toml", "version = 1\nid = \"acme\"\n", 0o644);
    let text = told(&ground, &["diagnose"], 78);
    for expected in [
        "FAULT configuration",
        "journal",
        "it goes on with the configuration that it has",
        "daemon: mend the configuration, then `rekeyd reload`; do not restart it before: it would not start",
        "1 of 3 waits for a person: `beta/dataplane`",
        "rotations: `rekeyd explain beta/dataplane` says what to do",
    ] {
        let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(expected), "`{expected}` is not in\n{text}");
    }
}

#[test]
fn a_warning_is_told_at_the_first_reload_and_counted_at_the_next() {
    let ground = Ground::named("a daemon");
    let before = fs::read_to_string(ground.path("rekeyd.toml")).unwrap();
    let reload = |fleet: &str| {
        ground.write("rekeyd.toml", &format!("{before}\n[fleet]\n{fleet}"), 0o644);
        told(&ground, &["reload"], 0).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let stays = "1 warning stays as before: `rekeyd check-config`";
    let lines = reload("halt-percent = 100\n");
    assert_eq!((lines.len(), lines[0].as_str()), (2, "reloaded: 3 credentials"), "{lines:?}");
    assert!(lines[1].contains(": warning: `halt-percent`"), "{lines:?}");
    assert_eq!(reload("# A line above it.\nhalt-percent = 100\n"), ["reloaded: 3 credentials", stays]);
    let lines = reload("halt-percent = 100\nfuse-percent = 100\n");
    assert!(lines[1].contains(": warning: `fuse-percent`") && lines[2] == stays, "{lines:?}");
    let whole = told(&ground, &["check-config"], 0);
    assert_eq!(whole.matches(": warning: ").count(), 2, "{whole}");
    assert_eq!(reload(""), ["reloaded: 3 credentials"]);
}

#[test]
fn who_does_not_answer_is_told_of_before_anybody_looks_again() {
    let ground = Ground::named("a daemon");
    let text = told(&ground, &["rotate", "acme/dataplane"], 0);
    assert!(text.contains("\nit cannot begin before SAP answers: the issuer could not be seen: "), "{text}");
    let text = told(&ground, &["status"], 3);
    assert!(text.contains("\nno answer  `127.0.0.1:1` since [time], called last [time]: "), "{text}");
    // It is halted, and so nobody looks at it.
    let text = told(&ground, &["status", "beta/dataplane"], 3);
    assert!(text.contains("`127.0.0.1:1` does not answer since [time] UTC"), "{text}");
}
