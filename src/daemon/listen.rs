//! The doors: the control socket for commands, the pages for everybody.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{Daemon, Fatal, control, web};

/// Binds the control socket and the pages.
pub(super) async fn serve(daemon: &Arc<Daemon>, stop: &CancellationToken) -> Result<control::Unlink, Fatal> {
    let (socket, listen) = {
        let config = daemon.config.lock().expect("no holder of the lock panics");
        let socket = daemon.options.socket.clone().unwrap_or_else(|| config.daemon.control_socket.clone());
        (socket, config.daemon.listen)
    };
    let control = control::bind(&socket)
        .await
        .map_err(|problem| refused(&format!("the control socket `{}`", socket.display()), &problem))?;
    let routes = control::routes(Arc::clone(daemon)).into_make_service_with_connect_info::<control::Peer>();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(async move { axum::serve(control, routes).with_graceful_shutdown(stopped).await });
    if let Some(address) = listen {
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(|problem| refused(&format!("the listener `{address}`"), &problem))?;
        let bound = listener.local_addr().map_or_else(|_| address.to_string(), |bound| bound.to_string());
        info!("pages on http://{bound}/");
        let routes = web::routes(Arc::clone(daemon));
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, routes).with_graceful_shutdown(stopped).await });
    }
    Ok(control::Unlink(socket))
}

fn refused(what: &str, problem: &std::io::Error) -> Fatal {
    let text = format!("{what} cannot be bound: {problem}");
    if problem.kind() == std::io::ErrorKind::PermissionDenied {
        Fatal::Permission(text)
    } else {
        Fatal::Other(text)
    }
}
