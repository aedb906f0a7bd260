//! A careful client that never gives up gets through the hostile modes, and the books stay clean. This shows
//! that the hostile sandbox asks nothing impossible, and that the books accuse nobody who is innocent.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use sap_sandbox::Sandbox;
use sap_sandbox::files::TenantAccess;
use sap_sandbox::scenario::tenant::{Role, TenantPlan};
use sap_sandbox::scenario::{Hostility, Scenario};
use serde_json::{Value, json};

use crate::client::http;

/// More tries than any seed needs.
const TRIES: usize = 500;

struct Stubborn {
    http: reqwest::Client,
    access: TenantAccess,
    cf: String,
    dsi: String,
}

impl Stubborn {
    /// An answer that can be believed, or `None`: the status, and the body where there is one.
    async fn once(&self, request: RequestBuilder) -> Option<(StatusCode, Value)> {
        let reply = request.timeout(Duration::from_secs(5)).send().await.ok()?;
        let status = reply.status();
        if status == 429 || status.is_server_error() {
            return None;
        }
        let body = reply.bytes().await.ok()?;
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).ok()? };
        Some((status, body))
    }

    async fn token(&self, oauth: &Value) -> String {
        let text = |name: &str| oauth[name].as_str().unwrap().to_owned();
        for _ in 0..TRIES {
            let form = [
                ("grant_type", "client_credentials".to_owned()),
                ("client_id", text("clientid")),
                ("client_secret", text("clientsecret")),
            ];
            if let Some((StatusCode::OK, body)) =
                self.once(self.http.post(text("tokenurl")).form(&form)).await
            {
                return body["access_token"].as_str().unwrap().to_owned();
            }
        }
        panic!("no token after {TRIES} tries")
    }

    async fn log_in(&mut self) {
        let url = self.access.cloud_foundry_api.replace("/cf", "/uaa/oauth/token");
        for _ in 0..TRIES {
            let (user, password) = (&self.access.user, &self.access.password);
            let form = [("grant_type", "password"), ("username", user), ("password", password)];
            let request = self.http.post(&url).basic_auth("cf", Some("")).form(&form);
            if let Some((StatusCode::OK, body)) = self.once(request).await {
                body["access_token"].as_str().unwrap().clone_into(&mut self.cf);
                return;
            }
        }
        panic!("no login after {TRIES} tries")
    }

    /// Asks Cloud Foundry until it answers.
    async fn cf(&mut self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        for _ in 0..TRIES {
            let url = format!("{}{path}", self.access.cloud_foundry_api);
            let mut request = self.http.request(method.clone(), url).bearer_auth(&self.cf);
            if let Some(body) = body {
                request = request.json(body);
            }
            match self.once(request).await {
                Some((StatusCode::UNAUTHORIZED, _)) => self.log_in().await,
                Some(answer) => return answer,
                None => {}
            }
        }
        panic!("no answer to {method} {path}")
    }

    /// Asks the data space until it answers.
    async fn dsi(&mut self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let key = self.access.dsi_key["oauth"].clone();
        for _ in 0..TRIES {
            let url = format!("{}/api/v1/dsi/{path}", key["url"].as_str().unwrap());
            let mut request = self.http.request(method.clone(), url).bearer_auth(&self.dsi);
            if let Some(body) = body {
                request = request.json(body);
            }
            match self.once(request).await {
                Some((StatusCode::UNAUTHORIZED, _)) => self.dsi = self.token(&key).await,
                Some(answer) => return answer,
                None => {}
            }
        }
        panic!("no answer to {method} {path}")
    }

    /// Looks for a name, and creates it only when it is not there. A key whose creation is reported as failed
    /// is created again under its name, which replaces it.
    async fn make(&mut self, role: Role, name: &str) -> (String, Value) {
        let instance = if role == Role::Ciapi { self.access.ciapi.clone() } else { self.access.cirt.clone() };
        let order = json!({ "type": "key", "name": name,
                            "relationships": { "service_instance": { "data": { "guid": instance } } } });
        for _ in 0..TRIES {
            let query = format!("names={name}&service_instance_guids={instance}&type=key");
            let (_, list) =
                self.cf(Method::GET, &format!("/v3/service_credential_bindings?{query}"), None).await;
            let found = &list["resources"][0];
            let path =
                format!("/v3/service_credential_bindings/{}", found["guid"].as_str().unwrap_or_default());
            match found["last_operation"]["state"].as_str() {
                Some("succeeded") => {
                    let (status, details) = self.cf(Method::GET, &format!("{path}/details"), None).await;
                    assert_eq!(status, 200);
                    return (path, details["credentials"]["oauth"].clone());
                }
                Some("in progress") => {}
                _ => drop(self.cf(Method::POST, "/v3/service_credential_bindings", Some(&order)).await),
            }
        }
        panic!("no key {name}")
    }

    async fn deploy(&mut self) {
        assert_eq!(self.dsi(Method::POST, "dataplane", None).await.0, 202);
        for _ in 0..TRIES {
            let (_, body) = self.dsi(Method::GET, "dataplane", None).await;
            match body["status"].as_str() {
                Some("SUCCESS") => return,
                Some("PENDING" | "DEPLOYING") => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("the run does not end")
    }

    async fn delete(&mut self, path: &str) {
        for _ in 0..TRIES {
            let (status, _) = self.cf(Method::DELETE, path, None).await;
            if status == 202 || status == 404 {
                return;
            }
        }
        panic!("{path} cannot be deleted")
    }
}

#[tokio::test]
async fn a_careful_client_gets_through_with_clean_books() {
    for seed in 1..=10 {
        let scenario =
            Scenario { seed, hostility: Hostility::Safety, ..Scenario::of([TenantPlan::new("acme")]) };
        let sandbox = Sandbox::start(scenario).await.unwrap();
        let access = sandbox.access("acme").unwrap();
        let (cf, dsi) = (String::new(), String::new());
        let mut client = Stubborn { http: http(&sandbox.ca_pem, None), access, cf, dsi };
        rotate(&mut client, ["ciapi-1", "cirt-1"], ["ciapi-g1", "cirt-g1"]).await;
        rotate(&mut client, ["ciapi-g1", "cirt-g1"], ["ciapi-g2", "cirt-g2"]).await;
        let books = sandbox.books();
        assert!(books.entries.is_empty(), "seed {seed}: {:?}", books.entries);
        assert_eq!(books.orphans, 0, "seed {seed}");
        assert_eq!(books.tenants["acme"].held[&Role::Cirt].as_deref(), Some("cirt-g2"));
        assert_eq!(books.max_live[&Role::Cirt], 2, "seed {seed}");
    }
}

async fn rotate(client: &mut Stubborn, old: [&str; 2], fresh: [&str; 2]) {
    let (old_ciapi, _) = client.make(Role::Ciapi, old[0]).await;
    let (old_cirt, _) = client.make(Role::Cirt, old[1]).await;
    let (_, mut ciapi) = client.make(Role::Ciapi, fresh[0]).await;
    let (_, mut cirt) = client.make(Role::Cirt, fresh[1]).await;
    for key in [&mut ciapi, &mut cirt] {
        client.token(key).await;
        key.as_object_mut().unwrap().remove("createdate");
    }
    let pair = json!([ciapi, cirt]);
    assert_eq!(client.dsi(Method::PUT, "credentials/dataplane", Some(&pair)).await.0, 200);
    client.deploy().await;
    client.delete(&old_ciapi).await;
    client.deploy().await;
    client.delete(&old_cirt).await;
}
