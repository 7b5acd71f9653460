//! Opaque tokens: what the issuer's introspection endpoint says of them (RFC 7662 §2.2).

use serde_json::Value;

use super::claims::{Origin, believe};
use super::jwt::object;
use super::problem::TokenProblem;
use super::rules::IssuerRules;
use super::{Bearer, Verified};
use crate::time::Timestamp;

/// Believes an introspection answer, under the same rules as a signed token's claims. A missing `exp` ends after
/// a minute; `iss` may be missing (the endpoint is the issuer's own), `aud` and `sub` may not.
///
/// # Errors
/// `Inactive` unless `active` is true; otherwise the first [`TokenProblem`].
pub fn verify_introspection(
    bearer: &Bearer,
    answer: &[u8],
    rules: &IssuerRules,
    now: Timestamp,
) -> Result<Verified, TokenProblem> {
    let mut claims = object(answer)?;
    if claims.remove("active") != Some(Value::Bool(true)) {
        return Err(TokenProblem::Inactive);
    }
    // RFC 7662 §2.2: the type as in RFC 6749 §5.1; a DPoP token is bound to a key (RFC 9449 §6.2).
    let kind = claims.remove("token_type");
    if kind.as_ref().and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("dpop")) {
        return Err(TokenProblem::SenderConstrained);
    }
    let (principal, audiences) = believe(&claims, rules, Origin::Introspection, now)?;
    Ok(Verified::new(bearer.digest(), principal, audiences))
}
