//! Replies, and the bodies that go wrong on their way.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hyper::body::{Frame, SizeHint};
use serde_json::Value;
use tokio::sync::mpsc;

/// What an endpoint answers, and what it did.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// The call changed something.
    pub(crate) effect: bool,
    /// The name of the key that was created or deleted.
    pub(crate) key: Option<String>,
    /// A 429 asks the client not to call before this instant of the sandbox's clock.
    pub(crate) not_before: Option<DateTime<Utc>>,
}

impl Reply {
    pub(crate) fn empty(status: u16) -> Self {
        let (headers, body) = (Vec::new(), Bytes::new());
        Self { status, headers, body, effect: false, key: None, not_before: None }
    }

    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::text(status, "application/json;charset=utf-8", value.to_string())
    }

    pub(crate) fn text(status: u16, media_type: &str, body: String) -> Self {
        let headers = vec![("content-type", media_type.to_owned())];
        Self { headers, body: body.into(), ..Self::empty(status) }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The body as JSON, where it is.
    pub(crate) fn document(&self) -> Option<Value> {
        let is_json = |(name, value): &(&str, String)| *name == "content-type" && value.contains("json");
        self.headers.iter().any(is_json).then(|| serde_json::from_slice(&self.body).ok())?
    }

    pub(crate) fn effective(self) -> Self {
        Self { effect: true, ..self }
    }

    /// The reply on the wire, whole.
    pub(crate) fn into_http(self) -> hyper::Response<Body> {
        let length = self.body.len();
        let body = if length == 0 { Body::Whole(None) } else { Body::Whole(Some(self.body)) };
        response(self.status, &self.headers, body)
    }
}

/// Puts a reply together.
pub(crate) fn response(status: u16, headers: &[(&'static str, String)], body: Body) -> hyper::Response<Body> {
    let mut builder = hyper::Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    builder.body(body).unwrap_or_else(|_| {
        let mut plain = hyper::Response::new(Body::Whole(None));
        *plain.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        plain
    })
}

/// A body that is there, or one that comes bit by bit from a task.
#[derive(Debug)]
pub(crate) enum Body {
    Whole(Option<Bytes>),
    Parts(mpsc::Receiver<Result<Bytes, Broken>>),
}

/// The connection breaks here.
#[derive(Debug)]
pub(crate) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection was broken on purpose")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Parts(parts) => parts.poll_recv(context).map(|part| part.map(|part| part.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Parts(_) => SizeHint::default(),
        }
    }
}
