//! Faults: rules that tests inject, and those that the hostile modes draw by themselves.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::reply::Reply;
use crate::request::{Endpoint, Operation, Request};
use crate::scenario::tenant::Role;
use crate::world::World;

/// When to apply which fault. A rule without conditions matches every request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// Only this operation.
    #[serde(default)]
    pub operation: Option<Operation>,
    /// Only this tenant.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Only this method.
    #[serde(default)]
    pub method: Option<String>,
    /// Only paths that begin so.
    #[serde(default)]
    pub path: Option<String>,
    /// From this match on, counted from 1; the first without a number.
    #[serde(default)]
    pub nth: Option<u64>,
    /// For so many matches; for ever without a number.
    #[serde(default)]
    pub count: Option<u64>,
    /// Only in this share of the matches.
    #[serde(default)]
    pub probability: Option<f64>,
    /// Whether the request still takes effect; each fault has its usual answer to that.
    #[serde(default)]
    pub effect: Option<bool>,
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
}

impl Rule {
    /// This fault, once, at the next request.
    pub fn once(fault: Fault) -> Self {
        Self { count: Some(1), ..Self::always(fault) }
    }

    /// This fault, at every request.
    pub fn always(fault: Fault) -> Self {
        Self {
            operation: None,
            tenant: None,
            method: None,
            path: None,
            nth: None,
            count: None,
            probability: None,
            effect: None,
            fault,
        }
    }

    /// Only at this operation.
    #[must_use]
    pub fn on(self, operation: Operation) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// Only for this tenant.
    #[must_use]
    pub fn of_tenant(self, tenant: &str) -> Self {
        Self { tenant: Some(tenant.to_owned()), ..self }
    }

    /// From this match on, counted from 1.
    #[must_use]
    pub fn from_nth(self, nth: u64) -> Self {
        Self { nth: Some(nth), ..self }
    }

    /// The request takes effect before the fault.
    #[must_use]
    pub fn after_effect(self) -> Self {
        Self { effect: Some(true), ..self }
    }

    /// The request takes no effect.
    #[must_use]
    pub fn before_effect(self) -> Self {
        Self { effect: Some(false), ..self }
    }

    fn matches(&self, endpoint: &Endpoint, tenant: Option<&str>, request: &Request) -> bool {
        self.operation.is_none_or(|operation| operation == endpoint.operation())
            && (self.tenant.is_none() || self.tenant.as_deref() == tenant)
            && self.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(&request.method))
            && self.path.as_ref().is_none_or(|path| request.path.starts_with(path))
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// Another status. Without effect unless the rule says otherwise.
    Status {
        /// The status.
        code: u16,
        /// The body; a JSON error without one.
        #[serde(default)]
        body: Option<String>,
        /// A `Retry-After` header.
        #[serde(default)]
        retry_after: Option<RetryAfter>,
    },
    /// A wait before anything happens; goes together with other faults.
    Latency {
        /// How long.
        latency_ms: u64,
    },
    /// The connection is closed without a reply. With effect unless the rule says otherwise.
    LostReply,
    /// The reply is held until it is released. With effect.
    Hold,
    /// The request is held before it takes effect.
    HoldBefore,
    /// 200 with bytes that are neither JSON nor UTF-8. With effect.
    Garbage,
    /// The reply stops half-way. With effect.
    Truncated,
    /// The reply never ends. With effect.
    Endless,
    /// 10 MB. With effect.
    Huge,
    /// An HTML error page of a router. Without effect.
    Html {
        /// The status; 502 without one.
        #[serde(default)]
        code: Option<u16>,
    },
    /// A redirect to another place, which must never see a token. Without effect.
    Redirect {
        /// The place.
        to: String,
        /// The status; 307 without one.
        #[serde(default)]
        code: Option<u16>,
    },
    /// JSON in which one value has another type. With effect.
    Mistyped,
    /// JSON nested deeper than any reader should follow. With effect.
    Nested,
    /// Links in the reply lead to another host. With effect.
    Misled,
    /// The reply comes byte by byte. With effect.
    Drip {
        /// Milliseconds between two bytes; 100 without a number.
        #[serde(default)]
        every_ms: Option<u64>,
    },
}

/// A `Retry-After` header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryAfter {
    /// The form.
    pub form: RetryAfterForm,
    /// How long to wait.
    pub seconds: u32,
}

impl RetryAfter {
    /// The header at an instant of the clock of the one who sends it.
    pub(crate) fn text(&self, now: DateTime<Utc>) -> String {
        // Dates have whole seconds: rounding up keeps them from asking for less.
        let at = now + TimeDelta::seconds(i64::from(self.seconds) + 1);
        match self.form {
            RetryAfterForm::Seconds => self.seconds.to_string(),
            RetryAfterForm::HttpDate => http_date(at),
            RetryAfterForm::SapUtc => at.format("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
            RetryAfterForm::Epoch => at.timestamp().to_string(),
        }
    }
}

/// An instant as in the `Date` header.
pub(crate) fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The forms that occur over SAP's systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryAfterForm {
    /// `30`
    Seconds,
    /// `Mon, 11 Nov 2024 14:59:33 GMT`
    HttpDate,
    /// `2024-11-11 14:59:33 +0000 UTC`
    SapUtc,
    /// `1731337173`
    Epoch,
}

impl Fault {
    /// Its name in the call log.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Status { code, .. } => format!("status {code}"),
            Self::Latency { latency_ms } => format!("latency {latency_ms} ms"),
            Self::LostReply => "lost reply".to_owned(),
            Self::Hold => "hold".to_owned(),
            Self::HoldBefore => "hold before".to_owned(),
            Self::Garbage => "garbage".to_owned(),
            Self::Truncated => "truncated".to_owned(),
            Self::Endless => "endless".to_owned(),
            Self::Huge => "huge".to_owned(),
            Self::Html { code } => format!("html {}", code.unwrap_or(502)),
            Self::Redirect { .. } => "redirect".to_owned(),
            Self::Mistyped => "mistyped".to_owned(),
            Self::Nested => "nested".to_owned(),
            Self::Misled => "misled".to_owned(),
            Self::Drip { .. } => "drip".to_owned(),
        }
    }

    fn lets_through(&self) -> bool {
        !matches!(self, Self::Status { .. } | Self::Html { .. } | Self::Redirect { .. })
    }
}

/// What is to happen to one request.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) latency_ms: u64,
    pub(crate) hold_before: bool,
    pub(crate) hold_after: bool,
    /// The fault that takes the place of the reply, and whether the request takes effect before it.
    pub(crate) spoilt: Option<(Fault, bool)>,
    /// A limit has sent the request away.
    pub(crate) refused: Option<Reply>,
    /// Of a PUT only the entry of this role takes effect.
    pub(crate) only: Option<Role>,
    pub(crate) names: Vec<String>,
}

impl Verdict {
    /// The request reaches its endpoint.
    pub(crate) fn takes_effect(&self) -> bool {
        self.refused.is_none() && self.spoilt.as_ref().is_none_or(|(_, effect)| *effect)
    }

    /// What takes the place of the reply.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.spoilt.as_ref().map(|(fault, _)| fault)
    }

    /// A limit sends the request away before anything else can happen to it.
    pub(crate) fn refuse(&mut self, refusal: Reply) {
        self.spoilt = None;
        self.refused = Some(refusal);
        self.names.push("limit".to_owned());
    }

    /// Adds a fault. The first that takes the place of the reply wins; answers whether it is this one.
    pub(crate) fn add(&mut self, fault: &Fault, effect: Option<bool>) -> bool {
        match fault {
            Fault::Latency { latency_ms } => self.latency_ms += latency_ms,
            Fault::Hold => self.hold_after = true,
            Fault::HoldBefore => self.hold_before = true,
            _ if self.spoilt.is_some() => return false,
            _ => self.spoilt = Some((fault.clone(), effect.unwrap_or(fault.lets_through()))),
        }
        self.names.push(fault.name());
        true
    }
}

/// The injected rules, each with the number of its matches so far.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: Vec<(u64, Rule, u64)>,
    next: u64,
}

impl Rules {
    /// Adds a rule and returns its number.
    pub(crate) fn add(&mut self, rule: Rule) -> u64 {
        self.next += 1;
        self.rules.push((self.next, rule, 0));
        self.next
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The rules with their numbers and matches so far.
    pub(crate) fn all(&self) -> &[(u64, Rule, u64)] {
        &self.rules
    }

    /// What is to happen to this request. Every match is counted, whether or not it is applied.
    pub(crate) fn judge(
        &mut self,
        world: &mut World,
        endpoint: &Endpoint,
        tenant: Option<&str>,
        request: &Request,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        for (number, rule, matched) in &mut self.rules {
            if !rule.matches(endpoint, tenant, request) {
                continue;
            }
            *matched += 1;
            let first = rule.nth.unwrap_or(1).max(1);
            let past = rule.count.is_some_and(|count| *matched >= first.saturating_add(count));
            if *matched < first || past {
                continue;
            }
            let question = format!("rule {number}");
            if rule.probability.is_none_or(|rate| world.chance.happens(&question, rate)) {
                verdict.add(&rule.fault, rule.effect);
            }
        }
        verdict
    }
}
