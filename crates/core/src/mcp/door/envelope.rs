//! The envelope of one JSON-RPC message, `params` and `_meta`.

use std::borrow::Cow;

use crate::mcp::Kind;
use crate::mcp::json::{Edit, Kind as Json, Object, Value, cuts};
use crate::mcp::methods::{self, Method};
use crate::refusal::Reason;

/// Names of the envelope (JSON-RPC 2.0).
const ENVELOPE: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];
/// Names of `params` that the gateway, a policy or a server's routing reads, in any revision.
const PARAMS: &[&str] = &[
    "name",
    "uri",
    "arguments",
    "_meta",
    "ref",
    "argument",
    "context",
    "cursor",
    "task",
    "taskId",
    "requestState",
    "inputResponses",
    "notifications",
    "protocolVersion",
    "capabilities",
    "clientInfo",
    "level",
    "requestId",
    "reason",
    "progressToken",
    "progress",
    "total",
    "message",
    "elicitationId",
];
/// Names of `_meta` that the protocol gives a meaning.
const META: &[&str] = &[
    "progressToken",
    VERSION_KEY,
    CLIENT_INFO_KEY,
    CAPABILITIES_KEY,
    LOG_LEVEL_KEY,
    "io.modelcontextprotocol/subscriptionId",
    "io.modelcontextprotocol/related-task",
    "io.modelcontextprotocol/model-immediate-response",
    "traceparent",
    "tracestate",
    "baggage",
];

pub(super) const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
const CLIENT_INFO_KEY: &str = "io.modelcontextprotocol/clientInfo";
const LOG_LEVEL_KEY: &str = "io.modelcontextprotocol/logLevel";
/// Keys of 2026-07-28 that are between a client and its next peer only. Stateful servers of older revisions
/// refuse them (go-sdk 1.7), and some clients send them in both eras.
const PER_HOP: &[&str] = &[VERSION_KEY, CLIENT_INFO_KEY, CAPABILITIES_KEY, LOG_LEVEL_KEY];

/// One message, taken apart.
pub(super) struct Envelope<'a> {
    pub(super) kind: Kind,
    pub(super) method: Method,
    pub(super) params: Option<Object<'a>>,
    pub(super) meta: Option<Object<'a>>,
    /// For a response: the canonical text of the id it answers.
    pub(super) answers: Option<String>,
}

/// The JSON text of the message's id, to be echoed; None without one.
///
/// # Errors
/// The id is neither a string nor an integer.
pub(super) fn id(message: &Object<'_>) -> Result<Option<Box<str>>, Reason> {
    let Some(id) = message.member("id") else { return Ok(None) };
    match id.kind() {
        Json::String => Ok(Some(id.raw().into())),
        Json::Number if id.is_integer() => Ok(Some(id.raw().into())),
        _ => Err(Reason::InvalidMessage("the id is neither a string nor an integer".into())),
    }
}

/// The text by which ids are compared: two spellings of one string are one id, the string `"1"` is not the
/// number `1`.
pub(crate) fn canonical_id(id: Value<'_>) -> Option<String> {
    match id.string() {
        Some(text) => Some(format!("s{text}")),
        None if id.is_integer() => Some(format!("n{}", id.raw())),
        None => None,
    }
}

impl<'a> Envelope<'a> {
    /// Reads the envelope of a checked text.
    ///
    /// # Errors
    /// `Malformed` for names that another parser could take for known ones, `InvalidMessage` for what is not
    /// JSON-RPC 2.0, `UnknownMethod` for a name that stands for something that is no message.
    pub(super) fn read(message: &Object<'a>) -> Result<Self, Reason> {
        clear(message, ENVELOPE)?;
        if message.member("jsonrpc").and_then(|version| version.string()).as_deref() != Some("2.0") {
            return Err(invalid("jsonrpc is not \"2.0\""));
        }
        let answer = message.member("result").is_some() || message.member("error").is_some();
        match message.member("method") {
            Some(_) if answer => Err(invalid("a message that is a request and a response")),
            Some(method) => {
                let name = method.string().ok_or_else(|| invalid("the method is not a string"))?;
                Self::request(message, &name)
            }
            None => Self::response(message),
        }
    }

    fn request(message: &Object<'a>, name: &str) -> Result<Self, Reason> {
        let method = Method::of_message(name)?;
        let id = id(message)?;
        let notification = name.starts_with("notifications/");
        let kind = match id {
            Some(_) if notification => return Err(invalid("a notification with an id")),
            Some(id) => Kind::Request(id),
            None if !notification && matches!(method, Method::Known(_)) => {
                return Err(invalid("a request without an id"));
            }
            None => Kind::Notification,
        };
        let params = object(message.member("params"), "params is not an object")?;
        let meta = match &params {
            Some(params) => {
                clear(params, PARAMS)?;
                object(params.member("_meta"), "_meta is not an object")?
            }
            None => None,
        };
        if let Some(meta) = &meta {
            clear(meta, META)?;
        }
        Ok(Self { kind, method, params, meta, answers: None })
    }

    fn response(message: &Object<'a>) -> Result<Self, Reason> {
        let one = message.member("result").is_some() != message.member("error").is_some();
        let id = message
            .member("id")
            .filter(|_| one)
            .ok_or_else(|| invalid("neither a request nor a response"))?;
        let answers = canonical_id(id).ok_or_else(|| invalid("the id is neither a string nor an integer"))?;
        Ok(Self {
            kind: Kind::Response(id.raw().into()),
            method: methods::method("response"),
            params: None,
            meta: None,
            answers: Some(answers),
        })
    }

    /// A value of `params`.
    pub(super) fn param(&self, name: &str) -> Option<Value<'a>> {
        self.params.as_ref()?.member(name)
    }

    /// A value of `_meta`.
    pub(super) fn meta(&self, name: &str) -> Option<Value<'a>> {
        self.meta.as_ref()?.member(name)
    }

    /// The protocol version that the message itself names.
    pub(super) fn version(&self) -> Option<Cow<'a, str>> {
        self.meta(VERSION_KEY)?.string()
    }

    /// `_meta.traceparent` (SEP-414), if it has the form of W3C Trace Context §3.2.
    pub(super) fn traceparent(&self) -> Option<Box<str>> {
        let text = self.meta("traceparent")?.string()?;
        let mut parts = text.split('-');
        let lengths = [2, 32, 16, 2].iter().all(|length| {
            let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            parts.next().is_some_and(|part| part.len() == *length && part.bytes().all(hex))
        });
        (lengths && parts.next().is_none()).then(|| text.into())
    }

    /// The cuts that take the per-hop keys out of `_meta`, all other bytes staying as they are.
    pub(super) fn per_hop_cuts(&self) -> Vec<Edit> {
        let Some(meta) = &self.meta else { return Vec::new() };
        let parts: Vec<_> =
            meta.members().map(|member| (member.range(), !PER_HOP.contains(&&*member.name()))).collect();
        cuts(&parts)
    }
}

pub(super) fn invalid(what: &'static str) -> Reason {
    Reason::InvalidMessage(what.into())
}

/// Refuses names that another parser could take for known ones.
pub(super) fn clear(object: &Object<'_>, known: &[&str]) -> Result<(), Reason> {
    object.clear(known).map_err(|name| {
        let shown: String = name.chars().take(64).collect();
        Reason::Malformed(format!("the name {shown:?} differs only by case from one that is read").into())
    })
}

/// An optional object; null stands for absence, as some clients write it.
pub(super) fn object<'a>(
    value: Option<Value<'a>>,
    wrong: &'static str,
) -> Result<Option<Object<'a>>, Reason> {
    match value.filter(|value| value.kind() != Json::Null) {
        None => Ok(None),
        Some(value) => Object::of(value).map(Some).ok_or_else(|| invalid(wrong)),
    }
}
