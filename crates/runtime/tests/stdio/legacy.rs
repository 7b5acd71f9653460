//! Clients and servers of the revisions with a handshake.

use http::{HeaderMap, Method};
use safeconduct_runtime::stdio::Sharing;
use serde_json::{Value, json};

use super::bench::{Bench, until};

/// Row: S1
#[tokio::test]
async fn messages_pass_byte_for_byte_but_for_their_ids() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    // As written: escapes, a number that no double holds, names that nobody knows, white space.
    let asked = "{ \"params\": {\"name\":\"echo\",\r\n \"arguments\":{\"big\":12345678901234567890,\"e\":1e2,\"u\":\"\\u00e9/\\n\"},\"vendor\":null}, \"method\":\"tools/call\",\n\"jsonrpc\":\"2.0\", \"id\":\"x\\u0079\" }";
    let answer = client.send(Method::POST, HeaderMap::new(), asked.to_owned()).await.text().await;
    assert!(answer.contains("\"id\":\"x\\u0079\""), "{answer}");
    let seen = client.text("seen", json!({})).await;
    let seen: Vec<String> = serde_json::from_str(&seen).unwrap();
    let wire = seen.iter().find(|line| line.contains("vendor")).unwrap();
    let expected = asked.replace(['\r', '\n'], " ");
    let (before, after) = expected.split_once("\"x\\u0079\"").unwrap();
    assert!(wire.starts_with(before) && wire.ends_with(after), "{wire}");

    let list = client.ask(json!(1), "tools/list", json!({})).await.text().await;
    assert!(list.contains("\"unknown\":12345678901234567890"), "{list}");
    bench.end().await;
}

/// Row: S1
#[tokio::test]
async fn what_is_no_message_is_logged_and_dropped_and_error_output_is_logged_without_secrets() {
    let bench = Bench::own(&["--greeting", "Server running on stdio!"]);
    let client = bench.client().initialized(json!({})).await;
    client.text("print", json!({ "line": "debug: 1 < 2" })).await;
    client.text("print", json!({ "line": "[1,2]" })).await;
    client.text("stderr", json!({ "line": "token=canary-token-canary \u{1b}[31m" })).await;
    until("the lines are logged", async || bench.server.said().len() >= 4).await;
    let said = bench.server.said();
    for line in ["Server running on stdio!", "debug: 1 < 2", "[1,2]", "token=[secret] \\u{1b}[31m"] {
        assert!(said.iter().any(|said| said == line), "{line} in {said:?}");
    }
    bench.end().await;
}

/// Row: S1
#[tokio::test]
async fn an_answer_that_is_too_long_or_ambiguous_is_an_error_for_who_waits_and_for_nobody_else() {
    let options = safeconduct_runtime::stdio::Options {
        longest: 64 << 10,
        ..safeconduct_runtime::stdio::Options::new(Sharing::OneCaller)
    };
    let bench = Bench::with(options, &[]);
    let client = bench.client().initialized(json!({})).await;
    let other = tokio::spawn({
        let client = client.clone();
        async move { client.text("echo", json!({ "after": 0.5, "n": 1 })).await }
    });
    let answer = client.call(json!(1), "big", json!({ "size": 200_000 })).await.last().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-32603)));
    assert_eq!(answer["error"]["message"], "The server's answer was too long.");

    let twice = r#"{"jsonrpc":"2.0","id":$ID,"result":{"a":1,"a":2}}"#;
    let answer = client.call(json!(2), "print", json!({ "line": twice, "answer": false })).await.last().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(2), &json!(-32603)));
    assert!(other.await.unwrap().contains("\"n\": 1"));
    bench.end().await;
}

#[tokio::test]
async fn an_error_without_an_id_goes_to_the_one_request_that_it_can_mean() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    let line = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#;
    let answer =
        client.call(json!("a"), "print", json!({ "line": line, "answer": false })).await.last().await;
    assert_eq!(
        answer,
        json!({ "jsonrpc": "2.0", "id": "a", "error": { "code": -32700, "message": "Parse error" } })
    );
    bench.end().await;
}

/// Row: T2, T9
#[tokio::test]
async fn a_session_is_needed_known_and_ended() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    let session = client.session.clone().unwrap();
    assert!(session.len() == 32 && session.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let listed = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    assert_eq!(client.post(&listed).await.status, 200);

    let without = bench.client().post(&listed).await;
    assert_eq!(without.status, 400);
    assert_eq!(without.json().await["error"]["code"], -32600);
    let mut unknown = client.clone();
    unknown.session = Some("0".repeat(32));
    assert_eq!(unknown.post(&listed).await.status, 404);

    let pid: u32 = client.text("pid", json!({})).await.parse().unwrap();
    assert_eq!(client.delete().await, 204);
    assert_eq!(client.post(&listed).await.status, 404);
    assert_eq!(client.delete().await, 404);
    until("the session's process has ended", async || !super::bench::runs(pid)).await;
    bench.end().await;
}

#[tokio::test]
async fn sessions_of_one_caller_share_a_process_unless_their_clients_have_roots() {
    let bench = Bench::own(&[]);
    let one = bench.client().initialized(json!({ "sampling": {} })).await;
    let same = bench.client().initialized(json!({ "sampling": {} })).await;
    let rooted = bench.client().initialized(json!({ "roots": {} })).await;
    let pids = [one.text("pid", json!({})).await, same.text("pid", json!({})).await];
    assert_eq!(pids[0], pids[1]);
    assert_ne!(rooted.text("pid", json!({})).await, pids[0]);
    assert_ne!(one.session, same.session);
    // The handshake was made once: the server saw one of each.
    let seen = one.text("seen", json!({})).await;
    assert_eq!(seen.matches("\\\"method\\\":\\\"initialize\\\"").count(), 1, "{seen}");
    assert_eq!(seen.matches("notifications/initialized").count(), 1);
    bench.end().await;
}

/// Row: S4, T18
#[tokio::test]
async fn progress_comes_in_order_on_the_stream_of_its_request_with_the_clients_token() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    let params = |steps: u32| json!({ "name": "progress", "arguments": { "steps": steps }, "_meta": { "progressToken": "same" } });
    // Two requests with the same id and the same token at once, from two sessions on one process.
    let other = bench.client().initialized(json!({})).await;
    let (mut first, mut second) = tokio::join!(
        client.ask(json!(1), "tools/call", params(3)),
        other.ask(json!(1), "tools/call", params(5))
    );
    for (answer, steps) in [(&mut first, 3), (&mut second, 5)] {
        for step in 0..steps {
            let message = answer.message().await;
            let expected = json!({ "progressToken": "same", "progress": step });
            assert_eq!(message["params"], expected);
        }
        let last = answer.message().await;
        assert_eq!((&last["id"], &last["result"]["content"][0]["text"]), (&json!(1), &json!("done")));
        assert!(answer.event().await.is_none());
    }
    bench.end().await;
}

/// Row: T14, T15
#[tokio::test]
async fn what_the_server_asks_goes_to_the_client_that_it_works_for_and_only_its_answer_goes_back() {
    let bench = Bench::own(&[]);
    let capabilities = json!({ "sampling": {}, "elicitation": {} });
    let client = bench.client().initialized(capabilities.clone()).await;
    let other = bench.client().initialized(capabilities).await;
    let arguments = json!({ "method": "elicitation/create", "params": { "message": "Sure?" } });
    let mut stream = client.call(json!(9), "ask", arguments).await;
    let question = stream.message().await;
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"], json!({ "message": "Sure?" }));

    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "accept" } });
    assert_eq!(other.post(&answer).await.status, 400, "another session's answer is none");
    assert_eq!(client.post(&answer).await.status, 202);
    assert_eq!(client.post(&answer).await.status, 400, "a second answer is none");
    let last = stream.last().await;
    let text = last["result"]["content"][0]["text"].as_str().unwrap();
    let got: Value = serde_json::from_str(text).unwrap();
    assert_eq!(got["result"], json!({ "action": "accept" }));
    bench.end().await;
}

/// Row: S4
#[tokio::test]
async fn a_client_cancels_its_own_requests_only() {
    let bench = Bench::own(&[]);
    let (one, other) =
        (bench.client().initialized(json!({})).await, bench.client().initialized(json!({})).await);
    let waiting = one.call(json!(5), "never", json!({})).await;
    assert!(waiting.is_stream());
    other.notify("notifications/cancelled", json!({ "requestId": 5 })).await;
    assert_eq!(one.text("cancelled", json!({})).await, "[]");
    one.notify("notifications/cancelled", json!({ "requestId": 5, "reason": "enough" })).await;
    let ended = waiting.last().await;
    assert_eq!((&ended["id"], &ended["error"]["code"]), (&json!(5), &json!(-32800)));
    // The server heard of it by the number that it knows.
    let seen: Vec<String> = serde_json::from_str(&one.text("seen", json!({})).await).unwrap();
    let number = |part: &str, field: &str| -> Value {
        let line = seen.iter().find(|line| line.contains(part)).unwrap();
        serde_json::from_str::<Value>(line).unwrap().pointer(field).unwrap().clone()
    };
    assert_eq!(number("never", "/id"), number("enough", "/params/requestId"));
    bench.end().await;
}

/// Row: T5, T8, T11
#[tokio::test]
async fn a_client_that_lost_its_connection_comes_back_for_the_rest() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    let arguments = json!({ "data": "before", "after": 0.5 });
    let mut stream = client.call(json!("r"), "log", arguments).await;
    let (id, first) = stream.event().await.unwrap();
    assert_eq!(first["params"]["data"], "before");
    drop(stream);
    // The server answers while nobody reads.
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    let mut resumed = client.get(id.as_deref()).await;
    let (_, rest) = resumed.event().await.unwrap();
    assert_eq!((&rest["id"], &rest["result"]["content"][0]["text"]), (&json!("r"), &json!("logged")));
    assert!(resumed.event().await.is_none());
    // From the start on, as often as wanted.
    let again = client.get(Some(&format!("{}-0", id.unwrap().split('-').next().unwrap()))).await.text().await;
    assert_eq!(again.matches("data: ").count(), 2, "{again}");
    bench.end().await;
}

/// Row: T6, T16
#[tokio::test]
async fn changes_come_on_the_stream_of_each_session_and_resources_to_who_subscribed() {
    let bench = Bench::own(&[]);
    let (one, other) =
        (bench.client().initialized(json!({})).await, bench.client().initialized(json!({})).await);
    let (mut first, mut second) = (one.get(None).await, other.get(None).await);
    assert!(first.is_stream() && second.is_stream());
    one.ask(json!(1), "resources/subscribe", json!({ "uri": "file:///a" })).await.last().await;
    one.text("touch", json!({ "uri": "file:///a" })).await;
    one.text("change", json!({})).await;
    assert_eq!(first.message().await["params"]["uri"], "file:///a");
    for stream in [&mut first, &mut second] {
        assert_eq!(stream.message().await["method"], "notifications/tools/list_changed");
    }
    bench.end().await;
}

#[tokio::test]
async fn what_comes_before_the_stream_is_open_waits_for_it() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    client.text("late log", json!({ "data": "early bird" })).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let mut stream = client.get(None).await;
    assert_eq!(stream.message().await["params"]["data"], "early bird");
    bench.end().await;
}

/// Row: T12
#[tokio::test]
async fn a_version_that_nobody_knows_is_refused() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    let mut headers = HeaderMap::new();
    headers.insert("mcp-protocol-version", "2025-06-18".parse().unwrap());
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    assert_eq!(client.send(Method::POST, headers.clone(), ping.clone()).await.status, 200);
    headers.insert("mcp-protocol-version", "1999-01-01".parse().unwrap());
    assert_eq!(client.send(Method::GET, headers.clone(), String::new()).await.status, 405);
    assert_eq!(client.send(Method::POST, headers, ping).await.status, 400);
    assert_eq!(client.send(Method::PUT, HeaderMap::new(), String::new()).await.status, 405);
    bench.end().await;
}

/// Row: T3
#[tokio::test]
async fn what_is_not_one_message_never_reaches_the_server() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    for body in [
        "[]",
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
        "hello",
        "",
        r#"{"id":1,"method":"a","method":"b"}"#,
    ] {
        assert_eq!(client.send(Method::POST, HeaderMap::new(), body.into()).await.status, 400, "{body}");
    }
    let seen: Vec<String> = serde_json::from_str(&client.text("seen", json!({})).await).unwrap();
    assert_eq!(seen.len(), 3, "{seen:?}");
    bench.end().await;
}
