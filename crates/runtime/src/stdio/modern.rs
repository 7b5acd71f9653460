//! Requests of 2026-07-28: each for itself, on a process that all of them share.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use super::ask::Ask;
use super::bridge::{Bridge, Refused};
use super::http::refused;
use super::message::{self, CAPABILITIES_KEY, Parts, Shape, VERSION_KEY};
use super::respond::{self, Body, Style, empty, modern_status, problem};
use super::stream::Stream;
use super::{downward, era};

/// Answers one POST.
pub(super) async fn post(
    bridge: &Arc<Bridge>,
    headers: &HeaderMap,
    body: &Bytes,
    parts: &Parts<'_>,
) -> Response<Body> {
    match parts.shape() {
        Shape::Request => {}
        Shape::Response => return problem(StatusCode::BAD_REQUEST, "A response is not expected."),
        Shape::Notification => return notification(bridge, body, parts).await,
    }
    let id = parts.id.map_or("null", |id| id.raw());
    if let Some(refusal) = misdeclared(headers, parts) {
        return refusal;
    }
    let process = match bridge.modern().await {
        Ok(process) => process,
        Err(Refused::NotModern) => return downward::request(bridge, headers, body, parts).await,
        Err(why) => return refused(&why, id),
    };
    let stream = Stream::new(bridge.common.number(), false);
    let reader = stream.reader();
    let ask = Ask::new(body, parts, stream);
    match process.ask(ask, true).await {
        Ok(ticket) if parts.method() == "subscriptions/listen" => {
            respond::events(reader, None, Some(Box::new(ticket)), Style::Plain)
        }
        Ok(ticket) => {
            let ticket = Some(Box::new(ticket) as respond::Kept);
            respond::reply(reader, ticket, Style::Plain, respond::wants_events(headers), modern_status).await
        }
        Err(over) => respond::json(StatusCode::OK, message::error(id, message::INTERNAL, &over.0)),
    }
}

/// The core protocol has none over HTTP. Those of extensions pass; a cancellation does not, because closing the stream is
/// one, and its id could be that of another client's request.
async fn notification(bridge: &Arc<Bridge>, body: &Bytes, parts: &Parts<'_>) -> Response<Body> {
    if parts.method() == "notifications/cancelled" {
        return empty(StatusCode::ACCEPTED);
    }
    match bridge.modern().await {
        Ok(process) if process.write(body).await.is_ok() => empty(StatusCode::ACCEPTED),
        Err(Refused::NotModern) => empty(StatusCode::ACCEPTED),
        _ => problem(StatusCode::SERVICE_UNAVAILABLE, "The server does not run."),
    }
}

/// The refusal of a request that does not say what this revision has it say. A process that speaks both eras tells them
/// apart by `_meta` alone, so a request without it must not get there.
fn misdeclared(headers: &HeaderMap, parts: &Parts<'_>) -> Option<Response<Body>> {
    let id = parts.id.map_or("null", |id| id.raw());
    let refuse = |code, what| Some(respond::json(StatusCode::BAD_REQUEST, message::error(id, code, what)));
    if ![VERSION_KEY, CAPABILITIES_KEY].iter().all(|key| parts.in_meta(key).is_some()) {
        let what = "_meta must name the protocol version and the client's capabilities.";
        return refuse(message::BAD_PARAMS, what);
    }
    let meant = parts.in_meta(VERSION_KEY).and_then(|version| version.string());
    if era::version(headers) != meant.as_deref() {
        return refuse(message::MISMATCH, "MCP-Protocol-Version is not the version that _meta names.");
    }
    None
}
