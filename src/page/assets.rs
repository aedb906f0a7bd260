//! The style and the icon: files of the page's own, named after what is in them, so that a browser may keep them for ever.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");

/// A year: what is in it never changes under its name.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The address of the style.
pub(super) fn style() -> String {
    format!("/assets/style-{:016x}.css", fingerprint(STYLE))
}

/// The address of the icon.
pub(super) fn icon() -> String {
    format!("/assets/icon-{:016x}.svg", fingerprint(ICON))
}

/// FNV-1a: it tells versions of our own files apart and guards nothing.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The file of that name.
pub(super) fn file(Path(name): Path<String>) -> Response {
    let address = format!("/assets/{name}");
    let (kind, text) = if address == style() {
        ("text/css; charset=utf-8", STYLE)
    } else if address == icon() {
        ("image/svg+xml", ICON)
    } else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, FOR_EVER)], text).into_response()
}
