//! Applications of the tenant, and how they prove themselves.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use jsonwebtoken::jwk::Jwk;
use serde_json::Value;

use super::{Refusal, State};
use crate::keys::{self, encode};
use crate::verify::{Trust, Verifier, verify_signature};
use crate::wire::{Form, Seen};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How an application proves itself.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A secret, in the form or by Basic.
    Secret(String),
    /// A certificate that was uploaded: its key, and its thumbprints.
    Certificate {
        /// The public key.
        key: Value,
        /// `x5t`.
        sha1: String,
        /// `x5t#S256`.
        sha256: String,
    },
    /// A federated identity credential: tokens of this issuer, for this subject and audience, exactly.
    Federated {
        /// `iss`.
        issuer: String,
        /// `sub`.
        subject: String,
        /// `aud`, one.
        audience: String,
    },
}

impl Proof {
    /// A certificate (DER) of this public key (JWK).
    pub fn certificate(key: Value, certificate: &[u8]) -> Self {
        let thumbprint = |algorithm| encode(digest(algorithm, certificate).as_ref());
        Self::Certificate { key, sha1: thumbprint(&SHA1_FOR_LEGACY_USE_ONLY), sha256: thumbprint(&SHA256) }
    }
}

/// A registered application.
#[derive(Clone, Debug)]
pub struct Application {
    /// Application (client) id.
    pub id: String,
    /// Its proof.
    pub proof: Proof,
    /// Scopes that were consented to for all users, with the API in front.
    pub consented: Vec<String>,
}

impl State {
    /// Which application asks, proven.
    pub(super) async fn authenticate(&self, seen: &Seen) -> Result<Application, Refusal> {
        let form = seen.form();
        let basic = seen.header("authorization").and_then(basic);
        let id = basic.as_ref().map(|(id, _)| id.as_str()).or_else(|| form.one("client_id"));
        let id = id.ok_or_else(|| {
            let words = "The request body must contain the following parameter: 'client_id'.";
            Refusal::new("invalid_request", 900_144, words)
        })?;
        let application = self.inner().applications.get(id).cloned().ok_or_else(|| {
            let words = format!("Application with identifier '{id}' was not found in the directory.");
            Refusal::new("unauthorized_client", 700_016, words)
        })?;
        let secret = basic.as_ref().map(|(_, secret)| secret.as_str()).or_else(|| form.one("client_secret"));
        match (&application.proof, secret, form.one("client_assertion")) {
            (Proof::Secret(known), Some(secret), None) if known == secret => Ok(application),
            (Proof::Secret(_), Some(_), None) => Err(Refusal::new(
                "invalid_client",
                7_000_215,
                format!(
                    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{id}'."
                ),
            )),
            (Proof::Certificate { key, sha1, sha256 }, None, Some(assertion)) => {
                check_type(&form)?;
                self.by_certificate(&application, assertion, key, [sha1, sha256])?;
                Ok(application)
            }
            (Proof::Federated { issuer, subject, audience }, None, Some(assertion)) => {
                check_type(&form)?;
                self.by_federation(assertion, issuer, subject, audience).await?;
                Ok(application)
            }
            _ => Err(Refusal::new(
                "invalid_client",
                7_000_218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            )),
        }
    }

    fn by_certificate(
        &self,
        application: &Application,
        assertion: &str,
        key: &Value,
        thumbprints: [&String; 2],
    ) -> Result<(), Refusal> {
        let invalid = |words: &str| Refusal::new("invalid_client", 700_027, words);
        let header = keys::header_of(assertion);
        // MSAL pads, against RFC 7515 §2, and Entra does not mind.
        let shown = ["x5t", "x5t#S256"].into_iter().zip(thumbprints);
        let mut shown = shown
            .filter_map(|(name, known)| Some(header[name].as_str()?.trim_end_matches('=') == known.as_str()));
        let named = shown.next().ok_or_else(|| invalid("The certificate with identifier used to sign the client assertion is not registered on application."))?;
        if !named || shown.any(|fits| !fits) {
            return Err(invalid(
                "The certificate with identifier used to sign the client assertion is not registered on application.",
            ));
        }
        let key: Jwk = serde_json::from_value(key.clone()).map_err(|_| invalid("unusable key"))?;
        let claims = verify_signature(assertion, &key)
            .map_err(|_| invalid("Client assertion failed signature validation."))?;
        if claims["aud"] != self.token_endpoint().as_str() {
            return Err(Refusal::new(
                "invalid_client",
                700_023,
                "Client assertion audience claim does not match Realm issuer.",
            ));
        }
        if claims["iss"] != application.id.as_str() || claims["sub"] != application.id.as_str() {
            return Err(Refusal::new(
                "invalid_client",
                50048,
                "Subject mismatches Issuer claim in the client assertion.",
            ));
        }
        self.in_time(&claims)
    }

    async fn by_federation(
        &self,
        assertion: &str,
        issuer: &str,
        subject: &str,
        audience: &str,
    ) -> Result<(), Refusal> {
        let said = keys::claims_of(assertion);
        let no_match = |code: u64, what: &str| {
            let words =
                format!("No matching federated identity record found for presented assertion {what}.");
            Refusal::new("invalid_client", code, words)
        };
        if said["iss"] != issuer {
            return Err(no_match(700_211, "issuer"));
        }
        if said["aud"] != audience {
            return Err(no_match(700_212, "audience"));
        }
        if said["sub"] != subject {
            return Err(no_match(700_213, "subject"));
        }
        self.in_time(&said)?;
        let trust = Trust { issuer: issuer.into(), audiences: vec![audience.into()] };
        let verified = Verifier::new(trust, self.clock.clone()).verify(assertion).await;
        verified.map(drop).map_err(|why| {
            Refusal::new(
                "invalid_client",
                700_027,
                format!("Client assertion failed signature validation: {why}"),
            )
        })
    }

    fn in_time(&self, claims: &Value) -> Result<(), Refusal> {
        // A NumericDate may have a fraction (RFC 7519 §2); MSAL's have one.
        let now = self.clock.secs() as f64;
        let over = claims["exp"].as_f64().is_none_or(|end| end <= now);
        let early = claims["nbf"].as_f64().is_some_and(|start| start > now + 300.0);
        if over || early {
            return Err(Refusal::new(
                "invalid_client",
                700_024,
                "Client assertion is not within its valid time range.",
            ));
        }
        Ok(())
    }
}

fn check_type(form: &Form) -> Result<(), Refusal> {
    match form.one("client_assertion_type") {
        Some(ASSERTION_TYPE) => Ok(()),
        _ => Err(Refusal::new(
            "invalid_request",
            900_144,
            "The request body must contain 'client_assertion_type'.",
        )),
    }
}

/// Entra takes Basic with and without the form encoding of RFC 6749 §2.3.1.
fn basic(value: &str) -> Option<(String, String)> {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((crate::wire::decode_form(id), crate::wire::decode_form(secret)))
}
