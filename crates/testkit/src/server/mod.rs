//! An unmodified MCP server: streamable HTTP of both eras, tools that call two APIs, and not a word about logins.
//! Whatever `Authorization` it is asked with, it hands on to the API; it can check nothing.

mod legacy;
mod lists;
mod methods;
mod modern;
mod streams;
mod tools;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

use crate::aws::Signed;
use crate::client::MODERN;
use crate::wire::{Edge, Faults, Log, Reply, Seen, Serve};
use streams::Lane;

/// How the server behaves. The default speaks both eras, keeps sessions, and answers by JSON.
#[derive(Clone, Debug)]
pub struct Options {
    /// Speaks 2025-11-25 and before.
    pub legacy: bool,
    /// Speaks 2026-07-28.
    pub modern: bool,
    /// Gives out session ids (legacy).
    pub sessions: bool,
    /// Answers requests by an event stream, even where JSON would do.
    pub events: bool,
    /// Starts legacy streams with an event that has an id and no data (2025-11-25).
    pub priming: bool,
    /// Checks the modern headers against the body. Off for a server that is behind its specification.
    pub validates: bool,
    /// The orders API.
    pub orders: String,
    /// The warehouse API.
    pub warehouse: String,
    /// It is a service of AWS: requests must be signed, and the warehouse is its own.
    pub signed: Option<Signed>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            legacy: true,
            modern: true,
            sessions: true,
            events: false,
            priming: false,
            validates: false,
            orders: String::new(),
            warehouse: String::new(),
            signed: None,
        }
    }
}

/// A running MCP server.
pub struct McpServer {
    edge: Edge,
    state: Arc<State>,
}

struct State {
    options: Options,
    sessions: Mutex<BTreeMap<String, Arc<Session>>>,
    subscriptions: Mutex<Vec<modern::Subscription>>,
    next_request: AtomicU64,
    gate: watch::Sender<bool>,
    cancelled: watch::Sender<usize>,
}

/// A legacy session: its streams, and the requests that wait for the client's answer.
#[derive(Default)]
struct Session {
    lanes: Mutex<Vec<Arc<Lane>>>,
    waiting: Mutex<BTreeMap<String, oneshot::Sender<Value>>>,
    standing: Mutex<Option<Arc<Lane>>>,
}

impl McpServer {
    /// Starts one.
    ///
    /// # Errors
    /// When loopback cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let (listener, address) = Edge::bind().await?;
        let state = Arc::new(State {
            options,
            sessions: Mutex::default(),
            subscriptions: Mutex::default(),
            next_request: AtomicU64::new(1),
            gate: watch::Sender::new(false),
            cancelled: watch::Sender::new(0),
        });
        Ok(Self { edge: Edge::start(listener, address, state.clone()), state })
    }

    /// The MCP endpoint, `http://127.0.0.1:PORT/mcp`.
    pub fn url(&self) -> String {
        format!("{}/mcp", self.edge.url())
    }

    /// Everything it received.
    pub fn log(&self) -> &Log {
        self.edge.log()
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        self.edge.faults()
    }

    /// Lets calls of the tool `hold` finish, now and from now on.
    pub fn release(&self) {
        self.state.gate.send_replace(true);
    }

    /// Waits until so many calls were cancelled by a disconnect (2026-07-28), at most ten seconds.
    pub async fn cancelled(&self, count: usize) -> bool {
        let mut cancelled = self.state.cancelled.subscribe();
        let reached = cancelled.wait_for(|seen| *seen >= count);
        tokio::time::timeout(Duration::from_secs(10), reached).await.is_ok_and(|reached| reached.is_ok())
    }

    /// Sends a notification: to the GET stream of every session, and to every `subscriptions/listen`.
    pub fn announce(&self, method: &str, params: &Value) {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        for session in locked(&self.state.sessions).values() {
            if let Some(lane) = locked(&session.standing).as_ref() {
                lane.send(&message);
            }
        }
        self.state.announce_modern(&message);
    }

    /// Forgets all sessions, as a restart does.
    pub fn forget_sessions(&self) {
        for (_, session) in std::mem::take(&mut *locked(&self.state.sessions)) {
            session.close();
        }
    }

    /// Ends every stream that is open.
    pub fn end_streams(&self) {
        for session in locked(&self.state.sessions).values() {
            session.close();
        }
        self.state.end_subscriptions();
    }

    /// How many sessions it keeps.
    pub fn sessions(&self) -> usize {
        locked(&self.state.sessions).len()
    }
}

impl Session {
    fn close(&self) {
        for lane in locked(&self.lanes).iter() {
            lane.finish();
        }
    }

    /// A new stream of the session.
    fn lane(&self, priming: bool) -> Arc<Lane> {
        let mut lanes = locked(&self.lanes);
        let lane = Arc::new(Lane::numbered(lanes.len(), priming));
        lanes.push(lane.clone());
        lane
    }
}

impl Serve for State {
    async fn serve(self: Arc<Self>, seen: Seen) -> Reply {
        if seen.path() != "/mcp" {
            return Reply::empty(StatusCode::NOT_FOUND);
        }
        if let Some(refusal) = self.options.signed.as_ref().and_then(|signed| signed.by(&seen).err()) {
            return *refusal;
        }
        let message: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        if self.is_modern(&seen, &message) {
            self.modern(seen, message).await
        } else {
            self.legacy(seen, message).await
        }
    }
}

impl State {
    /// Decided for each request: `initialize`, then the header, then `_meta`; else legacy.
    fn is_modern(&self, seen: &Seen, message: &Value) -> bool {
        if !self.options.legacy || message["method"] == "initialize" {
            return !self.options.legacy;
        }
        match seen.header("mcp-protocol-version") {
            Some(version) => version == MODERN && self.options.modern,
            None => {
                self.options.modern
                    && message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"].is_string()
            }
        }
    }
}

/// What a method came to: a result, or a JSON-RPC error.
type Outcome = Result<Value, Value>;

fn rpc_error(code: i64, message: &str) -> Value {
    json!({"code": code, "message": message})
}

fn response(id: &Value, outcome: Outcome) -> Value {
    match outcome {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
