//! Sockets: four listeners, and one connection at a time turned into requests.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Response, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::admin;
use crate::clock;
use crate::elsewhere;
use crate::reply::{Body, Broken, Reply};
use crate::request::Request;
use crate::serve::{self, Shared};

/// XSUAA's limit for a POST body; nothing here is larger.
const LARGEST_BODY: usize = 1024 * 1024;

/// What a listener is for.
#[derive(Clone)]
pub(crate) enum Kind {
    Plain,
    Tls(TlsAcceptor),
    /// Another host, over TLS.
    Elsewhere(TlsAcceptor),
    Admin,
}

/// Accepts connections until the task is aborted, and ends them with itself.
pub(crate) async fn accept(listener: TcpListener, kind: Kind, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that failed before it began is the client's business.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, kind.clone(), Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, kind: Kind, shared: Arc<Shared>) {
    // Without this small replies wait for acknowledgements; failing costs only time.
    let _ = stream.set_nodelay(true);
    let (acceptor, is_elsewhere) = match kind {
        Kind::Plain => return speak(stream, shared, Room::Sap { secure: false, certificate: None }).await,
        Kind::Admin => return speak(stream, shared, Room::Admin).await,
        Kind::Tls(acceptor) => (acceptor, false),
        Kind::Elsewhere(acceptor) => (acceptor, true),
    };
    let Ok(stream) = acceptor.accept(stream).await else { return };
    if is_elsewhere {
        return speak(stream, shared, Room::Elsewhere).await;
    }
    let certificate =
        stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|leaf| leaf.to_vec());
    speak(stream, shared, Room::Sap { secure: true, certificate }).await;
}

/// Whom a connection speaks to.
#[derive(Clone)]
enum Room {
    Sap { secure: bool, certificate: Option<Vec<u8>> },
    Elsewhere,
    Admin,
}

/// When the last request on a connection was answered, on the machine's clock.
type LastUse = Arc<Mutex<Option<DateTime<Utc>>>>;

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>, room: Room) {
    let last_use = LastUse::default();
    let service =
        service_fn(|incoming| request(incoming, Arc::clone(&shared), room.clone(), Arc::clone(&last_use)));
    // An error is a client that hung up, or a connection that we broke on purpose.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn request(
    incoming: hyper::Request<Incoming>,
    shared: Arc<Shared>,
    room: Room,
    last_use: LastUse,
) -> Result<Response<Body>, Broken> {
    let (head, body) = incoming.into_parts();
    let body = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(Reply::empty(413).into_http()),
    };
    let (secure, certificate) = match &room {
        Room::Sap { secure, certificate } => (*secure, certificate.clone()),
        Room::Elsewhere | Room::Admin => (false, None),
    };
    let path = head.uri.path();
    let path =
        if matches!(room, Room::Sap { .. }) { shared.world().enter(path).to_owned() } else { path.into() };
    let request = Request {
        method: head.method.as_str().to_owned(),
        path,
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
        secure,
        certificate,
        only: None,
    };
    match room {
        Room::Admin => return Ok(admin::answer(&shared, &request).await.into_http()),
        Room::Elsewhere => return Ok(elsewhere::answer(&shared, &request).into_http()),
        Room::Sap { .. } => {}
    }
    if is_too_late(&shared, &last_use) {
        return Err(serve::close_idle(&shared, request));
    }
    // A task that panicked answers nothing, and the test that caused it sees a broken connection.
    let answer = tokio::spawn(serve::answer(shared, request)).await.unwrap_or(Err(Broken));
    *last_use.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock::machine_time());
    answer
}

/// Whether a connection was idle for so long that SAP has closed it, just as the next request was sent.
fn is_too_late(shared: &Shared, last_use: &LastUse) -> bool {
    let last = *last_use.lock().unwrap_or_else(PoisonError::into_inner);
    let world = shared.world();
    let limit = world.paced(f64::from(world.scenario.waits.idle_seconds));
    let idle = last.and_then(|last| (clock::machine_time() - last).to_std().ok());
    world.is_hostile() && idle.is_some_and(|idle| idle >= limit)
}
