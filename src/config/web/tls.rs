//! TLS as `web.config.yml` wants it, where rustls has it; what it has not is refused with a sentence, never left out.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

use super::document;
use super::file::Reading;
use super::sans::Named;
use crate::config::problem::shown;

/// How a client proves who it is. `RequireClientCert` is an older word for `RequireAnyClientCert`.
const AUTH: [&str; 6] = [
    "NoClientCert",
    "RequestClientCert",
    "RequireClientCert",
    "RequireAnyClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
];

/// The groups of the toolkit that are there.
const CURVES: [(&str, &dyn SupportedKxGroup); 4] = [
    ("X25519", aws_lc_rs::kx_group::X25519),
    ("CurveP256", aws_lc_rs::kx_group::SECP256R1),
    ("CurveP384", aws_lc_rs::kx_group::SECP384R1),
    ("X25519MLKEM768", aws_lc_rs::kx_group::X25519MLKEM768),
];

/// Makes it; `None` where the section asks for none, or for what cannot be, which was reported.
pub(super) fn server(section: &document::Tls, reading: &mut Reading<'_>) -> Option<Arc<ServerConfig>> {
    let document::Tls { cert, key, client_ca, cert_file, key_file, client_ca_file, .. } = section;
    let all = [cert, key, client_ca, cert_file, key_file, client_ca_file, &section.client_auth_type];
    if all.iter().all(|value| value.as_deref().is_none_or(str::is_empty)) {
        return None;
    }
    let chain = text(reading, [("cert", cert), ("cert_file", cert_file)], true);
    let chain = chain.and_then(|(key, text)| certificates(key, &text, reading));
    let private = text(reading, [("key", key), ("key_file", key_file)], true);
    let private = private.and_then(|(key, text)| private_key(key, &text, reading));
    let ca = text(reading, [("client_ca", client_ca), ("client_ca_file", client_ca_file)], false);
    let has_ca = ca.is_some();
    let roots = ca.and_then(|(key, text)| certificates(key, &text, reading));
    let (provider, versions) = (provider(section, reading), versions(section, reading));
    let verifier = verifier(section, has_ca, roots, reading);
    let (chain, private, verifier) = (chain?, private?, verifier?);
    let built = build(provider?, &versions?, verifier, chain, private);
    let refuse = |why: Error| {
        let found = format!("certificate, key and versions do not make a TLS server ({why})");
        reading.problem("tls_server_config", found, "a certificate and its own key");
    };
    built.map_err(refuse).ok().map(Arc::new)
}

/// Who verifies clients; nobody where there is none.
type Verifier = Option<Arc<dyn ClientCertVerifier>>;

fn build(
    provider: Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    verifier: Verifier,
    chain: Vec<CertificateDer<'static>>,
    private: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, private)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What stands under one of two keys, in place or in a file.
fn text<'a>(
    reading: &mut Reading<'_>,
    [(inline, here), (key, file)]: [(&'a str, &Option<String>); 2],
    is_needed: bool,
) -> Option<(&'a str, String)> {
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    match (given(here), given(file)) {
        (Some(_), Some(_)) => {
            reading.problem(key, format!("both `{inline}` and `{key}` are there"), "one of them");
            None
        }
        (Some(text), None) => Some((inline, text)),
        (None, Some(name)) => Some((key, reading.named(key, &name)?)),
        (None, None) => {
            if is_needed {
                let found = format!("`tls_server_config` has neither `{inline}` nor `{key}`");
                reading.problem("tls_server_config", found, "one of them");
            }
            None
        }
    }
}

fn certificates(key: &str, text: &str, reading: &mut Reading<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    if found.is_none() {
        reading.problem(key, format!("`{key}` holds no certificate"), "certificates in PEM");
    }
    found
}

fn private_key(key: &str, text: &str, reading: &mut Reading<'_>) -> Option<PrivateKeyDer<'static>> {
    let found = PrivateKeyDer::from_pem_slice(text.as_bytes()).ok();
    if found.is_none() {
        let found = format!("`{key}` holds no private key, or one with a passphrase");
        reading.problem(key, found, "a private key in PEM");
    }
    found
}

fn versions(
    section: &document::Tls,
    reading: &mut Reading<'_>,
) -> Option<Vec<&'static SupportedProtocolVersion>> {
    let mut rank = |key: &str, value: &Option<String>, default: u8| match value.as_deref() {
        None | Some("") => Some(default),
        Some("TLS12") => Some(2),
        Some("TLS13") => Some(3),
        Some(other) => {
            let found = format!("`{key}` is `{}`", shown(other));
            reading.problem(key, found, "`TLS12` or `TLS13`; older ones are not there");
            None
        }
    };
    let (least, most) =
        (rank("min_version", &section.min_version, 2), rank("max_version", &section.max_version, 3));
    let (least, most) = (least?, most?);
    if least > most {
        reading.problem("min_version", "`min_version` is above `max_version`", "the other way round");
        return None;
    }
    let all = [(2, &rustls::version::TLS12), (3, &rustls::version::TLS13)];
    Some(
        all.into_iter()
            .filter(|(rank, _)| (least..=most).contains(rank))
            .map(|(_, version)| version)
            .collect(),
    )
}

/// The suites and groups that are wanted. As in the toolkit, a list of suites is about TLS 1.2: those of 1.3 stay.
fn provider(section: &document::Tls, reading: &mut Reading<'_>) -> Option<Arc<CryptoProvider>> {
    let mut provider = aws_lc_rs::default_provider();
    let mut is_right = true;
    let name = |suite: &rustls::SupportedCipherSuite| {
        let name = format!("{:?}", suite.suite());
        name.replacen("TLS13_", "TLS_", 1)
    };
    let wanted = section.cipher_suites.as_deref().unwrap_or_default();
    let known: Vec<String> = provider.cipher_suites.iter().map(name).collect();
    for unknown in wanted.iter().filter(|wanted| !known.contains(wanted)) {
        let found = format!("`cipher_suites` has `{}`, which is not there", shown(unknown));
        reading.problem("cipher_suites", found, &format!("some of {}", known.join(", ")));
        is_right = false;
    }
    if !wanted.is_empty() {
        let is_13 = |suite: &rustls::SupportedCipherSuite| suite.tls13().is_some();
        provider.cipher_suites.retain(|suite| is_13(suite) || wanted.contains(&name(suite)));
    }
    let wanted = section.curve_preferences.as_deref().unwrap_or_default();
    let mut groups = Vec::new();
    for curve in wanted {
        if let Some((_, group)) = CURVES.iter().find(|(name, _)| name == curve) {
            groups.push(*group);
            continue;
        }
        let names: Vec<&str> = CURVES.iter().map(|(name, _)| *name).collect();
        let found = format!("`curve_preferences` has `{}`, which is not there", shown(curve));
        reading.problem("curve_preferences", found, &format!("some of {}", names.join(", ")));
        is_right = false;
    }
    if !groups.is_empty() {
        provider.kx_groups = groups;
    }
    is_right.then(|| Arc::new(provider))
}

/// Who verifies clients. `None` is reported.
fn verifier(
    section: &document::Tls,
    has_ca: bool,
    roots: Option<Vec<CertificateDer<'static>>>,
    reading: &mut Reading<'_>,
) -> Option<Verifier> {
    let word = section.client_auth_type.as_deref().filter(|word| !word.is_empty()).unwrap_or(AUTH[0]);
    if !AUTH.contains(&word) {
        let found = format!("`client_auth_type` is `{}`", shown(word));
        reading.problem("client_auth_type", found, &format!("one of {}", AUTH.join(", ")));
        return None;
    }
    let sans: BTreeSet<String> = section.client_allowed_sans.iter().flatten().cloned().collect();
    if word == AUTH[0] {
        if has_ca || !sans.is_empty() {
            let found = "client certificates are described, and `client_auth_type` asks for none";
            reading.problem("tls_server_config", found, &format!("one of {}", AUTH[1..].join(", ")));
            return None;
        }
        return Some(None);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let inner: Arc<dyn ClientCertVerifier> = if word.contains("Verify") {
        if !has_ca {
            let found = format!("`client_auth_type` is `{word}`, and there is nothing to verify with");
            reading.problem("client_auth_type", found, "`client_ca_file`");
            return None;
        }
        let mut store = RootCertStore::empty();
        let (_, refused) = store.add_parsable_certificates(roots?);
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider);
        let builder = if word.contains("IfGiven") { builder.allow_unauthenticated() } else { builder };
        match builder.build() {
            Ok(verifier) if refused == 0 => verifier,
            _ => {
                let found = "`client_ca_file` holds what is no certificate of an authority";
                reading.problem("client_ca_file", found, "certificates in PEM");
                return None;
            }
        }
    } else {
        Arc::new(Any { provider, is_needed: word.starts_with("Require") })
    };
    Some(Some(if sans.is_empty() { inner } else { Arc::new(Named { inner, sans }) }))
}

/// Takes any certificate whose key the client has.
#[derive(Debug)]
struct Any {
    provider: Arc<CryptoProvider>,
    is_needed: bool,
}

impl ClientCertVerifier for Any {
    fn client_auth_mandatory(&self) -> bool {
        self.is_needed
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
