//! What an MCP client needs of the issuer's metadata to log somebody in (MCP authorization, RFC 8414, RFC 7591).

use serde_json::Value;

use super::super::check::Finding;

/// Looks at the document.
pub(super) fn check(metadata: &Value) -> Finding {
    let has = |name: &str| metadata.get(name).is_some_and(|value| value.is_string());
    let lists = |name: &str, word: &str| {
        metadata.get(name).and_then(Value::as_array).is_some_and(|list| list.iter().any(|it| it == word))
    };
    if !has("authorization_endpoint") {
        return Finding::note("no authorization endpoint: programs get tokens here, people do not log in");
    }
    if !lists("code_challenge_methods_supported", "S256") {
        return Finding::warn(
            "the metadata does not offer PKCE (code_challenge_methods_supported without S256)",
            "MCP clients refuse to log in without it: turn PKCE on at the issuer (Entra offers it without saying so)",
        );
    }
    let by_url = metadata.get("client_id_metadata_document_supported") == Some(&Value::Bool(true));
    match (by_url, has("registration_endpoint")) {
        (true, _) => Finding::ok("people can log in: PKCE, clients by metadata document"),
        (false, true) => Finding::ok("people can log in: PKCE, clients register themselves"),
        (false, false) => Finding::note(
            "people can log in, but MCP clients cannot register themselves: give each a client id from the issuer",
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::check;
    use crate::commands::doctor::check::Outcome;

    #[test]
    fn a_login_needs_an_endpoint_pkce_and_a_way_to_be_known() {
        let full = json!({
            "authorization_endpoint": "https://idp/a", "code_challenge_methods_supported": ["S256"],
            "registration_endpoint": "https://idp/r",
        });
        let without = |name: &str| {
            let mut less = full.clone();
            less.as_object_mut().unwrap().remove(name);
            check(&less).outcome
        };
        assert_eq!(check(&full).outcome, Outcome::Ok);
        assert_eq!(without("authorization_endpoint"), Outcome::Note);
        assert_eq!(without("code_challenge_methods_supported"), Outcome::Warn);
        assert_eq!(without("registration_endpoint"), Outcome::Note);
    }
}
