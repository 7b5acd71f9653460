//! How much one caller may ask of the gateway.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use safeconduct_testkit::backend::Step;
use safeconduct_testkit::client::Client;
use safeconduct_testkit::wire::Fault;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::patience::{until, within};
use crate::world::{Plan, World};

async fn limited(limits: &str) -> World {
    World::with(Plan { top: format!("limits: {{ {limits} }}"), ..Plan::default() }).await
}

/// Row: P15
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_calls_too_often_is_told_when_to_come_back_and_others_are_not() {
    let mut world = limited("per_caller: 3/h").await;
    let (alice, carol) = (world.modern("alice"), world.modern("carol"));
    for _ in 0..3 {
        assert_eq!(alice.call("echo", json!({"text": "x"})).await.unwrap().text(), "x");
    }
    let refused = alice.call("echo", json!({"text": "x"})).await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.error_code()), (429, Some(-31429)));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1100..=1200).contains(&wait), "the next of three calls an hour: {wait}");
    assert_eq!(refused.message()["error"]["data"]["retry_after"], wait);
    // The same caller with another token, in another era, at another server, is the same caller.
    let again = Client::legacy(&format!("{}/other/mcp", world.base)).bearer(&world.token("alice"));
    assert_eq!(again.connect().await.unwrap().status, 429);
    assert_eq!(carol.call("echo", json!({"text": "y"})).await.unwrap().text(), "y");
    assert_eq!(world.server().log().count(), 4);
    let outcomes = world.outcomes().await;
    assert_eq!((outcomes["answered"], outcomes["denied"]), (4, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_refused_at_the_door_count_too() {
    let mut world = limited("per_caller: 3/h, body: 4KiB").await;
    let (alice, carol) = (world.modern("alice"), world.modern("carol"));
    assert_eq!(alice.call("echo", json!({"text": "x"})).await.unwrap().text(), "x");
    let ambiguous = || {
        let mut request = alice.message("tools/call", json!({"name": "echo"})).unwrap();
        *request.body_mut() = Bytes::from_static(br#"{"jsonrpc":"2.0","id":7,"method":"ping","Method":"x"}"#);
        request
    };
    assert_eq!(alice.send(ambiguous()).await.unwrap().status, 400);
    assert_eq!(alice.call("echo", json!({"text": "x".repeat(5000)})).await.unwrap().status, 413);
    let refused = alice.send(ambiguous()).await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.error_code()), (429, Some(-31429)));
    assert_eq!(alice.call("echo", json!({"text": "x"})).await.unwrap().status, 429);
    assert_eq!(carol.call("echo", json!({"text": "y"})).await.unwrap().text(), "y");
    assert_eq!(world.server().log().count(), 2);
    let codes: Vec<_> = world.audit().await.into_iter().map(|line| line["code"].clone()).collect();
    assert_eq!(codes.iter().filter(|code| **code == "SC-P05").count(), 2, "{codes:?}");
}

/// Row: P9
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_may_have_so_many_streams_open_and_a_closed_one_makes_room() {
    let mut world = limited("streams_per_caller: 2").await;
    let (modern, legacy) = (world.modern("alice"), world.legacy("alice").await);
    let wanted = || json!({"notifications": {"toolsListChanged": true}});
    let first = within(modern.open("subscriptions/listen", wanted())).await.unwrap();
    let second = within(legacy.listen(None)).await.unwrap();
    assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::OK));
    let before = world.server().log().count();
    assert_eq!(within(legacy.listen(None)).await.unwrap().status, 429);
    assert_eq!(modern.request("subscriptions/listen", wanted()).await.unwrap().status, 429);
    assert_eq!(world.server().log().count(), before, "the server is not asked");
    // Calls are not streams, and others have their own.
    assert_eq!(modern.call("progress", json!({"steps": 1})).await.unwrap().text(), "counted to 1");
    let others = world.modern("carol");
    assert_eq!(within(others.open("subscriptions/listen", wanted())).await.unwrap().status, 200);
    drop(first);
    until(|| async { within(modern.open("subscriptions/listen", wanted())).await.unwrap().status == 200 })
        .await;
    drop(second);
    let lines = world.audit_of("subscriptions/listen").await;
    assert!(lines.iter().any(|line| line["code"] == "SC-P06" && line["principal"]["subject"] == "alice"));
}

/// Row: P9
#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let world = limited("body: 4KiB").await;
    let client = world.modern("alice");
    let text = |length: usize| json!({"text": "x".repeat(length)});
    assert_eq!(client.call("echo", text(3000)).await.unwrap().text().len(), 3000);
    let before = world.server().log().count();
    let refused = client.call("echo", text(5000)).await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.error_code()), (413, Some(-31413)));

    let head = head(&world, &client, "transfer-encoding: chunked");
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    let answer = raw(&world, &format!("{head}{}", chunk.repeat(6))).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(world.server().log().count(), before);
}

/// Row: P10
#[tokio::test(flavor = "multi_thread")]
async fn a_body_or_head_that_does_not_come_is_not_waited_for() {
    let top = "timeouts: { body: 200ms, head: 300ms }".to_owned();
    let world = World::with(Plan { top, ..Plan::default() }).await;
    let client = world.modern("alice");
    let answer = raw(&world, &format!("{}{{\"jsonrpc\"", head(&world, &client, "content-length: 100"))).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let answer = raw(&world, "POST /orders/mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthor").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(world.server().log().count(), 0);
}

/// Row: P9
#[tokio::test(flavor = "multi_thread")]
async fn a_list_too_long_to_be_looked_at_is_not_shown() {
    let world = World::with(Plan { top: "limits: { list: 64KiB }".into(), ..Plan::scripted() }).await;
    let client = world.modern("alice");
    let tools = |count: usize| json!({"tools": vec![json!({"name": "echo", "description": "x".repeat(1000)}); count]});
    world.backend().results(tools(10));
    assert_eq!(client.list("tools").await.unwrap().names().len(), 10);
    world.backend().results(tools(100));
    let refused = client.list("tools").await.unwrap();
    assert_eq!((refused.status, refused.error_code()), (StatusCode::OK, Some(-32603)));
    // What need not be looked at streams through whatever its size.
    world.backend().faults().once(Fault::Huge(1 << 20));
    assert_eq!(client.call("echo", json!({})).await.unwrap().body.len(), 1 << 20);
    world.backend().script_events([Step::Send(Bytes::from(vec![b':'; 1 << 20])), Step::Send("\n\n".into())]);
    assert_eq!(client.call("echo", json!({})).await.unwrap().body.len(), (1 << 20) + 2);
}

fn head(world: &World, client: &Client, length: &str) -> String {
    let request = client.message("tools/call", json!({"name": "echo"})).unwrap();
    let host = world.base.trim_start_matches("http://");
    let mut head = format!("POST /orders/mcp HTTP/1.1\r\nhost: {host}\r\n{length}\r\n");
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    head + "\r\n"
}

/// Writes bytes, and reads until the gateway closes or has said something and then nothing for a while.
async fn raw(world: &World, text: &str) -> String {
    let mut stream = TcpStream::connect(world.base.trim_start_matches("http://")).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    within(async {
        loop {
            let read = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut piece)).await;
            match read {
                Ok(Ok(count)) if count > 0 => answer.extend_from_slice(&piece[..count]),
                _ if answer.is_empty() && read.is_err() => {}
                _ => return,
            }
        }
    })
    .await;
    String::from_utf8(answer).unwrap()
}
