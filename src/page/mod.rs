//! The pages for people: the fleet at `/`, a tenant at `/tenants/…`. They are read-only, made on the server from what a
//! [`Source`] tells, and need neither a script nor anything from elsewhere.
//!
//! Nothing here looks at SAP, at the engine or at a secret. Text of others reaches the page through `maud`, which escapes it,
//! and through `words`, which keeps it on its line (`docs/adr/0017-pages-are-checked-by-the-compiler.md`).

mod assets;
mod calendar;
mod fleet;
mod frame;
mod list;
pub mod model;
mod parts;
#[cfg(test)]
mod samples;
mod tenant;
#[cfg(test)]
mod tests;
mod verdict;
mod words;

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use list::Asked;
use model::{Board, Teller, Tenant};

/// How many months the pages look ahead.
pub const MONTHS: u32 = 14;

/// Pages that are made at the same time: a browser that asks again and again must not take the processor from rotations.
const AT_ONCE: usize = 1;

/// What the pages are made from.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Counts a request.
    fn asked(&self);

    /// Who tells it, without anything of the fleet.
    fn daemon(&self) -> Teller;

    /// The whole fleet as it stands; `None` where nobody is left to tell it.
    async fn board(&self) -> Option<Board>;

    /// One tenant as it stands; why not, as a sentence, where there is none of that name.
    async fn tenant(&self, name: &str) -> Result<Tenant, String>;
}

/// What every page is sent with: nothing is loaded but its own style and icon, nothing runs, nobody frames it or learns of it.
const GUARDS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

struct Pages {
    source: Arc<dyn Source>,
    turns: Semaphore,
}

/// The routes of the pages.
pub fn routes(source: Arc<dyn Source>) -> Router {
    let pages = Arc::new(Pages { source, turns: Semaphore::new(AT_ONCE) });
    Router::new()
        .route("/", get(front))
        .route("/tenants/{tenant}", get(one_tenant))
        .route("/assets/{file}", get(asset))
        .with_state(pages)
}

async fn front(State(pages): State<Arc<Pages>>, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    let wanted = asked.map(|Query(asked)| asked).unwrap_or_default().into();
    pages.source.asked();
    let _turn = pages.turns.acquire().await;
    let Some(board) = pages.source.board().await else {
        return (StatusCode::SERVICE_UNAVAILABLE, GUARDS, "the daemon is stopping\n").into_response();
    };
    drawn(StatusCode::OK, move || fleet::render(&board, &wanted).into_string()).await
}

async fn one_tenant(State(pages): State<Arc<Pages>>, Path(name): Path<String>) -> Response {
    pages.source.asked();
    let _turn = pages.turns.acquire().await;
    match pages.source.tenant(&name).await {
        Ok(tenant) => drawn(StatusCode::OK, move || tenant::render(&tenant).into_string()).await,
        Err(why) => {
            let daemon = pages.source.daemon();
            drawn(StatusCode::NOT_FOUND, move || frame::sorry(&daemon, &why).into_string()).await
        }
    }
}

async fn asset(State(pages): State<Arc<Pages>>, path: Path<String>) -> Response {
    pages.source.asked();
    let mut response = assets::file(path);
    for (name, value) in GUARDS {
        response.headers_mut().entry(name).or_insert(axum::http::HeaderValue::from_static(value));
    }
    response
}

/// A page that is drawn where nobody waits for the thread.
async fn drawn(status: StatusCode, draw: impl FnOnce() -> String + Send + 'static) -> Response {
    match spawn_blocking(draw).await {
        Ok(html) => (status, GUARDS, Html(html)).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made\n").into_response(),
    }
}
