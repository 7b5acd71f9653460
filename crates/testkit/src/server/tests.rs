use serde_json::json;

use super::{McpServer, Options};
use crate::api::Api;
use crate::client::Client;
use crate::clock::Clock;
use crate::idp::{Idp, Mint};

async fn server(change: impl FnOnce(&mut Options)) -> McpServer {
    let mut options = Options::default();
    change(&mut options);
    McpServer::start(options).await.unwrap()
}

#[tokio::test]
async fn a_legacy_client_goes_through_a_whole_session() {
    let server = server(|_| {}).await;
    let client = Client::legacy(&server.url());
    assert_eq!(client.connect().await.unwrap().result()["protocolVersion"], "2025-11-25");
    assert!(client.session().is_some());
    assert!(client.list("tools").await.unwrap().names().contains(&"refund".to_owned()));
    assert_eq!(client.call("echo", json!({"text": "hello"})).await.unwrap().text(), "hello");
    assert_eq!(client.call("nothing", json!({})).await.unwrap().error_code(), Some(-32602));
    assert_eq!(client.end().await.unwrap().status.as_u16(), 204);
    assert_eq!(client.list("tools").await.unwrap().status.as_u16(), 404);
    client.set_session(None);
    assert_eq!(client.list("tools").await.unwrap().status.as_u16(), 400);
}

#[tokio::test]
async fn a_modern_client_needs_no_session() {
    let server = server(|options| options.validates = true).await;
    let client = Client::modern(&server.url());
    assert_eq!(client.connect().await.unwrap().result()["supportedVersions"], json!(["2026-07-28"]));
    let list = client.list("tools").await.unwrap().result();
    assert_eq!((&list["cacheScope"], &list["resultType"]), (&json!("public"), &json!("complete")));
    assert_eq!(client.call("echo", json!({"text": "hello"})).await.unwrap().text(), "hello");
    assert_eq!(client.request("no/such", json!({})).await.unwrap().status.as_u16(), 404);
    assert_eq!(client.listen(None).await.unwrap().status.as_u16(), 405);
    let mut lying = client.message("tools/call", json!({"name": "echo"})).unwrap();
    lying.headers_mut().insert("mcp-name", "refund".parse().unwrap());
    assert_eq!(client.send(lying).await.unwrap().error_code(), Some(-32020));
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn progress_comes_before_the_answer_on_the_same_stream_in_both_eras() {
    let server = server(|_| {}).await;
    for client in [Client::legacy(&server.url()), Client::modern(&server.url())] {
        client.connect().await.unwrap();
        let params = json!({"name": "progress", "arguments": {"steps": 2}, "_meta": {"progressToken": "p"}});
        let answer = client.request("tools/call", params).await.unwrap();
        let methods: Vec<_> = answer.events.iter().map(|event| event.json()["method"].clone()).collect();
        assert_eq!(methods, [json!("notifications/progress"), json!("notifications/progress"), json!(null)]);
        assert_eq!(answer.text(), "counted to 2");
    }
}

#[tokio::test]
async fn a_broken_legacy_stream_is_resumed_and_nothing_is_lost() {
    let server = server(|options| (options.events, options.priming) = (true, true)).await;
    let client = Client::legacy(&server.url());
    client.connect().await.unwrap();
    let mut events = client.open("tools/call", json!({"name": "hold", "arguments": {}})).await.unwrap();
    let priming = events.next_event().await.unwrap().unwrap();
    assert_eq!(priming.data.as_deref(), Some(""));
    drop(events);
    server.release();
    let mut resumed = client.listen(priming.id.as_deref()).await.unwrap();
    let answer = resumed.next_message().await.unwrap().unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "released");
    assert!(resumed.next_event().await.unwrap().is_none());
}

#[tokio::test]
async fn closing_a_modern_stream_cancels_the_call() {
    let server = server(|options| options.events = true).await;
    let client = Client::modern(&server.url());
    drop(client.open("tools/call", json!({"name": "hold", "arguments": {}})).await.unwrap());
    assert!(server.cancelled(1).await);
}

#[tokio::test]
async fn a_question_to_the_user_is_answered_in_both_eras() {
    let server = server(|_| {}).await;
    let legacy = Client::legacy(&server.url());
    legacy.connect().await.unwrap();
    let mut events = legacy.open("tools/call", json!({"name": "ask", "arguments": {}})).await.unwrap();
    let question = events.next_message().await.unwrap().unwrap();
    assert_eq!(question["method"], "elicitation/create");
    legacy.respond(&question["id"], json!({"action": "accept"})).await.unwrap();
    let answer = events.next_message().await.unwrap().unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "{\"action\":\"accept\"}");

    let modern = Client::modern(&server.url());
    let first = modern.call("ask", json!({})).await.unwrap().result();
    assert_eq!(first["resultType"], "input_required");
    let second = json!({
        "name": "ask",
        "arguments": {},
        "inputResponses": {"name": {"action": "accept"}},
        "requestState": first["requestState"],
    });
    let text = modern.request("tools/call", second).await.unwrap().text();
    assert!(text.ends_with(first["requestState"].as_str().unwrap()), "{text}");
}

#[tokio::test]
async fn announcements_reach_the_standing_stream_and_the_subscription() {
    let server = server(|_| {}).await;
    let legacy = Client::legacy(&server.url());
    legacy.connect().await.unwrap();
    let mut standing = legacy.listen(None).await.unwrap();
    let modern = Client::modern(&server.url());
    let wanted = json!({"notifications": {"toolsListChanged": true}});
    let mut subscription = modern.open("subscriptions/listen", wanted).await.unwrap();
    let acknowledged = subscription.next_message().await.unwrap().unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");

    server.announce("notifications/tools/list_changed", &json!({}));
    let method = "notifications/tools/list_changed";
    assert_eq!(standing.next_message().await.unwrap().unwrap()["method"], method);
    let heard = subscription.next_message().await.unwrap().unwrap();
    assert_eq!(heard["params"]["_meta"], acknowledged["params"]["_meta"]);
    server.end_streams();
    assert_eq!(subscription.next_message().await.unwrap().unwrap()["result"]["resultType"], "complete");
    assert!(standing.next_event().await.unwrap().is_none());
}

#[tokio::test]
async fn the_server_hands_on_whatever_credential_it_gets_and_the_api_judges_it() {
    let idp = Idp::start().await.unwrap();
    let orders = Api::orders(idp.issuer(), Clock::system()).await.unwrap();
    let server = server(|options| options.orders = orders.url()).await;
    let right = idp.issue(&Mint::user("alice").audience("backend-server").scopes("backend-api:read"));
    let wrong = idp.issue(&Mint::user("alice").audience("mcp-server").scopes("backend-mcp:tools:call"));
    let call = async |client: Client| client.call("list_orders", json!({})).await.unwrap().result();
    let good = call(Client::modern(&server.url()).bearer(&right)).await;
    assert_eq!(good["structuredContent"]["answer"]["as"], "alice");
    let bad = call(Client::modern(&server.url()).bearer(&wrong)).await;
    assert_eq!((&bad["isError"], &bad["structuredContent"]["status"]), (&json!(true), &json!(401)));
    let none = call(Client::modern(&server.url())).await;
    assert_eq!(none["structuredContent"]["status"], 401);
}
