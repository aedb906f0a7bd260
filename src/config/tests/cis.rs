//! Global accounts that are looked at.

use std::time::Duration;

use super::{Edit, World, loaded};
use crate::domain::window::Window;

const KEY: &str = r#"{"endpoints": {"accounts_service_url": "https://accounts-service.cfapps.eu10.hana.ondemand.com",
    "novelty_url": "https://other.example"}, "grant_type": "client_credentials", "sap.cloud.service": "com.sap.core.commercial",
    "uaa": {"clientid": "sb-ut!b1|cis-central!b2", "clientsecret": "NotARealSecret", "identityzone": "ga-sub",
    "subaccountid": "aa", "url": "https://ga-sub.authentication.eu10.hana.ondemand.com"}}"#;

const LOCAL: &str = r#"{"endpoints": {"provisioning_service_url": "https://provisioning-service.cfapps.eu10.hana.ondemand.com"},
    "grant_type": "user_token", "uaa": {"clientid": "c", "clientsecret": "NotARealSecret", "url": "https://a.example"}}"#;

fn with(section: &'static str) -> [Edit; 3] {
    let daemon = Edit::Daemon("instance = \"one\"\n", section);
    [daemon, Edit::File("cis.json", KEY, 0o600), Edit::File("local.json", LOCAL, 0o600)]
}

#[test]
fn an_account_is_read_with_its_defaults() {
    let config = loaded(&with(
        "instance = \"one\"\n[[cis]]\nname = \"main\"\nservice-key = { file = \"tenants.d/cis.json\" }\n\
         ignore = [\"0B9E6F1C-2a64-4c1e-9d57-0c5f7d1f6a01\"]\ncreated = \"2026-01-31\"\n\
         [[cis]]\nname = \"other\"\nservice-key = { file = \"tenants.d/cis.json\" }\nevery = \"10 s\"\nwindow = \"90 days\"\n",
    ))
    .config;
    let [main, other] = config.daemon.cis.as_slice() else { panic!() };
    assert_eq!((main.every, main.window), (Duration::from_hours(6), Window::Months(12)));
    assert!(main.ignore.contains("0b9e6f1c-2a64-4c1e-9d57-0c5f7d1f6a01"), "guids are in lower case");
    assert_eq!(main.created.unwrap().to_rfc3339(), "2026-01-31T00:00:00+00:00");
    assert_eq!((other.every, other.created), (Duration::from_secs(10), None));
    assert_eq!(main.key.home().subdomain.as_deref(), Some("ga-sub"));
    assert!(!format!("{:?}", config.daemon).contains("NotARealSecret"));
}

#[test]
fn a_tenant_may_say_where_it_is() {
    let said = "id = \"acme\"\nsubaccount = \"0B9E6F1C-2a64-4c1e-9d57-0c5f7d1f6a01\"\n";
    let config = loaded(&[Edit::Tenant("id = \"acme\"\n", said)]).config;
    assert_eq!(config.tenants[0].subaccount.as_deref(), Some("0b9e6f1c-2a64-4c1e-9d57-0c5f7d1f6a01"));
    let lines =
        World::new(&[Edit::Tenant("id = \"acme\"\n", "id = \"acme\"\nsubaccount = \"acme\"\n")]).messages();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("`subaccount` is `acme`: expected a guid such as"), "{lines:?}");
}

#[test]
fn what_is_wrong_with_an_account_is_named() {
    let lines = World::new(&with(
        "instance = \"one\"\n[[cis]]\nname = \"a\"\nservice-key = { file = \"tenants.d/dsi.json\" }\n\
         ignore = [\"all of them\"]\ncreated = \"31.1.2026\"\nwindow = \"20 days\"\n\
         [[cis]]\nname = \"b\"\nservice-key = { file = \"tenants.d/cis.json\" }\n\
         [[cis.local]]\nservice-key = { file = \"tenants.d/local.json\" }\n\
         [[cis]]\nname = \"b\"\nservice-key = { file = \"tenants.d/cis.json\" }\nevry = \"1 h\"\n",
    ))
    .messages();
    let all = lines.join("\n");
    for part in [
        "the service key of `[[cis]]` has no `accounts_service_url`: expected a key of an instance of Cloud Management \
         Service, plan `central-viewer`; check which key this is",
        "`ignore` in `[[cis]]` holds `all of them`, which is no guid: expected guids of subaccounts, as `rekeyd discover \
         --json` shows them",
        "`created` in `[[cis]]` is `31.1.2026`: expected a day such as `2026-01-31`",
        "`lead` in `[[cis]]` is 30 days, and the window no longer than that: expected less than the window",
        "the service key of `[[cis.local]]` is for the grant `user_token`, which needs a person: expected `client_credentials`",
        "cis `b` is already there: expected a name of its own",
        "unknown key `evry` in `[[cis]]`",
    ] {
        assert!(all.contains(part), "{part}\n{all}");
    }
    assert_eq!(lines.len(), 7, "{all}");
}
