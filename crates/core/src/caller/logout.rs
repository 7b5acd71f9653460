//! Logout tokens: an issuer's word that a login has ended (OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6).

use std::time::Duration;

use serde_json::Value;

use super::claims::{Claims, Origin, check_issuer, date, strings, text};
use super::jwt::signed;
use super::keys::KeySet;
use super::problem::TokenProblem;
use super::rules::IssuerRules;
use crate::revocation::Whose;
use crate::time::Timestamp;

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A logout token must not be good for longer: its `jti` is remembered until then. Two minutes are usual.
const LONGEST: Duration = Duration::from_secs(3600);

/// What an issuer's logout tokens must be like, besides its rules for all tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutRules {
    /// Accepted audiences: the clients that the issuer knows this receiver by. Not empty.
    pub audiences: Vec<Box<str>>,
    /// True when only `typ: logout+jwt` is a logout token, not an absent `typ` or `JWT`.
    pub strict_typ: bool,
}

/// A verified logout token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// Whose login has ended.
    pub whose: Whose,
    /// `iat`: when it was issued, by the issuer's clock.
    pub issued: Timestamp,
    /// `exp`.
    pub expires: Timestamp,
    /// `jti`: one token is good for one logout.
    pub id: Box<str>,
}

/// Verifies a logout token: signature first, then every claim.
///
/// # Errors
/// The first [`TokenProblem`].
pub fn verify_logout(
    token: &[u8],
    rules: &IssuerRules,
    logout: &LogoutRules,
    keys: &KeySet,
    now: Timestamp,
) -> Result<LogoutToken, TokenProblem> {
    let (header, claims) = signed(token, rules, keys)?;
    check_type(header.typ.as_deref(), &claims, logout)?;
    check_issuer(&claims, rules, Origin::Jwt)?;
    check_audience(&claims, logout)?;
    let (issued, expires) = lifetime(&claims, rules, now)?;
    let name = |claim| match text(&claims, claim)? {
        Some(name) if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) => {
            Err(TokenProblem::BadClaim(claim))
        }
        name => Ok(name.map(Box::<str>::from)),
    };
    let id = name("jti")?.ok_or(TokenProblem::MissingClaim("jti"))?;
    let whose = match (name("sub")?, name("sid")?) {
        (subject, Some(sid)) => Whose::Session { sid, subject },
        (Some(subject), None) => Whose::Subject(subject),
        (None, None) => return Err(TokenProblem::MissingClaim("sub")),
    };
    Ok(LogoutToken { whose, issued, expires, id })
}

/// An ID token must not pass for one (§2.4: `nonce` is prohibited, `events` is required; RFC 8725 §3.11).
fn check_type(typ: Option<&str>, claims: &Claims, logout: &LogoutRules) -> Result<(), TokenProblem> {
    match typ {
        Some("logout+jwt") => {}
        None | Some("jwt") if !logout.strict_typ => {}
        _ => return Err(TokenProblem::NotLogout("its typ is not logout+jwt")),
    }
    // Keycloak writes the kind into the payload, too.
    if claims.get("typ").is_some_and(|kind| kind != "Logout") {
        return Err(TokenProblem::NotLogout("its claim typ says so"));
    }
    if claims.contains_key("nonce") {
        return Err(TokenProblem::BadClaim("nonce"));
    }
    let events = claims.get("events").ok_or(TokenProblem::MissingClaim("events"))?;
    if events.get(EVENT).is_some_and(Value::is_object) {
        Ok(())
    } else {
        Err(TokenProblem::BadClaim("events"))
    }
}

fn check_audience(claims: &Claims, logout: &LogoutRules) -> Result<(), TokenProblem> {
    let named = claims.get("aud").ok_or(TokenProblem::MissingClaim("aud"))?;
    let named = strings(Some(named), false).ok_or(TokenProblem::BadClaim("aud"))?;
    let fits = named.iter().any(|audience| logout.audiences.contains(audience));
    if fits { Ok(()) } else { Err(TokenProblem::BadClaim("aud")) }
}

fn lifetime(
    claims: &Claims,
    rules: &IssuerRules,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), TokenProblem> {
    let at = |name| {
        let seconds = date(claims, name)?.ok_or(TokenProblem::MissingClaim(name))?;
        Ok::<_, TokenProblem>(Timestamp::from_secs(seconds))
    };
    let (issued, expires) = (at("iat")?, at("exp")?);
    if issued > now.plus(rules.leeway()) {
        return Err(TokenProblem::FromTheFuture);
    }
    if now >= expires {
        return Err(TokenProblem::Expired);
    }
    if expires > now.plus(LONGEST) { Err(TokenProblem::BadClaim("exp")) } else { Ok((issued, expires)) }
}
