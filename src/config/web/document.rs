//! `web.config.yml` as it is written: the exporter toolkit's keys, and no others.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::Error;

use crate::config::problem::{Problem, Site, shown};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) tls_server_config: Option<Tls>,
    pub(super) http_server_config: Option<Http>,
    pub(super) basic_auth_users: Option<BTreeMap<String, String>>,
    pub(super) rate_limit: Option<RateLimit>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
    pub(super) client_ca: Option<String>,
    pub(super) cert_file: Option<String>,
    pub(super) key_file: Option<String>,
    pub(super) client_ca_file: Option<String>,
    pub(super) client_auth_type: Option<String>,
    pub(super) client_allowed_sans: Option<Vec<String>>,
    pub(super) min_version: Option<String>,
    pub(super) max_version: Option<String>,
    pub(super) cipher_suites: Option<Vec<String>>,
    /// The client's order counts where it is false; rustls has one order of its own either way.
    #[serde(rename = "prefer_server_cipher_suites")]
    pub(super) _order: Option<bool>,
    pub(super) curve_preferences: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    /// HTTP/2 is offered by the toolkit unless this is false; the pages are served with HTTP/1.1 either way.
    #[serde(rename = "http2")]
    pub(super) _http2: Option<bool>,
    pub(super) headers: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimit {
    pub(super) interval: Option<String>,
    pub(super) burst: Option<u32>,
}

/// Reads the text. What it says is never repeated, but for the names of keys: it may be a password.
pub(super) fn parse(path: &Path, text: &str) -> Result<Document, Vec<Problem>> {
    let is_empty =
        |line: &str| line.trim().is_empty() || line.trim().starts_with('#') || line.trim() == "---";
    if text.lines().all(is_empty) {
        return Ok(Document::default());
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        let file: Arc<Path> = path.into();
        let place = error.location().and_then(|place| {
            Some((usize::try_from(place.line()).ok()?, usize::try_from(place.column()).ok()?))
        });
        let site = place.filter(|(line, _)| *line > 0).map_or_else(
            || Site::Whole(Arc::clone(&file)),
            |(line, column)| Site::Spot { file: Arc::clone(&file), line, column },
        );
        let wrong = |found: String| Problem::error(&site, "", found);
        let problem = match error {
            Error::SerdeUnknownField { field, expected, .. } => {
                let names: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
                wrong(format!("unknown key `{}`", shown(field)))
                    .expected(format!("one of {}", names.join(", ")))
            }
            Error::DuplicateMappingKey { .. } => wrong("a key is there twice".to_owned()),
            Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
                wrong("this value is of another type".to_owned()).expected(shown(expected))
            }
            _ => wrong("this cannot be read as the YAML of a web.config.yml".to_owned())
                .remedy("`promtool check web-config` reads the same file"),
        };
        vec![problem]
    })
}
