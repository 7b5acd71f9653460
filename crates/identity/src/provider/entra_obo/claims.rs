//! The `claims` parameter: what a challenge wants of the new token, and what this client is capable of (OpenID Connect
//! §5.5; Microsoft's claims challenges and client capabilities).

use serde_json::{Map, Value, json};

/// The parameter; None where there is nothing to say. `capable`: challenges of the API behind come back here (`cp1`).
/// A challenge that is no JSON object is not sent: nobody could meet it.
pub(super) fn parameter(capable: bool, challenge: Option<&str>) -> Option<String> {
    let challenge = challenge.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    let mut claims = challenge.unwrap_or_default();
    if capable {
        let access = claims.entry("access_token").or_insert_with(|| json!({}));
        // Whoever asks for something that is no object asks for nothing.
        if !access.is_object() {
            *access = json!({});
        }
        if let Some(access) = access.as_object_mut() {
            access.insert("xms_cc".into(), json!({ "values": ["cp1"] }));
        }
    }
    (!claims.is_empty()).then(|| Value::Object(claims).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(capable: bool, challenge: Option<&str>) -> Value {
        parameter(capable, challenge).map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }

    /// Edge: 57, 105
    #[test]
    fn a_challenge_and_a_capability_are_merged_and_nothing_is_nothing() {
        let challenge = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}},"id_token":{"x":null}}"#;
        let cp1 = json!({ "values": ["cp1"] });
        assert_eq!(read(false, None), Value::Null);
        assert_eq!(read(true, None), json!({ "access_token": { "xms_cc": cp1 } }));
        assert_eq!(read(false, Some(challenge)), serde_json::from_str::<Value>(challenge).unwrap());
        let both = json!({
            "access_token": { "acrs": { "essential": true, "value": "c1" }, "xms_cc": cp1 },
            "id_token": { "x": null },
        });
        assert_eq!(read(true, Some(challenge)), both);
    }

    #[test]
    fn a_challenge_that_cannot_be_read_is_not_sent() {
        for text in ["", "[]", "\"x\"", "{", "null"] {
            assert_eq!(read(false, Some(text)), Value::Null, "{text}");
        }
        assert_eq!(read(true, Some(r#"{"access_token":7}"#))["access_token"]["xms_cc"]["values"][0], "cp1");
    }
}
