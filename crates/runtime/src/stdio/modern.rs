//! Requests of 2026-07-28: each for itself, on a process that all of them share.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::ask::Ask;
use super::bridge::{Bridge, Refused};
use super::downward;
use super::http::refused;
use super::message::{self, CAPABILITIES_KEY, Parts, Shape, VERSION_KEY};
use super::respond::{self, Body, Style, empty, modern_status, problem};
use super::stream::Stream;

/// Answers one POST.
pub(super) async fn post(bridge: &Arc<Bridge>, body: &Bytes, parts: &Parts<'_>) -> Response<Body> {
    match parts.shape() {
        Shape::Request => {}
        Shape::Response => return problem(StatusCode::BAD_REQUEST, "A response is not expected."),
        Shape::Notification => return notification(bridge, body, parts).await,
    }
    let id = parts.id.map_or("null", |id| id.raw());
    let process = match bridge.modern().await {
        Ok(process) => process,
        Err(Refused::NotModern) => return downward::request(bridge, body, parts).await,
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
            let whole = is_whole(parts);
            respond::reply(reader, Some(Box::new(ticket)), Style::Plain, |text| modern_status(text, whole))
                .await
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

/// Whether all of `_meta` that is required is there.
pub(super) fn is_whole(parts: &Parts<'_>) -> bool {
    [VERSION_KEY, CAPABILITIES_KEY].iter().all(|key| parts.in_meta(key).is_some())
}
