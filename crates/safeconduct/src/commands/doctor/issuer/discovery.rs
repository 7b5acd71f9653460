//! Is the issuer where it says, and who it says? (OpenID Connect Discovery 1.0 §4, RFC 8414 §3)

use std::time::SystemTime;

use safeconduct_identity::wire::Wire;
use serde_json::Value;

use super::super::ask;
use super::super::check::Finding;
use super::dated;
use crate::config::plan::{IssuerPlan, KeysPlan};

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    /// The document, when it is the issuer's own.
    pub(super) metadata: Option<Value>,
    /// The issuer's time, and this machine's.
    pub(super) date: Option<(SystemTime, SystemTime)>,
}

/// Looks where both specifications say.
pub(super) async fn check(issuer: &IssuerPlan, wire: &Wire, found: &mut Found) -> Finding {
    let mut first = None;
    for url in places(&issuer.issuer) {
        match look(&url, issuer, wire, found).await {
            Ok(metadata) => {
                found.metadata = Some(metadata);
                return Finding::ok(url);
            }
            Err(finding) => {
                first.get_or_insert(finding);
            }
        }
    }
    let finding = first.unwrap_or_else(|| Finding::fail("not an absolute URL", "correct `issuer`"));
    match issuer.keys {
        KeysPlan::Discovery => finding,
        // The gateway does without; clients that want to log in do not.
        KeysPlan::JwksUri(_) | KeysPlan::JwksFile(_) => Finding::warn(
            finding.found,
            "the gateway has the keys from elsewhere; MCP clients need this document to log in",
        ),
    }
}

async fn look(url: &str, issuer: &IssuerPlan, wire: &Wire, found: &mut Found) -> Result<Value, Finding> {
    let answer = ask::read(wire, url, issuer.allow_http).await?;
    found.date = found.date.or_else(|| dated(&answer.headers));
    let Some(metadata) = ask::json(&answer) else {
        let found = if answer.status.is_success() {
            format!("{url}: not a metadata document")
        } else {
            format!("{url}: HTTP {}", answer.status.as_u16())
        };
        return Err(Finding::fail(
            found,
            "is `issuer` exactly what stands in the tokens' `iss`? Okta: with /oauth2/ID; Keycloak: with /realms/NAME; Entra: with the tenant and /v2.0",
        ));
    };
    match metadata.get("issuer").and_then(Value::as_str) {
        Some(own) if own == issuer.issuer => Ok(metadata),
        Some(own) => Err(differs(url, &issuer.issuer, own, &issuer.name)),
        None => Err(Finding::fail(
            format!("{url}: names no issuer"),
            "this is not an issuer's metadata: correct `issuer`",
        )),
    }
}

/// Two names that are compared letter by letter, and why they are two.
fn differs(url: &str, configured: &str, own: &str, name: &str) -> Finding {
    let own: String = own.chars().filter(|c| !c.is_control()).take(300).collect();
    let scheme =
        |url: &str| url.split_once("://").map(|(scheme, rest)| (scheme.to_lowercase(), rest.to_owned()));
    let (one, other) = (scheme(configured), scheme(&own));
    let why = if configured.trim_end_matches('/') == own.trim_end_matches('/') {
        "they differ by the slash at the end, which counts"
    } else if configured.eq_ignore_ascii_case(&own) {
        "they differ by upper and lower case, which counts"
    } else if one.as_ref().map(|it| &it.1) == other.as_ref().map(|it| &it.1) {
        "they differ by http and https: the issuer does not know that it stands behind TLS (Keycloak: `hostname`, `proxy-headers`)"
    } else {
        "it goes by another name than the one it was asked at (Keycloak: `hostname`; Entra: the version in the path)"
    };
    let remedy =
        format!("write `issuers.{name}.issuer: {own}` if the tokens' `iss` says that; else mend the issuer");
    Finding::fail(format!("{url} is of {own}, not of {configured}: {why}"), remedy)
}

/// OIDC appends to the issuer's path, RFC 8414 inserts before it.
fn places(issuer: &str) -> Vec<String> {
    let trimmed = issuer.trim_end_matches('/');
    let mut places = vec![format!("{trimmed}/.well-known/openid-configuration")];
    let Some((scheme, rest)) = trimmed.split_once("://") else { return places };
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
    let slash = if path.is_empty() { "" } else { "/" };
    places.push(format!("{scheme}://{authority}/.well-known/oauth-authorization-server{slash}{path}"));
    places
}

#[cfg(test)]
mod tests {
    use super::differs;

    #[test]
    fn why_two_names_of_an_issuer_are_two_is_said_in_words() {
        let words = |own: &str| differs("https://idp/x", "https://idp.example.com/corp", own, "corp").found;
        assert!(words("https://idp.example.com/corp/").contains("slash"));
        assert!(words("https://idp.example.com/Corp").contains("lower case"));
        assert!(words("http://idp.example.com/corp").contains("http and https"));
        assert!(words("https://keycloak:8080/corp").contains("another name"));
    }
}
