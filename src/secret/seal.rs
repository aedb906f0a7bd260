//! Secrets at rest: encrypted and authenticated, for the one place that is told by its context.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use super::Secret;

/// What every sealed text begins with: the form it is in.
const FORM: &[u8] = b"rekeyd-seal-1\n";

/// Why a sealed text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSeal {
    /// It does not begin as one.
    #[error("it is not sealed by rekeyd")]
    NotSealed,
    /// Another key or another place, or somebody changed it.
    #[error("it was sealed with another key or for another credential, or it is damaged")]
    Refused,
    /// The random numbers of the machine, or its memory, failed.
    #[error("encryption failed on this machine")]
    Machine,
}

/// Seals and opens texts (AES-256-GCM, its key derived from the operator's with HKDF-SHA-256).
pub struct Sealer {
    key: [u8; 32],
    context: String,
}

impl Sealer {
    /// A sealer for one place: what is sealed for another one is refused.
    pub fn new(key: &Secret, context: &str) -> Result<Self, BadSeal> {
        let mut derived = [0; 32];
        let info = [context.as_bytes()];
        Salt::new(HKDF_SHA256, FORM)
            .extract(key.expose().as_bytes())
            .expand(&info, HKDF_SHA256)
            .and_then(|material| material.fill(&mut derived))
            .map_err(|_| BadSeal::Machine)?;
        Ok(Self { key: derived, context: context.to_owned() })
    }

    /// Seals a text.
    pub fn seal(&self, text: &Secret) -> Result<Vec<u8>, BadSeal> {
        let mut body = text.expose().as_bytes().to_vec();
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.key).map_err(|_| BadSeal::Machine)?;
        let nonce = key.seal_in_place_append_tag(self.bound(), &mut body).map_err(|_| BadSeal::Machine)?;
        Ok([FORM, nonce.as_ref(), &body].concat())
    }

    /// Opens what was sealed.
    pub fn open(&self, sealed: &[u8]) -> Result<Secret, BadSeal> {
        let rest = sealed.strip_prefix(FORM).ok_or(BadSeal::NotSealed)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(BadSeal::Refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| BadSeal::Refused)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.key).map_err(|_| BadSeal::Machine)?;
        let mut body = body.to_vec();
        let text = key.open_in_place(nonce, self.bound(), &mut body).map_err(|_| BadSeal::Refused)?;
        let text = std::str::from_utf8(text).map(|text| Secret::new(text.to_owned()));
        body.fill(0);
        text.map_err(|_| BadSeal::Refused)
    }

    fn bound(&self) -> Aad<Vec<u8>> {
        Aad::from([FORM, self.context.as_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(key: &str, context: &str) -> Sealer {
        Sealer::new(&Secret::new(key.to_owned()), context).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_by_the_same_key_for_the_same_place_and_by_nothing_else() {
        let text = Secret::new("NotARealSecret".to_owned());
        let mine = sealer("a key of the operator's, long enough", "acme/offer");
        let sealed = mine.seal(&text).unwrap();
        assert!(!String::from_utf8_lossy(&sealed).contains("NotARealSecret"));
        assert!(mine.open(&sealed).unwrap() == text);
        assert_ne!(sealed, mine.seal(&text).unwrap(), "no nonce comes twice");
        for other in
            [sealer("another key", "acme/offer"), sealer("a key of the operator's, long enough", "b/c")]
        {
            assert_eq!(other.open(&sealed).unwrap_err(), BadSeal::Refused);
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(mine.open(&changed).is_err(), "byte {at}");
            assert!(mine.open(&sealed[..at]).is_err(), "the first {at} bytes");
        }
    }
}
