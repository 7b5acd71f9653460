//! The methods that both eras have.

use std::sync::Arc;

use serde_json::{Value, json};

use super::streams::Lane;
use super::{Outcome, Session, State, lists, rpc_error};
use crate::wire::Seen;

/// One request on its way through the server.
pub(super) struct Request {
    pub(super) seen: Seen,
    pub(super) message: Value,
    pub(super) modern: bool,
    /// Where notifications go, when the answer is an event stream.
    pub(super) lane: Option<Arc<Lane>>,
    /// Where the client's answers come from (legacy).
    pub(super) session: Option<Arc<Session>>,
}

impl Request {
    pub(super) fn method(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    pub(super) fn params(&self) -> &Value {
        &self.message["params"]
    }

    pub(super) fn id(&self) -> &Value {
        &self.message["id"]
    }

    /// Sends a notification on the stream of this request; nowhere, when it is answered by JSON.
    pub(super) fn notify(&self, method: &str, params: &Value) {
        if let Some(lane) = &self.lane {
            lane.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
        }
    }
}

impl State {
    /// Answers a method of either era; None when there is no such method.
    pub(super) async fn answer(&self, request: &Request) -> Option<Outcome> {
        let params = request.params();
        Some(match request.method() {
            "tools/list" => Ok(listed(request, "tools", lists::tools())),
            "prompts/list" => Ok(listed(request, "prompts", lists::prompts())),
            "resources/list" => Ok(listed(request, "resources", lists::resources())),
            "resources/templates/list" => Ok(listed(request, "resourceTemplates", lists::templates())),
            "tools/call" => self.call(request).await.map(|result| complete(request, result)),
            "prompts/get" => prompt(params).map(|result| complete(request, result)),
            "resources/read" => resource(params).map(|result| cacheable(request, complete(request, result))),
            "completion/complete" => {
                Ok(complete(request, json!({"completion": {"values": ["alpha", "beta"], "hasMore": false}})))
            }
            "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe"
                if !request.modern =>
            {
                Ok(json!({}))
            }
            _ => return None,
        })
    }
}

fn listed(request: &Request, name: &str, items: Value) -> Value {
    let mut result = json!({});
    result[name] = items;
    cacheable(request, complete(request, result))
}

/// Members that every result of the modern era has.
pub(super) fn complete(request: &Request, mut result: Value) -> Value {
    if request.modern {
        if result["resultType"].is_null() {
            result["resultType"] = json!("complete");
        }
        result["_meta"]["io.modelcontextprotocol/serverInfo"] =
            json!({"name": "testkit-server", "version": "1"});
    }
    result
}

/// Members that lists, `resources/read` and `server/discover` have besides.
pub(super) fn cacheable(request: &Request, mut result: Value) -> Value {
    if request.modern {
        result["ttlMs"] = json!(60_000);
        result["cacheScope"] = json!("public");
    }
    result
}

fn prompt(params: &Value) -> Outcome {
    let who = params["arguments"]["who"].as_str().unwrap_or("nobody");
    match params["name"].as_str() {
        Some("greeting") => {
            let content = json!({"type": "text", "text": format!("Greet {who}.")});
            Ok(json!({"messages": [{"role": "user", "content": content}]}))
        }
        Some("audit_report") => Ok(json!({"messages": []})),
        _ => Err(rpc_error(-32602, "Unknown prompt")),
    }
}

fn resource(params: &Value) -> Outcome {
    let text = match params["uri"].as_str() {
        Some("shop://prices") => "bolt 0.10",
        Some("shop://salaries") => "secret",
        Some(uri) if uri.starts_with("shop://orders/") => "{\"total\": 120}",
        _ => return Err(rpc_error(-32602, "Unknown resource")),
    };
    Ok(json!({"contents": [{"uri": params["uri"], "mimeType": "text/plain", "text": text}]}))
}
