//! The control socket: how commands reach the daemon. Who may open the socket may command; file permissions decide.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::{UnixListener, unix::UCred};
use tracing::info;

use super::Daemon;
use super::consequences::consequences;
use super::fleet_status::EmergencyStatus;
use super::gates::GateStatus;
use super::probing::Probing;
use super::protocol::{Done, History, Refusal, ResumeFleet, RotateRequest, RotateScope, WishRequest};
use super::report::PlanStatus;
use crate::domain::Timestamp;
use crate::domain::event::{Trigger, Wish};
use crate::domain::fleet::Pass;
use crate::domain::names::CredentialId;
use crate::domain::spelling;
use crate::engine::WishError;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    user: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { user: stream.io().peer_cred().ok().map(|cred: UCred| cred.uid()) }
    }
}

/// Binds the socket, for the owner and the group. A socket that nobody answers on is replaced.
pub async fn bind(path: &Path) -> std::io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    if tokio::net::UnixStream::connect(path).await.is_ok() {
        let text = format!("another daemon answers on `{}`", path.display());
        return Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, text));
    }
    match std::fs::remove_file(path) {
        Err(problem) if problem.kind() != std::io::ErrorKind::NotFound => return Err(problem),
        _ => {}
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Removes the socket when the daemon is gone.
pub struct Unlink(pub PathBuf);

impl Drop for Unlink {
    fn drop(&mut self) {
        // It is in the runtime directory, which goes with the unit.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The routes.
pub fn routes(daemon: Arc<Daemon>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/plan", get(plan))
        .route("/v1/forecast", get(forecast))
        .route("/v1/history", get(history))
        .route("/v1/probe", get(probe))
        .route("/v1/probe/sources", get(probe_sources))
        .route("/v1/discover", get(discover))
        .route("/v1/wish", post(wish))
        .route("/v1/rotate", post(rotate))
        .route("/v1/fleet/resume", post(resume_fleet))
        .route("/v1/reload", post(reload))
        .with_state(daemon)
}

fn refuse(status: StatusCode, exit: u8, error: impl Into<String>) -> Response {
    (status, Json(Refusal { error: error.into(), exit })).into_response()
}

async fn status(State(daemon): State<Arc<Daemon>>) -> Response {
    Json(daemon.status()).into_response()
}

#[derive(Deserialize)]
struct Which {
    credential: Option<String>,
    tenant: Option<String>,
    after: Option<u64>,
}

impl Which {
    /// The one credential that is asked about; a refusal that says what is expected.
    fn one(self) -> Result<CredentialId, Box<Response>> {
        let one = self.credential.and_then(|text| text.parse().ok());
        let expected = "`credential` is missing: expected `tenant/credential`";
        one.ok_or_else(|| Box::new(refuse(StatusCode::BAD_REQUEST, 2, expected)))
    }
}

/// What is known of a credential, where there is one of that name.
async fn about<T: Serialize>(daemon: &Daemon, id: &CredentialId, document: Option<T>) -> Response {
    match document {
        Some(document) => Json(document).into_response(),
        None => refuse(StatusCode::NOT_FOUND, 2, no_such(daemon, id).await),
    }
}

async fn no_such(daemon: &Daemon, id: &CredentialId) -> String {
    let told = daemon.engine.journal().read(Some(&id.tenant), 0).await.unwrap_or_default();
    if told.iter().any(|entry| entry.credential == *id) {
        return spelling::removed(&id.to_string());
    }
    let views = daemon.engine.views();
    spelling::no_such(&id.to_string(), views.iter().map(|view| &view.credential))
}

async fn plan(State(daemon): State<Arc<Daemon>>, Query(which): Query<Which>) -> Response {
    let id = match which.one() {
        Ok(id) => id,
        Err(refusal) => return *refusal,
    };
    let peek = daemon.engine.peek_at(&id).await.map(|peek| PlanStatus::of(&id, &peek));
    about(&daemon, &id, peek).await
}

async fn probe(State(daemon): State<Arc<Daemon>>, Query(which): Query<Which>) -> Response {
    let id = match which.one() {
        Ok(id) => id,
        Err(refusal) => return *refusal,
    };
    let probed = daemon.engine.probe(&id).await.map(|tried| Probing::of(&id, &tried));
    about(&daemon, &id, probed).await
}

async fn probe_sources(State(daemon): State<Arc<Daemon>>) -> Response {
    Json(daemon.probe_sources().await).into_response()
}

async fn discover(State(daemon): State<Arc<Daemon>>) -> Response {
    Json(daemon.discover().await).into_response()
}

#[derive(Deserialize)]
struct Span {
    until: Timestamp,
}

async fn forecast(State(daemon): State<Arc<Daemon>>, Query(span): Query<Span>) -> Response {
    // A large fleet takes a while to play through: nobody else waits for it.
    let engine = Arc::clone(&daemon.engine);
    match tokio::task::spawn_blocking(move || engine.forecast(span.until)).await {
        Ok(forecast) => Json(forecast).into_response(),
        Err(problem) => {
            refuse(StatusCode::INTERNAL_SERVER_ERROR, 1, format!("the forecast failed: {problem}"))
        }
    }
}

/// Entries in one answer; a client asks again with `after`.
const PAGE: usize = 5000;

async fn history(State(daemon): State<Arc<Daemon>>, Query(which): Query<Which>) -> Response {
    let credential = which.credential.and_then(|text| text.parse::<CredentialId>().ok());
    let tenant =
        credential.as_ref().map(|id| id.tenant.clone()).or(which.tenant.and_then(|text| text.parse().ok()));
    match daemon.engine.journal().read(tenant.as_ref(), which.after.unwrap_or(0)).await {
        Ok(mut entries) => {
            entries.retain(|entry| credential.as_ref().is_none_or(|id| entry.credential == *id));
            entries.truncate(PAGE);
            Json(History { entries }).into_response()
        }
        Err(problem) => refuse(StatusCode::SERVICE_UNAVAILABLE, 69, problem.to_string()),
    }
}

async fn wish(
    State(daemon): State<Arc<Daemon>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<WishRequest>,
) -> Response {
    let WishRequest { credential, wish } = request;
    info!(user = peer.user, "`{credential}`: a command asks: {wish:?}");
    if matches!(wish, Wish::Rotate { .. }) {
        daemon.metrics.triggered(Trigger::Command);
    }
    let (rotates, asked_at) = (matches!(wish, Wish::Rotate { .. }), daemon.clock.now());
    let before = daemon.engine.view(&credential);
    let mut notes = before.map(|view| consequences(&view, &wish, daemon.clock.now())).unwrap_or_default();
    if let Err(error) = daemon.engine.wish(&credential, wish).await {
        return answer(&daemon, Err(error)).await;
    }
    let waits = if rotates { daemon.engine.barriers(&credential) } else { Vec::new() };
    if rotates && waits.is_empty() {
        notes.extend(daemon.unseen_since(&credential, asked_at).await);
    }
    let waits = waits.iter().map(|gate| GateStatus::of(gate, &credential)).collect();
    Json(Done { waits, notes, ..Done::with(1) }).into_response()
}

async fn answer(daemon: &Daemon, outcome: Result<(), WishError>) -> Response {
    let error = match outcome {
        Ok(()) => return Json(Done::with(1)).into_response(),
        Err(error) => error,
    };
    let (status, exit) = match &error {
        WishError::NoSuch(_) => (StatusCode::NOT_FOUND, 2),
        WishError::Refused { .. } => {
            daemon.metrics.trigger_ignored("coalesced");
            (StatusCode::CONFLICT, 1)
        }
        WishError::Journal(_) => (StatusCode::SERVICE_UNAVAILABLE, 69),
        WishError::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, 75),
    };
    let text = match &error {
        WishError::NoSuch(id) => no_such(daemon, id).await,
        // The name of its stream in the journal is nobody's but ours.
        WishError::Refused { credential, why } if credential.is_fleet() => why.clone(),
        _ => error.to_string(),
    };
    refuse(status, exit, text)
}

async fn resume_fleet(
    State(daemon): State<Arc<Daemon>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<ResumeFleet>,
) -> Response {
    info!(user = peer.user, "a command asks to resume the fleet: {}", request.reason);
    answer(&daemon, daemon.engine.resume_fleet(&request.reason).await).await
}

async fn rotate(
    State(daemon): State<Arc<Daemon>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<RotateRequest>,
) -> Response {
    info!(user = peer.user, "a command asks to rotate {:?}: {}", request.scope, request.reason);
    daemon.metrics.triggered(Trigger::Command);
    let RotateRequest { scope, reason, pass } = request;
    let due_only = scope == RotateScope::Due;
    if due_only && pass == Pass::default() {
        // What is due rotates by itself: it only has to look now.
        return Json(Done::with(daemon.engine.push().walkers)).into_response();
    }
    let taken = daemon.engine.wish_all(due_only, Trigger::Command, &reason, pass).await;
    let emergency = daemon.engine.emergency().filter(|_| pass.emergency).map(EmergencyStatus::from);
    Json(Done { refused: taken.refused, emergency, ..Done::with(taken.asked) }).into_response()
}

async fn reload(State(daemon): State<Arc<Daemon>>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    info!(user = peer.user, "a command asks to reload");
    match daemon.reload().await {
        Ok(notes) => Json(Done { notes, ..Done::with(daemon.engine.views().len()) }).into_response(),
        Err(problems) => {
            let text = format!(
                "{problems}\nnothing has changed: the daemon goes on with what it had; mend what is named above, then `rekeyd reload`"
            );
            refuse(StatusCode::UNPROCESSABLE_ENTITY, 78, text)
        }
    }
}
