//! One admitted call: what it asks for, and the checked bytes that will leave.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::door::subscribed_elements;
use super::json;
use super::methods::Method;

/// Which transport rules apply; decided per request (`facts/mcp.md` 1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// Up to 2025-11-25: `initialize`, sessions, GET streams.
    Legacy,
    /// 2026-07-28: stateless.
    Modern,
}

/// The HTTP methods of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A message.
    Post,
    /// A legacy stream, opened or resumed.
    Get,
    /// The end of a legacy session.
    Delete,
}

/// The allowed part of the inbound head. `Authorization` is already moved out; all else has ended.
#[derive(Debug)]
pub struct Head {
    /// HTTP method.
    pub verb: Verb,
    /// `Accept`, as it came.
    pub accept: Option<HeaderValue>,
    /// `MCP-Protocol-Version`.
    pub protocol_version: Option<HeaderValue>,
    /// `Mcp-Method` (2026-07-28).
    pub mcp_method: Option<HeaderValue>,
    /// `Mcp-Name` (2026-07-28).
    pub mcp_name: Option<HeaderValue>,
    /// `Mcp-Param-*`, forwarded untouched.
    pub mcp_params: Vec<(HeaderName, HeaderValue)>,
    /// `Mcp-Session-Id` as the caller sent it: sealed.
    pub session: Option<HeaderValue>,
    /// `Last-Event-ID`.
    pub last_event_id: Option<HeaderValue>,
    /// `traceparent`, `tracestate`, `baggage` as sent.
    pub trace: Vec<(HeaderName, HeaderValue)>,
}

/// What kind of message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request; the JSON text of its id.
    Request(Box<str>),
    /// A notification.
    Notification,
    /// A response to a request of the server (legacy); the JSON text of its id.
    Response(Box<str>),
    /// GET: a stream.
    OpenStream,
    /// DELETE: the end of a session.
    EndSession,
}

/// What the call is about, as policy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The server itself.
    Server,
    /// A tool by name.
    Tool(Box<str>),
    /// A prompt by name.
    Prompt(Box<str>),
    /// A resource by URI.
    Resource(Box<str>),
    /// A task by id.
    Task(Box<str>),
}

impl Target {
    /// The name, URI or id; None for the server itself.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Server => None,
            Self::Tool(name) | Self::Prompt(name) | Self::Resource(name) | Self::Task(name) => Some(name),
        }
    }
}

/// One call, parsed once. Made only by [`super::door::Door::parse`].
#[derive(Debug)]
pub struct Call {
    pub(crate) kind: Kind,
    pub(crate) era: Era,
    pub(crate) method: Method,
    pub(crate) target: Target,
    /// Further items the call names (`subscriptions/listen`: resource URIs), each decided on its own.
    pub(crate) items: Vec<Target>,
    /// The bytes that leave.
    pub(crate) body: Bytes,
    /// Where in `body` the arguments stand.
    pub(crate) arguments: Option<Range<usize>>,
    /// The server's own session id, opened from the sealed one.
    pub(crate) session: Option<HeaderValue>,
    /// The client said that it opens pages that it is asked to (URL elicitation).
    pub(crate) opens_pages: bool,
    /// The user was asked to open a page and did not want to.
    pub(crate) page_refused: bool,
    /// `_meta.traceparent` (SEP-414), which outranks the header.
    pub(crate) traceparent: Option<Box<str>>,
}

impl Call {
    /// Kind of message, with its id.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// JSON text of the request's id.
    pub fn id(&self) -> Option<&str> {
        match &self.kind {
            Kind::Request(id) => Some(id),
            _ => None,
        }
    }

    /// Era.
    pub fn era(&self) -> Era {
        self.era
    }

    /// Method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// What it is about.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Further items that it names.
    pub fn items(&self) -> &[Target] {
        &self.items
    }

    /// The bytes that leave.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The JSON text of `params.arguments`, shared with the body.
    pub fn arguments(&self) -> Option<Bytes> {
        self.arguments
            .clone()
            .and_then(|range| (range.end <= self.body.len()).then(|| self.body.slice(range)))
    }

    /// The server's own session id.
    pub fn session(&self) -> Option<&HeaderValue> {
        self.session.as_ref()
    }

    /// Whether the answer to this call may ask the user to open a page: the client said that it can, and in this
    /// revision such an answer may be given to this method (2026-07-28 basic/patterns/mrtr).
    pub fn takes_pages(&self) -> bool {
        let may = match self.era {
            Era::Legacy => true,
            Era::Modern => matches!(self.method.name(), "tools/call" | "resources/read" | "prompts/get"),
        };
        may && self.opens_pages && !self.page_refused && self.id().is_some()
    }

    /// Takes items out of the call's bytes; all other bytes stay as they are.
    pub(crate) fn without_items(&mut self, refused: &[Target]) {
        if refused.is_empty() {
            return;
        }
        let Ok(message) = json::checked(&self.body) else {
            // The door read these bytes; if that could ever fail, nothing leaves.
            self.body = Bytes::new();
            return;
        };
        let cut = |list: Vec<(Range<usize>, Target)>| {
            let parts: Vec<_> =
                list.into_iter().map(|(range, item)| (range, !refused.contains(&item))).collect();
            json::cuts(&parts)
        };
        let edits = subscribed_elements(message).into_iter().flat_map(cut).collect();
        self.body = json::edited(&self.body, edits);
        self.items.retain(|item| !refused.contains(item));
    }

    /// Writes the MCP headers that leave with the call.
    pub(crate) fn write_headers(&self, head: &Head, headers: &mut HeaderMap) {
        let accept = match head.verb {
            Verb::Post => Some("application/json, text/event-stream"),
            Verb::Get => Some("text/event-stream"),
            Verb::Delete => None,
        };
        let accept = head.accept.clone().or(accept.map(HeaderValue::from_static));
        let mut put = |name: HeaderName, value: Option<&HeaderValue>| {
            if let Some(value) = value {
                headers.append(name, value.clone());
            }
        };
        put(header::ACCEPT, accept.as_ref());
        put(HeaderName::from_static("mcp-protocol-version"), head.protocol_version.as_ref());
        match self.era {
            Era::Modern => {
                put(HeaderName::from_static("mcp-method"), head.mcp_method.as_ref());
                put(HeaderName::from_static("mcp-name"), head.mcp_name.as_ref());
                head.mcp_params.iter().for_each(|(name, value)| put(name.clone(), Some(value)));
            }
            Era::Legacy => {
                put(HeaderName::from_static("mcp-session-id"), self.session.as_ref());
                // Without a session that was opened for this caller, a resumption could name another's stream.
                let resumed = head.last_event_id.as_ref().filter(|_| self.session.is_some());
                put(HeaderName::from_static("last-event-id"), resumed);
            }
        }
        head.trace.iter().for_each(|(name, value)| put(name.clone(), Some(value)));
    }

    /// `_meta.traceparent`.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }
}
