//! Who: tokens of several issuers, verified once and remembered for as long as nothing changed.

// The functions that tests share are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod issuer_world;

use futures_util::future::join_all;
use issuer_world::{
    AUDIENCE, Scripted, Time, World, at_its_keys, caller_at, fetches, is_refused, is_unknown,
    json as document, provider, rules, seconds, until, wire,
};
use safeconduct_core::caller::{Algorithm as Accepted, Kind};
use safeconduct_core::refusal::Reason;
use safeconduct_identity::issuer::IssuerKeys;
use safeconduct_identity::verifier::{Issuer, KnownTokens, Verifier};
use safeconduct_testkit::idp::Mint;
use safeconduct_testkit::keys::{Algorithm, SigningKey, claims_of};
use safeconduct_testkit::wire::Fault;
use serde_json::json;

/// Row: A2
#[tokio::test]
async fn a_token_is_believed_and_a_forged_expired_foreign_or_unsigned_one_is_not() {
    let world = World::start().await;
    let good = world.token("alice");
    assert_eq!(&*world.caller(&good).await.unwrap().subject, "alice");
    let attacker = SigningKey::generate(Algorithm::Es256).unwrap();
    let kid = world.idp.keys().jwks()["keys"][1]["kid"].as_str().unwrap().to_owned();
    let forged = attacker.with_kid(&kid).sign("at+jwt", &claims_of(&good));
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    let expired = world.idp.mint("alice", AUDIENCE, "call", seconds(0));
    let early =
        world.idp.issue(&Mint::user("alice").audience(AUDIENCE).claim("nbf", issuer_world::NOW + 120));
    let nobodys =
        world.idp.issue(&Mint::user("alice").audience(AUDIENCE).claim("iss", "https://evil.example"));
    for bad in [&forged, &unsigned, &expired, &early, &nobodys, "opaque", "eyJ.eyJ.x", "eyJ..", "a.b.c.d.e"] {
        assert!(is_refused(&world.caller(bad).await), "{bad}");
    }
    let elsewhere = world.idp.mint("alice", "another-server", "call", seconds(60));
    assert_eq!(world.caller(&elsewhere).await.err(), Some(Reason::WrongAudience));
    assert_eq!(
        world.caller(&elsewhere).await.err(),
        Some(Reason::WrongAudience),
        "remembered, and still refused"
    );
    assert!(world.caller(&good).await.is_ok());
}

/// Row: A2
#[tokio::test]
async fn a_remembered_token_ends_when_it_expires() {
    let world = World::start().await;
    let token = world.idp.mint("alice", AUDIENCE, "call", seconds(60));
    assert!(world.caller(&token).await.is_ok());
    world.time.skip(seconds(58)).await;
    assert!(world.caller(&token).await.is_ok());
    world.time.skip(seconds(2)).await;
    assert!(is_refused(&world.caller(&token).await));
}

/// Row: A13
#[tokio::test]
async fn a_token_seen_before_needs_nobody() {
    let world = World::start().await;
    let token = world.token("alice");
    let first = world.caller(&token).await.unwrap();
    world.idp.stop();
    let again = world.caller(&token).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &again), "the same caller, not another verification");
    assert!(world.caller(&world.token("bob")).await.is_ok(), "and the keys serve on");
    assert_eq!(fetches(&world.idp), 1);
}

/// Row: R11, A13
/// Edge: 82
#[tokio::test]
async fn a_new_key_is_believed_with_its_first_token_and_the_old_one_while_it_is_shown() {
    let world = World::start().await;
    let old = world.token("alice");
    let first = world.caller(&old).await.unwrap();
    world.idp.keys().rotate(Algorithm::Es256).unwrap();
    let tokens: Vec<String> = (0..20).map(|number| world.token(&format!("user-{number}"))).collect();
    let callers = join_all(tokens.iter().map(|token| world.caller(token))).await;
    assert!(callers.iter().all(Result::is_ok));
    assert_eq!(fetches(&world.idp), 2);
    let again = world.caller(&old).await.unwrap();
    assert!(!std::sync::Arc::ptr_eq(&first, &again), "other keys: verified anew");
}

/// Row: R12, A13
/// Edge: 82
#[tokio::test]
async fn a_key_that_is_no_longer_shown_ends_the_tokens_that_it_signed() {
    let world = World::start().await;
    let old = world.token("alice");
    assert!(world.caller(&old).await.is_ok());
    world.idp.keys().rotate(Algorithm::Es256).unwrap();
    world.idp.keys().retire_old();
    assert!(world.caller(&old).await.is_ok(), "not known to be removed yet");
    world.time.skip(seconds(300)).await;
    until(|| fetches(&world.idp) == 2 && world.keys.status().age.is_some_and(|age| age < 60)).await;
    assert!(is_refused(&world.caller(&old).await), "although it was verified before");
    assert!(world.caller(&world.token("alice")).await.is_ok());
}

/// Row: R11, A13
/// Edge: 80
#[tokio::test]
async fn a_flood_of_unknown_keys_costs_one_fetch_and_others_are_served() {
    let world = World::start().await;
    let claims = claims_of(&world.token("mallory"));
    let attacker = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let forged = |number: usize| {
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": format!("kid-{number}") });
        attacker.sign_with(&header, &claims)
    };
    let flood: Vec<String> = (0..1000).map(forged).collect();
    let good = world.token("alice");
    let (outcomes, honest) =
        tokio::join!(join_all(flood.iter().map(|token| world.caller(token))), world.caller(&good));
    assert!(outcomes.iter().all(is_refused) && honest.is_ok());
    assert_eq!(fetches(&world.idp), 2);
    assert_eq!(world.known.len(), 1, "nothing of a forged token is kept");
    for _ in 0..2 {
        world.time.skip(seconds(31)).await;
        assert!(is_refused(&world.caller(&forged(5000)).await));
        assert_eq!(fetches(&world.idp), 3, "a name asked for in vain is not asked for again so soon");
    }
}

/// Row: R11
/// Edge: 81
#[tokio::test]
async fn a_token_without_kid_is_believed_where_exactly_one_key_fits_and_follows_its_rotation() {
    let (first, second) =
        (SigningKey::generate(Algorithm::Es256).unwrap(), SigningKey::generate(Algorithm::Es256).unwrap());
    let anonymous = |keys: &[&SigningKey]| {
        let bare = |key: &&SigningKey| {
            let mut jwk = key.jwk();
            jwk.as_object_mut().unwrap().remove("kid");
            jwk
        };
        json!({ "keys": keys.iter().map(bare).collect::<Vec<_>>() })
    };
    let jwks = anonymous(&[&first]);
    let server = Scripted::start(move |_, _| document(&jwks)).await;
    let (time, issuer) = (Time::new(), server.url(""));
    let keys = IssuerKeys::start(&issuer, server.keys(), wire(), time.clone());
    let verifier = Verifier::new(
        vec![Issuer { rules: rules("corp", &issuer), keys, introspection: None, logout: None }],
        KnownTokens::new(64),
    );
    let token = |key: &SigningKey, user: &str| {
        let claims = json!({ "iss": issuer, "sub": user, "aud": AUDIENCE, "exp": issuer_world::NOW + 3600 });
        key.sign_with(&json!({ "alg": "ES256", "typ": "at+jwt" }), &claims)
    };
    assert!(caller_at(&verifier, &["corp"], &token(&first, "alice"), time.now()).await.is_ok());
    let jwks = anonymous(&[&second]);
    server.now_answers(move |_, _| document(&jwks));
    assert!(caller_at(&verifier, &["corp"], &token(&second, "alice"), time.now()).await.is_ok());
    assert!(is_refused(&caller_at(&verifier, &["corp"], &token(&first, "bob"), time.now()).await));
    let jwks = anonymous(&[&first, &second]);
    server.now_answers(move |_, _| document(&jwks));
    time.skip(seconds(31)).await;
    assert!(is_refused(&caller_at(&verifier, &["corp"], &token(&first, "carol"), time.now()).await));
    assert!(
        is_refused(&caller_at(&verifier, &["corp"], &token(&second, "carol"), time.now()).await),
        "now ambiguous"
    );
}

/// Row: R5, R9, A15
#[tokio::test]
async fn issuers_vouch_for_their_own_and_the_same_subject_of_two_is_two_callers() {
    let (time, wire) = (Time::new(), wire());
    let (corp, partner) = (provider(&time).await, provider(&time).await);
    let issuer = |alias: &str, idp| Issuer {
        rules: rules(alias, safeconduct_testkit::idp::Idp::issuer(idp)),
        keys: IssuerKeys::start(idp.issuer(), at_its_keys(idp), wire.clone(), time.clone()),
        introspection: None,
        logout: None,
    };
    let verifier =
        Verifier::new(vec![issuer("corp", &corp), issuer("partner", &partner)], KnownTokens::new(64));
    let both = ["corp", "partner"];
    let caller = async |token: &str, at: &[&str]| caller_at(&verifier, at, token, time.now()).await;
    let alice = |idp: &safeconduct_testkit::idp::Idp| idp.mint("alice", AUDIENCE, "call", seconds(600));
    let first = caller(&alice(&corp), &both).await.unwrap();
    let second = caller(&alice(&partner), &both).await.unwrap();
    assert_eq!(first.subject, second.subject);
    assert_eq!((&*first.issuer, &*second.issuer), ("corp", "partner"));
    assert_ne!(first.fingerprint, second.fingerprint);

    let posing = partner.issue(&Mint::user("alice").audience(AUDIENCE).claim("iss", corp.issuer()));
    assert!(is_refused(&caller(&posing, &both).await), "signed by one issuer in the name of another");
    let theirs = alice(&partner);
    assert!(is_refused(&caller(&theirs, &["corp"]).await), "not an issuer of this server");
    assert!(caller(&theirs, &both).await.is_ok());
    assert!(is_refused(&caller(&theirs, &["corp"]).await), "though it is remembered");
    partner.stop();
    // The unknown key of the posing token was this half minute's.
    time.skip(seconds(30)).await;
    corp.keys().rotate(Algorithm::Es256).unwrap();
    assert!(caller(&alice(&corp), &both).await.is_ok(), "one issuer's outage is not another's");
}

/// Row: A20
#[tokio::test]
async fn a_program_with_its_own_token_is_not_taken_for_a_person() {
    let world = World::start().await;
    let program = world.idp.issue(&Mint::user("ci-bot").client("ci-bot").audience(AUDIENCE));
    assert_eq!(world.caller(&world.token("alice")).await.unwrap().kind, Kind::User);
    assert_eq!(world.caller(&program).await.unwrap().kind, Kind::Workload);
}

/// Row: R14
/// Edge: 91
#[tokio::test]
async fn a_token_bound_to_a_key_is_refused_as_a_mere_bearer() {
    let world = World::start().await;
    let bound = Mint::user("alice").audience(AUDIENCE).claim("cnf", json!({ "jkt": "x" }));
    assert!(is_refused(&world.caller(&world.idp.issue(&bound)).await));
}

#[tokio::test]
async fn a_changed_rule_verifies_remembered_tokens_anew() {
    let world = World::start().await;
    let token = world.token("alice");
    let now = world.time.now();
    let first = world.caller(&token).await.unwrap();
    let same = caller_at(&world.reloaded(|_| {}), &["corp"], &token, now).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &same), "the same plan read again forgets nothing");

    let stricter = world.reloaded(|issuer| issuer.rules.algorithms = vec![Accepted::RS256]);
    assert!(is_refused(&caller_at(&stricter, &["corp"], &token, now).await));
    let fresher = world.reloaded(|issuer| issuer.rules.max_age = Some(seconds(5)));
    world.time.skip(seconds(6)).await;
    assert!(is_refused(&caller_at(&fresher, &["corp"], &token, world.time.now()).await));
    let renamed = world.reloaded(|issuer| issuer.rules.alias = "staff".into());
    let caller = caller_at(&renamed, &["staff"], &token, now).await.unwrap();
    assert_eq!(&*caller.issuer, "staff");
    let elsewhere = world.reloaded(|issuer| issuer.rules.audiences = vec!["other".into()]);
    assert_eq!(caller_at(&elsewhere, &["corp"], &token, now).await.err(), Some(Reason::WrongAudience));
    let gone = Verifier::new(Vec::new(), world.known.clone());
    assert!(is_refused(&caller_at(&gone, &["corp"], &token, now).await));
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_is_unavailable_and_its_callers_are_not_at_fault() {
    let time = Time::new();
    let idp = provider(&time).await;
    idp.faults().always(Fault::Close);
    let keys = IssuerKeys::start(idp.issuer(), at_its_keys(&idp), wire(), time.clone());
    let issuer = Issuer { rules: rules("corp", idp.issuer()), keys, introspection: None, logout: None };
    let verifier = Verifier::new(vec![issuer], KnownTokens::new(64));
    let token = idp.mint("alice", AUDIENCE, "call", seconds(600));
    assert!(is_unknown(&caller_at(&verifier, &["corp"], &token, time.now()).await));
    let (name, status) = verifier.status().pop().unwrap();
    assert_eq!((name, status.keys, status.error.is_some(), status.introspection), ("corp", 0, true, false));
    idp.faults().clear();
    time.skip(seconds(2)).await;
    assert!(caller_at(&verifier, &["corp"], &token, time.now()).await.is_ok());
}

#[tokio::test]
async fn what_is_remembered_is_bounded_by_number_and_by_weight() {
    let world = World::start().await;
    let known = KnownTokens::new(128);
    let verifier = Verifier::new(
        vec![Issuer {
            rules: rules("corp", world.idp.issuer()),
            keys: world.keys.clone(),
            introspection: None,
            logout: None,
        }],
        known.clone(),
    );
    for number in 0..500 {
        let token = world.token(&format!("user-{number}"));
        assert!(caller_at(&verifier, &["corp"], &token, world.time.now()).await.is_ok());
    }
    assert!((64..=128).contains(&known.len()), "{}", known.len());
    let long = "x".repeat(8000);
    for number in 0..300 {
        let user = format!("user-{number}");
        let token = world.idp.issue(&Mint::user(&user).audience(AUDIENCE).claim("filler", long.as_str()));
        assert!(caller_at(&verifier, &["corp"], &token, world.time.now()).await.is_ok());
    }
    assert!(known.len() <= 70, "long tokens have fewer beside them: {}", known.len());
}
