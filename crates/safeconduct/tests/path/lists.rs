//! Lists: what they show, how long they may be kept, and what they teach before the first decision.

use std::time::Duration;

use http::StatusCode;
use safeconduct_testkit::client::Client;
use safeconduct_testkit::wire::Reply;
use serde_json::{Value, json};

use crate::world::{AUDIENCE, Plan, World};

/// Everyone in support may call what does not write.
const READERS: &str = r#"
permit (principal in Group::"corp/support", action == Action::"tools/call", resource in Server::"orders")
when { resource.readOnly };
"#;

/// Row: M22, A17
#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_list_keeps_the_servers_order() {
    let world = World::start().await;
    let shown = world.modern("alice").list("tools").await.unwrap().names();
    let all = Client::modern(&world.server().url()).list("tools").await.unwrap().names();
    assert_eq!(shown, all.iter().filter(|name| *name != "drop_table").cloned().collect::<Vec<_>>());
    assert_eq!(world.modern("bob").list("tools").await.unwrap().names(), [""; 0]);
    for _ in 0..3 {
        assert_eq!(world.modern("carol").list("tools").await.unwrap().names(), shown);
    }
}

/// Row: M18
#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_its_callers_own_and_for_no_longer_than_the_token() {
    let world = World::start().await;
    for what in ["tools", "prompts", "resources", "resources/templates"] {
        let result = world.modern("alice").list(what).await.unwrap().result();
        assert_eq!(
            (result["cacheScope"].as_str(), result["ttlMs"].as_u64()),
            (Some("private"), Some(60_000)),
            "{what}"
        );
    }
    let token = world.idp.mint("alice", AUDIENCE, "backend-mcp:tools:call", Duration::from_secs(20));
    let result = Client::modern(&world.url()).bearer(&token).list("tools").await.unwrap().result();
    assert!(result["ttlMs"].as_u64().unwrap() <= 20_000, "{}", result["ttlMs"]);
    // What the server offers is the same for all: its own word stands.
    assert_eq!(world.modern("alice").connect().await.unwrap().result()["cacheScope"], "public");
}

/// Row: M18
#[tokio::test(flavor = "multi_thread")]
async fn all_pages_are_private_also_those_that_lost_nothing() {
    let world = World::with(Plan::scripted()).await;
    let client = world.modern("alice");
    for page in [json!([{"name": "echo"}]), json!([{"name": "drop_table"}])] {
        world
            .backend()
            .results(json!({"tools": page, "nextCursor": "n", "ttlMs": 1, "cacheScope": "public"}));
        let result = client.request("tools/list", json!({"cursor": "c"})).await.unwrap().result();
        assert_eq!((&result["cacheScope"], &result["nextCursor"]), (&json!("private"), &json!("n")));
    }
}

/// Row: M19
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_from_memory() {
    let world = World::start().await;
    let client = world.modern("alice");
    for asked in 1..=3 {
        client.list("tools").await.unwrap();
        assert_eq!(world.server().log().count(), asked);
    }
}

/// Row: A17
#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_says_of_itself_is_known_before_the_first_decision() {
    let mut world = World::with(Plan { policies: READERS.into(), ..Plan::default() }).await;
    let client = world.modern("alice");
    assert_eq!(client.call("echo", json!({"text": "x"})).await.unwrap().text(), "x");
    let methods = |world: &World| -> Vec<Value> {
        world.server().log().all().iter().map(|seen| seen.json()["method"].clone()).collect()
    };
    assert_eq!(methods(&world), ["tools/list", "tools/call"]);
    let claims = |at: usize| {
        safeconduct_testkit::keys::claims_of(world.server().log().all()[at].bearer().unwrap())["sub"].clone()
    };
    assert_eq!((claims(0), claims(1)), (json!("alice"), json!("alice")), "asked in the caller's name");
    let refused = client.call("refund", json!({"order": "1", "amount": 1})).await.unwrap();
    assert_eq!((refused.status, refused.error_code()), (StatusCode::OK, Some(-32602)));
    assert_eq!(methods(&world).len(), 2, "the list had named it too");
    let lines = world.audit().await;
    // Two workers write; each line has its time.
    let mut seen: Vec<_> = lines
        .iter()
        .map(|line| (line["method"].as_str().unwrap(), line["outcome"].as_str().unwrap()))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [("tools/call", "answered"), ("tools/call", "denied"), ("tools/list", "answered")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_followed_until_the_tool_is_found_and_no_further() {
    let world = World::with(Plan { policies: READERS.into(), ..Plan::scripted() }).await;
    world.backend().answers(|seen| {
        let message = seen.json();
        let page = |name: &str, next: Option<&str>| {
            let tool = json!({"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true}});
            let mut result = json!({"resultType": "complete", "tools": [tool]});
            if let Some(next) = next {
                result["nextCursor"] = json!(next);
            }
            result
        };
        let result = match (message["method"].as_str().unwrap(), message["params"]["cursor"].as_str()) {
            ("tools/list", None) => page("first", Some("p2")),
            ("tools/list", Some("p2")) => page("second", Some("p3")),
            ("tools/list", _) => page("third", None),
            _ => json!({"resultType": "complete", "content": []}),
        };
        Reply::json(StatusCode::OK, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
    });
    let client = world.modern("alice");
    assert!(client.call("second", json!({})).await.unwrap().result().is_object());
    let cursors: Vec<_> =
        world.backend().log().all().iter().map(|seen| seen.json()["params"]["cursor"].clone()).collect();
    assert_eq!(cursors, [Value::Null, json!("p2"), Value::Null], "two pages, and the call");
    // The server was just asked: guessing names costs it nothing.
    for guess in ["third", "fourth", "fifth"] {
        assert_eq!(client.call(guess, json!({})).await.unwrap().error_code(), Some(-32602));
    }
    assert_eq!(world.backend().log().count(), 3);
    // A caller's own list teaches at any time.
    client.request("tools/list", json!({"cursor": "p3"})).await.unwrap();
    assert!(client.call("third", json!({})).await.unwrap().result().is_object());
}
