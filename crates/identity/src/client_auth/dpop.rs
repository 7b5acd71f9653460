//! DPoP (RFC 9449): tokens that are good only with a key of this program. It goes beside any method of
//! authentication: the token endpoint is shown a proof, and what it issues is presented to the server behind with a
//! proof for each request.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri};
use safeconduct_core::bound::Prover;
use safeconduct_core::credential::Form;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;
use serde_json::{Map, Value, json};

use super::signing_key::SigningKey;
use super::{ClientAuth, ClientAuthError, Preparing, SigningAlgorithm};
use crate::cache::Fields;
use crate::wire::{Endpoint, Via, Wire};

/// Nonces that are remembered: one a URL, of few token endpoints and servers.
const NONCES: usize = 256;

/// A key, and what servers want in its proofs.
pub struct DpopKey {
    key: SigningKey,
    jwk: Value,
    nonces: Mutex<HashMap<Box<str>, Box<str>>>,
}

impl DpopKey {
    /// A new one, for ES256: it lives as long as the tokens that are bound to it, in memory like them.
    ///
    /// # Errors
    /// What is wrong.
    pub fn generate() -> Result<Self, &'static str> {
        Self::new(SigningKey::generate().ok_or("no key could be made")?)
    }

    /// From a file: P-256 (ES256) or Ed25519 (EdDSA), PEM or DER. Read once, so that a token and its proofs are of the
    /// same key.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(encoded: &Secret) -> Result<Self, &'static str> {
        let key = SigningKey::read(encoded, None)?;
        match key.algorithm() {
            SigningAlgorithm::Es256 | SigningAlgorithm::EdDsa => Self::new(key),
            _ => Err("a DPoP key is one for ES256 (P-256) or EdDSA (Ed25519)"),
        }
    }

    fn new(key: SigningKey) -> Result<Self, &'static str> {
        let jwk = key.public_jwk().ok_or("the key has no public part")?;
        Ok(Self { key, jwk, nonces: Mutex::default() })
    }

    /// The public key.
    pub fn jwk(&self) -> &Value {
        &self.jwk
    }
}

impl Prover for DpopKey {
    fn prove(
        &self,
        method: &Method,
        url: &Uri,
        token_hash: Option<&str>,
        now: Timestamp,
    ) -> Option<HeaderValue> {
        let mut unique = [0; 16];
        rand::fill(&mut unique).ok()?;
        let target = target(url);
        let mut claims = Map::from_iter([
            ("jti".to_owned(), json!(URL_SAFE_NO_PAD.encode(unique))),
            ("htm".to_owned(), json!(method.as_str())),
            ("htu".to_owned(), json!(target)),
            ("iat".to_owned(), json!(now.secs())),
        ]);
        if let Some(hash) = token_hash {
            claims.insert("ath".into(), json!(hash));
        }
        if let Some(nonce) = self.nonces.lock().unwrap_or_else(PoisonError::into_inner).get(&*target) {
            claims.insert("nonce".into(), json!(nonce));
        }
        let header = json!({ "typ": "dpop+jwt", "alg": self.key.algorithm().name(), "jwk": self.jwk });
        let proof = self.key.jws(&header, &Value::Object(claims))?;
        let mut value = HeaderValue::from_maybe_shared(Bytes::from(proof)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn note(&self, url: &Uri, nonce: &str) {
        let target = target(url);
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if nonces.get(&*target).is_some_and(|known| **known == *nonce) {
            return;
        }
        // Forgetting costs one more request each.
        if nonces.len() >= NONCES && !nonces.contains_key(&*target) {
            nonces.clear();
        }
        nonces.insert(target, nonce.into());
    }
}

/// `htu`: the URL without query and fragment (RFC 9449 §4.2).
fn target(url: &Uri) -> Box<str> {
    let scheme = url.scheme_str().unwrap_or_default();
    let authority = url.authority().map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}{}", url.path()).into()
}

/// A client whose tokens are bound to a key.
pub struct KeyBound {
    client: Arc<dyn ClientAuth>,
    key: Arc<DpopKey>,
}

impl KeyBound {
    /// The same client, with this key.
    pub fn new(client: Arc<dyn ClientAuth>, key: DpopKey) -> Self {
        Self { client, key: Arc::new(key) }
    }
}

impl ClientAuth for KeyBound {
    fn method(&self) -> &'static str {
        self.client.method()
    }

    fn client_id(&self) -> Option<&str> {
        self.client.client_id()
    }

    fn apply(
        &self,
        form: &mut Form,
        headers: &mut HeaderMap,
        endpoint: &str,
        now: Timestamp,
    ) -> Result<(), ClientAuthError> {
        self.client.apply(form, headers, endpoint, now)
    }

    fn forget_proof(&self) {
        self.client.forget_proof();
    }

    fn ready<'a>(&'a self, wire: &'a Wire, now: Timestamp) -> Option<Preparing<'a>> {
        self.client.ready(wire, now)
    }

    fn via(&self) -> Result<Via, ClientAuthError> {
        self.client.via()
    }

    fn endpoint<'a>(&self, named: &'a Endpoint) -> Cow<'a, Endpoint> {
        self.client.endpoint(named)
    }

    fn dpop(&self) -> Option<&Arc<DpopKey>> {
        Some(&self.key)
    }

    fn identify(&self, fields: &mut Fields) {
        self.client.identify(fields);
        // Which key it is does not matter: a cached token brings its own.
        fields.text("dpop");
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const TOKEN: &str = "https://as.example/token?tenant=1";

    fn parts(proof: &HeaderValue) -> (Value, Value) {
        let parts: Vec<_> =
            proof.to_str().unwrap().split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        (serde_json::from_slice(&parts[0]).unwrap(), serde_json::from_slice(&parts[1]).unwrap())
    }

    fn proof(key: &DpopKey, hash: Option<&str>) -> HeaderValue {
        key.prove(&Method::POST, &Uri::from_static(TOKEN), hash, NOW).unwrap()
    }

    /// Edge: 13
    #[test]
    fn a_proof_names_the_request_and_the_token_and_no_two_are_the_same() {
        let key = DpopKey::generate().unwrap();
        let first = proof(&key, None);
        let (header, claims) = parts(&first);
        assert_eq!(header["typ"], "dpop+jwt");
        assert_eq!(header["alg"], "ES256");
        assert_eq!(header["jwk"], *key.jwk());
        assert_eq!(claims["htm"], "POST");
        assert_eq!(claims["htu"], "https://as.example/token");
        assert_eq!(claims["iat"], NOW.secs());
        assert!(claims.get("ath").is_none() && claims.get("nonce").is_none());
        let (_, with_token) = parts(&proof(&key, Some("the-hash")));
        assert_eq!(with_token["ath"], "the-hash");
        assert_ne!(with_token["jti"], claims["jti"]);
    }

    #[test]
    fn a_proof_is_verified_by_the_key_in_its_header() {
        let ed25519 =
            aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new())
                .unwrap();
        let ed25519 = DpopKey::read(&Secret::new(ed25519.as_ref().to_vec())).unwrap();
        for key in [DpopKey::generate().unwrap(), ed25519] {
            let proof = proof(&key, None);
            let (signed, signature) = proof.to_str().unwrap().rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let (header, _) = parts(&proof);
            let part = |name: &str| URL_SAFE_NO_PAD.decode(header["jwk"][name].as_str().unwrap()).unwrap();
            if header["alg"] == "ES256" {
                let point = [vec![4], part("x"), part("y")].concat();
                let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                public.verify(signed.as_bytes(), &signature).unwrap();
            } else {
                assert_eq!(header["alg"], "EdDSA");
                UnparsedPublicKey::new(&ED25519, part("x")).verify(signed.as_bytes(), &signature).unwrap();
            }
            assert!(header["jwk"].get("d").is_none());
        }
    }

    /// Edge: 13
    #[test]
    fn a_nonce_is_remembered_for_its_url_alone_and_the_latest_counts() {
        let key = DpopKey::generate().unwrap();
        let url = Uri::from_static(TOKEN);
        key.note(&url, "first");
        key.note(&url, "second");
        key.note(&Uri::from_static("https://other.example/token"), "another's");
        let (_, claims) = parts(&proof(&key, None));
        assert_eq!(claims["nonce"], "second");
        for number in 0..NONCES {
            key.note(&format!("https://h{number}.example/").parse().unwrap(), "n");
        }
        assert!(key.nonces.lock().unwrap().len() <= NONCES);
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let p384 = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(
            &aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            &random,
        );
        assert!(DpopKey::read(&Secret::new(p384.unwrap().as_ref().to_vec())).is_err());
        assert!(DpopKey::read(&Secret::new(b"no key".to_vec())).is_err());
    }
}
