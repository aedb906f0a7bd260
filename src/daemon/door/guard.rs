//! What stands before every page where there is a web.config.yml: the limit, the password, the headers, in the toolkit's
//! order.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::live::Live;

/// Lets a request through, or not.
pub(in crate::daemon) async fn guard(
    State(live): State<Arc<Live>>,
    request: Request,
    next: Next,
) -> Response {
    let file = live.current();
    let is_within = file.rate.is_none_or(|rate| live.bucket.take(rate, live.clock.monotonic()));
    let sent = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes().to_vec());
    let mut response = if !is_within {
        (StatusCode::TOO_MANY_REQUESTS, "too many requests\n").into_response()
    } else if file.users.is_empty() || live.auth.admits(&file.users, sent.as_deref()).await {
        next.run(request).await
    } else {
        live.metrics.auth_failed();
        let challenge = [(header::WWW_AUTHENTICATE, "Basic")];
        (StatusCode::UNAUTHORIZED, challenge, "unauthorized\n").into_response()
    };
    for (name, value) in &file.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
