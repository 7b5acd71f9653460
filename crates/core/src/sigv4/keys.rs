//! Keys made ready for signing.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::credential::Undeliverable;
use crate::material::{AwsKeys, Material};

/// AWS keys, and the key that was last derived from them.
pub struct SigningKeys {
    material: Arc<Material>,
    session: Option<HeaderValue>,
    /// By its scope: it serves for a day, a region and a service.
    derived: Mutex<Option<(Box<str>, hmac::Key)>>,
}

impl SigningKeys {
    /// From what a step was granted. An empty session token is none (keys that do not end).
    ///
    /// # Errors
    /// `Kind` for a token; `Characters` for keys that cannot stand in a header.
    pub fn new(material: &Arc<Material>) -> Result<Self, Undeliverable> {
        let keys = material.aws().ok_or(Undeliverable::Kind)?;
        let id = &keys.access_key_id;
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(Undeliverable::Characters);
        }
        let session = match &keys.session_token {
            none if none.is_empty() => None,
            token => Some(token.to_header("").ok_or(Undeliverable::Characters)?),
        };
        Ok(Self { material: material.clone(), session, derived: Mutex::default() })
    }

    /// What they were made of.
    pub fn material(&self) -> &Arc<Material> {
        &self.material
    }

    pub(super) fn id(&self) -> &str {
        self.material.aws().map_or("", |keys| &keys.access_key_id)
    }

    pub(super) fn session(&self) -> Option<&HeaderValue> {
        self.session.as_ref()
    }

    /// The key for a scope (`20150830/us-east-1/service/aws4_request`).
    pub(super) fn derived(&self, scope: &str) -> hmac::Key {
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, key)) = &*derived
            && **known == *scope
        {
            return key.clone();
        }
        let key = derive(self.material.aws(), scope);
        *derived = Some((scope.into(), key.clone()));
        key
    }
}

/// Each part of the scope keys the next; the secret keys the first.
fn derive(keys: Option<&AwsKeys>, scope: &str) -> hmac::Key {
    let secret = keys.map(|keys| keys.secret_access_key.expose()).unwrap_or_default();
    let mut first = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
    first.extend_from_slice(b"AWS4");
    first.extend_from_slice(secret);
    scope.split('/').fold(hmac::Key::new(HMAC_SHA256, &first), |key, part| {
        hmac::Key::new(HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
    })
}
