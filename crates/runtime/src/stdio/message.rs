//! One JSON-RPC message, as far as the bridge must understand it, and the changes that are made to its bytes. All other
//! bytes stay as they came.

use std::borrow::Cow;

use bytes::Bytes;
use safeconduct_core::mcp::json::{self, Edit, Unreadable, Value};
use serde_json::json;

pub(super) const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
pub(super) const CLIENT_INFO_KEY: &str = "io.modelcontextprotocol/clientInfo";
pub(super) const LOG_LEVEL_KEY: &str = "io.modelcontextprotocol/logLevel";
pub(super) const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";
pub(super) const TASK_KEY: &str = "io.modelcontextprotocol/related-task";
/// The revision without a handshake.
pub(super) const MODERN: &str = "2026-07-28";
/// The latest revision with one.
pub(super) const LEGACY: &str = "2025-11-25";

/// `Internal error` of JSON-RPC 2.0.
pub(super) const INTERNAL: i64 = -32603;
/// `Method not found` of JSON-RPC 2.0.
pub(super) const NO_METHOD: i64 = -32601;
/// `Invalid params` of JSON-RPC 2.0.
pub(super) const BAD_PARAMS: i64 = -32602;
/// `Invalid request` of JSON-RPC 2.0.
pub(super) const BAD_REQUEST: i64 = -32600;
/// `Header mismatch` (2026-07-28).
pub(super) const MISMATCH: i64 = -32020;
/// The answer to a request that its own client cancelled: outside of all reserved ranges.
pub(super) const CANCELLED: i64 = -32800;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Request,
    Notification,
    Response,
}

/// The parts of a checked message.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) whole: Value<'a>,
    pub(super) id: Option<Value<'a>>,
    method: Option<Value<'a>>,
    pub(super) params: Option<Value<'a>>,
    pub(super) result: Option<Value<'a>>,
    pub(super) error: Option<Value<'a>>,
}

impl<'a> Parts<'a> {
    /// Takes a text apart.
    ///
    /// # Errors
    /// It is not JSON that everybody reads alike, or no JSON-RPC message.
    pub(super) fn read(text: &'a [u8]) -> Result<Self, Unreadable> {
        let whole = json::checked(text)?;
        let mut parts = Self { whole, id: None, method: None, params: None, result: None, error: None };
        for member in whole.members() {
            match &*member.name() {
                "id" => parts.id = Some(member.value).filter(|id| id.kind() != json::Kind::Null),
                "method" => parts.method = Some(member.value),
                "params" => parts.params = Some(member.value),
                "result" => parts.result = Some(member.value),
                "error" => parts.error = Some(member.value),
                _ => {}
            }
        }
        if parts.method.is_none() && parts.result.is_none() && parts.error.is_none() {
            return Err(Unreadable { what: "no message", at: 0 });
        }
        Ok(parts)
    }

    pub(super) fn shape(&self) -> Shape {
        match (self.method, self.id) {
            (None, _) => Shape::Response,
            (Some(_), Some(_)) => Shape::Request,
            (Some(_), None) => Shape::Notification,
        }
    }

    /// Its method; empty for a response.
    pub(super) fn method(&self) -> Cow<'a, str> {
        self.method.and_then(|method| method.string()).unwrap_or_default()
    }

    /// The number that the bridge gave a request, from an id, token or subscription of an answer.
    pub(super) fn number(value: Option<Value<'a>>) -> Option<u64> {
        value?.raw().parse().ok()
    }

    pub(super) fn param(&self, name: &str) -> Option<Value<'a>> {
        self.params?.member(name)
    }

    pub(super) fn meta(&self) -> Option<Value<'a>> {
        self.param("_meta")
    }

    pub(super) fn in_meta(&self, name: &str) -> Option<Value<'a>> {
        self.meta()?.member(name)
    }

    /// The code of an error.
    pub(super) fn code(&self) -> Option<i64> {
        self.error?.member("code")?.raw().parse().ok()
    }

    /// The change that gives this message another id; None when it has none.
    pub(super) fn with_id(&self, id: &str) -> Option<Edit> {
        self.id.map(|old| Edit::new(old.range(), id))
    }
}

/// Whether two JSON texts of ids mean the same id.
pub(super) fn same_id(one: &str, other: &str) -> bool {
    let string = |text: &str| {
        let value = json::checked(text.as_bytes()).ok()?;
        value.string().map(Cow::into_owned)
    };
    one == other || string(one).is_some_and(|one| Some(one) == string(other))
}

/// The change that puts `members` (`"name":value`, with commas between) first into an object.
pub(super) fn with_members(object: Value<'_>, members: &str) -> Edit {
    let at = object.range().start + 1;
    let comma = if object.members().next().is_some() { "," } else { "" };
    Edit::new(at..at, format!("{members}{comma}"))
}

/// The changes that take members out of an object.
pub(super) fn without_members(object: Value<'_>, gone: impl Fn(&str) -> bool) -> Vec<Edit> {
    let parts: Vec<_> = object.members().map(|member| (member.range(), !gone(&member.name()))).collect();
    json::cuts(&parts)
}

/// The changes that take members out of an object and put others first into it.
pub(super) fn with_and_without(object: Value<'_>, members: &str, gone: impl Fn(&str) -> bool) -> Vec<Edit> {
    let cuts = without_members(object, &gone);
    let stay = object.members().any(|member| !gone(&member.name()));
    let at = object.range().start + 1;
    let comma = if stay && !members.is_empty() { "," } else { "" };
    // Before the cuts: one of them may begin at the same place.
    let mut edits = vec![Edit::new(at..at, format!("{members}{comma}"))];
    edits.extend(cuts);
    edits
}

/// The change that puts members first into `params._meta`, which is made where it is missing.
pub(super) fn with_meta(parts: &Parts<'_>, members: &str) -> Edit {
    let (meta, params) = (parts.meta().filter(Value::is_object), parts.params.filter(Value::is_object));
    match (meta, params) {
        (Some(meta), _) => with_members(meta, members),
        (None, Some(params)) => with_members(params, &format!(r#""_meta":{{{members}}}"#)),
        (None, None) => with_members(parts.whole, &format!(r#""params":{{"_meta":{{{members}}}}}"#)),
    }
}

/// A JSON string.
pub(super) fn quoted(text: &str) -> String {
    json!(text).to_string()
}

/// An error in answer to the request with this id (its JSON text).
pub(super) fn error(id: &str, code: i64, message: &str) -> Bytes {
    let error = json!({ "code": code, "message": message });
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#).into()
}

/// An error that answers no request.
pub(super) fn error_without_id(code: i64, message: &str) -> Bytes {
    let error = json!({ "code": code, "message": message });
    format!(r#"{{"jsonrpc":"2.0","error":{error}}}"#).into()
}

/// A result (its JSON text) in answer to the request with this id.
pub(super) fn result(id: &str, result: &str) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into()
}

/// The end of a request, told to whoever works on it.
pub(super) fn cancelled(id: &str, reason: &str) -> Bytes {
    let reason = quoted(reason);
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":{reason}}}}}"#
    )
    .into()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use safeconduct_core::mcp::json::edited;

    use super::{Parts, Shape, error, same_id, with_members, without_members};

    #[test]
    fn a_message_is_taken_apart_without_a_look_at_what_is_inside() {
        let parts =
            Parts::read(br#"{"id":"a","method":"tools/call","params":{"_meta":{"x":1},"id":2}}"#).unwrap();
        assert_eq!((parts.shape(), &*parts.method()), (Shape::Request, "tools/call"));
        assert_eq!(parts.id.unwrap().raw(), "\"a\"");
        assert_eq!(parts.in_meta("x").unwrap().raw(), "1");
        assert_eq!(Parts::read(br#"{"result":{},"id":1}"#).unwrap().shape(), Shape::Response);
        assert_eq!(Parts::read(br#"{"method":"x"}"#).unwrap().shape(), Shape::Notification);
        for nothing in [&b"{}"[..], b"[]", b"7", b"hello", b"{\"id\":1}", b"{\"method\":1,\"method\":2}"] {
            assert!(Parts::read(nothing).is_err(), "{}", String::from_utf8_lossy(nothing));
        }
    }

    #[test]
    fn ids_are_the_same_when_their_strings_are() {
        assert!(same_id("1", "1") && same_id("\"a\"", "\"\\u0061\""));
        assert!(!same_id("1", "\"1\"") && !same_id("\"a\"", "\"b\""));
    }

    #[test]
    fn changes_touch_nothing_else() {
        let text = Bytes::from_static(br#"{ "id" : 1 , "params":{},"x":1e2 }"#);
        let parts = Parts::read(br#"{ "method":"m","id" : 1 , "params":{},"x":1e2 }"#);
        assert!(parts.is_ok());
        let whole = safeconduct_core::mcp::json::checked(&text).unwrap();
        let mut edits = vec![with_members(whole.member("params").unwrap(), "\"a\":1")];
        edits.extend(without_members(whole, |name| name == "id"));
        assert_eq!(edited(&text, edits), &br#"{ "params":{"a":1},"x":1e2 }"#[..]);
    }

    #[test]
    fn members_are_exchanged_for_others_wherever_they_stand() {
        let exchanged = |text: &'static str| {
            let text = Bytes::from_static(text.as_bytes());
            let whole = safeconduct_core::mcp::json::checked(&text).unwrap();
            let edits = super::with_and_without(whole, "\"n\":0", |name| name == "a" || name == "c");
            String::from_utf8(edited(&text, edits).to_vec()).unwrap()
        };
        assert_eq!(exchanged(r#"{"a":1,"b":2,"c":3}"#), r#"{"n":0,"b":2}"#);
        assert_eq!(exchanged(r#"{ "a":1 }"#), r#"{"n":0  }"#);
        assert_eq!(exchanged(r#"{"b":2}"#), r#"{"n":0,"b":2}"#);
        assert_eq!(exchanged("{}"), r#"{"n":0}"#);
    }

    #[test]
    fn an_error_says_whose_answer_it_is() {
        let text = error("\"a\"", -32603, "said \"no\"");
        let parts = Parts::read(&text).unwrap();
        assert_eq!((parts.code(), parts.id.unwrap().raw()), (Some(-32603), "\"a\""));
    }
}
