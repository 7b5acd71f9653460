//! Messages that go both ways on legacy streams: requests of the server, their answers, notifications, tasks.

use http::StatusCode;
use safeconduct_testkit::client::Client;
use safeconduct_testkit::server::Options;
use safeconduct_testkit::wire::Reply;
use serde_json::{Value, json};

use crate::patience::within;
use crate::world::{Behind, Plan, World};

/// Row: T14
#[tokio::test(flavor = "multi_thread")]
async fn a_question_of_the_server_and_its_answer_pass_both_ways() {
    let world = World::start().await;
    let client = world.legacy("alice").await;
    let params = json!({"name": "ask", "arguments": {}});
    let mut stream = within(client.open("tools/call", params)).await.unwrap();
    let question = within(stream.next_message()).await.unwrap().unwrap();
    assert_eq!(question["method"], "elicitation/create");
    let given = json!({"action": "accept", "content": {"name": "Alice"}});
    let accepted = client.respond(&question["id"], given.clone()).await.unwrap();
    assert_eq!((accepted.status.as_u16(), accepted.body.len()), (202, 0));
    let answer = within(stream.next_message()).await.unwrap().unwrap();
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), given);
}

/// Row: T15
#[tokio::test(flavor = "multi_thread")]
async fn only_whom_the_server_asked_may_answer() {
    let world = World::start().await;
    let (alice, carol) = (world.legacy("alice").await, world.legacy("carol").await);
    let params = json!({"name": "ask", "arguments": {}});
    let mut stream = within(alice.open("tools/call", params)).await.unwrap();
    let question = within(stream.next_message()).await.unwrap().unwrap();
    let before = world.server().log().count();
    let forged = json!({"action": "accept", "content": {"name": "Mallory"}});
    for (who, id) in [(&carol, &question["id"]), (&alice, &json!("server-999")), (&alice, &json!(1))] {
        let refused = who.respond(id, forged.clone()).await.unwrap();
        assert_eq!(refused.status, 400, "{id}");
    }
    // Another session of the same caller was not asked either.
    let second = world.legacy("alice").await;
    let logged = world.server().log().count();
    assert_eq!(second.respond(&question["id"], forged).await.unwrap().status, 400);
    assert_eq!(world.server().log().count(), logged);
    assert_eq!(logged - before, 2, "the second session's greeting and nothing else");
    let honest = alice.respond(&question["id"], json!({"action": "decline"})).await.unwrap();
    assert_eq!(honest.status, 202);
    assert!(within(stream.next_message()).await.unwrap().unwrap()["result"].is_object());
}

/// Row: T16
#[tokio::test(flavor = "multi_thread")]
async fn each_message_is_on_one_stream_only() {
    let options = Options { events: true, ..Options::default() };
    let world = World::with(Plan { behind: Behind::Server(options), ..Plan::default() }).await;
    let client = world.legacy("alice").await;
    let mut standing = within(client.listen(None)).await.unwrap();
    let call = |token: &'static str| {
        let params =
            json!({"name": "progress", "arguments": {"steps": 2}, "_meta": {"progressToken": token}});
        client.request("tools/call", params)
    };
    let answers = tokio::join!(call("one"), call("two"), call("three"));
    for (answer, token) in [(answers.0, "one"), (answers.1, "two"), (answers.2, "three")] {
        let answer = answer.unwrap();
        assert_eq!(answer.events.len(), 3);
        assert!(answer.events[..2].iter().all(|event| event.json()["params"]["progressToken"] == token));
        assert_eq!(answer.text(), "counted to 2");
    }
    world.server().announce("notifications/tools/list_changed", &json!({}));
    let announced = within(standing.next_message()).await.unwrap().unwrap();
    assert_eq!(announced["method"], "notifications/tools/list_changed");
}

/// Row: T18
#[tokio::test(flavor = "multi_thread")]
async fn progress_logging_and_cancellation_pass_in_order() {
    let world = World::start().await;
    let client = world.legacy("alice").await;
    assert_eq!(client.request("logging/setLevel", json!({"level": "debug"})).await.unwrap().status, 200);
    let params = json!({"name": "progress", "arguments": {"steps": 20}, "_meta": {"progressToken": 5}});
    let answer = client.request("tools/call", params).await.unwrap();
    let steps: Vec<_> =
        answer.events.iter().filter_map(|event| event.json()["params"]["progress"].as_u64()).collect();
    assert_eq!(steps, (1..=20).collect::<Vec<_>>());
    let cancelled = json!({"requestId": 3, "reason": "enough"});
    assert_eq!(client.notify("notifications/cancelled", cancelled.clone()).await.unwrap().status, 202);
    let methods: Vec<_> =
        world.server().log().all().iter().map(|seen| seen.json()["method"].clone()).collect();
    let expected = [
        "initialize",
        "notifications/initialized",
        "logging/setLevel",
        "tools/call",
        "notifications/cancelled",
    ];
    assert_eq!(methods, expected.map(Value::from));
    assert_eq!(world.server().log().last().unwrap().json()["params"], cancelled);
}

const TASKS: &str = r#"
permit (principal in Group::"corp/support", action, resource in Server::"other");
"#;

/// Row: T19, A19
#[tokio::test(flavor = "multi_thread")]
async fn a_task_behind_a_shared_credential_is_its_makers_only() {
    let world = World::with(Plan { policies: TASKS.into(), ..Plan::scripted() }).await;
    let client = |user: &str| Client::legacy(&format!("{}/other/mcp", world.base)).bearer(&world.token(user));
    let (alice, carol) = (client("alice"), client("carol"));
    let task = |id: &str| json!({"taskId": id, "status": "working", "ttl": 60_000});
    world.backend().results(json!({"task": task("t-1")}));
    assert_eq!(alice.call("slow", json!({})).await.unwrap().result()["task"]["taskId"], "t-1");
    world.backend().results(task("t-1"));
    assert_eq!(
        alice.request("tasks/get", json!({"taskId": "t-1"})).await.unwrap().result()["status"],
        "working"
    );
    let before = world.backend().log().count();
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let refused = carol.request(method, json!({"taskId": "t-1"})).await.unwrap();
        assert_eq!((refused.status, refused.error_code()), (StatusCode::OK, Some(-32602)), "{method}");
    }
    assert_eq!(world.backend().log().count(), before);
    let all = json!({"jsonrpc": "2.0", "id": 4, "result": {"tasks": [task("t-1"), task("t-2")]}});
    for (who, sees) in [(&alice, 1), (&carol, 0)] {
        world.backend().script(Reply::json(StatusCode::OK, &all));
        let listed = who.request("tasks/list", json!({})).await.unwrap();
        assert_eq!(listed.result()["tasks"].as_array().unwrap().len(), sees);
    }
}
