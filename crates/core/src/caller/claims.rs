//! From claims to a caller: every claim checked for type and sense, and put where the rest of the program looks.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Map, Value};

use super::actors::actors;
use super::fingerprint::fingerprint;
use super::presets::WorkloadSign;
use super::principal::{Kind, Principal};
use super::problem::TokenProblem;
use super::rules::{ClaimPath, IssuerRules};
use crate::time::Timestamp;

/// A set of claims by name.
pub(super) type Claims = Map<String, Value>;

/// How the claims came, which decides what must be among them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A signed token: `iss`, `aud`, `exp` and `sub` are required (RFC 9068 §2.2).
    Jwt,
    /// An introspection answer (RFC 7662 §2.2): `iss` and `exp` are optional; what has no end is believed for this long.
    Introspection,
    /// A person's supposition (`explain --claims`): only `sub` is required.
    Supposed,
}

/// How long a token without a stated end is believed before the issuer is asked again.
pub(super) const UNSTATED_LIFETIME: Duration = Duration::from_secs(60);

/// Checks the claims and makes the caller of them, with the token's audiences.
pub(super) fn believe(
    claims: &Claims,
    rules: &IssuerRules,
    origin: Origin,
    now: Timestamp,
) -> Result<(Principal, Vec<Box<str>>), TokenProblem> {
    check_issuer(claims, rules, origin)?;
    if claims.contains_key("cnf") {
        return Err(TokenProblem::SenderConstrained);
    }
    let expires = lifetime(claims, rules, origin, now)?;
    let audiences = audiences(claims, rules, origin)?;
    let subject = subject(claims)?;
    let client = first(claims, &rules.claims.client, "client")?;
    let kind = kind(claims, rules, subject, client);
    let mut scopes = union(claims, &rules.claims.scopes, true, "scope")?;
    if kind == Kind::Workload {
        let more: Vec<_> = rules.quirks.workload_scopes.iter().map(|path| ClaimPath::fixed(path)).collect();
        scopes.extend(union(claims, &more, true, "scope")?);
    }
    let principal = Principal {
        kind,
        issuer: rules.alias.clone(),
        issuer_url: rules.issuer.clone(),
        subject: subject.into(),
        client: client.map(Box::from),
        email: email(claims, rules),
        groups: groups(claims, rules)?,
        scopes,
        claims: tags(claims),
        actors: actors(claims.get("act"))?,
        acr: text(claims, "acr")?.map(Box::from),
        amr: strings(claims.get("amr"), false).ok_or(TokenProblem::BadClaim("amr"))?,
        auth_time: date(claims, "auth_time")?,
        session: text(claims, "sid")?.map(Box::from),
        issued: date(claims, "iat")?.map(Timestamp::from_secs),
        expires,
        fingerprint: fingerprint(&rules.issuer, claims, rules.quirks.volatile),
        identity: OnceLock::new(),
    };
    Ok((principal, audiences))
}

pub(super) fn check_issuer(claims: &Claims, rules: &IssuerRules, origin: Origin) -> Result<(), TokenProblem> {
    match claims.get("iss") {
        Some(Value::String(issuer)) if **issuer == *rules.issuer => Ok(()),
        None if origin != Origin::Jwt => Ok(()),
        None => Err(TokenProblem::MissingClaim("iss")),
        Some(_) => Err(TokenProblem::WrongIssuer),
    }
}

fn lifetime(
    claims: &Claims,
    rules: &IssuerRules,
    origin: Origin,
    now: Timestamp,
) -> Result<Timestamp, TokenProblem> {
    let at = |name| Ok::<_, TokenProblem>(date(claims, name)?.map(Timestamp::from_secs));
    let mut expires = match at("exp")? {
        Some(expires) => expires,
        None if origin == Origin::Jwt => return Err(TokenProblem::MissingClaim("exp")),
        None => now.plus(UNSTATED_LIFETIME),
    };
    let horizon = now.plus(rules.leeway());
    if at("nbf")?.is_some_and(|begins| begins > horizon) {
        return Err(TokenProblem::NotYet);
    }
    let issued = at("iat")?;
    if issued.is_some_and(|issued| issued > horizon) {
        return Err(TokenProblem::FromTheFuture);
    }
    if now >= expires {
        return Err(TokenProblem::Expired);
    }
    if let Some(age) = rules.max_age.filter(|_| origin != Origin::Supposed) {
        let too_old = issued.ok_or(TokenProblem::MissingClaim("iat"))?.plus(age);
        if now >= too_old {
            return Err(TokenProblem::TooOld);
        }
        expires = expires.min(too_old);
    }
    Ok(expires)
}

fn audiences(claims: &Claims, rules: &IssuerRules, origin: Origin) -> Result<Vec<Box<str>>, TokenProblem> {
    let Some(value) = claims.get("aud") else {
        return if origin == Origin::Supposed {
            Ok(Vec::new())
        } else {
            Err(TokenProblem::MissingClaim("aud"))
        };
    };
    let audiences = strings(Some(value), false)
        .filter(|all| !all.is_empty() && all.iter().all(|one| !one.is_empty()))
        .ok_or(TokenProblem::BadClaim("aud"))?;
    let further = audiences.iter().any(|audience| audiences.first() != Some(audience));
    if rules.single_audience && further { Err(TokenProblem::BadClaim("aud")) } else { Ok(audiences) }
}

fn subject(claims: &Claims) -> Result<&str, TokenProblem> {
    let subject = claims.get("sub").ok_or(TokenProblem::MissingClaim("sub"))?;
    let subject = subject.as_str().ok_or(TokenProblem::BadClaim("sub"))?;
    let fine =
        !subject.is_empty() && subject.chars().count() <= 255 && !subject.chars().any(char::is_control);
    if fine { Ok(subject) } else { Err(TokenProblem::BadClaim("sub")) }
}

fn kind(claims: &Claims, rules: &IssuerRules, subject: &str, client: Option<&str>) -> Kind {
    let is = |name: &str, value: &str| claims.get(name).and_then(Value::as_str) == Some(value);
    let is_client =
        client == Some(subject) || ["client_id", "azp", "appid", "cid"].iter().any(|name| is(name, subject));
    let signed = match rules.quirks.workload {
        WorkloadSign::None => false,
        WorkloadSign::EntraAppOnly => match claims.get("idtyp").and_then(Value::as_str) {
            Some(kind) => kind == "app",
            None => !claims.contains_key("scp") && is("oid", subject),
        },
        WorkloadSign::KeycloakServiceAccount => client.is_some_and(|client| {
            let account = format!("service-account-{}", client.to_lowercase());
            claims.get("preferred_username").and_then(Value::as_str).is_some_and(|name| name == account)
        }),
        WorkloadSign::Auth0Grant => is("gty", "client-credentials"),
    };
    if is_client || signed { Kind::Workload } else { Kind::User }
}

fn groups(claims: &Claims, rules: &IssuerRules) -> Result<Vec<Box<str>>, TokenProblem> {
    let left_out = claims
        .get("_claim_names")
        .and_then(Value::as_object)
        .is_some_and(|names| rules.claims.groups.iter().any(|path| names.contains_key(path.as_str())));
    let truthy = |value: &Value| value == &Value::Bool(true) || value == "true";
    if left_out || claims.get("hasgroups").is_some_and(truthy) {
        return Err(TokenProblem::GroupsOverage);
    }
    union(claims, &rules.claims.groups, false, "groups")
}

fn email(claims: &Claims, rules: &IssuerRules) -> Option<Box<str>> {
    let said = |name: &str, wanted: bool| {
        claims.get(name).is_some_and(|value| match value {
            Value::Bool(flag) => *flag == wanted,
            Value::String(flag) => flag == if wanted { "true" } else { "false" } || (wanted && flag == "1"),
            Value::Number(flag) => flag.as_u64() == Some(u64::from(wanted)),
            _ => false,
        })
    };
    let believed = match rules.quirks.email_proof {
        Some(proof) => said(proof, true),
        None => !said("email_verified", false),
    };
    let find =
        |path: &ClaimPath| path.find(claims)?.as_str().filter(|email| !email.is_empty()).map(Box::from);
    if believed { rules.claims.email.iter().find_map(find) } else { None }
}

/// The first of the claims that is there; it must be text.
fn first<'a>(
    claims: &'a Claims,
    paths: &[ClaimPath],
    name: &'static str,
) -> Result<Option<&'a str>, TokenProblem> {
    match paths.iter().find_map(|path| path.find(claims)) {
        Some(value) => value.as_str().map(Some).ok_or(TokenProblem::BadClaim(name)),
        None => Ok(None),
    }
}

/// All values of all the claims, each once. A claim of another shape refuses the token: a rule that forbids by group
/// must not be missed because a group could not be read.
fn union(
    claims: &Claims,
    paths: &[ClaimPath],
    split: bool,
    name: &'static str,
) -> Result<Vec<Box<str>>, TokenProblem> {
    let mut all: Vec<Box<str>> = Vec::new();
    for path in paths {
        for value in strings(path.find(claims), split).ok_or(TokenProblem::BadClaim(name))? {
            if !all.contains(&value) {
                all.push(value);
            }
        }
    }
    Ok(all)
}

/// A text (taken apart at spaces if `split`) or an array of texts; nothing when absent or null; None for other shapes.
pub(super) fn strings(value: Option<&Value>, split: bool) -> Option<Vec<Box<str>>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(text)) if split => {
            Some(text.split(' ').filter(|s| !s.is_empty()).map(Box::from).collect())
        }
        Some(Value::String(text)) => Some(vec![text.as_str().into()]),
        Some(Value::Array(items)) => items.iter().map(|item| item.as_str().map(Box::from)).collect(),
        Some(_) => None,
    }
}

pub(super) fn text<'a>(claims: &'a Claims, name: &'static str) -> Result<Option<&'a str>, TokenProblem> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(TokenProblem::BadClaim(name)),
    }
}

/// A NumericDate (RFC 7519 §2) in whole seconds; fractions are cut, so that nothing lives longer by them.
pub(super) fn date(claims: &Claims, name: &'static str) -> Result<Option<u64>, TokenProblem> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let number = value.as_u64().or_else(|| {
        let number = value.as_f64().filter(|number| number.is_finite() && *number >= 0.0)?;
        Some(number as u64)
    });
    number.map(Some).ok_or(TokenProblem::BadClaim(name))
}

fn tags(claims: &Claims) -> BTreeMap<Box<str>, Vec<Box<str>>> {
    let text = |value: &Value| match value {
        Value::String(text) => Box::from(text.as_str()),
        other => other.to_string().into_boxed_str(),
    };
    let each = |value: &Value| match value {
        Value::Array(items) => items.iter().map(text).collect(),
        other => vec![text(other)],
    };
    let changing = ["exp", "iat", "nbf", "jti"];
    claims
        .iter()
        .filter(|(name, value)| !changing.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| (name.as_str().into(), each(value)))
        .collect()
}
