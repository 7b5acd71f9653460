#![no_main]
//! Tokens, claims and key sets: whatever comes, nothing panics, and nothing is believed that the key did not sign.

use std::sync::LazyLock;

use safeconduct_core::caller::{IssuerRules, KeySet, Preset, examine, suppose};
use safeconduct_core::time::Timestamp;

/// A public key whose private half nobody has kept (RFC 7517 appendix A.1).
const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1","alg":"ES256","use":"sig",
"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

static RULES: LazyLock<IssuerRules> =
    LazyLock::new(|| IssuerRules::new("corp", "https://idp.example.com", Preset::Keycloak));
static KEYS: LazyLock<KeySet> = LazyLock::new(|| KeySet::from_jwks(JWKS.as_bytes()).unwrap());

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let now = Timestamp::from_secs(1_800_000_000);
    assert!(examine(data, &RULES, &KEYS, now).is_err());
    if let Ok(caller) = suppose(data, &RULES, now) {
        assert!(!caller.subject.is_empty() && caller.subject.chars().count() <= 255);
    }
    let _ = KeySet::from_jwks(data);
});
