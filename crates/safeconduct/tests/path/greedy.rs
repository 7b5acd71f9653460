//! One caller who asks for very much at once costs the others nothing: no memory, no time, no log.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_would_be_kept_sixteen_thousand_times_are_denied_at_once() {
    let world = World::start().await;
    let client = world.legacy("alice").await;
    let long = "k".repeat(3_000_000);
    let began = Instant::now();
    let answer = client.call("refund", json!({"amount": {long: vec![json!(null); 16_000]}})).await.unwrap();
    assert_eq!(answer.error_code(), Some(-31403), "{}", answer.status);
    // Sixteen thousand copies of three megabytes would take far longer, if they were to be had at all.
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(client.call("echo", json!({"text": "still here"})).await.unwrap().text(), "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_subscribes_to_everything_is_refused_before_it_is_decided_on() {
    let world = World::start().await;
    let client = world.modern("alice");
    let uris: Vec<String> = (0..1025).map(|number| format!("file:///{number}")).collect();
    let all = json!({"notifications": {"resourceSubscriptions": uris}});
    let answer = client.request("subscriptions/listen", all).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.error_code()), (400, Some(-32600)));
    assert_eq!(world.server().log().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_megabytes_leaves_a_line_of_kilobytes() {
    let mut world = World::start().await;
    let client = world.legacy("alice").await;
    client.call(&"n".repeat(3_000_000), json!({})).await.unwrap();
    let lines = world.audit_of("tools/call").await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["target"].as_str().unwrap().len(), 2048);
}
