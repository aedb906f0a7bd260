//! Serves the pages: as many connections as there may be, each for as long as it may be.
//!
//! Nobody can hold the door. A header that is not whole in time ends its connection, so does a handshake; every
//! connection ends after its life, whatever it is doing; and where there are too many, the oldest of whoever has most of
//! them goes, so that one client costs the others nothing.

pub(super) mod auth;
mod crowd;
pub(super) mod guard;
pub(super) mod live;
pub(super) mod passed;
mod rate;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crowd::Crowd;
use live::Live;

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once.
    connections: usize,
    /// Until the handshake is over, and until a request's header is whole.
    patience: Duration,
    /// Until no further request is taken.
    life: Duration,
    /// Until the last answer must be read after that.
    last: Duration,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self {
        connections: 128,
        patience: Duration::from_secs(10),
        life: Duration::from_mins(2),
        last: Duration::from_secs(20),
    };
}

/// The largest header.
const HEADER_LIMIT: usize = 16 * 1024;

/// After the system had no connection to give.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until told to stop.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    live: Option<Arc<Live>>,
    limits: Limits,
    stop: CancellationToken,
) {
    let crowd = Arc::new(Crowd::new(limits.connections));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(problem) => {
                warn!("a connection to the pages cannot be taken: {problem}");
                // Without a pause the loop would spin for as long as there are no descriptors.
                let _ = timeout(PAUSE, stop.cancelled()).await;
                continue;
            }
        };
        let place = crowd.enter(peer.ip());
        let (routes, live, stop) = (routes.clone(), live.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection(stream, peer, routes, live, limits, stop) => {}
                () = place.gone() => debug!("the connection from {peer} makes room for others"),
            }
        });
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    routes: Router,
    live: Option<Arc<Live>>,
    limits: Limits,
    stop: CancellationToken,
) {
    let tls = live.as_ref().and_then(|live| live.current().tls.clone());
    let Some(tls) = tls else { return talk(stream, routes, limits, stop).await };
    match timeout(limits.patience, tokio_rustls::TlsAcceptor::from(tls).accept(stream)).await {
        Ok(Ok(stream)) => talk(stream, routes, limits, stop).await,
        Ok(Err(problem)) => debug!("no TLS with {peer}: {problem}"),
        Err(_) => debug!("no TLS with {peer}: it takes too long"),
    }
}

async fn talk<S>(stream: S, routes: Router, limits: Limits, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.patience)
        .max_buf_size(HEADER_LIMIT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = std::pin::pin!(connection);
    let over = async {
        // Whichever comes first.
        let _ = timeout(limits.life, stop.cancelled()).await;
    };
    tokio::select! {
        // Who hangs up, or sends what is no HTTP, has been told if he can be.
        _ = connection.as_mut() => return,
        () = over => connection.as_mut().graceful_shutdown(),
    }
    let _ = timeout(limits.last, connection).await;
}
