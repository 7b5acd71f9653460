//! How long answers and streams live: until the caller's token ends, the server falls silent, the gateway drains.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::StatusCode;
use safeconduct_testkit::backend::Step;
use safeconduct_testkit::client::{Client, Events};
use safeconduct_testkit::wire::{Fault, Reply};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::patience::{until, within};
use crate::world::{AUDIENCE, Plan, World};

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

fn wanted(uris: &[&str]) -> Value {
    json!({"notifications": {"toolsListChanged": true, "resourceSubscriptions": uris}})
}

async fn listening(client: &Client, uris: &[&str]) -> Events {
    let mut stream = within(client.open("subscriptions/listen", wanted(uris))).await.unwrap();
    assert_eq!(stream.status, 200);
    let first = within(stream.next_message()).await.unwrap().unwrap();
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    stream
}

fn short_lived(world: &World, user: &str) -> String {
    world.idp.mint(user, AUDIENCE, "backend-mcp:tools:call", Duration::from_secs(3))
}

fn note() -> Step {
    Step::message(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}))
}

fn timeouts(text: &str) -> String {
    format!("timeouts: {{ {text} }}")
}

/// Row: M11
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_acknowledged_first_and_kept_alive_through_silence() {
    let top = timeouts("keep_alive: 50ms, idle: 100ms, answer: 1s");
    let world = World::with(Plan { top, ..Plan::default() }).await;
    let client = world.modern("alice");
    let mut stream = listening(&client, &["shop://prices"]).await;
    assert_eq!(stream.headers["x-accel-buffering"], "no");
    for _ in 0..5 {
        let beat = within(stream.next_event()).await.unwrap().unwrap();
        assert!(beat.comment.is_some() && beat.data.is_none(), "{beat:?}");
    }
    let id = world.server().log().last().unwrap().json()["id"].clone();
    world.server().announce("notifications/resources/updated", &json!({"uri": "shop://prices"}));
    let news = within(stream.next_message()).await.unwrap().unwrap();
    assert_eq!(news["params"]["uri"], "shop://prices");
    assert_eq!(news["params"]["_meta"][SUBSCRIPTION], id);
}

/// Row: M12
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_names_only_what_its_caller_may_use() {
    let forbid = r#"forbid (principal, action, resource == Resource::"orders/shop://salaries");"#;
    let policies = format!("{}{forbid}", crate::world::POLICIES);
    let world = World::with(Plan { policies, ..Plan::default() }).await;
    let client = world.modern("alice");
    let asked = wanted(&["shop://salaries", "shop://prices"]);
    let mut stream = within(client.open("subscriptions/listen", asked)).await.unwrap();
    let acknowledged = within(stream.next_message()).await.unwrap().unwrap();
    assert_eq!(acknowledged["params"]["notifications"]["resourceSubscriptions"], json!(["shop://prices"]));
    world.server().announce("notifications/resources/updated", &json!({"uri": "shop://salaries"}));
    world.server().announce("notifications/resources/updated", &json!({"uri": "shop://prices"}));
    let news = within(stream.next_message()).await.unwrap().unwrap();
    assert_eq!(news["params"]["uri"], "shop://prices");
}

/// Row: M10
#[tokio::test(flavor = "multi_thread")]
async fn a_modern_caller_that_leaves_cancels() {
    let world = World::with(Plan::scripted()).await;
    world.backend().script_events([note(), Step::Hold, note()]);
    let mut stream = within(world.modern("alice").open("tools/call", json!({"name": "echo"}))).await.unwrap();
    assert!(within(stream.next_message()).await.unwrap().is_some());
    drop(stream);
    assert!(world.backend().given_up(1).await);
}

/// Row: M10
#[tokio::test(flavor = "multi_thread")]
async fn a_modern_caller_that_leaves_before_the_answer_cancels_too() {
    let world = World::start().await;
    let client = world.modern("alice");
    let call = tokio::spawn(async move { client.call("hold", json!({})).await });
    assert!(world.server().log().reaches(1).await);
    call.abort();
    assert!(world.server().cancelled(1).await);
}

/// Row: T11
#[tokio::test(flavor = "multi_thread")]
async fn what_a_legacy_caller_left_behind_is_read_to_its_end() {
    let world = World::with(Plan::scripted()).await;
    let (go_on, held) = oneshot::channel::<()>();
    let (tell, finished) = oneshot::channel();
    let first =
        Bytes::from("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n");
    let rest = async move {
        let _ = held.await;
        Ok(Bytes::from("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n"))
    };
    // Dropped with its connection before it comes to this, it tells nothing.
    let end = stream::once(async move { tell.send(()) }).filter_map(|_| async { None });
    let events = stream::iter([Ok(first)]).chain(stream::once(rest)).chain(end);
    world.backend().script(Reply::events(events));
    let legacy = Client::legacy(&world.url()).bearer(&world.token("alice"));
    let mut stream = within(legacy.open("tools/call", json!({"name": "echo"}))).await.unwrap();
    assert!(within(stream.next_message()).await.unwrap().is_some());
    drop(stream);
    let log = world.dir.join("audit.jsonl");
    until(|| async { std::fs::read_to_string(&log).unwrap_or_default().contains("abandoned") }).await;
    go_on.send(()).unwrap();
    within(finished).await.expect("the server could say all that it had to say");
}

/// Edge: 67
/// Row: A11
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_callers_token() {
    let world = World::start().await;
    let token = short_lived(&world, "alice");
    let legacy = Client::legacy(&world.url()).bearer(&token);
    assert_eq!(legacy.connect().await.unwrap().status, 200);
    let mut standing = within(legacy.listen(None)).await.unwrap();
    let modern = Client::modern(&world.url()).bearer(&token);
    let mut stream = listening(&modern, &[]).await;
    let lasting = world.modern("alice");
    let mut other = listening(&lasting, &[]).await;
    assert_eq!(within(standing.next_message()).await.unwrap(), None);
    let last = within(stream.next_message()).await.unwrap().unwrap();
    assert_eq!(last["result"]["resultType"], "complete");
    assert_eq!(within(stream.next_message()).await.unwrap(), None);
    world.server().announce("notifications/tools/list_changed", &json!({}));
    assert!(within(other.next_message()).await.unwrap().unwrap()["method"].is_string());
    assert_eq!(modern.list("tools").await.unwrap().status, 401);
}

/// Row: A11
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_pauses_does_not_outlast_the_token() {
    let world = World::with(Plan::scripted()).await;
    let event =
        Bytes::from(format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"{}\"}}\n\n", "x".repeat(32 << 10)));
    world.backend().script(Reply::events(stream::repeat_with(move || Ok(event.clone()))));
    let client = Client::legacy(&world.url()).bearer(&short_lived(&world, "alice"));
    let mut flood = within(client.listen(None)).await.unwrap();
    assert_eq!(flood.status, 200);
    // A slow reader: the gateway has always more to send, and is not made to send it all.
    within(async {
        while flood.next_event().await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Row: A11
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_inside_an_event_does_not_outlast_the_token() {
    let mut world = World::with(Plan::scripted()).await;
    world.backend().script_events([Step::Send("data: {\"jsonrpc\"".into()), Step::Hold]);
    let client = Client::modern(&world.url()).bearer(&short_lived(&world, "alice"));
    let mut half = within(client.open("tools/call", json!({"name": "echo"}))).await.unwrap();
    assert_eq!(half.status, 200);
    assert_eq!(within(half.next_event()).await.unwrap(), None);
    assert!(world.backend().given_up(1).await);
    let lines = world.audit_of("tools/call").await;
    assert_eq!((lines.len(), &lines[0]["outcome"]), (1, &json!("refused")));
}

/// Row: M13
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_completes_subscriptions_and_lets_calls_finish() {
    let mut world = World::start().await;
    let (client, legacy) = (world.modern("alice"), world.legacy("alice").await);
    let mut stream = listening(&client, &[]).await;
    let id = world.server().log().last().unwrap().json()["id"].clone();
    let mut standing = within(legacy.listen(None)).await.unwrap();
    let params = json!({"name": "ask", "arguments": {}});
    let mut asking = within(legacy.open("tools/call", params)).await.unwrap();
    assert!(within(asking.next_message()).await.unwrap().is_some());
    let before = world.server().log().count();
    let call = tokio::spawn(async move { client.call("hold", json!({})).await.unwrap() });
    assert!(world.server().log().reaches(before + 1).await);

    let gateway = world.gateway.take().unwrap();
    let stopped = tokio::task::spawn_blocking(move || gateway.stop());
    let last = within(stream.next_message()).await.unwrap().unwrap();
    assert_eq!(last["id"], id);
    assert_eq!(last["result"], json!({"resultType": "complete", "_meta": {SUBSCRIPTION: id}}));
    assert_eq!(within(stream.next_message()).await.unwrap(), None);
    assert_eq!(within(standing.next_message()).await.unwrap(), None);
    world.server().release();
    assert_eq!(within(call).await.unwrap().text(), "released");
    // The call that waits for its user is in flight too: its server ends it here.
    world.server().forget_sessions();
    assert_eq!(within(asking.next_message()).await.unwrap(), None);
    within(stopped).await.unwrap();
    let outcomes = world.outcomes().await;
    assert_eq!(outcomes.get("abandoned"), None, "{outcomes:?}");
}

/// Row: P10
#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_an_answer_and_progress_keeps_it() {
    let top = timeouts("idle: 300ms, keep_alive: 50ms, answer: 300ms");
    let mut world = World::with(Plan { top, ..Plan::scripted() }).await;
    let client = world.modern("alice");
    let slow = (0..8).flat_map(|_| [Step::Pause(Duration::from_millis(100)), note()]);
    world.backend().script_events(slow);
    let answer = within(client.call("echo", json!({}))).await.unwrap();
    assert_eq!(answer.events.iter().filter(|event| event.json().is_object()).count(), 8);

    world.backend().script_events([note(), Step::Hold]);
    let mut stream = within(client.open("tools/call", json!({"name": "echo"}))).await.unwrap();
    assert!(within(stream.next_message()).await.unwrap().is_some());
    assert_eq!(within(stream.next_message()).await.unwrap(), None, "our own comments are no sign of life");
    assert!(world.backend().given_up(1).await);

    world.backend().faults().once(Fault::Hang);
    let late = within(client.call("echo", json!({}))).await.unwrap();
    assert_eq!((late.status, late.error_code()), (StatusCode::OK, Some(-32603)));

    world.backend().faults().once(Fault::Drip(Duration::from_secs(3)));
    world.backend().results(json!({"content": []}));
    assert!(within(client.call("echo", json!({}))).await.is_err(), "cut, not ended: half an answer is none");
    let failed = world.audit_of("tools/call").await.iter().filter(|line| line["outcome"] == "failed").count();
    assert_eq!(failed, 3);
}

/// Row: P10
#[tokio::test(flavor = "multi_thread")]
async fn no_stream_lasts_longer_than_the_longest_time() {
    let world = World::with(Plan { top: timeouts("total: 500ms"), ..Plan::default() }).await;
    let client = world.modern("alice");
    let mut stream = listening(&client, &[]).await;
    assert_eq!(within(stream.next_message()).await.unwrap().unwrap()["result"]["resultType"], "complete");
    assert_eq!(within(stream.next_message()).await.unwrap(), None);
}

/// Row: P9
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_holds_the_server_back() {
    const PIECE: usize = 64 * 1024;
    let world = World::with(Plan::scripted()).await;
    let given = Arc::new(AtomicUsize::new(0));
    let counter = given.clone();
    let event =
        Bytes::from(format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"{}\"}}\n\n", "x".repeat(PIECE)));
    let endless = stream::repeat_with(move || {
        counter.fetch_add(PIECE, Ordering::SeqCst);
        Ok(event.clone())
    });
    world.backend().script(Reply::events(endless));
    let client = Client::legacy(&world.url()).bearer(&world.token("alice"));
    let mut stream = within(client.listen(None)).await.unwrap();
    assert!(within(stream.next_event()).await.unwrap().is_some());
    // It comes to rest: kernel buffers on both sides are full, and nothing is kept in between.
    let mut before = usize::MAX;
    within(async {
        while before != given.load(Ordering::SeqCst) {
            before = given.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
    assert!(before < 64 << 20, "{before} bytes were taken for a reader who reads nothing");
    // Nothing is lost either: read on, and the server goes on.
    within(async {
        while given.load(Ordering::SeqCst) <= before {
            assert!(stream.next_event().await.unwrap().is_some());
        }
    })
    .await;
}

/// Row: P9
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_never_comes_back_is_cut_off() {
    let world = World::with(Plan { top: timeouts("idle: 1s"), ..Plan::scripted() }).await;
    let event =
        Bytes::from(format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"{}\"}}\n\n", "x".repeat(32 << 10)));
    let (held, gone) = oneshot::channel::<()>();
    world.backend().script(Reply::events(stream::repeat_with(move || {
        let _open = &held;
        Ok(event.clone())
    })));
    let client = Client::legacy(&world.url()).bearer(&world.token("alice"));
    let mut stream = within(client.listen(None)).await.unwrap();
    assert!(within(stream.next_event()).await.unwrap().is_some());
    // Nothing is read from here on; the server's stream is dropped with its connection.
    assert!(within(gone).await.is_err());
    drop(stream);
}
