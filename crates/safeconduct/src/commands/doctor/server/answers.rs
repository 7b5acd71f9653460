//! Does the MCP server answer? It is asked without a credential, as nobody in particular.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method};
use safeconduct_identity::wire::{Answer, Endpoint, Request, Wire, WireError};
use serde_json::{Value, json};

use super::super::ask;
use super::super::check::Finding;
use crate::config::plan::ServerPlan;

/// How a session is named (MCP, streamable HTTP).
const SESSION: &str = "mcp-session-id";

/// Begins a session, and ends it.
pub(super) async fn check(server: &ServerPlan, wire: &Wire) -> Finding {
    let url = server.url.to_string();
    let endpoint = match ask::endpoint(&url, true) {
        Ok(endpoint) => endpoint,
        Err(finding) => return finding,
    };
    match wire.send(initialize(endpoint.clone())).await {
        Ok(answer) => {
            end(wire, endpoint, &answer).await;
            judged(&url, &answer)
        }
        // It may keep the stream of its answer open, which is read to its end here.
        Err(WireError::Timeout { .. }) => Finding::warn(
            format!("{url}: connected, but no whole answer in five seconds"),
            "is the server busy, or does it keep the stream of an answer open? Calls wait for `timeouts.answer`",
        ),
        Err(error) => ask::unanswered(&url, &error),
    }
}

fn initialize(endpoint: Endpoint) -> Request {
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "safeconduct-doctor", "version": env!("CARGO_PKG_VERSION") },
        },
    });
    let mut request = Request::read(endpoint);
    request.method = Method::POST;
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    request.body = Bytes::from(body.to_string());
    request
}

/// Sessions are not left behind.
async fn end(wire: &Wire, endpoint: Endpoint, answer: &Answer) {
    let Some(session) = answer.headers.get(SESSION) else { return };
    let mut request = Request::read(endpoint);
    request.method = Method::DELETE;
    request.headers.insert(SESSION, session.clone());
    let _ = wire.send(request).await;
}

fn judged(url: &str, answer: &Answer) -> Finding {
    match answer.status.as_u16() {
        200..300 => match greeting(&answer.body) {
            Some(words) => Finding::ok(format!("{url}: {words}")),
            None => Finding::warn(
                format!("{url}: it answers, but not as an MCP server does"),
                "is this the server's MCP endpoint (often /mcp)? Servers of 2026-07-28 alone know no `initialize`: then this is no problem",
            ),
        },
        401 | 403 => Finding::ok(format!(
            "{url}: it answers, and wants a credential (HTTP {})",
            answer.status.as_u16()
        )),
        400 | 404 | 405 | 406 | 415 | 421 if greeting(&answer.body).is_some() => {
            Finding::ok(format!("{url}: it answers"))
        }
        404 | 405 => Finding::fail(
            format!("{url}: HTTP {}", answer.status.as_u16()),
            "is this the server's MCP endpoint (often /mcp, with or without a slash at its end)?",
        ),
        421 => Finding::fail(
            format!("{url}: HTTP 421"),
            "the server does not know the host name that it is asked by: allow it there",
        ),
        500.. => {
            Finding::fail(format!("{url}: HTTP {}", answer.status.as_u16()), "look at the server's own log")
        }
        status => Finding::warn(
            format!("{url}: HTTP {status}"),
            "it answers, but does not begin a session: look at its log if calls fail",
        ),
    }
}

/// `orders 1.0, protocol 2025-11-25`, from a message or from the first event of a stream.
fn greeting(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let data = text
        .lines()
        .find_map(|line| line.strip_prefix("data:").filter(|data| data.trim_start().starts_with('{')));
    let message: Value = serde_json::from_str(data.unwrap_or(text)).ok()?;
    message.get("jsonrpc")?;
    let at = |pointer: &str| {
        message.pointer(pointer).and_then(Value::as_str).map(|text| text.chars().take(80).collect::<String>())
    };
    Some(
        match (at("/result/serverInfo/name"), at("/result/serverInfo/version"), at("/result/protocolVersion"))
        {
            (Some(name), version, Some(protocol)) => {
                format!("{name} {}, protocol {protocol}", version.unwrap_or_default())
            }
            _ => String::from("it speaks JSON-RPC"),
        },
    )
}
