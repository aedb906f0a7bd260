//! A tenant whose keys are made by Service Manager: how it is read, and what is said of one that is wrong.

use super::Edit::{File, Tenant};
use super::broken::check;
use super::{Edit, loaded};
use crate::config::tenant::Place;
use crate::domain::names::Role;
use crate::secret::ClientProof;

const KEY: &str = r#"{"clientid": "sb-1!b1|service-manager!b2", "clientsecret": "NotARealSecret", "xsappname": "x",
    "sm_url": "https://service-manager.example.com/", "url": "https://acme.authentication.example.com"}"#;

const CERTIFICATE: &str = r#"{"credentials": {"clientid": "sb-1!b1|service-manager!b2", "key": "-----BEGIN RSA PRIVATE KEY-----\\nNotARealSecret\\n-----END RSA PRIVATE KEY-----\\n",
    "certificate": "-----BEGIN CERTIFICATE-----\\nMIIE\\n-----END CERTIFICATE-----\\n", "certUrl": "https://acme.authentication.cert.example.com",
    "sm_url": "https://service-manager.example.com", "url": "https://acme.authentication.example.com"}}"#;

const CF: &str = "[cloud-foundry]\napi = \"https://api.cf.example.com\"\nlogin = { user = \"robot\", password = { file = \"password\" } }\n";
const SECTION: Edit = Tenant(CF, "[service-manager]\nservice-key = { file = \"sm.json\" }\n");
const ISSUER: Edit = Tenant("issuer = \"cloud-foundry\"", "issuer = \"service-manager\"");
const NAMED: &str = "{ name = \"cirt\", space = \"prod\", org = \"acme\" }";
const GUID: Edit = Tenant(NAMED, "\"a90e0b9e-2a64-4c1e-9d57-0c5f7d1f6a01\"");

#[test]
fn its_key_is_taken_as_it_was_downloaded() {
    let config = loaded(&[SECTION, ISSUER, GUID, File("sm.json", KEY, 0o600)]).config;
    let [tenant] = config.tenants.as_slice() else { panic!("{config:?}") };
    let manager = tenant.service_manager.as_ref().expect("the tenant has a Service Manager");
    assert_eq!(manager.url, "https://service-manager.example.com");
    assert_eq!(manager.key.token_url, "https://acme.authentication.example.com/oauth/token");
    assert_eq!(manager.calls_per_hour, 5400);
    let credential = &tenant.credentials[0];
    assert_eq!(credential.policy.issuer, "service-manager");
    assert_eq!(
        credential.places[&Role::Cirt],
        Place::Guid("a90e0b9e-2a64-4c1e-9d57-0c5f7d1f6a01".to_owned())
    );
    // Another Service Manager, or another instance there, is another environment.
    assert_eq!(credential.policy.pin.issuer, manager.url);
    assert_eq!(credential.policy.pin.places[&Role::Ciapi], "6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01");
}

#[test]
fn a_certificate_logs_in_at_its_own_address() {
    let config = loaded(&[SECTION, ISSUER, GUID, File("sm.json", CERTIFICATE, 0o600)]).config;
    let manager = config.tenants[0].service_manager.as_ref().expect("the tenant has a Service Manager");
    assert!(matches!(manager.key.proof, ClientProof::Certificate { .. }));
    assert_eq!(manager.key.token_url, "https://acme.authentication.cert.example.com/oauth/token");
    assert_eq!(manager.url, "https://service-manager.example.com");
}

#[test]
fn what_is_wrong_is_said() {
    check(
        &[ISSUER],
        &[
            "tenants.d/acme.toml:13:10: error: `issuer` in `[[credential]]` is `service-manager`, but there is no section `[service-manager]`; add the section `[service-manager]`",
            "tenants.d/acme.toml:19:29: error: `service-instance` in `[credential.keys.cirt]` is no guid, and Service Manager knows no spaces: expected the guid of the instance, as the cockpit shows it",
        ],
    );
    check(
        &[
            SECTION,
            ISSUER,
            Tenant("service-instance = { name = \"cirt\", space = \"prod\", org = \"acme\" }, ", ""),
            File("sm.json", KEY, 0o600),
        ],
        &[
            r#"tenants.d/acme.toml:18:1: error: missing key `service-instance` in `[credential.keys.cirt]`: expected a guid or `{ name = "…", space = "…", org = "…" }`"#,
        ],
    );
    // The key of another service.
    check(
        &[SECTION, ISSUER, GUID, File("sm.json", super::SERVICE_KEY, 0o600)],
        &[
            "tenants.d/acme.toml:8:15: error: the service key of `[service-manager]` has no `sm_url`: expected a key of an instance of `service-manager`, plan `subaccount-admin`; check which key this is",
        ],
    );
}

#[test]
fn a_key_with_addresses_in_the_open_is_refused() {
    const OPEN: &str = r#"{"clientid": "c", "clientsecret": "NotARealSecret", "sm_url": "http://sm.example.com", "url": "http://auth.example.com"}"#;
    let said = |name: &str| {
        format!(
            "tenants.d/acme.toml:8:15: error: `{name}` of the service key of `[service-manager]` is an `http` address, over which secrets travel in the open: expected `https`; for a sandbox on this machine, set `http.allow-http`"
        )
    };
    let expected = [said("sm_url"), said("url")];
    check(&[SECTION, ISSUER, GUID, File("sm.json", OPEN, 0o600)], &expected.each_ref().map(String::as_str));
}

#[test]
fn a_copied_tenant_is_noticed() {
    let world = super::World::new(&[SECTION, ISSUER, GUID, File("sm.json", KEY, 0o600)]);
    let copy = std::fs::read_to_string(world.path("tenants.d/acme.toml")).unwrap();
    world.write("tenants.d/zeta.toml", &copy.replace("\"acme\"\n", "\"zeta\"\n"), 0o644);
    let messages = world.messages();
    assert_eq!(messages.len(), 2, "{messages:#?}");
    assert!(messages[0].contains("is also that of `acme/dataplane`"), "{messages:#?}");
}
