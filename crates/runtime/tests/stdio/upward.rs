//! Legacy clients of servers that know only the stateless revision.

use serde_json::{Value, json};

use super::bench::{Bench, MODERN, until};

/// Row: D5
#[tokio::test]
async fn a_modern_server_is_initialized_and_hears_with_every_request_who_asks() {
    let bench = Bench::own(&["--era", "modern"]);
    let mut client = bench.client();
    let answer = client.initialize(json!({ "elicitation": {} })).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(answer["result"]["capabilities"]["tools"], json!({ "listChanged": true }));
    assert_eq!(bench.verdict.name(), Some("modern"));
    let params = json!({ "name": "echo", "arguments": { "n": 1 }, "_meta": { "vendor/x": 1 } });
    client.ask(json!(1), "tools/call", params).await.last().await;
    client.ask(json!(2), "logging/setLevel", json!({ "level": "error" })).await.last().await;
    let seen: Vec<String> = serde_json::from_str(&client.text("seen", json!({})).await).unwrap();
    let call: Value =
        serde_json::from_str(seen.iter().find(|line| line.contains("vendor/x")).unwrap()).unwrap();
    let meta = &call["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], MODERN);
    assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({ "elicitation": {} }));
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "test");
    assert_eq!(meta["vendor/x"], 1);
    let last: Value = serde_json::from_str(seen.last().unwrap()).unwrap();
    assert_eq!(last["params"]["_meta"]["io.modelcontextprotocol/logLevel"], "error");
    assert_eq!(client.ask(json!(3), "ping", json!({})).await.json().await["result"], json!({}));
    bench.end().await;
}

/// Row: D5
#[tokio::test]
async fn input_that_is_required_is_asked_of_the_client_and_brought_back_with_the_state_as_it_was() {
    let bench = Bench::own(&["--era", "modern"]);
    let client = bench.client().initialized(json!({ "elicitation": {} })).await;
    let other = bench.client().initialized(json!({ "elicitation": {} })).await;
    let mut stream = client.call(json!("i"), "input", json!({})).await;
    let question = stream.message().await;
    assert_eq!(
        (&question["method"], &question["params"]),
        (&json!("elicitation/create"), &json!({ "message": "Who?" }))
    );
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "accept" } });
    assert_eq!(other.post(&answer).await.status, 400);
    assert_eq!(client.post(&answer).await.status, 202);
    let done = stream.last().await;
    assert_eq!(done["id"], "i");
    let text = done["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(text).unwrap(),
        json!([{ "who": { "action": "accept" } }, "a \"state\""])
    );
    bench.end().await;
}

/// Row: D5
#[tokio::test]
async fn changes_are_heard_on_the_get_stream_also_after_a_crash() {
    let bench = Bench::own(&["--era", "modern"]);
    let client = bench.client().initialized(json!({})).await;
    let mut stream = client.get(None).await;
    client.ask(json!(1), "resources/subscribe", json!({ "uri": "a://1" })).await.last().await;
    let listens = async || client.text("seen", json!({})).await.matches("resourceSubscriptions").count() >= 1;
    until("the bridge listens", listens).await;
    client.text("touch", json!({ "uri": "a://1" })).await;
    let update = stream.message().await;
    assert_eq!(
        (&update["method"], &update["params"]["uri"]),
        (&json!("notifications/resources/updated"), &json!("a://1"))
    );
    assert!(update.pointer("/params/_meta/io.modelcontextprotocol~1subscriptionId").is_none());

    client.call(json!(2), "crash", json!({})).await.last().await;
    until("the bridge listens again", listens).await;
    client.text("touch", json!({ "uri": "a://1" })).await;
    assert_eq!(stream.message().await["params"]["uri"], "a://1");
    bench.end().await;
}

/// Row: D5
#[tokio::test]
async fn a_legacy_client_cancels_by_notice_and_not_by_going_away() {
    let bench = Bench::own(&["--era", "modern"]);
    let client = bench.client().initialized(json!({})).await;
    let waiting = client.call(json!(7), "never", json!({})).await;
    client.notify("notifications/cancelled", json!({ "requestId": 7 })).await;
    assert_eq!(waiting.last().await["error"]["code"], -32800);
    until("the server heard of it", async || client.text("cancelled", json!({})).await != "[]").await;

    let mut gone = client.call(json!(8), "log", json!({ "data": "x", "after": 0.5 })).await;
    let (id, logged) = gone.event().await.unwrap();
    assert_eq!(logged["params"]["data"], "x");
    drop(gone);
    let rest = client.get(id.as_deref()).await.last().await;
    assert_eq!((&rest["id"], &rest["result"]["content"][0]["text"]), (&json!(8), &json!("logged")));
    bench.end().await;
}
