//! Reading a service key exactly as it was downloaded.
//!
//! The shapes met: bare, or inside `credentials`; then flat, or inside `oauth` or `uaa`, with addresses beside it. Client
//! ids and secrets are opaque: never split, trimmed or encoded again. Nothing here ever repeats what it read.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{ClientProof, Secret, ServiceKey};

/// The longest service key that is read. Real ones have 1 to 12 KB.
pub const SIZE_LIMIT: usize = 1 << 20;

/// Why a text is not a service key. Says what is missing, never what was there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadServiceKey {
    /// Too long to be one.
    #[error("it is longer than 1 MB")]
    TooLong,
    /// Not JSON.
    #[error("it is not JSON (line {line}, column {column})")]
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// JSON, but no object.
    #[error("it is JSON but no object")]
    NotAnObject,
    /// A member has another type than every service key has there.
    #[error("`{0}` is no text")]
    NotText(&'static str),
    /// No client id: perhaps another kind of file.
    #[error("it has no `clientid`")]
    NoClientId,
    /// Neither a secret nor a certificate.
    #[error("it has neither a `clientsecret` nor a `certificate` with its `key`")]
    NoProof,
    /// A certificate whose private key is somewhere else.
    #[error("it has a `certificate` without its private `key`")]
    NoPrivateKey,
    /// The certificate or its key is not PEM.
    #[error("`{0}` is not PEM")]
    NotPem(&'static str),
    /// Nothing says where tokens are had.
    #[error("it has no token address (`tokenurl`, `oauth_url`, `certurl` or `url`)")]
    NoTokenUrl,
    /// An address is not one.
    #[error("`{0}` is no http address")]
    NotAnAddress(&'static str),
}

impl ServiceKey {
    /// Reads a key in any of SAP's shapes. Unknown members are ignored; an unreadable date is an unknown date.
    pub fn parse(json: &str) -> Result<Self, BadServiceKey> {
        if json.len() > SIZE_LIMIT {
            return Err(BadServiceKey::TooLong);
        }
        // Editors on Windows put a byte order mark in front; JSON has none.
        let json = json.strip_prefix('\u{feff}').unwrap_or(json);
        let value: Value = serde_json::from_str(json)
            .map_err(|error| BadServiceKey::NotJson { line: error.line(), column: error.column() })?;
        let layers = Layers::of(&value).ok_or(BadServiceKey::NotAnObject)?;
        let proof = layers.proof()?;
        Ok(Self {
            client_id: layers.login(&CLIENT_ID)?.ok_or(BadServiceKey::NoClientId)?.to_owned(),
            token_url: layers.token_url(&proof)?,
            url: layers.service_url()?,
            endpoints: layers.endpoints(),
            created_at: layers.created_at(),
            valid_until: layers.valid_until(),
            document: Secret::new(Value::Object(layers.around.clone()).to_string()),
            proof,
        })
    }

    /// The role that the client id or the host looks like: `ciapi` or `cirt`. Seen in the wild and documented
    /// nowhere, so good enough to warn and not to refuse.
    pub fn role_hint(&self) -> Option<&'static str> {
        let suffix = self.client_id.rsplit_once('|').map_or("", |(_, suffix)| suffix);
        if suffix.starts_with("it-rt-") {
            return Some("cirt");
        }
        if suffix.starts_with("it!") {
            return Some("ciapi");
        }
        let host = host_of(self.url.as_deref()?)?;
        let (_, landscape) = host.split_once(".it-cpi")?;
        let (system, _) = landscape.split_once('.')?;
        Some(if system.ends_with("-rt") { "cirt" } else { "ciapi" })
    }
}

/// One field and its synonyms; the first name is the one that errors use.
type Names = [&'static str];

const CLIENT_ID: [&str; 2] = ["clientid", "client_id"];
const CLIENT_SECRET: [&str; 2] = ["clientsecret", "client_secret"];
const TOKEN_URL: [&str; 4] = ["tokenurl", "token_url", "oauth_url", "oauthUrl"];
const CERTIFICATE_URL: [&str; 2] = ["certurl", "certUrl"];
const CREATED: [&str; 3] = ["createdate", "creationDate", "created_at"];

/// The objects a key consists of: where its login stands, and what stands around it.
struct Layers<'a> {
    login: &'a Map<String, Value>,
    around: &'a Map<String, Value>,
    is_flat: bool,
}

impl<'a> Layers<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        let root = value.as_object()?;
        let around = root.get("credentials").and_then(Value::as_object).unwrap_or(root);
        let inner = ["oauth", "uaa"].into_iter().find_map(|name| around.get(name)?.as_object());
        Some(Self { login: inner.unwrap_or(around), around, is_flat: inner.is_none() })
    }

    fn login(&self, names: &'static Names) -> Result<Option<&'a str>, BadServiceKey> {
        text(self.login, names)
    }

    fn proof(&self) -> Result<ClientProof, BadServiceKey> {
        let is_x509 = self.login.get("credential-type").and_then(Value::as_str) == Some("x509");
        let certificate = self.login(&["certificate"])?;
        if let Some(secret) = self.login(&CLIENT_SECRET)?
            && !(is_x509 && certificate.is_some())
        {
            return Ok(ClientProof::Secret(Secret::new(secret.to_owned())));
        }
        let chain = certificate.ok_or(BadServiceKey::NoProof)?;
        let key = self.login(&["key"])?.ok_or(BadServiceKey::NoPrivateKey)?;
        Ok(ClientProof::Certificate {
            chain: pem(chain, "CERTIFICATE-----").ok_or(BadServiceKey::NotPem("certificate"))?,
            key: Secret::new(pem(key, "PRIVATE KEY-----").ok_or(BadServiceKey::NotPem("key"))?),
        })
    }

    /// `tokenurl`, else `oauth_url` without its query, else the certificate's base, else the base.
    fn token_url(&self, proof: &ClientProof) -> Result<String, BadServiceKey> {
        if let Some(url) = self.login(&TOKEN_URL)? {
            let url = url.split(['?', '#']).next().expect("a split has a first part");
            return address(url.strip_suffix('/').unwrap_or(url), TOKEN_URL[0]);
        }
        let by_certificate = match proof {
            ClientProof::Certificate { .. } => self.login(&CERTIFICATE_URL)?,
            ClientProof::Secret(_) => None,
        };
        let base = match by_certificate {
            Some(base) => base,
            None => self.login(&["url"])?.ok_or(BadServiceKey::NoTokenUrl)?,
        };
        let base = address(base.trim_end_matches('/'), "url")?;
        Ok(if base.ends_with("/oauth/token") { base } else { format!("{base}/oauth/token") })
    }

    /// The service's own address. Without a ready-made token URL the login's `url` is the token server's.
    fn service_url(&self) -> Result<Option<String>, BadServiceKey> {
        let has_token_url = self.login(&TOKEN_URL)?.is_some();
        let own = if has_token_url { self.login(&["url"])? } else { None };
        let beside = if self.is_flat { None } else { text(self.around, &["url"])? };
        own.or(beside).map(|url| address(url.trim_end_matches('/'), "url")).transpose()
    }

    /// Every other address in the key: `endpoints`, and whatever else is one.
    fn endpoints(&self) -> BTreeMap<String, String> {
        let named = self.around.get("endpoints").and_then(Value::as_object);
        let known = ["url"].into_iter().chain(TOKEN_URL);
        let known: Vec<&str> = known.collect();
        [Some(self.around), Some(self.login), named]
            .into_iter()
            .flatten()
            .flatten()
            .filter(|(name, _)| !known.contains(&name.as_str()))
            .filter_map(|(name, value)| Some((name.clone(), address(value.as_str()?, "endpoints").ok()?)))
            .collect()
    }

    fn created_at(&self) -> Option<DateTime<Utc>> {
        instant(first(self.login, &CREATED).or_else(|| first(self.around, &CREATED))?)
    }

    /// Whether the details stand inside or beside the login is not documented.
    fn valid_until(&self) -> Option<DateTime<Utc>> {
        let details =
            [self.login, self.around].into_iter().find_map(|layer| layer.get("certificatedetails"))?;
        instant(details.get("validuntil")?)
    }
}

fn first<'a>(object: &'a Map<String, Value>, names: &Names) -> Option<&'a Value> {
    names.iter().find_map(|name| object.get(*name))
}

/// The text under the first of `names` that is there. Empty and `null` count as absent.
fn text<'a>(object: &'a Map<String, Value>, names: &'static Names) -> Result<Option<&'a str>, BadServiceKey> {
    for name in names {
        match object.get(*name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(Value::String(text)) => return Ok(Some(text)),
            Some(_) => return Err(BadServiceKey::NotText(name)),
        }
    }
    Ok(None)
}

/// PEM with real line breaks; SAP's keys are often copied with a literal `\n` in their place.
fn pem(text: &str, label: &str) -> Option<String> {
    let text = text.replace("\\r", "").replace("\\n", "\n");
    (text.contains("-----BEGIN ") && text.contains(label)).then_some(text)
}

fn address(url: &str, name: &'static str) -> Result<String, BadServiceKey> {
    host_of(url).map(|_| url.to_owned()).ok_or(BadServiceKey::NotAnAddress(name))
}

/// The host of an http address without user, blanks and control characters.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    (is_plain && !authority.is_empty() && !authority.contains('@')).then_some(authority)
}

/// ISO 8601 with 0 to 9 digits of fraction, or milliseconds since 1970.
fn instant(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        Value::Number(number) => DateTime::from_timestamp_millis(number.as_i64()?),
        Value::String(text) => DateTime::parse_from_rfc3339(text)
            .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
            .ok()
            .map(|instant| instant.with_timezone(&Utc)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "service_key_tests.rs"]
mod tests;
