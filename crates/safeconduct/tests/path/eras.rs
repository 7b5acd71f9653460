//! Both eras on one endpoint: which one a request belongs to, and what may not be taken for a sign of it.

use http::StatusCode;
use safeconduct_testkit::client::{Client, LEGACY, MODERN};
use safeconduct_testkit::wire::{Fault, Reply};
use serde_json::{Value, json};

use crate::line::Line;
use crate::world::{Plan, World};

const META: &str = "io.modelcontextprotocol/";

/// A message of a legacy client that has also the modern keys in `_meta`, as ChatGPT sends it.
fn stray() -> Value {
    json!({"name": "echo", "arguments": {"text": "x"}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
        "io.modelcontextprotocol/logLevel": "debug",
        "io.modelcontextprotocol/related-task": {"taskId": "t"},
        "vendor.example/key": [1, 2.50],
        "progressToken": 9,
    }})
}

/// Row: D1, D7
#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_header_outranks_stray_keys_which_end_at_the_gateway() {
    let world = World::start().await;
    let client = world.legacy("alice").await;
    let answer = client.request("tools/call", stray()).await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "x"));
    let seen = world.server().log().last().unwrap();
    assert_eq!(seen.header("mcp-protocol-version"), Some(LEGACY));
    let meta = seen.json()["params"]["_meta"].clone();
    let left = json!({"io.modelcontextprotocol/related-task": {"taskId": "t"}, "vendor.example/key": [1, 2.5], "progressToken": 9});
    assert_eq!(meta, left);
    for cut in ["protocolVersion", "clientCapabilities", "clientInfo", "logLevel"] {
        assert!(!seen.mentions(&format!("{META}{cut}")), "{cut}");
    }
}

/// Row: D1
#[tokio::test(flavor = "multi_thread")]
async fn each_request_says_by_itself_which_era_it_is_of() {
    let world = World::start().await;
    let (legacy, modern) = (world.legacy("alice").await, world.modern("alice"));
    assert_eq!(modern.call("echo", json!({"text": "a"})).await.unwrap().text(), "a");
    assert_eq!(legacy.call("echo", json!({"text": "b"})).await.unwrap().text(), "b");
    assert_eq!(modern.connect().await.unwrap().result()["supportedVersions"], json!([MODERN]));
    // `initialize` is legacy whatever the header says.
    let hello =
        json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    let mut greeting =
        Client::legacy(&world.url()).bearer(&world.token("alice")).message("initialize", hello).unwrap();
    greeting.headers_mut().insert("mcp-protocol-version", MODERN.parse().unwrap());
    let greeted = legacy.send(greeting).await.unwrap();
    assert!(greeted.header("mcp-session-id").is_some());
    assert_eq!(greeted.result()["protocolVersion"], LEGACY);
    // A version in `_meta` and none in the header is a modern request that lacks its header.
    let mut bare = legacy.message("tools/call", stray()).unwrap();
    bare.headers_mut().remove("mcp-protocol-version");
    assert_eq!(legacy.send(bare).await.unwrap().error_code(), Some(-32020));
}

/// Row: D2
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_upgraded_is_modern_from_its_first_modern_answer_on() {
    let world = World::with(Plan::scripted()).await;
    let client = world.modern("alice");
    let unknown =
        json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "Method not found"}});
    world.backend().script(Reply::json(StatusCode::BAD_REQUEST, &unknown));
    let refused = client.connect().await.unwrap();
    assert_eq!(
        (refused.status.as_u16(), refused.message()),
        (400, unknown),
        "the server's own words: the client falls back"
    );
    let hello = json!({"resultType": "complete", "supportedVersions": [MODERN], "capabilities": {}});
    world.backend().results(hello.clone());
    assert_eq!(client.connect().await.unwrap().result(), hello);
    assert_eq!(world.backend().log().count(), 2, "nothing was remembered");
}

/// Row: D3
#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_trouble_is_not_an_old_server() {
    let world = World::with(Plan::scripted()).await;
    let client = world.modern("alice");
    let hello = json!({"resultType": "complete", "supportedVersions": [MODERN], "capabilities": {}});
    world.backend().results(hello.clone());
    for status in [StatusCode::FORBIDDEN, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE]
    {
        world.backend().faults().once(Fault::Status(status, "{}".into()));
        let trouble = client.connect().await.unwrap();
        // 200: a 4xx or 5xx on `server/discover` ends a client's negotiation.
        assert_eq!((trouble.status.as_u16(), trouble.error_code()), (200, Some(-32603)), "{status}");
        assert_eq!(client.connect().await.unwrap().result(), hello);
    }
}

/// Row: D4
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_went_stale_is_replaced_without_a_word_where_nothing_can_happen_twice() {
    let world = World::with(Plan::scripted()).await;
    world.backend().results(json!({"resultType": "complete"}));
    let client = world.modern("alice");
    // One connection of ours stays on one worker, and so does its connection to the server.
    let mut line = Line::plain(&world.base).await;
    let ping = client.message("server/discover", json!({})).unwrap();
    assert_eq!(line.send(ping).await.status, 200);
    let legacy = Client::legacy(&world.url()).bearer(&world.token("alice"));
    let hello =
        json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    for _ in 0..10 {
        for message in
            [client.message("server/discover", json!({})), legacy.message("initialize", hello.clone())]
        {
            world.backend().faults().once(Fault::Close);
            let came = line.send(message.unwrap()).await;
            assert!(came.json()["result"].is_object(), "{} {:?}", came.status, came.json());
        }
    }
    let before = world.backend().log().count();
    world.backend().faults().once(Fault::Close);
    let came = line.send(client.message("tools/call", json!({"name": "echo"})).unwrap()).await;
    assert_eq!((came.status.as_u16(), came.json()["error"]["code"].as_i64()), (200, Some(-31503)));
    assert_eq!(world.backend().log().count(), before + 1, "what may have happened is not done again");
}
