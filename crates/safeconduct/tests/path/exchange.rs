//! The main job: the backend is asked with the second token, and only with that one.

use safeconduct_testkit::keys::claims_of;
use serde_json::json;

use crate::world::{AUDIENCE, BACKEND, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_permitted_call_reaches_the_server_with_the_exchanged_token_only() {
    let mut world = World::start().await;
    let client = world.legacy("alice").await;
    let answer = client.call("echo", json!({"text": "hello"})).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("hello"), "{} {:#?}", answer.message(), world.audit().await);
    let seen = world.server().log().last().unwrap();
    let claims = claims_of(seen.bearer().unwrap());
    assert_eq!(claims["aud"], BACKEND);
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["scope"], "backend-api:read");
    assert_eq!(claims_of(&world.token("alice"))["aud"], AUDIENCE);
    let lines = world.audit_of("tools/call").await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["outcome"], "answered");
    assert_eq!(lines[0]["principal"]["subject"], "alice");
    assert_eq!(lines[0]["credential"]["steps"], json!(["exchange"]));
}

/// Row: A9
#[tokio::test(flavor = "multi_thread")]
async fn the_callers_token_never_reaches_the_server() {
    let world = World::start().await;
    let token = world.token("alice");
    let client = safeconduct_testkit::client::Client::legacy(&world.url()).bearer(&token);
    client.connect().await.unwrap();
    client.call("echo", json!({"text": "hello"})).await.unwrap();
    client.list("tools").await.unwrap();
    let signature = token.rsplit('.').next().unwrap();
    assert!(world.server().log().count() >= 3);
    assert!(!world.server().log().mentions(signature));
}
