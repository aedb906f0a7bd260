//! What is sent and what comes back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::address::Address;
use super::error::HttpError;
use super::login::Login;
use super::redact;
use crate::domain::Timestamp;
use crate::domain::failure::Class;
use crate::secret::Secret;

/// How a request proves who sends it.
#[derive(Clone)]
pub enum Auth {
    /// Not at all.
    Nobody,
    /// With this token and no other.
    Bearer(Secret),
    /// With the cached token of a login; a refused token is replaced once.
    Login(Arc<Login>),
    /// With this token, which the login got a moment ago, and no other. Pauses are the login's.
    Token(Arc<Login>, Secret),
    /// With this token, which was taken from the cache just now. Made by the way out itself.
    Cached(Arc<Login>, Secret),
    /// With name and password. For token endpoints only.
    Basic(String, Secret),
}

/// What a request carries.
#[derive(Clone)]
pub enum Body {
    /// Nothing.
    Empty,
    /// A JSON document.
    Json(Value),
    /// A JSON text, exactly as it was signed, and the signature.
    Signed(String, Option<String>),
    /// A form; every value is percent-encoded.
    Form(Vec<(&'static str, Secret)>),
}

/// The verbs in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

/// One request. It has no `Debug`: it may carry secrets.
#[derive(Clone)]
pub struct Request {
    /// What is done, from the closed set of the metrics.
    pub operation: &'static str,
    /// The verb.
    pub method: Method,
    /// Where to.
    pub to: Address,
    /// Who asks.
    pub auth: Auth,
    /// What with.
    pub body: Body,
    /// The largest answer that is read, in bytes.
    pub limit: usize,
    /// The longest time for request and answer together, where it is not the client's own.
    pub timeout: Option<Duration>,
    /// How many calls an hour its service takes, where that is less than the way out makes.
    pub calls_per_hour: Option<u32>,
    /// Whether it can have an effect: decides what a lost answer means, and whether it may be repeated.
    pub changes: bool,
}

/// The largest answer in bytes, unless the request says otherwise.
pub const ANSWER_LIMIT: usize = 1 << 20;

/// The largest answer in bytes to a request for a list: 5000 keys a page of about 1.2 kB each.
pub const LIST_LIMIT: usize = 8 << 20;

impl Request {
    fn new(operation: &'static str, method: Method, to: Address, changes: bool) -> Self {
        let (auth, body) = (Auth::Nobody, Body::Empty);
        let (limit, timeout, calls_per_hour) = (ANSWER_LIMIT, None, None);
        Self { operation, method, to, auth, body, limit, timeout, calls_per_hour, changes }
    }

    /// A question.
    pub fn get(operation: &'static str, to: Address) -> Self {
        Self::new(operation, Method::Get, to, false)
    }

    /// A command.
    pub fn post(operation: &'static str, to: Address) -> Self {
        Self::new(operation, Method::Post, to, true)
    }

    /// A replacement.
    pub fn put(operation: &'static str, to: Address) -> Self {
        Self::new(operation, Method::Put, to, true)
    }

    /// A deletion.
    pub fn delete(operation: &'static str, to: Address) -> Self {
        Self::new(operation, Method::Delete, to, true)
    }

    /// A question for a token: a POST without an effect.
    pub(super) fn token(to: Address, form: Vec<(&'static str, Secret)>) -> Self {
        let mut request = Self::new("token", Method::Post, to, false);
        request.body = Body::Form(form);
        request
    }

    /// The same, asked by `auth`.
    #[must_use]
    pub fn by(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// The same with a JSON body.
    #[must_use]
    pub fn json(mut self, value: Value) -> Self {
        self.body = Body::Json(value);
        self
    }

    /// The same with a JSON text and what shows who wrote it.
    #[must_use]
    pub fn signed(mut self, text: String, signature: Option<String>) -> Self {
        self.body = Body::Signed(text, signature);
        self
    }

    /// The same with another limit of the answer's size.
    #[must_use]
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// The same at no more than so many calls an hour of its login. Every call to a service names the same figure.
    #[must_use]
    pub fn paced(mut self, calls_per_hour: u32) -> Self {
        self.calls_per_hour = Some(calls_per_hour);
        self
    }

    /// The same with its own time limit.
    #[must_use]
    pub fn within(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// What it carries that nobody may see.
    pub(super) fn secrets(&self) -> Vec<&str> {
        let mut found = Vec::new();
        match &self.auth {
            Auth::Nobody | Auth::Login(_) => {}
            Auth::Bearer(secret)
            | Auth::Token(_, secret)
            | Auth::Cached(_, secret)
            | Auth::Basic(_, secret) => found.push(secret.expose()),
        }
        match &self.body {
            // What is told to a sink holds no secret.
            Body::Empty | Body::Signed(..) => {}
            Body::Json(value) => secrets_in(value, &mut found),
            Body::Form(fields) => {
                let secret = fields.iter().filter(|(name, _)| redact::is_secret_name(name));
                found.extend(secret.map(|(_, value)| value.expose()));
            }
        }
        found
    }

    /// What is done where, for messages.
    pub(super) fn what(&self) -> String {
        format!("`{}` at `{}`", self.operation, self.to)
    }
}

fn secrets_in<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| secrets_in(value, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if redact::is_secret_name(name) => found.push(text),
                    value => secrets_in(value, found),
                }
            }
        }
        _ => {}
    }
}

/// An answer. It has no content in its `Debug`: it may hold secrets.
#[derive(Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The `Link` header.
    pub link: Option<String>,
    /// The `Date` header: when it was on the other side's clock.
    pub date: Option<Timestamp>,
    /// The body.
    pub body: Vec<u8>,
    pub(super) retry_after: Option<String>,
    pub(super) routed: bool,
    pub(super) what: String,
    pub(super) changes: bool,
}

impl Reply {
    /// The body as JSON. One that cannot be read leaves open what happened.
    pub fn json(&self) -> Result<Value, HttpError> {
        serde_json::from_slice(&self.body)
            .map_err(|_| self.unreadable(&format!("expected JSON, found {}", redact::redact(&self.body))))
    }

    /// The body as JSON, where it is.
    pub fn value(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The error that says that this answer makes no sense.
    pub fn unreadable(&self, why: &str) -> HttpError {
        let mut error = HttpError::new(Class::Decode, format!("{}: {}: {why}", self.what, self.status));
        error.status = Some(self.status);
        error.effect_unknown = self.changes;
        error
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
