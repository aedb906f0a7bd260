//! Who is told what happens: a webhook of the operator's, or SAP Alert Notification. A sink decides nothing, and nothing
//! waits for it.

pub mod cloud_alm;
pub mod outbox;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::failure::{Class, Failure};
use crate::domain::notice::{Notice, Severity};
use crate::http::Http;
use crate::http::address::Address;
use crate::http::login::Login;
use crate::http::request::{Auth, Request};
use crate::secret::{Secret, ServiceKey};

/// The path of the producer API (facts: Alert Notification, section 3).
const EVENTS: &str = "/cf/producer/v1/resource-events";

/// How a notice is told.
enum Way {
    Webhook { to: Address, secret: Option<Secret> },
    AlertNotification { to: Address, login: Arc<Login> },
}

/// One sink.
pub struct Sink {
    http: Arc<Http>,
    way: Way,
    /// Who speaks: the instance.
    instance: String,
}

impl Sink {
    /// A webhook at `url`; with a secret every message is signed.
    pub fn webhook(
        http: Arc<Http>,
        url: &str,
        secret: Option<Secret>,
        instance: &str,
    ) -> Result<Self, Failure> {
        let to = Address::parse(url)?;
        http.introduce(&to);
        Ok(Self { http, way: Way::Webhook { to, secret }, instance: instance.to_owned() })
    }

    /// SAP Alert Notification, by its service key as downloaded.
    pub fn alert_notification(http: Arc<Http>, key: &ServiceKey, instance: &str) -> Result<Self, Failure> {
        let missing = "the service key of SAP Alert Notification names no `url`";
        let url = key.url.as_deref().ok_or_else(|| Failure::new(Class::ClientError, missing))?;
        let to = Address::parse(url)?.at(EVENTS);
        http.introduce(&to);
        let way = Way::AlertNotification { to, login: Login::of_key(key)? };
        Ok(Self { http, way, instance: instance.to_owned() })
    }

    /// Tells it. A failure may be tried again: who hears it knows the notice by its id.
    pub async fn send(&self, notice: &Notice) -> Result<(), Failure> {
        let request = match &self.way {
            Way::Webhook { to, secret } => {
                let body = self.webhook_body(notice).to_string();
                let signature = secret.as_ref().map(|secret| secret.sign(body.as_bytes()));
                Request::post("notify", to.clone()).signed(body, signature)
            }
            Way::AlertNotification { to, login } => Request::post("notify", to.clone())
                .by(Auth::Login(Arc::clone(login)))
                .json(self.resource_event(notice)),
        };
        self.http.send(&request).await?;
        Ok(())
    }

    fn webhook_body(&self, notice: &Notice) -> Value {
        let mut body = json!(notice);
        body["version"] = json!(1);
        body["instance"] = json!(self.instance);
        body
    }

    /// The event as Alert Notification wants it (facts: Alert Notification, section 3). Its values never hold a secret or a
    /// client id, since a notice has none.
    fn resource_event(&self, notice: &Notice) -> Value {
        let (severity, category) = match notice.severity {
            Severity::Notice => ("NOTICE", "NOTIFICATION"),
            Severity::Warning => ("WARNING", "ALERT"),
            Severity::Error => ("ERROR", "EXCEPTION"),
            Severity::Critical => ("FATAL", "ALERT"),
        };
        let (tenant, credential) = match &notice.credential {
            Some(id) => (id.tenant.to_string(), id.name.to_string()),
            None => ("fleet".to_owned(), "fleet".to_owned()),
        };
        let subject = crate::http::redact::shorten(&notice.text, 200);
        let command = notice.command.as_ref();
        let body = command
            .map_or_else(|| notice.text.clone(), |command| format!("{}; next: {command}", notice.text));
        json!({
            "eventType": format!("rekeyd.{}", notice.kind),
            "eventTimestamp": notice.at.timestamp(),
            "severity": severity,
            "category": category,
            "subject": subject,
            "body": body,
            "tags": { "ans:sourceEventId": notice.id, "ans:correlationId": format!("{tenant}/{credential}") },
            "resource": {
                "resourceName": tenant,
                "resourceType": "rekeyd.credential",
                "resourceInstance": credential,
                "tags": { "instance": self.instance },
            },
        })
    }
}
