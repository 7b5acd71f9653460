//! Modern clients of servers that know only the handshake.

use serde_json::{Value, json};

use super::bench::{Bench, MODERN, until};

const SUBSCRIPTION: &str = "/params/_meta/io.modelcontextprotocol~1subscriptionId";

/// Row: D6
#[tokio::test]
async fn a_legacy_server_is_discovered_and_called_and_its_results_are_complete() {
    let bench = Bench::own(&[]);
    let client = bench.client().modern(json!({}));
    let discovered = client.ask(json!("d"), "server/discover", json!({})).await.json().await;
    assert_eq!(discovered["id"], "d");
    assert_eq!(discovered["result"]["supportedVersions"], json!([MODERN]));
    assert_eq!(discovered["result"]["capabilities"]["tools"], json!({ "listChanged": true }));
    let list = client.ask(json!(1), "tools/list", json!({})).await.text().await;
    assert!(list.contains("\"unknown\":12345678901234567890"), "{list}");
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["result"]["resultType"], "complete");
    assert_eq!((&list["result"]["ttlMs"], &list["result"]["cacheScope"]), (&json!(0), &json!("private")));
    assert_eq!(list["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "scripted");
    bench.end().await;
}

/// Row: D7
#[tokio::test]
async fn what_is_between_a_client_and_its_next_peer_does_not_reach_a_legacy_server() {
    let bench = Bench::own(&[]);
    let client = bench.client().modern(json!({}));
    let params = json!({ "name": "echo", "arguments": {}, "_meta": {
        "vendor/x": 1, "traceparent": "t", "io.modelcontextprotocol/clientInfo": { "name": "c", "version": "1" } } });
    client.ask(json!(1), "tools/call", params).await.last().await;
    let seen: Vec<String> = serde_json::from_str(&client.text("seen", json!({})).await).unwrap();
    let call = seen.iter().find(|line| line.contains("vendor/x")).unwrap();
    let call: Value = serde_json::from_str(call).unwrap();
    assert_eq!(call["params"]["_meta"], json!({ "vendor/x": 1, "traceparent": "t" }));
    let handshake = seen.iter().find(|line| line.contains("\"initialize\"")).unwrap();
    assert!(handshake.contains("\"protocolVersion\":\"2025-11-25\""));
    bench.end().await;
}

/// Row: D6, M15
#[tokio::test]
async fn what_the_server_asks_in_a_call_becomes_input_that_the_client_brings_with_its_next_one() {
    let bench = Bench::own(&[]);
    let client = bench.client().modern(json!({ "elicitation": {} }));
    let arguments = json!({ "method": "elicitation/create", "params": { "message": "Sure?" } });
    let asked = client.call(json!(1), "ask", arguments.clone()).await.last().await;
    assert_eq!((&asked["id"], &asked["result"]["resultType"]), (&json!(1), &json!("input_required")));
    let state = asked["result"]["requestState"].as_str().unwrap();
    let requests = asked["result"]["inputRequests"].as_object().unwrap();
    let (key, request) = requests.iter().next().unwrap();
    assert_eq!(request, &json!({ "method": "elicitation/create", "params": { "message": "Sure?" } }));

    let retry = |state: &str, name: &str, responses: Value| json!({ "name": name, "arguments": arguments, "requestState": state, "inputResponses": responses });
    // Not for another tool, and not with a state that somebody made up.
    for (state, name) in [(state, "echo"), ("safeconduct-round-00", "ask")] {
        let refused = client.ask(json!(2), "tools/call", retry(state, name, json!({}))).await.last().await;
        assert_eq!(refused["error"]["code"], -32602);
    }
    // What is missing is asked for again.
    let again = client.ask(json!(3), "tools/call", retry(state, "ask", json!({}))).await.last().await;
    assert_eq!(again["result"]["inputRequests"], asked["result"]["inputRequests"]);
    let state = again["result"]["requestState"].as_str().unwrap();
    let responses = json!({ key.as_str(): { "action": "accept", "content": { "ok": true } } });
    let done = client.ask(json!(4), "tools/call", retry(state, "ask", responses.clone())).await.last().await;
    assert_eq!((&done["id"], &done["result"]["resultType"]), (&json!(4), &json!("complete")));
    let text = done["result"]["content"][0]["text"].as_str().unwrap();
    let got: Value = serde_json::from_str(text).unwrap();
    assert_eq!(got["result"], json!({ "action": "accept", "content": { "ok": true } }));
    // Once only.
    let twice = client.ask(json!(5), "tools/call", retry(state, "ask", responses)).await.last().await;
    assert_eq!(twice["error"]["code"], -32602);
    bench.end().await;
}

/// Row: D6
#[tokio::test]
async fn a_client_is_not_asked_what_it_cannot_do_and_a_round_that_nobody_finishes_ends() {
    let options = safeconduct_runtime::stdio::Options {
        input: std::time::Duration::from_millis(500),
        ..safeconduct_runtime::stdio::Options::new(safeconduct_runtime::stdio::Sharing::OneCaller)
    };
    let bench = Bench::with(options, &[]);
    let arguments = json!({ "method": "sampling/createMessage", "params": { "messages": [] } });
    let unable = bench.client().modern(json!({ "elicitation": {} }));
    let text = unable.text("ask", arguments.clone()).await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["error"]["code"], -32601);

    let able = bench.client().modern(json!({ "sampling": {} }));
    let asked = able.call(json!(1), "ask", arguments).await.last().await;
    assert_eq!(asked["result"]["resultType"], "input_required");
    until("the server heard that no input comes", async || {
        able.text("seen", json!({})).await.contains("No input came.")
    })
    .await;
    until("and that the call is over", async || able.text("cancelled", json!({})).await != "[]").await;
    bench.end().await;
}

/// Row: D6
#[tokio::test]
async fn subscriptions_are_kept_by_the_bridge() {
    let bench = Bench::own(&[]);
    let client = bench.client().modern(json!({}));
    let wanted = json!({ "notifications": { "toolsListChanged": true, "promptsListChanged": true,
        "resourceSubscriptions": ["a://1"] } });
    let mut stream = client.ask(json!("s"), "subscriptions/listen", wanted).await;
    let acknowledged = stream.message().await;
    assert_eq!(
        acknowledged["params"]["notifications"],
        json!({ "toolsListChanged": true, "resourceSubscriptions": ["a://1"] })
    );
    client.text("touch", json!({ "uri": "a://1" })).await;
    client.text("change", json!({})).await;
    for method in ["notifications/resources/updated", "notifications/tools/list_changed"] {
        let message = stream.message().await;
        assert_eq!((&message["method"], message.pointer(SUBSCRIPTION)), (&json!(method), Some(&json!("s"))));
    }
    client.call(json!(1), "crash", json!({})).await.last().await;
    let end = stream.message().await;
    assert_eq!((&end["id"], &end["result"]["resultType"]), (&json!("s"), &json!("complete")));
    bench.end().await;
}

/// Row: D6, M7, M8, M23
#[tokio::test]
async fn errors_are_those_of_the_revision() {
    let bench = Bench::own(&[]);
    let client = bench.client().modern(json!({}));
    let removed = client.ask(json!(1), "ping", json!({})).await;
    assert_eq!(removed.status, 404);
    assert_eq!(removed.json().await["error"]["code"], -32601);
    let missing = client.ask(json!(2), "resources/read", json!({ "uri": "a://none" })).await.json().await;
    assert_eq!(missing["error"]["code"], -32602);
    let url = r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32042,"message":"","data":{"elicitations":[{"mode":"url","url":"https://a.example","elicitationId":"e","message":"m"}]}}}"#;
    let able = bench.client().modern(json!({ "elicitation": { "url": {} } }));
    let asked = able.call(json!(3), "print", json!({ "line": url, "answer": false })).await.json().await;
    assert_eq!(asked["result"]["inputRequests"]["0"]["params"]["url"], "https://a.example");
    let unable = client.call(json!(4), "print", json!({ "line": url, "answer": false })).await.json().await;
    assert_eq!(unable["error"]["code"], -32603);
    bench.end().await;
}

/// Row: M10
#[tokio::test]
async fn who_closes_the_stream_has_cancelled_and_log_lines_come_when_asked_for() {
    let bench = Bench::own(&[]);
    let client = bench.client().modern(json!({}));
    drop(client.call(json!(1), "never", json!({})).await);
    until("the server heard of it", async || client.text("cancelled", json!({})).await != "[]").await;
    let params = json!({ "name": "log", "arguments": { "data": "x" },
        "_meta": { "io.modelcontextprotocol/logLevel": "debug" } });
    let mut stream = client.ask(json!(2), "tools/call", params).await;
    assert_eq!(stream.message().await["params"]["data"], "x");
    assert_eq!(client.text("level", json!({})).await, "debug");
    let silent = client.call(json!(3), "log", json!({ "data": "x" })).await;
    assert!(!silent.is_stream());
    bench.end().await;
}
