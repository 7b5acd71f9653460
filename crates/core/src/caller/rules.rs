//! What an issuer's tokens must be like, and where they say what.

use std::time::Duration;

use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::presets::{Preset, Quirks};

/// Longest leeway for `nbf` and `iat` (R7).
pub const MAX_LEEWAY: Duration = Duration::from_secs(60);

/// The rules for one issuer's tokens. Plain data, filled from the configuration.
#[derive(Clone, Debug)]
pub struct IssuerRules {
    /// Name in the configuration (`corp`).
    pub alias: Box<str>,
    /// Identifier, compared with `iss` byte for byte (R5).
    pub issuer: Box<str>,
    /// Audiences accepted besides the server's own resource identifier. May be empty: then only that one is.
    pub audiences: Vec<Box<str>>,
    /// True when a token for further audiences besides the accepted one is refused (RFC 9700 §2.3).
    pub single_audience: bool,
    /// Accepted signature algorithms; not empty.
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may differ: for `nbf` and `iat`, never for `exp`. At most [`MAX_LEEWAY`] counts.
    pub leeway: Duration,
    /// Longest time since `iat`; `None` leaves it to `exp`.
    pub max_age: Option<Duration>,
    /// True when only `typ: at+jwt` is an access token (RFC 9068 §4), not an absent `typ` or `JWT`.
    pub strict_typ: bool,
    /// Where claims are.
    pub claims: ClaimPaths,
    /// What is known of the issuer's product.
    pub quirks: &'static Quirks,
}

/// Where scopes, groups, client and email stand. Scopes and groups are the union of all that is found;
/// client and email are the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPaths {
    /// Space-separated text, or an array.
    pub scopes: Vec<ClaimPath>,
    /// An array, or one text.
    pub groups: Vec<ClaimPath>,
    /// Text.
    pub client: Vec<ClaimPath>,
    /// Text.
    pub email: Vec<ClaimPath>,
}

/// The way to a claim: its name (which may be a URI), or names of nested objects joined by dots.
///
/// A name that itself holds dots is found first: `https://example.com/groups` is never taken apart while there
/// is a claim of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Box<str>);

impl IssuerRules {
    /// The usual rules for an issuer of this kind.
    pub fn new(alias: &str, issuer: &str, preset: Preset) -> Self {
        let quirks = preset.quirks();
        Self {
            alias: alias.into(),
            issuer: issuer.into(),
            audiences: Vec::new(),
            single_audience: false,
            algorithms: Algorithm::DEFAULT.to_vec(),
            leeway: Duration::from_secs(30),
            max_age: None,
            strict_typ: false,
            claims: quirks.claims(),
            quirks,
        }
    }

    pub(super) fn leeway(&self) -> Duration {
        self.leeway.min(MAX_LEEWAY)
    }
}

impl ClaimPath {
    /// From its text in the configuration. None when it is empty or has an empty part.
    pub fn parse(path: &str) -> Option<Self> {
        let fine = !path.is_empty() && (path.contains("://") || path.split('.').all(|part| !part.is_empty()));
        fine.then(|| Self(path.into()))
    }

    pub(super) fn fixed(path: &'static str) -> Self {
        Self(path.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The claim, if the token has it.
    pub fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        find(&self.0, claims)
    }
}

fn find<'a>(path: &str, claims: &'a Map<String, Value>) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let (name, rest) = (path.get(..dot)?, path.get(dot + 1..)?);
        find(rest, claims.get(name)?.as_object()?)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ClaimPath;

    #[test]
    fn a_claim_is_found_by_name_by_uri_and_by_path() {
        let claims = json!({
            "scp": 1,
            "https://acme.example/groups": 2,
            "realm_access": { "roles": 3 },
            "resource_access": { "my.app": { "roles": 4 } },
        });
        let find = |path| ClaimPath::parse(path).unwrap().find(claims.as_object().unwrap()).cloned();
        assert_eq!(find("scp"), Some(json!(1)));
        assert_eq!(find("https://acme.example/groups"), Some(json!(2)));
        assert_eq!(find("realm_access.roles"), Some(json!(3)));
        assert_eq!(find("resource_access.my.app.roles"), Some(json!(4)));
        assert_eq!(find("realm_access.groups"), None);
    }

    #[test]
    fn a_path_with_an_empty_part_is_no_path() {
        assert!(ClaimPath::parse("a.b").is_some());
        for path in ["", ".a", "a.", "a..b"] {
            assert!(ClaimPath::parse(path).is_none(), "{path}");
        }
    }
}
