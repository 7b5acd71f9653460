//! Clients and servers of the stateless revision.

use http::{HeaderMap, Method};
use safeconduct_runtime::stdio::Sharing;
use serde_json::json;

use super::bench::{Bench, MODERN, until};

#[tokio::test]
async fn a_modern_server_is_asked_once_for_its_era_and_spoken_to_as_it_is() {
    let bench = Bench::own(&["--era", "modern"]);
    let client = bench.client().modern(json!({}));
    let answer = client.ask(json!("d"), "server/discover", json!({})).await.json().await;
    assert_eq!(answer["result"]["supportedVersions"], json!([MODERN]));
    let one = client.text("pid", json!({})).await;
    assert_eq!(client.text("pid", json!({})).await, one);
    assert_eq!((bench.server.starts(), bench.verdict.name()), (1, Some("modern")));
    bench.end().await;
}

/// Row: M8
#[tokio::test]
async fn errors_have_the_status_of_the_revision() {
    let bench = Bench::own(&["--era", "modern"]);
    let client = bench.client().modern(json!({}));
    let unknown = client.ask(json!(1), "no/method", json!({})).await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json().await["error"]["code"], -32601);
    let bad = client.call(json!(2), "no tool", json!({})).await;
    assert_eq!((bad.status, &bad.json().await["error"]["code"]), (200.try_into().unwrap(), &json!(-32602)));
    for verb in [Method::GET, Method::DELETE] {
        let mut headers = HeaderMap::new();
        headers.insert("mcp-protocol-version", MODERN.parse().unwrap());
        assert_eq!(client.send(verb, headers, String::new()).await.status, 405);
    }
    bench.end().await;
}

/// Row: M6
#[tokio::test]
async fn a_request_without_its_meta_never_reaches_a_process_that_could_read_it_otherwise() {
    let bench = Bench::own(&["--era", "both"]);
    let client = bench.client().modern(json!({}));
    assert_eq!(client.ask(json!(1), "tools/list", json!({})).await.status, 200);
    let mut headers = HeaderMap::new();
    headers.insert("mcp-protocol-version", MODERN.parse().unwrap());
    let bare = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {} });
    let answer = client.send(Method::POST, headers, bare.to_string()).await;
    assert_eq!(
        (answer.status, &answer.json().await["error"]["code"]),
        (400.try_into().unwrap(), &json!(-32602))
    );
    let seen = client.text("seen", json!({})).await;
    assert_eq!(seen.matches("tools/list").count(), 1, "{seen}");
    bench.end().await;
}

/// Row: M10
#[tokio::test]
async fn who_closes_the_stream_has_cancelled() {
    let bench = Bench::own(&["--era", "modern"]);
    let client = bench.client().modern(json!({}));
    let waiting = client.call(json!(1), "never", json!({})).await;
    assert!(waiting.is_stream());
    assert_eq!(client.text("cancelled", json!({})).await, "[]");
    drop(waiting);
    until("the server heard of it", async || client.text("cancelled", json!({})).await != "[]").await;
    assert!(bench.bridge.activity().idle_since.is_some());

    // Before the head of the answer, too.
    let hasty =
        tokio::time::timeout(std::time::Duration::from_millis(50), client.call(json!(2), "never", json!({})));
    assert!(hasty.await.is_err());
    until("the server heard of both", async || client.text("cancelled", json!({})).await.contains(',')).await;
    // Somebody else's cancellation by id is none.
    let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": 1, "_meta": { "io.modelcontextprotocol/protocolVersion": MODERN } } });
    assert_eq!(client.post(&cancelled).await.status, 202);
    bench.end().await;
}

/// Row: S4, M11
#[tokio::test]
async fn subscriptions_with_the_same_id_get_their_own_messages_under_their_own_id() {
    let bench = Bench::own(&["--era", "modern"]);
    let client = bench.client().modern(json!({}));
    let wanted = |uri: &str| json!({ "notifications": { "resourceSubscriptions": [uri] } });
    let mut first = client.ask(json!("s"), "subscriptions/listen", wanted("a://1")).await;
    let mut second = client.ask(json!("s"), "subscriptions/listen", wanted("a://2")).await;
    for stream in [&mut first, &mut second] {
        let acknowledged = stream.message().await;
        assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
        assert_eq!(acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "s");
    }
    client.text("touch", json!({ "uri": "a://2" })).await;
    client.text("touch", json!({ "uri": "a://1" })).await;
    for (stream, uri) in [(&mut first, "a://1"), (&mut second, "a://2")] {
        let update = stream.message().await;
        assert_eq!(update["params"]["uri"], uri);
        assert_eq!(update["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "s");
    }
    assert!(bench.bridge.activity().idle_since.is_none(), "a subscription is a use");
    // Ended by the server: a result, as over HTTP.
    client.text("end listening", json!({})).await;
    let end = first.last().await;
    assert_eq!(end["id"], "s");
    assert_eq!(end["result"]["resultType"], "complete");
    assert_eq!(end["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "s");
    bench.end().await;
}

/// Row: S5
#[tokio::test]
async fn a_crash_ends_subscriptions_with_an_error_so_that_clients_subscribe_again() {
    let bench = Bench::own(&["--era", "modern"]);
    let client = bench.client().modern(json!({}));
    let wanted = json!({ "notifications": { "toolsListChanged": true } });
    let mut stream = client.ask(json!("s"), "subscriptions/listen", wanted.clone()).await;
    stream.message().await;
    client.call(json!(1), "crash", json!({})).await.last().await;
    assert_eq!(stream.message().await["error"]["code"], -32603);
    let mut again = client.ask(json!("s"), "subscriptions/listen", wanted).await;
    again.message().await;
    client.text("change", json!({})).await;
    assert_eq!(again.message().await["method"], "notifications/tools/list_changed");
    bench.end().await;
}

#[tokio::test]
async fn log_lines_go_to_who_asked_for_them_on_a_process_of_ones_own() {
    let bench = Bench::own(&["--era", "modern"]);
    let client = bench.client().modern(json!({}));
    let params = json!({ "name": "log", "arguments": { "data": "x" },
        "_meta": { "io.modelcontextprotocol/logLevel": "info" } });
    let mut stream = client.ask(json!(1), "tools/call", params).await;
    assert_eq!(stream.message().await["params"]["data"], "x");
    let silent = client.call(json!(2), "log", json!({ "data": "x" })).await;
    assert!(!silent.is_stream());
    bench.end().await;
}

/// Row: S6
#[tokio::test]
async fn the_question_for_the_era_costs_a_sibling_and_whatever_is_no_modern_answer_means_legacy() {
    for (flags, how) in
        [(&[][..], "an error"), (&["--exit-on-probe"][..], "an end"), (&["--silent-on-probe"][..], "silence")]
    {
        let options = safeconduct_runtime::stdio::Options {
            probe: std::time::Duration::from_millis(700),
            ..safeconduct_runtime::stdio::Options::new(Sharing::OneCaller)
        };
        let bench = Bench::with(options, flags);
        let client = bench.client().modern(json!({}));
        let one = client.text("pid", json!({})).await;
        assert_eq!(client.text("pid", json!({})).await, one, "{how}");
        assert_eq!((bench.server.starts(), bench.verdict.name()), (2, Some("legacy")), "{how}");
        // The one that was asked is gone, and the next client costs no sibling.
        until("the sibling has ended", async || bench.bridge.activity().processes.len() == 1).await;
        let legacy = bench.client().initialized(json!({})).await;
        legacy.text("pid", json!({})).await;
        assert_eq!(bench.server.starts(), 3, "{how}");
        bench.end().await;
    }
}

#[tokio::test]
async fn a_server_of_both_eras_is_spoken_to_in_the_clients() {
    let bench = Bench::own(&["--era", "both"]);
    let legacy = bench.client().initialized(json!({})).await;
    let modern = bench.client().modern(json!({}));
    legacy.text("echo", json!({})).await;
    modern.text("echo", json!({})).await;
    assert_eq!(bench.verdict.name(), Some("both"));
    let seen = legacy.text("seen", json!({})).await;
    assert!(!seen.contains(MODERN), "no stray request of the other era: {seen}");
    bench.end().await;
}
