//! An issuer's keys: a JWK set read with care (RFC 7517, RFC 7518 §6, RFC 8037 §2).

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::problem::TokenProblem;
use crate::mcp::json;

/// Longest key set that is read, in bytes (R12).
pub const MAX_BYTES: usize = 1024 * 1024;
/// Most keys in a set (R12).
pub const MAX_KEYS: usize = 100;
/// Longest key identifier, in bytes (R10).
pub(super) const MAX_KID: usize = 256;

/// The keys of one issuer that can be used to verify.
#[derive(Clone)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<Skipped>,
}

/// A key of the set that is not used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its `kid`, as far as it has a usable one.
    pub kid: Option<Box<str>>,
    /// Why.
    pub why: &'static str,
}

/// A document that is not a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeySet {
    /// Longer than [`MAX_BYTES`].
    #[error("longer than 1 MiB")]
    TooLong,
    /// More than [`MAX_KEYS`].
    #[error("more than 100 keys")]
    TooMany,
    /// Not JSON with one reading.
    #[error("not JSON: {0}")]
    NotJson(&'static str),
    /// No `keys` array (RFC 7517 §5).
    #[error("no array `keys`")]
    NoKeys,
}

/// One key, ready for each algorithm that it may be used with.
#[derive(Clone)]
struct Key {
    kid: Option<Box<str>>,
    /// SHA-256 over what makes it this key.
    identity: [u8; 32],
    uses: Vec<(Algorithm, ParsedPublicKey)>,
}

impl KeySet {
    /// Reads a JWK set. A key that cannot be used is skipped, not fatal: issuers publish keys for other purposes too.
    ///
    /// # Errors
    /// See [`BadKeySet`].
    pub fn from_jwks(document: &[u8]) -> Result<Self, BadKeySet> {
        if document.len() > MAX_BYTES {
            return Err(BadKeySet::TooLong);
        }
        json::checked(document).map_err(|error| BadKeySet::NotJson(error.what))?;
        let document: Value =
            serde_json::from_slice(document).map_err(|_| BadKeySet::NotJson("unreadable"))?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or(BadKeySet::NoKeys)?;
        if keys.len() > MAX_KEYS {
            return Err(BadKeySet::TooMany);
        }
        let mut set = Self { keys: Vec::new(), skipped: Vec::new() };
        for jwk in keys {
            set.take(jwk);
        }
        Ok(set)
    }

    /// SHA-256 over the usable keys: the same for the same keys in another order, or with others beside them that
    /// cannot be used. Issuers of several machines do not always write one document.
    pub fn identity(&self) -> [u8; 32] {
        let mut each: Vec<&[u8]> = self.keys.iter().map(|key| &key.identity[..]).collect();
        each.sort_unstable();
        hashed(each.into_iter())
    }

    /// Number of usable keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True when no key can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that are not used.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// True when a key has this identifier.
    pub fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The key for a token, by its header.
    pub(super) fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&ParsedPublicKey, TokenProblem> {
        match kid {
            Some(kid) => {
                let mut named = self.keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).peekable();
                if named.peek().is_none() {
                    return Err(TokenProblem::UnknownKey);
                }
                named.find_map(|key| key.for_algorithm(algorithm)).ok_or(TokenProblem::KeyMismatch)
            }
            None => {
                let mut fitting = self.keys.iter().filter_map(|key| key.for_algorithm(algorithm));
                match (fitting.next(), fitting.next()) {
                    (Some(key), None) => Ok(key),
                    _ => Err(TokenProblem::AmbiguousKey),
                }
            }
        }
    }

    fn take(&mut self, jwk: &Value) {
        let kid = jwk.get("kid").and_then(Value::as_str).filter(|kid| kid.len() <= MAX_KID).map(Box::from);
        let read = match jwk {
            Value::Object(jwk) => read(jwk),
            _ => Err("not an object"),
        };
        match read {
            Ok(uses) if self.has(kid.as_deref(), &uses) => {
                self.skipped.push(Skipped { kid, why: "another key has the same kid and algorithm" });
            }
            Ok(uses) => self.keys.push(Key { kid, identity: identity(jwk), uses }),
            Err(why) => self.skipped.push(Skipped { kid, why }),
        }
    }

    fn has(&self, kid: Option<&str>, uses: &[(Algorithm, ParsedPublicKey)]) -> bool {
        let clashes = |key: &Key| uses.iter().any(|(algorithm, _)| key.for_algorithm(*algorithm).is_some());
        kid.is_some() && self.keys.iter().any(|key| key.kid.as_deref() == kid && clashes(key))
    }
}

impl Key {
    fn for_algorithm(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        self.uses.iter().find(|(has, _)| *has == algorithm).map(|(_, key)| key)
    }
}

/// The members that a key is read from (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
fn identity(jwk: &Value) -> [u8; 32] {
    let members = ["kid", "alg", "kty", "crv", "n", "e", "x", "y"];
    hashed(members.iter().map(|name| jwk.get(name).and_then(Value::as_str).unwrap_or_default().as_bytes()))
}

fn hashed<'a>(fields: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    for field in fields {
        hash.update(&(field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    let mut out = [0; 32];
    out.copy_from_slice(hash.finish().as_ref());
    out
}

type Read = Result<Vec<(Algorithm, ParsedPublicKey)>, &'static str>;

fn read(jwk: &Map<String, Value>) -> Read {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if jwk.get("kid").is_some_and(|kid| kid.as_str().is_none_or(|kid| kid.len() > MAX_KID)) {
        return Err("its kid is not a string of at most 256 bytes");
    }
    if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err("it is not for signatures (use)");
    }
    let verifies = |operations: &Value| {
        operations
            .as_array()
            .is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
    };
    if jwk.get("key_ops").is_some_and(|operations| !verifies(operations)) {
        return Err("it is not for verifying (key_ops)");
    }
    if jwk.contains_key("d") {
        return Err("it is a private key, published");
    }
    let only = match jwk.get("alg") {
        None => None,
        Some(name) => {
            Some(name.as_str().and_then(Algorithm::named).ok_or("its algorithm (alg) is not supported")?)
        }
    };
    let uses = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => rsa(jwk)?,
        (Some("EC"), Some("P-256")) => vec![(Algorithm::ES256, point(jwk, 32, &ECDSA_P256_SHA256_FIXED)?)],
        (Some("EC"), Some("P-384")) => vec![(Algorithm::ES384, point(jwk, 48, &ECDSA_P384_SHA384_FIXED)?)],
        (Some("OKP"), Some("Ed25519")) => vec![(Algorithm::EdDSA, edwards(jwk)?)],
        _ => return Err("its type or curve (kty, crv) is not supported"),
    };
    let uses: Vec<_> =
        uses.into_iter().filter(|(algorithm, _)| only.is_none_or(|only| only == *algorithm)).collect();
    if uses.is_empty() { Err("its algorithm (alg) does not fit its type") } else { Ok(uses) }
}

fn rsa(jwk: &Map<String, Value>) -> Read {
    const USES: [(Algorithm, &RsaParameters); 6] = [
        (Algorithm::RS256, &RSA_PKCS1_2048_8192_SHA256),
        (Algorithm::RS384, &RSA_PKCS1_2048_8192_SHA384),
        (Algorithm::RS512, &RSA_PKCS1_2048_8192_SHA512),
        (Algorithm::PS256, &RSA_PSS_2048_8192_SHA256),
        (Algorithm::PS384, &RSA_PSS_2048_8192_SHA384),
        (Algorithm::PS512, &RSA_PSS_2048_8192_SHA512),
    ];
    let number = |name| {
        let bytes = bytes(jwk, name).ok_or("its modulus or exponent is missing or not base64url")?;
        // RFC 7518 §2 forbids leading zeros; some issuers write one all the same.
        Ok::<_, &'static str>(bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>())
    };
    let (n, e) = (number("n")?, number("e")?);
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err("its modulus is not of 2048 to 8192 bits");
    }
    if e.len() > 4 || e.as_slice() == [1] || e.last().is_none_or(|last| last % 2 == 0) {
        return Err("its exponent is not acceptable");
    }
    let components = RsaPublicKeyComponents { n, e };
    USES.into_iter()
        .map(|(algorithm, parameters)| {
            let key = components.to_parsed_public_key(parameters).map_err(|_| "it is not an RSA key")?;
            Ok((algorithm, key))
        })
        .collect()
}

fn point(
    jwk: &Map<String, Value>,
    size: usize,
    algorithm: &'static dyn VerificationAlgorithm,
) -> Result<ParsedPublicKey, &'static str> {
    let coordinate = |name| bytes(jwk, name).filter(|bytes| bytes.len() == size);
    let (Some(x), Some(y)) = (coordinate("x"), coordinate("y")) else {
        return Err("its coordinates are missing or not of the curve's size");
    };
    // SEC 1 §2.3.3, uncompressed; the library refuses what is not on the curve.
    let encoded = [&[4u8][..], &x, &y].concat();
    ParsedPublicKey::new(algorithm, encoded).map_err(|_| "its point is not on the curve")
}

fn edwards(jwk: &Map<String, Value>) -> Result<ParsedPublicKey, &'static str> {
    let x = bytes(jwk, "x").filter(|x| x.len() == 32).ok_or("its x is missing or not of 32 bytes")?;
    ParsedPublicKey::new(&ED25519, x).map_err(|_| "it is not an Ed25519 key")
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok()
}
