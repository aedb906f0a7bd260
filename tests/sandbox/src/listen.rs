//! Sockets: three listeners, and one connection at a time turned into requests.

use std::sync::Arc;

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
    match kind {
        Kind::Plain => speak(stream, shared, Room::Sap { secure: false, certificate: None }).await,
        Kind::Admin => speak(stream, shared, Room::Admin).await,
        Kind::Tls(acceptor) => {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let certificate = stream
                .get_ref()
                .1
                .peer_certificates()
                .and_then(|chain| chain.first())
                .map(|leaf| leaf.to_vec());
            speak(stream, shared, Room::Sap { secure: true, certificate }).await;
        }
    }
}

/// Whom a connection speaks to.
#[derive(Clone)]
enum Room {
    Sap { secure: bool, certificate: Option<Vec<u8>> },
    Admin,
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>, room: Room) {
    let service = service_fn(|incoming| request(incoming, Arc::clone(&shared), room.clone()));
    // An error is a client that hung up, or a connection that we broke on purpose.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn request(
    incoming: hyper::Request<Incoming>,
    shared: Arc<Shared>,
    room: Room,
) -> Result<Response<Body>, Broken> {
    let (head, body) = incoming.into_parts();
    let body = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(Reply::empty(413).into_http()),
    };
    let (secure, certificate, is_admin) = match room {
        Room::Sap { secure, certificate } => (secure, certificate, false),
        Room::Admin => (false, None, true),
    };
    let request = Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
        secure,
        certificate,
    };
    if is_admin {
        return Ok(admin::answer(&shared, &request).await.into_http());
    }
    // A task that panicked answers nothing, and the test that caused it sees a broken connection.
    tokio::spawn(serve::answer(shared, request)).await.unwrap_or(Err(Broken))
}
