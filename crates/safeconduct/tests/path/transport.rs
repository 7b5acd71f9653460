//! Streamable HTTP up to 2025-11-25: messages, sessions, streams, resumption.

use bytes::Bytes;
use http::{Method, Request};
use safeconduct_testkit::backend::Step;
use safeconduct_testkit::client::{Answer, Client};
use safeconduct_testkit::server::Options;
use safeconduct_testkit::wire::{Reply, fetch};
use serde_json::{Value, json};

use crate::patience::within;
use crate::world::{Behind, Plan, World};

/// A world whose server answers by event streams that can be resumed.
async fn streaming() -> World {
    let options = Options { events: true, priming: true, ..Options::default() };
    World::with(Plan { behind: Behind::Server(options), ..Plan::default() }).await
}

fn request(client: &Client, method: Method, change: impl FnOnce(&mut Request<Bytes>)) -> Request<Bytes> {
    let mut request = client.message("ping", json!({})).unwrap();
    *request.method_mut() = method;
    change(&mut request);
    request
}

fn header(request: &mut Request<Bytes>, name: &'static str, value: &str) {
    request.headers_mut().insert(name, value.parse().unwrap());
}

/// What two callers could tell apart, without the id that every answer has of its own.
fn face(answer: &Answer) -> (u16, Option<String>, Bytes) {
    (answer.status.as_u16(), answer.header("content-type").map(str::to_owned), answer.body.clone())
}

/// Row: T1
#[tokio::test(flavor = "multi_thread")]
async fn one_path_takes_posts_streams_and_the_end_of_sessions_and_nothing_else() {
    let world = World::start().await;
    let client = world.legacy("alice").await;
    assert_eq!(client.request("ping", json!({})).await.unwrap().status, 200);
    assert_eq!(within(client.listen(None)).await.unwrap().status, 200);
    for method in [Method::PUT, Method::PATCH, Method::HEAD] {
        let answer = client.send(request(&client, method, |_| {})).await.unwrap();
        assert_eq!(answer.status, 405);
        assert_eq!(answer.header("allow"), Some("POST, GET, DELETE, OPTIONS"));
    }
    let before = world.server().log().count();
    for path in ["/nothing/mcp", "/orders", "/orders/mcp/more", "/mcp", "/"] {
        let away =
            |sent: &mut Request<Bytes>| *sent.uri_mut() = format!("{}{path}", world.base).parse().unwrap();
        assert_eq!(client.send(request(&client, Method::POST, away)).await.unwrap().status, 404, "{path}");
    }
    assert_eq!(world.server().log().count(), before);
    assert_eq!(client.end().await.unwrap().status, 204);
}

/// Row: T2
#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_accepted_without_a_body() {
    let world = World::start().await;
    let client = world.legacy("alice").await;
    let answer = client.notify("notifications/cancelled", json!({"requestId": 7})).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0));
    assert_eq!(world.server().log().last().unwrap().json()["method"], "notifications/cancelled");
}

/// Row: T3
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_never_reaches_the_server() {
    let world = World::start().await;
    let client = world.legacy("alice").await;
    let before = world.server().log().count();
    for lead in ["", " \t\r\n", "\u{b}\n", "\u{c}"] {
        let batch = format!(r#"{lead}[{{"jsonrpc":"2.0","id":1,"method":"ping"}}]"#);
        let sent = request(&client, Method::POST, |sent| *sent.body_mut() = batch.into());
        let answer = client.send(sent).await.unwrap();
        assert_eq!(answer.status, 400);
        assert!([Some(-32600), Some(-32700)].contains(&answer.error_code()), "{:?}", answer.message());
        assert_eq!(answer.message().get("id"), None);
    }
    assert_eq!(world.server().log().count(), before);
}

/// Row: T4, T5
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_passes_unchanged_to_the_byte() {
    let world = World::with(Plan::scripted()).await;
    let client = world.modern("alice");
    let json = "{ \"jsonrpc\" :\"2.0\",\r\n\"id\":1, \"result\":{\"content\":[], \"n\":1.0e2, \"big\":123456789012345678901,\"\\u00e9\":\"\\/\"}}\n ";
    let events = ": hello\n\nid: 1\ndata:\nretry: 700\n\nevent: message\r\nid: 2\r\ndata: {\"jsonrpc\":\"2.0\",\r\n\
                  data:\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1.0}}\r\n\r\n\
                  :\r\rdata:{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"content\":[]}}\n\n";
    world.backend().script(Reply::of(http::StatusCode::OK, "application/json", json));
    let answer = client.call("echo", json!({})).await.unwrap();
    assert_eq!(std::str::from_utf8(&answer.body).unwrap(), json);
    for piece in [1, 7, events.len()] {
        let pieces = events.as_bytes().chunks(piece).map(|piece| Step::Send(Bytes::copy_from_slice(piece)));
        world.backend().script_events(pieces.clone());
        world.backend().script_events(pieces);
        let answer = client.call("echo", json!({})).await.unwrap();
        let direct = fetch::get(&world.backend().url()).await.unwrap();
        assert_eq!(answer.body, direct.body, "in pieces of {piece}");
        assert_eq!(answer.body, events);
    }
}

/// Row: T5
#[tokio::test(flavor = "multi_thread")]
async fn priming_events_and_event_ids_and_their_order_survive() {
    let world = streaming().await;
    let client = world.legacy("alice").await;
    let params = json!({"name": "progress", "arguments": {"steps": 3}, "_meta": {"progressToken": "p"}});
    let answer = client.request("tools/call", params).await.unwrap();
    let ids: Vec<_> = answer.events.iter().filter_map(|event| event.id.clone()).collect();
    let lane = ids[0].split('-').next().unwrap().to_owned();
    assert_eq!(ids, (0..5).map(|index| format!("{lane}-{index}")).collect::<Vec<_>>());
    let first = &answer.events[0];
    assert_eq!((first.retry, first.data.as_deref()), (Some(50), Some("")));
    let steps: Vec<_> =
        answer.events.iter().map(|event| event.json()["params"]["progress"].clone()).collect();
    assert_eq!(steps, [Value::Null, json!(1), json!(2), json!(3), Value::Null]);
}

/// Row: T6
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_open_before_its_first_event() {
    let world = World::with(Plan::scripted()).await;
    let client = Client::legacy(&world.url()).bearer(&world.token("alice"));
    world
        .backend()
        .script_events([Step::Hold, Step::message(&json!({"jsonrpc": "2.0", "method": "x/late"}))]);
    let mut stream = within(client.listen(None)).await.unwrap();
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    world.backend().go_on();
    assert_eq!(within(stream.next_message()).await.unwrap().unwrap()["method"], "x/late");
}

/// Row: T7
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_streams_says_so_through_the_gateway() {
    let options = Options { sessions: false, ..Options::default() };
    let world = World::with(Plan { behind: Behind::Server(options), ..Plan::default() }).await;
    let client = world.legacy("alice").await;
    let refused = within(client.listen(None)).await.unwrap();
    assert_eq!(refused.status, 405);
    assert_eq!(refused.headers["allow"], "POST");
    assert_eq!(client.end().await.unwrap().status, 405);
}

/// Row: T8, T11
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_call_goes_on_and_only_its_caller_gets_the_result() {
    let world = streaming().await;
    let client = world.legacy("alice").await;
    let params = json!({"name": "hold", "arguments": {}});
    let mut stream = within(client.open("tools/call", params)).await.unwrap();
    let primed = within(stream.next_event()).await.unwrap().unwrap().id.unwrap();
    drop(stream);
    world.server().release();
    let mut resumed = within(client.listen(Some(&primed))).await.unwrap();
    let answer = within(resumed.next_message()).await.unwrap().unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "released");
    assert_eq!(world.server().log().last().unwrap().header("last-event-id"), Some(primed.as_str()));

    let before = world.server().log().count();
    let other = Client::legacy(&world.url()).bearer(&world.token("carol"));
    other.set_session(client.session().as_deref());
    assert_eq!(within(other.listen(Some(&primed))).await.unwrap().status, 404);
    assert_eq!(world.server().log().count(), before);
}

/// Row: T9
#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_from_initialize_to_delete() {
    let world = World::start().await;
    let client = world.legacy("alice").await;
    let session = client.session().unwrap();
    assert!(session.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{session}");
    assert!(!session.contains("upstream-"), "the server's own id is not shown");
    let listed = client.list("tools").await.unwrap();
    assert_eq!((listed.status.as_u16(), listed.header("mcp-session-id")), (200, None));

    client.set_session(None);
    assert_eq!(client.list("tools").await.unwrap().status, 400);
    client.set_session(Some("made-up"));
    assert_eq!(client.list("tools").await.unwrap().status, 404);
    client.set_session(Some(&session));
    assert_eq!(client.end().await.unwrap().status, 204);
    assert_eq!(world.server().sessions(), 0);
    assert_eq!(client.list("tools").await.unwrap().status, 404);
    assert_eq!(client.end().await.unwrap().status, 404);
}

/// Row: T10, A19
#[tokio::test(flavor = "multi_thread")]
async fn anothers_session_is_answered_as_an_unknown_one_to_the_byte() {
    let world = World::start().await;
    let (alice, carol) = (world.legacy("alice").await, world.legacy("carol").await);
    assert_eq!(alice.list("tools").await.unwrap().status, 200);
    carol.set_session(Some("no-such-session"));
    let unknown = carol.list("tools").await.unwrap();
    let before = world.server().log().count();
    carol.set_session(alice.session().as_deref());
    let foreign = carol.list("tools").await.unwrap();
    // The two requests have different ids of their own.
    let same = |answer: &Answer| {
        let (status, kind, body) = face(answer);
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        body["id"].take();
        (status, kind, body.to_string())
    };
    assert_eq!(foreign.status, 404);
    assert_eq!(same(&foreign), same(&unknown));
    assert_eq!(carol.end().await.unwrap().status, 404);
    assert_eq!(world.server().log().count(), before);
    assert_eq!(world.server().sessions(), 2);
}

/// Row: T12
#[tokio::test(flavor = "multi_thread")]
async fn an_absent_version_is_the_sessions_and_an_unknown_one_is_refused() {
    let world = World::start().await;
    let client = world.legacy("alice").await;
    let with = |version: Option<&str>| {
        request(&client, Method::POST, |sent| match version {
            Some(version) => header(sent, "mcp-protocol-version", version),
            None => drop(sent.headers_mut().remove("mcp-protocol-version")),
        })
    };
    for good in [None, Some("2025-03-26"), Some("2025-06-18"), Some("2025-11-25")] {
        assert_eq!(client.send(with(good)).await.unwrap().status, 200, "{good:?}");
    }
    let before = world.server().log().count();
    for bad in ["2024-11-05", "1999-01-01", "latest", "2025-11-25x"] {
        let answer = client.send(with(Some(bad))).await.unwrap();
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.error_code().is_some());
    }
    assert_eq!(world.server().log().count(), before);
}

/// Row: T17
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_server_forgot_is_not_found_and_a_new_one_works() {
    let world = World::start().await;
    let client = world.legacy("alice").await;
    assert_eq!(client.list("tools").await.unwrap().status, 200);
    world.server().forget_sessions();
    let gone = client.list("tools").await.unwrap();
    assert_eq!(gone.status, 404);
    assert!(gone.error_code().is_some(), "a body, so that nobody takes it for a missing page");
    assert_eq!(client.connect().await.unwrap().status, 200);
    assert_eq!(client.list("tools").await.unwrap().status, 200);
}
