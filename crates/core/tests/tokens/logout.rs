//! Logout tokens: which are believed, and whose login they end.

use safeconduct_core::caller::{LogoutRules, LogoutToken, TokenProblem, verify_logout};
use safeconduct_core::revocation::Whose;
use safeconduct_core::time::Timestamp;
use serde_json::{Value, json};

use crate::mint::*;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn good() -> Value {
    json!({
        "iss": ISSUER, "aud": "safeconduct", "iat": NOW - 1, "exp": NOW + 119, "jti": "j1",
        "sub": "alice@example.com", "sid": "s1", "events": { EVENT: {} },
    })
}

fn changed(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims.as_object_mut().unwrap().remove(name);
    if !value.is_null() {
        claims[name] = value;
    }
    claims
}

fn logout_rules(strict_typ: bool) -> LogoutRules {
    LogoutRules { audiences: vec!["safeconduct".into()], strict_typ }
}

fn read(header: &Value, claims: &Value, strict: bool) -> Result<LogoutToken, TokenProblem> {
    let token = mint_with(header, claims);
    verify_logout(token.as_bytes(), &rules(), &logout_rules(strict), &key_set(), Timestamp::from_secs(NOW))
}

fn verdict(claims: &Value) -> Result<LogoutToken, TokenProblem> {
    read(&header_with("typ", "logout+jwt".into()), claims, true)
}

/// Edge: 71, 73
#[test]
fn a_logout_token_says_whose_login_has_ended_and_when() {
    let token = verdict(&good()).unwrap();
    let whose = Whose::Session { sid: "s1".into(), subject: Some("alice@example.com".into()) };
    assert_eq!((token.whose, &*token.id), (whose, "j1"));
    assert_eq!((token.issued, token.expires), (Timestamp::from_secs(NOW - 1), at(119)));
    let subject = verdict(&changed("sid", Value::Null)).unwrap().whose;
    assert_eq!(subject, Whose::Subject("alice@example.com".into()));
    let session = verdict(&changed("sub", Value::Null)).unwrap().whose;
    assert_eq!(session, Whose::Session { sid: "s1".into(), subject: None });
    assert!(verdict(&changed("aud", json!(["other", "safeconduct"]))).is_ok());
    assert!(verdict(&changed("events", json!({ "urn:other": {}, EVENT: { "more": 1 } }))).is_ok());
}

/// Edge: 72
#[test]
fn what_is_no_logout_token_for_this_receiver_ends_nothing() {
    use TokenProblem::{BadClaim, Expired, FromTheFuture, MissingClaim, WrongIssuer};
    for (name, value, problem) in [
        ("iss", json!("https://evil.example"), WrongIssuer),
        ("iss", Value::Null, MissingClaim("iss")),
        ("aud", json!("another-client"), BadClaim("aud")),
        ("aud", Value::Null, MissingClaim("aud")),
        ("aud", json!([]), BadClaim("aud")),
        ("aud", json!({"safeconduct": 1}), BadClaim("aud")),
        ("iat", Value::Null, MissingClaim("iat")),
        ("iat", json!(NOW + 31), FromTheFuture),
        ("iat", json!("now"), BadClaim("iat")),
        ("exp", Value::Null, MissingClaim("exp")),
        ("exp", json!(NOW), Expired),
        ("exp", json!(NOW + 3601), BadClaim("exp")),
        ("jti", Value::Null, MissingClaim("jti")),
        ("jti", json!(""), BadClaim("jti")),
        ("jti", json!(7), BadClaim("jti")),
        ("jti", json!("x".repeat(256)), BadClaim("jti")),
        ("sub", json!(""), BadClaim("sub")),
        ("sid", json!(["s1"]), BadClaim("sid")),
        ("nonce", json!("n"), BadClaim("nonce")),
        ("events", Value::Null, MissingClaim("events")),
        ("events", json!({}), BadClaim("events")),
        ("events", json!({ EVENT: true }), BadClaim("events")),
        ("events", json!([EVENT]), BadClaim("events")),
    ] {
        assert_eq!(verdict(&changed(name, value.clone())).unwrap_err(), problem, "{name}: {value}");
    }
    let mut nobody = changed("sid", Value::Null);
    nobody.as_object_mut().unwrap().remove("sub");
    assert_eq!(verdict(&nobody).unwrap_err(), MissingClaim("sub"));
}

/// Edge: 72
#[test]
fn the_type_must_say_logout_unless_the_switch_lets_it_be_silent() {
    for typ in [json!("logout+jwt"), json!("application/LOGOUT+JWT")] {
        assert!(read(&header_with("typ", typ.clone()), &good(), true).is_ok(), "{typ}");
    }
    for typ in [Value::Null, json!("JWT")] {
        let header = header_with("typ", typ.clone());
        assert!(matches!(read(&header, &good(), true), Err(TokenProblem::NotLogout(_))), "{typ}");
        assert!(read(&header, &good(), false).is_ok(), "{typ}");
        assert!(read(&header, &changed("typ", "Logout".into()), false).is_ok());
        let id_token = read(&header, &changed("typ", "ID".into()), false);
        assert!(matches!(id_token, Err(TokenProblem::NotLogout(_))));
    }
    for typ in ["at+jwt", "secevent+jwt", "dpop+jwt"] {
        let other = read(&header_with("typ", typ.into()), &good(), false);
        assert!(matches!(other, Err(TokenProblem::NotLogout(_))), "{typ}");
    }
}

/// Edge: 72
#[test]
fn an_unsigned_or_wrongly_signed_logout_token_ends_nothing() {
    let token = mint_with(&header_with("typ", "logout+jwt".into()), &good());
    let read = |token: &str| {
        let (rules, now) = (rules(), Timestamp::from_secs(NOW));
        verify_logout(token.as_bytes(), &rules, &logout_rules(true), &key_set(), now).unwrap_err()
    };
    let (signed, _) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    assert_eq!(read(&format!("{signed}.")), TokenProblem::Signature);
    assert!(matches!(read(&format!("{header}.{claims}")), TokenProblem::Malformed(_)));
    let unsigned = mint_with(&json!({"alg": "none", "typ": "logout+jwt"}), &good());
    assert_eq!(read(&unsigned), TokenProblem::Algorithm);
    let other = mint_with(&header_with("kid", "nobody".into()), &good());
    assert_eq!(read(&other), TokenProblem::UnknownKey);
}

/// Row: R8
/// Edge: 90
#[test]
fn a_logout_token_is_no_access_token() {
    let token = mint_with(&header_with("typ", "logout+jwt".into()), &good());
    assert!(matches!(problem(&token), Some(TokenProblem::WrongType(_))));
    let silent = mint_with(&header_with("typ", Value::Null), &good());
    assert!(matches!(problem(&silent), Some(TokenProblem::WrongType(_))));
}
