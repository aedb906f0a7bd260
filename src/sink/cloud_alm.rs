//! SAP Cloud ALM is told how every credential is, again and again: as metrics in OTLP/JSON, for its Health Monitoring (facts:
//! Cloud ALM, section 4).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::Timestamp;
use crate::domain::failure::{Class, Failure};
use crate::domain::health::Health;
use crate::domain::names::TenantId;
use crate::http::Http;
use crate::http::address::Address;
use crate::http::login::Login;
use crate::http::redact;
use crate::http::request::{Auth, Request};
use crate::secret::ServiceKey;

/// Below the address of the API, which includes `/api`.
const METRICS: &str = "calm-metrics/v1/metrics";

/// So many credentials are told in one message.
const AT_ONCE: usize = 200;

/// The longest sentence that is told.
const TEXT: usize = 200;

/// Cloud ALM, as one service in its Landscape Management.
pub struct CloudAlm {
    http: Arc<Http>,
    to: Address,
    login: Arc<Login>,
    /// Who speaks: the instance.
    instance: String,
}

impl CloudAlm {
    /// Cloud ALM by the service key of its API, as downloaded; `service` is the id of an entry in Landscape Management.
    pub fn new(http: Arc<Http>, key: &ServiceKey, service: &str, instance: &str) -> Result<Self, Failure> {
        let missing = "the service key of SAP Cloud ALM names no `endpoints.Api`";
        let api = ["Api", "api"].iter().find_map(|name| key.endpoints.get(*name));
        let api = api.ok_or_else(|| Failure::new(Class::ClientError, missing))?;
        let query = [("useCase", "hm"), ("serviceId", service), ("dev", "false")];
        let to = Address::parse(api)?.at(METRICS).with_query(&query);
        http.introduce(&to);
        Ok(Self { http, to, login: Login::of_key(key)?, instance: instance.to_owned() })
    }

    /// Tells how these credentials are at `now`.
    pub async fn tell(&self, all: &[Health], now: Timestamp) -> Result<(), Failure> {
        for part in all.chunks(AT_ONCE) {
            let request = Request::post("notify", self.to.clone()).by(Auth::Login(Arc::clone(&self.login)));
            self.http.send(&request.json(self.body(part, now))).await?;
        }
        Ok(())
    }

    fn body(&self, all: &[Health], now: Timestamp) -> Value {
        let mut tenants: BTreeMap<&TenantId, Vec<&Health>> = BTreeMap::new();
        for health in all {
            tenants.entry(&health.credential.tenant).or_default().push(health);
        }
        let of_tenant = |(tenant, all): (&TenantId, Vec<&Health>)| {
            let metrics: Vec<Value> = all.iter().flat_map(|health| metrics(health, now)).collect();
            json!({
                "resource": { "attributes": [
                    attribute("tenant", &tenant.to_string()), attribute("instance", &self.instance),
                ] },
                "scopeMetrics": [{ "scope": { "name": "rekeyd", "version": env!("CARGO_PKG_VERSION") }, "metrics": metrics }],
            })
        };
        json!({ "resourceMetrics": tenants.into_iter().map(of_tenant).collect::<Vec<_>>() })
    }
}

/// The state in Cloud ALM's words, and the days that are left where they are known.
fn metrics(health: &Health, now: Timestamp) -> Vec<Value> {
    let name = &health.credential.name;
    let at = now.timestamp_nanos_opt().unwrap_or_default().to_string();
    let state = json!({
        "name": format!("{name} state"),
        "description": redact::shorten(&health.text, TEXT),
        "gauge": { "dataPoints": [{
            "asDouble": f64::from(health.rating as u8), "timeUnixNano": at,
            "attributes": [
                attribute("sap.calm.hm.metric.type", "status"),
                attribute("sap.calm.hm.metric.rating", health.rating.as_str()),
            ],
        }] },
    });
    let days_left = health.days_left.map(|days| {
        json!({
            "name": format!("{name} days left"), "unit": "d",
            "description": "until the window of the keys in use ends",
            "gauge": { "dataPoints": [{ "asDouble": (days * 100.0).round() / 100.0, "timeUnixNano": at }] },
        })
    });
    [Some(state), days_left].into_iter().flatten().collect()
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::health::Rating;
    use crate::http::testing::{ManualClock, Stub, http, says, token};

    fn health(id: &str, rating: Rating, days_left: Option<f64>) -> Health {
        let text = "the next rotation is due on 2026-12-01".to_owned();
        Health { credential: id.parse().unwrap(), rating, text, days_left }
    }

    async fn stub(answer: u16) -> Stub {
        Stub::start(move |asked, _| match asked.path.as_str() {
            "/uaa/oauth/token" => token("t", 3600),
            _ => says(answer, json!({})),
        })
        .await
    }

    fn sink(stub: &Stub) -> CloudAlm {
        let key = json!({
            "endpoints": { "Api": format!("{}/api", stub.url) },
            "uaa": { "clientid": "sb-clmapi!b1|calm!b2", "clientsecret": "NotARealSecret", "url": format!("{}/uaa", stub.url),
                     "identityzone": "acme", "credential-type": "binding-secret" },
        });
        let key = ServiceKey::parse(&key.to_string()).unwrap();
        CloudAlm::new(http(&ManualClock::new()), &key, "f0e1", "one").unwrap()
    }

    #[tokio::test]
    async fn state_and_days_left_are_told_as_metrics_of_each_tenant() {
        let stub = stub(200).await;
        let all =
            [health("acme/dataplane", Rating::Ok, Some(41.0)), health("bolt/calm", Rating::Critical, None)];
        sink(&stub).tell(&all, "2026-01-02T03:04:05Z".parse().unwrap()).await.unwrap();
        let asked = stub.asked().pop().unwrap();
        assert!(asked.is("POST", "/api/calm-metrics/v1/metrics"), "{asked:?}");
        assert_eq!(asked.query, "useCase=hm&serviceId=f0e1&dev=false");
        assert!(asked.headers.to_lowercase().contains("authorization: bearer t"));
        let body = asked.json();
        let acme = &body["resourceMetrics"][0];
        assert_eq!(
            acme["resource"]["attributes"][0],
            json!({ "key": "tenant", "value": { "stringValue": "acme" } })
        );
        let metrics = &acme["scopeMetrics"][0]["metrics"];
        assert_eq!(
            (&metrics[0]["name"], &metrics[1]["name"]),
            (&json!("dataplane state"), &json!("dataplane days left"))
        );
        assert_eq!(metrics[1]["gauge"]["dataPoints"][0]["asDouble"], json!(41.0));
        assert_eq!(metrics[1]["gauge"]["dataPoints"][0]["timeUnixNano"], json!("1767323045000000000"));
        let bolt = &body["resourceMetrics"][1]["scopeMetrics"][0]["metrics"];
        assert_eq!(bolt.as_array().unwrap().len(), 1, "what is not known is not told");
        let attributes = &bolt[0]["gauge"]["dataPoints"][0]["attributes"];
        assert_eq!(
            attributes[1],
            json!({ "key": "sap.calm.hm.metric.rating", "value": { "stringValue": "critical" } })
        );
    }

    #[tokio::test]
    async fn many_credentials_are_told_in_several_messages() {
        let stub = stub(202).await;
        let all: Vec<Health> =
            (0..450).map(|n| health(&format!("t{n:03}/dataplane"), Rating::Ok, None)).collect();
        sink(&stub).tell(&all, "2026-01-02T03:04:05Z".parse().unwrap()).await.unwrap();
        assert_eq!(stub.count("POST", "/api/calm-metrics/v1/metrics"), 3);
    }

    #[tokio::test]
    async fn a_refusal_is_a_failure_without_a_secret() {
        let stub = stub(403).await;
        let all = [health("acme/dataplane", Rating::Ok, None)];
        let failure = sink(&stub).tell(&all, "2026-01-02T03:04:05Z".parse().unwrap()).await.unwrap_err();
        assert_eq!(failure.class, Class::Forbidden);
        assert!(!failure.cause.contains("NotARealSecret"), "{failure:?}");
    }

    #[test]
    fn a_key_without_the_address_of_the_api_is_refused() {
        let key = r#"{"clientid":"c","clientsecret":"s","url":"https://a.example"}"#;
        let key = ServiceKey::parse(key).unwrap();
        let answer = CloudAlm::new(http(&ManualClock::new()), &key, "f0e1", "one");
        assert!(answer.err().unwrap().cause.contains("endpoints.Api"));
    }
}
