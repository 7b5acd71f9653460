//! A bridge to the scripted server, and clients of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use safeconduct_core::secret::Secret;
use safeconduct_runtime::engine::process::ProcessEngine;
use safeconduct_runtime::engine::{Engine, EngineError};
use safeconduct_runtime::launch::{Ladder, Launch, Permissions, Program, Transport};
use safeconduct_runtime::logs::Log;
use safeconduct_runtime::masks::Masks;
use safeconduct_runtime::stdio::{Bridge, NotStarted, Options, Sharing, Spawn, Spawned, Starting, Verdict};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;

pub(crate) const MODERN: &str = "2026-07-28";
/// Longer than anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The interpreter of the scripted server.
pub(crate) fn python() -> String {
    let usual = Path::new("/usr/bin/python3").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let others = std::env::split_paths(&path).map(|directory| directory.join("python3"));
    let found = std::iter::once(usual).chain(others).find(|file| file.is_file());
    found.expect("needs python3").to_str().unwrap().to_owned()
}

/// The scripted server's command line.
pub(crate) fn script(flags: &[&str]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stdio/server.py");
    let mut all = vec![python(), script.to_str().unwrap().to_owned()];
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    all
}

pub(crate) fn launch(instance: &str, arguments: Vec<String>) -> Launch {
    Launch {
        server: "scripted".into(),
        instance: instance.into(),
        program: Program::Command { arguments, directory: None },
        transport: Transport::Stdio,
        permissions: Permissions::default(),
        environment: Vec::new(),
        files: Vec::new(),
    }
}

/// Starts scripted servers and remembers them.
pub(crate) struct Scripted {
    engine: ProcessEngine,
    flags: Vec<String>,
    pub(crate) started: AtomicUsize,
    logs: Mutex<Vec<Arc<Log>>>,
}

impl Scripted {
    pub(crate) fn new(flags: &[&str]) -> Arc<Self> {
        Arc::new(Self {
            engine: ProcessEngine::new(),
            flags: script(flags),
            started: AtomicUsize::new(0),
            logs: Mutex::default(),
        })
    }

    pub(crate) fn starts(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    /// What all instances said outside of the protocol.
    pub(crate) fn said(&self) -> Vec<String> {
        let logs = self.logs.lock().unwrap().clone();
        logs.iter().flat_map(|log| log.follow().0).map(|said| said.line.to_string()).collect()
    }

    async fn start(&self) -> Result<Spawned, EngineError> {
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        let mut launch = launch(&format!("scripted-{number}"), self.flags.clone());
        launch.environment.push(("API_TOKEN".into(), Secret::new(b"canary-token-canary".to_vec())));
        let masks = Arc::new(Masks::default());
        launch.environment.iter().for_each(|(_, value)| masks.add(value));
        let instance = self.engine.prepare(&launch).await?.start(&launch).await?;
        let log = Log::new(&launch.server, &launch.instance, masks);
        self.logs.lock().unwrap().push(log.clone());
        let pipes = instance.pipes().unwrap();
        Ok(Spawned { instance, pipes, log, kept: Box::new(()) })
    }
}

impl Spawn for Scripted {
    fn spawn(&self) -> Starting<'_> {
        Box::pin(async { self.start().await.map_err(|error| NotStarted(error.to_string().into())) })
    }
}

/// A bridge to scripted servers; ends them when it is dropped.
pub(crate) struct Bench {
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) server: Arc<Scripted>,
    pub(crate) verdict: Arc<Verdict>,
}

impl Bench {
    pub(crate) fn new(sharing: Sharing, flags: &[&str]) -> Self {
        Self::with(Options::new(sharing), flags)
    }

    pub(crate) fn with(options: Options, flags: &[&str]) -> Self {
        let server = Scripted::new(flags);
        let verdict = Arc::new(Verdict::default());
        let options = Options { ladder: brisk(), ..options };
        let bridge = Bridge::new(Handle::current(), options, verdict.clone(), server.clone());
        Self { bridge, server, verdict }
    }

    pub(crate) fn own(flags: &[&str]) -> Self {
        Self::new(Sharing::OneCaller, flags)
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(Way::Bridge(self.bridge.clone()))
    }

    pub(crate) async fn end(self) {
        self.bridge.end("The test is over.").await;
    }
}

/// A ladder that a test need not wait long for.
pub(crate) fn brisk() -> Ladder {
    Ladder { close: Duration::from_millis(500), term: Duration::from_millis(500) }
}

/// How connections are made.
#[derive(Clone)]
pub(crate) enum Way {
    Bridge(Arc<Bridge>),
    Berth(Arc<safeconduct_runtime::supervise::Berth<super::supervise::Given>>),
}

/// A client, as the gateway's connections are one.
#[derive(Clone)]
pub(crate) struct Client {
    way: Way,
    pub(crate) session: Option<String>,
    pub(crate) capabilities: Value,
}

/// An answer's head, and its body as it comes.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    buffer: String,
}

impl Client {
    pub(crate) fn new(way: Way) -> Self {
        Self { way, session: None, capabilities: json!({}) }
    }

    /// A legacy client after its handshake.
    pub(crate) async fn initialized(mut self, capabilities: Value) -> Self {
        let answer = self.initialize(capabilities).await;
        assert!(answer.get("result").is_some(), "{answer}");
        self
    }

    /// The answer to the handshake.
    pub(crate) async fn initialize(&mut self, capabilities: Value) -> Value {
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities,
            "clientInfo": { "name": "test", "version": "1" } });
        let asked = json!({ "jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params });
        let answer = self.send(Method::POST, HeaderMap::new(), asked.to_string()).await;
        self.session = answer.headers.get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
        let answer = answer.json().await;
        if self.session.is_some() {
            self.notify("notifications/initialized", json!({})).await;
        }
        answer
    }

    /// A modern client with these capabilities.
    pub(crate) fn modern(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    pub(crate) async fn notify(&self, method: &str, params: Value) {
        let notice = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        assert_eq!(self.post(&notice).await.status, 202);
    }

    /// A request, on its own connection.
    pub(crate) async fn ask(&self, id: Value, method: &str, params: Value) -> Answer {
        let mut params = params;
        if self.session.is_none() {
            let meta = params.as_object_mut().unwrap().entry("_meta").or_insert_with(|| json!({}));
            meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
            meta["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
        }
        self.post(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await
    }

    pub(crate) async fn call(&self, id: Value, tool: &str, arguments: Value) -> Answer {
        self.ask(id, "tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// The text of a tool's result.
    pub(crate) async fn text(&self, tool: &str, arguments: Value) -> String {
        let answer = self.call(json!("text"), tool, arguments).await.last().await;
        let text = answer.pointer("/result/content/0/text").and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    pub(crate) async fn post(&self, message: &Value) -> Answer {
        self.send(Method::POST, HeaderMap::new(), message.to_string()).await
    }

    pub(crate) async fn get(&self, last_event_id: Option<&str>) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(id) = last_event_id {
            headers.insert("last-event-id", id.parse().unwrap());
        }
        self.send(Method::GET, headers, String::new()).await
    }

    pub(crate) async fn delete(&self) -> StatusCode {
        self.send(Method::DELETE, HeaderMap::new(), String::new()).await.status
    }

    pub(crate) async fn send(&self, method: Method, mut headers: HeaderMap, body: String) -> Answer {
        headers.insert("host", "server".parse().unwrap());
        headers.insert("accept", "application/json, text/event-stream".parse().unwrap());
        match &self.session {
            Some(session) => drop(headers.insert("mcp-session-id", session.parse().unwrap())),
            None if body.contains(MODERN) => {
                headers.insert("mcp-protocol-version", MODERN.parse().unwrap());
            }
            None => {}
        }
        match &self.way {
            Way::Bridge(bridge) => exchange(bridge.connect().unwrap(), method, headers, body).await,
            Way::Berth(berth) => exchange(berth.connect().await.unwrap(), method, headers, body).await,
        }
    }
}

async fn exchange<I>(io: I, method: Method, headers: HeaderMap, body: String) -> Answer
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = "/mcp".parse().unwrap();
    *request.headers_mut() = headers;
    let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
    let (head, body) = response.expect("an answer in time").unwrap().into_parts();
    Answer { status: head.status, headers: head.headers, body, buffer: String::new() }
}

impl Answer {
    pub(crate) fn is_stream(&self) -> bool {
        self.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream")
    }

    /// The whole body.
    pub(crate) async fn text(self) -> String {
        let body = tokio::time::timeout(PATIENCE, self.body.collect()).await.expect("an end in time");
        String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
    }

    pub(crate) async fn json(self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    }

    /// The next event of a stream: its id and its message.
    pub(crate) async fn event(&mut self) -> Option<(Option<String>, Value)> {
        loop {
            while let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.buffer = rest;
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                if let Some(data) = field("data: ").filter(|data| !data.is_empty()) {
                    return Some((field("id: "), serde_json::from_str(&data).unwrap()));
                }
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("an event in time");
            let data = frame?.unwrap().into_data().unwrap();
            self.buffer.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    pub(crate) async fn message(&mut self) -> Value {
        self.event().await.expect("another message").1
    }

    /// The answer, whether it came alone or last in a stream.
    pub(crate) async fn last(mut self) -> Value {
        if !self.is_stream() {
            return self.json().await;
        }
        let mut last = None;
        while let Some((_, message)) = self.event().await {
            last = Some(message);
        }
        last.expect("an answer")
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

/// A process that runs, as `/proc` knows it; a zombie is none.
pub(crate) fn runs(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// A file of this test's own.
pub(crate) fn note(name: &str) -> PathBuf {
    let file = std::env::temp_dir().join(format!("safeconduct-{}-{name}", std::process::id()));
    drop(std::fs::remove_file(&file));
    file
}
