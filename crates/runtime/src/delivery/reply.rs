//! What a credential endpoint answers. Nothing of it may be kept by anybody in between, and its storage is zeroized
//! when it was sent.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use zeroize::Zeroizing;

/// An answer.
pub(crate) type Reply = Response<Full<Bytes>>;

/// Room for a token of the largest usual size and its company: a buffer that grows leaves copies behind.
const ROOM: usize = 32 * 1024;

/// JSON, written once into a buffer that is zeroized.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Reply {
    let mut body = Zeroizing::new(Vec::with_capacity(ROOM));
    match serde_json::to_writer(&mut *body, value) {
        Ok(()) => reply(status, "application/json", Bytes::from_owner(body)),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "cannot be written as JSON"),
    }
}

/// A secret as text.
pub(crate) fn secret(status: StatusCode, kind: &'static str, value: &[u8]) -> Reply {
    reply(status, kind, Bytes::from_owner(Zeroizing::new(value.to_vec())))
}

/// Text without a secret.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    reply(status, "text/plain; charset=utf-8", body.into())
}

/// The same answer, with advice to come back in a second.
pub(crate) fn soon(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

fn reply(status: StatusCode, kind: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
