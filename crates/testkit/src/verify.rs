//! Verification of tokens for real: issuer, audience, signature, time. Deliberately not the gateway's own code
//! (jsonwebtoken does the cryptography), so that both would have to be wrong in the same way.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, decode_header};
use serde_json::Value;

use crate::clock::Clock;
use crate::keys;
use crate::wire::fetch;

/// What a verifier believes.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The one issuer.
    pub issuer: String,
    /// Audiences of which the token must name one.
    pub audiences: Vec<String>,
}

/// Checks tokens of one issuer, whose keys it fetches over HTTP (OIDC discovery, then the JWKS).
#[derive(Debug)]
pub struct Verifier {
    trust: Trust,
    clock: Clock,
    keys: Mutex<BTreeMap<String, Jwk>>,
}

impl Verifier {
    /// A verifier without keys yet; they are fetched when a token names one.
    pub fn new(trust: Trust, clock: Clock) -> Self {
        Self { trust, clock, keys: Mutex::default() }
    }

    /// What it believes.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The claims of a token that is good here.
    ///
    /// # Errors
    /// Says why it is not good, without repeating it.
    pub async fn verify(&self, token: &str) -> Result<Value, String> {
        let claims = self.signed(token).await?;
        let audiences = words(&claims["aud"]);
        if !audiences.iter().any(|audience| self.trust.audiences.iter().any(|own| own == audience)) {
            return Err(format!(
                "for the audience {}, not {}",
                audiences.join(" "),
                self.trust.audiences.join(" ")
            ));
        }
        Ok(claims)
    }

    /// The claims of a token that the issuer signed and that has not ended, for whomever it is.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub async fn signed(&self, token: &str) -> Result<Value, String> {
        let kid = decode_header(token).map_err(|_| "not a JWT")?.kid.ok_or("no kid")?;
        let known = self.known(&kid);
        let key = match known {
            Some(key) => key,
            None => {
                self.refresh()
                    .await
                    .map_err(|error| format!("the keys of the issuer cannot be had: {error}"))?;
                self.known(&kid).ok_or("signed by an unknown key")?
            }
        };
        let claims = verify_signature(token, &key)?;
        self.judge(&claims)?;
        Ok(claims)
    }

    fn known(&self, kid: &str) -> Option<Jwk> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
    }

    async fn refresh(&self) -> io::Result<()> {
        let discovery =
            fetch::get(&format!("{}/.well-known/openid-configuration", self.trust.issuer)).await?.json();
        if discovery["issuer"] != self.trust.issuer.as_str() {
            return Err(io::Error::other("the document is of another issuer"));
        }
        let jwks_uri = discovery["jwks_uri"].as_str().ok_or_else(|| io::Error::other("no jwks_uri"))?;
        let set: JwkSet = serde_json::from_slice(&fetch::get(jwks_uri).await?.body)?;
        let keys = set.keys.into_iter().filter_map(|key| Some((key.common.key_id.clone()?, key)));
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys.collect();
        Ok(())
    }

    fn judge(&self, claims: &Value) -> Result<(), String> {
        if claims["iss"] != self.trust.issuer.as_str() {
            return Err(format!("issued by {}", claims["iss"]));
        }
        let now = self.clock.secs();
        if claims["exp"].as_u64().is_none_or(|end| end <= now) {
            return Err("expired".into());
        }
        if claims["nbf"].as_u64().is_some_and(|start| start > now + 5) {
            return Err("not valid yet".into());
        }
        Ok(())
    }
}

/// Checks the signature alone, with a public key.
///
/// # Errors
/// Says what is wrong, without repeating the token.
pub fn verify_signature(token: &str, key: &Jwk) -> Result<Value, String> {
    let algorithm = decode_header(token).map_err(|_| "not a JWT")?.alg;
    if !matches!(algorithm, Algorithm::ES256 | Algorithm::EdDSA | Algorithm::RS256 | Algorithm::PS256) {
        return Err(format!("the algorithm {algorithm:?} is not accepted"));
    }
    let decoding = DecodingKey::from_jwk(key).map_err(|_| "the key cannot be used")?;
    let (message, signature) = token.rsplit_once('.').ok_or("not a JWT")?;
    let good = jsonwebtoken::crypto::verify(signature, message.as_bytes(), &decoding, algorithm);
    if good.is_ok_and(|good| good) {
        Ok(keys::claims_of(token))
    } else {
        Err("the signature is wrong".into())
    }
}

/// A claim that is a string of words or an array of strings.
pub fn words(claim: &Value) -> Vec<String> {
    match claim {
        Value::String(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Value::Array(items) => items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}
