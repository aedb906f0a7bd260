//! What the token service says of a key: the same for every consumer.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::failure::{Class, Failure};
use crate::http::Http;
use crate::http::error::HttpError;
use crate::http::login::Login;
use crate::http::request::Reply;
use crate::secret::{Secret, ServiceKey};

/// Gets a token that was not cached, and the login it was had with.
pub(super) async fn fresh(http: &Http, key: &ServiceKey) -> Result<(Arc<Login>, Secret), Failure> {
    let login = Login::of_key(key)?;
    let token = http.fetch_uncached(&login).await?;
    Ok((login, token))
}

/// Whether a deleted key is refused now. A failure is "unknown".
pub(super) async fn is_refused(http: &Http, key: &ServiceKey) -> Result<bool, Failure> {
    match http.fetch_uncached(&*Login::of_key(key)?).await {
        Ok(_) => Ok(false),
        Err(error) if is_refusal(&error) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Whether the token service itself refused the key. A proxy's 403 or a malformed request proves nothing.
fn is_refusal(error: &HttpError) -> bool {
    let reply = error.reply.as_deref().and_then(Reply::value);
    let says_error = reply.is_some_and(|value| value.get("error").is_some_and(Value::is_string));
    match error.status {
        Some(401) => true,
        Some(403) => says_error,
        Some(400) => error.class == Class::Unauthorized,
        _ => false,
    }
}
