//! 2026-07-28: POST only, no sessions; what a request needs it brings along; closing the stream cancels.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::legacy::wants_stream;
use super::methods::{Request, cacheable, complete};
use super::streams::Lane;
use super::{State, locked, response, rpc_error};
use crate::client::MODERN;
use crate::wire::{Reply, Seen};

const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";

/// An open `subscriptions/listen`.
pub(super) struct Subscription {
    id: Value,
    wanted: Value,
    lane: Arc<Lane>,
}

impl State {
    pub(super) async fn modern(self: Arc<Self>, seen: Seen, message: Value) -> Reply {
        if seen.method != Method::POST {
            return Reply::empty(StatusCode::METHOD_NOT_ALLOWED).header("allow", "POST");
        }
        if !message.is_object() {
            return Reply::json(
                StatusCode::BAD_REQUEST,
                &json!({"jsonrpc": "2.0", "error": rpc_error(-32600, "not one message")}),
            );
        }
        if message["id"].is_null() {
            return Reply::empty(StatusCode::ACCEPTED);
        }
        if let Some(error) =
            self.version_problem(&seen, &message).or_else(|| self.header_problem(&seen, &message))
        {
            return Reply::json(StatusCode::BAD_REQUEST, &response(&message["id"], Err(error)));
        }
        if message["method"] == "subscriptions/listen" {
            return self.listen(&message);
        }
        let lane = (self.options.events || wants_stream(&message)).then(|| Arc::new(Lane::unnumbered()));
        let request = Request { seen, message, modern: true, lane: lane.clone(), session: None };
        let Some(lane) = lane else { return self.by_json(&request).await };
        let stream = lane.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = lane.abandoned() => {}
                reply = self.whole(&request) => {
                    lane.send(&reply.1);
                    lane.finish();
                }
            }
        });
        Reply::events(stream.read(0)).header("x-accel-buffering", "no")
    }

    async fn by_json(&self, request: &Request) -> Reply {
        let (status, answer) = self.whole(request).await;
        Reply::json(status, &answer)
    }

    /// The answer; when it is dropped before it is there, that counts as cancelled.
    async fn whole(&self, request: &Request) -> (StatusCode, Value) {
        let mut unfinished = Unfinished(Some(self));
        let outcome = match request.method() {
            "server/discover" => Some(Ok(cacheable(request, complete(request, self.discovery())))),
            _ => self.answer(request).await,
        };
        unfinished.0 = None;
        match outcome {
            Some(outcome) => (StatusCode::OK, response(request.id(), outcome)),
            None => {
                (StatusCode::NOT_FOUND, response(request.id(), Err(rpc_error(-32601, "Method not found"))))
            }
        }
    }

    fn discovery(&self) -> Value {
        json!({
            "supportedVersions": [MODERN],
            "capabilities": {"tools": {"listChanged": true}, "prompts": {}, "resources": {"subscribe": true}, "completions": {}},
            "instructions": "Be kind.",
        })
    }

    fn version_problem(&self, seen: &Seen, message: &Value) -> Option<Value> {
        let meta = &message["params"]["_meta"];
        let asked = meta[VERSION_KEY].as_str().or(seen.header("mcp-protocol-version"))?;
        if asked == MODERN {
            return None;
        }
        let mut error = rpc_error(-32022, "Unsupported protocol version");
        error["data"] = json!({"supported": [MODERN], "requested": asked});
        Some(error)
    }

    /// Headers that differ from the body, where this server looks at them at all.
    fn header_problem(&self, seen: &Seen, message: &Value) -> Option<Value> {
        if !self.options.validates {
            return None;
        }
        let params = &message["params"];
        let name = match message["method"].as_str() {
            Some("tools/call" | "prompts/get") => params["name"].as_str(),
            Some("resources/read") => params["uri"].as_str(),
            _ => None,
        };
        let agrees = seen.header("mcp-method") == message["method"].as_str()
            && seen.header("mcp-protocol-version") == params["_meta"][VERSION_KEY].as_str()
            && (name.is_none() || seen.header("mcp-name").map(decoded).as_deref() == name);
        (!agrees).then(|| rpc_error(-32020, "Headers and body differ"))
    }

    fn listen(&self, message: &Value) -> Reply {
        let lane = Arc::new(Lane::unnumbered());
        let id = message["id"].clone();
        let wanted = message["params"]["notifications"].clone();
        lane.send(&json!({
            "jsonrpc": "2.0",
            "method": "notifications/subscriptions/acknowledged",
            "params": {"notifications": wanted, "_meta": {SUBSCRIPTION_KEY: id}},
        }));
        let mut subscriptions = locked(&self.subscriptions);
        subscriptions.retain(|subscription| subscription.lane.is_open());
        subscriptions.push(Subscription { id, wanted, lane: lane.clone() });
        Reply::events(lane.read(0)).header("x-accel-buffering", "no")
    }

    pub(super) fn announce_modern(&self, message: &Value) {
        let kind = match message["method"].as_str() {
            Some("notifications/tools/list_changed") => "toolsListChanged",
            Some("notifications/prompts/list_changed") => "promptsListChanged",
            Some("notifications/resources/list_changed") => "resourcesListChanged",
            _ => "resourceSubscriptions",
        };
        for subscription in locked(&self.subscriptions).iter() {
            let wanted = match &subscription.wanted[kind] {
                Value::Array(uris) => uris.contains(&message["params"]["uri"]),
                flag => *flag == json!(true),
            };
            if wanted {
                let mut message = message.clone();
                message["params"]["_meta"][SUBSCRIPTION_KEY] = subscription.id.clone();
                subscription.lane.send(&message);
            }
        }
    }

    pub(super) fn end_subscriptions(&self) {
        for subscription in locked(&self.subscriptions).drain(..) {
            let result = json!({"resultType": "complete", "_meta": {SUBSCRIPTION_KEY: subscription.id}});
            subscription.lane.send(&response(&subscription.id, Ok(result)));
            subscription.lane.finish();
        }
    }
}

struct Unfinished<'a>(Option<&'a State>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.0 {
            state.cancelled.send_modify(|count| *count += 1);
        }
    }
}

/// A header's value, out of its base64 sentinel if it is in one.
fn decoded(value: &str) -> String {
    let inner = value.strip_prefix("=?base64?").and_then(|value| value.strip_suffix("?="));
    let bytes = inner.and_then(|inner| STANDARD.decode(inner).ok());
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| value.to_owned())
}
