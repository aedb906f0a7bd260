//! Secrets and the keys they stand in.
//!
//! A secret shows nothing in `Debug`, is wiped when dropped, and can be compared without being shown. Service keys
//! are read exactly as they were downloaded, in every JSON shape SAP uses ([`service_key`]).

pub mod home;
pub mod seal;
pub mod service_key;

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use aws_lc_rs::{constant_time, digest, hmac};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

/// A piece of text nobody may see.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// Shows the text, for the one call that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// A digest that stands for the secret in memory, for cache keys. Never stored.
    pub fn fingerprint(&self) -> [u8; 32] {
        let hash = digest::digest(&digest::SHA256, self.expose().as_bytes());
        hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// A mark that tells this secret of `owner` from others of the same owner: 48 bits of a digest, in hex. A secret that
    /// a machine made cannot be told from it, so it may be stored.
    pub fn mark(&self, owner: &str) -> String {
        let text = [owner.as_bytes(), b"\n", self.expose().as_bytes()].concat();
        let hash = digest::digest(&digest::SHA256, &text);
        hash.as_ref()[..6].iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to memory does not fail");
            text
        })
    }

    /// What shows who holds the secret that `message` came from them: HMAC with SHA-256, in hex.
    pub fn sign(&self, message: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.expose().as_bytes());
        hmac::sign(&key, message).as_ref().iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to memory does not fail");
            text
        })
    }

    /// Whether two secrets are the same, in constant time.
    pub fn is_same(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.fingerprint(), &other.fingerprint()).is_ok()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// How a client proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientProof {
    /// With a client secret in the form body.
    Secret(Secret),
    /// With a certificate in the TLS handshake.
    Certificate {
        /// The whole chain, PEM.
        chain: String,
        /// The private key, PEM.
        key: Secret,
    },
}

/// A service key or binding, as far as anybody here needs it.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceKey {
    /// The client id: opaque text, the same for all keys of an instance, and not for logs.
    pub client_id: String,
    /// How the client proves who it is.
    pub proof: ClientProof,
    /// Where tokens are had: a complete URL.
    pub token_url: String,
    /// The service's own URL, where the key has one.
    pub url: Option<String>,
    /// Further addresses in the key, by name.
    pub endpoints: BTreeMap<String, String>,
    /// When the key says it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When the key says its certificate ends.
    pub valid_until: Option<DateTime<Utc>>,
    /// The key itself, as JSON without the envelope it may have come in: what is handed on to others.
    pub document: Secret,
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceKey")
            .field("token_url", &self.token_url)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl ServiceKey {
    /// A digest that stands for what the client proves itself with, in memory. Never stored.
    pub fn fingerprint(&self) -> [u8; 32] {
        match &self.proof {
            ClientProof::Secret(secret) | ClientProof::Certificate { key: secret, .. } => {
                secret.fingerprint()
            }
        }
    }

    /// What shows who holds the key that `message` came from them, as [`Secret::sign`] does.
    pub fn sign(&self, message: &[u8]) -> String {
        match &self.proof {
            ClientProof::Secret(secret) | ClientProof::Certificate { key: secret, .. } => {
                secret.sign(message)
            }
        }
    }

    /// Whether two keys prove themselves with the same secret: then one cannot replace the other.
    pub fn has_same_secret(&self, other: &Self) -> bool {
        match (&self.proof, &other.proof) {
            (ClientProof::Secret(mine), ClientProof::Secret(theirs)) => mine.is_same(theirs),
            (ClientProof::Certificate { key: mine, .. }, ClientProof::Certificate { key: theirs, .. }) => {
                mine.is_same(theirs)
            }
            _ => false,
        }
    }
}
