use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body::{Body, Frame};

use super::{Broken, Filtered, Sight, filtered};
use crate::audit::Outcome;
use crate::mcp::door::{Door, Limits};
use crate::mcp::fixture::{Records, caller, door, head, modern, policy, server, shared};
use crate::mcp::{Call, Head, Verb};
use crate::policy::Policy;
use crate::server::Server;
use crate::time::Timestamp;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
const RULES: &str = r#"
    permit (principal, action == Action::"tools/call", resource == Tool::"orders/add");
    permit (principal, action == Action::"tools/call", resource == Tool::"orders/sum");
    permit (principal, action == Action::"prompts/get", resource == Prompt::"orders/hello");
    permit (principal, action == Action::"resources/read", resource == Resource::"orders/file:///a");
    permit (principal, action == Action::"resources/read", resource == Resource::"orders/file:///{x}");
    permit (principal, action == Action::"tasks/get", resource);
"#;

static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| Arc::new(policy(RULES)));

/// A body of chunks; an `Err` breaks it off, and without an end it stays pending.
pub(super) struct Chunks {
    pub(super) chunks: VecDeque<Result<Bytes, &'static str>>,
    pub(super) ends: bool,
    /// It says of itself that it has ended, as one of a known length does.
    knows: bool,
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.chunks.pop_front() {
            Some(chunk) => Poll::Ready(Some(chunk.map(Frame::data))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.knows && self.ends && self.chunks.is_empty()
    }
}

pub(super) struct Stage {
    door: Arc<Door>,
    pub(super) server: Arc<Server>,
    pub(super) records: Arc<Records>,
}

/// What came of a reply: its head, its bytes, and the error that broke it off.
pub(super) struct Got {
    head: http::response::Parts,
    pub(super) text: String,
    broken: Option<Broken>,
}

impl Stage {
    pub(super) fn new(server: Server) -> Self {
        Self { door: Arc::new(door()), server: Arc::new(server), records: Arc::default() }
    }

    pub(super) fn limited(body: usize, event: usize) -> Self {
        let door = Arc::new(door().with_limits(Limits { body, event }));
        Self { door, ..Self::new(server("orders")) }
    }

    pub(super) fn call(&self, head: &Head, body: &str) -> Call {
        self.door.parse(head, body.to_owned().into(), &caller("alice"), &self.server).unwrap()
    }

    pub(super) fn reply(
        &self,
        asked: &Head,
        call: Call,
        came: Response<Chunks>,
    ) -> Response<Filtered<Chunks>> {
        let (parts, body) = came.into_parts();
        let sight = Sight {
            policy: POLICY.clone(),
            door: self.door.clone(),
            principal: Arc::new(caller("alice")),
            server: self.server.clone(),
            source_ip: None,
            era: call.era,
            now: Timestamp::from_secs(590),
        };
        filtered(sight, asked, call, parts, body, self.records.trail())
    }

    pub(super) fn ask(&self, head: &Head, body: &str, media: &str, chunks: &[&str]) -> Got {
        self.ask_with(head, body, response(media, chunks))
    }

    fn ask_with(&self, head: &Head, body: &str, came: Response<Chunks>) -> Got {
        let call = self.call(head, body);
        let (head, body) = self.reply(head, call, came).into_parts();
        let (text, broken) = read(body);
        Got { head, text, broken }
    }
}

pub(super) fn response(media: &str, chunks: &[&str]) -> Response<Chunks> {
    let chunks = chunks.iter().map(|chunk| Ok(Bytes::copy_from_slice(chunk.as_bytes()))).collect();
    let mut response = Response::new(Chunks { chunks, ends: true, knows: false });
    if !media.is_empty() {
        response.headers_mut().insert("content-type", HeaderValue::from_str(media).unwrap());
    }
    response
}

pub(super) fn frame(body: &mut Filtered<Chunks>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

fn read(mut body: Filtered<Chunks>) -> (String, Option<Broken>) {
    let mut text = Vec::new();
    loop {
        match frame(&mut body) {
            Poll::Ready(Some(Ok(frame))) => text.extend_from_slice(&frame.into_data().unwrap()),
            Poll::Ready(Some(Err(broken))) => return (String::from_utf8(text).unwrap(), Some(broken)),
            Poll::Ready(None) | Poll::Pending => return (String::from_utf8(text).unwrap(), None),
        }
    }
}

pub(super) fn legacy(verb: Verb) -> Head {
    Head { protocol_version: Some(HeaderValue::from_static("2025-11-25")), ..head(verb) }
}

pub(super) fn list(method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{META}}}}}"#)
}

pub(super) fn result(inner: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{inner}}}"#)
}

pub(super) const JSON: &str = "application/json";
pub(super) const EVENTS: &str = "text/event-stream";

/// Row: P2, M22
#[test]
fn a_list_loses_what_the_caller_may_not_use_and_not_a_byte_more() {
    let tools = |inner: &str| {
        result(&format!(
            "{{ \"tools\" : [{inner}] ,\n \"nextCursor\":\"c\",\"x\":123456789012345678901234567890.0,\"_meta\":{{\"a\":\"\\u00e9\"}} }}"
        ))
    };
    let (add, sum, secret) =
        (r#"{"name":"add","new":[1, 2],"n":1e3}"#, r#"{"x":{},"name":"sum"}"#, r#"{"name":"secret"}"#);
    for (came, leaves) in [
        (format!("{secret} , {add},{sum}"), format!("{add},{sum}")),
        (format!("{add} , {secret} ,\n{sum}"), format!("{add} ,\n{sum}")),
        (format!("{add},{secret},{secret}"), add.to_owned()),
        (format!(" {secret} "), "  ".to_owned()),
        (format!("{sum} , {add}"), format!("{sum} , {add}")),
        (String::new(), String::new()),
    ] {
        let stage = Stage::new(server("orders"));
        let got = stage.ask(&legacy(Verb::Post), &list("tools/list"), JSON, &[&tools(&came)]);
        assert_eq!(got.text, tools(&leaves));
        assert_eq!(stage.records.kept(), [(Outcome::Answered, None, got.text.len() as u64)]);
    }
}

#[test]
fn every_kind_of_list_is_filtered_by_its_own_use() {
    let stage = Stage::new(server("orders"));
    for (method, member, name, seen, hidden) in [
        ("tools/list", "tools", "name", "add", "secret"),
        ("prompts/list", "prompts", "name", "hello", "add"),
        ("resources/list", "resources", "uri", "file:///a", "file:///b"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate", "file:///{x}", "file:///{y}"),
    ] {
        let items = |names: &[&str]| {
            let items: Vec<_> = names.iter().map(|item| format!(r#"{{"{name}":"{item}"}}"#)).collect();
            result(&format!(r#"{{"{member}":[{}]}}"#, items.join(",")))
        };
        let got = stage.ask(&legacy(Verb::Post), &list(method), JSON, &[&items(&[hidden, seen])]);
        assert_eq!(got.text, items(&[seen]), "{method}");
    }
}

#[test]
fn an_item_without_a_clear_name_is_not_shown() {
    let stage = Stage::new(server("orders"));
    let came =
        result(r#"{"tools":[{"title":"t"},{"name":7},{"name":"add","Name":"secret"},"add",{"name":"add"}]}"#);
    let got = stage.ask(&legacy(Verb::Post), &list("tools/list"), JSON, &[&came]);
    assert_eq!(got.text, result(r#"{"tools":[{"name":"add"}]}"#));
}

/// Row: M18
#[test]
fn a_modern_list_is_private_and_does_not_outlive_the_token() {
    let stage = Stage::new(server("orders"));
    let items = r#""tools":[{"name":"add"}]"#;
    for (came, leaves) in [
        (r#"{"ttlMs":500,"cacheScope":"private",ITEMS}"#, r#"{"ttlMs":500,"cacheScope":"private",ITEMS}"#),
        (
            r#"{"ttlMs":3600000,"cacheScope":"public",ITEMS}"#,
            r#"{"ttlMs":10000,"cacheScope":"private",ITEMS}"#,
        ),
        (r#"{"ttlMs":-1,ITEMS}"#, r#"{"cacheScope":"private","ttlMs":0,ITEMS}"#),
        (r#"{ ITEMS}"#, r#"{"cacheScope":"private", ITEMS}"#),
        (r#"{"ttlMs":1e99,"cacheScope":7,ITEMS}"#, r#"{"ttlMs":10000,"cacheScope":"private",ITEMS}"#),
        (
            r#"{"resultType":"other","cacheScope":"public"}"#,
            r#"{"resultType":"other","cacheScope":"public"}"#,
        ),
    ] {
        let text = |inner: &str| result(&inner.replace("ITEMS", items));
        let got = stage.ask(&modern("tools/list", None), &list("tools/list"), JSON, &[&text(came)]);
        assert_eq!(got.text, text(leaves));
    }
}

#[test]
fn a_list_teaches_hints_and_mirrored_parameters_also_of_what_is_hidden() {
    let stage = Stage::new(server("orders"));
    let came = result(
        r#"{"tools":[{"name":"secret","annotations":{"readOnlyHint":true,"destructiveHint":false},"inputSchema":{"properties":{
        "region":{"type":"string","x-mcp-header":"Region"},
        "deep":{"properties":{"level":{"type":"integer","x-mcp-header":"Depth"}}},
        "list":{"items":{"properties":{"no":{"x-mcp-header":"No"}}}}}}}]}"#,
    );
    stage.ask(&legacy(Verb::Post), &list("tools/list"), JSON, &[&came]);
    let tool = stage.server.catalogue.tool("secret").unwrap();
    assert!(
        tool.hints.read_only && !tool.hints.destructive && !tool.hints.idempotent && tool.hints.open_world
    );
    let paths: Vec<_> = tool.header_params.iter().map(|(name, path)| (&**name, path.join("/"))).collect();
    assert_eq!(paths, [("Region", "region".to_owned()), ("Depth", "deep/level".to_owned())]);
}

#[test]
fn a_list_that_cannot_be_read_becomes_an_error_of_the_gateway() {
    for came in [
        "not json",
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"add","name":"secret"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":{"name":"secret"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"Result":{"tools":[{"name":"secret"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"Tools":[{"name":"secret"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","result":{"tools":[{"name":"secret"}]}}"#,
        r#"[{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"}]}}]"#,
    ] {
        for media in [JSON, "text/plain", ""] {
            let stage = Stage::new(server("orders"));
            let got = stage.ask(&legacy(Verb::Post), &list("tools/list"), media, &[came]);
            assert!(!got.text.contains("secret") && got.broken.is_none(), "{came}");
            let error: serde_json::Value = serde_json::from_str(&got.text).unwrap();
            assert_eq!((&error["id"], &error["error"]["data"]["code"]), (&1.into(), &"SC-B04".into()));
            assert_eq!(got.head.headers["content-type"], JSON);
            let sent = got.text.len() as u64;
            assert_eq!(stage.records.kept(), [(Outcome::Failed, Some("SC-B04"), sent)]);
        }
    }
}

/// Row: T17
#[test]
fn an_error_of_the_server_passes_with_its_status_and_body() {
    let stage = Stage::new(server("orders"));
    for (media, text) in
        [("text/plain", "Session not found"), (JSON, r#"{"jsonrpc":"2.0","error":{"code":-32001}}"#)]
    {
        let mut came = response(media, &[text]);
        *came.status_mut() = http::StatusCode::NOT_FOUND;
        let got = stage.ask_with(&legacy(Verb::Post), &list("tools/list"), came);
        assert_eq!((got.head.status.as_u16(), &*got.text), (404, text));
    }
}

/// Row: P9
#[test]
fn a_list_over_the_limit_becomes_an_error_and_another_answer_is_not_limited() {
    let stage = Stage::limited(64, 64);
    let long = result(&format!(r#"{{"tools":[],"x":"{}"}}"#, "x".repeat(100)));
    let got = stage.ask(&legacy(Verb::Post), &list("tools/list"), JSON, &[&long]);
    assert!(got.text.contains("SC-B04"));
    let event = format!("data: {long}\n\n");
    let got = stage.ask(&legacy(Verb::Post), &list("tools/list"), EVENTS, &[&event[..80], &event[80..]]);
    assert!(got.text.starts_with("event: message\ndata: ") && got.text.contains("SC-B04"), "{}", got.text);
    for media in [JSON, EVENTS] {
        let got = stage.ask(&legacy(Verb::Post), &list("ping"), media, &[&event[..80], &event[80..]]);
        assert_eq!(got.text, event);
    }
}

/// Row: T4, P2
#[test]
fn an_answer_that_is_no_list_passes_untouched_whatever_it_is() {
    let stage = Stage::new(server("orders"));
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"}}"#;
    for text in [result(r#"{"tools":[{"name":"secret"}],"tools":1}"#), "not json".to_owned(), String::new()] {
        let got = stage.ask(&legacy(Verb::Post), call, JSON, &[&text]);
        assert_eq!(got.text, text);
    }
}

/// Row: A10
#[test]
fn only_allowed_headers_of_the_server_reach_the_caller() {
    let stage = Stage::new(server("orders"));
    let mut came = response(JSON, &["{}"]);
    for (name, value) in [
        ("set-cookie", "a=b"),
        ("www-authenticate", "Bearer x"),
        ("server", "x"),
        ("location", "/x"),
        ("content-length", "2"),
        ("retry-after", "3"),
        ("allow", "POST"),
        ("cache-control", "no-store"),
        ("mcp-protocol-version", "2025-11-25"),
    ] {
        came.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let got = stage.ask_with(&legacy(Verb::Post), &list("ping"), came);
    let mut names: Vec<_> = got.head.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["allow", "cache-control", "content-type", "mcp-protocol-version", "retry-after"]);
}

/// Row: T9, T10
#[test]
fn a_session_leaves_sealed_and_one_session_keeps_one_id() {
    let stage = Stage::new(server("orders"));
    let answer = || {
        let mut came = response(JSON, &["{}"]);
        came.headers_mut().insert("mcp-session-id", HeaderValue::from_static("up-1"));
        came
    };
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
    let sealed =
        stage.ask_with(&legacy(Verb::Post), initialize, answer()).head.headers["mcp-session-id"].clone();
    assert!(!sealed.to_str().unwrap().contains("up-1"));
    let head = Head { session: Some(sealed.clone()), ..legacy(Verb::Post) };
    assert_eq!(stage.call(&head, &list("ping")).session().unwrap(), "up-1");
    assert_eq!(stage.ask_with(&head, &list("ping"), answer()).head.headers["mcp-session-id"], sealed);
    let modern = stage.ask_with(&modern("server/discover", None), &list("server/discover"), answer());
    assert!(!modern.head.headers.contains_key("mcp-session-id"));
}

/// Row: M14
#[test]
fn an_event_stream_is_marked_as_not_to_be_buffered() {
    let stage = Stage::new(server("orders"));
    let got = stage.ask(&legacy(Verb::Post), &list("ping"), "Text/Event-Stream; charset=utf-8", &["\n"]);
    assert_eq!(got.head.headers["x-accel-buffering"], "no");
    let got = stage.ask(&legacy(Verb::Post), &list("ping"), JSON, &["{}"]);
    assert!(!got.head.headers.contains_key("x-accel-buffering"));
}

/// Every way to cut a text in three.
fn cut(text: &str) -> impl Iterator<Item = [&str; 3]> {
    let places = 0..=text.len();
    places.clone().step_by(7).flat_map(move |one| {
        places
            .clone()
            .filter(move |two| *two >= one)
            .step_by(5)
            .filter_map(move |two| Some([text.get(..one)?, text.get(one..two)?, text.get(two..)?]))
    })
}

/// Row: T5, P5
#[test]
fn of_a_stream_only_the_data_of_a_filtered_list_changes_however_it_is_cut() {
    let tools = |inner: &str| result(&format!(r#"{{"tools":[{inner}]}}"#));
    let (both, one) = (tools(r#"{"name":"secret"},{"name":"add"}"#), tools(r#"{"name":"add"}"#));
    for end in ["\n", "\r\n", "\r"] {
        let text = |data: &str| {
            format!(
                "id: 1\nretry: 500\ndata:\n\n: comment\n\nevent: message\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}}\n\n\
                 :x\nid: 2\n{data}event: message\nunknown: y\n\n\n: last\n"
            )
            .replace('\n', end)
        };
        let came = text(&format!("data: {both}\n"));
        let leaves = text(&format!("data: {one}\n"));
        for chunks in cut(&came) {
            let stage = Stage::new(server("orders"));
            let got = stage.ask(&legacy(Verb::Post), &list("tools/list"), EVENTS, &chunks);
            assert_eq!(got.text, leaves, "{chunks:?}");
            assert_eq!(stage.records.kept(), [(Outcome::Answered, None, leaves.len() as u64)]);
        }
    }
}

#[test]
fn a_list_over_several_data_lines_is_filtered_and_stays_one_event() {
    let stage = Stage::new(server("orders"));
    let came = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\ndata:\"result\":{\"tools\":[{\"name\":\"secret\"}]}}\nid: 1\n\n";
    let got = stage.ask(&legacy(Verb::Post), &list("tools/list"), EVENTS, &[came]);
    assert_eq!(got.text, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\ndata: \"result\":{\"tools\":[]}}\nid: 1\n\n");
}

#[test]
fn neither_a_byte_order_mark_nor_a_missing_end_lets_a_list_through() {
    let stage = Stage::new(server("orders"));
    let event = format!("data:{}", result(r#"{"tools":[{"name":"secret"}]}"#));
    for came in [format!("\u{feff}{event}\n\n"), event.clone(), format!("{event}\n")] {
        let got = stage.ask(&legacy(Verb::Post), &list("tools/list"), EVENTS, &[&came]);
        assert!(!got.text.contains("secret") && got.text.contains("\"tools\":[]"), "{}", got.text);
    }
}

/// Row: P5
#[test]
fn on_an_opened_stream_lists_are_known_by_their_shape() {
    let stage = Stage::new(server("orders"));
    let stream = |tools: &str| {
        format!(
            "id: 1\ndata: {}\n\ndata: {}\n\ndata: {}\n\n",
            result(&format!(r#"{{"tools":[{tools}]}}"#)),
            result(r#"{"content":[{"type":"text","text":"secret"}],"tools":"not a list"}"#),
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#
        )
    };
    let came = stream(r#"{"name":"add"},{"name":"secret"}"#);
    let got = stage.ask(&legacy(Verb::Get), "", EVENTS, &[&came]);
    assert_eq!(got.text, stream(r#"{"name":"add"}"#));
    let got = stage.ask(&legacy(Verb::Get), "", EVENTS, &["data: {\"x\"\n\ndata: {}\n\n"]);
    assert!(matches!(got.broken, Some(Broken::Unreleasable(_))) && got.text.is_empty());
}

/// Row: T7
#[test]
fn a_refused_stream_is_answered_as_the_server_did() {
    let stage = Stage::new(server("orders"));
    let mut came = response("text/plain", &["Method Not Allowed"]);
    *came.status_mut() = http::StatusCode::METHOD_NOT_ALLOWED;
    let got = stage.ask_with(&legacy(Verb::Get), "", came);
    assert_eq!((got.head.status.as_u16(), &*got.text), (405, "Method Not Allowed"));
}

/// Row: T14, T15
#[test]
fn the_request_of_a_server_passes_and_its_answer_is_then_expected() {
    let stage = Stage::new(server("orders"));
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"}}"#;
    let came =
        "data: {\"jsonrpc\":\"2.0\",\"id\":\"e1\",\"method\":\"elicitation/create\",\"params\":{}}\n\n";
    let answer = r#"{"jsonrpc":"2.0","id":"e1","result":{"action":"accept"}}"#;
    let post = || stage.door.parse(&legacy(Verb::Post), answer.into(), &caller("alice"), &stage.server);
    assert!(post().is_err());
    let got = stage.ask(&legacy(Verb::Post), call, EVENTS, &[&came[..20], &came[20..]]);
    assert_eq!(got.text, came);
    assert!(post().is_ok());
}

#[test]
fn an_answer_that_is_only_observed_is_not_held_back() {
    let stage = Stage::new(server("orders"));
    let call = stage.call(
        &legacy(Verb::Post),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"}}"#,
    );
    let mut came = response(EVENTS, &["data: {\"js"]);
    came.body_mut().ends = false;
    let mut body = stage.reply(&legacy(Verb::Post), call, came).into_body();
    let Poll::Ready(Some(Ok(first))) = frame(&mut body) else { panic!("held back") };
    assert_eq!(first.into_data().unwrap(), "data: {\"js");
    assert!(frame(&mut body).is_pending() && !body.between_events());
}

/// Row: M13
#[test]
fn a_subscription_that_the_gateway_ends_gets_its_completion() {
    let stage = Stage::new(server("orders"));
    let head = modern("subscriptions/listen", None);
    let call = stage.call(&head, &list("subscriptions/listen").replace("\"id\":1", "\"id\":\"l\\u0031\""));
    let mut came = response(EVENTS, &[": ack\n\n"]);
    came.body_mut().ends = false;
    let mut body = stage.reply(&head, call, came).into_body();
    assert!(matches!(frame(&mut body), Poll::Ready(Some(Ok(_)))) && frame(&mut body).is_pending());
    assert!(body.is_stream() && body.between_events());
    let last = body.finish().unwrap();
    assert_eq!(
        last,
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"l\\u0031\",\"result\":{\"resultType\":\"complete\",\
         \"_meta\":{\"io.modelcontextprotocol/subscriptionId\":\"l\\u0031\"}}}\n\n"
    );
    assert_eq!(stage.records.kept(), [(Outcome::Answered, None, 7 + last.len() as u64)]);
}

#[test]
fn an_answer_that_breaks_off_is_recorded_as_failed() {
    let breaking = |media: &str| {
        let mut came = response(media, &["{"]);
        came.body_mut().chunks.push_back(Err("reset"));
        came
    };
    for (method, media, resets) in [("ping", JSON, true), ("ping", EVENTS, true), ("tools/list", JSON, false)]
    {
        let stage = Stage::new(server("orders"));
        let got = stage.ask_with(&legacy(Verb::Post), &list(method), breaking(media));
        assert_eq!(got.broken.is_some(), resets, "{method} {media}");
        assert!(resets || got.text.contains("SC-B04"));
        let (outcome, code, _) = stage.records.kept()[0];
        assert_eq!((outcome, code), (Outcome::Failed, Some("SC-B04")));
    }
}

#[test]
fn an_answer_that_is_dropped_is_recorded_as_abandoned_once() {
    let stage = Stage::new(server("orders"));
    let call = stage.call(&legacy(Verb::Post), &list("ping"));
    let mut body = stage.reply(&legacy(Verb::Post), call, response(JSON, &["{", "}"])).into_body();
    assert!(matches!(frame(&mut body), Poll::Ready(Some(Ok(_)))));
    body.abandon();
    assert_eq!(stage.records.kept(), [(Outcome::Abandoned, None, 0)]);
    assert_eq!(read(body).0, "}");
    assert_eq!(stage.records.kept().len(), 1);
}

#[test]
fn a_body_of_known_length_is_recorded_with_its_last_byte_and_not_asked_again() {
    for (chunks, sent) in [(&["{", "}"][..], 2), (&[][..], 0)] {
        let stage = Stage::new(server("orders"));
        let call = stage.call(&legacy(Verb::Post), &list("ping"));
        let mut came = response(JSON, chunks);
        came.body_mut().knows = true;
        let mut body = stage.reply(&legacy(Verb::Post), call, came).into_body();
        for _ in chunks {
            assert!(!body.is_end_stream() && matches!(frame(&mut body), Poll::Ready(Some(Ok(_)))));
        }
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(stage.records.kept(), [(Outcome::Answered, None, sent)]);
    }
}

#[test]
fn an_encoded_answer_is_not_released() {
    let stage = Stage::new(server("orders"));
    let mut came = response(JSON, &["gzip"]);
    came.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
    let got = stage.ask_with(&legacy(Verb::Post), &list("tools/list"), came);
    assert!(got.text.contains("SC-B04") && !got.text.contains("gzip"));
}

/// Row: M17
#[test]
fn state_of_a_shared_credential_server_leaves_sealed_and_comes_back_as_it_was() {
    let stage = Stage::new(shared("orders"));
    let head = modern("tools/call", Some("add"));
    let call = |extra: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{extra}"name":"add",{META}}}}}"#)
    };
    let text = result(r#"{"resultType":"input_required","requestState":"s\u0031","inputRequests":{}}"#);
    for (media, came) in [(JSON, text.clone()), (EVENTS, format!("data: {text}\n\n"))] {
        let got = stage.ask(&head, &call(""), media, &[&came]);
        let (before, after) = came.split_once(r#""s\u0031""#).unwrap();
        let sealed = got.text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).unwrap();
        let retry = stage.call(&head, &call(&format!("\"requestState\":{sealed},")));
        assert_eq!(std::str::from_utf8(retry.body()).unwrap(), call(r#""requestState":"s\u0031","#));
    }
}

/// Row: M24
#[test]
fn an_unknown_kind_of_result_passes_untouched() {
    for server in [server("orders"), shared("orders")] {
        let stage = Stage::new(server);
        let came = result(r#"{ "resultType":"vendor/x","content":1}"#);
        let got = stage.ask(
            &modern("tools/call", Some("add")),
            &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"add",{META}}}}}"#),
            JSON,
            &[&came],
        );
        assert_eq!(got.text, came);
    }
}

/// Row: T19
#[test]
fn a_task_made_for_a_caller_is_theirs_and_lists_show_no_others() {
    let stage = Stage::new(shared("orders"));
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","task":{}}}"#;
    let get = |task: &str| {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{{"taskId":"{task}"}}}}"#);
        stage.door.parse(&legacy(Verb::Post), body.into(), &caller("alice"), &stage.server).is_ok()
    };
    assert!(!get("t1"));
    let made = result(r#"{"task":{"taskId":"t1","status":"working"}}"#);
    let got = stage.ask(&legacy(Verb::Post), call, JSON, &[&made]);
    assert_eq!(got.text, made);
    assert!(get("t1") && !get("t2"));
    let all = result(r#"{"tasks":[{"taskId":"t1"},{"taskId":"t2"}]}"#);
    let got = stage.ask(&legacy(Verb::Post), &list("tasks/list"), JSON, &[&all]);
    assert_eq!(got.text, result(r#"{"tasks":[{"taskId":"t1"}]}"#));
    let flat = result(r#"{"resultType":"task","taskId":"t3"}"#);
    let head = modern("tools/call", Some("add"));
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"add",{META}}}}}"#);
    stage.ask(&head, &body, JSON, &[&flat]);
    assert!(get("t3"));
}

#[test]
fn an_answer_too_long_to_be_read_for_state_passes_as_it_is() {
    let door = Arc::new(door().with_limits(Limits { body: 32, event: 32 }));
    let stage = Stage { door, ..Stage::new(shared("orders")) };
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"add",{META}}}}}"#);
    let long = result(&format!(r#"{{"content":"{}"}}"#, "x".repeat(100)));
    for (media, text) in [(JSON, long.clone()), (EVENTS, format!("data: {long}\n\n: next\n\n"))] {
        let got = stage.ask(
            &modern("tools/call", Some("add")),
            &body,
            media,
            &[&text[..20], &text[20..50], &text[50..]],
        );
        assert_eq!(got.text, text);
        assert!(got.broken.is_none());
    }
}
