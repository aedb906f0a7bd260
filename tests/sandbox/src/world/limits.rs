//! How much SAP takes at once, with the figures it publishes, and the pauses it has asked for. A client that calls
//! again before the end of its pause is written down.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::World;
use super::books::Conduct;
use super::service::{Caller, Service};
use crate::clock;
use crate::faults::{RetryAfter, RetryAfterForm};
use crate::reply::Reply;
use crate::request::{Endpoint, Operation, Request};

/// The windows of the limits of the issuers.
const HOUR_SECONDS: f64 = 3600.0;
const MINUTE_SECONDS: f64 = 60.0;

/// What has been used up, and who was asked to pause.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// The end of each user's window, and the calls in it.
    windows: BTreeMap<String, (DateTime<Utc>, u32)>,
    /// When the token service of a subaccount has dealt with everything that it has taken.
    tokens: BTreeMap<String, DateTime<Utc>>,
    /// Calls to service brokers that are under way.
    service_calls: u32,
    pauses: BTreeMap<Caller, Pause>,
}

#[derive(Debug)]
struct Pause {
    until: DateTime<Utc>,
    /// When the 429 went out, on the machine's clock: what was on its way then is no disobedience.
    said: DateTime<Utc>,
}

/// What a limit says to a call.
#[derive(Debug)]
pub(crate) enum Admission {
    /// Nothing.
    Pass,
    /// To wait in a queue.
    Queue(Duration),
    /// 429.
    Refuse(Reply),
}

impl World {
    /// Whether the limits let a call through. A call that is let through is counted.
    pub(crate) fn admit(&mut self, endpoint: &Endpoint, caller: Option<&Caller>) -> Admission {
        if !self.scenario.limits.always && !self.is_hostile() {
            return Admission::Pass;
        }
        match (endpoint, caller) {
            (Endpoint::XsuaaToken { tenant, .. }, _) => self.admit_token_request(tenant),
            (_, Some((Service::CloudFoundry, user))) => {
                let user = user.clone();
                if let Some(refusal) = self.over_service_limit(endpoint) {
                    return Admission::Refuse(refusal);
                }
                self.admit_in_window(&user)
            }
            (_, Some((Service::Manager, client))) => {
                let client = client.clone();
                self.admit_to_manager(&client)
            }
            (_, Some((Service::Cis, client))) => {
                let who = format!("{client}{}", endpoint.template());
                self.admit_to_cis(&who)
            }
            _ => Admission::Pass,
        }
    }

    /// Cloud Foundry counts the calls of a user in windows of an hour (facts: Cloud Foundry, section 8).
    fn admit_in_window(&mut self, user: &str) -> Admission {
        let limit = self.scenario.limits.cloud_foundry_per_hour;
        let Some(end) = self.counted(user, HOUR_SECONDS, limit) else { return Admission::Pass };
        let seconds = whole_seconds(end - self.now());
        let refusal = too_many(10013, "CF-RateLimitExceeded", "Rate Limit Exceeded")
            .with("x-ratelimit-limit", limit.to_string())
            .with("x-ratelimit-remaining", "0")
            .with("x-ratelimit-reset", end.timestamp().to_string());
        Admission::Refuse(self.asking(refusal, Service::CloudFoundry, RetryAfterForm::Seconds, seconds))
    }

    /// Service Manager counts the calls of a client in windows of an hour and of a minute (facts: Service Manager,
    /// section 4).
    fn admit_to_manager(&mut self, client: &str) -> Admission {
        let (hour, minute) =
            (self.scenario.limits.service_manager_per_hour, self.scenario.limits.service_manager_per_minute);
        for (limit, seconds, name) in [(hour, HOUR_SECONDS, "hour"), (minute, MINUTE_SECONDS, "minute")] {
            let Some(end) = self.counted(&format!("{client}/{name}"), seconds, limit) else { continue };
            let text = format!("The allowed request limit of {limit} responses has been reached");
            let refusal = Reply::json(429, &json!({ "description": text }));
            let wait = whole_seconds(end - self.now());
            let form = RetryAfterForm::HttpDate;
            return Admission::Refuse(self.asking(refusal, Service::Manager, form, wait));
        }
        Admission::Pass
    }

    /// Cloud Management counts the calls to each endpoint in windows of three seconds, and says in a header of its own when
    /// the window ends (facts: CIS, section 4).
    fn admit_to_cis(&mut self, who: &str) -> Admission {
        let limit = self.scenario.limits.cis_per_three_seconds;
        let Some(end) = self.counted(who, 3.0, limit) else { return Admission::Pass };
        let seconds = whole_seconds(end - self.now());
        let until = self.now() + TimeDelta::seconds(i64::from(seconds));
        let text = format!("Maximum request rate limit is {limit} requests in 3 seconds");
        let refusal = crate::api::cis::error(self, 429, 11_006, &text);
        Admission::Refuse(Reply {
            not_before: Some(until),
            ..refusal.with("x-ratelimit-reset", seconds.to_string())
        })
    }

    /// Counts a call in the window of `who`. The end of the window, where it is one too many.
    fn counted(&mut self, who: &str, seconds: f64, limit: u32) -> Option<DateTime<Utc>> {
        let now = self.now();
        let length = TimeDelta::from_std(self.paced(seconds)).unwrap_or_default();
        let window = self.meter.windows.entry(who.to_owned()).or_insert((now + length, 0));
        if window.0 <= now {
            *window = (now + length, 0);
        }
        window.1 += 1;
        (window.1 > limit).then_some(window.0)
    }

    /// The limiter of service brokers counts what is under way, and asks for a random pause so that those it has sent
    /// away do not return together.
    fn over_service_limit(&mut self, endpoint: &Endpoint) -> Option<Reply> {
        if !is_service_call(endpoint) || self.meter.service_calls < self.scenario.limits.service_calls_at_once
        {
            return None;
        }
        let seconds = self.some_pause("service limiter");
        let text = "Service broker concurrent request limit exceeded";
        let refusal = too_many(10016, "CF-ServiceBrokerRateLimitExceeded", text);
        Some(self.asking(refusal, Service::CloudFoundry, RetryAfterForm::Seconds, seconds))
    }

    /// XSUAA takes 60 token requests a second from a subaccount, then queues them, then refuses them.
    fn admit_token_request(&mut self, tenant: &str) -> Admission {
        let now = self.now();
        let limits = &self.scenario.limits;
        let rate = limits.tokens_per_second.max(1);
        let each = TimeDelta::microseconds(1_000_000 / i64::from(rate));
        let queued = i32::try_from(limits.tokens_queued).unwrap_or(i32::MAX);
        let done = self.meter.tokens.entry(tenant.to_owned()).or_insert(now);
        // A second's worth at once, then one after the other.
        let starts = (*done).max(now) - each * i32::try_from(rate - 1).unwrap_or(i32::MAX);
        let wait = starts - now;
        if wait > each * queued {
            let seconds = whole_seconds(wait);
            let refusal = Reply::json(429, &json!({ "error": "too_many_requests" }));
            return Admission::Refuse(self.asking(refusal, Service::Xsuaa, RetryAfterForm::Seconds, seconds));
        }
        *done = (*done).max(now) + each;
        wait.to_std().ok().filter(|wait| !wait.is_zero()).map_or(Admission::Pass, Admission::Queue)
    }

    /// A refusal that asks for a pause.
    pub(crate) fn asking(
        &self,
        refusal: Reply,
        service: Service,
        form: RetryAfterForm,
        seconds: u32,
    ) -> Reply {
        let text = RetryAfter { form, seconds }.text(self.their_time(service));
        let until = self.now() + TimeDelta::seconds(i64::from(seconds));
        Reply { not_before: Some(until), ..refusal.with("retry-after", text) }
    }

    /// A pause as Cloud Foundry's service limiter asks for it, in whole seconds.
    pub(crate) fn some_pause(&mut self, question: &str) -> u32 {
        let (least, most) =
            (self.scenario.waits.retry_after_least_seconds, self.scenario.waits.retry_after_most_seconds);
        let drawn = least + self.chance.up_to(question, most.saturating_sub(least));
        let paced = self.paced(f64::from(drawn)).as_millis().div_ceil(1000);
        u32::try_from(paced).unwrap_or(u32::MAX).max(1)
    }

    /// Writes down that a client was asked to pause.
    fn note_limited(&mut self, caller: Option<&Caller>, until: Option<DateTime<Utc>>) {
        self.ledger.limited += 1;
        let (Some(caller), Some(until)) = (caller, until) else { return };
        let pause = Pause { until, said: clock::machine_time() };
        let kept = self.meter.pauses.entry(caller.clone()).or_insert(Pause { until, said: pause.said });
        if pause.until > kept.until {
            *kept = pause;
        }
    }

    /// Writes down a call that comes before the end of its pause. What was on its way when the pause was asked for is
    /// let go by.
    pub(crate) fn note_impatience(&mut self, caller: Option<&Caller>, operation: Operation) {
        let Some(caller) = caller else { return };
        let now = self.now();
        let Some(pause) = self.meter.pauses.get(caller) else { return };
        if pause.until <= now {
            self.meter.pauses.remove(caller);
            return;
        }
        let grace = TimeDelta::milliseconds(i64::from(self.scenario.limits.in_flight_milliseconds));
        if clock::machine_time() >= pause.said + grace {
            let text = format!("`{}` of {:?} was to pause until {}", caller.1, caller.0, pause.until);
            self.ledger.misbehaved(Conduct::EarlyRetry, now, operation, text);
        }
    }

    /// Buries a token that is refused, and writes down who goes on with it after having been told.
    pub(crate) fn refuse_token(&mut self, token: &str) {
        let grace = TimeDelta::milliseconds(i64::from(self.scenario.limits.in_flight_milliseconds));
        if self.tokens.told_at(token).is_some_and(|at| clock::machine_time() >= at + grace) {
            let (now, owner) = (self.now(), self.tokens.owner(token).unwrap_or_default());
            let text = format!("`{owner}` uses a token that was refused");
            self.ledger.misbehaved(Conduct::RefusedToken, now, Operation::Token, text);
        }
        self.tokens.bury(token);
    }

    /// Notes what the client gets to hear: pauses and refused tokens count from then on.
    pub(crate) fn note_heard(&mut self, request: &Request, caller: Option<&Caller>, reply: &Reply) {
        match reply.status {
            429 => self.note_limited(caller, reply.not_before),
            401 => {
                if let Some(token) = request.bearer() {
                    self.tokens.tell(token, clock::machine_time());
                }
            }
            _ => {}
        }
    }

    /// A call to a service broker begins. Answers whether it is one.
    pub(crate) fn begin_service_call(&mut self, endpoint: &Endpoint) -> bool {
        let is_one = is_service_call(endpoint);
        self.meter.service_calls += u32::from(is_one);
        is_one
    }

    /// It has been answered.
    pub(crate) fn end_service_call(&mut self) {
        self.meter.service_calls = self.meter.service_calls.saturating_sub(1);
    }
}

fn is_service_call(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::CreateBinding | Endpoint::DeleteBinding(_))
}

/// Cloud Foundry's limiters answer JSON and call it text.
fn too_many(code: u32, title: &str, detail: &str) -> Reply {
    let body = json!({ "errors": [{ "code": code, "title": title, "detail": detail }] });
    Reply::text(429, "text/plain", body.to_string())
}

fn whole_seconds(span: TimeDelta) -> u32 {
    let milliseconds = u64::try_from(span.num_milliseconds()).unwrap_or_default();
    u32::try_from(milliseconds.div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}
