//! The life of an answer: it streams through as it comes, and ends when the server ends it, when the
//! caller's token does, when it is idle or has lasted too long, or when the gateway drains.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use safeconduct_core::mcp::filter::Filtered;
use safeconduct_core::mcp::{Era, Verb};
use safeconduct_core::time::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use crate::limits::StreamPlace;
use crate::upstream::ServerBody;

/// How long answers may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// From asking to the head of the answer.
    pub answer: Duration,
    /// Without a byte from the server: for answers and for streams that answer a call. Streams that only
    /// listen may be silent.
    pub idle: Duration,
    /// From head to end, whatever happens.
    pub total: Duration,
    /// A comment is sent on modern streams after this silence, so that proxies keep them open.
    pub keep_alive: Duration,
}

/// What decides over the life of one answer.
pub struct Terms {
    /// Limits.
    pub lifetimes: Lifetimes,
    /// When the caller's token ends.
    pub expires: Timestamp,
    /// The present moment.
    pub now: Timestamp,
    /// Protocol era.
    pub era: Era,
    /// HTTP method asked with.
    pub verb: Verb,
    /// True for `subscriptions/listen`.
    pub listens: bool,
    /// Turns true when the gateway drains.
    pub drain: watch::Receiver<bool>,
    /// The caller's place among its streams.
    pub place: Option<StreamPlace>,
}

/// An answer on its way to the caller.
pub struct Stream {
    body: Option<Filtered<ServerBody>>,
    terms: Terms,
    events: bool,
    started: Instant,
    /// Made at the first wait: most answers are there at once and need no timer.
    waits: Option<Pin<Box<Waits>>>,
}

struct Waits {
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
    beat: Pin<Box<Sleep>>,
    idle: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    /// `events`: the answer is an event stream.
    pub fn new(body: Filtered<ServerBody>, events: bool, terms: Terms) -> Self {
        Self { body: Some(body), terms, events, started: Instant::now(), waits: None }
    }

    fn waits(&mut self) -> &mut Pin<Box<Waits>> {
        let Self { terms, events, started, waits, .. } = self;
        waits.get_or_insert_with(|| Box::pin(wait(terms, *events, *started)))
    }

    /// Something came: the silence starts anew.
    fn heard(&mut self) {
        let lifetimes = self.terms.lifetimes;
        if let Some(waits) = &mut self.waits {
            let now = Instant::now();
            waits.beat.as_mut().reset(now + lifetimes.keep_alive);
            if let Some(idle) = &mut waits.idle {
                idle.as_mut().reset(now + lifetimes.idle);
            }
        }
    }

    /// Ends the answer before the server does. A listening stream gets its completion result first.
    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(body) = self.body.take() else { return Poll::Ready(None) };
        if !self.events {
            drop(body);
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer took too long"))));
        }
        let last = body.finish();
        Poll::Ready(last.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn wait(terms: &Terms, events: bool, started: Instant) -> Waits {
    let Terms { lifetimes, expires, now, verb, listens, drain, .. } = terms;
    let mut last = started + lifetimes.total;
    if events {
        last = last.min(started + expires.since(*now));
    }
    let mut drain = drain.clone();
    let end = async move {
        let drained = async {
            // A sender that is gone means that nothing will drain this stream but its own end.
            if drain.wait_for(|draining| *draining).await.is_err() || !events {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(last) => {}
            () = drained => {}
        }
    };
    let silent = events && (*listens || *verb == Verb::Get);
    Waits {
        end: Box::pin(end),
        beat: Box::pin(tokio::time::sleep(lifetimes.keep_alive)),
        idle: (!silent).then(|| Box::pin(tokio::time::sleep(lifetimes.idle))),
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            this.heard();
            if frame.is_none() {
                this.body = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)));
        }
        if this.body.as_ref().is_some_and(|body| body.between_events()) || !this.events {
            let waits = this.waits();
            let ended = waits.end.as_mut().poll(cx).is_ready()
                || waits.idle.as_mut().is_some_and(|idle| idle.as_mut().poll(cx).is_ready());
            if ended {
                return this.end();
            }
            let modern = this.terms.era == Era::Modern;
            if this.events && modern && this.waits().beat.as_mut().poll(cx).is_ready() {
                this.heard();
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\r\n\r\n")))));
            }
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Stream {
    /// A legacy caller that goes away has not cancelled: the server's answer is read on, so that it can be
    /// resumed from the server (2025-11-25, transports, "Resumability and Redelivery").
    fn drop(&mut self) {
        let Some(mut body) = self.body.take() else { return };
        if self.terms.era == Era::Modern || self.terms.verb != Verb::Post || body.is_end_stream() {
            return;
        }
        body.abandon();
        let patience = self.terms.lifetimes.idle;
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                use http_body_util::BodyExt;
                while let Ok(Some(Ok(_))) = tokio::time::timeout(patience, body.frame()).await {}
            });
        }
    }
}

impl Stream {
    /// Reads an answer to its end, so that it can wait for its record.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn whole(mut self) -> io::Result<Bytes> {
        use http_body_util::BodyExt;
        const LARGEST: usize = 64 * 1024 * 1024;
        let mut whole = bytes::BytesMut::new();
        while let Some(frame) = (&mut self).frame().await {
            if let Ok(data) = frame?.into_data() {
                whole.extend_from_slice(&data);
            }
            if whole.len() > LARGEST {
                return Err(io::Error::other("over 64 MiB: too much to hold back"));
            }
        }
        Ok(whole.freeze())
    }
}
