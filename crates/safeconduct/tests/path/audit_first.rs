//! `flush: before_answer`: no answer reaches its caller before its record is on disk. And full disks.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::StatusCode;
use safeconduct_testkit::backend::Step;
use safeconduct_testkit::client::{Client, Events};
use safeconduct_testkit::server::Options;
use safeconduct_testkit::wire::{Reply, ReplyBody};
use serde_json::{Value, json};

use crate::patience::{until, within};
use crate::world::{Behind, Plan, World};

const FIRST: &str = "{ file: \"@DIR@/audit.jsonl\", flush: before_answer }";

fn full(more: &str) -> String {
    format!("{{ file: /dev/full, {more} }}")
}

/// The ids that stand in the log now.
fn recorded(world: &World) -> Vec<String> {
    let text = std::fs::read_to_string(world.dir.join("audit.jsonl")).unwrap_or_default();
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
    text.lines().map(id).collect()
}

fn id(stream: &Events) -> String {
    stream.headers["x-request-id"].to_str().unwrap().to_owned()
}

fn progress() -> Step {
    Step::message(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}))
}

fn response(id: Value) -> Step {
    Step::message(&json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "content": []}}))
}

async fn calling(client: &Client) -> Events {
    within(client.open("tools/call", json!({"name": "echo", "arguments": {}}))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_and_a_refusal_come_after_their_record() {
    let world = World::with(Plan { audit: FIRST.into(), ..Plan::default() }).await;
    let client = world.modern("alice");
    for round in 0..10 {
        for tool in ["echo", "drop_table"] {
            let answer = client.call(tool, json!({"text": "x"})).await.unwrap();
            let id = answer.header("x-request-id").unwrap().to_owned();
            assert!(recorded(&world).contains(&id), "{round} {tool}");
        }
        let nobody = Client::modern(&world.url()).list("tools").await.unwrap();
        assert!(recorded(&world).contains(&nobody.header("x-request-id").unwrap().to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_stream_only_the_response_waits_for_the_record() {
    for modern in [true, false] {
        // Each with a backend of its own: what is let go on is let go on for all of its streams.
        let world = World::with(Plan { audit: FIRST.into(), ..Plan::scripted() }).await;
        let token = world.token("alice");
        let client =
            if modern { Client::modern(&world.url()) } else { Client::legacy(&world.url()) }.bearer(&token);
        let other = Step::message(&json!({"jsonrpc": "2.0", "id": 99, "result": {"another": "call's"}}));
        world.backend().script_events([
            progress(),
            other,
            Step::Hold,
            response(json!(1)),
            progress(),
            Step::Hold,
            progress(),
        ]);
        let mut stream = calling(&client).await;
        assert_eq!(within(stream.next_message()).await.unwrap().unwrap()["params"]["progress"], 1);
        assert_eq!(within(stream.next_message()).await.unwrap().unwrap()["id"], 99);
        assert!(!recorded(&world).contains(&id(&stream)), "the call is not over");
        world.backend().go_on();
        assert_eq!(within(stream.next_message()).await.unwrap().unwrap()["id"], 1);
        assert!(recorded(&world).contains(&id(&stream)), "the stream still lasts, and the record is there");
        // What follows goes on freely, and makes no second line.
        assert!(within(stream.next_message()).await.unwrap().is_some());
        world.backend().go_on();
        assert!(within(stream.next_message()).await.unwrap().is_some());
        assert_eq!(within(stream.next_message()).await.unwrap(), None);
        assert_eq!(recorded(&world).iter().filter(|one| **one == id(&stream)).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_client_could_take_for_the_response_waits() {
    let odd = [
        r#"{"jsonrpc":"2.0","id":"1","result":{}}"#,
        r#"{"jsonrpc":"2.0","ID":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":7,"id":1,"result":{}}"#,
        r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#,
        r#"{"jsonrpc":"2.0","error":{"code":1,"message":"no id"}}"#,
        r#"{"jsonrpc":"2.0","id":1.0,"result":{}}"#,
        "not json",
    ];
    let world = World::with(Plan { audit: FIRST.into(), ..Plan::scripted() }).await;
    for text in odd {
        let client = world.modern("alice");
        world.backend().script_events([Step::Send(format!("data: {text}\n\n").into()), Step::Hold]);
        let mut stream = calling(&client).await;
        assert_eq!(within(stream.next_event()).await.unwrap().unwrap().data.unwrap(), text);
        assert!(recorded(&world).contains(&id(&stream)), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_by_events_and_the_end_of_a_subscription_wait_too() {
    let behind = Behind::Server(Options { events: true, ..Options::default() });
    let world = World::with(Plan { audit: FIRST.into(), behind, ..Plan::default() }).await;
    let client = world.modern("alice");
    let mut list = within(client.open("tools/list", json!({}))).await.unwrap();
    let shown = within(list.next_message()).await.unwrap().unwrap();
    assert!(!shown.to_string().contains("drop_table") && shown["result"]["tools"].is_array());
    assert!(recorded(&world).contains(&id(&list)));
    let wanted = json!({"notifications": {"toolsListChanged": true}});
    let mut listening = within(client.open("subscriptions/listen", wanted)).await.unwrap();
    assert!(within(listening.next_message()).await.unwrap().unwrap()["method"].is_string());
    assert!(!recorded(&world).contains(&id(&listening)));
    world.server().end_streams();
    assert!(within(listening.next_message()).await.unwrap().unwrap()["result"].is_object());
    assert!(recorded(&world).contains(&id(&listening)));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_is_answered_that_was_to_be_recorded_first() {
    let audit = full("flush: before_answer, on_failure: deny");
    let world = World::with(Plan { audit, ..Plan::scripted() }).await;
    let client = world.modern("alice");
    world.backend().script_events([progress(), Step::Hold, response(json!(1))]);
    let mut stream = calling(&client).await;
    assert!(within(stream.next_message()).await.unwrap().is_some(), "progress is no answer");
    world.backend().go_on();
    assert!(!matches!(within(stream.next_message()).await, Ok(Some(_))), "the answer stays in the gateway");
    // From then on no call is admitted at all.
    until(async || {
        let refused = client.call("echo", json!({})).await.unwrap();
        assert_eq!((refused.status.as_u16(), refused.error_code()), (503, Some(-31503)));
        assert!(refused.header("retry-after").is_some());
        refused.message()["error"]["data"]["code"] == "SC-G01"
    })
    .await;
    assert_eq!(world.backend().log().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_who_denies_denies_and_who_continues_serves() {
    let world = World::with(Plan { audit: full("on_failure: deny"), ..Plan::default() }).await;
    let client = world.modern("alice");
    until(async || client.call("echo", json!({"text": "x"})).await.unwrap().status == 503).await;
    let before = world.server().log().count();
    assert_eq!(client.call("echo", json!({})).await.unwrap().message()["error"]["data"]["code"], "SC-G01");
    assert_eq!(world.server().log().count(), before);
    for flush in ["batch", "before_answer"] {
        let world = World::with(Plan {
            audit: full(&format!("flush: {flush}, on_failure: continue")),
            ..Plan::default()
        })
        .await;
        let client = world.modern("alice");
        for _ in 0..20 {
            assert_eq!(client.call("echo", json!({"text": "x"})).await.unwrap().text(), "x");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_an_error_with_its_id_and_one_record() {
    let mut world = World::with(Plan { audit: FIRST.into(), ..Plan::scripted() }).await;
    let client = world.modern("alice");
    world
        .backend()
        .results(json!({"resultType": "complete", "content": [{"type": "text", "text": "x".repeat(5000)}]}));
    let whole = client.call("echo", json!({})).await.unwrap();
    assert_eq!(whole.text().len(), 5000);
    world.backend().answers(|_| {
        let pieces =
            stream::iter([Ok(Bytes::from_static(b"{\"jsonrpc\":")), Err(io::ErrorKind::Other.into())]);
        // The head and the first piece are out before the connection is cut.
        let pieces = pieces.then(|piece| async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            piece
        });
        Reply { body: ReplyBody::Pieces(pieces.boxed()), ..Reply::empty(StatusCode::OK) }
            .header("content-type", "application/json")
    });
    let broken = client.call("echo", json!({})).await.unwrap();
    assert_eq!((broken.status.as_u16(), broken.error_code()), (200, Some(-32603)));
    assert!(broken.message()["id"].is_u64());
    let id = broken.header("x-request-id").unwrap().to_owned();
    let lines = world.audit().await;
    let of_broken: Vec<&Value> = lines.iter().filter(|line| line["code"] == "SC-B04").collect();
    assert_eq!(of_broken.len(), 1);
    assert_eq!((&of_broken[0]["id"], &of_broken[0]["target"]), (&json!(id), &json!("echo")));
    assert_eq!(lines.len(), 2);
}
