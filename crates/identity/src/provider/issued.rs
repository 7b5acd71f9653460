//! A look into an issued token, where it is a JWT. Nothing is verified: the answer came from the configured
//! endpoint over TLS. It is only compared with what was asked for, so that a token for somebody else, or for
//! more than was asked, is never passed on (RFC 9700 §2.3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;
use serde_json::{Map, Value};

/// The claims that are compared.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Issued {
    pub(super) issuer: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) audience: Vec<String>,
    pub(super) scopes: Vec<String>,
    pub(super) expires: Option<Timestamp>,
}

impl Issued {
    /// The claims of a compact JWS; None for an opaque token.
    pub(super) fn read(token: &Secret) -> Option<Self> {
        let mut parts = token.expose().split(|byte| *byte == b'.');
        let (header, payload) = (parts.next()?, parts.next()?);
        parts.next().filter(|_| parts.next().is_none())?;
        object(header)?.get("alg")?.as_str()?;
        let claims = object(payload)?;
        let text = |name| claims.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let scopes = match words(claims.get("scope")) {
            none if none.is_empty() => words(claims.get("scp")),
            scopes => scopes,
        };
        Some(Self {
            issuer: text("iss"),
            subject: text("sub"),
            audience: strings(claims.get("aud")),
            scopes,
            expires: claims
                .get("exp")
                .and_then(Value::as_f64)
                .map(|seconds| Timestamp::from_secs(seconds.max(0.0) as u64)),
        })
    }
}

fn object(part: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

pub(super) fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn words(value: Option<&Value>) -> Vec<String> {
    strings(value).iter().flat_map(|text| text.split_ascii_whitespace()).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> Secret {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        Secret::new(format!("{}.{}.c2ln", part(r#"{"alg":"RS256"}"#), part(claims)).into_bytes())
    }

    #[test]
    fn the_claims_of_a_jwt_are_seen_and_an_opaque_token_has_none() {
        let issued =
            Issued::read(&token(r#"{"aud":"a","scope":"x y","exp":7,"sub":"s","iss":"i"}"#)).unwrap();
        assert_eq!(issued.audience, ["a"]);
        assert_eq!(issued.scopes, ["x", "y"]);
        assert_eq!(issued.expires, Some(Timestamp::from_secs(7)));
        let lists = Issued::read(&token(r#"{"aud":["a","b"],"scp":["x","y z"]}"#)).unwrap();
        assert_eq!((lists.audience.len(), lists.scopes.len()), (2, 3));
        for opaque in ["opaque", "a.b", "a.b.c", "e30.e30.x", "a.b.c.d"] {
            assert!(Issued::read(&Secret::new(opaque.as_bytes().to_vec())).is_none(), "{opaque}");
        }
    }
}
