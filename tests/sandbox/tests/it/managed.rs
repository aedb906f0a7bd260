//! Service Manager: its documented shapes, on the same books.

use reqwest::Method;
use sap_sandbox::faults::RetryAfterForm;
use sap_sandbox::request::Operation;
use sap_sandbox::scenario::hostile::Limits;
use sap_sandbox::scenario::tenant::{Issuer, Role, TenantPlan};
use sap_sandbox::scenario::{CloudFoundry, Scenario};
use serde_json::{Value, json};

use crate::client::Client;

const LIST: &str = "/v1/service_bindings";

/// A client of the Service Manager of `acme`; `other` has one, too, and `cf` has Cloud Foundry.
struct Manager {
    client: Client,
    url: String,
    token: String,
}

impl Manager {
    async fn of(cloud_foundry: CloudFoundry, limits: Limits) -> Self {
        let managed = |id: &str| TenantPlan::new(id).by(Issuer::ServiceManager);
        let tenants = [managed("acme"), managed("other"), TenantPlan::new("cf")];
        let client = Client::of(Scenario { cloud_foundry, limits, ..Scenario::of(tenants) }).await;
        let key = client.access.sm_key.clone();
        let token = Self::token(&client, &key).await;
        Self { url: key["sm_url"].as_str().unwrap().to_owned(), client, token }
    }

    async fn token(client: &Client, key: &Value) -> String {
        let login = json!({
            "clientid": key["clientid"], "clientsecret": key["clientsecret"],
            "tokenurl": format!("{}/oauth/token", key["url"].as_str().unwrap()),
        });
        let reply = client.token_reply(&login).await;
        assert_eq!(reply.status(), 200);
        let body: Value = reply.json().await.unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Option<String>, Value) {
        let request =
            self.client.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        let reply = request.send().await.unwrap();
        let header = |name: &str| Some(reply.headers().get(name)?.to_str().unwrap().to_owned());
        let found = header("location").or_else(|| header("link"));
        (reply.status().as_u16(), found, reply.json().await.unwrap())
    }

    async fn create(&self, name: &str) -> (u16, Option<String>, Value) {
        let body = json!({ "name": name, "service_instance_id": self.client.access.cirt,
            "labels": { "managed-by": ["a-test"] } });
        self.ask(Method::POST, LIST, Some(body)).await
    }
}

fn at_once() -> CloudFoundry {
    CloudFoundry { job_polls: 0, ..CloudFoundry::default() }
}

#[tokio::test]
async fn a_list_has_pages_conditions_and_credentials() {
    let plan = CloudFoundry { page_size: Some(1), ..CloudFoundry::default() };
    let manager = Manager::of(plan, Limits::default()).await;
    let (status, link, body) = manager.ask(Method::GET, LIST, None).await;
    assert_eq!((status, body["num_items"].as_u64()), (200, Some(2)));
    assert!(link.unwrap().ends_with("; rel=\"next\""));
    let token = body["token"].as_str().unwrap();
    let (_, link, second) = manager.ask(Method::GET, &format!("{LIST}?token={token}"), None).await;
    assert!(link.is_none() && second["token"].is_null(), "the last page names no other");
    assert_ne!(body["items"][0]["id"], second["items"][0]["id"]);
    let query = format!("{LIST}?fieldQuery=service_instance_id%20eq%20'{}'", manager.client.access.ciapi);
    let (_, _, mine) = manager.ask(Method::GET, &query, None).await;
    let binding = &mine["items"][0];
    assert_eq!((mine["num_items"].as_u64(), &binding["name"]), (Some(1), &json!("ciapi-1")));
    assert_eq!(binding["service_instance_id"], json!(manager.client.access.ciapi));
    assert!(binding["credentials"]["oauth"]["clientsecret"].is_string(), "lists carry credentials");
    let created = binding["created_at"].as_str().unwrap();
    assert_eq!((created.len(), &created[26..]), (27, "Z"), "microseconds: {created}");
    assert!(binding["last_operation"].is_null(), "only where it is asked for");
    let (status, _, body) = manager.ask(Method::GET, &format!("{LIST}?fieldQuery=color"), None).await;
    assert_eq!((status, &body["error"]), (400, &json!("BadRequest")));
}

#[tokio::test]
async fn a_binding_comes_at_once_or_by_an_operation() {
    let manager = Manager::of(at_once(), Limits::default()).await;
    let (status, location, made) = manager.create("fresh").await;
    assert_eq!((status, location, made["ready"].as_bool()), (201, None, Some(true)));
    assert!(made["credentials"]["oauth"]["clientid"].is_string());
    assert_eq!(made["labels"], json!({ "managed-by": ["a-test"] }));
    let (status, _, refused) = manager.create("fresh").await;
    assert_eq!((status, &refused["error"]), (409, &json!("Conflict")));
    let path = format!("{LIST}/{}", made["id"].as_str().unwrap());
    let (status, _, body) = manager.ask(Method::DELETE, &path, None).await;
    assert_eq!((status, body), (200, json!({})));
    assert_eq!(manager.ask(Method::DELETE, &path, None).await.0, 404);
    let books = manager.client.sandbox.books();
    let writes = &books.tenants["acme"].writes;
    assert_eq!((writes[&Operation::CreateKey], writes[&Operation::DeleteKey], books.orphans), (1, 1, 0));

    let manager = Manager::of(CloudFoundry { job_polls: 2, ..at_once() }, Limits::default()).await;
    let (status, location, _) = manager.create("fresh").await;
    let location = location.unwrap();
    assert!(status == 202 && location.starts_with("/v1/service_bindings/"), "{location}");
    let id = location.split('/').nth(3).unwrap();
    let (status, _, busy) = manager.ask(Method::GET, &format!("{LIST}/{id}"), None).await;
    assert_eq!((status, &busy["ready"]), (200, &json!(false)));
    assert!(busy["credentials"].is_null(), "there are none yet");
    let mut told = Vec::new();
    for _ in 0..2 {
        let (_, _, operation) = manager.ask(Method::GET, &location, None).await;
        told.push(operation["state"].as_str().unwrap().to_owned());
    }
    assert_eq!(told, ["in progress", "succeeded"]);
    assert_eq!(manager.client.sandbox.books().orphans, 1, "nobody holds it");
}

#[tokio::test]
async fn each_issuer_has_tenants_of_its_own() {
    let mut manager = Manager::of(at_once(), Limits::default()).await;
    let own = manager.client.access.clone();
    let (_, cf) = manager.client.get("/v3/service_credential_bindings?type=key").await;
    assert_eq!(cf["resources"].as_array().unwrap().len(), 2, "those of `cf`");
    let made = manager.client.post_key(Role::Cirt, "fresh").await.unwrap();
    assert_eq!(made.status(), 422, "Cloud Foundry does not know the instance");
    let other = manager.client.sandbox.access("other").unwrap();
    manager.token = Manager::token(&manager.client, &other.sm_key).await;
    let (_, _, list) = manager.ask(Method::GET, LIST, None).await;
    for item in list["items"].as_array().unwrap() {
        assert_ne!(item["service_instance_id"], json!(own.cirt));
    }
    assert_eq!(manager.create("fresh").await.0, 404, "the instance is in another subaccount");
    manager.token.clone_from(&manager.client.token);
    assert_eq!(manager.ask(Method::GET, LIST, None).await.0, 403, "a token of Cloud Foundry");
}

#[tokio::test]
async fn a_client_has_so_many_calls_a_minute() {
    let limits = Limits { always: true, service_manager_per_minute: 3, ..Limits::default() };
    let manager = Manager::of(at_once(), limits).await;
    for _ in 0..3 {
        assert_eq!(manager.ask(Method::GET, LIST, None).await.0, 200);
    }
    let request = manager.client.http.get(format!("{}{LIST}", manager.url)).bearer_auth(&manager.token);
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), 429);
    let wait = reply.headers()["retry-after"].to_str().unwrap().to_owned();
    assert!(wait.ends_with(" GMT"), "{:?}: {wait}", RetryAfterForm::HttpDate);
    let body: Value = reply.json().await.unwrap();
    assert_eq!(body["description"], "The allowed request limit of 3 responses has been reached");
    manager.client.wait(61);
    assert_eq!(manager.ask(Method::GET, LIST, None).await.0, 200);
}
