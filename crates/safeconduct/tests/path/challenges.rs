//! What a backend says when it refuses a credential ends here, as something that the caller's client can act on; and what
//! is not the credential's fault costs no credential.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use safeconduct_testkit::backend::Step;
use safeconduct_testkit::client::Answer;
use safeconduct_testkit::wire::{Reply, Seen};
use serde_json::{Value, json};

use crate::audit::line_of;
use crate::patience::within;
use crate::world::{Plan, World};

const CLAIMS: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}"#;

fn fine(seen: &Seen) -> Reply {
    let result = json!({"resultType": "complete", "content": [{"type": "text", "text": "fine"}]});
    Reply::json(StatusCode::OK, &json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result}))
}

fn challenge(status: StatusCode, challenges: &[String]) -> Reply {
    let reply = Reply::json(status, &json!({"error": "no"}));
    challenges.iter().fold(reply, |reply, challenge| reply.header("www-authenticate", challenge))
}

fn told(answer: &Answer) -> String {
    let challenge = answer.header("www-authenticate").unwrap_or_default().to_owned();
    let all = format!("{:?}{}", answer.headers, String::from_utf8_lossy(&answer.body));
    assert!(!all.contains("backend.example") && !all.contains("microsoftonline"), "{all}");
    challenge
}

/// Edge: 57, 61
#[tokio::test(flavor = "multi_thread")]
async fn claims_that_the_backend_wants_are_asked_of_the_callers_login() {
    let mut world = World::with(Plan::scripted()).await;
    let client = world.modern("alice");
    world.backend().answers(fine);
    assert_eq!(client.call("echo", json!({})).await.unwrap().text(), "fine");
    let claims = STANDARD.encode(CLAIMS);
    let uri = "https://login.microsoftonline.com/common/oauth2/v2.0/authorize";
    world.backend().script(challenge(
        StatusCode::UNAUTHORIZED,
        &[
            "Basic realm=\"backend.example\"".into(),
            format!("Bearer realm=\"\", claims=\"{claims}\", authorization_uri=\"{uri}\", error=\"insufficient_claims\""),
        ],
    ));
    let refused = client.call("echo", json!({})).await.unwrap();
    assert_eq!((refused.status, refused.error_code()), (StatusCode::UNAUTHORIZED, Some(-31401)));
    assert_eq!(refused.message()["error"]["data"]["code"], "SC-C03");
    let challenge = told(&refused);
    assert!(
        challenge.starts_with("Bearer error=\"insufficient_claims\", resource_metadata=\"http://127.0.0.1"),
        "{challenge}"
    );
    assert!(challenge.ends_with(&format!("claims=\"{claims}\"")), "{challenge}");
    // No step of this chain could have asked for them; the credential is as good as before for other calls.
    assert_eq!((world.idp.exchanges(), world.backend().log().count()), (1, 2));
    assert_eq!(client.call("echo", json!({})).await.unwrap().text(), "fine");
    assert_eq!(world.idp.exchanges(), 1);
    let line = line_of(&world.audit().await, &refused);
    assert_eq!((&line["fault"], &line["detail"]), (&json!("caller"), &json!("a login with claims")));
    assert_eq!(line["backend"]["status"], 401);
}

/// Edge: 58, 61
#[tokio::test(flavor = "multi_thread")]
async fn a_better_login_that_the_backend_wants_is_asked_of_the_caller() {
    let world = World::with(Plan::scripted()).await;
    let client = world.modern("alice");
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        let wants = "Bearer resource_metadata=\"https://backend.example\", max_age=300, acr_values=\"gold silver\", error=\"insufficient_user_authentication\"";
        world.backend().script(challenge(status, &[wants.into()]));
        let refused = client.call("echo", json!({})).await.unwrap();
        assert_eq!(
            (refused.status, &refused.message()["error"]["data"]["code"]),
            (StatusCode::UNAUTHORIZED, &json!("SC-C03"))
        );
        let challenge = told(&refused);
        assert!(challenge.starts_with("Bearer error=\"insufficient_user_authentication\", "), "{challenge}");
        assert!(challenge.ends_with(", acr_values=\"gold silver\", max_age=300"), "{challenge}");
    }
    assert_eq!((world.idp.exchanges(), world.backend().log().count()), (1, 2));
}

/// Whose login should be better, where the server is asked with nobody's?
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_in_nobodys_name_sends_nobody_to_a_login() {
    let world = World::with(Plan { credential: "none".into(), ..Plan::scripted() }).await;
    let wants = "Bearer error=\"insufficient_user_authentication\", acr_values=\"gold\"";
    world.backend().script(challenge(StatusCode::UNAUTHORIZED, &[wants.into()]));
    let refused = world.modern("alice").call("echo", json!({})).await.unwrap();
    assert_eq!(
        (refused.status, &refused.message()["error"]["data"]["code"]),
        (StatusCode::OK, &json!("SC-B03"))
    );
    assert_eq!(told(&refused), "");
}

/// Edge: 66, 61
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_at_the_backend_costs_no_credential() {
    let world = World::with(Plan::scripted()).await;
    let client = world.modern("alice");
    world.backend().answers(fine);
    assert_eq!(client.call("echo", json!({})).await.unwrap().text(), "fine");
    let first = world.backend().log().last().unwrap().bearer().unwrap().to_owned();
    for status in [StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED] {
        let lacks = "Bearer error=\"insufficient_scope\", scope=\"files:write\", resource_metadata=\"https://backend.example\"";
        world.backend().script(challenge(status, &[lacks.into()]));
        let refused = client.call("echo", json!({})).await.unwrap();
        assert_eq!(
            (refused.status, &refused.message()["error"]["data"]["code"]),
            (StatusCode::OK, &json!("SC-B03"))
        );
        assert_eq!(told(&refused), "");
    }
    assert_eq!(client.call("echo", json!({})).await.unwrap().text(), "fine");
    assert_eq!((world.idp.exchanges(), world.backend().log().count()), (1, 4));
    assert_eq!(world.backend().log().last().unwrap().bearer(), Some(&*first), "the same as before");
}

/// Edge: 62, 63
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_refused_together_buy_one_new_credential_together() {
    let world = World::with(Plan::scripted()).await;
    let client = std::sync::Arc::new(world.modern("alice"));
    world.backend().answers(fine);
    assert_eq!(client.call("echo", json!({})).await.unwrap().text(), "fine");
    let old = world.backend().log().last().unwrap().bearer().unwrap().to_owned();
    let revoked = old.clone();
    world.backend().answers(move |seen| match seen.bearer() {
        Some(token) if token == revoked => {
            challenge(StatusCode::UNAUTHORIZED, &["Bearer error=\"invalid_token\"".into()])
        }
        _ => fine(seen),
    });
    let calls = (0..16).map(|_| client.call("echo", json!({})));
    for answer in within(futures_util::future::join_all(calls)).await {
        assert_eq!(answer.unwrap().text(), "fine");
    }
    assert_eq!(world.idp.exchanges(), 2, "one for all of them");
    let seen = world.backend().log().all();
    assert!(seen.len() <= 33, "each was sent twice at most: {}", seen.len());
    assert_eq!(seen.iter().filter(|seen| seen.bearer() != Some(&*old)).count(), 16);
}

/// Edge: 64
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_always_refuses_costs_two_credentials_and_no_loop() {
    let world = World::with(Plan::scripted()).await;
    world
        .backend()
        .answers(|_| challenge(StatusCode::UNAUTHORIZED, &["Bearer error=\"invalid_token\"".into()]));
    let client = world.modern("alice");
    for _ in 0..20 {
        let refused = client.call("echo", json!({})).await.unwrap();
        assert_eq!(refused.message()["error"]["data"]["code"], "SC-B03");
        assert_eq!(told(&refused), "");
    }
    assert_eq!(world.idp.exchanges(), 2);
    assert_eq!(world.backend().log().count(), 21, "twice for the first call, once for each of the others");
}

/// Edge: 65
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_on_a_stream_that_has_begun_is_not_sent_again() {
    let world = World::with(Plan::scripted()).await;
    let client = world.modern("alice");
    let note = || Step::message(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}));
    let refusal =
        json!({"jsonrpc": "2.0", "id": 1, "error": {"code": 401, "message": "Unauthorized: token expired"}});
    for end in [Step::message(&refusal), Step::Cut] {
        world.backend().script_events([note(), Step::Pause(Duration::from_millis(50)), end]);
        let mut stream = within(client.open("tools/call", json!({"name": "echo"}))).await.unwrap();
        let mut seen: Vec<Value> = Vec::new();
        while let Ok(Some(message)) = within(stream.next_message()).await {
            seen.push(message);
        }
        assert!(!seen.is_empty());
    }
    assert_eq!((world.backend().log().count(), world.idp.exchanges()), (2, 1));
}
