//! Opaque tokens: only their issuer can read them.

// The functions that tests share are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod issuer_world;

use std::sync::Arc;

use futures_util::future::join_all;
use http::StatusCode;
use issuer_world::{
    AUDIENCE, NOW, Scripted, Time, World, at_its_keys, basic, caller_at, introspection, is_refused,
    is_unknown, json as document, provider, questions, rules, seconds, wire,
};
use safeconduct_core::refusal::Reason;
use safeconduct_identity::introspection::{Introspection, LONGEST};
use safeconduct_identity::issuer::{IssuerKeys, KeySource};
use safeconduct_identity::verifier::{Issuer, KnownTokens, Verifier};
use safeconduct_identity::wire::Endpoint;
use safeconduct_testkit::idp::{Idp, Mint};
use safeconduct_testkit::wire::Fault;
use serde_json::{Value, json};

/// An introspection endpoint that says this of every token, and the verifier that asks it.
struct Oracle {
    server: Scripted,
    verifier: Arc<Verifier>,
    time: Arc<Time>,
}

impl Oracle {
    async fn start(answer: Value) -> Self {
        let server = Scripted::start(move |_, seen| match seen.path() {
            "/introspect" => document(&answer),
            _ => document(&json!({ "keys": [] })),
        })
        .await;
        let (time, wire) = (Time::new(), wire());
        let endpoint = Endpoint::parse(&server.url("/introspect"), false).unwrap();
        let issuer = server.url("");
        let issuer = Issuer {
            rules: rules("corp", &issuer),
            keys: IssuerKeys::start(&issuer, server.keys(), wire.clone(), time.clone()),
            introspection: Some(Introspection::new(endpoint, basic("s"), seconds(30), wire)),
            logout: None,
        };
        let verifier = Arc::new(Verifier::new(vec![issuer], KnownTokens::new(4096)));
        Self { server, verifier, time }
    }

    async fn caller(&self, token: &str) -> Result<String, Reason> {
        let caller = caller_at(&self.verifier, &["corp"], token, self.time.now()).await;
        caller.map(|caller| caller.subject.to_string())
    }

    fn questions(&self) -> usize {
        self.server.edge.log().to("/introspect").len()
    }
}

fn active() -> Value {
    json!({ "active": true, "sub": "alice", "aud": AUDIENCE })
}

/// Row: A14
#[tokio::test]
async fn an_answer_is_believed_for_its_time_and_the_issuer_is_asked_again_then() {
    let world = World::asking(Some(seconds(20))).await;
    let token = world.opaque("alice");
    assert_eq!(&*world.caller(&token).await.unwrap().subject, "alice");
    world.idp.revoke(&token);
    world.time.skip(seconds(19)).await;
    assert!(world.caller(&token).await.is_ok());
    assert_eq!(questions(&world.idp), 1);
    world.time.skip(seconds(1)).await;
    assert!(is_refused(&world.caller(&token).await));
    assert_eq!(questions(&world.idp), 2);
}

/// Row: A14
#[tokio::test]
async fn no_answer_is_believed_longer_than_a_minute_or_past_the_tokens_end() {
    let world = World::asking(Some(seconds(3600))).await;
    let token = world.opaque("alice");
    assert!(world.caller(&token).await.is_ok());
    world.idp.revoke(&token);
    world.time.skip(LONGEST).await;
    assert!(is_refused(&world.caller(&token).await));
    let short = world.idp.mint_opaque(&Mint::user("alice").audience(AUDIENCE).lifetime(seconds(10)));
    assert!(world.caller(&short).await.is_ok());
    world.time.skip(seconds(10)).await;
    let before = questions(&world.idp);
    assert!(is_refused(&world.caller(&short).await));
    assert_eq!(questions(&world.idp), before + 1, "it was not remembered past its end");
}

/// Row: A14
#[tokio::test]
async fn a_clock_that_is_turned_back_does_not_make_an_answer_live_longer() {
    let world = World::asking(Some(seconds(30))).await;
    let token = world.opaque("alice");
    assert!(world.caller(&token).await.is_ok());
    let earlier = world.time.now().minus(seconds(20));
    assert!(caller_at(&world.verifier, &["corp"], &token, earlier).await.is_ok());
    assert_eq!(questions(&world.idp), 2, "asked anew");
}

/// Row: A14
#[tokio::test]
async fn a_refusal_is_remembered_too() {
    let world = World::asking(Some(seconds(30))).await;
    for _ in 0..10 {
        assert!(is_refused(&world.caller("never-issued").await));
    }
    assert_eq!(questions(&world.idp), 1);
    world.time.skip(seconds(30)).await;
    assert!(is_refused(&world.caller("never-issued").await));
    assert_eq!(questions(&world.idp), 2);
}

/// Row: A14
#[tokio::test]
async fn the_gateway_says_who_it_is_and_a_refused_gateway_is_not_the_callers_fault() {
    let world = World::asking(Some(seconds(30))).await;
    let token = world.opaque("alice");
    assert!(world.caller(&token).await.is_ok());
    let asked = world.idp.log().to("/introspect").pop().unwrap();
    assert!(asked.header("authorization").unwrap().starts_with("Basic "));
    let form = asked.form();
    assert_eq!((form.one("token"), form.one("token_type_hint")), (Some(&*token), Some("access_token")));
    assert!(!asked.uri.to_string().contains(&token));

    let endpoint = Endpoint::parse(&world.idp.introspection_endpoint(), false).unwrap();
    let wrong = world.reloaded(|issuer| {
        issuer.introspection =
            Some(Introspection::new(endpoint, basic("wrong"), seconds(30), world.wire.clone()));
    });
    assert!(is_unknown(&caller_at(&wrong, &["corp"], &world.opaque("bob"), world.time.now()).await));
}

/// Row: A14
#[tokio::test]
async fn a_plan_that_asks_nobody_or_another_believes_nothing_that_was_said_before() {
    let world = World::asking(Some(seconds(30))).await;
    let token = world.opaque("alice");
    assert!(world.caller(&token).await.is_ok());
    let silent = world.reloaded(|_| {});
    assert!(is_refused(&caller_at(&silent, &["corp"], &token, world.time.now()).await));
    let other = provider(&world.time).await;
    let elsewhere = world.reloaded(|issuer| {
        issuer.introspection = Some(introspection(&other, seconds(30), &world.wire));
    });
    assert!(is_refused(&caller_at(&elsewhere, &["corp"], &token, world.time.now()).await));
    assert_eq!(questions(&other), 1);
}

/// Row: A14, A15
#[tokio::test]
async fn of_several_issuers_those_of_the_server_are_asked_in_order_until_one_knows_the_token() {
    let (time, wire) = (Time::new(), wire());
    let (first, second) = (provider(&time).await, provider(&time).await);
    let issuer = |alias: &str, idp: &Idp| Issuer {
        rules: rules(alias, idp.issuer()),
        keys: IssuerKeys::start(idp.issuer(), at_its_keys(idp), wire.clone(), time.clone()),
        introspection: Some(introspection(idp, seconds(30), &wire)),
        logout: None,
    };
    let verifier =
        Verifier::new(vec![issuer("first", &first), issuer("second", &second)], KnownTokens::new(64));
    let caller = async |token: &str, at: &[&str]| caller_at(&verifier, at, token, time.now()).await;
    let opaque = |idp: &Idp, user: &str| idp.mint_opaque(&Mint::user(user).audience(AUDIENCE));
    let both = ["second", "first"];

    let alice = opaque(&first, "alice");
    assert_eq!(&*caller(&alice, &both).await.unwrap().issuer, "first");
    assert_eq!(questions(&second), 0);

    let bob = opaque(&second, "bob");
    assert!(is_refused(&caller(&bob, &["first"]).await), "its issuer is not this server's");
    assert_eq!(questions(&second), 0, "and does not get to see it");
    assert_eq!(&*caller(&bob, &both).await.unwrap().issuer, "second", "what one refused, another may know");
    assert!(is_refused(&caller(&bob, &["first"]).await), "though it is remembered");

    first.stop();
    assert!(is_unknown(&caller("never-issued", &both).await), "the one that knows it may be away");
    assert_eq!(&*caller(&opaque(&second, "carol"), &both).await.unwrap().subject, "carol");
}

/// Row: A14
#[tokio::test]
async fn a_signed_token_is_asked_about_only_where_its_own_issuer_shows_no_keys() {
    let world = World::asking(Some(seconds(30))).await;
    assert!(world.caller(&world.token("alice")).await.is_ok());
    let nobodys =
        world.idp.issue(&Mint::user("alice").audience(AUDIENCE).claim("iss", "https://other.example"));
    assert!(is_refused(&world.caller(&nobodys).await));
    assert_eq!(questions(&world.idp), 0);

    let nowhere = KeySource::Uri(Endpoint::parse(&format!("{}/none", world.idp.issuer()), false).unwrap());
    let keys = IssuerKeys::start(world.idp.issuer(), nowhere, world.wire.clone(), world.time.clone());
    let only = world.reloaded(|issuer| {
        issuer.keys = keys;
        issuer.introspection = Some(introspection(&world.idp, seconds(30), &world.wire));
    });
    let caller = async |token: &str| caller_at(&only, &["corp"], token, world.time.now()).await;
    assert_eq!(&*caller(&world.token("bob")).await.unwrap().subject, "bob");
    assert_eq!(questions(&world.idp), 1);
    assert!(is_refused(&caller(&nobodys).await));
    assert_eq!(questions(&world.idp), 1, "nobody else's token is shown to it");
    assert!(only.status().pop().unwrap().1.introspection);
}

/// Row: A14
#[tokio::test]
async fn callers_with_one_token_share_one_question_and_the_first_may_leave() {
    let oracle = Arc::new(Oracle::start(active()).await);
    oracle.server.hold();
    let mut waiting: Vec<_> = (0..100)
        .map(|_| {
            let oracle = oracle.clone();
            tokio::spawn(async move { oracle.caller("opaque").await })
        })
        .collect();
    while oracle.questions() == 0 {
        assert!(oracle.server.edge.log().reaches(oracle.server.count() + 1).await);
    }
    for left in waiting.drain(..50) {
        left.abort();
    }
    oracle.server.release();
    let outcomes = join_all(waiting).await;
    assert!(outcomes.into_iter().all(|outcome| outcome.unwrap() == Ok("alice".into())));
    assert_eq!(oracle.questions(), 1);
}

/// Row: A14
#[tokio::test]
async fn an_endpoint_that_is_down_is_asked_once_a_second_and_is_found_when_it_is_back() {
    let oracle = Oracle::start(active()).await;
    assert!(oracle.caller("known").await.is_ok());
    oracle.server.edge.faults().at("/introspect", usize::MAX, Fault::Close);
    assert!(is_unknown(&oracle.caller("first").await));
    let (before, began) = (oracle.questions(), std::time::Instant::now());
    for number in 0..200 {
        assert!(is_unknown(&oracle.caller(&format!("token-{number}")).await));
    }
    let most = 2 * began.elapsed().as_secs() as usize;
    assert!(oracle.questions() - before <= most, "{}", oracle.questions() - before);
    assert_eq!(oracle.caller("known").await, Ok("alice".into()), "what is known needs nobody");
    oracle.server.edge.faults().clear();
    oracle.time.skip(seconds(1)).await;
    assert_eq!(oracle.caller("first").await, Ok("alice".into()));
    assert_eq!(oracle.caller("second").await, Ok("alice".into()));
}

/// Row: A14
#[tokio::test]
async fn an_answer_that_is_none_is_the_issuers_fault_and_is_not_remembered() {
    for fault in [
        Fault::Huge(4 << 20),
        Fault::Redirect("http://169.254.169.254/".into()),
        Fault::Garbage,
        Fault::Truncate(10),
        Fault::Status(StatusCode::INTERNAL_SERVER_ERROR, r#"{"active":true}"#.into()),
        Fault::Status(StatusCode::UNAUTHORIZED, r#"{"error":"invalid_client"}"#.into()),
        Fault::Status(StatusCode::OK, "[]".into()),
        Fault::Status(StatusCode::OK, r#"{"active":true,"active":false}"#.into()),
    ] {
        let oracle = Oracle::start(active()).await;
        oracle.server.edge.faults().at("/introspect", usize::MAX, fault.clone());
        assert!(is_unknown(&oracle.caller("opaque").await), "{fault:?}");
        oracle.server.edge.faults().clear();
        oracle.time.skip(seconds(1)).await;
        assert_eq!(oracle.caller("opaque").await, Ok("alice".into()), "{fault:?}");
    }
}

/// Row: A14
#[tokio::test]
async fn one_tokens_error_does_not_keep_others_from_being_asked_about() {
    let oracle = Oracle::start(active()).await;
    let odd = Fault::Status(StatusCode::BAD_REQUEST, r#"{"error":"unsupported_token_type"}"#.into());
    oracle.server.edge.faults().at("/introspect", 1, odd);
    assert!(is_unknown(&oracle.caller("odd").await));
    assert_eq!(oracle.caller("good").await, Ok("alice".into()));
}

/// Row: A14
#[tokio::test]
async fn an_endpoint_that_never_answers_is_given_up_in_eight_seconds() {
    let oracle = Arc::new(Oracle::start(active()).await);
    oracle.server.edge.faults().at("/introspect", usize::MAX, Fault::Hang);
    let waiting = tokio::spawn({
        let oracle = oracle.clone();
        async move { is_unknown(&oracle.caller("opaque").await) }
    });
    while oracle.questions() == 0 {
        assert!(oracle.server.edge.log().reaches(oracle.server.count() + 1).await);
    }
    oracle.time.skip(seconds(8)).await;
    assert!(waiting.await.unwrap());
}

/// Row: A14
#[tokio::test]
async fn strangers_do_not_displace_callers_who_are_known() {
    let time = Time::new();
    let (idp, wire) = (provider(&time).await, wire());
    let known = KnownTokens::new(64);
    let issuer = Issuer {
        rules: rules("corp", idp.issuer()),
        keys: IssuerKeys::start(idp.issuer(), at_its_keys(&idp), wire.clone(), time.clone()),
        introspection: Some(introspection(&idp, seconds(60), &wire)),
        logout: None,
    };
    let verifier = Verifier::new(vec![issuer], known.clone());
    let alice = idp.mint("alice", AUDIENCE, "call", seconds(600));
    let first = caller_at(&verifier, &["corp"], &alice, time.now()).await.unwrap();
    for number in 0..300 {
        let stranger = caller_at(&verifier, &["corp"], &format!("stranger-{number}"), time.now()).await;
        assert!(is_refused(&stranger));
    }
    let again = caller_at(&verifier, &["corp"], &alice, time.now()).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(known.len(), 1);
    assert!(time.now().secs() >= NOW);
}
