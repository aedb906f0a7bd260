//! Who fetches a token, where, and with what.

use std::sync::Arc;

use aws_lc_rs::digest;

use super::address::Address;
use super::error::HttpError;
use super::request::{Auth, Request};
use crate::secret::{ClientProof, Secret, ServiceKey};

/// A way to get tokens: one client or user at one token endpoint. It has no `Debug`: it holds secrets.
pub struct Login {
    pub(super) token_url: Address,
    pub(super) kind: Kind,
    /// Stands for endpoint, client and secret: after a rotation old and new key have the same client id.
    pub(super) id: [u8; 32],
    /// Stands for endpoint and client: they share a rate limit whatever the secret.
    pub(super) caller: [u8; 32],
}

pub(super) enum Kind {
    Client { id: String, proof: ClientProof },
    Password { user: String, password: Secret, origin: Option<String> },
}

/// The public client of Cloud Foundry's command line, without a secret (facts: OAuth, section 6).
const CF_CLIENT: &str = "cf";

impl Login {
    /// The login of a service key: client credentials, in the form body or with its certificate (facts: OAuth,
    /// section 2).
    pub fn of_key(key: &ServiceKey) -> Result<Arc<Self>, HttpError> {
        let secret = match &key.proof {
            ClientProof::Secret(secret) | ClientProof::Certificate { key: secret, .. } => secret,
        };
        let token_url = Address::parse(&key.token_url)?;
        let (id, caller) = ids(&token_url, &key.client_id, secret);
        let kind = Kind::Client { id: key.client_id.clone(), proof: key.proof.clone() };
        Ok(Arc::new(Self { token_url, kind, id, caller }))
    }

    /// The login of a user at Cloud Foundry; `origin` names the identity provider (facts: OAuth, section 6).
    pub fn of_user(token_url: Address, user: &str, password: &Secret, origin: Option<&str>) -> Arc<Self> {
        let name = format!("{}\n{user}", origin.unwrap_or_default());
        let (id, caller) = ids(&token_url, &name, password);
        let origin = origin.map(str::to_owned);
        let kind = Kind::Password { user: user.to_owned(), password: password.clone(), origin };
        Arc::new(Self { token_url, kind, id, caller })
    }

    /// The request for a first token.
    pub(super) fn request(&self) -> Request {
        match &self.kind {
            Kind::Client { id, proof } => {
                let mut form = vec![plain("grant_type", "client_credentials"), plain("client_id", id)];
                if let ClientProof::Secret(secret) = proof {
                    form.push(("client_secret", secret.clone()));
                }
                Request::token(self.token_url.clone(), form)
            }
            Kind::Password { user, password, origin } => {
                let form = vec![
                    plain("grant_type", "password"),
                    plain("username", user),
                    ("password", password.clone()),
                ];
                let to = match origin {
                    Some(origin) => {
                        let hint = serde_json::json!({ "origin": origin }).to_string();
                        self.token_url.with_query(&[("login_hint", &hint)])
                    }
                    None => self.token_url.clone(),
                };
                Request::token(to, form).by(cf_client())
            }
        }
    }

    /// The request for a further token with a refresh token; `None` where the grant has none.
    pub(super) fn refresh(&self, refresh_token: &Secret) -> Option<Request> {
        let Kind::Password { .. } = self.kind else {
            return None;
        };
        let form = vec![plain("grant_type", "refresh_token"), ("refresh_token", refresh_token.clone())];
        Some(Request::token(self.token_url.clone(), form).by(cf_client()))
    }

    /// The certificate to show in the handshake.
    pub(super) fn certificate(&self) -> Option<(&str, &Secret)> {
        match &self.kind {
            Kind::Client { proof: ClientProof::Certificate { chain, key }, .. } => Some((chain, key)),
            _ => None,
        }
    }
}

fn plain(name: &'static str, value: &str) -> (&'static str, Secret) {
    (name, Secret::new(value.to_owned()))
}

fn cf_client() -> Auth {
    Auth::Basic(CF_CLIENT.to_owned(), Secret::new(String::new()))
}

fn ids(token_url: &Address, client: &str, secret: &Secret) -> ([u8; 32], [u8; 32]) {
    let public = [token_url.as_str().as_bytes(), client.as_bytes()];
    let id = hash(&[public[0], public[1], &secret.fingerprint()]);
    (id, hash(&public))
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}
