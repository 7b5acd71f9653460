//! The certificate of a signing key, as an assertion's header shows it (RFC 7515 §4.1.6 to §4.1.8).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::sign::CertifiedKey;
use safeconduct_core::secret::Secret;
use serde_json::{Map, Value};

use super::signing_key::private_key;
use crate::wire::certificates;

/// What of a certificate stands in the header. Both thumbprints: Entra looks for the one of SHA-256 with PS256, for
/// the one of SHA-1 with RS256; here they name a certificate, and protect nothing.
pub(super) struct Shown {
    sha1: String,
    sha256: String,
    /// `x5c`, where it is sent.
    chain: Option<Value>,
}

impl Shown {
    /// From the chain in PEM form, which must be the key's.
    pub(super) fn read(chain: &Secret, key: &Secret, sent: bool) -> Result<Self, &'static str> {
        let chain = certificates(chain.expose())?;
        let own = chain.first().ok_or("no PEM certificate in the certificate file")?;
        let thumbprint = |algorithm| URL_SAFE_NO_PAD.encode(digest(algorithm, own));
        let (sha1, sha256) = (thumbprint(&SHA1_FOR_LEGACY_USE_ONLY), thumbprint(&SHA256));
        let sent = sent.then(|| chain.iter().map(|one| Value::String(STANDARD.encode(one))).collect());
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        match CertifiedKey::from_der(chain, private_key(key)?, &provider) {
            Ok(_) => Ok(Self { sha1, sha256, chain: sent }),
            Err(rustls::Error::InconsistentKeys(_)) => Err("the key is not the certificate's"),
            Err(_) => Err("the certificate or its key is of a kind that is not supported"),
        }
    }

    /// Adds it to a header.
    pub(super) fn write(&self, header: &mut Map<String, Value>) {
        header.insert("x5t".into(), self.sha1.as_str().into());
        header.insert("x5t#S256".into(), self.sha256.as_str().into());
        if let Some(chain) = &self.chain {
            header.insert("x5c".into(), chain.clone());
        }
    }
}
