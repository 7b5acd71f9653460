//! A small real MCP client over streamable HTTP, of either era. It hides nothing: status, headers, bytes and
//! events of every answer can be looked at.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::events::{Event, EventReader};
use crate::wire::fetch::{self, Fetched, OnTheWire};

/// Revision that a legacy client asks for.
pub const LEGACY: &str = "2025-11-25";
/// Revision that a modern client speaks.
pub const MODERN: &str = "2026-07-28";

/// A client of one MCP endpoint.
#[derive(Debug)]
pub struct Client {
    url: String,
    modern: bool,
    bearer: Option<String>,
    pages: bool,
    session: Mutex<Option<String>>,
    greeted: AtomicBool,
    ids: AtomicU64,
}

impl Client {
    /// A client with sessions (2025-11-25).
    pub fn legacy(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            modern: false,
            bearer: None,
            pages: false,
            session: Mutex::default(),
            greeted: AtomicBool::new(false),
            ids: AtomicU64::new(1),
        }
    }

    /// A stateless client (2026-07-28).
    pub fn modern(url: &str) -> Self {
        Self { modern: true, ..Self::legacy(url) }
    }

    /// With this access token.
    #[must_use]
    pub fn bearer(mut self, token: &str) -> Self {
        self.bearer = Some(token.to_owned());
        self
    }

    /// One that says that it opens pages (URL elicitation).
    #[must_use]
    pub fn opens_pages(mut self) -> Self {
        self.pages = true;
        self
    }

    fn elicitation(&self) -> Value {
        if self.pages { json!({"form": {}, "url": {}}) } else { json!({}) }
    }

    /// The session id, once there is one.
    pub fn session(&self) -> Option<String> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over a session id, its own or another's.
    pub fn set_session(&self, session: Option<&str>) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = session.map(str::to_owned);
    }

    /// `initialize` and `notifications/initialized`; for a modern client `server/discover`.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn connect(&self) -> io::Result<Answer> {
        if self.modern {
            return self.request("server/discover", json!({})).await;
        }
        let hello = json!({
            "protocolVersion": LEGACY,
            "capabilities": {"elicitation": self.elicitation(), "sampling": {}},
            "clientInfo": {"name": "testkit", "version": "1"},
        });
        self.set_session(None);
        self.greeted.store(false, Ordering::Relaxed);
        let answer = self.request("initialize", hello).await?;
        self.set_session(answer.header("mcp-session-id"));
        if answer.status == StatusCode::OK {
            self.greeted.store(true, Ordering::Relaxed);
            self.notify("notifications/initialized", json!({})).await?;
        }
        Ok(answer)
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn call(&self, tool: &str, arguments: Value) -> io::Result<Answer> {
        self.request("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Lists `tools`, `prompts` or `resources`.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn list(&self, what: &str) -> io::Result<Answer> {
        self.request(&format!("{what}/list"), json!({})).await
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn request(&self, method: &str, params: Value) -> io::Result<Answer> {
        self.send(self.message(method, params)?).await
    }

    /// Sends a request and returns when the head of the answer is there; events are read one by one.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn open(&self, method: &str, params: Value) -> io::Result<Events> {
        Events::open(self.message(method, params)?).await
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn notify(&self, method: &str, params: Value) -> io::Result<Answer> {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": self.with_meta(params)});
        self.send(self.post(Some(method), None, &message)?).await
    }

    /// Answers a request of the server.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn respond(&self, id: &Value, result: Value) -> io::Result<Answer> {
        self.send(self.post(None, None, &json!({"jsonrpc": "2.0", "id": id, "result": result}))?).await
    }

    /// Opens the GET stream, or resumes one after an event id.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn listen(&self, after: Option<&str>) -> io::Result<Events> {
        let mut request = self.head(Method::GET).header("accept", "text/event-stream");
        if let Some(id) = after {
            request = request.header("last-event-id", id);
        }
        Events::open(request.body(Bytes::new()).map_err(io::Error::other)?).await
    }

    /// Ends the session.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn end(&self) -> io::Result<Answer> {
        self.send(self.head(Method::DELETE).body(Bytes::new()).map_err(io::Error::other)?).await
    }

    /// Sends any request; nothing is added to it.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send(&self, request: Request<Bytes>) -> io::Result<Answer> {
        Ok(Answer::from(fetch::fetch(request).await?))
    }

    /// The request that a message would be sent with, for a test to spoil.
    ///
    /// # Errors
    /// When the url is none.
    pub fn message(&self, method: &str, params: Value) -> io::Result<Request<Bytes>> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let named =
            ["name", "uri", "taskId"].into_iter().find_map(|name| params[name].as_str().map(str::to_owned));
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": self.with_meta(params)});
        self.post(Some(method), named.as_deref(), &message)
    }

    fn with_meta(&self, mut params: Value) -> Value {
        if self.modern && params.is_object() {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
                json!({"elicitation": self.elicitation()});
            params["_meta"]["io.modelcontextprotocol/clientInfo"] =
                json!({"name": "testkit", "version": "1"});
        }
        params
    }

    fn post(&self, method: Option<&str>, named: Option<&str>, message: &Value) -> io::Result<Request<Bytes>> {
        let mut request = self
            .head(Method::POST)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if self.modern {
            if let Some(method) = method {
                request = request.header("mcp-method", method);
            }
            // The specification names these three and the methods of the tasks extension.
            let takes_name = matches!(method, Some("tools/call" | "prompts/get" | "resources/read"))
                || method.is_some_and(|method| method.starts_with("tasks/"));
            if let Some(named) = named.filter(|_| takes_name) {
                request = request.header("mcp-name", header_text(named));
            }
        }
        request.body(message.to_string().into()).map_err(io::Error::other)
    }

    fn head(&self, method: Method) -> http::request::Builder {
        let mut request = Request::builder().method(method).uri(&self.url);
        if let Some(token) = &self.bearer {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if self.modern {
            return request.header("mcp-protocol-version", MODERN);
        }
        if let Some(session) = self.session() {
            request = request.header("mcp-session-id", session);
        }
        if self.greeted.load(Ordering::Relaxed) {
            request = request.header("mcp-protocol-version", LEGACY);
        }
        request
    }
}

/// A header's value: as it is, or in the base64 sentinel when it could not stand in a header (2026-07-28).
fn header_text(text: &str) -> String {
    let plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && text.trim() == text;
    if plain && !text.starts_with("=?base64?") {
        text.to_owned()
    } else {
        format!("=?base64?{}?=", STANDARD.encode(text))
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The bytes of the body.
    pub body: Bytes,
    /// Its events, if it was an event stream.
    pub events: Vec<Event>,
}

impl Answer {
    /// A header's first value as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The JSON-RPC response: the body, or the event that answers. Null when there is none.
    pub fn message(&self) -> Value {
        let answers = |message: &Value| message.get("result").is_some() || message.get("error").is_some();
        let from_events = self.events.iter().map(Event::json).find(answers);
        from_events.unwrap_or_else(|| serde_json::from_slice(&self.body).unwrap_or_default())
    }

    /// `result`, or null.
    pub fn result(&self) -> Value {
        self.message()["result"].take()
    }

    /// `error.code`.
    pub fn error_code(&self) -> Option<i64> {
        self.message()["error"]["code"].as_i64()
    }

    /// Text of a tool's first content.
    pub fn text(&self) -> String {
        self.result()["content"][0]["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Names in a list result, in order.
    pub fn names(&self) -> Vec<String> {
        let result = self.result();
        let lists = ["tools", "prompts", "resources"];
        let items = lists.into_iter().find_map(|list| result[list].as_array().cloned()).unwrap_or_default();
        items.iter().filter_map(|item| item["name"].as_str().map(str::to_owned)).collect()
    }
}

impl From<Fetched> for Answer {
    fn from(fetched: Fetched) -> Self {
        let mut events = Vec::new();
        if fetched.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            let mut reader = EventReader::default();
            reader.push(&fetched.body);
            events.extend(std::iter::from_fn(|| reader.next_event()));
        }
        Self { status: fetched.status, headers: fetched.headers, body: fetched.body, events }
    }
}

/// An answer whose events are read as they come. Dropping it closes the connection.
#[derive(Debug)]
pub struct Events {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    body: OnTheWire,
    reader: EventReader,
}

impl Events {
    async fn open(request: Request<Bytes>) -> io::Result<Self> {
        let (head, body) = fetch::open(request).await?.into_parts();
        Ok(Self { status: head.status, headers: head.headers, body, reader: EventReader::default() })
    }

    /// The next event; None at the end of the stream.
    ///
    /// # Errors
    /// When the stream is cut.
    pub async fn next_event(&mut self) -> io::Result<Option<Event>> {
        loop {
            if let Some(event) = self.reader.next_event() {
                return Ok(Some(event));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    self.reader.push(frame.map_err(io::Error::other)?.data_ref().map_or(b"", |data| data))
                }
            }
        }
    }

    /// The next event that carries a message (priming events and comments are passed over).
    ///
    /// # Errors
    /// When the stream is cut.
    pub async fn next_message(&mut self) -> io::Result<Option<Value>> {
        while let Some(event) = self.next_event().await? {
            let message = event.json();
            if message.is_object() {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}
