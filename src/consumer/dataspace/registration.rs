//! Telling a data space of a connector, once (facts: DSI, section 4). Formerly documented; a tenant that has no such call
//! answers 404, and a person registers it in the user interface.

use serde_json::{Value, json};

use super::Dataspace;
use crate::config::tenant::Registration;
use crate::domain::failure::Failure;
use crate::http::address::Address;
use crate::http::request::Request;

/// What stands for a secret where people look.
const HIDDEN: &str = "[secret]";

impl Dataspace {
    /// Where a registration goes.
    pub fn registration(&self) -> Address {
        self.base.at("registration")
    }

    /// Registers the connector; answers the status. What a second registration of one connector does is not documented.
    pub async fn register(&self, registration: &Registration) -> Result<u16, Failure> {
        let body = body(registration, |secret| secret.expose());
        let reply = self.send(Request::post("register", self.registration()).json(body)).await?;
        Ok(reply.status)
    }
}

/// What is sent, with its secrets hidden.
pub fn preview(registration: &Registration) -> Value {
    body(registration, |_| HIDDEN)
}

fn body<'a>(registration: &'a Registration, show: impl Fn(&'a crate::secret::Secret) -> &'a str) -> Value {
    json!({
        "BPN": registration.bpn,
        "location": registration.location,
        "connectorName": registration.connector_name,
        "connectorUrl": registration.connector_url,
        "connectorUserClientId": registration.connector_user,
        "connectorUserClientSecret": show(&registration.connector_secret),
        "centralIdpTokenUrl": registration.central_idp_token_url,
        "backendPortalUrl": registration.backend_portal_url,
        "bdrsServerUrl": registration.bdrs_server_url,
        "did": registration.did,
        "trustedIssuers": registration.trusted_issuers,
        "stsDimClientId": registration.wallet_user,
        "stsDimClientSecret": show(&registration.wallet_secret),
        "stsDimTokenUrl": registration.wallet_token_url,
        "stsDimUrl": registration.wallet_url,
    })
}
