//! HTTP answers: one JSON object when the answer comes at once, else a stream of events.

use std::any::Any;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

use super::message;
use super::stream::{Item, Reader};

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What is let go of when an answer is over, or its client has gone.
pub(super) type Kept = Box<dyn Any + Send>;

/// How long an answer may take before its head leaves as that of a stream.
const AT_ONCE: Duration = Duration::from_millis(150);
/// A silent stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How soon a client that lost its connection may come back.
const RETRY_MILLIS: u64 = 1000;

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Without ids: it cannot be resumed (2026-07-28).
    Plain,
    /// With ids.
    Numbered,
    /// With ids, the first on an event without data (2025-11-25, SEP-1699).
    Primed,
}

/// The answer to a request, whose messages `reader` reads. `kept` is let go of with the connection or
/// after the answer.
pub(super) async fn reply(
    mut reader: Reader,
    kept: Option<Kept>,
    style: Style,
    wants_events: bool,
    status: impl Fn(&Bytes) -> StatusCode,
) -> Response<Body> {
    match tokio::time::timeout(AT_ONCE, reader.next()).await {
        Ok(Some((_, item))) if item.last && !wants_events => json(status(&item.text), item.text),
        Ok(Some(first)) => events(reader, Some(first), kept, style),
        // Ended without an answer: there is nothing to be said, on a stream that is at its end.
        Ok(None) | Err(_) => events(reader, None, kept, style),
    }
}

/// Whether a client that takes both names the stream first.
pub(super) fn wants_events(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/event-stream"))
}

/// A stream of events.
pub(super) fn events(
    reader: Reader,
    first: Option<(u64, Item)>,
    kept: Option<Kept>,
    style: Style,
) -> Response<Body> {
    let number = reader.stream().number();
    let prime = style == Style::Primed;
    let state = State { reader, first, prime, _kept: kept, over: false };
    let frames = stream::unfold(state, move |mut state| async move {
        let text = state.next(number, style).await?;
        Some((Ok::<_, Infallible>(Frame::data(text)), state))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct State {
    reader: Reader,
    first: Option<(u64, Item)>,
    prime: bool,
    _kept: Option<Kept>,
    over: bool,
}

impl State {
    async fn next(&mut self, stream: u64, style: Style) -> Option<Bytes> {
        if std::mem::take(&mut self.prime) {
            return Some(format!("id: {stream}-0\nretry: {RETRY_MILLIS}\ndata: \n\n").into());
        }
        if self.over {
            return None;
        }
        let (place, item) = match self.first.take() {
            Some(first) => first,
            None => match tokio::time::timeout(KEEP_ALIVE, self.reader.next()).await {
                Ok(next) => next?,
                Err(_) => return Some(Bytes::from_static(b":\n\n")),
            },
        };
        self.over = item.last;
        let mut event = Vec::with_capacity(item.text.len() + 32);
        if style != Style::Plain {
            event.extend_from_slice(format!("id: {stream}-{}\n", place + 1).as_bytes());
        }
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(&item.text);
        event.extend_from_slice(b"\n\n");
        Some(event.into())
    }
}

/// Stream and place that an event id of ours names: what was read up to there.
pub(super) fn resumed(id: &str) -> Option<(u64, u64)> {
    let (stream, place) = id.split_once('-')?;
    Some((stream.parse().ok()?, place.parse().ok()?))
}

/// The status that goes with a message of 2026-07-28 (its streamable HTTP page).
pub(super) fn modern_status(text: &Bytes) -> StatusCode {
    let code = message::Parts::read(text).ok().and_then(|parts| parts.code());
    match code {
        Some(message::NO_METHOD) => StatusCode::NOT_FOUND,
        Some(-32022..=message::MISMATCH) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// One JSON object.
pub(super) fn json(status: StatusCode, text: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(text).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error that answers no request.
pub(super) fn problem(status: StatusCode, what: &str) -> Response<Body> {
    json(status, message::error_without_id(message::BAD_REQUEST, what))
}

/// A status and nothing else.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed_unsync());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt;

    use super::{Style, events, modern_status, reply, resumed};
    use crate::stdio::stream::Stream;

    async fn text(response: http::Response<super::Body>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_answer_that_comes_alone_is_one_object() {
        let stream = Stream::new(1, false);
        stream.answer(r#"{"id":1,"result":{}}"#.into());
        let response = reply(stream.reader(), None, Style::Primed, false, |_| StatusCode::OK).await;
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(text(response).await, r#"{"id":1,"result":{}}"#);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_before_the_answer_makes_a_stream_that_ends_with_it() {
        for (style, written) in [
            (Style::Plain, "data: {\"n\":1}\n\ndata: {\"n\":2}\n\n"),
            (Style::Numbered, "id: 7-1\ndata: {\"n\":1}\n\nid: 7-2\ndata: {\"n\":2}\n\n"),
            (
                Style::Primed,
                "id: 7-0\nretry: 1000\ndata: \n\nid: 7-1\ndata: {\"n\":1}\n\nid: 7-2\ndata: {\"n\":2}\n\n",
            ),
        ] {
            let stream = Stream::new(7, true);
            stream.put(r#"{"n":1}"#.into());
            stream.answer(r#"{"n":2}"#.into());
            let response = reply(stream.reader(), None, style, false, |_| StatusCode::OK).await;
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            assert_eq!(text(response).await, written);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_says_that_it_is_there() {
        let stream = Stream::new(7, true);
        let mut body = events(stream.reader(), None, None, Style::Plain).into_body();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), ":\n\n");
    }

    #[tokio::test]
    async fn an_event_id_says_where_to_read_on() {
        let stream = Stream::new(7, true);
        ["a", "b"].into_iter().for_each(|text| stream.put(text.into()));
        stream.end();
        let mut lost = stream.reader();
        while lost.next().await.is_some() {}
        let (number, read) = resumed("7-1").unwrap();
        assert_eq!(number, 7);
        let response = events(stream.reader_from(read), None, None, Style::Numbered);
        assert_eq!(text(response).await, "id: 7-2\ndata: b\n\n");
        assert_eq!(resumed("x"), None);
    }

    #[test]
    fn errors_have_the_status_that_the_revision_gives_them() {
        let status = |code: i64| {
            modern_status(&format!(r#"{{"id":1,"error":{{"code":{code},"message":""}}}}"#).into())
        };
        assert_eq!(status(-32601), 404);
        assert_eq!(status(-32020), 400);
        assert_eq!(status(-32022), 400);
        assert_eq!(status(-32602), 200);
        assert_eq!(status(-32603), 200);
        assert_eq!(modern_status(&r#"{"id":1,"result":{}}"#.into()), 200);
    }
}
