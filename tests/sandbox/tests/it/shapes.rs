//! The documented shapes, one service after the other.

use reqwest::Method;
use sap_sandbox::scenario::tenant::{Role, TenantPlan};
use sap_sandbox::scenario::{CloudFoundry, Scenario, TokenLives};
use sap_sandbox::world::change::Change;
use serde_json::{Value, json};

use crate::client::{Client, entry, http};

#[tokio::test]
async fn root_links_lead_to_the_rest_on_both_listeners() {
    let client = Client::kind().await;
    for base in [client.sandbox.http_base.clone(), client.sandbox.https_base.clone()] {
        for path in ["/cf", "/cf/"] {
            let body: Value =
                client.http.get(format!("{base}{path}")).send().await.unwrap().json().await.unwrap();
            assert_eq!(body["links"]["cloud_controller_v3"]["href"], format!("{base}/cf/v3"));
            assert_eq!(body["links"]["uaa"]["href"], format!("{base}/uaa"));
            assert!(body["links"]["login"]["href"].is_string());
        }
    }
}

#[tokio::test]
async fn a_password_is_checked_and_an_account_locked() {
    let client = Client::kind().await;
    for _ in 0..5 {
        let reply = client.password("wrong").await;
        assert_eq!(reply.status(), 401);
        let body: Value = reply.json().await.unwrap();
        assert_eq!(body["error_description"], "Bad credentials");
    }
    let reply = client.password(&client.access.password).await;
    assert_eq!(reply.status(), 401);
    assert!(reply.text().await.unwrap().contains("has been locked"));
    client.sandbox.change(Change::CfLogin { works: true }).unwrap();
    assert_eq!(client.password(&client.access.password).await.status(), 200);
}

#[tokio::test]
async fn a_refresh_token_is_as_good_as_the_password() {
    let client = Client::kind().await;
    let first: Value = client.password(&client.access.password).await.json().await.unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", first["refresh_token"].as_str().unwrap())];
    let url = format!("{}/uaa/oauth/token", client.sandbox.https_base);
    let reply = client.http.post(&url).basic_auth("cf", Some("")).form(&form).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let without_client = client.http.post(&url).form(&form).send().await.unwrap();
    assert_eq!(without_client.status(), 401);
}

#[tokio::test]
async fn the_origin_has_to_fit() {
    let plan = CloudFoundry { origin: Some("acme-idp".to_owned()), ..CloudFoundry::default() };
    let scenario = Scenario { cloud_foundry: plan, ..Scenario::of([TenantPlan::new("acme")]) };
    let sandbox = sap_sandbox::Sandbox::start(scenario.kindly()).await.unwrap();
    let (http, access) = (http(&sandbox.ca_pem, None), sandbox.access("acme").unwrap());
    for (origin, expected) in [(Some("acme-idp"), 200), (Some("sap.ids"), 401), (None, 401)] {
        let mut request =
            http.post(format!("{}/uaa/oauth/token", sandbox.https_base)).basic_auth("cf", Some(""));
        if let Some(origin) = origin {
            request = request.query(&[("login_hint", json!({ "origin": origin }).to_string())]);
        }
        let form = [("grant_type", "password"), ("username", &access.user), ("password", &access.password)];
        assert_eq!(request.form(&form).send().await.unwrap().status(), expected, "{origin:?}");
    }
}

#[tokio::test]
async fn tokens_expire() {
    let lives = TokenLives { cloud_foundry: 60, ..TokenLives::default() };
    let client = Client::of(Scenario { token_lives: lives, ..Scenario::of([TenantPlan::new("acme")]) }).await;
    assert_eq!(client.get("/v3/service_instances").await.0, 200);
    client.sandbox.change(Change::Clock { advance_seconds: 61 }).unwrap();
    let (status, body) = client.get("/v3/service_instances").await;
    assert_eq!((status.as_u16(), &body["errors"][0]["code"]), (401, &json!(1000)));
}

#[tokio::test]
async fn instances_are_found_by_name() {
    let client = Client::kind().await;
    let path = format!("/v3/service_instances?names=acme-cirt&space_guids={}", client.access.space_guid);
    let (_, body) = client.get(&path).await;
    assert_eq!(body["pagination"]["total_results"], 1);
    assert_eq!(body["resources"][0]["guid"], client.access.cirt.as_str());
}

#[tokio::test]
async fn unknown_parameters_are_refused() {
    let client = Client::kind().await;
    let (status, body) = client.get("/v3/service_credential_bindings?type=key&age=3").await;
    assert_eq!((status.as_u16(), &body["errors"][0]["code"]), (400, &json!(10005)));
}

#[tokio::test]
async fn pages_are_linked_and_keep_the_filters() {
    let plan = CloudFoundry { page_size: Some(3), ..CloudFoundry::default() };
    let tenant = TenantPlan { ciapi_age_days: (1..=7).collect(), ..TenantPlan::new("acme") };
    let client = Client::of(Scenario { cloud_foundry: plan, ..Scenario::of([tenant]) }).await;
    let query =
        format!("type=key&service_instance_guids={}&order_by=-created_at&per_page=5000", client.access.ciapi);
    let mut next =
        Some(format!("{}/v3/service_credential_bindings?{query}", client.access.cloud_foundry_api));
    let mut names = Vec::new();
    while let Some(url) = next {
        let page: Value =
            client.http.get(url).bearer_auth(&client.token).send().await.unwrap().json().await.unwrap();
        for key in page["resources"].as_array().unwrap() {
            names.push(key["name"].as_str().unwrap().to_owned());
        }
        next = page["pagination"]["next"]["href"].as_str().map(str::to_owned);
    }
    assert_eq!(names, ["ciapi-1", "ciapi-2", "ciapi-3", "ciapi-4", "ciapi-5", "ciapi-6", "ciapi-7"]);
}

#[tokio::test]
async fn a_key_has_its_virtual_age_and_its_metadata() {
    let client = Client::kind().await;
    let body = json!({
        "type": "key", "name": "labelled",
        "relationships": { "service_instance": { "data": { "guid": client.access.cirt } } },
        "metadata": { "labels": { "example.com/managed": "true" }, "annotations": { "example.com/attempt": "01J" } },
    });
    let reply = client.cf(Method::POST, "/v3/service_credential_bindings").json(&body).send().await.unwrap();
    assert_eq!(reply.status(), 202);
    let (_, list) =
        client.get("/v3/service_credential_bindings?label_selector=example.com%2Fmanaged%3Dtrue").await;
    assert_eq!(list["resources"].as_array().unwrap().len(), 1);
    assert_eq!(list["resources"][0]["metadata"], body["metadata"]);
    assert_eq!(list["resources"][0]["last_operation"]["state"], "in progress");

    let (_, old) = client.get("/v3/service_credential_bindings?names=ciapi-1").await;
    let created = old["resources"][0]["created_at"].as_str().unwrap();
    let created = chrono::DateTime::parse_from_rfc3339(created).unwrap().timestamp();
    let fresh = list["resources"][0]["created_at"].as_str().unwrap();
    let fresh = chrono::DateTime::parse_from_rfc3339(fresh).unwrap().timestamp();
    assert_eq!((fresh - created) / 86_400, 345);
}

#[tokio::test]
async fn creation_takes_its_time_and_names_are_unique() {
    let plan = CloudFoundry { job_polls: 2, ..CloudFoundry::default() };
    let client =
        Client::of(Scenario { cloud_foundry: plan, ..Scenario::of([TenantPlan::new("acme")]) }).await;
    let reply = client.post_key(Role::Ciapi, "one").await.unwrap();
    let job = reply.headers()["location"].to_str().unwrap().to_owned();
    assert!(reply.bytes().await.unwrap().is_empty());
    let poll = || async {
        let body: Value =
            client.http.get(&job).bearer_auth(&client.token).send().await.unwrap().json().await.unwrap();
        body
    };
    let first = poll().await;
    assert_eq!(first["state"], "POLLING");
    let href = first["links"]["service_credential_binding"]["href"].as_str().unwrap().to_owned();
    let guid = href.rsplit('/').next().unwrap().to_owned();
    let (status, body) = client.get(&format!("/v3/service_credential_bindings/{guid}/details")).await;
    assert_eq!((status.as_u16(), &body["errors"][0]["code"]), (404, &json!(10010)));
    assert_eq!(poll().await["state"], "COMPLETE");
    let again = client.post_key(Role::Ciapi, "one").await.unwrap();
    assert_eq!(again.status(), 422);
    let elsewhere = client.post_key(Role::Cirt, "one").await.unwrap();
    assert_eq!(elsewhere.status(), 202, "names are unique within an instance");
}

#[tokio::test]
async fn the_quota_is_kept() {
    let client = Client::kind().await;
    client.sandbox.change(Change::Quota { limit: Some(1) }).unwrap();
    let reply = client.post_key(Role::Ciapi, "one").await.unwrap();
    assert_eq!(reply.status(), 422);
    assert_eq!(client.sandbox.books().max_live[&Role::Ciapi], 1);
}

#[tokio::test]
async fn a_deleted_key_is_refused_at_once_and_its_token_lives_on() {
    let client = Client::kind().await;
    let (ciapi, _) = client.fresh(1).await;
    let token = client.token_of(&ciapi.oauth).await.unwrap();
    assert_eq!(client.delete(&ciapi).await, 202);
    assert_eq!(client.token_reply(&ciapi.oauth).await.status(), 401);
    let url = format!("{}/api/v1/IntegrationRuntimeArtifacts", ciapi.oauth["url"].as_str().unwrap());
    assert_eq!(client.http.get(url).bearer_auth(token).send().await.unwrap().status(), 200);
    assert_eq!(client.delete(&ciapi).await, 404);
}

#[tokio::test]
async fn keys_of_an_instance_share_the_client_and_differ_in_the_secret() {
    let client = Client::kind().await;
    let (old, _) = client.old().await;
    let (fresh, _) = client.fresh(1).await;
    assert_eq!(old.oauth["clientid"], fresh.oauth["clientid"]);
    assert_ne!(old.oauth["clientsecret"], fresh.oauth["clientsecret"]);

    let plan = CloudFoundry { instance_secret: true, ..CloudFoundry::default() };
    let client =
        Client::of(Scenario { cloud_foundry: plan, ..Scenario::of([TenantPlan::new("acme")]) }).await;
    let (old, _) = client.old().await;
    let (fresh, _) = client.fresh(1).await;
    assert_eq!(old.oauth["clientsecret"], fresh.oauth["clientsecret"]);
    client.delete(&fresh).await;
    assert_eq!(client.token_reply(&old.oauth).await.status(), 200);
    assert!(client.sandbox.books().entries.is_empty());
}

#[tokio::test]
async fn a_new_secret_may_be_refused_at_first() {
    let plan = CloudFoundry { secret_refusals: 2, ..CloudFoundry::default() };
    let client =
        Client::of(Scenario { cloud_foundry: plan, ..Scenario::of([TenantPlan::new("acme")]) }).await;
    let key = client.make(Role::Cirt, "slow").await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(client.token_reply(&key.oauth).await.status().as_u16());
    }
    assert_eq!(seen, [401, 401, 200]);
}

#[tokio::test]
async fn token_requests_have_to_be_proper() {
    let client = Client::kind().await;
    let url = format!("{}/xsuaa/acme/oauth/token", client.sandbox.https_base);
    assert_eq!(client.http.get(&url).send().await.unwrap().status(), 405);
    let form = [("grant_type", "client_credentials")];
    let in_query = client.http.post(format!("{url}?grant_type=client_credentials")).form(&form);
    assert_eq!(in_query.send().await.unwrap().status(), 406);
    let reply = client.http.post(&url).form(&form).send().await.unwrap();
    assert_eq!(reply.status(), 401);
    assert!(reply.headers().contains_key("www-authenticate"));
}

#[tokio::test]
async fn a_certificate_logs_in_where_a_secret_does_not() {
    let client_of = |identity: Option<String>, ca: String| http(&ca, identity.as_deref());
    let tenants = [TenantPlan::new("acme").with_certificate(), TenantPlan::new("other").with_certificate()];
    let sandbox = sap_sandbox::Sandbox::start(Scenario::of(tenants).kindly()).await.unwrap();
    let key = sandbox.access("acme").unwrap().dsi_key["oauth"].clone();
    let other = sandbox.access("other").unwrap().dsi_key["oauth"].clone();
    let pem =
        |key: &Value| format!("{}{}", key["key"].as_str().unwrap(), key["certificate"].as_str().unwrap());
    assert!(key.get("clientsecret").is_none());
    for (identity, expected) in [(Some(pem(&key)), 200), (Some(pem(&other)), 401), (None, 401)] {
        let client = client_of(identity, sandbox.ca_pem.clone());
        let form = [("grant_type", "client_credentials"), ("client_id", key["clientid"].as_str().unwrap())];
        let reply = client.post(key["tokenurl"].as_str().unwrap()).form(&form).send().await.unwrap();
        assert_eq!(reply.status(), expected);
    }
}

#[tokio::test]
async fn the_put_body_is_exactly_two_flat_objects_ciapi_first() {
    let client = Client::kind().await;
    let (ciapi, cirt) = client.old().await;
    let (ciapi, cirt) = (entry(&ciapi), entry(&cirt));
    let mut extra = cirt.clone();
    extra["createdate"] = json!("2025-01-02T03:04:05.678Z");
    let mut missing = cirt.clone();
    missing.as_object_mut().unwrap().remove("url");
    for (body, expected) in [
        (json!([ciapi, cirt]), 200),
        (json!([cirt, ciapi]), 400),
        (json!([ciapi]), 400),
        (json!([ciapi, cirt, cirt]), 400),
        (json!([ciapi, extra]), 400),
        (json!([ciapi, missing]), 400),
        (json!([{ "oauth": ciapi }, { "oauth": cirt }]), 400),
        (json!({ "ciapi": ciapi, "cirt": cirt }), 400),
    ] {
        let status = client.dsi(Method::PUT, "credentials/dataplane", Some(body.clone())).await.status();
        assert_eq!(status, expected);
    }
    let bodies = client.sandbox.put_bodies("acme");
    assert_eq!(bodies.len(), 8);
    assert_eq!(bodies[0], (json!([ciapi, cirt]), true));
    assert!(bodies[1..].iter().all(|(_, accepted)| !accepted));
    assert_eq!(client.sandbox.books().writes.values().sum::<u64>(), 1);
}

#[tokio::test]
async fn only_the_dsi_key_opens_the_data_space() {
    let client = Client::kind().await;
    let (ciapi, _) = client.old().await;
    let token = client.token_of(&ciapi.oauth).await.unwrap();
    let url = format!("{}/dsi/acme/api/v1/dsi/dataplane", client.sandbox.https_base);
    assert_eq!(client.http.get(&url).bearer_auth(token).send().await.unwrap().status(), 403);
    assert_eq!(client.http.get(&url).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_run_goes_through_its_states_and_deploys_anew() {
    let client = Client::kind().await;
    let (ciapi, _) = client.old().await;
    let deployed_on = || async {
        let body: Value = client.artifacts(&ciapi).await.json().await.unwrap();
        let found = body["d"]["results"].as_array().unwrap().clone();
        let ours = found.iter().find(|it| it["Id"].as_str().unwrap().starts_with("com.sap.integration.dsi"));
        ours.unwrap()["DeployedOn"].as_str().unwrap().to_owned()
    };
    let before = deployed_on().await;
    assert!(before.starts_with("/Date(") && before.ends_with(")/"), "{before}");
    assert_eq!(deployed_on().await, before);
    client.dsi(Method::POST, "dataplane", None).await;
    let states = [client.status().await, client.status().await, client.status().await];
    assert_eq!(states, ["PENDING", "DEPLOYING", "SUCCESS"]);
    assert_ne!(deployed_on().await, before);
}

#[tokio::test]
async fn the_same_seed_makes_the_same_world() {
    let key = |seed| async move {
        let scenario = Scenario { seed, ..Scenario::of([TenantPlan::new("acme")]) };
        let sandbox = sap_sandbox::Sandbox::start(scenario.kindly()).await.unwrap();
        sandbox.access("acme").unwrap()
    };
    let (one, two, three) = (key(5).await, key(5).await, key(6).await);
    assert_eq!((one.ciapi.clone(), one.password.clone()), (two.ciapi, two.password));
    assert_ne!(one.ciapi, three.ciapi);
}
