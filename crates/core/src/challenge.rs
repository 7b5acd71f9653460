//! What a backend says when it refuses a credential: `WWW-Authenticate` of its 401 or 403 (RFC 6750 §3, RFC 9470 §3,
//! Microsoft's claims challenge). It is read for what it means and ends at the gateway: handed on as it is, it would send
//! the caller to the backend's login.
//!
//! - <https://www.rfc-editor.org/rfc/rfc9470>
//! - <https://learn.microsoft.com/entra/identity-platform/claims-challenge>

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, header};
use http_auth::{ChallengeParser, ChallengeRef};

use crate::mcp::json;
use crate::refusal::Reason;

/// Longest value of a parameter that is looked at, in bytes.
const LONGEST: usize = 8 * 1024;
/// Longest claims, decoded.
const LONGEST_CLAIMS: usize = 4 * 1024;
/// Headers and challenges that are looked at; no backend needs more.
const MOST: usize = 8;

/// A better login is wanted behind the credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Challenge {
    /// `acr_values` (RFC 9470 §3).
    pub acr_values: Option<Box<str>>,
    /// `max_age` in seconds (RFC 9470 §3).
    pub max_age: Option<u64>,
    /// `claims`, decoded: a JSON object for the token endpoint (Entra).
    pub claims: Option<Box<str>>,
}

/// What a backend's refusal means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The credential is no good (`invalid_token`, or nothing is said): another one may be.
    Credential,
    /// The credential is good, and not for this (`insufficient_scope`): another one would be the same.
    Scope,
    /// A better login is wanted.
    Challenge(Challenge),
    /// Something that cannot be met (`use_dpop_nonce`, ...).
    Other,
}

impl From<Challenge> for Reason {
    /// What it is to the caller, whose client can act on it.
    fn from(challenge: Challenge) -> Self {
        let Challenge { acr_values, max_age, claims } = challenge;
        let text = |text: Option<Box<str>>| text.map(String::from);
        Self::StepUpRequired { acr_values: text(acr_values), max_age, claims: text(claims) }
    }
}

impl Refused {
    /// Reads all `WWW-Authenticate` headers: of several challenges the one that says most counts. What cannot be read
    /// says nothing.
    pub fn read(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::WWW_AUTHENTICATE).iter().take(MOST);
        let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        let mut heaviest = Self::Credential;
        for challenge in texts.iter().flat_map(|text| ChallengeParser::new(text).take(MOST)) {
            // A header that breaks off is read up to where it does.
            let Ok(challenge) = challenge else { continue };
            let said = Self::of(&challenge);
            if said.weight() > heaviest.weight() {
                heaviest = said;
            }
        }
        heaviest
    }

    fn of(challenge: &ChallengeRef<'_>) -> Self {
        if !["bearer", "dpop"].iter().any(|scheme| challenge.scheme.eq_ignore_ascii_case(scheme)) {
            return Self::Credential;
        }
        let parameter = |name: &str| parameter(challenge, name);
        match parameter("error").as_deref() {
            Some("insufficient_scope") => Self::Scope,
            Some("insufficient_claims") => match parameter("claims").as_deref().and_then(claims) {
                Some(claims) => Self::Challenge(Challenge { claims: Some(claims), ..Challenge::default() }),
                None => Self::Other,
            },
            Some("insufficient_user_authentication") => Self::Challenge(Challenge {
                acr_values: parameter("acr_values").and_then(|values| words(&values)),
                max_age: parameter("max_age").and_then(|age| age.parse().ok()),
                claims: None,
            }),
            Some("use_dpop_nonce") => Self::Other,
            // `invalid_token`, and words of a server's own for it.
            _ => Self::Credential,
        }
    }

    fn weight(&self) -> u8 {
        match self {
            Self::Credential => 0,
            Self::Other => 1,
            Self::Scope => 2,
            Self::Challenge(_) => 3,
        }
    }
}

/// A parameter that is there once (RFC 9110 §11.2: names are compared without case, and must not repeat).
fn parameter(challenge: &ChallengeRef<'_>, name: &str) -> Option<String> {
    let mut named = challenge.params.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    let (_, value) = named.next().filter(|_| named.next().is_none())?;
    Some(value.to_unescaped()).filter(|value| value.len() <= LONGEST)
}

/// Base64 of a JSON object, in either alphabet, padded or not: servers differ.
fn claims(encoded: &str) -> Option<Box<str>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if encoded.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    let bytes = GeneralPurpose::new(&alphabet, config).decode(encoded).ok()?;
    let object =
        bytes.len() <= LONGEST_CLAIMS && json::checked(&bytes).is_ok_and(|claims| claims.is_object());
    String::from_utf8(bytes).ok().filter(|_| object).map(Into::into)
}

/// Values of authentication context classes: visible characters, separated by single spaces.
fn words(values: &str) -> Option<Box<str>> {
    let fine = |word: &str| word.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    let words: Vec<&str> = values.split_ascii_whitespace().collect();
    let fine = !words.is_empty() && values.len() <= 512 && words.iter().all(|word| fine(word));
    fine.then(|| words.join(" ").into())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use http::{HeaderMap, HeaderValue, header};
    use proptest::prelude::*;

    use super::{Challenge, Refused};

    const CLAIMS: &str = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;

    fn read(values: &[&str]) -> Refused {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        Refused::read(&headers)
    }

    fn claims(text: &str) -> Refused {
        Refused::Challenge(Challenge { claims: Some(text.into()), ..Challenge::default() })
    }

    #[test]
    fn a_refusal_without_a_word_or_of_the_token_is_one_of_the_credential() {
        for value in [
            "",
            "Bearer",
            "Bearer realm=\"x\"",
            "Bearer error=\"invalid_token\"",
            "Negotiate",
            "Basic realm=\"x\"",
        ] {
            assert_eq!(read(&[value]), Refused::Credential, "{value}");
        }
        assert_eq!(read(&[]), Refused::Credential);
    }

    /// Edge: 66
    #[test]
    fn a_missing_scope_is_not_the_credentials_fault() {
        let value = "Bearer error=\"insufficient_scope\", scope=\"a b\", resource_metadata=\"https://backend.example\"";
        assert_eq!(read(&[value]), Refused::Scope);
        assert_eq!(read(&["bearer ERROR=insufficient_scope"]), Refused::Scope);
    }

    /// Edge: 57
    #[test]
    fn a_claims_challenge_is_found_among_several_headers_and_in_any_order() {
        let standard = STANDARD.encode(CLAIMS);
        let url_safe = URL_SAFE_NO_PAD.encode(CLAIMS);
        for value in [
            format!(
                "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
                 error=\"insufficient_claims\", claims=\"{standard}\""
            ),
            format!("Bearer claims=\"{url_safe}\", error=\"insufficient_claims\", realm=\"\""),
            format!("PoP realm=\"x\", Bearer claims=\"{standard}\",error=insufficient_claims"),
        ] {
            assert_eq!(read(&[&value]), claims(CLAIMS), "{value}");
            assert_eq!(read(&["Bearer error=\"invalid_token\"", &value]), claims(CLAIMS));
            assert_eq!(read(&[&value, "Bearer error=\"insufficient_scope\""]), claims(CLAIMS));
        }
    }

    /// Edge: 57
    #[test]
    fn claims_that_are_no_json_object_are_not_passed_to_anybody() {
        for encoded in [
            STANDARD.encode("[1]"),
            STANDARD.encode("{\"a\":1,\"a\":2}"),
            STANDARD.encode("not JSON"),
            STANDARD.encode([0xff, 0xfe]),
            STANDARD.encode(format!("{{\"a\":\"{}\"}}", "x".repeat(5000))),
            "%%%".into(),
            String::new(),
        ] {
            let value = format!("Bearer error=\"insufficient_claims\", claims=\"{encoded}\"");
            assert_eq!(read(&[&value]), Refused::Other, "{encoded:.40}");
        }
        assert_eq!(read(&["Bearer error=\"insufficient_claims\""]), Refused::Other);
        let encoded = STANDARD.encode(CLAIMS);
        let twice = format!("Bearer error=\"insufficient_claims\", claims=\"e30=\", claims=\"{encoded}\"");
        assert_eq!(read(&[&twice]), Refused::Other);
        let elsewhere = format!("Bearer error=\"invalid_token\", claims=\"{encoded}\"");
        assert_eq!(read(&[&elsewhere]), Refused::Credential, "claims count only where they are asked for");
    }

    /// Edge: 58
    #[test]
    fn a_better_login_is_read_as_rfc_9470_writes_it() {
        let wants = |acr: Option<&str>, max_age| {
            Refused::Challenge(Challenge { acr_values: acr.map(Into::into), max_age, claims: None })
        };
        let error = "Bearer error=\"insufficient_user_authentication\", error_description=\"more\"";
        for (more, expected) in [
            (", acr_values=\"myACR  phr\"", wants(Some("myACR phr"), None)),
            (", max_age=\"5\"", wants(None, Some(5))),
            (", max_age=5, acr_values=gold", wants(Some("gold"), Some(5))),
            (", max_age=-1, acr_values=\"\"", wants(None, None)),
            (", acr_values=\"a\\\"b\"", wants(None, None)),
            ("", wants(None, None)),
        ] {
            assert_eq!(read(&[&format!("{error}{more}")]), expected, "{more}");
        }
    }

    #[test]
    fn what_cannot_be_met_is_neither_renewed_nor_a_login() {
        assert_eq!(read(&["DPoP error=\"use_dpop_nonce\""]), Refused::Other);
        assert_eq!(read(&["Bearer error=\"insufficient_claims\", claims=\"?\""]), Refused::Other);
    }

    proptest! {
        #[test]
        fn nothing_that_a_backend_writes_breaks_the_reading(values in prop::collection::vec("[ -~]{0,120}", 0..12)) {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
            }
            if let Refused::Challenge(challenge) = Refused::read(&headers) {
                let quotable = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"');
                prop_assert!(challenge.acr_values.as_deref().is_none_or(quotable));
            }
        }
    }
}
