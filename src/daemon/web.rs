//! The read-only pages: `/metrics`, `/-/healthy`, `/-/ready`, `/api/v1/status`, and those for people (`page`).
//!
//! Nothing over HTTP changes anything.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Daemon;
use super::showing::{STALLED, Showing};
use crate::page;

/// Text format 0.0.4 of the exposition.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The routes.
pub fn routes(daemon: Arc<Daemon>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/api/v1/status", get(status))
        .fallback(other)
        .with_state(Arc::clone(&daemon))
        .merge(page::routes(Arc::new(Showing::of(daemon))))
}

/// The probes alone, for who asks without a password.
pub fn probes(daemon: Arc<Daemon>) -> Router {
    Router::new()
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .fallback(StatusCode::NOT_FOUND)
        .with_state(daemon)
}

const GUARDS: [(HeaderName, &str); 3] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'self'; frame-ancestors 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
];

async fn metrics(State(daemon): State<Arc<Daemon>>) -> Response {
    daemon.metrics.asked("metrics");
    let now = daemon.clock.now();
    let fleet = daemon.engine.fleet().overview(now);
    let text = daemon.metrics.render(&daemon.engine.views(), Some(&fleet), now);
    ([(header::CONTENT_TYPE, EXPOSITION)], text).into_response()
}

async fn healthy(State(daemon): State<Arc<Daemon>>) -> Response {
    daemon.metrics.asked("healthy");
    match health(daemon.since_last_turn()) {
        Ok(()) => (StatusCode::OK, "healthy\n").into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

/// Healthy is a main loop that moves. What fails outside is for the metrics: a restart would not mend it.
fn health(silent: Duration) -> Result<(), String> {
    if silent > STALLED {
        return Err(format!("the main loop has stood still for {} s\n", silent.as_secs()));
    }
    Ok(())
}

async fn ready(State(daemon): State<Arc<Daemon>>) -> Response {
    daemon.metrics.asked("ready");
    if daemon.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    (StatusCode::OK, "ready\n").into_response()
}

async fn status(State(daemon): State<Arc<Daemon>>) -> Response {
    daemon.metrics.asked("status");
    let status = daemon.status();
    (GUARDS, axum::Json(status)).into_response()
}

async fn other(State(daemon): State<Arc<Daemon>>) -> Response {
    daemon.metrics.asked("other");
    (StatusCode::NOT_FOUND, "there is /, /metrics, /-/healthy, /-/ready and /api/v1/status\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_still_is_not_healthy() {
        assert_eq!(health(Duration::ZERO), Ok(()));
        assert_eq!(health(STALLED), Ok(()));
        let why = health(STALLED + Duration::from_secs(1)).expect_err("it stands still");
        assert!(why.contains("301 s"), "{why}");
    }
}
