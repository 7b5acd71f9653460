//! 2026-07-28: headers that mirror the body, versions, errors with their statuses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use safeconduct_testkit::client::{Client, MODERN};
use safeconduct_testkit::server::Options;
use safeconduct_testkit::wire::Reply;
use serde_json::{Value, json};

use crate::patience::within;
use crate::world::{Behind, Plan, World};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

type Change = Box<dyn Fn(&mut Request<Bytes>)>;

fn without(name: &'static str) -> Change {
    Box::new(move |sent| drop(sent.headers_mut().remove(name)))
}

fn with(name: &'static str, value: &str) -> Change {
    let value: http::HeaderValue = value.parse().unwrap();
    Box::new(move |sent| drop(sent.headers_mut().insert(name, value.clone())))
}

/// Changes the message itself.
fn saying(change: impl Fn(&mut Value) + 'static) -> Change {
    Box::new(move |sent| {
        let mut message: Value = serde_json::from_slice(sent.body()).unwrap();
        change(&mut message);
        *sent.body_mut() = message.to_string().into();
    })
}

fn call(client: &Client, tool: &str, change: &Change) -> Request<Bytes> {
    let mut sent = client.message("tools/call", json!({"name": tool, "arguments": {"text": "x"}})).unwrap();
    change(&mut sent);
    sent
}

fn sentinel(text: &str) -> String {
    format!("=?base64?{}?=", STANDARD.encode(text))
}

/// Row: M1
#[tokio::test(flavor = "multi_thread")]
async fn a_stateless_server_has_no_streams_to_get_and_no_sessions() {
    let options = Options { legacy: false, ..Options::default() };
    let world = World::with(Plan { behind: Behind::Server(options), ..Plan::default() }).await;
    let client = world.modern("alice");
    let stray = |sent: &mut Request<Bytes>| {
        with("mcp-session-id", "an-old-one")(sent);
        with("last-event-id", "0-1")(sent);
    };
    let answer = client.send(call(&client, "echo", &(Box::new(stray) as Change))).await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "x"));
    assert_eq!(answer.header("mcp-session-id"), None);
    let seen = world.server().log().last().unwrap();
    assert_eq!((seen.header("mcp-session-id"), seen.header("last-event-id")), (None, None));
    assert_eq!(within(client.listen(None)).await.unwrap().status, 405);
    assert_eq!(client.end().await.unwrap().status, 405);
}

/// Row: M2
#[tokio::test(flavor = "multi_thread")]
async fn headers_that_differ_from_the_body_never_reach_a_server_that_does_not_look() {
    let world = World::start().await;
    let client = world.modern("alice");
    let same: Change = Box::new(|_| {});
    assert_eq!(client.send(call(&client, "echo", &same)).await.unwrap().text(), "x");
    let before = world.server().log().count();
    let wrong = [
        without("mcp-protocol-version"),
        with("mcp-protocol-version", "2026-07-29"),
        without("mcp-method"),
        with("mcp-method", "tools/list"),
        with("mcp-method", "Tools/Call"),
        without("mcp-name"),
        with("mcp-name", "list_orders"),
        with("mcp-name", "Echo"),
        with("mcp-name", ""),
        saying(|message| message["params"]["name"] = json!("refund")),
        saying(|message| message["method"] = json!("prompts/get")),
    ];
    for (number, change) in wrong.iter().enumerate() {
        let sent = call(&client, "echo", change);
        let id = serde_json::from_slice::<Value>(sent.body()).unwrap()["id"].clone();
        let answer = client.send(sent).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.error_code()), (400, Some(-32020)), "{number}");
        assert_eq!(answer.message()["id"], id, "{number}");
    }
    assert_eq!(world.server().log().count(), before);
}

/// Row: M3
#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_the_sentinel_is_decoded_and_a_half_sentinel_is_a_name() {
    let world = World::with(Plan::scripted()).await;
    world.backend().results(json!({"resultType": "complete", "content": []}));
    let client = world.modern("alice");
    let half = "=?base64?abc";
    let right = [
        ("gr\u{fc}\u{df}e", sentinel("gr\u{fc}\u{df}e")),
        ("echo", sentinel("echo")),
        (half, half.to_owned()),
        ("a b", " a b\t".to_owned()),
        ("=?BASE64?ZWNobw==?=", "=?BASE64?ZWNobw==?=".to_owned()),
    ];
    for (tool, name) in &right {
        let answer = client.send(call(&client, tool, &with("mcp-name", name))).await.unwrap();
        assert_eq!(answer.status, 200, "{tool}: {:?}", answer.message());
        let seen = world.backend().log().last().unwrap();
        assert_eq!(seen.json()["params"]["name"], *tool);
        assert_eq!(seen.header("mcp-name"), Some(name.trim()), "passed on as it came");
    }
    let before = world.backend().log().count();
    for wrong in ["=?base64?ZWNo*w==?=", "=?base64?ZWNobw=?=", "=?base64?/w==?=", "=?base64??="] {
        let answer = client.send(call(&client, "echo", &with("mcp-name", wrong))).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.error_code()), (400, Some(-32020)), "{wrong}");
    }
    assert_eq!(world.backend().log().count(), before);
}

/// Row: M4
#[tokio::test(flavor = "multi_thread")]
async fn mirrored_parameters_pass_untouched_and_are_checked_once_a_list_has_named_them() {
    let world = World::start().await;
    let client = world.modern("alice");
    let report = |region: &str, header: &str| {
        let mut sent = client
            .message("tools/call", json!({"name": "region_report", "arguments": {"region": region}}))
            .unwrap();
        with("mcp-param-region", header)(&mut sent);
        with("mcp-param-unheard-of", "v\u{3d}1")(&mut sent);
        sent
    };
    assert_eq!(client.send(report("eu", "eu")).await.unwrap().status, 200);
    let seen = world.server().log().last().unwrap();
    assert_eq!(seen.header("mcp-param-region"), Some("eu"));
    assert_eq!(seen.header("mcp-param-unheard-of"), Some("v=1"));
    client.list("tools").await.unwrap();
    assert_eq!(client.send(report("eu", "eu")).await.unwrap().status, 200);
    let before = world.server().log().count();
    for (region, header) in [("eu", "us"), ("eu", "EU"), ("eu", "")] {
        let answer = client.send(report(region, header)).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.error_code()), (400, Some(-32020)), "{region} {header}");
    }
    assert_eq!(world.server().log().count(), before);
}

/// Row: M5
#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_named_in_the_header_too() {
    let policies = r#"permit (principal, action, resource in Server::"orders");"#;
    let world = World::with(Plan { policies: policies.into(), ..Plan::scripted() }).await;
    world.backend().results(json!({"resultType": "complete", "taskId": "t-1", "status": "working"}));
    let client = world.modern("alice");
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let sent = || client.message(method, json!({"taskId": "t-1"})).unwrap();
        assert_eq!(client.send(sent()).await.unwrap().status, 200, "{method}");
        assert_eq!(world.backend().log().last().unwrap().header("mcp-name"), Some("t-1"));
        for change in [without("mcp-name"), with("mcp-name", "t-2")] {
            let mut sent = sent();
            change(&mut sent);
            assert_eq!(client.send(sent).await.unwrap().error_code(), Some(-32020), "{method}");
        }
    }
    assert_eq!(world.backend().log().count(), 3);
}

/// Row: M6
#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_its_meta_is_refused_with_its_id() {
    let world = World::start().await;
    let client = world.modern("alice");
    let lacking: [(Change, &str); 4] = [
        (
            saying(|message| drop(message["params"]["_meta"].as_object_mut().unwrap().remove(VERSION))),
            VERSION,
        ),
        (
            saying(|message| drop(message["params"]["_meta"].as_object_mut().unwrap().remove(CAPABILITIES))),
            CAPABILITIES,
        ),
        (saying(|message| message["params"]["_meta"][CAPABILITIES] = json!("none")), CAPABILITIES),
        (saying(|message| drop(message["params"].as_object_mut().unwrap().remove("_meta"))), VERSION),
    ];
    for (change, name) in &lacking {
        let answer = client.send(call(&client, "echo", change)).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.error_code()), (400, Some(-32602)), "{name}");
        assert!(answer.message()["id"].is_u64());
        assert!(answer.message()["error"]["message"].as_str().unwrap().contains(name));
    }
    assert_eq!(world.server().log().count(), 0);
}

/// Row: M7
#[tokio::test(flavor = "multi_thread")]
async fn an_unsupported_version_is_told_the_supported_ones() {
    let world = World::start().await;
    let client = world.modern("alice");
    let discovered = client.connect().await.unwrap().result()["supportedVersions"].clone();
    let mut sent =
        call(&client, "echo", &saying(|message| message["params"]["_meta"][VERSION] = json!("2031-01-01")));
    with("mcp-protocol-version", "2031-01-01")(&mut sent);
    let answer = client.send(sent).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.error_code()), (400, Some(-32022)));
    let data = answer.message()["error"]["data"].clone();
    assert_eq!(data["requested"], "2031-01-01");
    let supported = data["supported"].as_array().unwrap();
    assert!(supported.contains(&json!(MODERN)));
    assert!(supported.iter().all(|version| discovered.as_array().unwrap().contains(version)));
}

/// Row: M8
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_method_is_not_found_and_says_so_in_json() {
    let world = World::start().await;
    let client = world.modern("alice");
    for method in ["tools/delete", "Tools/call", "stream/open", "session/end", "response", ""] {
        let answer = client.request(method, json!({})).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.error_code()), (404, Some(-32601)), "{method:?}");
        assert!(answer.message()["id"].is_u64());
    }
    // What this revision took away is unknown in it, even before its parameters are looked at.
    for method in ["logging/setLevel", "resources/subscribe", "ping", "initialize"] {
        let answer = client.request(method, json!({})).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.error_code()), (404, Some(-32601)), "{method:?}");
    }
    assert_eq!(world.server().log().count(), 0);
}

/// Row: M9
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_client_capability_is_told_as_the_server_told_it() {
    let world = World::with(Plan::scripted()).await;
    let client = world.modern("alice");
    let error = json!({"code": -32021, "message": "Needs sampling", "data": {"requiredCapabilities": {"sampling": {}}}});
    let told = json!({"jsonrpc": "2.0", "id": 1, "error": error});
    world.backend().script(Reply::json(StatusCode::BAD_REQUEST, &told));
    let answer = client.call("echo", json!({})).await.unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.message(), told);
}

/// Row: M23
#[tokio::test(flavor = "multi_thread")]
async fn own_codes_keep_out_of_the_reserved_ranges() {
    let scopes = "    scopes: { prompts/list: [prompts:list] }\n".to_owned();
    let world = World::with(Plan { server: scopes, ..Plan::default() }).await;
    let (alice, nobody) = (world.modern("alice"), Client::modern(&world.url()));
    let refund = json!({"order": "1", "amount": 501});
    let refusals = [
        nobody.list("tools").await.unwrap(),
        Client::modern(&world.url()).bearer("x.y.z").list("tools").await.unwrap(),
        world.modern("bob").call("echo", json!({})).await.unwrap(),
        alice.call("refund", refund).await.unwrap(),
        alice.call("drop_table", json!({})).await.unwrap(),
        alice.request("resources/read", json!({"uri": 7})).await.unwrap(),
        alice.request("tools/delete", json!({})).await.unwrap(),
        alice.list("prompts").await.unwrap(),
        alice.send(call(&alice, "echo", &without("mcp-method"))).await.unwrap(),
        alice.send(call(&alice, "echo", &without("content-type"))).await.unwrap(),
        alice.send(call(&alice, "echo", &saying(|message| message["jsonrpc"] = json!("1.0")))).await.unwrap(),
        alice
            .send(call(
                &alice,
                "echo",
                &(Box::new(|sent: &mut Request<Bytes>| *sent.method_mut() = Method::PUT) as Change),
            ))
            .await
            .unwrap(),
    ];
    assert_eq!(world.server().log().count(), 0);
    for (number, answer) in refusals.iter().enumerate() {
        let code = answer.error_code().unwrap_or_else(|| panic!("{number}: no JSON-RPC error"));
        let specified = [-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022].contains(&code);
        assert!(specified || !(-32768..=-32000).contains(&code), "{number}: {code}");
        assert_eq!(answer.message()["jsonrpc"], "2.0");
        assert!(answer.message()["error"]["message"].is_string());
    }
    let refund = &refusals[3];
    assert_eq!((refund.status, refund.error_code()), (StatusCode::OK, Some(-31403)));
    assert!(refund.message()["error"]["data"]["code"].as_str().unwrap().starts_with("SC-"));
}
