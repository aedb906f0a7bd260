//! The one way out: one client, with limits on everything, tokens, pauses, classes of failure and redaction.
//!
//! An adapter describes a [`Request`] and gets a [`Reply`] or an [`HttpError`] whose text is fit for the log. Nothing
//! is followed to another host, nothing with an effect is sent twice, and nobody calls where a 429 asked for a pause
//! or faster than the landscape takes it.

pub mod address;
pub mod client;
pub mod error;
pub mod local;
pub mod login;
pub mod otlp;
pub mod redact;
pub mod request;
pub mod retry_after;
pub mod silence;
pub mod token;

mod gate;
mod limiter;
#[cfg(test)]
pub(crate) mod malform;
#[cfg(test)]
mod malformed_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod throttle_tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tracing::{Instrument, Span};

use self::address::Address;
use self::client::{Clients, HttpSettings};
use self::error::{HttpError, Mishap, class_of, is_ambiguous};
use self::gate::{Caller, Gate};
use self::limiter::{Limiter, Rate};
use self::login::Login;
use self::request::{Auth, Reply, Request};
use self::silence::{Silence, Silences};
use self::token::Tokens;
use crate::clock::Clock;
use crate::domain::failure::Class;
use crate::domain::names::fnv1a;
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
    limiter: Limiter,
    silences: Silences,
    rate: RwLock<Rate>,
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
        let rate = RwLock::new(Rate::hourly(settings.calls_per_hour, settings.burst));
        let clients = Clients::new(settings)?;
        let (tokens, gate, limiter) = (Tokens::default(), Gate::default(), Limiter::default());
        let silences = Silences::default();
        Ok(Self { clients, tokens, gate, limiter, silences, rate, metrics, clock })
    }

    /// Changes how fast a login may call a landscape, from the next call on.
    pub fn pace(&self, calls_per_hour: u32, burst: u32) {
        let rate = Rate::hourly(calls_per_hour, burst);
        *self.rate.write().unwrap_or_else(PoisonError::into_inner) = rate;
    }

    /// Sends a request; only an answer of 2xx is a success. A question is repeated at most twice where the connection
    /// was cut or a router answered 502, 503 or 504; a command never. A token that is refused is replaced once.
    pub async fn send(&self, request: &Request) -> Result<Reply, HttpError> {
        let login = match &request.auth {
            Auth::Login(login) | Auth::Token(login, _) | Auth::Cached(login, _) => Some(login.as_ref()),
            Auth::Nobody | Auth::Bearer(_) | Auth::Basic(..) => None,
        };
        match self.repeat(request, login).await {
            Err(error) if error.token_forgotten => {
                self.metrics.upstream_retry(request.operation);
                self.repeat(request, login).await
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

    /// Forgets tokens and client certificates: the configuration was read again. A login that was rejected stays so.
    pub fn forget(&self) {
        self.tokens.forget(self.clock.monotonic());
        self.clients.forget();
    }

    /// Who does not answer just now, by host.
    pub fn silent(&self) -> BTreeMap<String, Silence> {
        self.silences.all()
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
        let caller = (request.to.host(), login.map(|login| login.caller));
        let (lane, rate) = self.lane(request, &caller);
        self.may_call(request, &caller)?;
        // Nobody stands in line whose login is rejected.
        self.with_token(request).await?;
        self.take_turn(request, &caller, &lane, rate).await?;
        let request = &self.with_token(request).await?;
        // While it stood in line, or fetched a token, others may have been told to pause.
        self.may_call(request, &caller)?;
        let certificate = login.filter(|login| login.token_url == request.to).and_then(Login::certificate);
        let started = self.clock.monotonic();
        let span = call(request);
        let exchange = self.clients.exchange(request, certificate).instrument(span.clone());
        let mut outcome = match exchange.await {
            Ok(reply) => self.judge(request, reply),
            Err(mishap) => Err(lost(request, &mishap)),
        };
        self.forget_refused(request, &mut outcome);
        let now = self.clock.monotonic();
        let class = outcome.as_ref().err().map(|error| error.class);
        say(&span, &outcome);
        let took = now.saturating_sub(started);
        self.metrics.upstream(&request.to.landscape(), request.operation, took, class);
        let failed = outcome.as_ref().err().map(|error| (error.class, error.cause.as_str()));
        self.silences.note(request.to.host(), failed, self.clock.now());
        if let Err(error) = &outcome
            && error.class == Class::Throttled
        {
            let pause = error.reply.as_ref().and_then(|reply| self.pause(reply));
            let pause = self.gate.close(caller, now, pause);
            self.limiter.drain(&lane, rate, now);
            self.metrics.throttled(&request.to.landscape(), "server");
            self.metrics.throttled_until(&request.to.landscape(), after(self.clock.now(), pause));
        }
        outcome
    }

    /// The request with the login's cached token, taken at the last moment: meanwhile somebody else may have been told
    /// that the one before is refused.
    async fn with_token<'r>(&self, request: &'r Request) -> Result<Cow<'r, Request>, HttpError> {
        let Auth::Login(login) = &request.auth else { return Ok(Cow::Borrowed(request)) };
        // A token is a request of its own, with its own repeats.
        let token = Box::pin(self.tokens.get(self, login)).await.map_err(HttpError::once_is_enough)?;
        Ok(Cow::Owned(request.clone().by(Auth::Cached(Arc::clone(login), token))))
    }

    /// Forgets a cached token that is refused, so that nobody uses it again.
    fn forget_refused(&self, request: &Request, outcome: &mut Result<Reply, HttpError>) {
        if let (Auth::Cached(login, token), Err(error)) = (&request.auth, outcome)
            && error.status == Some(401)
        {
            self.tokens.refused(login, token);
            error.token_forgotten = true;
        }
    }

    /// The line in which a request stands, and how fast it is served: tokens are counted per endpoint, whoever asks.
    fn lane(&self, request: &Request, caller: &Caller) -> (Caller, Rate) {
        if request.operation == "token" {
            return ((request.to.without_query().as_str().to_owned(), None), Rate::TOKENS);
        }
        let rate = *self.rate.read().unwrap_or_else(PoisonError::into_inner);
        (caller.clone(), request.calls_per_hour.map_or(rate, |calls| rate.at_most(calls)))
    }

    /// Refuses a call while a pause is on that a 429 asked for.
    fn may_call(&self, request: &Request, caller: &Caller) -> Result<(), HttpError> {
        let Some(left) = self.gate.closed_for(caller, self.clock.monotonic()) else { return Ok(()) };
        self.metrics.throttled(&request.to.landscape(), "pause");
        let until = after(self.clock.now(), left);
        Err(not_sent(request, &format!("`{}` asked for a pause until {until}", caller.0), until))
    }

    /// Waits in line for a few seconds, or refuses the call with the time of its turn.
    async fn take_turn(
        &self,
        request: &Request,
        caller: &Caller,
        lane: &Caller,
        rate: Rate,
    ) -> Result<(), HttpError> {
        let landscape = request.to.landscape();
        let who = (request.operation, request.to.as_str(), caller.1);
        let who = fnv1a(format!("{who:?}").as_bytes());
        match self.limiter.pass(lane, who, rate, self.clock()).await {
            Ok(waited) => {
                self.metrics.throttle_waited(&landscape, waited);
                Ok(())
            }
            Err(wait) => {
                self.metrics.throttled(&landscape, "limiter");
                let until = after(self.clock.now(), wait);
                let why = format!("the line at `{}` is long, and its turn comes at {until}", caller.0);
                Err(not_sent(request, &why, until))
            }
        }
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
        let not_before = self.pause(&reply).map(|pause| after(self.clock.now(), pause));
        let repeatable = matches!(status, 502..=504) && not_before.is_none();
        Err(HttpError {
            class,
            status: Some(status),
            cause: format!("{}: {status}: {said}", request.what()),
            effect_unknown: request.changes && is_ambiguous(class),
            not_before,
            repeatable,
            token_forgotten: false,
            reply: Some(Arc::new(reply)),
        })
    }

    /// How long an answer asks to wait, measured on the clock of the one who asks for it.
    fn pause(&self, reply: &Reply) -> Option<Duration> {
        let text = reply.retry_after.as_deref()?;
        retry_after::wait(text, reply.date.unwrap_or_else(|| self.clock.now()))
    }
}

/// The span of one call; what it says is fit for everybody.
fn call(request: &Request) -> Span {
    tracing::info_span!(
        "call",
        operation = request.operation,
        host = request.to.host(),
        status = tracing::field::Empty,
        class = tracing::field::Empty,
    )
}

/// What became of it.
fn say(span: &Span, outcome: &Result<Reply, HttpError>) {
    let status = outcome.as_ref().map_or_else(|error| error.status, |reply| Some(reply.status));
    if let Some(status) = status {
        span.record("status", u64::from(status));
    }
    if let Err(error) = outcome {
        span.record("class", error.class.as_str());
    }
}

/// The error of a call that was kept back.
fn not_sent(request: &Request, why: &str, until: Timestamp) -> HttpError {
    let mut error = HttpError::new(Class::Throttled, format!("{} was not sent: {why}", request.what()));
    error.not_before = Some(until);
    error
}

fn lost(request: &Request, mishap: &Mishap) -> HttpError {
    let mut error = HttpError::new(mishap.class, format!("{}: {}", request.what(), mishap.text));
    error.effect_unknown = request.changes && mishap.sent;
    error.repeatable = mishap.cut;
    error
}
