//! The clients underneath: one for everything, and one per client certificate, built when needed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::address::Address;
use super::error::{HttpError, Mishap, mishap};
use super::request::{Auth, Body, Method, Reply, Request};
use super::retry_after::http_date;
use crate::domain::failure::Class;
use crate::secret::Secret;

/// How the way out is built.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// For DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Between two pieces of an answer.
    pub read_timeout: Duration,
    /// For request and answer together: also the end of an answer that drips.
    pub total_timeout: Duration,
    /// How long an idle connection is kept; below the 60 s after which servers drop it (facts: crates, section 6).
    pub pool_idle_timeout: Duration,
    /// Whether plain `http://` is let through. For tests and sandboxes.
    pub allow_http: bool,
    /// Whether the proxy of the environment is used.
    pub system_proxy: bool,
    /// Further certificate authorities, PEM, beside the system's.
    pub extra_ca: Option<String>,
    /// Calls an hour that one login makes to one landscape, beyond the burst.
    pub calls_per_hour: u32,
    /// Calls that it may make at once after a quiet time.
    pub burst: u32,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_mins(1),
            pool_idle_timeout: Duration::from_secs(15),
            allow_http: false,
            system_proxy: true,
            extra_ca: None,
            calls_per_hour: 18_000,
            burst: 60,
        }
    }
}

/// How many clients with a certificate are kept: each holds its own pool and a copy of the trusted roots.
/// The header with the signature of a message to a sink; the form that many receivers know.
const SIGNATURE: &str = "x-rekeyd-signature-256";

const KEPT: usize = 16;

type Fingerprint = [u8; 32];

/// Every client there is.
pub(super) struct Clients {
    settings: HttpSettings,
    extra: Vec<reqwest::Certificate>,
    plain: reqwest::Client,
    /// The most recently used last.
    by_certificate: Mutex<Vec<(Fingerprint, reqwest::Client)>>,
}

/// A client that shows no certificate.
pub(super) fn plain(settings: &HttpSettings) -> Result<reqwest::Client, HttpError> {
    build(settings, &extra(settings)?, None)
}

/// The further certificate authorities.
fn extra(settings: &HttpSettings) -> Result<Vec<reqwest::Certificate>, HttpError> {
    let Some(pem) = &settings.extra_ca else { return Ok(Vec::new()) };
    let refuse = |why: String| HttpError::new(Class::Tls, format!("the extra certificates: {why}"));
    let found =
        reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| refuse(mishap(error).text))?;
    if found.is_empty() {
        return Err(refuse("no certificate found".to_owned()));
    }
    Ok(found)
}

impl Clients {
    pub(super) fn new(settings: HttpSettings) -> Result<Self, HttpError> {
        let extra = extra(&settings)?;
        let plain = build(&settings, &extra, None)?;
        Ok(Self { settings, extra, plain, by_certificate: Mutex::default() })
    }

    /// The client that shows `certificate`, or the plain one.
    fn get(&self, certificate: Option<(&str, &Secret)>) -> Result<reqwest::Client, HttpError> {
        let Some((chain, key)) = certificate else {
            return Ok(self.plain.clone());
        };
        let fingerprint = Secret::new(format!("{chain}\n{}", key.expose())).fingerprint();
        let mut kept = self.by_certificate.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = kept.iter().position(|(known, _)| *known == fingerprint) {
            let entry = kept.remove(index);
            let client = entry.1.clone();
            kept.push(entry);
            return Ok(client);
        }
        let client = build(&self.settings, &self.extra, Some(identity(chain, key)?))?;
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((fingerprint, client.clone()));
        Ok(client)
    }

    pub(super) fn forget(&self) {
        self.by_certificate.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Refuses what must not be sent at all.
    pub(super) fn check(&self, to: &Address) -> Result<(), HttpError> {
        if to.is_https() || self.settings.allow_http {
            return Ok(());
        }
        Err(HttpError::new(Class::ClientError, format!("`{to}` is not encrypted: expected `https://`")))
    }

    /// Sends one request once and reads its answer to the end or to the limit.
    pub(super) async fn exchange(
        &self,
        request: &Request,
        certificate: Option<(&str, &Secret)>,
    ) -> Result<Reply, Mishap> {
        let client = self.get(certificate).map_err(|error| Mishap {
            class: error.class,
            sent: false,
            cut: false,
            text: error.cause,
        })?;
        let mut answer = prepare(&client, request).send().await.map_err(mishap)?;
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(|text| text.chars().take(2048).collect())
        };
        let date: Option<String> = header("date");
        let is_limit = answer.status().as_u16() == 429;
        let mut reply = Reply {
            status: answer.status().as_u16(),
            location: header("location"),
            link: header("link"),
            date: date.as_deref().and_then(http_date),
            // The one header in which CIS says how long (facts: CIS, section 4).
            retry_after: header("retry-after").or_else(|| header("x-ratelimit-reset").filter(|_| is_limit)),
            // Cloud Foundry's router names itself when it, and not the service, answers.
            routed: answer.headers().get("x-cf-routererror").is_none(),
            body: Vec::new(),
            what: request.what(),
            changes: request.changes,
        };
        // What the status of a failure says holds, whatever becomes of its text: a 429 is a pause, a 401 a dead token.
        let is_failure = reply.status >= 400;
        loop {
            let piece = match answer.chunk().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(_) if is_failure => break,
                Err(error) => return Err(mishap(error)),
            };
            if reply.body.len() + piece.len() > request.limit {
                if is_failure {
                    break;
                }
                let text = format!("the answer is larger than {} bytes", request.limit);
                return Err(Mishap { class: Class::Decode, sent: true, cut: false, text });
            }
            reply.body.extend_from_slice(&piece);
        }
        Ok(reply)
    }
}

fn prepare(client: &reqwest::Client, request: &Request) -> reqwest::RequestBuilder {
    let method = match request.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Delete => reqwest::Method::DELETE,
    };
    let mut builder = client.request(method, request.to.url()).header("accept", "application/json");
    if let Some(timeout) = request.timeout {
        builder = builder.timeout(timeout);
    }
    builder = match &request.auth {
        // The token of a login has been put in place by now.
        Auth::Nobody | Auth::Login(_) => builder,
        Auth::Bearer(token) | Auth::Token(_, token) | Auth::Cached(_, token) => {
            builder.bearer_auth(token.expose())
        }
        Auth::Basic(user, password) => builder.basic_auth(user, Some(password.expose())),
    };
    match &request.body {
        Body::Empty => builder,
        Body::Json(value) => builder.json(value),
        Body::Signed(text, signature) => {
            let builder = builder.header("content-type", "application/json").body(text.clone());
            match signature {
                Some(signature) => builder.header(SIGNATURE, format!("sha256={signature}")),
                None => builder,
            }
        }
        Body::Form(fields) => {
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.expose())).collect();
            builder.form(&fields)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn build(
    settings: &HttpSettings,
    extra: &[reqwest::Certificate],
    identity: Option<reqwest::Identity>,
) -> Result<reqwest::Client, HttpError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("rekeyd/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.read_timeout)
        .timeout(settings.total_timeout)
        .pool_idle_timeout(settings.pool_idle_timeout)
        .https_only(!settings.allow_http)
        .tls_certs_merge(extra.iter().cloned());
    if !settings.system_proxy {
        builder = builder.no_proxy();
    }
    if let Some(identity) = identity {
        builder = builder.identity(identity);
    }
    builder.build().map_err(|error| {
        HttpError::new(Class::Tls, format!("the HTTP client cannot be built: {}", mishap(error).text))
    })
}

/// Certificate and key as the library wants them. Its one message for everything missing is replaced by ours
/// (facts: crates, section 7).
fn identity(chain: &str, key: &Secret) -> Result<reqwest::Identity, HttpError> {
    let refuse = |why: &str| {
        HttpError::new(Class::ClientError, format!("the client certificate cannot be used: {why}"))
    };
    // Keys carry PEM with literal `\n` (facts: OAuth, section 2).
    let chain = chain.replace("\\n", "\n");
    let key = Secret::new(key.expose().replace("\\n", "\n"));
    if !chain.contains("-----BEGIN CERTIFICATE-----") {
        return Err(refuse("there is no PEM certificate in it"));
    }
    if key.expose().contains("ENCRYPTED") {
        return Err(refuse("its private key is encrypted"));
    }
    if !key.expose().contains("PRIVATE KEY-----") {
        return Err(refuse("there is no PEM private key in it"));
    }
    let pem = Secret::new(format!("{}\n{chain}", key.expose()));
    reqwest::Identity::from_pem(pem.expose().as_bytes()).map_err(|error| refuse(&mishap(error).text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_cannot_be_used_says_why() {
        let chain = "-----BEGIN CERTIFICATE-----\\nMIIE\\n-----END CERTIFICATE-----";
        let key = "-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----";
        let check = |chain: &str, key: &str, expected: &str| {
            let error = identity(chain, &Secret::new(key.to_owned())).unwrap_err();
            assert_eq!(error.class, Class::ClientError);
            assert!(error.cause.contains(expected), "{error}");
        };
        check("", key, "no PEM certificate");
        check(chain, "", "no PEM private key");
        check(chain, &key.replace("PRIVATE", "ENCRYPTED PRIVATE"), "is encrypted");
    }

    #[test]
    fn extra_certificates_that_cannot_be_used_are_refused() {
        let settings = HttpSettings { extra_ca: Some("nothing".to_owned()), ..HttpSettings::default() };
        let error = Clients::new(settings).err().unwrap();
        assert!(
            error.cause.contains("the extra certificates") && error.cause.contains("no certificate found"),
            "{error}"
        );
    }
}
