//! A careful client that never gives up gets through the hostile modes, and the books stay clean. This shows
//! that the hostile sandbox asks nothing impossible, and that the books accuse nobody who is innocent.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use sap_sandbox::Sandbox;
use sap_sandbox::files::TenantAccess;
use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::hostile::Limits;
use sap_sandbox::scenario::tenant::{Role, TenantPlan};
use sap_sandbox::world::change::Change;
use serde_json::{Value, json};

use crate::client::http;

/// More tries than any seed needs.
const TRIES: usize = 500;

/// A hundredth of SAP's waits: a lag of 300 ms, PUTs applied within 3 s, pauses of a second.
const PACE: f64 = 0.01;

/// Longer than any of them; only the sandbox's clock passes it.
const LONG_ENOUGH_SECONDS: u32 = 4;

/// What a PUT takes; a key may say more.
const FIELDS: [&str; 4] = ["clientid", "clientsecret", "url", "tokenurl"];

struct Stubborn {
    sandbox: Sandbox,
    http: reqwest::Client,
    access: TenantAccess,
    /// From the root links: the API and its login server.
    v3: String,
    uaa: String,
    cf: String,
    dsi: String,
}

impl Stubborn {
    /// An answer that can be believed, or `None`: the status, and the body where there is one. After a request for a
    /// pause there is one.
    async fn once(&self, request: RequestBuilder) -> Option<(StatusCode, Value)> {
        let reply = request.timeout(Duration::from_secs(5)).send().await.ok()?;
        let status = reply.status();
        if status == 429 || status == 503 {
            self.wait();
        }
        if status == 429 || status.is_server_error() || status.is_redirection() {
            return None;
        }
        let body = reply.bytes().await.ok()?;
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).ok()? };
        Some((status, body))
    }

    fn wait(&self) {
        self.sandbox.change(Change::Clock { advance_seconds: LONG_ENOUGH_SECONDS }).unwrap();
    }

    /// Reads the root links; one that leads to another host is not believed.
    async fn find_the_way(&mut self) {
        let host = self.access.cloud_foundry_api.trim_end_matches("/cf").to_owned();
        for _ in 0..TRIES {
            let request = self.http.get(&self.access.cloud_foundry_api);
            let Some((StatusCode::OK, body)) = self.once(request).await else { continue };
            let link = |name: &str| {
                let href = body["links"][name]["href"].as_str().unwrap_or_default().to_owned();
                href.starts_with(&host).then_some(href)
            };
            if let (Some(v3), Some(uaa)) = (link("cloud_controller_v3"), link("uaa")) {
                (self.v3, self.uaa) = (v3, uaa);
                return;
            }
        }
        panic!("no root links after {TRIES} tries")
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
                && let Some(token) = body["access_token"].as_str()
            {
                return token.to_owned();
            }
        }
        panic!("no token after {TRIES} tries")
    }

    async fn log_in(&mut self) {
        let url = format!("{}/oauth/token", self.uaa);
        for _ in 0..TRIES {
            let (user, password) = (&self.access.user, &self.access.password);
            let form = [("grant_type", "password"), ("username", user), ("password", password)];
            let request = self.http.post(&url).basic_auth("cf", Some("")).form(&form);
            if let Some((StatusCode::OK, body)) = self.once(request).await
                && let Some(token) = body["access_token"].as_str()
            {
                token.clone_into(&mut self.cf);
                return;
            }
        }
        panic!("no login after {TRIES} tries")
    }

    /// Asks Cloud Foundry until it answers.
    async fn cf(&mut self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        for _ in 0..TRIES {
            let url = format!("{}{path}", self.v3);
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
                self.cf(Method::GET, &format!("/service_credential_bindings?{query}"), None).await;
            let found = &list["resources"][0];
            let path = format!("/service_credential_bindings/{}", found["guid"].as_str().unwrap_or_default());
            match found["last_operation"]["state"].as_str() {
                Some("succeeded") => {
                    let (status, details) = self.cf(Method::GET, &format!("{path}/details"), None).await;
                    let oauth = details["credentials"]["oauth"].clone();
                    if status == 200 && FIELDS.iter().all(|field| oauth[*field].is_string()) {
                        return (path, oauth);
                    }
                }
                Some("in progress" | "initial" | "reconciling") => {}
                _ => drop(self.cf(Method::POST, "/service_credential_bindings", Some(&order)).await),
            }
        }
        panic!("no key {name}")
    }

    /// Starts runs until one succeeds. An end counts once the run was seen under way and the end was seen twice in a row.
    async fn deploy(&mut self) {
        for _ in 0..TRIES {
            assert_eq!(self.dsi(Method::POST, "dataplane", None).await.0, 202);
            if self.end_of_run().await == "SUCCESS" {
                return;
            }
        }
        panic!("no run succeeds")
    }

    async fn end_of_run(&mut self) -> String {
        let (mut under_way, mut before) = (false, String::new());
        for _ in 0..TRIES {
            let (_, body) = self.dsi(Method::GET, "dataplane", None).await;
            let word = body["status"].as_str().unwrap_or_default().to_owned();
            match word.as_str() {
                "PENDING" | "DEPLOYING" | "RECONCILING_2" => under_way = true,
                "SUCCESS" | "ERROR" if under_way && word == before => return word,
                _ => {}
            }
            before = word;
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
    let mut limited = 0;
    for seed in 1..=10 {
        let limits = Limits { in_flight_milliseconds: 0, ..Limits::default() };
        let tenants = [TenantPlan::new("acme")];
        let scenario = Scenario { seed, pace: PACE, strict: true, limits, ..Scenario::of(tenants) };
        let sandbox = Sandbox::start(scenario).await.unwrap();
        let access = sandbox.access("acme").unwrap();
        let http = http(&sandbox.ca_pem, None);
        let empty = String::new;
        let mut client =
            Stubborn { sandbox, http, access, v3: empty(), uaa: empty(), cf: empty(), dsi: empty() };
        client.find_the_way().await;
        rotate(&mut client, ["ciapi-1", "cirt-1"], ["ciapi-g1", "cirt-g1"]).await;
        rotate(&mut client, ["ciapi-g1", "cirt-g1"], ["ciapi-g2", "cirt-g2"]).await;
        let books = client.sandbox.books();
        assert!(books.entries.is_empty(), "seed {seed}: {:?}", books.entries);
        assert!(books.misconduct.is_empty(), "seed {seed}: {:?}", books.misconduct);
        assert_eq!((books.orphans, books.strays), (0, 0), "seed {seed}");
        limited += books.limited;
        assert_eq!(books.tenants["acme"].held[&Role::Cirt].as_deref(), Some("cirt-g2"));
        assert_eq!(books.max_live[&Role::Cirt], 2, "seed {seed}");
    }
    assert!(limited > 0, "nobody was ever asked to pause");
}

async fn rotate(client: &mut Stubborn, old: [&str; 2], fresh: [&str; 2]) {
    let (old_ciapi, _) = client.make(Role::Ciapi, old[0]).await;
    let (old_cirt, _) = client.make(Role::Cirt, old[1]).await;
    let (_, mut ciapi) = client.make(Role::Ciapi, fresh[0]).await;
    let (_, mut cirt) = client.make(Role::Cirt, fresh[1]).await;
    for key in [&mut ciapi, &mut cirt] {
        client.token(key).await;
        key.as_object_mut().unwrap().retain(|field, _| FIELDS.contains(&field.as_str()));
    }
    let pair = json!([ciapi, cirt]);
    assert_eq!(client.dsi(Method::PUT, "credentials/dataplane", Some(&pair)).await.0, 200);
    // The wait that SAP documents: the pair may be applied late.
    client.wait();
    client.deploy().await;
    client.delete(&old_ciapi).await;
    client.deploy().await;
    client.delete(&old_cirt).await;
}
