//! 2025-06-18 and 2025-11-25: sessions, POST answered by JSON or events, GET streams, resumption, DELETE.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::methods::Request;
use super::{Session, State, locked, response, rpc_error};
use crate::canary;
use crate::wire::{Reply, Seen};

const VERSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

impl State {
    pub(super) async fn legacy(self: Arc<Self>, seen: Seen, message: Value) -> Reply {
        if message["method"] == "initialize" {
            return self.initialize(&message);
        }
        if seen.header("mcp-protocol-version").is_some_and(|version| !VERSIONS.contains(&version)) {
            return refused(StatusCode::BAD_REQUEST, -32600, "unsupported protocol version");
        }
        let session = match self.session_of(&seen) {
            Ok(session) => session,
            Err(reply) => return *reply,
        };
        match seen.method {
            Method::POST => self.legacy_post(seen, message, session).await,
            Method::GET if self.options.sessions => stream_of(&seen, &session),
            Method::DELETE if self.options.sessions => {
                let id = seen.header("mcp-session-id").unwrap_or_default();
                if let Some(session) = locked(&self.sessions).remove(id) {
                    session.close();
                }
                Reply::empty(StatusCode::NO_CONTENT)
            }
            _ => Reply::empty(StatusCode::METHOD_NOT_ALLOWED).header("allow", "POST"),
        }
    }

    fn initialize(&self, message: &Value) -> Reply {
        let asked = message["params"]["protocolVersion"].as_str().unwrap_or_default();
        let version = VERSIONS.into_iter().find(|version| *version == asked).unwrap_or(VERSIONS[0]);
        let result = json!({
            "protocolVersion": version,
            "capabilities": {
                "tools": {"listChanged": true},
                "prompts": {},
                "resources": {"subscribe": true},
                "completions": {},
                "logging": {},
            },
            "serverInfo": {"name": "testkit-server", "version": "1"},
            "instructions": "Be kind.",
        });
        let reply = Reply::json(StatusCode::OK, &response(&message["id"], Ok(result)));
        if !self.options.sessions {
            return reply;
        }
        let id = format!("upstream-{}", canary::random_hex());
        locked(&self.sessions).insert(id.clone(), Arc::default());
        reply.header("mcp-session-id", id)
    }

    /// Missing: 400. Unknown or ended: 404, and the client begins anew. Without sessions: one for this request.
    fn session_of(&self, seen: &Seen) -> Result<Arc<Session>, Box<Reply>> {
        if !self.options.sessions {
            return Ok(Arc::default());
        }
        let id = seen
            .header("mcp-session-id")
            .ok_or_else(|| Box::new(refused(StatusCode::BAD_REQUEST, -32600, "no session id")))?;
        let session = locked(&self.sessions).get(id).cloned();
        session.ok_or_else(|| Box::new(refused(StatusCode::NOT_FOUND, -32001, "Session not found")))
    }

    async fn legacy_post(self: Arc<Self>, seen: Seen, message: Value, session: Arc<Session>) -> Reply {
        if !message.is_object() {
            return refused(StatusCode::BAD_REQUEST, -32600, "not one message");
        }
        if message["method"].is_null() {
            let waiting = message["id"].as_str().and_then(|id| locked(&session.waiting).remove(id));
            if let Some(waiting) = waiting {
                let _ = waiting.send(message["result"].clone());
            }
            return Reply::empty(StatusCode::ACCEPTED);
        }
        if message["id"].is_null() {
            return Reply::empty(StatusCode::ACCEPTED);
        }
        let by_events = self.options.events || wants_stream(&message);
        let lane = by_events.then(|| session.lane(self.options.priming && self.options.sessions));
        let request = Request { seen, message, modern: false, lane: lane.clone(), session: Some(session) };
        // A disconnect is not a cancellation: the call goes on in its own task, and its events are kept.
        let call = tokio::spawn(async move {
            let outcome =
                self.answer(&request).await.unwrap_or_else(|| Err(rpc_error(-32601, "Method not found")));
            let answer = response(request.id(), outcome);
            if let Some(lane) = &request.lane {
                lane.send(&answer);
                lane.finish();
            }
            answer
        });
        match lane {
            Some(lane) => Reply::events(lane.read(0)),
            None => match call.await {
                Ok(answer) => Reply::json(StatusCode::OK, &answer),
                Err(_) => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
            },
        }
    }
}

/// Tools that have something to say before they answer.
pub(super) fn wants_stream(message: &Value) -> bool {
    message["method"] == "tools/call"
        && matches!(message["params"]["name"].as_str(), Some("progress" | "ask"))
}

/// A new standing stream, or an old one after the event that the client saw last.
fn stream_of(seen: &Seen, session: &Session) -> Reply {
    let Some(last) = seen.header("last-event-id") else {
        let lane = session.lane(false);
        *locked(&session.standing) = Some(lane.clone());
        return Reply::events(lane.read(0));
    };
    let place =
        last.split_once('-').and_then(|(lane, index)| Some((lane.parse().ok()?, index.parse().ok()?)));
    let found = place.and_then(|(number, index): (usize, usize)| {
        locked(&session.lanes).get(number).cloned().map(|lane| (lane, index))
    });
    match found {
        Some((lane, index)) => Reply::events(lane.read(index + 1)),
        None => refused(StatusCode::BAD_REQUEST, -32600, "unknown event id"),
    }
}

fn refused(status: StatusCode, code: i64, text: &str) -> Reply {
    Reply::json(status, &json!({"jsonrpc": "2.0", "error": rpc_error(code, text)}))
}
