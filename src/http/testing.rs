//! What the tests of this module and of the adapters need: a clock that they turn, and servers that misbehave.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Http;
use super::address::Address;
use super::client::HttpSettings;
use crate::clock::Clock;
use crate::metrics::Metrics;

/// A clock that moves only when somebody waits on it or turns it.
pub(crate) struct ManualClock(Mutex<(DateTime<Utc>, Duration)>);

impl ManualClock {
    pub(crate) fn new() -> Arc<Self> {
        let start = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
        Arc::new(Self(Mutex::new((start, Duration::from_secs(1000)))))
    }

    pub(crate) fn turn(&self, by: Duration) {
        let mut time = self.0.lock().unwrap();
        time.0 += by;
        time.1 += by;
    }

    /// Sets the wall clock forward or back; the monotonic clock does not notice.
    pub(crate) fn jump(&self, by: chrono::TimeDelta) {
        self.0.lock().unwrap().0 += by;
    }
}

#[async_trait::async_trait]
impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.lock().unwrap().0
    }

    async fn sleep(&self, duration: Duration) {
        self.turn(duration);
        tokio::task::yield_now().await;
    }

    fn nonce(&self) -> u64 {
        7
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

/// What a server was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Asked {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }
}

/// What a server does next.
pub(crate) enum Answer {
    /// Status, further headers, body.
    Says(u16, &'static str, String),
    /// Closes the connection without a word.
    Hangs,
    /// Sends these bytes, then closes.
    Raw(Vec<u8>),
    /// Sends these bytes, then neither sends nor closes.
    Stays(Vec<u8>),
    /// Sends these bytes over and over.
    Endless(Vec<u8>),
}

/// 200 with this JSON.
#[expect(clippy::needless_pass_by_value, reason = "reads well at the call")]
pub(crate) fn ok(body: serde_json::Value) -> Answer {
    Answer::Says(200, "", body.to_string())
}

/// A status with this JSON.
#[expect(clippy::needless_pass_by_value, reason = "reads well at the call")]
pub(crate) fn says(status: u16, body: serde_json::Value) -> Answer {
    Answer::Says(status, "", body.to_string())
}

/// A token of this life.
pub(crate) fn token(text: &str, seconds: u64) -> Answer {
    ok(serde_json::json!({ "access_token": text, "token_type": "bearer", "expires_in": seconds }))
}

/// A server on loopback.
pub(crate) struct Stub {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    /// Starts a server that answers each request with what `reply` says; `reply` also gets the server's own URL.
    pub(crate) async fn start(reply: impl Fn(&Asked, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (reply, seen, base) = (Arc::new(reply), asked.clone(), url.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (reply, seen, base) = (reply.clone(), seen.clone(), base.clone());
                tokio::spawn(async move { serve(socket, &*reply, &seen, &base).await });
            }
        });
        Self { url, asked }
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often this was asked.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.is(method, path)).count()
    }

    pub(crate) fn address(&self) -> Address {
        Address::parse(&self.url).unwrap()
    }
}

async fn serve(
    mut socket: TcpStream,
    reply: &(dyn Fn(&Asked, &str) -> Answer + Send + Sync),
    seen: &Mutex<Vec<Asked>>,
    base: &str,
) {
    let Some(asked) = read(&mut socket).await else { return };
    seen.lock().unwrap().push(asked.clone());
    let answer = reply(&asked, base);
    let bytes = match answer {
        Answer::Hangs => return,
        Answer::Raw(bytes) => bytes,
        Answer::Stays(bytes) => {
            let _ = socket.write_all(&bytes).await;
            return std::future::pending().await;
        }
        Answer::Endless(bytes) => {
            while socket.write_all(&bytes).await.is_ok() {}
            return;
        }
        Answer::Says(status, headers, body) => format!(
            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        )
        .into_bytes(),
    };
    let _ = socket.write_all(&bytes).await;
    let _ = socket.shutdown().await;
}

async fn read(socket: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")
                    .and_then(|n| n.trim().parse::<usize>().ok())
            });
            if body.len() >= length.unwrap_or(0) {
                let mut first = head.split_whitespace();
                let method = first.next()?.to_owned();
                let target = first.next()?;
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let (path, query) = (path.to_owned(), query.to_owned());
                return Some(Asked { method, path, query, headers: head.to_owned(), body: body.to_owned() });
            }
        }
        let read = socket.read(&mut piece).await.ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&piece[..read]);
    }
}

/// A way out to loopback servers.
pub(crate) fn http(clock: &Arc<ManualClock>) -> Arc<Http> {
    let settings = HttpSettings { allow_http: true, system_proxy: false, ..HttpSettings::default() };
    Arc::new(Http::new(settings, Arc::new(Metrics::new()), clock.clone()).unwrap())
}
