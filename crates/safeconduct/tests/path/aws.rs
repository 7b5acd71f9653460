//! Into AWS: each caller's own keys, and every request signed with them.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use safeconduct_testkit::aws::{Role, Trusts};
use safeconduct_testkit::client::{Answer, Client};
use safeconduct_testkit::clock::Clock;
use safeconduct_testkit::keys::claims_of;
use safeconduct_testkit::wire::{Reply, Seen};
use serde_json::{Value, json};

use crate::audit::line_of;
use crate::patience::within;
use crate::world::{AUDIENCE, Behind, HOUR, Plan, World};

const POLICIES: &str =
    r#"permit (principal in Group::"corp/support", action, resource in Server::"orders");"#;
const SIGNED: &str = "    deliver: { sigv4: { region: us-east-1, service: aws-mcp } }";

fn step(more: &str) -> String {
    format!(
        "aws_web_identity: {{ region: eu-central-1, endpoint: \"@STS@\", role: \"arn:aws:iam::123456789012:role/Mcp\"{more} }}"
    )
}

fn planned(clock: Clock) -> Plan {
    let roles = vec![Role::for_callers("Mcp", &["warehouse:ReadStock"])];
    Plan {
        policies: POLICIES.into(),
        credential: format!("[{{ {} }}]", step("")),
        server: SIGNED.into(),
        aws: Some((roles, clock)),
        ..Plan::default()
    }
}

async fn world() -> World {
    World::with(planned(Clock::system())).await
}

/// As whom a tool was served.
fn served_as(answer: &Answer) -> Value {
    answer.result()["structuredContent"]["answer"]["as"].clone()
}

fn code(answer: &Answer) -> Value {
    answer.message()["error"]["data"]["code"].clone()
}

fn key_id(seen: &Seen) -> String {
    let value = seen.header("authorization").unwrap();
    value.strip_prefix("AWS4-HMAC-SHA256 Credential=").unwrap().split('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_reaches_the_server_by_keys_of_their_own_in_either_revision() {
    let mut world = world().await;
    let (alice, carol) = (world.legacy("alice").await, world.modern("carol"));
    for (client, user) in [(&alice, "alice"), (&carol, "carol")] {
        for _ in 0..2 {
            let answer = client
                .call("read_warehouse", json!({"note": "Gr\u{fc}\u{df}e, \u{4e16}\u{754c} \u{1f642}"}))
                .await
                .unwrap();
            assert_eq!(
                served_as(&answer),
                format!("arn:aws:sts::123456789012:assumed-role/Mcp/{user}"),
                "{}",
                answer.text()
            );
        }
    }
    let issued = world.aws().account().issued();
    assert_eq!(issued.len(), 2, "once for each");
    for seen in world.server().log().all() {
        let session = issued.iter().find(|session| session.id == key_id(&seen)).unwrap();
        assert_eq!(seen.header("x-amz-security-token"), Some(&*session.token));
        assert!(!seen.mentions(&session.secret));
        assert!(seen.bearer().is_none());
    }
    for user in ["alice", "carol"] {
        let asked = world
            .aws()
            .log()
            .all()
            .into_iter()
            .find(|seen| seen.form().one("RoleSessionName") == Some(user))
            .unwrap();
        assert_eq!(
            claims_of(asked.form().one("WebIdentityToken").unwrap())["sub"],
            user,
            "the caller's own token is shown to AWS"
        );
        assert!(asked.header("authorization").is_none());
    }
    let lines = world.audit_of("tools/call").await;
    assert_eq!(lines.len(), 4);
    for line in lines {
        assert_eq!(line["credential"]["steps"], json!(["aws_web_identity"]));
        assert_eq!(line["credential"]["audience"], json!(["arn:aws:iam::123456789012:role/Mcp"]));
    }
}

/// Edge: 98
#[tokio::test(flavor = "multi_thread")]
async fn streams_and_the_end_of_a_session_are_signed_too() {
    let world = world().await;
    let client = world.legacy("alice").await;
    let mut stream = within(client.listen(None)).await.unwrap();
    assert_eq!(stream.status, 200);
    world.server().announce("notifications/tools/list_changed", &json!({}));
    let news = within(stream.next_message()).await.unwrap().unwrap();
    assert_eq!(news["method"], "notifications/tools/list_changed");
    drop(stream);
    assert_eq!(client.end().await.unwrap().status, 204);
    let mut subscription = within(
        world
            .modern("alice")
            .open("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})),
    )
    .await
    .unwrap();
    assert_eq!(subscription.status, 200);
    assert!(within(subscription.next_message()).await.unwrap().is_some());
    let methods: Vec<String> =
        world.server().log().all().iter().map(|seen| seen.method.to_string()).collect();
    assert!(methods.contains(&"GET".to_owned()) && methods.contains(&"DELETE".to_owned()));
    assert!(world.server().log().all().iter().all(|seen| seen.header("authorization").is_some()));
}

/// Edge: 98, 108
#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_of_signatures_and_of_hops_is_not_believed() {
    let world = world().await;
    let mut request = world.modern("alice").message("tools/call", json!({"name": "read_warehouse"})).unwrap();
    for (name, value) in [
        ("x-amz-date", "19700101T000000Z"),
        ("x-amz-security-token", "another's"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-forwarded-host", "elsewhere"),
        ("connection", "x-amz-date, authorization, mcp-method"),
    ] {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let answer = Client::modern(&world.url()).send(request).await.unwrap();
    assert_eq!(served_as(&answer), "arn:aws:sts::123456789012:assumed-role/Mcp/alice", "{}", answer.text());
    let seen = world.server().log().last().unwrap();
    assert!(seen.header("x-amz-date").unwrap().starts_with("20") && !seen.mentions("another's"));
    for absent in ["x-amz-content-sha256", "x-forwarded-host", "connection"] {
        assert!(seen.header(absent).is_none(), "{absent}");
    }
    let authorization = seen.header("authorization").unwrap();
    let signed = authorization.split_once("SignedHeaders=").unwrap().1.split(',').next().unwrap();
    assert_eq!(
        signed,
        "content-type;host;mcp-method;mcp-name;mcp-protocol-version;x-amz-date;x-amz-security-token"
    );
}

/// Edge: 99
#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_clock_is_six_minutes_ahead_teaches_it_once() {
    let mut world = World::with(planned(Clock::ahead(Duration::from_secs(360)))).await;
    let client = world.modern("alice");
    for _ in 0..3 {
        let answer = client.call("read_warehouse", json!({})).await.unwrap();
        assert_eq!(
            served_as(&answer),
            "arn:aws:sts::123456789012:assumed-role/Mcp/alice",
            "{}",
            answer.text()
        );
    }
    assert_eq!(world.server().log().count(), 4, "the first one was signed anew");
    assert_eq!(world.aws().log().count(), 1, "for a wrong clock no new keys are bought");
    assert_eq!(world.outcomes().await["answered"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_clock_is_hours_off_is_not_believed() {
    let mut world = World::with(planned(Clock::ahead(2 * HOUR))).await;
    let token = world.idp.mint("alice", AUDIENCE, "backend-mcp:tools:call", 4 * HOUR);
    let client = Client::modern(&world.url()).bearer(&token);
    let answer = client.call("read_warehouse", json!({})).await.unwrap();
    assert_eq!(code(&answer), "SC-G05");
    let line = line_of(&world.audit().await, &answer).clone();
    assert_eq!((&line["fault"], &line["outcome"]), (&json!("gateway"), &json!("failed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_have_ended_are_acquired_anew_once_and_the_call_is_sent_again() {
    for ended in [true, false] {
        let world = world().await;
        let client = world.modern("alice");
        assert!(served_as(&client.call("read_warehouse", json!({})).await.unwrap()).is_string());
        match ended {
            true => world.aws().account().end_all(),
            false => world.aws().account().take_back_all(),
        }
        let answer = client.call("read_warehouse", json!({})).await.unwrap();
        assert_eq!(
            served_as(&answer),
            "arn:aws:sts::123456789012:assumed-role/Mcp/alice",
            "{}",
            answer.text()
        );
        assert_eq!((world.server().log().count(), world.aws().log().count()), (3, 2));
        // It does not happen over and over (edge case 64).
        world.aws().account().take_back_all();
        let answer = client.call("read_warehouse", json!({})).await.unwrap();
        assert_eq!(code(&answer), "SC-B03");
        assert_eq!((world.server().log().count(), world.aws().log().count()), (4, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_for_another_region_is_the_gateways_fault() {
    let server = SIGNED.replace("us-east-1", "eu-west-1");
    let mut world = World::with(Plan { server, ..planned(Clock::system()) }).await;
    let answer = world.modern("alice").call("read_warehouse", json!({})).await.unwrap();
    assert_eq!((answer.status, code(&answer)), (StatusCode::OK, json!("SC-G05")));
    assert!(!answer.text().contains("AWS4"), "{}", answer.text());
    assert_eq!((world.server().log().count(), world.aws().log().count()), (1, 1));
    let line = line_of(&world.audit().await, &answer).clone();
    assert_eq!((&line["fault"], &line["backend"]["status"]), (&json!("gateway"), &json!(403)));
}

/// Edge: 110
#[tokio::test(flavor = "multi_thread")]
async fn what_aws_refuses_reaches_no_server() {
    let roles = vec![Role::for_callers("Mcp", &[]).only(&["carol"])];
    let world = World::with(Plan { aws: Some((roles, Clock::system())), ..planned(Clock::system()) }).await;
    assert!(world.modern("carol").call("echo", json!({"text": "x"})).await.unwrap().text().contains('x'));
    let answer = world.modern("alice").call("read_warehouse", json!({})).await.unwrap();
    assert_eq!(code(&answer), "SC-C02");
    assert!(!answer.text().contains("sts:"), "AWS's words are the operator's");
    let carol = world.aws().account().issued().pop().unwrap();
    assert!(world.server().log().all().iter().all(|seen| key_id(seen) == carol.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_role_is_assumed_with_tags_and_a_source_identity_of_the_caller() {
    let reporting = Role {
        trusts: Trusts::Role {
            name: "Mcp".into(),
            external_id: Some("corp-1".into()),
            tags: vec!["Subject".into()],
        },
        ..Role::behind("Mcp", "Reporting", &["warehouse:ReadStock"])
    };
    let second = "aws_assume_role: { region: eu-central-1, endpoint: \"@STS@\", role: \"arn:aws:iam::123456789012:role/Reporting\", external_id: corp-1, source_identity: \"{subject}\", tags: { Subject: \"{subject}\", Note: \"a long note that may go\" }, transitive_tags: [Subject], optional_tags: [Note] }";
    let credential = format!("[{{ {} }}, {{ {second} }}]", step(""));
    let roles = vec![Role::for_callers("Mcp", &[]), reporting];
    let plan = Plan { credential, aws: Some((roles, Clock::system())), ..planned(Clock::system()) };
    let mut world = World::with(plan).await;
    world.aws().account().set_packed_limit(20);
    let answer = world.modern("alice").call("read_warehouse", json!({})).await.unwrap();
    assert_eq!(
        served_as(&answer),
        "arn:aws:sts::123456789012:assumed-role/Reporting/alice",
        "{}",
        answer.text()
    );
    let issued = world.aws().account().issued();
    let session = issued.iter().find(|session| session.role == "Reporting").unwrap();
    assert_eq!(session.source_identity.as_deref(), Some("alice"));
    assert_eq!(
        session.tags.iter().collect::<Vec<_>>(),
        [(&"Subject".to_owned(), &"alice".to_owned())],
        "the note had no room"
    );
    assert_eq!(session.transitive, ["Subject"]);
    let asked: Vec<Option<String>> =
        world.aws().log().all().iter().map(|seen| seen.form().one("Action").map(str::to_owned)).collect();
    assert_eq!(
        asked.iter().flatten().collect::<Vec<_>>(),
        ["AssumeRoleWithWebIdentity", "AssumeRole", "AssumeRole"]
    );

    // The server refuses the second role's keys, and the first one's have ended meanwhile, too: both anew.
    world.aws().account().end_all();
    let answer = world.modern("alice").call("read_warehouse", json!({})).await.unwrap();
    assert_eq!(
        served_as(&answer),
        "arn:aws:sts::123456789012:assumed-role/Reporting/alice",
        "{}",
        answer.text()
    );
    let lines = world.audit_of("tools/call").await;
    assert_eq!(lines[0]["credential"]["steps"], json!(["aws_web_identity", "aws_assume_role"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_follows_from_the_callers_group() {
    let top = "group_maps: { roles: { support: \"arn:aws:iam::123456789012:role/Support\", everyone: \"arn:aws:iam::123456789012:role/Guests\" } }";
    let credential = "[{ aws_web_identity: { region: eu-central-1, endpoint: \"@STS@\", role: \"{group:roles}\", duration: 15m, policy: '{\"Version\":\"2012-10-17\",\"Statement\":[]}' } }]";
    let roles =
        vec![Role::for_callers("Support", &["warehouse:ReadStock"]), Role::for_callers("Guests", &[])];
    let plan = Plan {
        policies: "permit (principal, action, resource in Server::\"orders\");".into(),
        top: top.into(),
        credential: credential.into(),
        aws: Some((roles, Clock::system())),
        ..planned(Clock::system())
    };
    let world = World::with(plan).await;
    let alice = world.modern("alice").call("read_warehouse", json!({})).await.unwrap();
    assert_eq!(served_as(&alice), "arn:aws:sts::123456789012:assumed-role/Support/alice");
    let bob = world.modern("bob").call("read_warehouse", json!({})).await.unwrap();
    assert!(
        bob.text().contains("assumed-role/Guests/bob is not authorized to perform: warehouse:ReadStock"),
        "{}",
        bob.text()
    );
    let form = world.aws().log().last().unwrap().form();
    assert_eq!(
        (form.one("DurationSeconds"), form.one("Policy")),
        (Some("900"), Some(r#"{"Version":"2012-10-17","Statement":[]}"#))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_server_itself_passes_as_it_is() {
    let mut plan = planned(Clock::system());
    plan.behind = Behind::Scripted;
    let world = World::with(plan).await;
    let long = "ExpiredToken ".repeat(3000);
    world.backend().answers(move |seen| {
        let error = json!({"code": -32602, "message": "Signature expired", "data": long});
        Reply::json(
            StatusCode::BAD_REQUEST,
            &json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error}),
        )
    });
    let answer = world.modern("alice").call("read_warehouse", json!({})).await.unwrap();
    assert_eq!((answer.status, answer.error_code()), (StatusCode::BAD_REQUEST, Some(-32602)));
    assert_eq!(answer.message()["error"]["data"].as_str().unwrap().len(), 13 * 3000, "all of it");
    assert_eq!(world.backend().log().count(), 1, "it was asked once");
}
