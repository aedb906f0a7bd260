//! The one way out: one client, with limits on everything, tokens, pauses, classes of failure and redaction.
//!
//! An adapter describes a [`Request`] and gets a [`Reply`] or an [`HttpError`] whose text is fit for the log. Nothing
//! is followed to another host, nothing with an effect is sent twice, and nobody calls where a 429 asked for a pause.

pub mod address;
pub mod client;
pub mod error;
pub mod local;
pub mod login;
pub mod redact;
pub mod request;
pub mod retry_after;
pub mod token;

mod gate;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use self::address::Address;
use self::client::{Clients, HttpSettings};
use self::error::{HttpError, Mishap, class_of, is_ambiguous};
use self::gate::Gate;
use self::login::Login;
use self::request::{Auth, Reply, Request};
use self::token::Tokens;
use crate::clock::Clock;
use crate::domain::failure::Class;
use crate::domain::{Timestamp, after};
use crate::metrics::Metrics;
use crate::secret::Secret;

/// The waits before a question is repeated (SAP recommends 300 ms and factor 2; facts: OAuth, section 5).
const REPEATS: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(600)];

/// The way out. One per process.
pub struct Http {
    clients: Clients,
    tokens: Tokens,
    gate: Gate,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
}

impl Http {
    /// Builds the way out. Fails where a certificate cannot be read.
    pub fn new(
        settings: HttpSettings,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpError> {
        let clients = Clients::new(settings)?;
        Ok(Self { clients, tokens: Tokens::default(), gate: Gate::default(), metrics, clock })
    }

    /// Sends a request; only an answer of 2xx is a success. A question is repeated at most twice where the connection
    /// was cut or a router answered 502, 503 or 504; a command never. A token that is refused is replaced once.
    pub async fn send(&self, request: &Request) -> Result<Reply, HttpError> {
        let Auth::Login(login) = &request.auth else {
            return self.repeat(request, None).await;
        };
        let token = self.tokens.get(self, login).await?;
        match self.repeat(&request.clone().by(Auth::Bearer(token.clone())), Some(login)).await {
            Err(error) if error.status == Some(401) => {
                self.tokens.refused(login, &token);
                let token = self.tokens.get(self, login).await?;
                self.metrics.upstream_retry(request.operation);
                self.repeat(&request.clone().by(Auth::Bearer(token)), Some(login)).await
            }
            outcome => outcome,
        }
    }

    /// Fetches a token that is neither taken from the cache nor put there, and whose refusal is not remembered: for
    /// keys under test and keys that should no longer work.
    pub async fn fetch_uncached(&self, login: &Login) -> Result<Secret, HttpError> {
        Ok(token::fetch(self, login, None).await?.secret)
    }

    /// Makes the metrics of the landscape that `address` is in exist before the first call.
    pub fn introduce(&self, address: &Address) {
        self.metrics.know_landscape(&address.landscape());
    }

    /// Forgets tokens, rejected logins and client certificates: the configuration was read again.
    pub fn forget(&self) {
        self.tokens.forget();
        self.clients.forget();
    }

    /// The clock that the way out lives by.
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Sends with repeats. `login` is who calls, for the pauses, and shows its certificate to its token endpoint.
    async fn repeat(&self, request: &Request, login: Option<&Login>) -> Result<Reply, HttpError> {
        for wait in REPEATS {
            match self.once(request, login).await {
                Err(error) if error.repeatable && !request.changes => {
                    self.metrics.upstream_retry(request.operation);
                    self.clock.sleep(wait).await;
                }
                outcome => return outcome,
            }
        }
        self.once(request, login).await
    }

    async fn once(&self, request: &Request, login: Option<&Login>) -> Result<Reply, HttpError> {
        self.clients.check(&request.to)?;
        let host = request.to.host();
        let caller = (host.clone(), login.map(|login| login.caller));
        if let Some(until) = self.gate.closed_until(&caller, self.clock.now()) {
            let text = format!("{} was not sent: `{host}` asked for a pause until {until}", request.what());
            let mut error = HttpError::new(Class::Throttled, text);
            error.not_before = Some(until);
            return Err(error);
        }
        let certificate = login.filter(|login| login.token_url == request.to).and_then(Login::certificate);
        let started = self.clock.monotonic();
        let outcome = match self.clients.exchange(request, certificate).await {
            Ok(reply) => self.judge(request, reply),
            Err(mishap) => Err(lost(request, &mishap)),
        };
        let took = self.clock.monotonic().saturating_sub(started);
        let class = outcome.as_ref().err().map(|error| error.class);
        self.metrics.upstream(&request.to.landscape(), request.operation, took, class);
        if let Err(error) = &outcome
            && error.class == Class::Throttled
        {
            self.gate.close(caller, self.clock.now(), error.not_before);
        }
        outcome
    }

    fn judge(&self, request: &Request, reply: Reply) -> Result<Reply, HttpError> {
        let status = reply.status;
        if (200..300).contains(&status) {
            return Ok(reply);
        }
        let class = class_of(status, reply.routed);
        let said = if (300..400).contains(&status) {
            "a redirect, which is not followed".to_owned()
        } else {
            redact::redact_knowing(&reply.body, &request.secrets())
        };
        let not_before = reply.retry_after.as_deref().and_then(|text| self.not_before(text, reply.date));
        let repeatable = matches!(status, 502..=504) && not_before.is_none();
        Err(HttpError {
            class,
            status: Some(status),
            cause: format!("{}: {status}: {said}", request.what()),
            effect_unknown: request.changes && is_ambiguous(class),
            not_before,
            repeatable,
            reply: Some(Arc::new(reply)),
        })
    }

    /// A wait is measured on the clock of the one who asks for it, and kept on ours.
    fn not_before(&self, text: &str, their_now: Option<Timestamp>) -> Option<Timestamp> {
        let now = self.clock.now();
        retry_after::wait(text, their_now.unwrap_or(now)).map(|wait| after(now, wait))
    }
}

fn lost(request: &Request, mishap: &Mishap) -> HttpError {
    let mut error = HttpError::new(mishap.class, format!("{}: {}", request.what(), mishap.text));
    error.effect_unknown = request.changes && mishap.sent;
    error.repeatable = mishap.cut;
    error
}
