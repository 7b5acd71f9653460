//! Refusals as they are answered: every code, the contract's table row by row, the documentation.

use std::collections::BTreeMap;
use std::time::Duration;

use safeconduct_core::refusal::Reason;
use safeconduct_testkit::client::{Answer, Client};
use safeconduct_testkit::wire::{Fault, Reply};
use serde_json::{Value, json};

use crate::patience::within;
use crate::world::{Plan, World};

const DOCUMENTATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/refusals.md");

/// One reason of each kind. The match makes a new kind fail here until it is listed.
fn reasons() -> Vec<Reason> {
    let (text, step) = (String::new, || "exchange".to_owned());
    let all = vec![
        Reason::NoSuchServer,
        Reason::MethodNotAllowed,
        Reason::HostNotAllowed(text()),
        Reason::OriginNotAllowed(text()),
        Reason::BadHead("".into()),
        Reason::BodyTooLarge(0),
        Reason::BodyTooSlow,
        Reason::Malformed("".into()),
        Reason::InvalidMessage("".into()),
        Reason::Batch,
        Reason::HeaderMismatch("".into()),
        Reason::MetaMissing(""),
        Reason::UnsupportedVersion(text()),
        Reason::UnknownMethod(text()),
        Reason::UnknownSession,
        Reason::UnexpectedResponse,
        Reason::ForeignState(""),
        Reason::NoToken,
        Reason::InvalidToken("".into()),
        Reason::WrongAudience,
        Reason::IssuerUnavailable(text()),
        Reason::BadLogout("".into()),
        Reason::InsufficientScope(Vec::new()),
        Reason::Denied { hidden: false, remedy: None },
        Reason::PolicyError { hidden: false, error: text() },
        Reason::AmbiguousArgument(text()),
        Reason::RateLimited(Duration::ZERO),
        Reason::TooManyStreams,
        Reason::NetworkRefused(text()),
        Reason::Quarantined("it is new"),
        Reason::SubjectRefused { step: step(), error: text() },
        Reason::ExchangeDenied { step: step(), error: text() },
        Reason::StepUpRequired { acr_values: None, max_age: None, claims: None },
        Reason::InteractionRequired { step: step(), url: text() },
        Reason::ClientRefused { step: step(), error: text() },
        Reason::BadTokenAnswer { step: step(), problem: text() },
        Reason::TokenEndpointUnavailable { step: step(), retry_after: None },
        Reason::MissingClaim(text()),
        Reason::StepMisconfigured { step: step(), error: text() },
        Reason::BackendUnreachable(text()),
        Reason::BackendTimeout,
        Reason::BackendRefusedCredential(401),
        Reason::BackendStatus(500),
        Reason::BadBackendAnswer("".into()),
        Reason::ServerNotStarted(text()),
        Reason::NoRoomForServer(text()),
        Reason::AuditUnavailable,
        Reason::ShuttingDown,
        Reason::Overloaded,
        Reason::Internal("".into()),
        Reason::SignatureRefused("".into()),
    ];
    let source = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../core/src/refusal.rs"));
    let codes = source.lines().filter(|line| line.contains("=> \"SC-")).count();
    assert_eq!(all.len(), codes, "a reason of the source is missing here");
    all
}

/// Code, fault word and the numbers of a row of the documentation.
fn documented() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(DOCUMENTATION).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| SC-"));
    let mut codes = BTreeMap::new();
    for row in rows {
        let (code, rest) = row.split_once(" |").unwrap();
        assert!(codes.insert(format!("SC-{code}"), rest.to_owned()).is_none(), "SC-{code} stands twice");
    }
    codes
}

#[test]
fn the_documentation_lists_every_code_and_no_other_with_its_fault() {
    let mut documented = documented();
    for reason in reasons() {
        let row =
            documented.remove(reason.code()).unwrap_or_else(|| panic!("{} is not documented", reason.code()));
        let fault = reason.fault().word();
        let said = reason.code().starts_with("SC-D") || row.contains(&format!(" {fault} "));
        assert!(said, "{} is the fault of {fault}: {row}", reason.code());
        assert!(!reason.code().starts_with("SC-D") || fault == "caller");
    }
    assert!(documented.is_empty(), "documented, and no reason of the source: {documented:?}");
}

fn code(answer: &Answer) -> Value {
    answer.message()["error"]["data"]["code"].clone()
}

/// HTTP status, JSON-RPC code, code of the refusal; the JSON-RPC id is there where a request was read.
fn assert_refused(answer: &Answer, status: u16, rpc: i64, refusal: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.error_code(), code(answer)),
        (status, Some(rpc), json!(refusal))
    );
    assert_eq!(answer.message()["error"]["data"]["request_id"], answer.header("x-request-id").unwrap());
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// The backend's failures of the contract: never its own words, never 401.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_is_named_in_json_rpc_or_for_what_is_none_in_http() {
    let top = "timeouts: { answer: 300ms, idle: 300ms }".to_owned();
    let world = World::with(Plan { top, ..Plan::scripted() }).await;
    let legacy = Client::legacy(&world.url()).bearer(&world.token("alice"));
    let html = |status: u16| {
        Fault::Status(http::StatusCode::from_u16(status).unwrap(), "<html>private</html>".into())
    };
    let rows = [
        (Fault::Close, -31503, "SC-B01", 503),
        (Fault::Hang, -32603, "SC-B02", 504),
        (html(500), -32603, "SC-B05", 502),
        (html(503), -32603, "SC-B05", 502),
        (Fault::Redirect("http://evil.example/".into()), -32603, "SC-B05", 502),
        (html(403), -32603, "SC-B03", 502),
    ];
    for (fault, rpc, refusal, otherwise) in rows {
        world.backend().faults().clear();
        world.backend().faults().always(fault.clone());
        for client in [&world.modern("alice"), &legacy] {
            let answer = within(client.call("echo", json!({}))).await.unwrap();
            assert_refused(&answer, 200, rpc, refusal);
            assert!(answer.message()["id"].is_u64(), "{fault:?}");
            assert_eq!(answer.message()["error"]["data"]["fault"], "backend");
            assert!(!String::from_utf8_lossy(&answer.body).contains("private"));
            assert_eq!((answer.header("location"), answer.header("www-authenticate")), (None, None));
        }
        let note = within(legacy.notify("notifications/initialized", json!({}))).await.unwrap();
        assert_refused(&note, otherwise, rpc, refusal);
        let stream = within(legacy.listen(None)).await.unwrap();
        assert_eq!(stream.status, otherwise, "{fault:?}");
    }
    world.backend().faults().clear();
    world.backend().results(json!({"resultType": "complete", "content": []}));
    assert_eq!(world.modern("alice").call("echo", json!({})).await.unwrap().error_code(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_read_without_doubt_is_not_shown() {
    let world = World::with(Plan::scripted()).await;
    let client = world.modern("alice");
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}],"tools":[{"name":"drop_table"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[],"Tools":[{"name":"drop_table"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":{"name":"drop_table"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"Result":{"tools":[{"name":"drop_table"}]},"result":{}}"#,
        r#"[{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"drop_table"}]}}]"#,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[{\"name\":\"drop_table\"}",
        "<html>drop_table</html>",
    ] {
        for kind in ["application/json", "text/html", "text/event-stream"] {
            let events = kind == "text/event-stream";
            let text = if events { format!("data: {body}\n\n") } else { body.to_owned() };
            world.backend().script(Reply::of(http::StatusCode::OK, kind, text));
            let answer = client.list("tools").await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.error_code()), (200, Some(-32603)), "{kind} {body}");
            assert_eq!(code(&answer), "SC-B04");
            assert!(!String::from_utf8_lossy(&answer.body).contains("drop_table"), "{kind} {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_at_the_door_is_told_with_its_own_code() {
    let world = World::start().await;
    let (client, legacy) = (world.modern("alice"), world.legacy("alice").await);
    let before = world.server().log().count();
    let send = async |change: &dyn Fn(&mut http::Request<bytes::Bytes>)| {
        let mut sent = client.message("tools/call", json!({"name": "echo", "arguments": {}})).unwrap();
        change(&mut sent);
        client.send(sent).await.unwrap()
    };
    let head = |name: &'static str, value: &'static str| {
        move |sent: &mut http::Request<bytes::Bytes>| {
            drop(sent.headers_mut().insert(name, http::HeaderValue::from_static(value)));
        }
    };
    let body =
        |text: &'static str| move |sent: &mut http::Request<bytes::Bytes>| *sent.body_mut() = text.into();
    let path = |sent: &mut http::Request<bytes::Bytes>| {
        *sent.uri_mut() = format!("{}/none/mcp", world.base).parse().unwrap();
    };
    assert_refused(&send(&path).await, 404, -31404, "SC-D01");
    assert_refused(&send(&|sent| *sent.method_mut() = http::Method::PUT).await, 405, -31405, "SC-D02");
    assert_refused(&send(&head("host", "evil.example")).await, 403, -31403, "SC-D03");
    assert_refused(&send(&head("origin", "https://evil.example")).await, 403, -31403, "SC-D04");
    assert_refused(&send(&head("content-type", "text/plain")).await, 400, -32600, "SC-D05");
    assert_refused(&send(&head("content-encoding", "gzip")).await, 400, -32600, "SC-D05");
    assert_refused(&send(&body("{\"a\":")).await, 400, -32700, "SC-D08");
    assert_refused(
        &send(&body("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}")).await,
        400,
        -32600,
        "SC-D09",
    );
    assert_refused(&send(&body("[]")).await, 400, -32600, "SC-D10");
    assert_refused(&send(&head("mcp-name", "refund")).await, 400, -32020, "SC-D11");
    assert_refused(&client.request("tools/delete", json!({})).await.unwrap(), 404, -32601, "SC-D14");
    assert_refused(&legacy.request("tools/delete", json!({})).await.unwrap(), 200, -32601, "SC-D14");
    let answer = legacy.respond(&json!("never-asked"), json!({})).await.unwrap();
    assert_refused(&answer, 400, -32600, "SC-D16");
    let forged = json!({"name": "echo", "requestState": "forged"});
    let shared = Client::modern(&format!("{}/other/mcp", world.base)).bearer(&world.token("alice"));
    assert_refused(&shared.request("tools/call", forged).await.unwrap(), 200, -32602, "SC-D17");
    legacy.set_session(Some("unknown"));
    let unknown = legacy.list("tools").await.unwrap();
    assert_eq!(
        (unknown.status.as_u16(), unknown.error_code(), code(&unknown)),
        (404, Some(-31404), Value::Null)
    );
    assert_eq!(world.server().log().count(), before);
}
