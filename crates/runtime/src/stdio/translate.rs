//! What the eras call differently.

use bytes::Bytes;
use safeconduct_core::mcp::json::{Edit, Kind, Value};

use super::message::{
    self, BAD_PARAMS, CAPABILITIES_KEY, CLIENT_INFO_KEY, LOG_LEVEL_KEY, MODERN, Parts, VERSION_KEY,
    with_members,
};

/// `Resource not found` up to 2025-11-25.
const NO_RESOURCE: i64 = -32002;
/// `URL elicitation required` of 2025-11-25.
const URL_REQUIRED: i64 = -32042;
const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// Keys of `_meta` that are between a client and its next peer only.
pub(super) fn is_per_hop(key: &str) -> bool {
    [VERSION_KEY, CLIENT_INFO_KEY, CAPABILITIES_KEY, LOG_LEVEL_KEY].contains(&key)
}

/// JSON text of this program's name and version, where a client gives none of its own.
pub(super) fn own_info() -> String {
    format!(r#"{{"name":"safeconduct","version":"{}"}}"#, env!("CARGO_PKG_VERSION"))
}

/// What a legacy server is told that a modern client can: what both revisions know.
pub(super) fn legacy_capabilities(modern: Option<Value<'_>>) -> String {
    let known = ["sampling", "elicitation", "roots", "experimental"];
    let members = modern.into_iter().flat_map(|all| all.members());
    let kept = members.filter(|member| known.contains(&&*member.name()));
    let kept = kept.map(|member| format!("{}:{}", message::quoted(&member.name()), member.value.raw()));
    format!("{{{}}}", kept.collect::<Vec<_>>().join(","))
}

/// The answer to `server/discover`, from that to a handshake.
pub(super) fn discovery(handshake: &Bytes, id: &str) -> Bytes {
    let parts = Parts::read(handshake).ok();
    let result = parts.and_then(|parts| parts.result);
    let raw = |name: &str| result.and_then(|result| result.member(name)).map(|value| value.raw());
    let capabilities = result.and_then(|result| result.member("capabilities"));
    // The experimental tasks of 2025-11-25 are spoken in that revision only.
    let capabilities = members_but(capabilities, "tasks");
    let info = raw("serverInfo").map(|info| format!(r#","_meta":{{"{SERVER_INFO_KEY}":{info}}}"#));
    let instructions = raw("instructions").map(|text| format!(r#","instructions":{text}"#));
    message::result(
        id,
        &format!(
            r#"{{"resultType":"complete","supportedVersions":["{MODERN}"],"capabilities":{{{capabilities}}}{}{},"ttlMs":0,"cacheScope":"private"}}"#,
            instructions.unwrap_or_default(),
            info.unwrap_or_default()
        ),
    )
}

/// The answer to `initialize` with this version, from that to `server/discover`.
pub(super) fn handshake(discovery: &Parts<'_>, version: &str, id: &str) -> Bytes {
    let result = discovery.result;
    let raw = |name: &str| result.and_then(|result| result.member(name)).map(|value| value.raw());
    let own = own_info();
    let info =
        result.and_then(|result| result.member("_meta")?.member(SERVER_INFO_KEY)).map(|info| info.raw());
    let info = info.or(raw("serverInfo")).unwrap_or(&own);
    let capabilities = result.and_then(|result| result.member("capabilities"));
    // Extensions are spoken in the stateless revision only.
    let kept = members_but(capabilities, "extensions");
    let instructions =
        raw("instructions").map(|text| format!(r#","instructions":{text}"#)).unwrap_or_default();
    message::result(
        id,
        &format!(
            r#"{{"protocolVersion":"{version}","capabilities":{{{kept}}},"serverInfo":{info}{instructions}}}"#
        ),
    )
}

/// JSON text of an object's members but for one.
fn members_but(object: Option<Value<'_>>, gone: &str) -> String {
    let members = object.into_iter().flat_map(|object| object.members());
    let kept = members.filter(|member| member.name() != gone);
    let kept = kept.map(|member| format!("{}:{}", message::quoted(&member.name()), member.value.raw()));
    kept.collect::<Vec<_>>().join(",")
}

/// Whether results of this method say how long they may be kept (2026-07-28, caching).
pub(super) fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" | "resources/read"
    )
}

/// The changes that make a legacy result one of the stateless revision.
pub(super) fn completed(result: Value<'_>, handshake: Option<&Bytes>, cacheable: bool) -> Vec<Edit> {
    if result.kind() != Kind::Object {
        return Vec::new();
    }
    let has = |name: &str| result.member(name).is_some();
    let mut members = Vec::new();
    if !has("resultType") {
        members.push(r#""resultType":"complete""#.to_owned());
    }
    if cacheable && !has("ttlMs") {
        members.push(r#""ttlMs":0"#.to_owned());
    }
    if cacheable && !has("cacheScope") {
        members.push(r#""cacheScope":"private""#.to_owned());
    }
    let parts = handshake.and_then(|handshake| Parts::read(handshake).ok());
    let info = parts.and_then(|parts| parts.result?.member("serverInfo"));
    let info = info.map(|info| format!(r#""{SERVER_INFO_KEY}":{}"#, info.raw()));
    let meta = result.member("_meta").filter(Value::is_object);
    let mut edits = Vec::new();
    match (info, meta) {
        (Some(info), Some(meta)) if meta.member(SERVER_INFO_KEY).is_none() => {
            edits.push(with_members(meta, &info))
        }
        (Some(info), None) if !has("_meta") => members.push(format!(r#""_meta":{{{info}}}"#)),
        _ => {}
    }
    if !members.is_empty() {
        edits.push(with_members(result, &members.join(",")));
    }
    edits
}

/// The result that asks a modern client to visit the pages that an error of 2025-11-25 names. It needs no state: the client
/// comes back with the same call.
pub(super) fn urls_to_visit(error: Value<'_>) -> Option<String> {
    let code: i64 = error.member("code")?.raw().parse().ok()?;
    let pages = error.member("data").filter(|_| code == URL_REQUIRED)?.member("elicitations")?;
    let asks: Vec<_> = pages
        .elements()
        .filter(Value::is_object)
        .enumerate()
        .map(|(place, page)| {
            format!(r#""{place}":{{"method":"elicitation/create","params":{}}}"#, page.raw())
        })
        .collect();
    let asks = (!asks.is_empty()).then(|| asks.join(","))?;
    Some(format!(r#"{{"resultType":"input_required","inputRequests":{{{asks}}}}}"#))
}

/// The change of an error's code where the stateless revision must not use it.
pub(super) fn renamed_error(error: Value<'_>) -> Vec<Edit> {
    let Some(code) = error.member("code") else { return Vec::new() };
    let renamed = match code.raw().parse() {
        Ok(NO_RESOURCE) => BAD_PARAMS,
        Ok(URL_REQUIRED) => message::INTERNAL,
        _ => return Vec::new(),
    };
    vec![Edit::new(code.range(), renamed.to_string())]
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use safeconduct_core::mcp::json::edited;

    use super::{completed, discovery, handshake, legacy_capabilities, renamed_error};
    use crate::stdio::message::Parts;

    const HANDSHAKE: &str = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"tasks":{}},"serverInfo":{"name":"s","version":"1"},"instructions":"Be kind."}}"#;

    /// Row: D6
    #[test]
    fn a_handshake_tells_what_discovery_would() {
        assert_eq!(
            discovery(&Bytes::from_static(HANDSHAKE.as_bytes()), "\"d\""),
            r#"{"jsonrpc":"2.0","id":"d","result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"instructions":"Be kind.","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}},"ttlMs":0,"cacheScope":"private"}}"#
        );
    }

    /// Row: D5
    #[test]
    fn discovery_tells_what_a_handshake_would() {
        let discovery = r#"{"id":0,"result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"extensions":{"x":{}}},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}}}"#;
        assert_eq!(
            handshake(&Parts::read(discovery.as_bytes()).unwrap(), "2025-06-18", "1"),
            r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s"}}}"#
        );
    }

    /// Row: D6
    #[test]
    fn a_result_gets_what_it_lacks_and_keeps_what_it_has() {
        let handshake = Bytes::from_static(HANDSHAKE.as_bytes());
        let of = |answer: &'static str, cacheable| {
            let answer = Bytes::from_static(answer.as_bytes());
            let edits = completed(Parts::read(&answer).unwrap().result.unwrap(), Some(&handshake), cacheable);
            String::from_utf8(edited(&answer, edits).to_vec()).unwrap()
        };
        let info = r#""io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}"#;
        assert_eq!(
            of(r#"{"id":1,"result":{"tools":[12345678901234567890123]}}"#, true),
            format!(
                r#"{{"id":1,"result":{{"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{{{info}}},"tools":[12345678901234567890123]}}}}"#
            )
        );
        assert_eq!(
            of(r#"{"id":1,"result":{"resultType":"complete","_meta":{"x":1}}}"#, false),
            format!(r#"{{"id":1,"result":{{"resultType":"complete","_meta":{{{info},"x":1}}}}}}"#)
        );
        assert_eq!(
            of(r#"{"id":1,"result":{}}"#, false),
            format!(r#"{{"id":1,"result":{{"resultType":"complete","_meta":{{{info}}}}}}}"#)
        );
    }

    /// Row: D6
    #[test]
    fn codes_that_the_stateless_revision_gave_up_are_not_used() {
        let of = |code: i64| {
            let answer: Bytes = format!(r#"{{"id":1,"error":{{"code":{code},"message":""}}}}"#).into();
            let edits = renamed_error(Parts::read(&answer).unwrap().error.unwrap());
            Parts::read(&edited(&answer, edits)).unwrap().code()
        };
        assert_eq!((of(-32002), of(-32042), of(-32602)), (Some(-32602), Some(-32603), Some(-32602)));
    }

    /// Row: D6
    #[test]
    fn pages_that_must_be_visited_are_asked_for_as_input() {
        let answer = r#"{"id":1,"error":{"code":-32042,"message":"","data":{"elicitations":[{"mode":"url","url":"https://a.example"}]}}}"#;
        assert_eq!(
            super::urls_to_visit(Parts::read(answer.as_bytes()).unwrap().error.unwrap()).unwrap(),
            r#"{"resultType":"input_required","inputRequests":{"0":{"method":"elicitation/create","params":{"mode":"url","url":"https://a.example"}}}}"#
        );
    }

    #[test]
    fn a_legacy_server_is_told_what_both_revisions_know() {
        let text =
            r#"{"method":"x","params":{"sampling":{"tools":{}},"extensions":{"y":{}},"elicitation":{}}}"#;
        let parts = Parts::read(text.as_bytes()).unwrap();
        assert_eq!(legacy_capabilities(parts.params), r#"{"sampling":{"tools":{}},"elicitation":{}}"#);
        assert_eq!(legacy_capabilities(None), "{}");
    }
}
