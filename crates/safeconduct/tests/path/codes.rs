//! The codes of refusals that need a situation of their own.

use safeconduct_testkit::client::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::audit::line_of;
use crate::hostile::{length, status};
use crate::patience::{until, within};
use crate::world::{POLICIES, Plan, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_and_too_many_calls_have_codes_of_their_own() {
    let top = "timeouts: { body: 200ms }\nlimits: { per_caller: 3/min }".to_owned();
    let mut world = World::with(Plan { top, ..Plan::default() }).await;
    let slow = world.raw(world.request("content-length: 100\r\n", "{\"jsonrpc\":")).await;
    assert_eq!(status(&slow), 408, "{slow}");
    assert!(slow.contains("\"code\":-31408") && slow.contains("SC-D07"), "{slow}");
    let client = world.modern("alice");
    let mut refused = None;
    for _ in 0..4 {
        refused = Some(client.call("echo", json!({"text": "x"})).await.unwrap());
    }
    let refused = refused.unwrap();
    assert_eq!((refused.status.as_u16(), refused.error_code()), (429, Some(-31429)));
    assert_eq!(refused.message()["error"]["data"]["code"], "SC-P05");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() <= 60);
    let line = line_of(&world.audit().await, &refused);
    assert_eq!(
        (&line["outcome"], &line["fault"], &line["backend"]),
        (&json!("denied"), &json!("policy"), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_modern_requests_lack_and_versions_that_nobody_speaks_have_codes_of_their_own() {
    let world = World::start().await;
    let client = world.modern("alice");
    let changed = |from: &str, to: &str, version: &str| {
        let mut sent = client.message("tools/call", json!({"name": "echo"})).unwrap();
        let text = String::from_utf8(sent.body().to_vec()).unwrap().replace(from, to);
        *sent.body_mut() = text.into();
        sent.headers_mut().insert("mcp-protocol-version", version.parse().unwrap());
        sent
    };
    let lacking = client.send(changed("clientCapabilities", "x", "2026-07-28")).await.unwrap();
    assert_eq!((lacking.status.as_u16(), lacking.error_code()), (400, Some(-32602)));
    assert_eq!(lacking.message()["error"]["data"]["code"], "SC-D12");
    let later = client.send(changed("2026-07-28", "2031-01-01", "2031-01-01")).await.unwrap();
    assert_eq!((later.status.as_u16(), later.error_code()), (400, Some(-32022)));
    assert_eq!(later.message()["error"]["data"]["code"], "SC-D13");
    let mut old =
        Client::legacy(&world.url()).bearer(&world.token("alice")).message("ping", json!({})).unwrap();
    old.headers_mut().insert("mcp-protocol-version", "2024-11-05".parse().unwrap());
    let old = client.send(old).await.unwrap();
    assert_eq!((old.status.as_u16(), old.error_code()), (400, Some(-32600)));
    assert_eq!(old.message()["error"]["data"]["code"], "SC-D13");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_may_not_tell_apart_the_operator_may() {
    let policies = format!(
        "{POLICIES}forbid (principal, action == Action::\"tools/call\", resource == Tool::\"orders/echo\") when {{ context.args.n > 5 }};"
    );
    let mut world = World::with(Plan { policies, ..Plan::default() }).await;
    let (alice, bob) = (world.modern("alice"), world.modern("bob"));
    let failed = alice.call("echo", json!({"n": "many"})).await.unwrap();
    assert_eq!((failed.status.as_u16(), failed.error_code()), (200, Some(-31403)));
    let hidden = bob.call("echo", json!({"n": "many"})).await.unwrap();
    assert_eq!((hidden.status.as_u16(), hidden.error_code()), (200, Some(-32602)));
    assert_eq!(hidden.message()["error"].get("data"), None);
    let session = world.legacy("alice").await;
    session.set_session(Some("unknown"));
    let unknown = session.list("tools").await.unwrap();
    let lines = world.audit().await;
    assert_eq!(line_of(&lines, &failed)["code"], "SC-P03");
    let denied = line_of(&lines, &hidden);
    assert!(["SC-P02", "SC-P03"].contains(&denied["code"].as_str().unwrap()));
    assert_eq!((&denied["outcome"], &denied["decision"]["effect"]), (&json!("denied"), &json!("deny")));
    assert_eq!(line_of(&lines, &unknown)["code"], "SC-D15");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_the_gateway_drains_is_sent_to_another() {
    let mut world = World::start().await;
    let held = world.modern("carol");
    let call = held.call("hold", json!({}));
    let mut call = std::pin::pin!(call);
    tokio::select! {
        _ = &mut call => panic!("nothing released it"),
        reached = world.server().log().reaches(1) => assert!(reached),
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let request = world.request(&length(&body), &body);
    let (first, rest) = request.split_at(30);
    let mut late = TcpStream::connect(world.host()).await.unwrap();
    late.write_all(first.as_bytes()).await.unwrap();
    // Its first bytes are read before requests that come later are answered on the same thread; there are a few.
    for _ in 0..8 {
        assert_eq!(world.modern("alice").call("echo", json!({"text": "x"})).await.unwrap().text(), "x");
    }
    let gateway = world.gateway.take().unwrap();
    let stopping = tokio::task::spawn_blocking(move || gateway.stop());
    until(async || TcpStream::connect(world.host()).await.is_err()).await;
    late.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(late.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.contains("SC-G02") && answer.contains("retry-after: "), "{answer}");
    world.server().release();
    assert_eq!(within(call).await.unwrap().text(), "released");
    within(stopping).await.unwrap();
}
