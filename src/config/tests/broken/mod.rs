//! Inputs and their fate: one table per kind of input.

mod daemon;
mod secrets;
mod tenant;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::{Edit, TENANT, World};
use crate::config::environment::Environment;
use crate::config::secrets::Look;
use crate::config::{document, excerpt, keys, reader};

/// Loads the edited folder and compares every word that is said of it.
#[track_caller]
pub(super) fn check(edits: &[Edit], expected: &[&str]) {
    let world = World::new(edits);
    let result = world.load();
    assert!(!format!("{result:?}").contains("NotARealSecret"));
    let is_refused = expected.iter().any(|message| message.contains(": error: "));
    assert_eq!(result.is_err(), is_refused);
    assert_eq!(world.said(result), expected);
}

#[test]
fn files_that_are_none() {
    let said = |name: &str, bytes: &[u8]| {
        let world = World::new(&[]);
        fs::write(world.path(name), bytes).unwrap();
        world.messages()
    };
    assert_eq!(
        said("rekeyd.toml", b"version = 1\n\xff"),
        ["rekeyd.toml:2:1: error: this is no text (UTF-8); save the file as UTF-8"]
    );
    let long = said("tenants.d/acme.toml", " ".repeat((1 << 20) + 1).as_bytes());
    assert_eq!(
        long,
        [
            "tenants.d/acme.toml: error: this file is longer than 1 MiB; see whether it is another file: a configuration has some lines"
        ]
    );
    let world = World::new(&[]);
    fs::remove_file(world.path("rekeyd.toml")).unwrap();
    assert_eq!(
        world.messages(),
        [
            "rekeyd.toml: error: this file cannot be read (there is none); make it, or name another with `--config`"
        ]
    );
}

#[test]
fn a_copied_tenant_is_noticed() {
    let world = World::new(&[]);
    world.write("tenants.d/zeta.toml", &TENANT.replace("\"acme\"\n", "\"zeta\"\n"), 0o644);
    let warning = |line: &str, role: &str, first: &str| {
        format!(
            "tenants.d/zeta.toml:{line}: warning: `service-instance` in `[credential.keys.{role}]` is also that of \
             `acme/dataplane`, at tenants.d/acme.toml:{first}: expected an instance of its own; each would take the \
             other's keys for a stranger's: if the file was copied, set the instance of this tenant"
        )
    };
    assert_eq!(world.messages(), [warning("18:30", "ciapi", "18:30"), warning("19:29", "cirt", "19:29")]);
    assert!(world.load().is_ok(), "it is allowed");
}

#[test]
fn the_daemons_problems_do_not_hide_the_tenants() {
    let edits = [Edit::Daemon("version", "verson"), Edit::Tenant("30 days", "1 day")];
    let messages = World::new(&edits).messages();
    assert_eq!(messages.len(), 3, "{messages:#?}");
    assert!(messages[2].starts_with("tenants.d/acme.toml:15:8: error: `lead`"), "{messages:#?}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(at in 0..TENANT.len(), length in 0_usize..40, noise in "[ -~\\n]{0,12}|\\PC{0,6}") {
        let mut text = TENANT.replace("{ file = \"password\" }", "\"NotARealSecret\"");
        let start = at.min(text.len());
        text.replace_range(start..(start + length).min(text.len()), &noise);
        let mut problems = Vec::new();
        match document::read(Path::new("a.toml"), &text) {
            Ok(node) => {
                let environment = Environment::default();
                let look = Look {
                    environment: &environment, folder: Path::new("/nowhere"), file_stem: None, allow_http: false,
                };
                reader::read(keys::TENANT, &node, &look, &mut problems);
            }
            Err(found) => problems = found,
        }
        prop_assert!(!problems.is_empty(), "a password in the file is always a problem");
        for problem in problems {
            let message = problem.to_string();
            prop_assert!(!message.contains('\n'));
            prop_assert!(!message.contains("NotARealSecret"));
            if let Some((line, column)) = problem.site.line_and_column() {
                let line = text.lines().nth(line - 1).unwrap_or_default();
                let (shown, caret) = excerpt::masked(line, column, &problem.found);
                prop_assert!(!shown.contains("NotARealSecret"), "{shown}");
                prop_assert!(caret <= shown.chars().count(), "{shown}");
            }
        }
    }
}
