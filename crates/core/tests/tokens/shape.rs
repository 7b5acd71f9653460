//! The form of a token, its header and its kind: R3, R4, R8.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeconduct_core::caller::{Preset, TokenProblem, examine, looks_signed, peek_issuer};
use serde_json::{Value, json};

use crate::mint::*;

/// Row: R3
/// Edge: 79
#[test]
fn headers_that_change_how_a_token_is_read_are_refused() {
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
    ] {
        let refused = problem(&mint_with(&header_with(name, value), &claims()));
        assert!(matches!(refused, Some(TokenProblem::Header(_))), "{name}: {refused:?}");
    }
}

/// Row: R3
/// Edge: 79
#[test]
fn keys_that_a_token_brings_along_are_not_looked_at() {
    let other = rsa("evil", aws_lc_rs::rsa::KeySize::Rsa2048);
    for (name, value) in [
        ("jwk", other.jwk.clone()),
        ("jku", json!("http://169.254.169.254/keys")),
        ("x5u", json!("file:///etc/passwd")),
        ("x5c", json!(["AAAA"])),
    ] {
        let header = header_with(name, value).to_string();
        assert!(
            verify(&sign_raw(
                rsa_signer(),
                rsa_signer().alg,
                header.as_bytes(),
                claims().to_string().as_bytes()
            ))
            .is_ok()
        );
        let forged = sign_raw(&other, other.alg, header.as_bytes(), claims().to_string().as_bytes());
        assert_eq!(problem(&forged), Some(TokenProblem::Signature), "{name}");
    }
}

/// Row: R4
#[test]
fn only_three_parts_of_plain_base64url_are_a_token() {
    let good = mint(&claims());
    assert!(verify(&good).is_ok());
    let broken = [
        format!("{good}."),
        format!("{good}.x"),
        good.replacen('.', "", 1),
        format!("{good}="),
        good.replacen('.', ".%", 1),
        format!("{}é", &good),
        "..".to_owned(),
        format!("{}.{}", good, "A".repeat(5)),
    ];
    for token in broken.iter().filter(|token| token.is_ascii()) {
        assert!(matches!(problem(token), Some(TokenProblem::Malformed(_))), "{token}");
    }
}

/// Row: R4
#[test]
fn a_token_of_16_kib_is_read_and_a_longer_one_is_not() {
    let of = |filler: usize| mint(&with("filler", "x".repeat(filler).into()));
    // Base64: three characters of a claim are four of the token.
    let fits = (0..3)
        .map(|less| of((16 * 1024 - of(0).len()) / 4 * 3 - less))
        .find(|token| token.len() <= 16 * 1024);
    let fits = fits.unwrap();
    assert!(fits.len() > 16 * 1024 - 8, "{}", fits.len());
    assert!(verify(&fits).is_ok());
    let keys = key_set();
    let now = at(0);
    let long = of(12_500);
    // At the door of the head it would be refused already.
    let refused = examine(long.as_bytes(), &rules(), &keys, now).err();
    assert_eq!(refused, Some(TokenProblem::Malformed("longer than 16 KiB")));
}

/// Row: R4
/// Edge: 92
#[test]
fn json_with_two_readings_is_refused_even_when_it_is_signed() {
    let signer = rsa_signer();
    let good_header = header(signer).to_string();
    let twice = claims().to_string().replacen('{', r#"{"sub":"root","#, 1);
    let escaped = claims().to_string().replacen('{', r#"{"\u0073ub":"root","#, 1);
    let nested = claims().to_string().replacen('{', r#"{"x":{"a":1,"a":2},"#, 1);
    let trailing = format!("{} {{}}", claims());
    let marked = format!("\u{feff}{}", claims());
    for payload in [&twice, &escaped, &nested, &trailing, &marked] {
        let token = sign_raw(signer, signer.alg, good_header.as_bytes(), payload.as_bytes());
        assert!(matches!(problem(&token), Some(TokenProblem::Malformed(_))), "{payload}");
    }
    let header = good_header.replacen('{', r#"{"alg":"none","#, 1);
    let token = sign_raw(signer, signer.alg, header.as_bytes(), claims().to_string().as_bytes());
    assert!(matches!(problem(&token), Some(TokenProblem::Malformed(_))));
    let invalid = [claims().to_string().as_bytes(), b"\xff"].concat();
    assert!(matches!(
        problem(&sign_raw(signer, signer.alg, good_header.as_bytes(), &invalid)),
        Some(TokenProblem::Malformed(_))
    ));
    for payload in ["[]", "null", "\"x\"", ""] {
        let token = sign_raw(signer, signer.alg, good_header.as_bytes(), payload.as_bytes());
        assert!(matches!(problem(&token), Some(TokenProblem::Malformed(_))), "{payload}");
    }
}

/// Row: R8
/// Edge: 90
#[test]
fn access_tokens_are_known_by_typ_and_tokens_for_other_purposes_are_refused() {
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt"] {
        assert!(verify(&mint_with(&header_with("typ", typ.into()), &claims())).is_ok(), "{typ}");
    }
    assert!(verify(&mint_with(&header_with("typ", Value::Null), &claims())).is_ok());
    for typ in [
        "logout+jwt",
        "secevent+jwt",
        "application/secevent+jwt",
        "txntoken+jwt",
        "oauth-id-jag+jwt",
        "dpop+jwt",
        "JOSE",
        "application/okta-internal-at+jwt",
    ] {
        let refused = problem(&mint_with(&header_with("typ", typ.into()), &claims()));
        assert!(matches!(refused, Some(TokenProblem::WrongType(_))), "{typ}");
    }
}

/// Row: R8
#[test]
fn where_the_issuer_keeps_to_rfc_9068_an_untyped_token_is_refused() {
    let mut rules = rules();
    rules.strict_typ = true;
    assert!(verify_under(&rules, &key_set(), &mint(&claims())).is_ok());
    for typ in [Value::Null, "JWT".into()] {
        let token = mint_with(&header_with("typ", typ), &claims());
        assert!(matches!(verify_under(&rules, &key_set(), &token).err(), Some(TokenProblem::WrongType(_))));
    }
}

/// Row: R8
/// Edge: 90
#[test]
fn an_id_token_and_an_event_are_no_access_tokens() {
    let untyped = header_with("typ", Value::Null);
    for name in ["nonce", "at_hash", "c_hash", "events"] {
        let refused = problem(&mint_with(&untyped, &with(name, "x".into())));
        assert!(matches!(refused, Some(TokenProblem::WrongType(_))), "{name}");
    }
    for typ in ["ID", "Refresh", "Logout"] {
        let refused = problem(&mint_with(&untyped, &with("typ", typ.into())));
        assert!(matches!(refused, Some(TokenProblem::WrongType(_))), "{typ}");
    }
    let mut google = rules();
    google.quirks = Preset::Google.quirks();
    assert!(verify_under(&google, &key_set(), &mint_with(&untyped, &with("at_hash", "x".into()))).is_ok());
}

#[test]
fn the_issuer_can_be_read_before_anything_is_verified() {
    let arrived = arrive(&mint(&claims()));
    let peeked = peek_issuer(arrived.bearer()).unwrap();
    assert_eq!((&*peeked.issuer, peeked.kid.as_deref()), (ISSUER, Some("rsa")));
    assert!(looks_signed(arrived.bearer()));
    assert!(!looks_signed(arrive("opaque.but.dotted").bearer()));
    let nobody =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#), URL_SAFE_NO_PAD.encode("{}"));
    assert_eq!(peek_issuer(arrive(&nobody).bearer()).err(), Some(TokenProblem::MissingClaim("iss")));
}
