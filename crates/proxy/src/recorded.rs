//! Event streams under `flush: before_answer`: the event that carries the response to the call is held back until
//! the call's record is on disk. The events before it pass as they come.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::sink::{FileSink, NotDurable};
use crate::stream::Stream;

/// A stream that answers a call; see the module.
pub struct Recorded {
    stream: Stream,
    audit: Arc<FileSink>,
    state: State,
}

type Settling = Pin<Box<dyn Future<Output = Result<(), NotDurable>> + Send>>;

enum State {
    /// The record is open.
    Open,
    /// The record was closed with these bytes, and they wait for it.
    Waiting(Settling, Bytes),
    /// The record is on disk.
    Settled,
    /// It could not be brought there: the answer stays here.
    Failed,
}

impl Recorded {
    /// Over a stream whose record closes before its answer is given.
    pub fn new(stream: Stream, audit: Arc<FileSink>) -> Self {
        Self { stream, audit, state: State::Open }
    }

    /// The stream.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }
}

impl Body for Recorded {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Open => {
                    let frame = ready!(Pin::new(&mut this.stream).poll_frame(cx));
                    let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
                    if !this.stream.is_recorded() {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    let audit = this.audit.clone();
                    let settling = Box::pin(async move { audit.settle().await });
                    this.state = State::Waiting(settling, frame.into_data().unwrap_or_default());
                }
                State::Waiting(settling, bytes) => {
                    let settled = ready!(settling.as_mut().poll(cx));
                    let bytes = std::mem::take(bytes);
                    let (next, given) = match settled {
                        Ok(()) => (State::Settled, Ok(Frame::data(bytes))),
                        Err(error) => (State::Failed, Err(io::Error::other(error))),
                    };
                    this.state = next;
                    return Poll::Ready(Some(given));
                }
                State::Settled => return Pin::new(&mut this.stream).poll_frame(cx),
                State::Failed => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.state {
            State::Waiting(..) => false,
            State::Open | State::Settled => self.stream.is_end_stream(),
            State::Failed => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.state {
            State::Open | State::Settled => self.stream.size_hint(),
            State::Waiting(..) | State::Failed => SizeHint::default(),
        }
    }
}
