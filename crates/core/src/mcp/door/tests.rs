use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Door, Refused};
use crate::caller::Principal;
use crate::mcp::fixture::{caller, door, head, modern, server, shared};
use crate::mcp::{Call, Era, Head, Kind, Target, Verb};
use crate::refusal::Reason;
use crate::revocation::{Revocation, Revocations, Whose};
use crate::server::{Server, Tool};
use crate::time::Timestamp;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn parse_at(door: &Door, head: &Head, body: &str, at: &Server) -> Result<Call, Refused> {
    door.parse(head, body.to_owned().into(), &caller("alice"), at)
}

fn parse(head: &Head, body: &str) -> Result<Call, Refused> {
    parse_at(&door(), head, body, &server("orders"))
}

fn refused(head: &Head, body: &str) -> Reason {
    parse(head, body).map(|call| call.method().name().to_owned()).unwrap_err().reason
}

fn legacy() -> Head {
    versioned("2025-11-25")
}

fn versioned(version: &'static str) -> Head {
    Head { protocol_version: Some(HeaderValue::from_static(version)), ..head(Verb::Post) }
}

fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

fn leaving(call: &Call, head: &Head) -> HeaderMap {
    let mut headers = HeaderMap::new();
    call.write_headers(head, &mut headers);
    headers
}

#[test]
fn a_call_is_read_and_its_bytes_leave_as_they_came() {
    let body = r#" {"jsonrpc":"2.0","id":"a\u0062","method":"tools/call","params":{"name":"refund","arguments":{ "amount": 12345678901234567890 },"x":[1]}} "#;
    let call = parse(&legacy(), body).unwrap();
    assert_eq!(call.kind(), &Kind::Request(r#""a\u0062""#.into()));
    assert_eq!(call.target(), &Target::Tool("refund".into()));
    assert_eq!(call.arguments().unwrap(), &br#"{ "amount": 12345678901234567890 }"#[..]);
    assert_eq!(call.body(), body.as_bytes());
}

/// Row: T3
#[test]
fn a_batch_is_refused_also_behind_white_space() {
    for batch in ["[]", " \n[{\"jsonrpc\":\"2.0\"}]", "\t["] {
        assert_eq!(refused(&legacy(), batch), Reason::Batch);
    }
    assert!(matches!(refused(&legacy(), "\u{b}\n[]"), Reason::Malformed(_)));
}

/// Row: P4
#[test]
fn what_two_parsers_could_read_differently_is_refused() {
    let call = |text: &str| text.replace("NAME", r#""name":"safe""#);
    let sound = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{NAME,"arguments":{}}}"#;
    assert!(parse(&legacy(), &call(sound)).is_ok());
    for ambiguous in [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"ping","params":{NAME}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping","params":{NAME}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{NAME,"Name":"evil"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{NAME,"\u006eame":"evil"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"NAME":"evil",NAME}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","param&":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{NAME,"argument&":{"x":1}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{NAME,"extra":1,"Extra":2}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{NAME,"_meta":{"TraceParent":"x"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{NAME}} {}"#,
        "\u{feff}{}",
    ] {
        let ambiguous = call(&ambiguous.replace('&', "\u{17f}").replace("\"NAME\":", "\"Name\":"));
        assert!(matches!(refused(&legacy(), &ambiguous), Reason::Malformed(_)), "{ambiguous}");
    }
}

#[test]
fn what_is_not_json_rpc_is_refused() {
    for wrong in [
        "1",
        r#"{"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":1}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        r#"{"jsonrpc":"2.0","result":{}}"#,
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":[]}}"#,
    ] {
        assert!(matches!(refused(&legacy(), wrong), Reason::InvalidMessage(_)), "{wrong}");
    }
    assert!(matches!(refused(&legacy(), ""), Reason::Malformed(_)));
}

#[test]
fn the_names_of_what_is_no_message_are_not_methods() {
    for name in ["stream/open", "session/end", "response"] {
        assert_eq!(refused(&legacy(), &request(name, "{}")), Reason::UnknownMethod(name.into()));
    }
}

/// Row: D1
#[test]
fn the_era_follows_initialize_then_the_header_then_the_body() {
    let modern_meta = format!("{{{META}}}");
    let era = |head: &Head, method: &str, params: &str| match parse(head, &request(method, params)) {
        Ok(call) => call.era(),
        Err(refused) => refused.era.unwrap(),
    };
    assert_eq!(era(&modern("initialize", None), "initialize", "{}"), Era::Legacy);
    assert_eq!(era(&versioned("2025-11-25"), "initialize", &modern_meta), Era::Legacy);
    assert_eq!(era(&modern("initialize", None), "initialize", &modern_meta), Era::Modern);
    assert_eq!(era(&modern("ping", None), "ping", &modern_meta), Era::Modern);
    assert_eq!(era(&modern("ping", None), "ping", "{}"), Era::Modern);
    // The ChatGPT case: an explicit legacy header outranks stray keys.
    assert_eq!(era(&versioned("2025-11-25"), "ping", &modern_meta), Era::Legacy);
    assert_eq!(era(&head(Verb::Post), "ping", &modern_meta), Era::Modern);
    assert_eq!(era(&head(Verb::Post), "ping", "{}"), Era::Legacy);
}

/// Row: M8
#[test]
fn a_request_that_the_modern_revision_took_away_is_an_unknown_method_there() {
    for name in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"] {
        let body = request(name, &format!("{{{META}}}"));
        let refused = parse(&modern(name, None), &body).unwrap_err();
        assert_eq!(refused.reason, Reason::UnknownMethod(name.into()));
        assert_eq!(refused.era, Some(Era::Modern));
    }
}

/// Row: D1, M2
#[test]
fn a_version_in_the_body_without_its_header_is_a_modern_request_that_lacks_it() {
    let body = request("server/discover", &format!("{{{META}}}"));
    let refused = parse(&head(Verb::Post), &body).unwrap_err();
    assert_eq!(refused.reason, Reason::HeaderMismatch("MCP-Protocol-Version is missing".into()));
    assert_eq!((refused.era, refused.id.as_deref()), (Some(Era::Modern), Some("1")));
}

/// Row: T12
#[test]
fn an_unsupported_legacy_version_is_refused_and_an_absent_one_is_not() {
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        assert!(parse(&versioned(version), &request("ping", "{}")).is_ok());
    }
    assert!(parse(&head(Verb::Post), &request("ping", "{}")).is_ok());
    for version in ["2024-11-05", "2025-06-17", "latest", ""] {
        assert_eq!(
            refused(&versioned(version), &request("ping", "{}")),
            Reason::UnsupportedVersion(version.into())
        );
        assert!(parse(&Head { verb: Verb::Get, ..versioned(version) }, "").is_err());
    }
}

/// Row: M7
#[test]
fn an_unsupported_modern_version_is_refused_by_name_in_the_modern_way() {
    let body = request("server/discover", &format!("{{{META}}}").replace("2026-07-28", "v999.0.0"));
    let head =
        Head { mcp_method: Some(HeaderValue::from_static("server/discover")), ..versioned("v999.0.0") };
    let refused = parse(&head, &body).unwrap_err();
    assert_eq!(refused.reason, Reason::UnsupportedVersion("v999.0.0".into()));
    assert_eq!(refused.era, Some(Era::Modern));
    let later = parse(&versioned("2027-01-01"), &request("server/discover", "{}")).unwrap_err();
    assert_eq!(
        (later.reason, later.era),
        (Reason::UnsupportedVersion("2027-01-01".into()), Some(Era::Modern))
    );
}

/// Row: M2
#[test]
fn modern_headers_must_be_there_and_equal_the_body() {
    let body = request("tools/call", &format!(r#"{{"name":"add","arguments":{{}},{META}}}"#));
    assert!(parse(&modern("tools/call", Some("add")), &body).is_ok());
    assert!(parse(&modern("tools/call", Some("  add ")), &body).is_ok());
    let heads = [
        modern("tools/list", Some("add")),
        modern("TOOLS/CALL", Some("add")),
        modern("tools/call", Some("Add")),
        modern("tools/call", None),
        Head { mcp_method: None, ..modern("tools/call", Some("add")) },
    ];
    for head in heads {
        let refused = parse(&head, &body).unwrap_err();
        assert!(matches!(refused.reason, Reason::HeaderMismatch(_)), "{head:?}");
        assert_eq!(refused.id.as_deref(), Some("1"));
    }
    let other = body.replace("2026-07-28", "2025-11-25");
    assert!(matches!(refused(&modern("tools/call", Some("add")), &other), Reason::HeaderMismatch(_)));
}

/// Row: M2
#[test]
fn a_modern_notification_may_lack_its_headers_but_not_contradict_them() {
    let body = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert!(parse(&versioned("2026-07-28"), body).is_ok());
    assert!(parse(&modern("notifications/cancelled", None), body).is_ok());
    assert!(matches!(refused(&modern("ping", None), body), Reason::HeaderMismatch(_)));
}

/// Row: M3
#[test]
fn the_base64_sentinel_is_decoded_strictly_and_only_when_it_is_whole() {
    let says = |name: &str, header: &str| {
        let body = request("tools/call", &format!(r#"{{"name":"{name}",{META}}}"#));
        let head =
            Head { mcp_name: HeaderValue::from_bytes(header.as_bytes()).ok(), ..modern("tools/call", None) };
        parse(&head, &body).is_ok()
    };
    assert!(says("Hello", "=?base64?SGVsbG8=?="));
    assert!(says("h\u{e9}", "=?base64?aMOp?="));
    assert!(says("SGVsbG8=", "SGVsbG8="));
    assert!(says("=?base64?SGVsbG8=", "=?base64?SGVsbG8="));
    assert!(says("SGVsbG8=?=", "SGVsbG8=?="));
    assert!(says("=?BASE64?SGVsbG8=?=", "=?BASE64?SGVsbG8=?="));
    assert!(says("", "=?base64??="));
    for (name, header) in [
        ("Hello", "=?base64?SGVsbG8?="),
        ("Hello", "=?base64?SGVs!!!bG8=?="),
        ("=?base64?SGVsbG8=?=", "=?base64?SGVsbG8=?="),
        ("x", "=?base64?/w==?="),
        ("h\u{e9}", "h\u{e9}"),
    ] {
        assert!(!says(name, header), "{name} {header}");
    }
}

fn tool_with_params() -> Server {
    let at = server("orders");
    let param =
        |header: &str, path: &[&str]| (header.into(), path.iter().map(|name| (*name).into()).collect());
    let header_params =
        vec![param("Region", &["region"]), param("Depth", &["deep", "level"]), param("Dry", &["dry"])];
    at.catalogue.learn([("run".into(), Tool { header_params, ..Tool::default() })]);
    at
}

/// Row: M4
#[test]
fn a_known_parameter_header_must_equal_the_argument_and_an_unknown_one_passes_untouched() {
    let at = tool_with_params();
    let accepts = |arguments: &str, headers: &[(&'static str, &'static str)]| {
        let body = request("tools/call", &format!(r#"{{"name":"run","arguments":{arguments},{META}}}"#));
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let head =
            Head { mcp_params: headers.iter().map(pair).collect(), ..modern("tools/call", Some("run")) };
        let call = parse_at(&door(), &head, &body, &at);
        if let Ok(call) = &call {
            let leaving = leaving(call, &head);
            assert!(headers.iter().all(|(name, value)| leaving[*name] == value));
        }
        call.is_ok()
    };
    assert!(accepts(r#"{"region":"eu"}"#, &[("mcp-param-region", "eu"), ("mcp-param-other", "=?base64?x")]));
    assert!(accepts(r#"{"region":"eu"}"#, &[("mcp-param-region", "=?base64?ZXU=?=")]));
    assert!(accepts(
        r#"{"deep":{"level":42},"dry":true}"#,
        &[("mcp-param-depth", "42.0"), ("mcp-param-dry", "true")]
    ));
    assert!(accepts(r#"{"region":null}"#, &[]));
    assert!(accepts("{}", &[]));
    assert!(!accepts(r#"{"region":"eu"}"#, &[]));
    assert!(!accepts(r#"{"region":"eu"}"#, &[("mcp-param-region", "us")]));
    assert!(!accepts(r#"{"region":"eu"}"#, &[("mcp-param-region", "eu"), ("mcp-param-region", "eu")]));
    assert!(!accepts(r#"{"deep":{"level":42}}"#, &[("mcp-param-depth", "43")]));
    assert!(!accepts("{}", &[("mcp-param-region", "eu")]));
    assert!(!accepts(r#"{"region":null}"#, &[("mcp-param-region", "eu")]));
}

/// Row: M5
#[test]
fn the_name_header_of_a_task_method_is_the_task() {
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let body = request(method, &format!(r#"{{"taskId":"t1",{META}}}"#));
        assert!(parse(&modern(method, Some("t1")), &body).is_ok());
        assert!(matches!(refused(&modern(method, Some("t2")), &body), Reason::HeaderMismatch(_)));
        assert!(matches!(refused(&modern(method, None), &body), Reason::HeaderMismatch(_)));
    }
}

/// Row: M6
#[test]
fn a_modern_request_needs_its_version_and_capabilities_in_the_body() {
    let head = modern("server/discover", None);
    let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let capabilities = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
    assert!(
        parse(&head, &request("server/discover", &format!(r#"{{"_meta":{{{version},{capabilities}}}}}"#)))
            .is_ok()
    );
    for params in [
        "{}".to_owned(),
        r#"{"_meta":{}}"#.to_owned(),
        format!(r#"{{"_meta":{{{version}}}}}"#),
        format!(r#"{{"_meta":{{{capabilities}}}}}"#),
        format!(r#"{{"_meta":{{{version},"io.modelcontextprotocol/clientCapabilities":[]}}}}"#),
    ] {
        assert!(
            matches!(refused(&head, &request("server/discover", &params)), Reason::MetaMissing(_)),
            "{params}"
        );
    }
}

/// Row: M1
#[test]
fn a_modern_caller_has_no_session_and_no_resumption() {
    let stale = |head: Head| Head {
        session: Some(HeaderValue::from_static("anything")),
        last_event_id: Some(HeaderValue::from_static("7")),
        ..head
    };
    let posted = stale(modern("server/discover", None));
    let call = parse(&posted, &request("server/discover", &format!("{{{META}}}"))).unwrap();
    assert_eq!(call.session(), None);
    assert!(!leaving(&call, &posted).contains_key("mcp-session-id"));
    for verb in [Verb::Get, Verb::Delete] {
        let head = stale(Head { verb, ..versioned("2026-07-28") });
        let call = parse(&head, "").unwrap();
        assert_eq!(call.era(), Era::Modern);
        let leaving = leaving(&call, &head);
        assert!(!leaving.contains_key("mcp-session-id") && !leaving.contains_key("last-event-id"));
    }
}

/// What the server's session id becomes, in answer to an `initialize` that came seven seconds after the epoch.
fn session(door: &Door, id: &'static str, who: &Principal, at: &Server) -> HeaderValue {
    session_of(door, id, who, at, &request("initialize", r#"{"capabilities":{}}"#))
}

fn session_of(door: &Door, id: &'static str, who: &Principal, at: &Server, hello: &str) -> HeaderValue {
    let call = door.parse(&legacy(), hello.to_owned().into(), who, at).unwrap();
    let id = HeaderValue::from_static(id);
    door.sealed_session(&call, &id, who, at, Timestamp::from_secs(7)).unwrap()
}

/// Row: T10, T8, A19
#[test]
fn a_session_opens_for_its_caller_and_is_unknown_to_another() {
    let (door, at) = (door(), server("orders"));
    let sealed = session(&door, "up-1", &caller("alice"), &at);
    let resume = |sealed: HeaderValue| Head {
        session: Some(sealed),
        last_event_id: Some(HeaderValue::from_static("7")),
        ..Head { verb: Verb::Get, ..legacy() }
    };
    let head = resume(sealed.clone());
    let call = door.parse(&head, Default::default(), &caller("alice"), &at).unwrap();
    let leaving = leaving(&call, &head);
    assert_eq!(leaving["mcp-session-id"], "up-1");
    assert_eq!(leaving["last-event-id"], "7");
    for (sealed, who) in [(sealed, "bob"), (HeaderValue::from_static("up-1"), "alice")] {
        let refused = door.parse(&resume(sealed), Default::default(), &caller(who), &at).unwrap_err();
        assert_eq!(refused.reason, Reason::UnknownSession);
    }
}

/// Row: T8
#[test]
fn nothing_is_resumed_without_a_session() {
    let head =
        Head { last_event_id: Some(HeaderValue::from_static("7")), ..Head { verb: Verb::Get, ..legacy() } };
    let call = parse(&head, "").unwrap();
    assert_eq!(call.kind(), &Kind::OpenStream);
    assert!(!leaving(&call, &head).contains_key("last-event-id"));
}

/// Row: T15
#[test]
fn a_response_is_accepted_only_for_what_the_server_asked_this_caller_on_this_session() {
    let (door, at, alice) = (door(), server("orders"), caller("alice"));
    let id = HeaderValue::from_static("up-1");
    let now = Timestamp::from_secs(7);
    let with = |sealed: Option<HeaderValue>| Head { session: sealed, ..legacy() };
    let sealed = Some(session(&door, "up-1", &alice, &at));
    let answer = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"action":"accept"}}}}"#);
    let post = |head: &Head, id: &str, who: &str| door.parse(head, answer(id).into(), &caller(who), &at);
    door.note_request("n5", Some(&id), &alice, &at, now);
    door.note_request("sx", None, &alice, &at, now);
    assert_eq!(post(&with(sealed.clone()), "5", "alice").unwrap().kind(), &Kind::Response("5".into()));
    assert!(post(&with(None), r#""\u0078""#, "alice").is_ok());
    for (head, id, who) in [
        (with(sealed.clone()), "6", "alice"),
        (with(sealed.clone()), r#""5""#, "alice"),
        (with(None), "5", "alice"),
        (with(sealed), r#""x""#, "alice"),
        (with(None), r#""x""#, "bob"),
    ] {
        assert_eq!(post(&head, id, who).unwrap_err().reason, Reason::UnexpectedResponse, "{id} {who}");
    }
}

#[test]
fn a_modern_caller_sends_no_responses() {
    let body = r#"{"jsonrpc":"2.0","id":5,"result":{}}"#;
    assert!(matches!(refused(&versioned("2026-07-28"), body), Reason::InvalidMessage(_)));
}

/// Row: D7
#[test]
fn per_hop_keys_are_cut_from_legacy_messages_and_nothing_else() {
    let meta = |inner: &str| {
        request("tools/call", &format!(r#"{{ "_meta" : {{{inner}}}, "name":"x","arguments":{{"a": 1}} }}"#))
    };
    let hop = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let info = r#""io.modelcontextprotocol/clientInfo" : {"name":"c"}"#;
    let task = r#""io.modelcontextprotocol/related-task":{"taskId":"t"}"#;
    for (came, leaves) in [
        (format!("{hop} , {task},{info}"), task.to_owned()),
        (format!(r#"{task} , {hop}, "v":1"#), format!(r#"{task}, "v":1"#)),
        (format!("{hop},{info}"), String::new()),
        (task.to_owned(), task.to_owned()),
    ] {
        let call = parse(&legacy(), &meta(&came)).unwrap();
        assert_eq!(std::str::from_utf8(call.body()).unwrap(), meta(&leaves));
        assert_eq!(call.arguments().unwrap(), &br#"{"a": 1}"#[..]);
    }
}

/// Row: P6
#[test]
fn methods_that_name_something_by_reference_are_about_it() {
    let target = |method: &str, params: &str| parse(&legacy(), &request(method, params)).unwrap().target;
    assert_eq!(target("prompts/get", r#"{"name":"p"}"#), Target::Prompt("p".into()));
    for method in ["resources/read", "resources/subscribe", "resources/unsubscribe"] {
        assert_eq!(target(method, r#"{"uri":"file:///a"}"#), Target::Resource("file:///a".into()));
    }
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        assert_eq!(target(method, r#"{"taskId":"t"}"#), Target::Task("t".into()));
    }
    let complete =
        |reference: &str| format!(r#"{{"ref":{reference},"argument":{{"name":"a","value":"b"}}}}"#);
    let prompt = complete(r#"{"type":"ref/prompt","name":"p"}"#);
    assert_eq!(target("completion/complete", &prompt), Target::Prompt("p".into()));
    let resource = complete(r#"{"type":"ref/resource","uri":"file:///{x}"}"#);
    assert_eq!(target("completion/complete", &resource), Target::Resource("file:///{x}".into()));
    for reference in [
        r#"{"type":"ref/tool","name":"p"}"#,
        r#"{"type":"ref/prompt"}"#,
        "1",
        r#"{"type":"ref/prompt","name":"p","uri":"u"}"#,
    ] {
        let body = request("completion/complete", &complete(reference));
        assert!(matches!(refused(&legacy(), &body), Reason::InvalidMessage(_)), "{reference}");
    }
}

/// Row: M12, P6
#[test]
fn what_a_subscription_may_not_name_is_cut_out_of_it() {
    let listen = |uris: &str| {
        request(
            "subscriptions/listen",
            &format!(
                r#"{{"notifications":{{"toolsListChanged":true,"resourceSubscriptions":[{uris}],"taskIds":["t"]}},{META}}}"#
            ),
        )
    };
    let mut call = parse(&modern("subscriptions/listen", None), &listen(r#""a", "b" ,"c""#)).unwrap();
    let resource = |uri: &str| Target::Resource(uri.into());
    assert_eq!(call.items(), [resource("a"), resource("b"), resource("c"), Target::Task("t".into())]);
    call.without_items(&[resource("a"), resource("c")]);
    assert_eq!(std::str::from_utf8(call.body()).unwrap(), listen(r#""b""#));
    assert_eq!(call.items(), [resource("b"), Target::Task("t".into())]);
}

/// Row: M17
#[test]
fn state_of_a_shared_credential_server_opens_for_its_caller_method_and_target_only() {
    let (door, at) = (door(), shared("orders"));
    let body = |name: &str, state: &str| {
        request(
            "tools/call",
            &format!(r#"{{"requestState":"{state}","name":"{name}","arguments":{{"a":1}},{META}}}"#),
        )
    };
    let first = parse_at(
        &door,
        &modern("tools/call", Some("x")),
        &request("tools/call", &format!(r#"{{"name":"x",{META}}}"#)),
        &at,
    )
    .unwrap();
    let raw = r#"opaque \u0041\n state"#;
    let sealed = door.sealed_state(&first, raw, &caller("alice"), &at, Timestamp::from_secs(7)).unwrap();
    let retry = door
        .parse(&modern("tools/call", Some("x")), body("x", &sealed).into(), &caller("alice"), &at)
        .unwrap();
    assert_eq!(std::str::from_utf8(retry.body()).unwrap(), body("x", raw));
    assert_eq!(retry.arguments().unwrap(), &br#"{"a":1}"#[..]);
    for (name, state, who) in [("x", &*sealed, "bob"), ("y", &*sealed, "alice"), ("x", "forged", "alice")] {
        let head = Head { mcp_name: HeaderValue::from_str(name).ok(), ..modern("tools/call", None) };
        let refused = door.parse(&head, body(name, state).into(), &caller(who), &at).unwrap_err();
        assert_eq!(refused.reason, Reason::ForeignState("requestState"), "{name} {who}");
    }
}

/// Row: M15
#[test]
fn state_of_a_server_that_knows_its_callers_passes_byte_for_byte() {
    for state in [r#","requestState":"a\u0062 ""#, r#","requestState":"""#, ""] {
        let body = request("tools/call", &format!(r#"{{"name":"x","inputResponses":{{ }}{state},{META}}}"#));
        let call = parse(&modern("tools/call", Some("x")), &body).unwrap();
        assert_eq!(call.body(), body.as_bytes());
    }
}

/// Row: T19
#[test]
fn a_task_of_a_shared_credential_server_is_its_callers_only() {
    let (door, at) = (door(), shared("orders"));
    let get = |at: &Server, who: &str, task: &str| {
        door.parse(
            &legacy(),
            request("tasks/get", &format!(r#"{{"taskId":"{task}"}}"#)).into(),
            &caller(who),
            at,
        )
    };
    door.note_task("t1", &caller("alice"), &at, Timestamp::from_secs(7));
    assert!(get(&at, "alice", "t1").is_ok());
    assert!(get(&server("orders"), "bob", "t1").is_ok());
    for (who, task) in [("bob", "t1"), ("alice", "t2")] {
        assert_eq!(get(&at, who, task).unwrap_err().reason, Reason::ForeignState("task"));
    }
    let listen =
        request("subscriptions/listen", &format!(r#"{{"notifications":{{"taskIds":["t1"]}},{META}}}"#));
    let listen =
        |who| door.parse(&modern("subscriptions/listen", None), listen.clone().into(), &caller(who), &at);
    assert!(listen("alice").is_ok());
    assert_eq!(listen("bob").unwrap_err().reason, Reason::ForeignState("task"));
}

#[test]
fn the_trace_of_the_message_is_read_when_it_is_one() {
    let trace = |parent: &str| {
        let body = request("ping", &format!(r#"{{"_meta":{{"traceparent":"{parent}"}}}}"#));
        parse(&legacy(), &body).unwrap().traceparent
    };
    let sound = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(trace(sound).as_deref(), Some(sound));
    for wrong in
        ["", "00-x", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &format!("{sound}-00")]
    {
        assert_eq!(trace(wrong), None);
    }
}

#[test]
fn the_headers_that_leave_are_the_protocols_own() {
    let mut head = legacy();
    head.mcp_method = Some(HeaderValue::from_static("ping"));
    let call = parse(&head, &request("ping", "{}")).unwrap();
    let leaving = leaving(&call, &head);
    assert_eq!(leaving["accept"], "application/json, text/event-stream");
    assert_eq!(leaving["mcp-protocol-version"], "2025-11-25");
    assert_eq!(leaving.len(), 2);
}

/// Everything of alice's that the gateway keeps or sealed ends when she is revoked, and nothing of bob's.
#[test]
fn what_a_caller_was_given_before_a_revocation_is_unknown_after_it() {
    let ledger = Arc::new(Revocations::default());
    let door = Door::new(&[7; 32], &[]).unwrap().with_revocations(ledger.clone());
    let (at, now) = (shared("orders"), Timestamp::from_secs(7));
    let listed = request("tools/list", "{}");
    let first = |who: &str| {
        let body = request("tools/call", &format!(r#"{{"name":"x",{META}}}"#));
        door.parse(&modern("tools/call", Some("x")), body.into(), &caller(who), &at).unwrap()
    };
    let given: Vec<_> = ["alice", "bob"]
        .into_iter()
        .map(|who| {
            let caller = caller(who);
            door.note_task("t1", &caller, &at, now);
            door.note_request("n5", None, &caller, &at, now);
            let state = door.sealed_state(&first(who), "s", &caller, &at, now).unwrap();
            (who, session(&door, "up-1", &caller, &at), state)
        })
        .collect();
    let reasons = |who: &str, sealed: &HeaderValue, state: &str| {
        let reason = |head: &Head, body: String| {
            door.parse(head, body.into(), &caller(who), &at).err().map(|refused| refused.reason)
        };
        let on_session = Head { session: Some(sealed.clone()), ..legacy() };
        let state = format!(r#"{{"name":"x","requestState":"{state}",{META}}}"#);
        [
            reason(&on_session, listed.clone()),
            reason(&legacy(), request("tasks/get", r#"{"taskId":"t1"}"#)),
            reason(&legacy(), r#"{"jsonrpc":"2.0","id":5,"result":{}}"#.into()),
            reason(&modern("tools/call", Some("x")), request("tools/call", &state)),
        ]
    };
    for (who, sealed, state) in &given {
        assert_eq!(reasons(who, sealed, state), [const { None }; 4], "{who}");
    }
    let whose = Whose::Subject("alice".into());
    let issuer = caller("alice").issuer_url;
    let at_eight = Timestamp::from_secs(8);
    let keep = std::time::Duration::from_secs(3600);
    ledger.note(&Revocation { issuer, whose, issued: at_eight, at: at_eight, keep });
    for (who, sealed, state) in &given {
        let expected = if *who == "bob" {
            [const { None }; 4]
        } else {
            [
                Some(Reason::UnknownSession),
                Some(Reason::ForeignState("task")),
                Some(Reason::UnexpectedResponse),
                Some(Reason::ForeignState("requestState")),
            ]
        };
        assert_eq!(reasons(who, sealed, state), expected, "{who}");
    }
}

/// Row: X5
#[test]
fn a_client_that_opens_pages_is_known_as_one_in_both_eras() {
    let (door, at, alice) = (door(), server("orders"), caller("alice"));
    let takes = |head: &Head, body: &str| {
        door.parse(head, body.to_owned().into(), &alice, &at).unwrap().takes_pages()
    };
    let declaring = |elicitation: &str| {
        let meta =
            META.replace("clientCapabilities\":{}", &format!("clientCapabilities\":{{{elicitation}}}"));
        request("tools/call", &format!(r#"{{"name":"x",{meta}}}"#))
    };
    let head = modern("tools/call", Some("x"));
    assert!(takes(&head, &declaring(r#""elicitation":{"form":{},"url":{}}"#)));
    for not in ["", r#""elicitation":{}"#, r#""elicitation":{"form":{}}"#, r#""elicitation":{"url":null}"#] {
        assert!(!takes(&head, &declaring(not)), "{not}");
    }
    let listed = declaring(r#""elicitation":{"url":{}}"#).replace("tools/call", "tools/list");
    assert!(!takes(&modern("tools/list", None), &listed), "no answer to a list asks for anything");

    let hello = |capabilities: &str| request("initialize", &format!(r#"{{"capabilities":{capabilities}}}"#));
    for (capabilities, opens) in [(r#"{"elicitation":{"url":{}}}"#, true), (r#"{"elicitation":{}}"#, false)] {
        let hello = hello(capabilities);
        assert_eq!(takes(&legacy(), &hello), opens);
        let on_session = Head { session: Some(session_of(&door, "up-1", &alice, &at, &hello)), ..legacy() };
        assert_eq!(takes(&on_session, &request("tools/call", r#"{"name":"x"}"#)), opens);
    }
    assert!(!takes(&legacy(), &request("tools/call", r#"{"name":"x"}"#)));
}

/// Row: X5, M15
#[test]
fn what_the_user_said_to_the_gateways_page_is_not_the_servers_to_know() {
    let head = modern("tools/call", Some("x"));
    let own = |action: &str| format!(r#""safeconduct.page" : {{"action":"{action}"}}"#);
    let with = |responses: &str| {
        let meta =
            META.replace("clientCapabilities\":{}", r#"clientCapabilities":{"elicitation":{"url":{}}}"#);
        request("tools/call", &format!(r#"{{"name":"x"{responses},"arguments":{{"a":1}},{meta}}}"#))
    };
    for (came, leaves, takes) in [
        (format!(r#", "inputResponses":{{{}}} "#, own("accept")), String::new(), true),
        (format!(r#","inputResponses":{{{}}}"#, own("decline")), String::new(), false),
        (format!(r#","inputResponses":{{{}}}"#, own("cancel")), String::new(), false),
        (
            format!(r#","inputResponses":{{"k":{{"action":"accept"}}, {}}}"#, own("accept")),
            r#","inputResponses":{"k":{"action":"accept"}}"#.to_owned(),
            true,
        ),
        (
            r#","inputResponses":{"k":{"action":"decline"}}"#.to_owned(),
            r#","inputResponses":{"k":{"action":"decline"}}"#.to_owned(),
            true,
        ),
        (r#","inputResponses":{}"#.to_owned(), r#","inputResponses":{}"#.to_owned(), true),
    ] {
        let call = parse(&head, &with(&came)).unwrap();
        let left = String::from_utf8(call.body().to_vec()).unwrap();
        assert_eq!(left.replace(" ,", ","), with(&leaves), "{came}");
        assert_eq!(call.takes_pages(), takes, "{came}");
        assert_eq!(call.arguments().unwrap(), &br#"{"a":1}"#[..]);
    }
}
