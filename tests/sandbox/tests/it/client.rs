//! A client as a person would write it: no retries and no caution, so that tests decide every step.

use reqwest::{Certificate, Identity, Method, Response, StatusCode};
use sap_sandbox::Sandbox;
use sap_sandbox::files::TenantAccess;
use sap_sandbox::scenario::hostile::Rates;
use sap_sandbox::scenario::tenant::{Role, TenantPlan};
use sap_sandbox::scenario::{Hostility, Scenario};
use sap_sandbox::world::change::Change;
use serde_json::{Value, json};

/// A sandbox with a client that is logged in at Cloud Foundry.
pub(crate) struct Client {
    pub(crate) sandbox: Sandbox,
    pub(crate) http: reqwest::Client,
    pub(crate) access: TenantAccess,
    pub(crate) token: String,
}

/// A key as its issuer shows it.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) guid: String,
    pub(crate) oauth: Value,
}

#[expect(clippy::disallowed_methods, reason = "the one client of these tests")]
fn builder(ca_pem: &str) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_certs_only([Certificate::from_pem(ca_pem.as_bytes()).unwrap()])
        .no_proxy()
        .user_agent("sandbox-tests")
}

/// A client that follows wherever it is sent.
pub(crate) fn careless(ca_pem: &str) -> reqwest::Client {
    builder(ca_pem).build().unwrap()
}

pub(crate) fn http(ca_pem: &str, identity: Option<&str>) -> reqwest::Client {
    let builder = builder(ca_pem).redirect(reqwest::redirect::Policy::none());
    match identity {
        Some(pem) => builder.identity(Identity::from_pem(pem.as_bytes()).unwrap()),
        None => builder,
    }
    .build()
    .unwrap()
}

impl Client {
    /// One kind tenant with the id `acme`.
    pub(crate) async fn kind() -> Self {
        Self::of(Scenario::of([TenantPlan::new("acme")])).await
    }

    /// A kind sandbox that plays this scenario: the tests with this client are about one behaviour each, call by call.
    pub(crate) async fn of(scenario: Scenario) -> Self {
        let sandbox = Sandbox::start(scenario.kindly()).await.unwrap();
        let http = http(&sandbox.ca_pem, None);
        let access = sandbox.access("acme").unwrap();
        let mut client = Self { sandbox, http, access, token: String::new() };
        client.token = client.log_in().await;
        client
    }

    /// A sandbox that plays this scenario as it is, and a client that has found its way by the root links.
    pub(crate) async fn playing(scenario: Scenario) -> Self {
        let sandbox = Sandbox::start(scenario).await.unwrap();
        let (http, access) = (http(&sandbox.ca_pem, None), sandbox.access("acme").unwrap());
        let mut client = Self { sandbox, http, access, token: String::new() };
        for _ in 0..100 {
            let root = client.http.get(&client.access.cloud_foundry_api).send().await;
            if let Ok(reply) = root
                && let Ok(body) = reply.json::<Value>().await
                && let Some(v3) = body["links"]["cloud_controller_v3"]["href"].as_str()
                && v3.starts_with(&client.sandbox.https_base)
            {
                v3.trim_end_matches("/v3").clone_into(&mut client.access.cloud_foundry_api);
                return client;
            }
        }
        panic!("no root links")
    }

    /// The same, hostile in nothing but what is always so and `rates`, at SAP's own pace, and logged in.
    pub(crate) async fn suffering(rates: Rates) -> Self {
        let tenants = [TenantPlan::new("acme")];
        let mut client = Self::playing(Scenario { rates, ..Scenario::of(tenants) }).await;
        client.turn(Hostility::Kind);
        client.token = client.log_in().await;
        client.turn(Hostility::Safety);
        client
    }

    /// Makes the sandbox hostile or kind.
    pub(crate) fn turn(&self, mode: Hostility) {
        self.sandbox.change(Change::Hostility { mode }).unwrap();
    }

    /// Moves the sandbox's clock.
    pub(crate) fn wait(&self, advance_seconds: u32) {
        self.sandbox.change(Change::Clock { advance_seconds }).unwrap();
    }

    pub(crate) async fn log_in(&self) -> String {
        let reply = self.password(&self.access.password.clone()).await;
        assert_eq!(reply.status(), 200);
        let body: Value = reply.json().await.unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn password(&self, password: &str) -> Response {
        self.http
            .post(self.access.cloud_foundry_api.replace("/cf", "/uaa/oauth/token"))
            .basic_auth("cf", Some(""))
            .form(&[("grant_type", "password"), ("username", &self.access.user), ("password", password)])
            .send()
            .await
            .unwrap()
    }

    pub(crate) fn cf(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.access.cloud_foundry_api)).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        let reply = self.cf(Method::GET, path).send().await.unwrap();
        (reply.status(), reply.json().await.unwrap())
    }

    pub(crate) fn instance(&self, role: Role) -> &str {
        match role {
            Role::Ciapi => &self.access.ciapi,
            Role::Cirt => &self.access.cirt,
        }
    }

    pub(crate) async fn post_key(&self, role: Role, name: &str) -> reqwest::Result<Response> {
        let body = json!({
            "type": "key", "name": name,
            "relationships": { "service_instance": { "data": { "guid": self.instance(role) } } },
        });
        self.cf(Method::POST, "/v3/service_credential_bindings").json(&body).send().await
    }

    /// Makes a key and reads it.
    pub(crate) async fn make(&self, role: Role, name: &str) -> Made {
        let reply = self.post_key(role, name).await.unwrap();
        assert_eq!(reply.status(), 202);
        let job = reply.headers()["location"].to_str().unwrap().to_owned();
        loop {
            let state: Value =
                self.http.get(&job).bearer_auth(&self.token).send().await.unwrap().json().await.unwrap();
            if state["state"] == "COMPLETE" {
                break;
            }
        }
        self.find(role, name).await.unwrap()
    }

    /// The key with this name, with its secret.
    pub(crate) async fn find(&self, role: Role, name: &str) -> Option<Made> {
        let query = format!("names={name}&service_instance_guids={}&type=key", self.instance(role));
        let (_, list) = self.get(&format!("/v3/service_credential_bindings?{query}")).await;
        let guid = list["resources"].get(0)?["guid"].as_str()?.to_owned();
        let (status, details) = self.get(&format!("/v3/service_credential_bindings/{guid}/details")).await;
        assert_eq!(status, 200);
        Some(Made { guid, oauth: details["credentials"]["oauth"].clone() })
    }

    pub(crate) async fn delete(&self, key: &Made) -> StatusCode {
        let path = format!("/v3/service_credential_bindings/{}", key.guid);
        self.cf(Method::DELETE, &path).send().await.unwrap().status()
    }

    /// A token request with what a key says.
    pub(crate) async fn token_reply(&self, oauth: &Value) -> Response {
        let text = |name: &str| oauth[name].as_str().unwrap().to_owned();
        let form = [
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", text("clientid")),
            ("client_secret", text("clientsecret")),
        ];
        self.http.post(text("tokenurl")).form(&form).send().await.unwrap()
    }

    pub(crate) async fn token_of(&self, oauth: &Value) -> Option<String> {
        let reply = self.token_reply(oauth).await;
        if reply.status() != 200 {
            return None;
        }
        let body: Value = reply.json().await.unwrap();
        Some(body["access_token"].as_str().unwrap().to_owned())
    }

    pub(crate) async fn dsi(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let key = &self.access.dsi_key["oauth"];
        let token = self.token_of(key).await.unwrap();
        let url = format!("{}/api/v1/dsi/{path}", key["url"].as_str().unwrap());
        let request = self.http.request(method, url).bearer_auth(token);
        match body {
            Some(body) => request.json(&body),
            None => request,
        }
        .send()
        .await
        .unwrap()
    }

    /// Gives the consumer a pair.
    pub(crate) async fn put(&self, ciapi: &Made, cirt: &Made) -> StatusCode {
        let body = json!([entry(ciapi), entry(cirt)]);
        self.dsi(Method::PUT, "credentials/dataplane", Some(body)).await.status()
    }

    /// Starts a run and waits for its end.
    pub(crate) async fn deploy(&self) -> String {
        assert_eq!(self.dsi(Method::POST, "dataplane", None).await.status(), 202);
        loop {
            let status = self.status().await;
            if ["SUCCESS", "ERROR"].contains(&status.as_str()) {
                return status;
            }
        }
    }

    pub(crate) async fn status(&self) -> String {
        let body: Value = self.dsi(Method::GET, "dataplane", None).await.json().await.unwrap();
        body["status"].as_str().unwrap().to_owned()
    }

    /// A fresh pair with a token obtained for each key.
    pub(crate) async fn fresh(&self, generation: u32) -> (Made, Made) {
        let ciapi = self.make(Role::Ciapi, &format!("rekeyd-ciapi-g{generation}")).await;
        let cirt = self.make(Role::Cirt, &format!("rekeyd-cirt-g{generation}")).await;
        assert!(self.token_of(&ciapi.oauth).await.is_some());
        assert!(self.token_of(&cirt.oauth).await.is_some());
        (ciapi, cirt)
    }

    /// The pair that was there at the start.
    pub(crate) async fn old(&self) -> (Made, Made) {
        let ciapi = self.find(Role::Ciapi, "ciapi-1").await.unwrap();
        (ciapi, self.find(Role::Cirt, "cirt-1").await.unwrap())
    }

    pub(crate) async fn artifacts(&self, ciapi: &Made) -> Response {
        let token = self.token_of(&ciapi.oauth).await.unwrap();
        let url = format!("{}/api/v1/IntegrationRuntimeArtifacts", ciapi.oauth["url"].as_str().unwrap());
        self.http.get(url).bearer_auth(token).send().await.unwrap()
    }
}

/// An entry of the PUT body.
pub(crate) fn entry(key: &Made) -> Value {
    let mut entry = key.oauth.clone();
    entry.as_object_mut().unwrap().remove("createdate");
    entry
}
