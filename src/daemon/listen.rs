//! The doors: the control socket for commands, the pages for everybody, the probes for who only asks whether it lives.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::door::live::Live;
use super::door::{self, Limits, guard, passed};
use super::{Daemon, Fatal, control, web};

/// Binds the control socket and the pages.
pub(super) async fn serve(daemon: &Arc<Daemon>, stop: &CancellationToken) -> Result<control::Unlink, Fatal> {
    let (socket, pages) = {
        let config = daemon.config.lock().expect("no holder of the lock panics");
        let socket = daemon.options.socket.clone().unwrap_or_else(|| config.daemon.control_socket.clone());
        (socket, config.daemon.web.clone())
    };
    let control = control::bind(&socket)
        .await
        .map_err(|problem| refused(&format!("the control socket `{}`", socket.display()), &problem))?;
    let routes = control::routes(Arc::clone(daemon)).into_make_service_with_connect_info::<control::Peer>();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(async move { axum::serve(control, routes).with_graceful_shutdown(stopped).await });
    let passed = passed::take().map_err(|problem| refused("a socket that systemd passes", &problem))?;
    let live = pages.file.as_deref().map(|path| open(daemon, path)).transpose()?;
    if let Some(listener) = bound(passed.web, pages.listen).await? {
        let scheme =
            if live.as_ref().is_some_and(|live| live.current().tls.is_some()) { "https" } else { "http" };
        info!("pages on {scheme}://{}/", shown(&listener));
        let routes = web::routes(Arc::clone(daemon));
        let routes = match &live {
            Some(live) => {
                let guard = axum::middleware::from_fn_with_state(Arc::clone(live), guard::guard);
                routes.layer(guard)
            }
            None => routes,
        };
        open_door(listener, routes, live, stop);
    }
    if let Some(listener) = bound(passed.probe, pages.probe).await? {
        info!("probes on http://{}/", shown(&listener));
        open_door(listener, web::probes(Arc::clone(daemon)), None, stop);
    }
    Ok(control::Unlink(socket))
}

fn open(daemon: &Arc<Daemon>, path: &std::path::Path) -> Result<Arc<Live>, Fatal> {
    let opened = Live::open(path, Arc::clone(&daemon.metrics), Arc::clone(&daemon.clock));
    let in_words = |problems: Vec<crate::config::problem::Problem>| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Fatal::Config(problems.join("\n"))
    };
    opened.map(Arc::new).map_err(in_words)
}

fn open_door(listener: TcpListener, routes: Router, live: Option<Arc<Live>>, stop: &CancellationToken) {
    tokio::spawn(door::serve(listener, routes, live, Limits::DEFAULT, stop.clone()));
}

/// What was passed, or what is configured.
async fn bound(
    passed: Option<TcpListener>,
    address: Option<SocketAddr>,
) -> Result<Option<TcpListener>, Fatal> {
    match (passed, address) {
        (Some(listener), _) => Ok(Some(listener)),
        (None, Some(address)) => TcpListener::bind(address)
            .await
            .map(Some)
            .map_err(|problem| refused(&format!("the listener `{address}`"), &problem)),
        (None, None) => Ok(None),
    }
}

fn shown(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string())
}

fn refused(what: &str, problem: &std::io::Error) -> Fatal {
    let text = format!("{what} cannot be bound: {problem}");
    if problem.kind() == std::io::ErrorKind::PermissionDenied {
        Fatal::Permission(text)
    } else {
        Fatal::Other(text)
    }
}
