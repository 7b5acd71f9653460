//! May they: scopes and step-up, the policy's no, things that are hidden.

use http::StatusCode;
use safeconduct_testkit::client::{Answer, Client};
use serde_json::{Value, json};

use crate::audit::line_of;
use crate::world::{AUDIENCE, HOUR, Plan, World};

const SCOPED: &str =
    "    scopes: { tools/call: [mcp:tools:call, mcp:tools:use], tools/list: [mcp:tools:list] }\n";

fn holding(world: &World, scopes: &str) -> Client {
    Client::modern(&world.url()).bearer(&world.idp.mint("alice", AUDIENCE, scopes, HOUR))
}

/// Row: A7
#[tokio::test(flavor = "multi_thread")]
async fn who_lacks_a_scope_is_told_the_whole_set_and_steps_up() {
    let mut world = World::with(Plan { server: SCOPED.into(), ..Plan::default() }).await;
    let challenge = format!(
        "Bearer error=\"insufficient_scope\", {}, scope=\"mcp:tools:call mcp:tools:use\"",
        world.metadata()
    );
    let mut refused = Vec::new();
    for scopes in ["", "mcp:tools:call", "mcp:tools:use mcp:tools:list", "MCP:tools:call mcp:tools:use"] {
        let answer = holding(&world, scopes).call("echo", json!({"text": "x"})).await.unwrap();
        assert_eq!(answer.status, 403, "{scopes}");
        assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()), "{scopes}");
        let error = answer.message()["error"].clone();
        assert_eq!((&error["code"], &error["data"]["code"]), (&json!(-31403), &json!("SC-P01")));
        assert!(answer.message()["id"].is_u64());
        refused.push(answer);
    }
    assert_eq!((world.server().log().count(), world.idp.exchanges()), (0, 0));
    let whole = "mcp:tools:use backend-mcp:tools:call mcp:tools:call";
    assert_eq!(holding(&world, whole).call("echo", json!({"text": "x"})).await.unwrap().text(), "x");
    // One operation's scopes are not another's.
    assert_eq!(holding(&world, whole).list("tools").await.unwrap().status, 403);
    let lines = world.audit_of("tools/call").await;
    for line in refused.iter().map(|answer| line_of(&lines, answer)) {
        assert_eq!((&line["outcome"], &line["fault"]), (&json!("denied"), &json!("policy")));
        assert_eq!(line["detail"], "needs mcp:tools:call mcp:tools:use");
    }
}

/// An answer without what every answer has of its own: its JSON-RPC id and its request id.
fn face(answer: &Answer) -> (StatusCode, Vec<(String, String)>, Value) {
    let headers =
        answer.headers.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let mut message = answer.message();
    message["id"].take();
    (answer.status, headers, message)
}

/// Row: A17
#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_thing_is_answered_as_one_that_does_not_exist() {
    let mut world = World::start().await;
    let bob = world.modern("bob");
    let alice = world.modern("alice");
    let named = |text: String, from: &str| text.replace(from, "THING");
    let same = async |client: &Client, method: &str, name: &str, there: &str, missing: &str| {
        let ask = |thing: &str| client.request(method, json!({name: thing}));
        let (hidden, unknown) = (ask(there).await.unwrap(), ask(missing).await.unwrap());
        assert!(hidden.error_code().is_some(), "{method} {there}: {}", hidden.message());
        let (hidden, unknown) = (face(&hidden), face(&unknown));
        assert_eq!((hidden.0, hidden.1), (unknown.0, unknown.1.clone()), "{method}");
        assert_eq!(named(hidden.2.to_string(), there), named(unknown.2.to_string(), missing), "{method}");
    };
    // The same length, or the length of the answer would tell.
    same(&bob, "tools/call", "name", "echo", "ohce").await;
    same(&alice, "tools/call", "name", "drop_table", "drop_elbat").await;
    same(&bob, "prompts/get", "name", "greeting", "gnitgree").await;
    same(&bob, "resources/read", "uri", "shop://prices", "shop://secirp").await;
    let before = world.server().log().count();
    let told = bob.call("echo", json!({})).await.unwrap();
    assert_eq!(told.message()["error"], json!({"code": -32602, "message": "Unknown tool: echo"}));
    assert_eq!(world.server().log().count(), before);
    // The operator is told the truth.
    let lines = world.audit_of("tools/call").await;
    assert!(lines.iter().filter(|line| line["target"] == "echo").all(|line| line["code"] == "SC-P02"));
}

/// Row: A17
#[tokio::test(flavor = "multi_thread")]
async fn what_a_list_shows_can_be_called_and_what_it_hides_cannot() {
    let world = World::start().await;
    world.server().release();
    for (user, legacy) in [("alice", false), ("bob", false), ("carol", true)] {
        let client = if legacy { world.legacy(user).await } else { world.modern(user) };
        let shown = client.list("tools").await.unwrap();
        let names = if shown.status == 200 { shown.names() } else { Vec::new() };
        for tool in ["list_orders", "refund", "echo", "show_headers", "drop_table"] {
            let answer = client.call(tool, json!({"amount": 1, "text": "x"})).await.unwrap();
            let called = answer.error_code().is_none();
            assert_eq!(called, names.iter().any(|name| name == tool), "{user} {tool}");
        }
        assert_eq!(names.contains(&"echo".to_owned()), user != "bob");
    }
}

/// Row: A17
#[tokio::test(flavor = "multi_thread")]
async fn a_no_of_the_policy_is_an_answer_to_the_call_with_a_remedy() {
    let world = World::start().await;
    for legacy in [true, false] {
        let client = if legacy { world.legacy("alice").await } else { world.modern("alice") };
        let allowed = client.call("refund", json!({"order": "1", "amount": 500})).await.unwrap();
        assert_eq!((allowed.status.as_u16(), allowed.error_code()), (200, None));
        let before = world.server().log().count();
        let denied = client.call("refund", json!({"order": "1", "amount": 501})).await.unwrap();
        assert_eq!((denied.status.as_u16(), denied.header("www-authenticate")), (200, None));
        let error = &denied.message()["error"];
        let data = json!({
            "code": "SC-P02",
            "fault": "policy",
            "remedy": "Ask finance to refund more than 500.",
            "request_id": denied.header("x-request-id").unwrap(),
        });
        assert_eq!(*error, json!({"code": -31403, "message": "denied by policy", "data": data}));
        assert_eq!(world.server().log().count(), before);
    }
    // What is no request has only HTTP to say it with.
    let bob = world.legacy("bob").await;
    assert_eq!(bob.notify("notifications/roots/list_changed", json!({})).await.unwrap().status, 202);
    let forbidden = bob.listen(None).await.unwrap();
    assert!([200, 403].contains(&forbidden.status.as_u16()));
}

/// Row: P6
#[tokio::test(flavor = "multi_thread")]
async fn what_names_a_thing_by_reference_needs_the_right_to_the_thing() {
    let policies = r#"
permit (principal in Group::"corp/support", action, resource in Server::"orders")
unless { resource == Resource::"orders/shop://salaries" || resource == Prompt::"orders/audit_report" };
"#;
    let world = World::with(Plan { policies: policies.into(), ..Plan::default() }).await;
    let client = world.legacy("alice").await;
    let completion = |kind: &str, key: &str, name: &str| json!({"ref": {"type": kind, key: name}, "argument": {"name": "who", "value": "a"}});
    let asks = |good: bool| {
        let (prompt, resource) =
            if good { ("greeting", "shop://prices") } else { ("audit_report", "shop://salaries") };
        [
            ("prompts/get", json!({"name": prompt})),
            ("resources/read", json!({"uri": resource})),
            ("resources/subscribe", json!({"uri": resource})),
            ("completion/complete", completion("ref/prompt", "name", prompt)),
            ("completion/complete", completion("ref/resource", "uri", resource)),
        ]
    };
    for (method, params) in asks(true) {
        let answer = client.request(method, params.clone()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.error_code()), (200, None), "{method} {params}");
    }
    let before = world.server().log().count();
    for (method, params) in asks(false) {
        let answer = client.request(method, params.clone()).await.unwrap();
        assert!(answer.error_code().is_some(), "{method} {params}");
        assert_eq!(answer.status, 200);
    }
    assert_eq!(world.server().log().count(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_only_the_life_of_a_connection_is_open() {
    let world = World::with(Plan { policies: "// nothing\n".into(), ..Plan::default() }).await;
    let client = world.legacy("alice").await;
    assert_eq!(client.request("ping", json!({})).await.unwrap().error_code(), None);
    assert_eq!(
        client.request("logging/setLevel", json!({"level": "debug"})).await.unwrap().error_code(),
        None
    );
    let before = world.server().log().count();
    for (method, params) in [
        ("tools/call", json!({"name": "echo"})),
        ("prompts/get", json!({"name": "greeting"})),
        ("resources/read", json!({"uri": "shop://prices"})),
        ("resources/subscribe", json!({"uri": "shop://prices"})),
    ] {
        assert!(client.request(method, params).await.unwrap().error_code().is_some(), "{method}");
    }
    assert_eq!(world.server().log().count(), before);
    assert_eq!(client.list("tools").await.unwrap().names(), Vec::<String>::new());
    assert_eq!(client.end().await.unwrap().status, 204);
}
