//! A new certificate authority at each start, the certificate of the TLS listener, and client certificates.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;

/// What can go wrong here. All of it is a mistake of ours, so the text is enough.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The certificate authority of one run.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// The client certificate in a DSI key.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    pub(crate) der: Vec<u8>,
    pub(crate) chain_pem: String,
    pub(crate) key_pem: String,
    pub(crate) subject: String,
    pub(crate) valid_until: String,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "SAP sandbox CA");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?;
        Ok(Self { issuer: Issuer::new(parameters, key), certificate })
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for the client of one tenant.
    pub(crate) fn client_certificate(&self, tenant: &str) -> Result<ClientCertificate, Failure> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, tenant);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(ClientCertificate {
            der: certificate.der().to_vec(),
            chain_pem: format!("{}{}", certificate.pem(), self.pem()),
            key_pem: key.serialize_pem(),
            subject: format!("CN={tenant}"),
            // What rcgen writes into certificates without a date of their own.
            valid_until: "4096-01-01T00:00:00.000Z".to_owned(),
        })
    }

    /// The TLS side of the listener: client certificates are asked for and not required.
    pub(crate) fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, Failure> {
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        parameters.distinguished_name.push(DnType::CommonName, "SAP sandbox");
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));

        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.der().clone())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], private)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
