//! What passes, passes as it is; what could be read in two ways does not; what the gateway says itself is MCP.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use safeconduct_testkit::backend::{Backend, Step};
use safeconduct_testkit::client::{Answer, Client};
use safeconduct_testkit::wire::Reply;
use serde_json::{Value, json};

use crate::patience::within;
use crate::world::{POLICIES, Plan, World};

/// A legacy call that holds this text as it stands.
fn saying(world: &World, text: &str) -> Request<Bytes> {
    let client = Client::legacy(&world.url()).bearer(&world.token("alice"));
    let mut sent = client.message("ping", json!({})).unwrap();
    *sent.body_mut() = text.to_owned().into();
    sent
}

async fn send(sent: Request<Bytes>) -> Answer {
    within(Client::legacy("http://unused").send(sent)).await.unwrap()
}

/// Row: P2
#[tokio::test(flavor = "multi_thread")]
async fn unusual_messages_pass_byte_for_byte_both_ways() {
    let policies = format!("{POLICIES}permit (principal, action == Action::\"vendor/thing\", resource);");
    let world = World::with(Plan { policies, ..Plan::scripted() }).await;
    let corpus = [
        r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"echo","arguments":{"n":12345678901234567890123,"f":1.0,"e":1E+2}}}"#,
        "\t{ \"params\" : {\"arguments\":{\"\\u00e9\":\"\u{e9}\\/\",\"\":[[],{}]},\"name\":\"echo\",\"task\":{\"ttl\":1}} ,\r\n\"id\":\"a\\u0062\",\"method\":\"tools\\/call\",\"jsonrpc\":\"2.0\",\"x-vendor\":null}\n",
        r#"{"jsonrpc":"2.0","id":-1,"method":"vendor/thing","params":{"anything":[1,{"deep":{"er":true}}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","_meta":{"progressToken":7,"vendor.example/x":{"a":"B"},"io.modelcontextprotocol/related-task":{"taskId":"t"}}}}"#,
    ];
    let answers = [
        "{ \"jsonrpc\" : \"2.0\",\"id\":9007199254740993,\"result\":{\"content\":[{\"type\":\"hologram\",\"n\":1e400}],\"x\":1.50}} \n".to_owned(),
        r#"{"id":"ab","jsonrpc":"2.0","error":{"code":-32602,"message":"\ud83d\ude00","data":{"kept":[0.10]}}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":-1,"result":{"task":{"taskId":"t","taskSupport":"later"},"resultType":"vendor/x"}}"#.to_owned(),
        format!("id: 7\nevent: message\ndata: {}\n\n", r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{"k":"v"}}}"#),
    ];
    for (text, back) in corpus.iter().zip(&answers) {
        let kind = if back.starts_with("id:") { "text/event-stream" } else { "application/json" };
        world.backend().script(Reply::of(StatusCode::OK, kind, back.clone()));
        let answer = send(saying(&world, text)).await;
        assert_eq!(answer.body, back.as_bytes(), "{text}");
        assert_eq!(world.backend().log().last().unwrap().body, text.as_bytes());
    }
    assert_eq!(world.backend().log().count(), corpus.len());
}

/// Row: P3
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_refers_elsewhere_is_not_followed() {
    let elsewhere = Backend::start().await.unwrap();
    let world = World::with(Plan::scripted()).await;
    let schema = json!({"$ref": format!("{}/schema", elsewhere.url()), "$schema": format!("{}/meta", elsewhere.url())});
    let tools =
        json!({"tools": [{"name": "echo", "inputSchema": schema, "icons": [{"src": elsewhere.url()}]}]});
    world.backend().results(tools.clone());
    let client = world.legacy("alice").await;
    assert_eq!(client.list("tools").await.unwrap().result()["tools"], tools["tools"]);
    assert_eq!(client.call("echo", json!({})).await.unwrap().status, 200);
    assert_eq!(elsewhere.log().count(), 0);
}

/// Row: P4
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_two_parsers_could_read_differently_goes_nowhere() {
    let world = World::start().await;
    let client = world.modern("alice");
    assert_eq!(
        client.call("refund", json!({"amount": 1, "note": "a", "Note": "b"})).await.unwrap().error_code(),
        None
    );
    let before = world.server().log().count();
    let doubtful = [
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"drop_table"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"drop_table"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","\u006dethod":"tools/call","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","NAME":"drop_table"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"},"PARAMS":{"name":"drop_table"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","argument\u017f":{"a":1}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":{"b":1,"b":2}}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"tools/call"}"#,
        "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
        r#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"/* comment */}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\ud800"}}"#,
        r#"{"jsonrpc":"2.0","id":01,"method":"ping"}"#,
        r#"{'jsonrpc':'2.0','id':1,'method':'ping'}"#,
    ];
    for text in doubtful {
        let answer = send(saying(&world, text)).await;
        assert_eq!((answer.status.as_u16(), answer.error_code()), (400, Some(-32700)), "{text}");
        assert_eq!(answer.message()["error"]["data"]["code"], "SC-D08", "{text}");
    }
    let mut invalid = saying(&world, "");
    *invalid.body_mut() = Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\xff\"}");
    assert_eq!(send(invalid).await.error_code(), Some(-32700));
    for amount in ["Amount", "AMOUNT", "amo\\u0055nt"] {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"refund","arguments":{{"amount":1,"{amount}":9999}}}}}}"#
        );
        let answer = send(saying(&world, &text)).await;
        assert_eq!(answer.message()["error"]["data"]["code"], "SC-P04", "{amount}: {}", answer.message());
    }
    assert_eq!(world.server().log().count(), before);
}

/// Row: P5
#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_filtered_on_whatever_way_it_comes() {
    let world = World::with(Plan::scripted()).await;
    let client = Client::legacy(&world.url()).bearer(&world.token("alice"));
    let list =
        json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "drop_table"}, {"name": "echo"}]}});
    let shown = json!([{"name": "echo"}]);
    world.backend().script(Reply::json(StatusCode::OK, &list));
    assert_eq!(client.list("tools").await.unwrap().result()["tools"], shown);
    world.backend().script_events([Step::message(&list)]);
    assert_eq!(client.list("tools").await.unwrap().result()["tools"], shown);
    // Cut where it hurts most, and without the end of the event.
    let text = format!("data: {list}\n");
    for cut in [7, text.len() / 2, text.find("drop_table").unwrap() + 4] {
        let (first, rest) = text.split_at(cut);
        world
            .backend()
            .script_events([Step::Send(first.to_owned().into()), Step::Send(rest.to_owned().into())]);
        let answer = client.list("tools").await.unwrap();
        assert!(!String::from_utf8_lossy(&answer.body).contains("drop_table"), "{cut}");
    }
    for after in [None, Some("5")] {
        world.backend().script_events([Step::message(&list)]);
        let mut stream = within(client.listen(after)).await.unwrap();
        assert_eq!(within(stream.next_message()).await.unwrap().unwrap()["result"]["tools"], shown);
    }
}

/// Row: P7
#[tokio::test(flavor = "multi_thread")]
async fn names_are_the_servers_own() {
    let world = World::start().await;
    let client = world.modern("alice");
    let direct = Client::modern(&world.server().url()).list("tools").await.unwrap();
    let shown = client.list("tools").await.unwrap();
    let without: Vec<_> = direct.names().into_iter().filter(|name| name != "drop_table").collect();
    assert_eq!(shown.names(), without);
    assert_eq!(client.call("echo", json!({"text": "x"})).await.unwrap().text(), "x");
    let seen = world.server().log().last().unwrap();
    assert_eq!(
        (seen.json()["params"]["name"].as_str(), seen.header("mcp-name")),
        (Some("echo"), Some("echo"))
    );
}

/// Row: P8
#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_asked_by_its_own_name_and_its_connection_is_its_own() {
    let world = World::with(Plan::scripted()).await;
    let fine = json!({"jsonrpc": "2.0", "id": 1, "result": {"resultType": "complete", "content": []}});
    let reply = Reply::json(StatusCode::OK, &fine)
        .header("connection", "x-hop, close")
        .header("x-hop", "1")
        .header("keep-alive", "timeout=1")
        .header("server", "secret/1.0")
        .header("access-control-allow-origin", "*")
        .header("x-request-id", "the-servers-own");
    world.backend().script(reply);
    let answer = world.modern("alice").call("echo", json!({})).await.unwrap();
    let seen = world.backend().log().last().unwrap();
    assert_eq!(seen.header("host"), Some(world.backend().url().trim_start_matches("http://")));
    let mut names: Vec<_> = answer.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "content-type", "date", "x-request-id"]);
    assert_eq!(answer.header("x-request-id").unwrap().len(), 26);
}

/// `JSONRPCErrorResponse` of both revisions' schema.json, and the errors that it knows by their code. The schemas
/// have no other members; what they leave open is checked by nobody.
fn assert_error_response(message: &Value, modern: bool) {
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert!(
        members(message).iter().all(|name| ["jsonrpc", "id", "error"].contains(&name.as_str())),
        "{message}"
    );
    assert_eq!(message["jsonrpc"], "2.0");
    let id = &message["id"];
    assert!(message.get("id").is_none() || id.is_string() || id.is_i64() || id.is_u64(), "{message}");
    let error = &message["error"];
    assert!(
        members(error).iter().all(|name| ["code", "message", "data"].contains(&name.as_str())),
        "{message}"
    );
    let code = error["code"].as_i64().unwrap();
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()));
    match code {
        // UnsupportedProtocolVersionError, HeaderMismatchError of 2026-07-28.
        -32022 => {
            assert!(error["data"]["supported"].as_array().unwrap().iter().all(Value::is_string));
            assert!(modern && error["data"]["requested"].is_string());
        }
        -32020 => assert!(modern),
        // URLElicitationRequiredError and "resource not found" of 2025-11-25.
        -32042 => {
            assert!(!modern);
            for asked in error["data"]["elicitations"].as_array().unwrap() {
                assert_eq!(asked["mode"], "url");
                assert!(
                    ["message", "elicitationId", "url"].iter().all(|name| asked[*name].is_string()),
                    "{asked}"
                );
            }
        }
        -32002 => assert!(!modern),
        -32700 | -32600 | -32601 | -32602 | -32603 => {}
        other => assert!((-31999..=-31000).contains(&other), "{message}"),
    }
}

/// Row: P14
#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_says_itself_is_a_message_of_the_callers_revision() {
    let server = "    scopes: { prompts/list: [prompts:list] }\n".to_owned();
    let world = World::with(Plan { server, ..Plan::default() }).await;
    let legacy = world.legacy("alice").await;
    let page = json!({"error": "consent_required", "interaction_uri": "https://idp.example/consent"});
    for (client, modern) in [(&world.modern("alice"), true), (&legacy, false)] {
        let spoiled = |change: &dyn Fn(&mut Request<Bytes>)| {
            let mut sent = client.message("tools/call", json!({"name": "echo", "arguments": {}})).unwrap();
            change(&mut sent);
            sent
        };
        // Who names a revision after 2026-07-28 is answered as one who speaks that.
        let unknown = if modern { "2031-01-01" } else { "1999-01-01" };
        let version = |sent: &mut Request<Bytes>| {
            sent.headers_mut().insert("mcp-protocol-version", unknown.parse().unwrap());
            let text = String::from_utf8_lossy(sent.body()).replace("2026-07-28", unknown);
            *sent.body_mut() = text.into();
        };
        let mut answers = vec![
            client.call("drop_table", json!({})).await.unwrap(),
            client.call("refund", json!({"amount": 900})).await.unwrap(),
            client.call("refund", json!({"amount": 1, "AMOUNT": 2})).await.unwrap(),
            client.request("resources/read", json!({"uri": 7})).await.unwrap(),
            client.request("tools/delete", json!({})).await.unwrap(),
            client.list("prompts").await.unwrap(),
            client.respond(&json!("x"), json!({})).await.unwrap(),
        ];
        for sent in [
            spoiled(&version),
            spoiled(&|sent| *sent.body_mut() = "[]".into()),
            spoiled(&|sent| *sent.body_mut() = "{".into()),
            spoiled(&|sent| *sent.method_mut() = Method::PUT),
            spoiled(&|sent| drop(sent.headers_mut().remove("authorization"))),
            spoiled(&|sent| drop(sent.headers_mut().remove("content-type"))),
            spoiled(&|sent| drop(sent.headers_mut().remove("mcp-name"))),
            spoiled(&|sent| drop(sent.headers_mut().insert("mcp-session-id", "made-up".parse().unwrap()))),
        ] {
            answers.push(send(sent).await);
        }
        let fault = safeconduct_testkit::wire::Fault::Status(StatusCode::BAD_REQUEST, page.to_string());
        world.idp.faults().at("/token", 1, fault);
        let bearer = world.token(if modern { "erin" } else { "frank" });
        let stranger =
            if modern { Client::modern(&world.url()) } else { Client::legacy(&world.url()) }.bearer(&bearer);
        answers.push(within(stranger.connect()).await.unwrap());
        world.idp.faults().clear();
        for answer in answers.iter().filter(|answer| answer.error_code().is_some()) {
            assert_error_response(&answer.message(), modern);
        }
        assert!(answers.iter().filter(|answer| answer.error_code().is_some()).count() >= answers.len() - 2);
    }
}
