//! Many connections, slow ones, and many requests on one.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::hostile::{length, status};
use crate::patience::{until, within};
use crate::world::{Plan, World};

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_there_is_room_for_are_closed_and_the_rest_served() {
    let top = "limits: { connections: 40 }\ntimeouts: { head: 60s }".to_owned();
    let world = World::with(Plan { top, ..Plan::default() }).await;
    let mut open = Vec::new();
    for _ in 0..39 {
        open.push(world.connection().await);
    }
    let kept = std::cell::RefCell::new(Vec::new());
    // One place is left, and used again and again.
    for _ in 0..5 {
        until(async || {
            world.modern("alice").call("echo", json!({"text": "x"})).await.is_ok_and(|it| it.text() == "x")
        })
        .await;
    }
    // Some of those that were closed may still be counted: then there is room for one more than expected.
    until(async || {
        let mut one_more = world.connection().await;
        let _ = one_more.write_all(b"GET / HTTP/1.1\r\n").await;
        let mut nothing = Vec::new();
        let closed =
            tokio::time::timeout(Duration::from_millis(200), one_more.read_to_end(&mut nothing)).await;
        let refused = closed.is_ok() && nothing.is_empty();
        kept.borrow_mut().push(one_more);
        refused
    })
    .await;
    assert!(kept.take().len() < 40, "closed without a word, long before as many again");
    drop(open);
    until(async || {
        world.modern("alice").call("echo", json!({"text": "x"})).await.is_ok_and(|it| it.text() == "x")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_heads_of_many_do_not_keep_others_waiting() {
    let top = "timeouts: { head: 500ms }".to_owned();
    let world = World::with(Plan { top, ..Plan::default() }).await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = world.connection().await;
        stream.write_all(b"POST /orders/mcp HTTP/1.1\r\nhost: ").await.unwrap();
        slow.push(stream);
    }
    tokio::time::timeout(Duration::from_secs(5), world.serves()).await.unwrap();
    for mut stream in slow {
        let mut rest = Vec::new();
        let _ = within(stream.read_to_end(&mut rest)).await;
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_on_one_connection_keep_apart() {
    let world = World::start().await;
    let (alice, bob) = (world.token("alice"), world.token("bob"));
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}}).to_string();
    let one = |token: &str, last: bool| {
        let text = world.request_as(&format!("Bearer {token}"), &length(&body), &body);
        if last { text } else { text.replace("connection: close\r\n", "") }
    };
    let answer = world.raw([one(&alice, false), one("x", false), one(&bob, true)].concat()).await;
    let statuses: Vec<_> = answer.match_indices("HTTP/1.1 ").map(|(at, _)| status(&answer[at..])).collect();
    assert_eq!(statuses, [200, 401, 200]);
    let subjects: Vec<_> = world
        .server()
        .log()
        .all()
        .iter()
        .map(|seen| safeconduct_testkit::keys::claims_of(seen.bearer().unwrap())["sub"].clone())
        .collect();
    assert_eq!(subjects, ["alice", "bob"]);
}
