//! The shipped files: they load, and the reference says what the program says.

use std::fs;
use std::path::Path;

use super::{Edit, SERVICE_KEY, World, loaded};
use crate::config::Loaded;
use crate::config::reference::{TENANT_PART, render};
use crate::domain::policy::Limits;

const MANAGER_KEY: &str = r#"{"clientid": "c", "clientsecret": "NotARealSecret", "sm_url": "https://sm.example.com",
    "url": "https://auth.example.com"}"#;

const CIS_KEY: &str = r#"{"uaa": {"clientid": "c", "clientsecret": "NotARealSecret", "url": "https://auth.example.com"},
    "endpoints": {"accounts_service_url": "https://a.example.com", "provisioning_service_url": "https://p.example.com"}}"#;

const CERTIFICATES: &str = "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----\n";

pub(super) fn shipped(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)).unwrap()
}

/// Loads a daemon's and a tenant's text in a folder that has all they refer to.
fn load(daemon: &str, tenant: &str) -> Loaded {
    let world = World::new(&[Edit::Env("CREDENTIALS_DIRECTORY", "{folder}"), Edit::NoFile("acme.toml")]);
    let folder = world.path("").display().to_string();
    let placed = |text: &str| text.replace("/etc/rekeyd/", &folder);
    fs::create_dir(world.path("keys")).unwrap();
    world.write("keys/acme-dsi.json", SERVICE_KEY, 0o640);
    world.write("keys/acme-sm.json", MANAGER_KEY, 0o640);
    world.write("keys/cis.json", CIS_KEY, 0o640);
    world.write("keys/cis-acme.json", CIS_KEY, 0o640);
    world.write("tenants_acme-cf", "NotARealSecret", 0o600);
    world.write("portal-seal", "NotARealSecret, and long enough to seal with", 0o600);
    world.write("ca.pem", CERTIFICATES, 0o644);
    world.write("web.config.yml", "", 0o644);
    world.write("rekeyd.toml", &placed(daemon), 0o644);
    world.write("tenants.d/sample.toml", &placed(tenant), 0o644);
    world.load().unwrap_or_else(|_| panic!("the sample loads: {:#?}", world.messages()))
}

/// Turns the keys of the reference on: lines that begin with `#` and no blank.
pub(super) fn switched_on(text: &str) -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(on).collect()
}

#[test]
fn the_samples_load_without_a_warning() {
    let loaded = load(&shipped("rekeyd.toml"), &shipped("tenants.d/example.toml"));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.tenants.len(), 1);
}

#[test]
fn the_reference_is_the_table_of_keys() {
    if std::env::var_os("BLESS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/reference.toml"), render()).unwrap();
    }
    assert_eq!(shipped("reference.toml"), render(), "run the test once with BLESS=1");
}

#[test]
fn every_line_of_the_reference_is_right() {
    let text = render();
    let (daemon, tenant) = text.split_once(TENANT_PART).expect("the reference has two parts");
    let tenant = switched_on(tenant);
    let (pair, sole) = tenant.split_once("[credential.keys.sole]").expect("the one key stands last");
    assert_eq!(load(&switched_on(daemon), pair).warnings, []);
    // With another consumer it is the one key and not the pair.
    let (before, _) = pair.split_once("[credential.keys.ciapi]").expect("the pair stands before it");
    let to_a_person = before.replace("consumer = \"dataspace\"", "consumer = \"manual\"");
    assert_ne!(to_a_person, before);
    // An instance has no technical user, and a technical user no instance.
    let without = |names: &[&str]| {
        let kept =
            sole.lines().filter(|line| !names.iter().any(|name| line.starts_with(&format!("{name} ="))));
        kept.flat_map(|line| [line, "\n"]).collect::<String>()
    };
    let of_instance = without(&["technical-user", "replace", "since"]);
    let loaded = load(&switched_on(daemon), &format!("{to_a_person}[credential.keys.sole]{of_instance}"));
    assert_eq!(loaded.warnings, []);
    let at_portal = to_a_person.replace("issuer = \"cloud-foundry\"", "issuer = \"portal\"");
    let of_portal = without(&["service-instance"]);
    let loaded = load(&switched_on(daemon), &format!("{at_portal}[credential.keys.sole]{of_portal}"));
    assert_eq!(loaded.warnings, []);
    assert!(loaded.config.tenants[0].credentials[0].policy.pin.in_place);
}

#[test]
fn the_defaults_are_the_domains() {
    let config = loaded(&[]).config;
    assert_eq!(config.daemon.limits, Limits::default());
    assert_eq!(config.daemon.rules, crate::domain::fleet::Rules::default());
    assert_eq!(config.tenants[0].credentials[0].policy.window, crate::domain::window::Window::DEFAULT);
}
