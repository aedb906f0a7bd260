//! The pages for people, of the real process.

use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::tenant::TenantPlan;

use crate::fleet::{Fleet, Knobs};
use crate::metrics::get;
use crate::{prompt, quick};

#[tokio::test(flavor = "multi_thread")]
async fn the_page_tells_what_the_status_tells() {
    let plans =
        [TenantPlan::new("acme").aged(345).with(prompt()), TenantPlan::new("young").aged(20).with(prompt())];
    let fleet =
        Fleet::new(quick(Scenario::of(plans)).kindly(), Knobs { soak: "1 h", ..Knobs::default() }).await;
    let rekeyd = fleet.start().await;
    fleet.until("acme", "soaking", |status| status.phase == "soaking").await;
    let young = fleet.until("young", "recognised", |status| status.phase == "settled").await;
    let hostile = "<script>alert(1)</script>";
    assert_eq!(fleet.ask(&["hold", "young/dataplane", "--reason", hostile]).status.code(), Some(0));
    let pages = rekeyd.pages();

    let (status, front) = get(&format!("{pages}/")).await;
    assert_eq!(status, 200);
    assert!(front.contains("2 credentials of 2 tenants; 1 rotation under way"), "{front}");
    assert!(front.contains("aria-current=\"step\""), "the phase of now is marked: {front}");
    let due = young.due_at.unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    assert!(front.contains(&format!("datetime=\"{due}\"")), "{due}: {front}");
    assert!(front.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !front.contains("<script"), "{front}");
    assert!(front.contains("<code>rekeyd unhold young/dataplane</code>"), "{front}");
    assert!(front.contains("content-security-policy: default-src 'none';"), "{front}");

    let (status, found) = get(&format!("{pages}/?q=ACM&show=rotating")).await;
    assert_eq!((status, found.matches("role=\"rowheader\"").count()), (200, 1), "{found}");

    let (status, tenant) = get(&format!("{pages}/tenants/acme")).await;
    assert_eq!(status, 200);
    for told in ["the consumer is proven to work", "rekeyd-ciapi-g1-", "Soak ends", "(now)"] {
        assert!(tenant.contains(told), "{told}: {tenant}");
    }
    assert_eq!(tenant.matches("(done)").count(), 4, "{tenant}");

    let (status, unknown) = get(&format!("{pages}/tenants/acmee")).await;
    assert!(status == 404 && unknown.contains("did you mean <code>acme</code>?"), "{unknown}");
    assert!(rekeyd.stop().await.success());
    fleet.assert_clean();
}
