//! The keys of an issuer and their rotation.

use std::io;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::keys::{Algorithm, SigningKey};

/// Keys that sign and keys that are shown; the two need not be the same at every moment.
#[derive(Debug, Default)]
pub struct Keyring(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    signing: Vec<SigningKey>,
    shown: Vec<Value>,
}

impl Keyring {
    /// An ES256 and an EdDSA key, both shown. An RSA key is made when it is first asked for.
    ///
    /// # Errors
    /// When a key cannot be made.
    pub fn new() -> io::Result<Self> {
        let ring = Self::default();
        ring.rotate(Algorithm::EdDsa)?;
        ring.rotate(Algorithm::Es256)?;
        Ok(ring)
    }

    /// A new key signs from now on; it is shown beside the old one. Its id.
    ///
    /// # Errors
    /// When the key cannot be made.
    pub fn rotate(&self, algorithm: Algorithm) -> io::Result<String> {
        let kid = self.rotate_hidden(algorithm)?;
        self.show_all();
        Ok(kid)
    }

    /// A new key signs from now on, but is not shown yet: an issuer whose key set is cached too long.
    ///
    /// # Errors
    /// When the key cannot be made.
    pub fn rotate_hidden(&self, algorithm: Algorithm) -> io::Result<String> {
        let key = SigningKey::generate(algorithm)?;
        let kid = key.kid().to_owned();
        self.lock().signing.push(key);
        Ok(kid)
    }

    /// Shows every key that is kept.
    pub fn show_all(&self) {
        let mut inner = self.lock();
        inner.shown = inner.signing.iter().map(SigningKey::jwk).collect();
    }

    /// Forgets and hides every key but the newest of each algorithm.
    pub fn retire_old(&self) {
        let mut inner = self.lock();
        let mut newest: Vec<SigningKey> = Vec::new();
        while let Some(key) = inner.signing.pop() {
            if newest.iter().all(|other| other.algorithm() != key.algorithm()) {
                newest.insert(0, key);
            }
        }
        inner.signing = newest;
        inner.shown = inner.signing.iter().map(SigningKey::jwk).collect();
    }

    /// Signs with the newest key of the algorithm; makes and shows one if there is none. Empty if it cannot.
    pub fn sign(&self, algorithm: Algorithm, typ: &str, claims: &Value) -> String {
        let has_one = self.lock().signing.iter().any(|key| key.algorithm() == algorithm);
        if !has_one && self.rotate(algorithm).is_err() {
            return String::new();
        }
        let inner = self.lock();
        let newest = inner.signing.iter().rev().find(|key| key.algorithm() == algorithm);
        newest.map(|key| key.sign(typ, claims)).unwrap_or_default()
    }

    /// The JWKS document.
    pub fn jwks(&self) -> Value {
        json!({"keys": self.lock().shown})
    }

    /// The shown key with this id.
    pub fn shown(&self, kid: &str) -> Option<Value> {
        self.lock().shown.iter().find(|key| key["kid"] == kid).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
