//! Issuer, audience, times, subject: R5, R6, R7, R9, R14 and the actor chain.

use std::time::Duration;

use safeconduct_core::caller::{Kind, TokenProblem, verify_jwt};
use safeconduct_core::refusal::Reason;
use safeconduct_core::time::Timestamp;
use serde_json::{Value, json};

use crate::mint::*;

/// Row: R5, A2
#[test]
fn the_issuer_is_compared_byte_for_byte() {
    assert!(verify(&mint(&claims())).is_ok());
    for issuer in [
        format!("{ISSUER}/"),
        ISSUER.to_uppercase(),
        ISSUER.replace("https", "http"),
        ISSUER.replace("idp.", "idp%2e"),
        "https://evil.example".to_owned(),
    ] {
        assert_eq!(problem(&mint(&with("iss", issuer.into()))), Some(TokenProblem::WrongIssuer));
    }
    assert_eq!(problem(&mint(&with("iss", json!([ISSUER])))), Some(TokenProblem::WrongIssuer));
    assert_eq!(problem(&mint(&with("iss", Value::Null))), Some(TokenProblem::MissingClaim("iss")));
}

/// Row: R6, A3
/// Edge: 88
#[test]
fn a_token_for_another_server_is_refused() {
    let refused = |resource: &str, aud: Value, accepted: &[Box<str>]| {
        let token = mint(&with("aud", aud));
        let verified = verify(&token).unwrap();
        let moved = arrive_at(resource, &token).authenticated(&verified, accepted, Timestamp::from_secs(NOW));
        moved.err().map(|refusal| refusal.reason.clone())
    };
    assert_eq!(refused(RESOURCE, RESOURCE.into(), &[]), None);
    assert_eq!(refused(RESOURCE, json!(["account", RESOURCE]), &[]), None);
    assert_eq!(refused(RESOURCE, "mcp-server".into(), &["mcp-server".into()]), None);
    let other = "https://mcp.example.com/warehouse/mcp";
    assert_eq!(refused(other, RESOURCE.into(), &[]), Some(Reason::WrongAudience));
    assert_eq!(refused(RESOURCE, format!("{RESOURCE}/").into(), &[]), Some(Reason::WrongAudience));
    assert_eq!(refused(RESOURCE, "mcp-server".into(), &["MCP-server".into()]), Some(Reason::WrongAudience));
}

/// Row: R6
/// Edge: 88
#[test]
fn an_audience_is_required_and_is_text_or_a_list_of_texts() {
    assert!(verify(&mint(&with("aud", json!([RESOURCE, RESOURCE])))).is_ok());
    assert_eq!(problem(&mint(&with("aud", Value::Null))), Some(TokenProblem::MissingClaim("aud")));
    for aud in [
        json!(""),
        json!([]),
        json!([RESOURCE, ""]),
        json!(7),
        json!([RESOURCE, 7]),
        json!({ "a": RESOURCE }),
    ] {
        assert_eq!(problem(&mint(&with("aud", aud.clone()))), Some(TokenProblem::BadClaim("aud")), "{aud}");
    }
    let mut single = rules();
    single.single_audience = true;
    assert!(verify_under(&single, &key_set(), &mint(&with("aud", json!([RESOURCE, RESOURCE])))).is_ok());
    let two = mint(&with("aud", json!([RESOURCE, "account"])));
    assert_eq!(verify_under(&single, &key_set(), &two).err(), Some(TokenProblem::BadClaim("aud")));
}

/// Row: R7, A2
/// Edge: 89
#[test]
fn a_token_is_believed_until_the_second_it_ends_and_leeway_never_prolongs_it() {
    assert!(verify(&mint(&with("exp", (NOW + 1).into()))).is_ok());
    for exp in [NOW, NOW - 1, 0] {
        assert_eq!(problem(&mint(&with("exp", exp.into()))), Some(TokenProblem::Expired));
    }
    assert_eq!(problem(&mint(&with("exp", Value::Null))), Some(TokenProblem::MissingClaim("exp")));
}

/// Row: R7
/// Edge: 89
#[test]
fn nbf_and_iat_may_lie_ahead_by_the_leeway_and_no_more() {
    let mut rules = rules();
    rules.leeway = Duration::from_secs(3600);
    let check = |name: &str, seconds: u64| {
        verify_under(&rules, &key_set(), &mint(&with(name, (NOW + seconds).into()))).err()
    };
    for (name, problem) in [("nbf", TokenProblem::NotYet), ("iat", TokenProblem::FromTheFuture)] {
        assert_eq!(check(name, 59), None);
        assert_eq!(check(name, 60), None);
        assert_eq!(check(name, 61), Some(problem), "a leeway of an hour counts as a minute");
    }
}

/// Row: R7
/// Edge: 89
#[test]
fn times_are_numbers_and_nothing_else() {
    assert!(verify(&mint(&with("exp", json!(NOW as f64 + 1.5)))).is_ok());
    assert!(verify(&mint(&with("exp", json!(1e18)))).is_ok());
    assert_eq!(problem(&mint(&with("exp", json!(NOW as f64 + 0.9)))), Some(TokenProblem::Expired));
    for name in ["exp", "nbf", "iat"] {
        for value in [json!("1760000300"), json!(-1), json!(-0.5), json!([NOW]), json!(true)] {
            assert!(problem(&mint(&with(name, value.clone()))).is_some(), "{name} {value}");
        }
    }
}

/// Row: R7
#[test]
fn a_token_older_than_is_accepted_is_refused_and_ends_when_it_becomes_so() {
    let mut rules = rules();
    rules.max_age = Some(Duration::from_secs(60));
    let believed = verify_under(&rules, &key_set(), &mint(&with("iat", (NOW - 10).into()))).unwrap();
    assert_eq!(believed.principal().expires, at(50));
    let old = mint(&with("iat", (NOW - 60).into()));
    assert_eq!(verify_under(&rules, &key_set(), &old).err(), Some(TokenProblem::TooOld));
    let undated = mint(&with("iat", Value::Null));
    assert_eq!(verify_under(&rules, &key_set(), &undated).err(), Some(TokenProblem::MissingClaim("iat")));
}

/// Row: R9
#[test]
fn a_subject_is_text_of_1_to_255_characters() {
    assert!(verify(&mint(&with("sub", "é".repeat(255).into()))).is_ok());
    for sub in [json!(""), json!("x".repeat(256)), json!(7), json!(["alice"]), json!("a\nb")] {
        assert_eq!(problem(&mint(&with("sub", sub))), Some(TokenProblem::BadClaim("sub")));
    }
    assert_eq!(problem(&mint(&with("sub", Value::Null))), Some(TokenProblem::MissingClaim("sub")));
}

/// Row: R9, A20
#[test]
fn a_program_acting_for_itself_is_told_from_a_person() {
    let kind = |claims: &Value| verify(&mint(claims)).unwrap().principal().kind;
    assert_eq!(kind(&claims()), Kind::User);
    assert_eq!(kind(&with("sub", "claude-code".into())), Kind::Workload);
}

/// Row: R9, A15
#[test]
fn two_issuers_with_the_same_subject_are_two_callers() {
    let token = |issuer: &str| mint(&with("iss", issuer.into()));
    let mut other = rules();
    other.alias = "partner".into();
    other.issuer = "https://idp.partner.example".into();
    let first = verify(&token(ISSUER)).unwrap();
    let second = verify_under(&other, &key_set(), &token("https://idp.partner.example")).unwrap();
    let (first, second) = (first.principal(), second.principal());
    assert_eq!(first.subject, second.subject);
    assert_ne!((&first.issuer, first.fingerprint), (&second.issuer, second.fingerprint));
}

/// Row: A15
#[test]
fn a_caller_of_an_issuer_that_is_not_the_servers_is_not_authenticated_there() {
    let mut other = rules();
    other.alias = "partner".into();
    let token = mint(&claims());
    let verified = verify_under(&other, &key_set(), &token).unwrap();
    let refusal = arrive(&token).authenticated(&verified, &[], Timestamp::from_secs(NOW)).err().unwrap();
    assert!(matches!(refusal.reason, Reason::InvalidToken(_)));
}

#[test]
fn proof_for_one_token_does_not_authenticate_another() {
    let verified = verify(&mint(&claims())).unwrap();
    let other = mint(&with("sub", "bob".into()));
    let refusal = arrive(&other).authenticated(&verified, &[], Timestamp::from_secs(NOW)).err().unwrap();
    assert!(matches!(refusal.reason, Reason::Internal(_)));
}

/// Row: R14
/// Edge: 91
#[test]
fn a_token_bound_to_a_key_is_refused_as_a_mere_bearer() {
    for cnf in [json!({ "jkt": "x" }), json!({ "x5t#S256": "x" }), json!({}), json!("x")] {
        let refused = problem(&mint(&with("cnf", cnf))).unwrap();
        assert_eq!(refused, TokenProblem::SenderConstrained);
        assert!(refused.to_string().contains("sender-constrained token presented as bearer"));
    }
}

#[test]
fn the_actor_chain_is_read_and_a_broken_one_refuses_the_token() {
    let act = json!({ "sub": "agent", "iss": "https://agents.example", "act": { "sub": "scheduler" } });
    let verified = verify(&mint(&with("act", act))).unwrap();
    let actors: Vec<&str> = verified.principal().actors.iter().map(|actor| &*actor.subject).collect();
    assert_eq!(actors, ["agent", "scheduler"]);
    assert_eq!(problem(&mint(&with("act", "agent".into()))), Some(TokenProblem::BadClaim("act")));
}

#[test]
fn a_claim_that_rules_read_refuses_the_token_when_it_has_another_shape() {
    for (name, value) in [
        ("groups", json!([1])),
        ("groups", json!({ "a": 1 })),
        ("scope", json!(7)),
        ("client_id", json!(["x"])),
        ("acr", json!(2)),
        ("auth_time", json!("yesterday")),
    ] {
        assert!(matches!(problem(&mint(&with(name, value))), Some(TokenProblem::BadClaim(_))), "{name}");
    }
}

#[test]
fn the_callers_claims_arrive_where_the_rest_of_the_program_looks() {
    let mut all = claims();
    for (name, value) in [
        ("email", json!("alice@example.com")),
        ("acr", json!("urn:mfa")),
        ("amr", json!(["pwd", "otp"])),
        ("auth_time", json!(NOW - 100)),
        ("sid", json!("s-1")),
        ("level", json!(3)),
        ("address", json!({ "city": "Bern" })),
        ("jti", json!("j-1")),
    ] {
        all[name] = value;
    }
    let verified = verify_jwt(arrive(&mint(&all)).bearer(), &rules(), &key_set(), at(0)).unwrap();
    let caller = verified.principal();
    assert_eq!(
        (&*caller.issuer, &*caller.issuer_url, &*caller.subject),
        ("corp", ISSUER, "alice@example.com")
    );
    assert_eq!(caller.client.as_deref(), Some("claude-code"));
    assert_eq!(caller.email.as_deref(), Some("alice@example.com"));
    assert_eq!(caller.scopes, ["mcp:tools:list".into(), "mcp:tools:call".into()]);
    assert_eq!(caller.groups, ["support".into()]);
    assert_eq!(
        (caller.acr.as_deref(), caller.amr.len(), caller.auth_time),
        (Some("urn:mfa"), 2, Some(NOW - 100))
    );
    assert_eq!((caller.session.as_deref(), caller.expires), (Some("s-1"), at(300)));
    assert_eq!(caller.claims["level"], ["3".into()]);
    assert_eq!(caller.claims["address"], [r#"{"city":"Bern"}"#.into()]);
    assert!(!caller.claims.contains_key("jti") && !caller.claims.contains_key("exp"));
}

#[test]
fn an_email_that_the_issuer_did_not_verify_is_not_believed() {
    let email = |verified: Value| {
        let mut claims = with("email", "alice@example.com".into());
        claims["email_verified"] = verified;
        verify(&mint(&claims)).unwrap().principal().email.is_some()
    };
    assert!(email(json!(true)) && email(json!("true")));
    assert!(!email(json!(false)) && !email(json!("false")));
}
