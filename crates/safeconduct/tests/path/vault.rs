//! A vault, through the gateway: each caller reads what is theirs, and what was made for them ends when they do.

use std::time::Duration;

use safeconduct_testkit::clock::Clock;
use safeconduct_testkit::vault::{Role, Vault};
use serde_json::json;

use crate::patience::until;
use crate::world::{AUDIENCE, HOUR, Plan, World};

/// A vault that believes the callers' provider, and a gateway whose chain is this step.
async fn world(step: &str) -> (World, Vault) {
    let vault = Vault::start(Clock::system()).await.unwrap();
    let credential = format!("[{{ vault: {{ address: \"{}\", {step} }} }}]", vault.address());
    let world = World::with(Plan { credential, ..Plan::default() }).await;
    vault.believe(world.idp.issuer());
    vault.add_role(Role {
        name: "mcp".into(),
        audience: AUDIENCE.into(),
        groups: vec!["support".into()],
        reads: vec!["secret/data/users/{sub}".into(), "database/creds/readonly".into()],
        lifetime: HOUR,
    });
    (world, vault)
}

async fn called(world: &World, user: &str) -> String {
    let client = world.legacy(user).await;
    let answer = client.call("echo", json!({"text": "hello"})).await.unwrap();
    assert!(answer.text().contains("hello"), "{}", answer.message());
    world.server().log().last().unwrap().bearer().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_arrives_with_the_secret_that_is_theirs() {
    let (mut world, vault) = world("role: mcp, read: \"secret/data/users/{subject}\", field: key").await;
    for user in ["alice", "carol"] {
        let key = safeconduct_testkit::canary::secret(user);
        vault.put(&format!("secret/data/users/{user}"), json!({ "key": key, "note": "x" }));
        assert_eq!(called(&world, user).await, key);
    }
    let token = world.token("alice");
    let signature = token.rsplit('.').next().unwrap();
    assert!(!world.server().log().mentions(signature));
    let lines = world.audit_of("tools/call").await;
    assert_eq!(lines[0]["credential"]["steps"], json!(["vault"]));
    assert_eq!(lines[0]["credential"]["audience"], json!(["secret/data/users/alice"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_was_made_for_a_caller_lives_until_the_gateway_stops() {
    let (mut world, vault) = world("role: mcp, read: database/creds/readonly, field: password").await;
    vault.make_users("database/creds/readonly", Duration::from_secs(600));
    let (alices, carols) = (called(&world, "alice").await, called(&world, "carol").await);
    assert_eq!(vault.user_with(&alices).as_deref(), Some("alice"));
    assert_eq!(vault.user_with(&carols).as_deref(), Some("carol"));
    world.audit().await;
    until(async || vault.logins() == 0).await;
    assert_eq!(vault.user_with(&alices), None);
    assert_eq!(vault.user_with(&carols), None);
}
