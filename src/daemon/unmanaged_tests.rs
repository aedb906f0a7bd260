//! Where the tenants are, by their files and keys.

use super::*;
use crate::config::environment::Environment;
use crate::config::load::load;

const TENANT: &str = r#"version = 1
id = "acme"

[dataspace]
service-key = { file = "dsi.json" }

[cloud-foundry]
api = "https://api.cf.example.com"
login = { user = "robot", password = { file = "password" } }

[[credential]]
name = "dataplane"
issuer = "cloud-foundry"
consumer = "dataspace"

[credential.keys]
ciapi = { service-instance = "6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01" }
cirt = { service-instance = { name = "cirt", space = "prod", org = "acme-org" } }
"#;

const GUID: &str = "0b9e6f1c-2a64-4c1e-9d57-0c5f7d1f6a01";

/// The marks of a tenant with this file and this data space.
fn marks_with(tenant: &str, oauth: &str) -> Marks {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    std::fs::create_dir(folder.path().join("tenants.d")).unwrap();
    write("rekeyd.toml", "version = 1\ninstance = \"one\"\n");
    write("tenants.d/acme.toml", tenant);
    write("tenants.d/password", "NotARealSecret");
    let key = format!(
        r#"{{"oauth": {{"clientid": "c", "clientsecret": "NotARealSecret", "url": "https://dsi.example.com", {oauth}}}}}"#
    );
    write("tenants.d/dsi.json", &key);
    let loaded = load(&folder.path().join("rekeyd.toml"), &Environment::default()).unwrap();
    marks(&loaded.config).remove(&"acme".parse().unwrap()).unwrap()
}

#[test]
fn a_tenant_is_where_its_keys_say_and_where_its_file_says() {
    let host = r#""tokenurl": "https://acme-x1.authentication.eu10.hana.ondemand.com/oauth/token""#;
    let found = marks_with(TENANT, host);
    assert_eq!(
        found.subdomains.iter().collect::<Vec<_>>(),
        [&("acme-x1".to_owned(), Some("eu10".to_owned()))]
    );
    assert_eq!(
        found.organizations.iter().collect::<Vec<_>>(),
        [&("https://api.cf.example.com".to_owned(), "acme-org".to_owned())]
    );
    let named =
        marks_with(TENANT, r#""tokenurl": "https://t.example.com/oauth/token", "subaccountid": "s1""#);
    assert_eq!(named.subaccounts.iter().collect::<Vec<_>>(), ["s1"]);
    let said = TENANT
        .replace("id = \"acme\"\n", &format!("id = \"acme\"\nsubaccount = \"{}\"\n", GUID.to_uppercase()));
    let said = marks_with(&said, host);
    let expected = Marks { subaccounts: [GUID.to_owned()].into(), ..Marks::default() };
    assert_eq!(said, expected, "the operator knows better");
}
