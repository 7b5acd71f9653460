//! What a stateless exchange carries along: state of several rounds, traces, results of kinds yet unknown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use safeconduct::{app, config};
use safeconduct_testkit::canary;
use safeconduct_testkit::client::Client;
use safeconduct_testkit::server::Options;
use serde_json::{Value, json};

use crate::world::{Behind, Plan, World};

/// Whoever is in support may do everything, at both servers.
const ALL: &str = r#"permit (principal in Group::"corp/support", action, resource);"#;

async fn world(behind: Behind) -> World {
    World::with(Plan { behind, policies: ALL.into(), ..Plan::default() }).await
}

/// The server whose credential is shared by all callers, so that it cannot tell them apart.
fn shared(world: &World, user: &str) -> Client {
    Client::modern(&format!("{}/other/mcp", world.base)).bearer(&world.token(user))
}

fn second_round(first: &Value) -> Value {
    let given = json!({"name": {"action": "accept", "content": {"name": "Ann"}}});
    json!({"name": "ask", "arguments": {}, "inputResponses": given, "requestState": first["requestState"]})
}

/// Row: M15
#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_a_call_passes_to_the_byte_and_empty_is_not_absent() {
    let world = world(Behind::Scripted).await;
    let client = world.modern("alice");
    let state = "a/b+c= \u{e9}\u{1f600} \\ \" \n";
    let first = json!({"resultType": "input_required", "requestState": state, "inputRequests": {"k": {"method": "roots/list"}}});
    world.backend().results(first.clone());
    let answer = client.call("echo", json!({})).await.unwrap();
    assert_eq!(answer.result(), first);
    for written in [r#","requestState":"\u0061\/b""#, r#","requestState":"""#, r#","inputResponses":{}"#, ""]
    {
        let mut sent = client.message("tools/call", json!({"name": "echo", "arguments": {}})).unwrap();
        let text = String::from_utf8(sent.body().to_vec()).unwrap();
        let text = text.replacen(r#""arguments":{}"#, &format!(r#""arguments":{{}}{written}"#), 1);
        *sent.body_mut() = text.clone().into();
        client.send(sent).await.unwrap();
        assert_eq!(world.backend().log().last().unwrap().body, text);
    }
}

/// Row: M16
#[tokio::test(flavor = "multi_thread")]
async fn another_replica_takes_up_what_the_first_has_begun() {
    let key = std::env::temp_dir().join(format!("safeconduct-key-{}", canary::random_hex()));
    std::fs::write(&key, STANDARD.encode([7; 32])).unwrap();
    let top = format!("sessions: {{ key: \"file:{}\" }}", key.display());
    let world = World::with(Plan { policies: ALL.into(), top, ..Plan::default() }).await;
    let second = replica(&world).await;
    let elsewhere = |path: &str| {
        Client::modern(&format!("http://{}{path}", second.address)).bearer(&world.token("alice"))
    };
    let first = shared(&world, "alice").call("ask", json!({})).await.unwrap().result();
    assert_eq!(first["resultType"], "input_required");
    let answer = elsewhere("/other/mcp").request("tools/call", second_round(&first)).await.unwrap();
    assert!(answer.text().starts_with("{\"action\":\"accept\""), "{:?}", answer.message());
    assert!(answer.text().contains(" with state-"), "the server's own state came back: {}", answer.text());
    // A legacy session goes on there too.
    let legacy = world.legacy("alice").await;
    let there =
        Client::legacy(&format!("http://{}/orders/mcp", second.address)).bearer(&world.token("alice"));
    there.set_session(legacy.session().as_deref());
    assert_eq!(there.list("tools").await.unwrap().status, 200);
    tokio::task::spawn_blocking(move || second.stop()).await.unwrap();
    std::fs::remove_file(key).unwrap();
}

/// A second gateway of the same configuration, on another port.
async fn replica(world: &World) -> app::Running {
    let own = world.base.trim_start_matches("http://");
    let text = std::fs::read_to_string(world.config()).unwrap();
    let text = text
        .replacen(&format!("listen: {own}"), "listen: 127.0.0.1:0", 1)
        .replace("audit.jsonl", "audit2.jsonl");
    let path = world.dir.join("replica.yaml");
    std::fs::write(&path, text).unwrap();
    let mut loaded = config::load(&path);
    let plan = loaded.plan.unwrap_or_else(|| panic!("{}", loaded.report.text(false)));
    let policy = config::compile(&plan, &mut loaded.report).unwrap();
    tokio::task::spawn_blocking(move || app::start(plan, policy)).await.unwrap().unwrap()
}

/// Row: M17, A19
#[tokio::test(flavor = "multi_thread")]
async fn state_is_good_for_its_caller_and_its_call_only() {
    let world = world(Behind::Server(Options::default())).await;
    let (alice, carol) = (shared(&world, "alice"), shared(&world, "carol"));
    let first = alice.call("ask", json!({})).await.unwrap().result();
    let state = first["requestState"].as_str().unwrap();
    assert!(!state.contains("state-"), "the server's state is sealed: {state}");
    let before = world.server().log().count();
    let mut elsewhere = second_round(&first);
    elsewhere["name"] = json!("echo");
    let mut spoilt = second_round(&first);
    spoilt["requestState"] = json!(format!("{state}A"));
    for (who, params) in [(&carol, second_round(&first)), (&alice, elsewhere), (&alice, spoilt)] {
        let refused = who.request("tools/call", params).await.unwrap();
        assert_eq!((refused.status.as_u16(), refused.error_code()), (200, Some(-32602)));
    }
    assert_eq!(world.server().log().count(), before);
    let answer = alice.request("tools/call", second_round(&first)).await.unwrap();
    assert!(answer.text().contains("Ann"), "{:?}", answer.message());
}

/// Row: M21
#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_at_the_server_and_in_the_record() {
    let mut world = world(Behind::Scripted).await;
    world.backend().results(json!({"resultType": "complete"}));
    let client = world.modern("alice");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let params =
        json!({"name": "echo", "_meta": {"traceparent": trace, "tracestate": "a=1", "baggage": "k=v"}});
    let mut sent = client.message("tools/call", params).unwrap();
    sent.headers_mut().insert("traceparent", trace.parse().unwrap());
    client.send(sent.clone()).await.unwrap();
    let seen = world.backend().log().last().unwrap();
    assert_eq!(seen.body, *sent.body());
    assert_eq!(seen.header("traceparent"), Some(trace));
    let lines = world.audit_of("tools/call").await;
    assert_eq!(lines[0]["trace"], "0af7651916cd43dd8448eb211c80319c");
}

/// Row: M24
#[tokio::test(flavor = "multi_thread")]
async fn a_result_of_an_unknown_kind_passes_untouched() {
    let world = world(Behind::Scripted).await;
    let result = json!({"resultType": "com.example/later", "n": 1e100, "deep": [{"content": null}]});
    world.backend().results(result.clone());
    let answer = world.modern("alice").call("echo", json!({})).await.unwrap();
    assert_eq!(answer.result(), result);
}
