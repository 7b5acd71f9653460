//! The issuers of callers' tokens: keys that change, issuers that are down, tokens that only their issuer can read.

use safeconduct_testkit::client::Client;
use safeconduct_testkit::idp::Mint;
use safeconduct_testkit::keys::{Algorithm, SigningKey, claims_of};
use safeconduct_testkit::wire::Fault;
use serde_json::json;

use crate::audit::line_of;
use crate::patience::{until, within};
use crate::world::{AUDIENCE, Plan, World};

const OPAQUE: &str = "    introspection: { endpoint: \"@IDP@/introspect\", client: gateway, cache: 1s }\n";

impl World {
    /// A client of the server that needs no token endpoint.
    fn aside(&self, token: &str) -> Client {
        Client::modern(&format!("{}/other/mcp", self.base)).bearer(token)
    }

    async fn status(&self, token: &str) -> u16 {
        within(self.aside(token).connect()).await.unwrap().status.as_u16()
    }

    fn key_fetches(&self) -> usize {
        self.idp.log().to("/jwks").len()
    }
}

/// Row: A13
#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_known_with_its_first_token_and_the_old_one_while_it_is_shown() {
    let world = World::start().await;
    let old = world.token("alice");
    assert_eq!(world.status(&old).await, 200);
    let before = world.key_fetches();
    world.idp.keys().rotate(Algorithm::Es256).unwrap();
    let new = world.token("alice");
    assert_eq!((world.status(&new).await, world.status(&old).await), (200, 200));
    assert_eq!(world.key_fetches(), before + 1);
}

/// Row: A13
/// Edge: 82
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_longer_shown_verifies_nothing_more() {
    let world = World::start().await;
    let old = world.token("alice");
    assert_eq!(world.status(&old).await, 200);
    world.idp.keys().rotate(Algorithm::Es256).unwrap();
    world.idp.keys().retire_old();
    assert_eq!(world.status(&world.token("alice")).await, 200);
    assert_eq!(world.status(&old).await, 401, "although it was verified before");
}

/// Row: A13
#[tokio::test(flavor = "multi_thread")]
async fn callers_who_come_together_share_one_fetch_of_the_keys() {
    let world = World::start().await;
    let tokens: Vec<_> = (0..20).map(|number| world.token(&format!("user-{number}"))).collect();
    let calls = tokens.iter().map(|token| world.status(token));
    assert!(futures_util::future::join_all(calls).await.iter().all(|status| *status == 200));
    assert_eq!(world.key_fetches(), 1);
}

/// Row: A13
/// Edge: 80
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_keys_costs_the_issuer_one_question() {
    let mut world = World::start().await;
    assert_eq!(world.status(&world.token("alice")).await, 200);
    let before = world.key_fetches();
    let claims = claims_of(&world.token("alice"));
    let flood: Vec<_> = (0..50)
        .map(|number| {
            let attacker = SigningKey::generate(Algorithm::Es256).unwrap().with_kid(&format!("kid-{number}"));
            attacker.sign("at+jwt", &claims)
        })
        .collect();
    let statuses = futures_util::future::join_all(flood.iter().map(|token| world.status(token))).await;
    assert!(statuses.iter().all(|status| *status == 401), "{statuses:?}");
    assert!(world.key_fetches() <= before + 1);
    assert_eq!(world.status(&world.token("carol")).await, 200);
    assert_eq!(world.outcomes().await["refused"], 50);
}

/// Row: A13
#[tokio::test(flavor = "multi_thread")]
async fn while_the_issuer_is_away_its_keys_serve_on() {
    let world = World::start().await;
    assert_eq!(world.status(&world.token("alice")).await, 200);
    world.idp.faults().always(Fault::Close);
    assert_eq!(world.status(&world.token("carol")).await, 200, "a token never seen before");
    let unknown =
        SigningKey::generate(Algorithm::Es256).unwrap().sign("at+jwt", &claims_of(&world.token("bob")));
    assert_eq!(world.status(&unknown).await, 401);
    assert_eq!(world.status(&world.token("dave")).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_was_never_reached_is_named_and_others_are_not_touched() {
    let gone = "http://127.0.0.1:9";
    let issuer = format!("  gone:\n    issuer: {gone}\n    audience: [{AUDIENCE}]\n");
    let mut world = World::with(Plan { issuer, ..Plan::default() }).await;
    let token = world.idp.issue(&Mint::user("alice").audience(AUDIENCE).claim("iss", gone));
    let refused = within(world.aside(&token).connect()).await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.error_code()), (503, Some(-31503)));
    assert_eq!(refused.message()["error"]["data"]["code"], "SC-A04");
    assert!(refused.header("retry-after").is_some() && refused.header("www-authenticate").is_none());
    assert_eq!(world.status(&world.token("alice")).await, 200);
    let line = line_of(&world.audit().await, &refused);
    assert_eq!((&line["fault"], &line["outcome"]), (&json!("issuer"), &json!("failed")));
}

/// Row: A14
#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_is_believed_as_long_as_its_issuer_vouches_for_it() {
    let mut world = World::with(Plan { issuer: OPAQUE.into(), ..Plan::default() }).await;
    let good = world.idp.mint_opaque(&Mint::user("alice").audience(AUDIENCE));
    let admitted = within(world.aside(&good).connect()).await.unwrap();
    assert_eq!(admitted.status, 200);
    let asked = world.idp.log().to("/introspect");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].form().one("token"), Some(good.as_str()));
    assert!(asked[0].header("authorization").is_some(), "the gateway says who it is");

    let elsewhere = world.idp.mint_opaque(&Mint::user("alice").audience("backend-server"));
    let refused = within(world.aside(&elsewhere).connect()).await.unwrap();
    assert_eq!(
        (refused.status.as_u16(), &refused.message()["error"]["data"]["code"]),
        (401, &json!("SC-A03"))
    );
    assert_eq!(world.status("CANARY-never-issued").await, 401);

    world.idp.revoke(&good);
    until(async || world.status(&good).await == 401).await;
    let line = line_of(&world.audit().await, &admitted);
    assert_eq!(
        (&line["principal"]["issuer"], &line["principal"]["subject"]),
        (&json!("corp"), &json!("alice"))
    );
}

/// Row: A14
#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_is_not_believed_while_nobody_can_read_it() {
    let without = World::start().await;
    let token = without.idp.mint_opaque(&Mint::user("alice").audience(AUDIENCE));
    assert_eq!(without.status(&token).await, 401, "no introspection is configured");

    let world = World::with(Plan { issuer: OPAQUE.into(), ..Plan::default() }).await;
    assert_eq!(world.status(&world.token("alice")).await, 200);
    for fault in [Fault::Close, Fault::Garbage, Fault::Huge(4 << 20)] {
        let token = world.idp.mint_opaque(&Mint::user("alice").audience(AUDIENCE));
        world.idp.faults().clear();
        world.idp.faults().at("/introspect", usize::MAX, fault.clone());
        let refused = within(world.aside(&token).connect()).await.unwrap();
        assert_eq!(
            (refused.status.as_u16(), &refused.message()["error"]["data"]["code"]),
            (503, &json!("SC-A04")),
            "{fault:?}"
        );
        assert_eq!(world.status(&world.token("alice")).await, 200);
    }
}
