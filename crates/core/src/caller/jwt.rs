//! Signed access tokens (RFC 7515, RFC 7519, RFC 8725, RFC 9068), read as strictly as they can be.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::algorithm::Algorithm;
use super::claims::{Claims, Origin, believe};
use super::keys::{KeySet, MAX_KID};
use super::principal::Principal;
use super::problem::TokenProblem;
use super::rules::IssuerRules;
use super::{Bearer, Verified};
use crate::mcp::json;
use crate::time::Timestamp;

/// Longest token that is read, in bytes (R4).
pub const MAX_TOKEN: usize = 16 * 1024;

/// What a token says of itself, unverified: good for choosing whose keys to verify it with, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peeked {
    /// `iss`, as it stands there.
    pub issuer: Box<str>,
    /// `alg`, if it is one that is accepted at all.
    pub algorithm: Option<Algorithm>,
    /// `kid`: data, never a path or a query (R10).
    pub kid: Option<Box<str>>,
}

/// True when the token has the shape of a compact JWS; others are opaque, and introspection may know them.
pub fn looks_signed(bearer: &Bearer) -> bool {
    let token = bearer.expose_for_verification();
    token.iter().filter(|byte| **byte == b'.').count() == 2 && token.starts_with(b"ey")
}

/// Reads whose token it says it is, before anything is verified.
///
/// # Errors
/// `Malformed`, `Header`, `MissingClaim`.
pub fn peek_issuer(bearer: &Bearer) -> Result<Peeked, TokenProblem> {
    peek(bearer.expose_for_verification())
}

/// The same of a token that is not the caller's (a logout token).
///
/// # Errors
/// As [`peek_issuer`].
pub fn peek(token: &[u8]) -> Result<Peeked, TokenProblem> {
    let parts = Parts::split(token)?;
    let header = Header::read(&parts)?;
    let claims = parts.claims()?;
    let issuer = claims.get("iss").ok_or(TokenProblem::MissingClaim("iss"))?;
    let issuer = issuer.as_str().ok_or(TokenProblem::BadClaim("iss"))?;
    Ok(Peeked { issuer: issuer.into(), algorithm: header.algorithm, kid: header.kid })
}

/// Verifies a token: signature first, then every claim.
///
/// The audience is only read here; whether it is this server's is decided by
/// [`Arrived::authenticated`](crate::path::Arrived::authenticated), which alone knows the server.
///
/// # Errors
/// The first [`TokenProblem`].
pub fn verify_jwt(
    bearer: &Bearer,
    rules: &IssuerRules,
    keys: &KeySet,
    now: Timestamp,
) -> Result<Verified, TokenProblem> {
    let (principal, audiences) = examine(bearer.expose_for_verification(), rules, keys, now)?;
    Ok(Verified::new(bearer.digest(), principal, audiences))
}

/// The same verification of a token that did not come with a request: who it would be, and its audiences.
/// No proof comes of it.
///
/// # Errors
/// The first [`TokenProblem`].
pub fn examine(
    token: &[u8],
    rules: &IssuerRules,
    keys: &KeySet,
    now: Timestamp,
) -> Result<(Principal, Vec<Box<str>>), TokenProblem> {
    let (header, claims) = signed(token, rules, keys)?;
    check_type(&header, &claims, rules)?;
    believe(&claims, rules, Origin::Jwt, now)
}

/// Header and claims of a token that one of the issuer's keys signed. What they say is not looked at.
pub(super) fn signed(
    token: &[u8],
    rules: &IssuerRules,
    keys: &KeySet,
) -> Result<(Header, Claims), TokenProblem> {
    let parts = Parts::split(token)?;
    let header = Header::read(&parts)?;
    let algorithm = header
        .algorithm
        .filter(|algorithm| rules.algorithms.contains(algorithm))
        .ok_or(TokenProblem::Algorithm)?;
    let key = keys.find(header.kid.as_deref(), algorithm)?;
    key.verify_sig(parts.signed, &parts.signature).map_err(|_| TokenProblem::Signature)?;
    let claims = parts.claims()?;
    Ok((header, claims))
}

/// The caller that a token with these claims would speak for (`explain --claims`). No proof comes of it.
///
/// # Errors
/// `Malformed`, or what is wrong with a claim that is there; only `sub` must be.
pub fn suppose(claims: &[u8], rules: &IssuerRules, now: Timestamp) -> Result<Principal, TokenProblem> {
    believe(&object(claims)?, rules, Origin::Supposed, now).map(|(principal, _)| principal)
}

/// A token taken apart; nothing of it is believed.
struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn split(token: &'a [u8]) -> Result<Self, TokenProblem> {
        if token.len() > MAX_TOKEN {
            return Err(TokenProblem::Malformed("longer than 16 KiB"));
        }
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let text = std::str::from_utf8(token).ok().filter(|text| text.as_bytes().iter().all(fits));
        let text = text.ok_or(TokenProblem::Malformed("a character that is not of base64url"))?;
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenProblem::Malformed("not of three parts"));
        };
        let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        Ok(Self { header, payload, signed, signature: decode(signature)? })
    }

    fn claims(&self) -> Result<Claims, TokenProblem> {
        object(&decode(self.payload)?)
    }
}

pub(super) struct Header {
    algorithm: Option<Algorithm>,
    kid: Option<Box<str>>,
    /// Lower case, without `application/`.
    pub(super) typ: Option<Box<str>>,
}

impl Header {
    /// Keys and certificates that a token brings along (`jwk`, `jku`, `x5c`, `x5u`) are not looked at (R3).
    fn read(parts: &Parts<'_>) -> Result<Self, TokenProblem> {
        let header = object(&decode(parts.header)?)?;
        let refuse = |what| Err(TokenProblem::Header(what));
        if header.contains_key("crit") {
            return refuse("names critical extensions (crit), of which none is known");
        }
        if header.contains_key("b64") {
            return refuse("asks for an unencoded payload (b64)");
        }
        if header.contains_key("zip") || header.contains_key("enc") {
            return refuse("says that it is encrypted or compressed");
        }
        if header.get("cty").and_then(Value::as_str).is_some_and(|cty| media_type(cty) == "jwt") {
            return refuse("says that another token is inside (cty)");
        }
        let algorithm = match header.get("alg").map(Value::as_str) {
            Some(Some(name)) => Algorithm::named(name),
            Some(None) => return refuse("has an alg that is not text"),
            None => return refuse("has no alg"),
        };
        let kid = match header.get("kid").map(Value::as_str) {
            None => None,
            Some(Some(kid)) if !kid.is_empty() && kid.len() <= MAX_KID => Some(kid.into()),
            Some(_) => return refuse("has a kid that is not text of 1 to 256 bytes"),
        };
        let typ = match header.get("typ").map(Value::as_str) {
            None => None,
            Some(Some(typ)) => Some(media_type(typ).into()),
            Some(None) => return refuse("has a typ that is not text"),
        };
        Ok(Self { algorithm, kid, typ })
    }
}

/// Refuses what was signed for another purpose (RFC 8725 §3.11, §3.12; R8).
fn check_type(header: &Header, claims: &Claims, rules: &IssuerRules) -> Result<(), TokenProblem> {
    let typ = header.typ.as_deref();
    match typ {
        Some("at+jwt") => {}
        _ if rules.strict_typ => return Err(TokenProblem::WrongType("typ is not at+jwt")),
        None | Some("jwt") => {}
        Some("logout+jwt") => return Err(TokenProblem::WrongType("a logout token")),
        Some("secevent+jwt") => return Err(TokenProblem::WrongType("a security event")),
        Some("txntoken+jwt") => return Err(TokenProblem::WrongType("a transaction token")),
        Some("oauth-id-jag+jwt") => return Err(TokenProblem::WrongType("an identity assertion grant")),
        Some("dpop+jwt") => return Err(TokenProblem::WrongType("a DPoP proof")),
        Some(_) => return Err(TokenProblem::WrongType("its typ is not one of an access token")),
    }
    if claims.contains_key("events") {
        return Err(TokenProblem::WrongType("it reports events"));
    }
    // Keycloak writes the kind into the payload; so may others that are configured without their preset.
    let inner = claims.get("typ").and_then(Value::as_str);
    if let Some(expected) = rules.quirks.payload_typ.filter(|_| inner.is_some()) {
        let fits = inner.is_some_and(|typ| typ.eq_ignore_ascii_case(expected));
        return if fits { Ok(()) } else { Err(TokenProblem::WrongType("its claim typ says so")) };
    }
    if !rules.quirks.id_tokens
        && inner.is_some_and(|typ| ["ID", "Refresh", "Offline", "Logout"].contains(&typ))
    {
        return Err(TokenProblem::WrongType("its claim typ says so"));
    }
    let id_token = ["nonce", "at_hash", "c_hash"].iter().any(|name| claims.contains_key(*name));
    if id_token && typ != Some("at+jwt") && !rules.quirks.id_tokens {
        return Err(TokenProblem::WrongType("an ID token (nonce, at_hash or c_hash)"));
    }
    Ok(())
}

/// Lower case, and without the prefix that may be left out (RFC 7515 §4.1.9).
fn media_type(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_prefix("application/").map(str::to_owned).unwrap_or(name)
}

fn decode(part: &str) -> Result<Vec<u8>, TokenProblem> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenProblem::Malformed("a part is not base64url"))
}

/// A JSON object that has one reading: names once, UTF-8, nothing after it (R4).
pub(super) fn object(text: &[u8]) -> Result<Claims, TokenProblem> {
    json::checked(text).map_err(|error| TokenProblem::Malformed(error.what))?;
    serde_json::from_slice(text).map_err(|_| TokenProblem::Malformed("a part is not a JSON object"))
}
