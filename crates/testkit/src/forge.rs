//! Tokens that must never be believed.

use serde_json::{Value, json};

use crate::canary;
use crate::keys::{Algorithm, SigningKey, claims_of, encode, header_of};

/// A forged token and the way it was forged.
#[derive(Clone, Debug)]
pub struct Forged {
    /// In a few words.
    pub how: &'static str,
    /// The token.
    pub token: String,
}

/// Forgeries of a good token: each says what the good one says (or more), and none is signed by its issuer.
/// `jwk` is the issuer's public key that signed the good one.
///
/// # Errors
/// When a key cannot be made.
pub fn all(good: &str, jwk: &Value) -> std::io::Result<Vec<Forged>> {
    let header = header_of(good);
    let claims = claims_of(good);
    let kid = header["kid"].as_str().unwrap_or_default();
    let attacker = SigningKey::generate(Algorithm::Es256)?.with_kid(kid);
    let mut with_own_key = header.clone();
    with_own_key["jwk"] = attacker.jwk();
    let mut with_address = header.clone();
    with_address["jku"] = json!("http://127.0.0.1:9/jwks");
    let mut promoted = claims.clone();
    promoted["groups"] = json!(["admins"]);
    let signature = good.rsplit('.').next().unwrap_or_default();
    Ok(vec![
        Forged { how: "signed by another key with the same id", token: attacker.sign("at+jwt", &claims) },
        Forged { how: "its own key in the header", token: attacker.sign_with(&with_own_key, &claims) },
        Forged { how: "an address of keys in the header", token: attacker.sign_with(&with_address, &claims) },
        Forged {
            how: "changed claims under the old signature",
            token: joined(&header, &promoted, signature),
        },
        Forged {
            how: "no algorithm",
            token: joined(&json!({"alg": "none", "typ": "at+jwt", "kid": kid}), &claims, ""),
        },
        Forged {
            how: "no algorithm, spelt otherwise",
            token: joined(&json!({"alg": "nOnE", "kid": kid}), &claims, ""),
        },
        Forged { how: "signature cut away", token: good.replacen(signature, "", 1) },
        Forged { how: "HMAC with the public key as its secret", token: confused(kid, &claims, jwk) },
    ])
}

/// Signs with HS256, the secret being the issuer's public key, for verifiers that take `alg` from the token.
fn confused(kid: &str, claims: &Value, jwk: &Value) -> String {
    let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": kid});
    let message =
        format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, jwk.to_string().as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
    let token = format!("{message}.{}", encode(tag.as_ref()));
    canary::remember_token(&token);
    token
}

fn joined(header: &Value, claims: &Value, signature: &str) -> String {
    let token = format!(
        "{}.{}.{signature}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    canary::remember_token(&token);
    token
}
