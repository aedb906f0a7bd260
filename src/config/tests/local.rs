//! Consumers beside rekeyd.

use std::path::Path;
use std::time::Duration;

use super::{Edit, World, loaded};
use crate::config::tenant::{Credential, Owner, Way};
use crate::domain::names::Role;
use crate::domain::policy::{Provision, Witness};

const KEYS: &str = r#"[credential.keys]
ciapi = { service-instance = "6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01" }
cirt = { service-instance = { name = "cirt", space = "prod", org = "acme" }, key = "by-hand" }
"#;

/// The tenant with another consumer, whose section is `section`.
fn edits(consumer: &'static str, section: &'static str) -> [Edit; 3] {
    [
        Edit::Tenant("[dataspace]\nservice-key = { file = \"dsi.json\" }\n", ""),
        Edit::Tenant("consumer = \"dataspace\"", consumer),
        Edit::Tenant(KEYS, section),
    ]
}

fn made(consumer: &'static str, section: &'static str) -> Credential {
    loaded(&edits(consumer, section)).config.tenants[0].credentials[0].clone()
}

fn told(consumer: &'static str, section: &'static str) -> Vec<String> {
    World::new(&edits(consumer, section)).messages()
}

const SOLE: &str =
    "\n[credential.keys]\nsole = { service-instance = \"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01\" }\n";

#[test]
fn a_file_with_a_check_needs_no_person() {
    let section = "[credential.file]\npath = \"/srv/key.json\"\nmode = \"640\"\nowner = \"root:0\"\nreload = [\"/bin/true\", \"it\"]\ncheck = [\"/bin/true\"]\ntimeout = \"5 s\"\n[credential.keys]\nsole = { service-instance = \"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01\" }\n";
    let credential = made("consumer = \"file\"", section);
    let policy = &credential.policy;
    assert_eq!((policy.roles.as_slice(), &policy.witness), (&[Role::Sole][..], &Witness::Consumer));
    assert_eq!((policy.provision, policy.settle), (Provision::Never, Duration::ZERO));
    assert_eq!(
        (policy.deadline, policy.pin.consumer.as_str()),
        (Duration::from_mins(30), "file /srv/key.json")
    );
    let local = credential.local.unwrap();
    assert_eq!(local.check.unwrap().timeout, Duration::from_secs(5));
    let Way::File { path, mode, owner, reload } = local.way else { panic!() };
    assert_eq!((path.as_path(), mode), (Path::new("/srv/key.json"), 0o640));
    assert_eq!(owner, Owner { user: Some(0), group: Some(0) });
    assert_eq!(reload.unwrap().arguments, ["it"]);
}

#[test]
fn without_a_check_a_person_is_the_witness() {
    let credential = made(
        "consumer = \"command\"",
        "[credential.command]\ndeliver = [\"/bin/true\"]\n[credential.keys]\nsole = { service-instance = \"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01\" }\n",
    );
    assert!(
        matches!(&credential.policy.witness, Witness::Person { instruction } if instruction.contains("look"))
    );
    assert_eq!(credential.policy.deadline, Duration::from_hours(7 * 24));
    let manual = made(
        "consumer = \"manual\"",
        "[credential.manual]\ninstruction = \"upload it\"\ndeadline = \"2 days\"\n[credential.keys]\nsole = { service-instance = \"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01\" }\n",
    );
    assert_eq!(manual.policy.witness, Witness::Person { instruction: "upload it".to_owned() });
    assert_eq!(manual.policy.deadline, Duration::from_hours(48));
    assert_eq!(manual.local.unwrap().way, Way::Manual);
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    assert_eq!(
        told("consumer = \"manual\"", SOLE),
        [
            "tenants.d/acme.toml:12:12: error: `consumer` in `[[credential]]` is `manual`, but there is no section `[credential.manual]`; add the section `[credential.manual]` below it"
        ]
    );
    assert_eq!(
        told(
            "consumer = \"manual\"",
            "[credential.manual]\ninstruction = \"do it\"\n[credential.keys]\nciapi = { service-instance = \"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01\" }\n"
        ),
        [
            "tenants.d/acme.toml:17:13: error: missing key `sole` in `[credential.keys]`: expected a section",
            "tenants.d/acme.toml:18:9: error: `ciapi` in `[credential.keys]` means nothing to consumer `manual`: expected `sole`; take it out",
        ]
    );
    assert_eq!(
        told(
            "consumer = \"file\"",
            "[credential.file]\npath = \"/srv/key.json\"\nmode = \"rw\"\nowner = \"nobody-of-this-name\"\nreload = \"systemctl reload it\"\ncheck = [\"check\", \"it\"]\n[credential.keys]\nsole = { service-instance = \"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01\" }\n"
        ),
        [
            "tenants.d/acme.toml:17:8: error: `mode` in `[credential.file]` is `rw`: expected permissions such as `0600`",
            "tenants.d/acme.toml:18:9: error: `owner` in `[credential.file]` is `nobody-of-this-name`: expected `user`, `user:group` or `:group`; this machine knows no user `nobody-of-this-name`",
            "tenants.d/acme.toml:19:10: error: `reload` in `[credential.file]` is a text: expected a list that begins with the whole path of a program; no shell is used: each argument is a text of its own",
            "tenants.d/acme.toml:20:9: error: `check` in `[credential.file]` begins with `check`, which is no whole path: expected a list that begins with the whole path of a program",
        ]
    );
}

#[test]
fn the_time_a_person_may_take_is_part_of_the_lead() {
    let section = "[credential.manual]\ninstruction = \"do it\"\ndeadline = \"30 days\"\n[credential.keys]\nsole = { service-instance = \"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01\" }\n";
    let told = told("consumer = \"manual\"", section);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].contains("`lead` in `[[credential]]` is 30 days: expected at least 33 days"),
        "{told:#?}"
    );
}

#[test]
fn the_pair_is_still_the_data_spaces() {
    let told = World::new(&[Edit::Tenant("ciapi = {", "sole = {")]).messages();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told.iter()
            .any(|line| line.contains("missing key `ciapi` in `[credential.keys]`: expected a section"))
    );
    assert!(
        told.iter()
            .any(|line| line.contains("`sole` in `[credential.keys]` means nothing to consumer `dataspace`"))
    );
}
