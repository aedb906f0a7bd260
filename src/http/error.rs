//! What can go wrong on the way out and back, sorted into the classes of the domain.

use std::error::Error;
use std::sync::Arc;

use super::redact;
use super::request::Reply;
use crate::domain::Timestamp;
use crate::domain::failure::{Class, Failure};

/// A call that did not succeed. Its text is redacted and fit for logs and journal.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{cause}")]
pub struct HttpError {
    /// Its class.
    pub class: Class,
    /// The status, where there was an answer.
    pub status: Option<u16>,
    /// What failed where, and what was answered, redacted.
    pub cause: String,
    /// Whether the effect may have taken place all the same; never for a call that changes nothing.
    pub effect_unknown: bool,
    /// Not before this instant, where the other side said so.
    pub not_before: Option<Timestamp>,
    /// The answer, for an adapter that reads error codes. It may hold secrets: not for messages.
    pub reply: Option<Arc<Reply>>,
    /// Whether a call that changes nothing may be repeated shortly.
    pub(super) repeatable: bool,
    /// Whether a cached token was refused, and is forgotten now: the next call fetches another.
    pub(super) token_forgotten: bool,
}

impl HttpError {
    /// An error that had no effect.
    pub fn new(class: Class, cause: impl Into<String>) -> Self {
        Self {
            class,
            status: None,
            cause: cause.into(),
            effect_unknown: false,
            not_before: None,
            reply: None,
            repeatable: false,
            token_forgotten: false,
        }
    }

    /// The same, not to be repeated: that has been done already.
    pub(super) fn once_is_enough(mut self) -> Self {
        self.repeatable = false;
        self
    }

    /// The same with advice at the end of its text.
    #[must_use]
    pub fn advising(mut self, advice: &str) -> Self {
        self.cause = format!("{}; {advice}", self.cause);
        self
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self {
            class: error.class,
            cause: error.cause,
            effect_unknown: error.effect_unknown,
            not_before: error.not_before,
        }
    }
}

/// The class of an answer that is not a success. `routed` is false where the platform's router answered in place of
/// the service: its 404 says nothing about what was asked for.
pub(super) fn class_of(status: u16, routed: bool) -> Class {
    match status {
        404 if !routed => Class::ServerError,
        401 => Class::Unauthorized,
        403 => Class::Forbidden,
        404 | 405 | 410 | 501 => Class::NotFound,
        408 => Class::Timeout,
        409 => Class::Conflict,
        429 => Class::Throttled,
        400..=499 => Class::ClientError,
        500..=599 => Class::ServerError,
        // A redirect is never followed, and 1xx and 6xx are no answers.
        _ => Class::Decode,
    }
}

/// Whether a request that got this answer may have been carried out all the same.
pub(super) fn is_ambiguous(class: Class) -> bool {
    matches!(class, Class::ServerError | Class::Timeout | Class::Decode)
}

/// What went wrong below HTTP.
pub(super) struct Mishap {
    pub(super) class: Class,
    /// The request may have reached the other side.
    pub(super) sent: bool,
    /// The connection was cut; another one may do.
    pub(super) cut: bool,
    pub(super) text: String,
}

/// Sorts an error of the client by its source chain: its own predicates mistake a refused client certificate for a
/// broken request (facts: crates, section 6).
pub(super) fn mishap(error: reqwest::Error) -> Mishap {
    // The URL may hold a query; it never goes into a text.
    let error = error.without_url();
    let chain = Chain::of(&error);
    let text = redact::shorten(&redact::mask(&chain.text), redact::LIMIT);
    let mishap = |class, sent, cut| Mishap { class, sent, cut, text };
    if error.is_builder() {
        return mishap(Class::ClientError, false, false);
    }
    if chain.tls {
        return mishap(Class::Tls, !(error.is_connect() || chain.alert), false);
    }
    if error.is_timeout() {
        return mishap(Class::Timeout, !error.is_connect(), false);
    }
    if error.is_connect() {
        let class = if error.is_dns() { Class::Dns } else { Class::Connect };
        return mishap(class, false, false);
    }
    if chain.cut {
        return mishap(Class::Connect, true, true);
    }
    mishap(Class::Decode, true, false)
}

#[derive(Default)]
struct Chain {
    text: String,
    tls: bool,
    alert: bool,
    cut: bool,
}

impl Chain {
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut chain = Self::default();
        let mut next = Some(error);
        while let Some(link) = next {
            chain.read(link);
            next = link.source();
        }
        chain
    }

    fn read(&mut self, link: &(dyn Error + 'static)) {
        let text = link.to_string();
        if !self.text.ends_with(&text) {
            self.text.push_str(if self.text.is_empty() { "" } else { ": " });
            self.text.push_str(&text);
        }
        self.cut |=
            ["before message completed", "end of file before", "connection closed", "operation was canceled"]
                .iter()
                .any(|mark| text.contains(mark));
        if let Some(io) = link.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind as Kind;
            self.cut |= matches!(
                io.kind(),
                Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof
            );
            // The source of such an error is its content's source: the content itself has to be asked for.
            if let Some(inner) = io.get_ref() {
                self.read(inner);
            }
        }
        if let Some(tls) = link.downcast_ref::<rustls::Error>() {
            self.tls = true;
            self.alert |= matches!(tls, rustls::Error::AlertReceived(_));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_classes() {
        let check = |status, expected| assert_eq!(class_of(status, true), expected, "{status}");
        check(302, Class::Decode);
        check(400, Class::ClientError);
        check(401, Class::Unauthorized);
        check(403, Class::Forbidden);
        for status in [404, 405, 410, 501] {
            check(status, Class::NotFound);
        }
        check(408, Class::Timeout);
        check(409, Class::Conflict);
        check(422, Class::ClientError);
        check(429, Class::Throttled);
        for status in [500, 502, 503, 504] {
            check(status, Class::ServerError);
        }
        assert_eq!(class_of(404, false), Class::ServerError);
    }
}
