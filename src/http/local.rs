//! HTTP over a Unix socket: how commands reach the daemon on the same machine.

use std::error::Error;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// Longer than any answer of the daemon takes: a wish waits for the call in flight.
const TIMEOUT: Duration = Duration::from_mins(3);

/// Why the daemon did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalError {
    /// The socket may not be opened.
    #[error("permission denied")]
    Denied,
    /// There is no socket, or nobody listens on it.
    #[error("nobody answers")]
    Absent,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// A client for one socket.
pub struct Local(Result<reqwest::Client, LocalError>);

impl Local {
    /// A client for the socket at `path`. Nothing is sent yet.
    #[expect(clippy::disallowed_methods, reason = "this is one of the two doors of `http`")]
    pub fn new(path: &Path) -> Self {
        let client = reqwest::Client::builder().unix_socket(path).no_proxy().timeout(TIMEOUT).build();
        Self(client.map_err(|problem| LocalError::Other(problem.to_string())))
    }

    /// Status and body of a `GET`.
    pub async fn get(&self, path: &str) -> Result<(u16, Vec<u8>), LocalError> {
        let client = self.0.as_ref().map_err(Clone::clone)?;
        answer(client.get(format!("http://localhost{path}"))).await
    }

    /// Status and body of a `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: Vec<u8>) -> Result<(u16, Vec<u8>), LocalError> {
        let client = self.0.as_ref().map_err(Clone::clone)?;
        let request = client.post(format!("http://localhost{path}"));
        answer(request.header("content-type", "application/json").body(body)).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), LocalError> {
    let reply = request.send().await.map_err(|problem| classify(&problem))?;
    let status = reply.status().as_u16();
    let body = reply.bytes().await.map_err(|problem| classify(&problem))?;
    Ok((status, body.to_vec()))
}

fn classify(problem: &reqwest::Error) -> LocalError {
    let mut cause: Option<&dyn Error> = Some(problem);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            match io.kind() {
                ErrorKind::PermissionDenied => return LocalError::Denied,
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => return LocalError::Absent,
                _ => {}
            }
        }
        cause = error.source();
    }
    LocalError::Other(problem.to_string())
}
