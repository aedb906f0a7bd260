//! SAP Data Space Integration: takes the pair of Cloud Integration keys, and says how it fares (facts: DSI).
//!
//! The three calls are undocumented today, so every answer is read tolerantly, and an endpoint that is not there is an
//! answer of its own: a person delivers then. Whether the credential works is looked at independently, with the keys.

mod content;
pub mod registration;
pub mod status_words;

#[cfg(test)]
mod malformed_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use self::status_words::Words;
use super::token;
use crate::domain::evidence::Grade;
use crate::domain::failure::{Class, Failure};
use crate::domain::names::Role;
use crate::domain::observation::{Content, Status, Verdict};
use crate::http::Http;
use crate::http::address::Address;
use crate::http::error::HttpError;
use crate::http::login::Login;
use crate::http::request::{Auth, LIST_LIMIT, Reply, Request};
use crate::ports::{Accepted, Consumer};
use crate::secret::{ClientProof, ServiceKey};

/// The path of the API, as formerly documented; newer generations differ (facts: DSI, section 1).
pub const BASE_PATH: &str = "/api/v1/dsi";

/// What ends the address for partners, which operators find first; it is not the API's (facts: DSI, section 3).
const PARTNER_PATH: &str = "/api/v1/dsp";

const ARTIFACTS: &str = "/api/v1/IntegrationRuntimeArtifacts";

/// More pages than this are not the artifacts of one tenant.
const PAGES: usize = 50;

const ADVICE: &str =
    "check the SAP role of the instance `Data Space Integration API Access` and its connector name";

/// One connector.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The connector's own service key: a secret or a certificate.
    pub key: Arc<ServiceKey>,
    /// The connector's address, where it is not the one in the key.
    pub url: Option<String>,
    /// The path of the API below it; [`BASE_PATH`] unless the operator says otherwise.
    pub base_path: String,
    /// What further status words mean.
    pub words: BTreeMap<String, Verdict>,
    /// The longest time for one call, where it is not the client's own.
    pub timeout: Option<Duration>,
}

/// The consumer that is one connector.
pub struct Dataspace {
    http: Arc<Http>,
    base: Address,
    login: Arc<Login>,
    words: Words,
    timeout: Option<Duration>,
}

impl Dataspace {
    /// The consumer for one connector. Fails where the key names no address.
    pub fn new(http: Arc<Http>, settings: &Settings) -> Result<Self, Failure> {
        let url = settings.url.as_deref().or(settings.key.url.as_deref());
        let missing = "the connector's service key names no `url`: set it in the tenant's configuration";
        let url = Address::parse(url.ok_or_else(|| Failure::new(Class::ClientError, missing))?)?;
        let url = url.without_ending(PARTNER_PATH).without_ending(settings.base_path.trim_end_matches('/'));
        http.introduce(&url);
        if let Ok(token_url) = Address::parse(&settings.key.token_url) {
            http.introduce(&token_url);
        }
        let words =
            settings.words.iter().map(|(word, verdict)| (status_words::normalise(word), *verdict)).collect();
        Ok(Self {
            http,
            base: url.at(&settings.base_path),
            login: Login::of_key(&settings.key)?,
            words,
            timeout: settings.timeout,
        })
    }

    async fn send(&self, request: Request) -> Result<Reply, HttpError> {
        let request = request.by(Auth::Login(self.login.clone())).within(self.timeout);
        self.http.send(&request).await.map_err(|error| match error.class {
            Class::Forbidden => error.advising(ADVICE),
            _ => error,
        })
    }

    /// The artifacts that `auth` can see, all pages of them.
    async fn artifacts(&self, key: &ServiceKey, auth: &Auth) -> Result<Content, Failure> {
        let url = key.url.as_deref().ok_or_else(|| {
            Failure::new(Class::ClientError, "the `ciapi` key names no `url`: it cannot be read with")
        })?;
        let mut pieces = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = Some(Address::parse(url)?.at(ARTIFACTS).with_query(&[("$format", "json")]));
        while let Some(page) = next {
            if seen.len() >= PAGES || !seen.insert(page.as_str().to_owned()) {
                return Err(Failure::new(Class::Decode, "the list of integration artifacts does not end"));
            }
            let request = Request::get("test_key", page.clone()).by(auth.clone()).at_most(LIST_LIMIT);
            let reply = self.http.send(&request.within(self.timeout)).await?;
            let read = content::page(&reply.json()?);
            let read = read.ok_or_else(|| reply.unreadable("there is no list of artifacts in it"))?;
            pieces.extend(read.pieces);
            next = match read.next {
                None => None,
                Some(link) => Some(page.follow(&link).ok_or_else(|| {
                    reply.unreadable("the next page is on another host, which is not followed")
                })?),
            };
        }
        Ok(content::content(&pieces))
    }
}

#[async_trait::async_trait]
impl Consumer for Dataspace {
    async fn test(&self, role: Role, key: &ServiceKey) -> Result<Grade, Failure> {
        let (login, token) = token::fresh(&self.http, key).await?;
        if role != Role::Ciapi {
            return Ok(Grade::Token);
        }
        match self.artifacts(key, &Auth::Token(login.clone(), token)).await {
            // The key was good for a token just now: it is the token that is refused, and one more is fetched (facts:
            // OAuth, section 4).
            Err(failure) if failure.class == Class::Unauthorized => {
                let token = self.http.fetch_uncached(&login).await?;
                self.artifacts(key, &Auth::Token(login, token)).await?;
            }
            outcome => drop(outcome?),
        }
        Ok(Grade::Read)
    }

    async fn deliver(&self, keys: &BTreeMap<Role, Arc<ServiceKey>>) -> Result<Accepted, Failure> {
        let body = body(keys)?;
        let to = self.base.at("credentials/dataplane");
        let reply = self.send(Request::put("put_credentials", to).json(body)).await?;
        Ok(Accepted { upstream_at: reply.date })
    }

    async fn provision(&self) -> Result<Accepted, Failure> {
        let reply = self.send(Request::post("start_dataplane", self.base.at("dataplane"))).await?;
        Ok(Accepted { upstream_at: reply.date })
    }

    async fn status(&self) -> Result<Status, Failure> {
        let request = Request::get("get_dataplane", self.base.at("dataplane"));
        match self.send(request).await {
            Ok(reply) => Ok(status_words::read(&reply.body, &self.words, reply.date)),
            // A 404 of the router has another class: it says nothing about the data plane.
            Err(error) if error.status == Some(404) && error.class == Class::NotFound => {
                let word = "404".to_owned();
                Ok(Status { verdict: Verdict::NotProvisioned, word, at: None, detail: None })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn content(&self, ciapi: &ServiceKey) -> Result<Content, Failure> {
        self.artifacts(ciapi, &Auth::Login(Login::of_key(ciapi)?)).await
    }

    async fn is_refused(&self, _role: Role, key: &ServiceKey) -> Result<bool, Failure> {
        token::is_refused(&self.http, key).await
    }
}

/// The array `[ciapi, cirt]` of flat objects (facts: DSI, section 5).
fn body(keys: &BTreeMap<Role, Arc<ServiceKey>>) -> Result<Value, Failure> {
    let mut entries = Vec::new();
    for role in [Role::Ciapi, Role::Cirt] {
        let refuse = |why: &str| {
            Failure::new(Class::ClientError, format!("nothing was delivered: the `{role}` key {why}"))
        };
        let key = keys.get(&role).ok_or_else(|| refuse("is missing"))?;
        let ClientProof::Secret(secret) = &key.proof else {
            return Err(refuse("has a certificate, and the data space takes only client secrets"));
        };
        let url = key.url.as_deref().ok_or_else(|| refuse("names no `url`"))?;
        entries.push(json!({
            "clientid": key.client_id,
            "clientsecret": secret.expose(),
            "url": url,
            "tokenurl": key.token_url,
        }));
    }
    Ok(Value::Array(entries))
}
