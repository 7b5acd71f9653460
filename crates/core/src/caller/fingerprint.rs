//! The hash of the claims that make the caller who they are.

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::{Map, Value};

use super::principal::Fingerprint;

/// Claims that change with each token of one login: times, identifiers of the token, hashes of its siblings.
const VOLATILE: [&str; 8] = ["exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash", "s_hash"];

/// Hashes the issuer and all lasting claims, in a form that does not depend on the order of names.
pub(super) fn fingerprint(issuer: &str, claims: &Map<String, Value>, volatile: &[&str]) -> Fingerprint {
    let mut text = String::with_capacity(512);
    let lasting = claims
        .iter()
        .filter(|(name, _)| !VOLATILE.contains(&name.as_str()) && !volatile.contains(&name.as_str()));
    object(&mut text, lasting);
    let mut hash = Context::new(&SHA256);
    for field in [issuer, &text] {
        hash.update(&(field.len() as u64).to_be_bytes());
        hash.update(field.as_bytes());
    }
    let mut out = [0; 32];
    out.copy_from_slice(hash.finish().as_ref());
    Fingerprint(out)
}

fn value(text: &mut String, of: &Value) {
    match of {
        Value::Object(members) => object(text, members.iter()),
        Value::Array(items) => {
            text.push('[');
            for item in items {
                value(text, item);
                text.push(',');
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

fn object<'a>(text: &mut String, members: impl Iterator<Item = (&'a String, &'a Value)>) {
    let mut sorted: Vec<_> = members.collect();
    sorted.sort_unstable_by_key(|(name, _)| name.as_str());
    text.push('{');
    for (name, member) in sorted {
        text.push_str(&Value::from(name.as_str()).to_string());
        text.push(':');
        value(text, member);
        text.push(',');
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Fingerprint, fingerprint};

    fn of(issuer: &str, claims: serde_json::Value) -> Fingerprint {
        fingerprint(issuer, claims.as_object().unwrap(), &["uti"])
    }

    #[test]
    fn a_refreshed_token_of_the_same_login_has_the_same_fingerprint() {
        let first =
            json!({ "sub": "a", "exp": 1, "iat": 0, "jti": "x", "uti": "y", "address": { "a": 1, "b": 2 } });
        let second =
            json!({ "address": { "b": 2, "a": 1 }, "exp": 9, "iat": 8, "jti": "z", "uti": "w", "sub": "a" });
        assert_eq!(of("https://i", first), of("https://i", second));
    }

    #[test]
    fn another_group_login_class_scope_client_or_issuer_has_another_fingerprint() {
        let base = json!({ "sub": "a", "groups": ["g"], "acr": "1", "scope": "s", "azp": "c" });
        let first = of("https://i", base.clone());
        for (name, changed) in
            [("groups", json!(["h"])), ("acr", json!("2")), ("scope", json!("s t")), ("azp", json!("d"))]
        {
            let mut other = base.clone();
            other[name] = changed;
            assert_ne!(of("https://i", other), first, "{name}");
        }
        assert_ne!(of("https://j", base), first);
    }
}
