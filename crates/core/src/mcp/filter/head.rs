//! The head of a reply: built anew from an allow-list. `Set-Cookie`, `WWW-Authenticate`, `Server` and all
//! else that the server says to its own client end here.

use http::{HeaderMap, HeaderName, HeaderValue, header, response::Parts};

use super::Sight;
use crate::mcp::{Call, Era, Head};

const PASSED: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::RETRY_AFTER,
    header::ALLOW,
    HeaderName::from_static("mcp-protocol-version"),
];
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The kind of a reply's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    Events,
    Other,
}

impl Media {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let media =
            headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        if media.eq_ignore_ascii_case("text/event-stream") {
            Self::Events
        } else if media.eq_ignore_ascii_case("application/json") {
            Self::Json
        } else {
            Self::Other
        }
    }
}

/// Whether the body is encoded: then it cannot be read, and no encoding was asked for.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The head that the caller gets.
pub(super) fn released(sight: &Sight, asked: &Head, call: &Call, came: &Parts) -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.status_mut() = came.status;
    let headers = response.headers_mut();
    for name in PASSED {
        for value in came.headers.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if Media::of(&came.headers) == Media::Events {
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
    }
    if call.era == Era::Legacy
        && let Some(id) = came.headers.get(&SESSION)
    {
        // A server that repeats the id gets the caller's own sealed form repeated: one session, one id.
        let known = asked.session.clone().filter(|_| call.session.as_ref() == Some(id));
        let sealed =
            known.or_else(|| sight.door.sealed_session(call, id, &sight.principal, &sight.server, sight.now));
        if let Some(sealed) = sealed {
            headers.insert(SESSION, sealed);
        }
    }
    response
}
