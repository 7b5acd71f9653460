//! Bodies: reading the caller's, within limits, and the one type that every response has.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use safeconduct_core::refusal::Reason;

use crate::recorded::Recorded;
use crate::stream::Stream;
use crate::watchdog;

/// Reads a whole body of at most `limit` bytes within `time`. A body of one frame is not copied.
///
/// # Errors
/// `BodyTooLarge`, `BodyTooSlow`; `BadHead` when the connection breaks.
pub async fn read<B>(body: B, limit: u64, time: Duration) -> Result<Bytes, Reason>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > limit {
        return Err(Reason::BodyTooLarge(limit));
    }
    tokio::time::timeout(time, collect(body, limit)).await.unwrap_or(Err(Reason::BodyTooSlow))
}

async fn collect<B>(mut body: B, limit: u64) -> Result<Bytes, Reason>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Reason::BadHead("the body broke off".into()))?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = first.as_ref().map_or(joined.len(), Bytes::len);
        if (so_far + data.len()) as u64 > limit {
            return Err(Reason::BodyTooLarge(limit));
        }
        match first.take() {
            None if joined.is_empty() => first = Some(data),
            None => joined.extend_from_slice(&data),
            Some(start) => {
                joined.reserve(start.len() + data.len());
                joined.extend_from_slice(&start);
                joined.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| joined.freeze()))
}

/// The body of every response: a small whole, or the released answer of a server as it streams in.
pub enum ResponseBody {
    /// Bytes made here (refusals, metadata).
    Whole(Option<Bytes>),
    /// A released answer.
    Stream(Box<Stream>),
    /// The same, where the response waits for its record.
    Recorded(Box<Recorded>),
}

impl ResponseBody {
    /// Bytes made here.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }

    /// Whether it is a stream on which nothing is owed.
    pub fn only_listens(&self) -> bool {
        self.stream().is_some_and(Stream::only_listens)
    }

    fn stream(&self) -> Option<&Stream> {
        match self {
            Self::Whole(_) => None,
            Self::Stream(stream) => Some(stream),
            Self::Recorded(recorded) => Some(recorded.stream()),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        watchdog::asked();
        let this = self.get_mut();
        let polled = match this {
            Self::Whole(bytes) => {
                Poll::Ready(bytes.take().filter(|b| !b.is_empty()).map(|b| Ok(Frame::data(b))))
            }
            Self::Stream(stream) => Pin::new(stream.as_mut()).poll_frame(cx),
            Self::Recorded(stream) => Pin::new(stream.as_mut()).poll_frame(cx),
        };
        if let Poll::Ready(Some(Ok(_))) = &polled {
            watchdog::handed(|| this.stream().map(Stream::last));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Stream(stream) => stream.is_end_stream(),
            Self::Recorded(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Stream(stream) => stream.size_hint(),
            Self::Recorded(stream) => stream.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Duration, Reason, read};
    use http_body_util::{Full, StreamBody};

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_body_up_to_the_limit_is_read_and_one_byte_more_is_refused() {
        let body = |n| Full::new(Bytes::from(vec![b'x'; n]));
        assert_eq!(read(body(10), 10, SECOND).await, Ok(Bytes::from(vec![b'x'; 10])));
        assert_eq!(read(body(11), 10, SECOND).await, Err(Reason::BodyTooLarge(10)));
    }

    #[tokio::test]
    async fn a_chunked_body_is_joined_and_cut_off_at_the_limit() {
        let chunks = |n: usize| {
            StreamBody::new(futures_util::stream::iter((0..n).map(|_| {
                Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from_static(b"abc")))
            })))
        };
        assert_eq!(read(chunks(3), 9, SECOND).await, Ok(Bytes::from_static(b"abcabcabc")));
        assert_eq!(read(chunks(4), 9, SECOND).await, Err(Reason::BodyTooLarge(9)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = StreamBody::new(futures_util::stream::pending::<
            Result<http_body::Frame<Bytes>, std::convert::Infallible>,
        >());
        assert_eq!(read(never, 9, SECOND).await, Err(Reason::BodyTooSlow));
    }
}
