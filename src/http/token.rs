//! Tokens: fetched once for all who wait, renewed at half their life, and never asked for again at once with a login
//! that was rejected (facts: OAuth, sections 4 and 6).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::Http;
use super::error::HttpError;
use super::login::Login;
use super::request::Reply;
use crate::domain::failure::Class;
use crate::secret::Secret;

/// How long a rejected login is not tried again: more attempts could lock the account.
pub const REJECTED_FOR: Duration = Duration::from_mins(10);

/// The pause between attempts to renew a token that still works.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);

/// A token this close to its end is not handed out; for short lives a tenth of the life.
const MARGIN: Duration = Duration::from_secs(30);

/// The longest life that is believed (SAP allows at most 24 hours).
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// How many logins are remembered; ten thousand tenants need about two each.
const KEPT: usize = 32_768;

/// Every token there is.
#[derive(Default)]
pub(super) struct Tokens(Mutex<BTreeMap<[u8; 32], Arc<Slot>>>);

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    /// Held by the one who fetches.
    flight: tokio::sync::Mutex<()>,
    /// How many fetches have ended.
    landed: AtomicU64,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    failed: Option<HttpError>,
    rejected: Option<(Duration, HttpError)>,
    /// Not to be renewed before this moment, while the token still works.
    renew_from: Duration,
}

/// A token as it was fetched.
pub(super) struct Token {
    pub(super) secret: Secret,
    refresh: Option<Secret>,
    life: Duration,
    fetched: Duration,
}

impl Token {
    fn works(&self, now: Duration) -> bool {
        now + MARGIN.min(self.life / 10) < self.fetched + self.life
    }
}

/// What there is to do for a caller.
enum Need {
    Nothing(Secret),
    Renewal(Secret),
    Token,
}

impl Slot {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn need(&self, now: Duration) -> Result<Need, HttpError> {
        let state = self.state();
        if let Some(token) = state.token.as_ref().filter(|token| token.works(now)) {
            let secret = token.secret.clone();
            return Ok(if now < state.renew_from { Need::Nothing(secret) } else { Need::Renewal(secret) });
        }
        match &state.rejected {
            Some((until, error)) if now < *until => Err(error.clone()),
            _ => Ok(Need::Token),
        }
    }

    /// Fetches with the flight held. The state lock is never held over a wait.
    async fn fetch(&self, http: &Http, login: &Login) -> Result<Secret, HttpError> {
        let refresh = self.state().token.as_ref().and_then(|token| token.refresh.clone());
        let outcome = fetch(http, login, refresh.as_ref()).await;
        let now = http.clock.monotonic();
        let mut state = self.state();
        let outcome = match outcome {
            Ok(token) => {
                let secret = token.secret.clone();
                *state = State {
                    renew_from: token.fetched + token.life / 2,
                    token: Some(token),
                    ..State::default()
                };
                Ok(secret)
            }
            Err(error) => {
                state.renew_from = now + RENEWAL_PAUSE;
                if error.class.is_login() {
                    state.renew_from = now + REJECTED_FOR;
                    let remembered = error
                        .clone()
                        .advising("not tried again for 10 minutes, unless a reload finds another secret");
                    state.rejected = Some((now + REJECTED_FOR, remembered));
                }
                state.failed = Some(error.clone());
                Err(error)
            }
        };
        drop(state);
        self.landed.fetch_add(1, Ordering::SeqCst);
        outcome
    }
}

impl Tokens {
    /// A token of `login` that works for a while.
    pub(super) async fn get(&self, http: &Http, login: &Login) -> Result<Secret, HttpError> {
        let slot = self.slot(login.id, http.clock.monotonic());
        match slot.need(http.clock.monotonic())? {
            Need::Nothing(secret) => return Ok(secret),
            Need::Renewal(secret) => {
                let Ok(_flight) = slot.flight.try_lock() else {
                    return Ok(secret);
                };
                // An outage of the token service is not ours while the old token works.
                return Ok(slot.fetch(http, login).await.unwrap_or(secret));
            }
            Need::Token => {}
        }
        let landed = slot.landed.load(Ordering::SeqCst);
        let _flight = slot.flight.lock().await;
        if let Need::Nothing(secret) | Need::Renewal(secret) = slot.need(http.clock.monotonic())? {
            return Ok(secret);
        }
        if slot.landed.load(Ordering::SeqCst) != landed
            && let Some(error) = slot.state().failed.clone()
        {
            // Somebody fetched while we waited, in vain: their failure is ours too.
            return Err(error);
        }
        slot.fetch(http, login).await
    }

    /// Drops a token that a service refused. One that was replaced meanwhile stays.
    pub(super) fn refused(&self, login: &Login, token: &Secret) {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&login.id) {
            let mut state = slot.state();
            if state.token.as_ref().is_some_and(|held| held.secret.is_same(token)) {
                state.token = None;
                state.failed = None;
            }
        }
    }

    /// Forgets everything but the rejections: another secret is another login, and the same one read again is as
    /// wrong as before.
    pub(super) fn forget(&self, now: Duration) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rejected = slots.iter().filter_map(|(id, slot)| {
            let rejected = slot.state().rejected.clone().filter(|(until, _)| now < *until)?;
            let state = State { rejected: Some(rejected), ..State::default() };
            Some((*id, Arc::new(Slot { state: Mutex::new(state), ..Slot::default() })))
        });
        *slots = rejected.collect();
    }

    fn slot(&self, id: [u8; 32], now: Duration) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= KEPT && !slots.contains_key(&id) {
            // A token that works and a rejection that is remembered are worth keeping; the rest is not.
            slots.retain(|_, slot| {
                let state = slot.state();
                state.token.as_ref().is_some_and(|token| token.works(now))
                    || state.rejected.as_ref().is_some_and(|(until, _)| now < *until)
            });
            if slots.len() >= KEPT {
                slots.clear();
            }
        }
        slots.entry(id).or_default().clone()
    }
}

/// Fetches a token, with the refresh token where there is one that is still taken.
pub(super) async fn fetch(http: &Http, login: &Login, refresh: Option<&Secret>) -> Result<Token, HttpError> {
    if let Some(request) = refresh.and_then(|refresh| login.refresh(refresh)) {
        let fetched = http.clock.monotonic();
        match http.repeat(&request, Some(login)).await {
            Ok(reply) => return read(&reply, fetched, refresh),
            // A refresh token that is no longer taken says nothing about the login itself.
            Err(error) if matches!(error.status, Some(400 | 401 | 403)) => {}
            Err(error) => return Err(endpoint_error(error)),
        }
    }
    let fetched = http.clock.monotonic();
    let reply = http.repeat(&login.request(), Some(login)).await.map_err(endpoint_error)?;
    read(&reply, fetched, None)
}

pub(super) fn read(reply: &Reply, fetched: Duration, refresh: Option<&Secret>) -> Result<Token, HttpError> {
    let value = reply.json()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let token = text("access_token").filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
    let Some(token) = token else {
        return Err(reply.unreadable("there is no usable `access_token` in the answer"));
    };
    let seconds = match value.get("expires_in") {
        Some(Value::Number(number)) => number.as_u64().unwrap_or_default(),
        Some(Value::String(text)) => text.parse().unwrap_or_default(),
        // Of a token that does not say how long it lives nothing is assumed: it serves this call.
        _ => 0,
    };
    Ok(Token {
        secret: Secret::new(token.to_owned()),
        refresh: text("refresh_token").map(|text| Secret::new(text.to_owned())).or_else(|| refresh.cloned()),
        life: Duration::from_secs(seconds).min(LONGEST_LIFE),
        fetched,
    })
}

/// What an answer of a token endpoint means: a rejected login may come as 400, and a missing endpoint says nothing
/// about the service that the token is for (facts: OAuth, section 5).
fn endpoint_error(mut error: HttpError) -> HttpError {
    if error.status == Some(400) && error.reply.as_ref().is_some_and(|reply| rejects_client(reply)) {
        error.class = Class::Unauthorized;
    }
    if error.class == Class::NotFound {
        error.class = Class::ClientError;
    }
    error
}

/// Whether the body says that this client or user is not taken.
pub(super) fn rejects_client(reply: &Reply) -> bool {
    let value = reply.value();
    let error = value.as_ref().and_then(|value| value.get("error")).and_then(Value::as_str);
    matches!(error, Some("invalid_grant" | "invalid_client" | "unauthorized_client" | "unauthorized"))
}
