//! Clients of a token endpoint. Each is registered with one proof; any other proof is refused, so that a test
//! which passes shows which one was used.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use serde_json::Value;

use super::Problem;
use crate::canary;
use crate::keys::SigningKey;
use crate::verify::{verify_signature, words};
use crate::wire::{Seen, encode_form};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How a client proves who it is.
#[derive(Clone, Debug)]
pub enum Proof {
    /// `client_secret_basic`, form-encoded before base64 as RFC 6749 §2.3.1 demands.
    Basic(String),
    /// `client_secret_basic` without that encoding, as many providers have it.
    BasicRaw(String),
    /// `client_secret_post`.
    Post(String),
    /// `private_key_jwt` (RFC 7523): this public key.
    PrivateKeyJwt(Value),
    /// A public client: `client_id` alone.
    None,
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// Its proof.
    pub proof: Proof,
}

impl Client {
    /// A client with a new secret, sent by Basic.
    pub fn basic(id: &str) -> (Self, String) {
        let secret = canary::secret(id);
        let pair = encode_form([(id, secret.as_str())]).replacen('=', ":", 1);
        canary::remember(&STANDARD.encode(pair));
        (Self { id: id.to_owned(), proof: Proof::Basic(secret.clone()) }, secret)
    }

    /// A client with a new secret, sent in the form.
    pub fn post(id: &str) -> (Self, String) {
        let secret = canary::secret(id);
        (Self { id: id.to_owned(), proof: Proof::Post(secret.clone()) }, secret)
    }

    /// A client that signs assertions with this key.
    pub fn signing(id: &str, key: &SigningKey) -> Self {
        Self { id: id.to_owned(), proof: Proof::PrivateKeyJwt(key.jwk()) }
    }

    /// A public client.
    pub fn public(id: &str) -> Self {
        Self { id: id.to_owned(), proof: Proof::None }
    }
}

/// The clients that an endpoint knows.
#[derive(Debug, Default)]
pub struct Clients {
    known: Mutex<Vec<Client>>,
    used_assertions: Mutex<BTreeSet<String>>,
}

impl Clients {
    /// Registers a client; one of the same id is replaced.
    pub fn add(&self, client: Client) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|other| other.id != client.id);
        known.push(client);
    }

    /// Who asks, proven. `endpoints` are the audiences that an assertion may be for.
    ///
    /// # Errors
    /// `invalid_client`, or `invalid_request` when there is more than one proof (RFC 6749 §2.3).
    pub fn authenticate(&self, seen: &Seen, endpoints: &[&str], now: u64) -> Result<Client, Problem> {
        let form = seen.form();
        let basic =
            seen.header("authorization").map(|value| basic_parts(value).ok_or_else(refused)).transpose()?;
        let proofs =
            [basic.is_some(), form.one("client_secret").is_some(), form.one("client_assertion").is_some()];
        if proofs.into_iter().filter(|given| *given).count() > 1 {
            return Err(Problem::new("invalid_request", "more than one proof of the client"));
        }
        if let Some(assertion) = form.one("client_assertion") {
            if form.one("client_assertion_type") != Some(ASSERTION_TYPE) {
                return Err(Problem::new("invalid_client", "wrong client_assertion_type"));
            }
            return self.by_assertion(assertion, form.one("client_id"), endpoints, now);
        }
        let id = match &basic {
            Some((raw_id, _)) => crate::wire::decode_form(raw_id),
            None => form.one("client_id").ok_or_else(refused)?.to_owned(),
        };
        let client = self.find(&id)?;
        let proven = match (&client.proof, &basic) {
            (Proof::Basic(secret), Some((_, given))) => crate::wire::decode_form(given) == *secret,
            (Proof::BasicRaw(secret), Some((_, given))) => given == secret,
            (Proof::Post(secret), None) => form.one("client_secret") == Some(secret),
            (Proof::None, None) => form.one("client_secret").is_none(),
            _ => false,
        };
        if proven { Ok(client) } else { Err(refused()) }
    }

    fn find(&self, id: &str) -> Result<Client, Problem> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|client| client.id == id).cloned().ok_or_else(refused)
    }

    fn by_assertion(
        &self,
        assertion: &str,
        claimed: Option<&str>,
        endpoints: &[&str],
        now: u64,
    ) -> Result<Client, Problem> {
        let refused = |why: &str| Problem::new("invalid_client", why);
        let claims = crate::keys::claims_of(assertion);
        let id = claims["sub"].as_str().ok_or_else(|| refused("no sub"))?;
        let client = self.find(id)?;
        let Proof::PrivateKeyJwt(jwk) = &client.proof else {
            return Err(refused("not registered for assertions"));
        };
        let key: Jwk = serde_json::from_value(jwk.clone()).map_err(|_| refused("unusable key"))?;
        verify_signature(assertion, &key).map_err(|why| refused(&why))?;
        if claims["iss"] != id || claimed.is_some_and(|claimed| claimed != id) {
            return Err(refused("iss, sub and client_id differ"));
        }
        if !words(&claims["aud"]).iter().any(|audience| endpoints.contains(&audience.as_str())) {
            return Err(refused("the assertion is for somebody else"));
        }
        if claims["exp"].as_u64().is_none_or(|end| end <= now || end > now + 600) {
            return Err(refused("the assertion is expired or lives too long"));
        }
        let id_of_assertion = claims["jti"].as_str().ok_or_else(|| refused("no jti"))?.to_owned();
        if !self.used_assertions.lock().unwrap_or_else(PoisonError::into_inner).insert(id_of_assertion) {
            return Err(refused("the assertion was used before"));
        }
        Ok(client)
    }
}

fn refused() -> Problem {
    Problem::new("invalid_client", "client authentication failed")
}

fn basic_parts(value: &str) -> Option<(String, String)> {
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}
