//! A page that a user must open before a credential is granted: asked for as each revision does, and said in words to a
//! client that cannot be asked.

use http::StatusCode;
use safeconduct_testkit::client::{Answer, Client};
use safeconduct_testkit::wire::Fault;
use serde_json::{Value, json};

use crate::audit::line_of;
use crate::patience::until;
use crate::world::{Plan, World};

const PAGE: &str = "https://idp.example/consent?state=a+b&x=%22";
const OWN: &str = "safeconduct.page";

impl World {
    /// Each call asks the token endpoint.
    fn grants_nothing_to_keep(&self) {
        self.idp.twist(|answer| answer["expires_in"] = json!(0));
    }

    /// The token endpoint wants a page to be opened, so many times.
    fn wants_a_page(&self, page: &str, times: usize) {
        let body = json!({"error": "consent_required", "interaction_uri": page}).to_string();
        self.idp.faults().at("/token", times, Fault::Status(StatusCode::BAD_REQUEST, body));
    }
}

fn error(answer: &Answer) -> Value {
    answer.message()["error"].clone()
}

/// Edge: 59
/// Row: X5
#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_is_asked_for_a_page_and_its_call_goes_through_once_that_was_opened() {
    let mut world = World::with(Plan::scripted()).await;
    world.backend().results(json!({"resultType": "complete", "content": [{"type": "text", "text": "done"}]}));
    world.wants_a_page(PAGE, 1);
    let client = world.modern("alice").opens_pages();
    let asked = client.call("echo", json!({"a": 1})).await.unwrap();
    assert_eq!((asked.status, error(&asked)), (StatusCode::OK, Value::Null));
    let result = asked.result();
    assert_eq!(result["resultType"], "input_required");
    let request = &result["inputRequests"][OWN];
    assert_eq!(request["method"], "elicitation/create");
    assert_eq!((&request["params"]["mode"], &request["params"]["url"]), (&json!("url"), &json!(PAGE)));
    let why = request["params"]["message"].as_str().unwrap();
    assert!(why.contains("idp.example") && !why.contains("alice"), "{why}");
    assert_eq!(request["params"].as_object().unwrap().len(), 3, "2026-07-28 knows no more members");
    assert_eq!(asked.message()["id"], json!(1));
    assert_eq!(world.backend().log().count(), 0);

    // The provider is not asked again for a while; then the call is made with what the page granted.
    let again = json!({"name": "echo", "arguments": {"a": 1}, "inputResponses": {OWN: {"action": "accept"}}});
    until(async || {
        let answer = client.request("tools/call", again.clone()).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        answer.text() == "done"
    })
    .await;
    assert_eq!(world.backend().log().count(), 1);
    let seen = world.backend().log().last().unwrap().json();
    assert_eq!(seen["params"].get("inputResponses"), None, "the server did not ask: {seen}");
    assert_eq!(seen["params"]["arguments"], json!({"a": 1}));
    let line = line_of(&world.audit().await, &asked);
    assert_eq!((&line["code"], &line["outcome"]), (&json!("SC-C04"), &json!("refused")));
    assert_eq!(line["detail"], "exchange: interaction required");
}

/// Row: X5
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_does_not_want_to_open_the_page_is_not_asked_again() {
    let world = World::with(Plan::scripted()).await;
    world.wants_a_page(PAGE, usize::MAX);
    let client = world.modern("alice").opens_pages();
    assert_eq!(client.call("echo", json!({})).await.unwrap().result()["resultType"], "input_required");
    for action in ["decline", "cancel"] {
        let no = json!({"name": "echo", "inputResponses": {OWN: {"action": action}}});
        let refused = client.request("tools/call", no).await.unwrap();
        assert_eq!(
            (error(&refused)["code"].as_i64(), &error(&refused)["data"]["code"]),
            (Some(-31403), &json!("SC-C04"))
        );
        assert!(error(&refused)["message"].as_str().unwrap().ends_with(PAGE));
    }
    assert_eq!(world.backend().log().count(), 0);
}

/// Edge: 59
/// Row: X5
#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_is_asked_for_a_page_by_the_error_of_its_revision() {
    let world = World::start().await;
    world.grants_nothing_to_keep();
    // Its `initialize` says what it can, and the session remembers it.
    let client = Client::legacy(&world.url()).bearer(&world.token("alice")).opens_pages();
    assert_eq!(client.connect().await.unwrap().status, 200);
    world.wants_a_page(PAGE, 1);
    let asked = client.call("echo", json!({"text": "x"})).await.unwrap();
    assert_eq!((asked.status, error(&asked)["code"].as_i64()), (StatusCode::OK, Some(-32042)));
    let elicitation = &error(&asked)["data"]["elicitations"][0];
    assert_eq!((&elicitation["mode"], &elicitation["url"]), (&json!("url"), &json!(PAGE)));
    assert_eq!(elicitation["elicitationId"], asked.header("x-request-id").unwrap(), "one of its own");
    assert_eq!(error(&asked)["data"]["code"], "SC-C04");
    until(async || client.call("echo", json!({"text": "x"})).await.unwrap().text() == "x").await;
    // Before there is a session, `initialize` itself speaks for the client.
    world.wants_a_page(PAGE, 1);
    let first = Client::legacy(&world.url()).bearer(&world.token("carol")).opens_pages();
    assert_eq!(first.connect().await.unwrap().error_code(), Some(-32042));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_no_pages_is_told_which_in_words() {
    let world = World::start().await;
    world.grants_nothing_to_keep();
    let legacy = world.legacy("alice").await;
    world.wants_a_page(PAGE, 1);
    let told = legacy.call("echo", json!({})).await.unwrap();
    world.wants_a_page(PAGE, 1);
    let modern = world.modern("carol");
    let others = [told, modern.call("echo", json!({})).await.unwrap()];
    // No answer to a list may ask for anything, whatever the client can.
    world.idp.add_user(safeconduct_testkit::idp::User::new("dave", &["support"]));
    world.wants_a_page(PAGE, 1);
    let listed = world.modern("dave").opens_pages().list("tools").await.unwrap();
    for told in others.iter().chain([&listed]) {
        let error = error(told);
        assert_eq!((told.status, error["code"].as_i64()), (StatusCode::OK, Some(-31403)), "{error}");
        assert!(error["message"].as_str().unwrap().ends_with(PAGE), "{error}");
        assert_eq!((&error["data"]["url"], &error["data"]["code"]), (&json!(PAGE), &json!("SC-C04")));
        assert_eq!(error["data"].get("elicitations"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_to_a_page_that_is_not_safe_to_open() {
    let world = World::start().await;
    for (number, page) in [
        "javascript:alert(1)",
        "http://idp.example/consent",
        "https://idp.example/\r\nx",
        "https://user:password@idp.example/",
        "https:///consent",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        world.wants_a_page(page, 1);
        let client = world.modern(&format!("user-{number}")).opens_pages();
        let answer = client.connect().await.unwrap();
        assert_eq!(error(&answer)["data"]["code"], "SC-C02", "{page}");
        assert!(page.is_empty() || !String::from_utf8_lossy(&answer.body).contains(page), "{page}");
    }
}
