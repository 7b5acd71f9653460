//! Google, through the gateway: each caller's own principal, and a service account behind which the caller stands.

use serde_json::{Value, json};

use crate::world::{POOL, Plan, World};

fn planned(more: &str) -> Plan {
    let sts = format!(
        "{{ google_sts: {{ audience: \"{POOL}\", token_endpoint: \"@GOOGLE@/v1/token\", scopes: [\"https://www.googleapis.com/auth/bigquery\"] }} }}"
    );
    Plan { credential: format!("[{sts}{more}]"), ..Plan::default() }
}

const IMPERSONATE: &str = ", { google_impersonate: { service_account: analyst@p.iam.gserviceaccount.com, endpoint: \"@GOOGLE@\", \
     scopes: [\"https://www.googleapis.com/auth/bigquery\"], lifetime: 15m } }";

/// A call of this user, and what Google sees in the token that the server was asked with.
async fn called(world: &World, user: &str) -> Value {
    let answer = world.modern(user).call("echo", json!({"text": "hello"})).await.unwrap();
    assert!(answer.text().contains("hello"), "{}", answer.message());
    let seen = world.server().log().last().unwrap();
    world.google().seen_as(seen.bearer().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_is_its_own_principal_at_google_and_the_callers_token_goes_to_googles_form_only() {
    let mut world = World::with(planned("")).await;
    for user in ["alice", "carol"] {
        let seen = called(&world, user).await;
        let principal = format!(
            "principal://iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/corp/subject/{user}"
        );
        assert_eq!((&seen["iss"], &seen["sub"]), (&json!("https://sts.googleapis.com"), &json!(principal)));
    }
    called(&world, "alice").await;
    assert_eq!(world.google().log().to("/v1/token").len(), 2, "one exchange a caller");
    let lines = world.audit_of("tools/call").await;
    assert_eq!(lines[0]["credential"]["steps"], json!(["google_sts"]));
    assert_eq!(lines[0]["credential"]["audience"], json!([POOL]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_is_reached_by_those_who_may_and_google_knows_who_is_behind_it() {
    let mut world = World::with(planned(IMPERSONATE)).await;
    let seen = called(&world, "alice").await;
    assert_eq!(seen["sub"], "analyst@p.iam.gserviceaccount.com");
    assert!(seen["act"]["sub"].as_str().unwrap().ends_with("/subject/alice"), "{seen}");
    // Of the same group, but not among those who may impersonate: said so, by the step that failed, without a login prompt.
    let refused = world.modern("carol").call("echo", json!({"text": "x"})).await.unwrap();
    assert_eq!(
        (refused.status.as_u16(), refused.message()["error"]["data"]["code"].as_str()),
        (200, Some("SC-C02"))
    );
    assert_eq!(world.server().log().all().iter().filter(|seen| seen.mentions("\"x\"")).count(), 0);
    let lines = world.audit_of("tools/call").await;
    let denied = lines.iter().find(|line| line["outcome"] == "denied").unwrap();
    assert!(denied["detail"].as_str().unwrap().contains("google_impersonate"), "{denied}");
}
