//! The way to a collector of traces: a client of its own, so that nothing of SAP's limits, tokens and pauses is in it.
//! That it cannot be reached is said once, and once that it can be again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tracing::{info, warn};

use super::client::{self, HttpSettings};
use super::error::{self, mishap};

/// How long a collector may take. Nobody waits for it but the task that sends.
const LIMIT: Duration = Duration::from_secs(10);

/// The longest answer that is read: it says how many spans were refused.
const ANSWER: usize = 64 * 1024;

/// A collector's client.
#[derive(Debug)]
pub struct Collector {
    client: reqwest::Client,
    is_lost: AtomicBool,
}

impl Collector {
    /// A client that trusts what the way to SAP trusts. A collector may be spoken to in the open: no span holds a secret.
    pub fn new(settings: HttpSettings) -> Result<Self, error::HttpError> {
        let settings = HttpSettings {
            allow_http: true,
            connect_timeout: LIMIT,
            read_timeout: LIMIT,
            total_timeout: LIMIT,
            ..settings
        };
        Ok(Self { client: client::plain(&settings)?, is_lost: AtomicBool::new(false) })
    }

    /// Says what became of a batch where that changed.
    fn tell(&self, to: &str, problem: Option<&str>) {
        let was_lost = self.is_lost.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !was_lost => {
                warn!(
                    problem,
                    "traces do not reach `{to}` and are lost until they do; nothing else waits for it"
                );
            }
            None if was_lost => info!("traces reach `{to}` again"),
            _ => {}
        }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, reqwest::Error> {
        let (parts, body) = request.into_parts();
        let request = self.client.request(parts.method, parts.uri.to_string()).headers(parts.headers);
        let mut answer = request.body(body).send().await?;
        let (status, mut text) = (answer.status(), Vec::new());
        while let Some(piece) = answer.chunk().await? {
            if text.len() + piece.len() > ANSWER {
                break;
            }
            text.extend_from_slice(&piece);
        }
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = status;
        Ok(response)
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let to = request.uri().to_string();
        match self.exchange(request).await {
            Ok(response) if response.status().is_success() => {
                self.tell(&to, None);
                Ok(response)
            }
            Ok(response) => {
                self.tell(&to, Some(&format!("it answers {}", response.status())));
                Ok(response)
            }
            Err(problem) => {
                let problem = mishap(problem).text;
                self.tell(&to, Some(&problem));
                Err(problem.into())
            }
        }
    }
}
