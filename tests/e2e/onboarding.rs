//! `register` and `provision` on the sandbox.

use serde_json::Value;

use sap_sandbox::faults::{Fault, Rule};
use sap_sandbox::request::Operation;

use crate::fleet::{Fleet, Knobs};
use crate::{one, prompt};

const REGISTRATION: &str = r#"
[registration]
bpn = "BPNL000000000EX1"
location = "DE"
connector-name = "acme"
connector-url = "https://acme.dsi.example/"
connector-user = "sa123"
connector-secret = { file = "../hook" }
central-idp-token-url = "https://centralidp.example/token"
backend-portal-url = "https://portal.example"
bdrs-server-url = "https://bdrs.example"
did = "did:web:wallet.example:BPNL000000000EX1"
trusted-issuers = ["did:web:issuer.example"]
wallet-user = "sb-dim"
wallet-secret = { file = "../hook" }
wallet-token-url = "https://wallet.example/oauth/token"
wallet-url = "https://dim.example"
"#;

fn configured(fleet: &Fleet) {
    fleet.write("hook", "NotARealSecret");
    let text = fleet.tenant_file("acme");
    let (head, rest) = text.split_once("[[credential]]").unwrap();
    fleet.write("tenants.d/acme.toml", &format!("{head}{REGISTRATION}[[credential]]{rest}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_is_registered_after_a_look_at_what_is_sent() {
    let fleet = Fleet::new(one(prompt()).kindly(), Knobs::default()).await;
    configured(&fleet);
    // Nobody is there to answer: nothing is sent.
    let output = fleet.ask(&["register", "acme"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("/registration") && shown.contains("\"BPN\": \"BPNL000000000EX1\""), "{shown}");
    assert!(shown.contains("[secret]") && !shown.contains("NotARealSecret"), "{shown}");
    let before = fleet.sandbox.books().misconduct.len();
    let output = fleet.ask(&["register", "acme", "--yes", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((told["tenant"].as_str(), told["status"].as_u64()), (Some("acme"), Some(202)));
    assert_eq!(fleet.sandbox.books().misconduct.len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_plane_is_provisioned_and_followed_to_its_end() {
    let fleet = Fleet::new(one(prompt()).kindly(), Knobs::default()).await;
    let output = fleet.ask(&["provision", "acme"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("provisioning is asked for") && shown.contains("(success)"), "{shown}");
    fleet.assert_safe();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_under_way_is_not_spoiled() {
    let knobs = Knobs { soak: "1 h", ..Knobs::default() };
    let fleet = Fleet::new(one(prompt()).kindly(), knobs).await;
    let rekeyd = fleet.start().await;
    fleet.until("acme", "soaking", |status| status.phase == "soaking").await;
    let output = fleet.ask(&["provision", "acme"]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("a rotation under way (`soaking`)"));
    // Nor while no daemon runs: the next round of a timer goes on with it.
    rekeyd.kill();
    let output = fleet.ask(&["provision", "acme"]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_space_without_the_call_says_where_a_person_does_it() {
    let fleet = Fleet::new(one(prompt()).kindly(), Knobs::default()).await;
    fleet.sandbox.inject(
        Rule::always(Fault::Status { code: 404, body: None, retry_after: None })
            .on(Operation::StartDataplane),
    );
    let output = fleet.ask(&["provision", "acme"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("Onboard the Data Plane"));
}
