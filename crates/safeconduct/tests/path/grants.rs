//! The other grants, through the gateway: the gateway's own token, and identity across two domains.

use safeconduct_testkit::clock::Clock;
use safeconduct_testkit::verify::{Trust, Verifier};
use safeconduct_testkit::wire::Fault;
use serde_json::{Value, json};

use crate::world::{BACKEND, Plan, World};

fn planned(credential: &str) -> Plan {
    Plan { credential: credential.into(), ..Plan::default() }
}

/// A call of this user, and the verified claims of what the server was asked with.
async fn called(world: &World, user: &str, issuer: &str) -> Value {
    let client = world.legacy(user).await;
    let answer = client.call("echo", json!({"text": "hello"})).await.unwrap();
    assert!(answer.text().contains("hello"), "{}", answer.message());
    let trust = Trust { issuer: issuer.into(), audiences: vec![BACKEND.into()] };
    let seen = world.server().log().last().unwrap();
    Verifier::new(trust, Clock::system()).verify(seen.bearer().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_reached_as_the_gateway_itself_by_every_caller_and_the_record_says_so() {
    let mut world = World::with(planned(
        r#"[{ client_credentials: { token_endpoint: "@IDP@/token", client: gateway, scopes: ["backend-api:read"] } }]"#,
    ))
    .await;
    world.idp.serve("gateway", BACKEND, &["backend-api:read"]);
    for user in ["alice", "carol"] {
        let claims = called(&world, user, world.idp.issuer()).await;
        assert_eq!((&claims["sub"], &claims["scope"]), (&json!("gateway"), &json!("backend-api:read")));
    }
    assert_eq!(world.idp.exchanges(), 1, "one token for all");
    let lines = world.audit_of("tools/call").await;
    let whose: Vec<_> =
        lines.iter().map(|line| (&line["principal"]["subject"], &line["credential"]["identity"])).collect();
    assert_eq!(whose, [(&json!("alice"), &json!("gateway")), (&json!("carol"), &json!("gateway"))]);
    assert_eq!(lines[0]["credential"]["steps"], json!(["client_credentials"]));
}

const ID_JAG: &str = r#"
      - id_jag:
          token_endpoint: "@IDP@/token"
          client: gateway
          audience: "@ABROAD@"
          resource: https://files.example
          scopes: ["files.read"]
          subject_token_type: access_token
      - jwt_bearer: { token_endpoint: "@ABROAD@/token", client: gateway, scopes: ["files.read"], expected_audience: backend-server }"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_assertion_takes_each_caller_into_the_other_domain() {
    let mut world = World::with(planned(ID_JAG)).await;
    for user in ["alice", "carol"] {
        let claims = called(&world, user, world.abroad().issuer()).await;
        assert_eq!((&claims["sub"], &claims["scope"]), (&json!(user), &json!("files.read")));
    }
    let signature = world.token("alice").rsplit('.').next().unwrap().to_owned();
    assert!(!world.abroad().log().mentions(&signature), "the caller's token stays at home");
    let lines = world.audit_of("tools/call").await;
    assert_eq!(lines[0]["credential"]["steps"], json!(["id_jag", "jwt_bearer"]));
    assert_eq!(lines[0]["credential"]["identity"], "caller");
}

const CHAINED: &str = r#"
      - exchange: { token_endpoint: "@IDP@/token", client: gateway, audience: "@ABROAD@", requested_token_type: jwt }
      - jwt_bearer: { token_endpoint: "@ABROAD@/token", client: gateway, single_use: true }"#;

/// Edge: 54
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_for_one_use_survives_a_lost_answer_because_a_new_one_is_got() {
    let world = World::with(planned(CHAINED)).await;
    world.abroad().take_once();
    world.abroad().faults().at("/token", 1, Fault::Truncate(10));
    let claims = called(&world, "alice", world.abroad().issuer()).await;
    assert_eq!(claims["sub"], "alice");
    let presented: Vec<String> = world
        .abroad()
        .log()
        .to("/token")
        .iter()
        .map(|seen| seen.form().one("assertion").unwrap().to_owned())
        .collect();
    assert_eq!(presented.len(), 2);
    assert_ne!(presented[0], presented[1]);
}
