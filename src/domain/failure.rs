//! What can go wrong with a call, in the few classes a decision needs.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The closed set of failure classes; also the label values of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The host has no address.
    Dns,
    /// No connection.
    Connect,
    /// No agreement on TLS, or the certificate is not trusted.
    Tls,
    /// No answer in time.
    Timeout,
    /// 401, or the token service refused the login.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404, 405, 410 or 501: there is no such thing there.
    NotFound,
    /// 409, or 422 because a name is taken or an operation runs.
    Conflict,
    /// 429: not now.
    Throttled,
    /// Any other 4xx: the request is wrong.
    ClientError,
    /// Any 5xx but 501.
    ServerError,
    /// An answer that cannot be read.
    Decode,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 12] = [
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Throttled,
        Self::ClientError,
        Self::ServerError,
        Self::Decode,
    ];

    /// The class as a label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Throttled => "throttled",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Decode => "decode",
        }
    }

    /// Whether the world may simply be better later: no attempt is counted for these.
    pub fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Dns
                | Self::Connect
                | Self::Tls
                | Self::Timeout
                | Self::Throttled
                | Self::ServerError
                | Self::Decode
                | Self::Conflict
        )
    }

    /// Whether trying again soon could lock an account.
    pub fn is_login(self) -> bool {
        matches!(self, Self::Unauthorized | Self::Forbidden)
    }
}

/// One failed call, as it is journalled: no secret, at most a few hundred characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{cause}")]
pub struct Failure {
    /// Its class.
    pub class: Class,
    /// What failed and what was answered, redacted.
    pub cause: String,
    /// Whether the effect may have taken place all the same.
    #[serde(default)]
    pub effect_unknown: bool,
    /// Not before this instant, where the other side said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
}

impl Failure {
    /// A failure that had no effect.
    pub fn new(class: Class, cause: impl Into<String>) -> Self {
        Self { class, cause: cause.into(), effect_unknown: false, not_before: None }
    }

    /// The same, but the effect may have taken place.
    #[must_use]
    pub fn ambiguous(mut self) -> Self {
        self.effect_unknown = true;
        self
    }
}
