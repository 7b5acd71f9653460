//! Many callers at once, and processes that they share: nothing of one reaches another.

use std::time::Duration;

use futures_util::future::join_all;
use safeconduct_runtime::stdio::Sharing;
use serde_json::{Value, json};

use super::bench::{Bench, until};

/// Row: S4
#[tokio::test]
async fn fifty_callers_with_the_same_ids_on_one_process_get_their_own_answers() {
    for (flags, modern) in [(&["--era", "legacy"][..], false), (&["--era", "modern"][..], true)] {
        let bench = Bench::new(Sharing::AllCallers, flags);
        let callers = (0..50).map(|caller| {
            let client = bench.client();
            async move {
                let client =
                    if modern { client.modern(json!({})) } else { client.initialized(json!({})).await };
                for round in 0..5 {
                    let secret = format!("caller {caller} round {round}");
                    let params = json!({ "name": "echo", "arguments": { "mine": secret },
                        "_meta": { "progressToken": 1 } });
                    let answer = client.ask(json!(round), "tools/call", params).await.last().await;
                    assert_eq!(answer["id"], round);
                    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
                    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), json!({ "mine": secret }));
                }
            }
        });
        join_all(callers).await;
        assert_eq!(bench.server.starts(), 1);
        bench.end().await;
    }
}

/// Row: S4
#[tokio::test]
async fn what_nothing_ties_to_a_caller_goes_to_nobody_on_a_process_that_callers_share() {
    let bench = Bench::new(Sharing::AllCallers, &[]);
    let alice = bench.client().initialized(json!({ "elicitation": {}, "roots": {} })).await;
    let bob = bench.client().initialized(json!({ "elicitation": {} })).await;
    let mut stream = bob.get(None).await;
    let waiting = bob.call(json!(1), "echo", json!({ "after": 1, "n": 1 })).await;

    alice.text("log", json!({ "data": "alice's" })).await;
    alice.text("late log", json!({ "data": "alice's later" })).await;
    let vendor = r#"{"jsonrpc":"2.0","method":"notifications/vendor","params":{"of":"alice"}}"#;
    alice.text("print", json!({ "line": vendor })).await;
    alice.text("touch", json!({ "uri": "file:///alice" })).await;
    // Nobody can be asked: the server is told so, and was told so from the start.
    let asked = json!({ "method": "elicitation/create", "params": { "message": "alice's secret?" } });
    let answer: Value = serde_json::from_str(&alice.text("ask", asked).await).unwrap();
    assert_eq!(answer["error"]["code"], -32601);
    let seen = alice.text("seen", json!({})).await;
    assert!(seen.contains("\\\"capabilities\\\":{}"), "{seen}");

    let text = waiting.text().await;
    assert!(!text.contains("alice") && text.contains("\\\"n\\\": 1"), "{text}");
    // What is everybody's comes; nothing else came before it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    alice.text("change", json!({})).await;
    assert_eq!(stream.message().await["method"], "notifications/tools/list_changed");
    bench.end().await;
}

/// Row: S4
#[tokio::test]
async fn a_log_line_of_a_modern_request_goes_to_nobody_on_a_process_that_callers_share() {
    let bench = Bench::new(Sharing::AllCallers, &["--era", "modern"]);
    let client = bench.client().modern(json!({}));
    let logged = |data: &str, after: f64| {
        json!({ "name": "log", "arguments": { "data": data, "after": after },
            "_meta": { "io.modelcontextprotocol/logLevel": "debug" } })
    };
    let (one, other) = tokio::join!(
        client.ask(json!(1), "tools/call", logged("one", 0.3)),
        client.ask(json!(1), "tools/call", logged("other", 0.3))
    );
    for answer in [one, other] {
        let text = answer.text().await;
        assert!(!text.contains("notifications/message"), "{text}");
    }
    bench.end().await;
}

#[tokio::test]
async fn resources_that_another_session_still_wants_stay_subscribed() {
    let bench = Bench::new(Sharing::AllCallers, &[]);
    let (one, other) =
        (bench.client().initialized(json!({})).await, bench.client().initialized(json!({})).await);
    let mut stream = other.get(None).await;
    let uri = json!({ "uri": "file:///a" });
    for client in [&one, &other] {
        client.ask(json!(1), "resources/subscribe", uri.clone()).await.last().await;
    }
    one.ask(json!(2), "resources/unsubscribe", uri.clone()).await.last().await;
    one.text("touch", uri.clone()).await;
    assert_eq!(stream.message().await["params"]["uri"], "file:///a");
    other.ask(json!(2), "resources/unsubscribe", uri).await.last().await;
    until("the server was told", async || one.text("subscribed", json!({})).await == "[]").await;
    bench.end().await;
}

/// One caller who does not read holds the process that all share up for a moment, not for good.
#[tokio::test]
async fn a_caller_who_does_not_read_costs_the_others_little() {
    let bench = Bench::new(Sharing::AllCallers, &[]);
    let (deaf, other) =
        (bench.client().initialized(json!({})).await, bench.client().initialized(json!({})).await);
    let params =
        json!({ "name": "progress", "arguments": { "steps": 200_000 }, "_meta": { "progressToken": 1 } });
    let _unread = deaf.ask(json!(1), "tools/call", params).await;
    let text = tokio::time::timeout(Duration::from_secs(20), other.text("echo", json!({ "n": 1 }))).await;
    assert_eq!(text.unwrap(), "{\"n\": 1}");
    bench.end().await;
}
