//! Opaque tokens by introspection.

use std::time::Duration;

use safeconduct_core::caller::{TokenProblem, Verified, suppose, verify_introspection};
use serde_json::{Value, json};

use crate::mint::*;

fn introspect(answer: &Value) -> Result<Verified, TokenProblem> {
    let arrived = arrive("opaque-token");
    verify_introspection(arrived.bearer(), answer.to_string().as_bytes(), &rules(), at(0))
}

fn answer() -> Value {
    with("active", true.into())
}

/// Row: A14
#[test]
fn an_active_opaque_token_speaks_for_its_subject_at_its_audience() {
    let verified = introspect(&answer()).unwrap();
    assert_eq!(&*verified.principal().subject, "alice@example.com");
    assert_eq!(verified.principal().expires, at(300));
    let moved = arrive("opaque-token").authenticated(&verified, &[], at(0));
    assert!(moved.is_ok());
}

/// Row: A14
#[test]
fn only_active_true_is_active() {
    for active in [json!(false), json!("true"), json!(1), Value::Null] {
        assert_eq!(introspect(&with("active", active)).err(), Some(TokenProblem::Inactive));
    }
    let arrived = arrive("opaque-token");
    let twice = br#"{"active":false,"active":true,"sub":"a","aud":"b"}"#;
    assert!(verify_introspection(arrived.bearer(), twice, &rules(), at(0)).is_err());
}

/// Row: A14
#[test]
fn an_introspection_answer_obeys_the_rules_of_signed_tokens() {
    let changed = |name: &str, value: Value| {
        let mut answer = answer();
        answer.as_object_mut().unwrap().remove(name);
        if !value.is_null() {
            answer[name] = value;
        }
        introspect(&answer)
    };
    assert_eq!(changed("iss", "https://evil.example".into()).err(), Some(TokenProblem::WrongIssuer));
    assert_eq!(changed("aud", Value::Null).err(), Some(TokenProblem::MissingClaim("aud")));
    assert_eq!(changed("sub", Value::Null).err(), Some(TokenProblem::MissingClaim("sub")));
    assert_eq!(changed("exp", NOW.into()).err(), Some(TokenProblem::Expired));
    assert_eq!(changed("cnf", json!({ "jkt": "x" })).err(), Some(TokenProblem::SenderConstrained));
    assert_eq!(changed("token_type", "DPoP".into()).err(), Some(TokenProblem::SenderConstrained));
    assert!(changed("iss", Value::Null).is_ok() && changed("token_type", "bearer".into()).is_ok());
    let endless = changed("exp", Value::Null).unwrap();
    assert_eq!(endless.principal().expires, at(0).plus(Duration::from_secs(60)));
}

#[test]
fn supposed_claims_need_no_more_than_a_subject() {
    let supposed = suppose(br#"{"sub":"alice","groups":["support"]}"#, &rules(), at(0)).unwrap();
    assert_eq!((&*supposed.issuer, &*supposed.subject, &*supposed.groups[0]), ("corp", "alice", "support"));
    assert_eq!(suppose(b"{}", &rules(), at(0)).err(), Some(TokenProblem::MissingClaim("sub")));
}
