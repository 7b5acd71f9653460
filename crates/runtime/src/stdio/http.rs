//! One HTTP request: whose it is by era and method.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::bridge::{Bridge, Refused};
use super::message::{self, Parts};
use super::respond::{Body, empty, json, problem};
use super::{era, legacy, modern};

/// Answers one request.
pub(super) async fn serve(
    bridge: Arc<Bridge>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let response = match head.method {
        Method::POST => match Limited::new(body, bridge.options.largest).collect().await {
            Ok(body) => Box::pin(post(bridge, &head.headers, body.to_bytes())).await,
            Err(_) => problem(StatusCode::PAYLOAD_TOO_LARGE, "The request is too large."),
        },
        Method::GET if era::is_legacy_head(&head.headers) => legacy::get(&bridge, &head.headers),
        Method::DELETE if era::is_legacy_head(&head.headers) => legacy::delete(&bridge, &head.headers),
        _ => empty(StatusCode::METHOD_NOT_ALLOWED),
    };
    Ok(response)
}

async fn post(bridge: Arc<Bridge>, headers: &HeaderMap, body: Bytes) -> Response<Body> {
    let Ok(parts) = Parts::read(&body) else {
        return problem(StatusCode::BAD_REQUEST, "The body is not one JSON-RPC message.");
    };
    if era::asks_modern(headers, &parts) {
        modern::post(&bridge, headers, &body, &parts).await
    } else {
        legacy::post(&bridge, headers, &body, &parts).await
    }
}

/// The answer to a request (JSON text of its id) for which there is no process.
pub(super) fn refused(refused: &Refused, id: &str) -> Response<Body> {
    json(StatusCode::OK, message::error(id, message::INTERNAL, &refused.words()))
}
