//! Tokens that are bound to a key of the gateway (DPoP, RFC 9449): the server is shown a proof with each request.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use safeconduct_testkit::backend::Backend;
use safeconduct_testkit::client::Client;
use safeconduct_testkit::wire::{Reply, Seen};
use serde_json::{Value, json};

use crate::world::{Plan, World};

/// A token service that binds what it issues to the key of the proof.
async fn binding() -> Backend {
    let service = Backend::start().await.unwrap();
    service.answers(|seen| {
        assert!(seen.headers.contains_key("dpop"));
        let body = json!({
            "access_token": "bound-token",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "DPoP",
            "expires_in": 300,
        });
        Reply::json(StatusCode::OK, &body)
    });
    service
}

async fn world(service: &Backend, server: &str) -> World {
    let credential = format!(
        "[{{ exchange: {{ token_endpoint: \"{}/token\", client: bound, audience: backend-server }} }}]",
        service.url()
    );
    let plan = Plan {
        credential,
        clients: "  bound: { client_id: bound, auth: none, dpop: true }".into(),
        server: server.into(),
        ..Plan::scripted()
    };
    World::with(plan).await
}

fn claims(seen: &Seen) -> Value {
    let proof = seen.headers["dpop"].to_str().unwrap();
    let claims = URL_SAFE_NO_PAD.decode(proof.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

async fn ping(world: &World, user: &str) -> u16 {
    let client = Client::modern(&world.url()).bearer(&world.token(user));
    client.list("tools").await.unwrap().status.as_u16()
}

/// Edge: 13, 20
#[tokio::test(flavor = "multi_thread")]
async fn the_server_sees_the_token_with_a_proof_and_its_challenge_for_a_nonce_is_answered_once() {
    let service = binding().await;
    let world = world(&service, "").await;
    world.backend().answers(move |seen| {
        let has_nonce = claims(seen).get("nonce").is_some_and(|nonce| nonce == "of-the-server");
        let id = seen.json()["id"].clone();
        if has_nonce {
            return Reply::json(
                StatusCode::OK,
                &json!({"jsonrpc": "2.0", "id": id, "result": {"tools": []}}),
            );
        }
        Reply::empty(StatusCode::UNAUTHORIZED)
            .header("www-authenticate", r#"DPoP error="use_dpop_nonce""#)
            .header("dpop-nonce", "of-the-server")
    });
    assert_eq!(ping(&world, "alice").await, 200);
    let seen = Arc::new(world.backend().log().all());
    assert_eq!(seen.len(), 2, "one challenge, one answer");
    for one in seen.iter() {
        assert_eq!(one.headers["authorization"], "DPoP bound-token");
        let claims = claims(one);
        assert_eq!(claims["htm"], "POST");
        assert_eq!(claims["htu"], world.backend().url() + "/");
        assert!(claims["ath"].is_string());
    }
    assert_ne!(claims(&seen[0])["jti"], claims(&seen[1])["jti"]);
    assert_eq!(ping(&world, "alice").await, 200);
    assert_eq!(world.backend().log().count(), 3, "the nonce is remembered");
    assert_eq!(service.log().count(), 1, "no new token was needed");
}

/// Edge: 13, 64
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_challenges_for_ever_is_not_asked_for_ever() {
    let service = binding().await;
    let world = world(&service, "").await;
    world.backend().answers(|_| {
        Reply::empty(StatusCode::UNAUTHORIZED)
            .header("www-authenticate", r#"DPoP error="use_dpop_nonce""#)
            .header("dpop-nonce", "another")
    });
    ping(&world, "alice").await;
    assert!(world.backend().log().count() <= 3, "{}", world.backend().log().count());
}

/// Edge: 20
#[tokio::test(flavor = "multi_thread")]
async fn a_bound_token_never_leaves_in_another_header() {
    let service = binding().await;
    let world = world(&service, "    deliver: { header: X-Api-Key, prefix: \"\" }").await;
    world.backend().results(json!({}));
    ping(&world, "alice").await;
    assert_eq!(service.log().count(), 1);
    assert_eq!(world.backend().log().count(), 0);
}
