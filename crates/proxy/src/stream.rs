//! The life of an answer: it streams through as it comes, and ends when the server ends it, when the caller's
//! token or login does, when it is idle or has lasted too long, or when the gateway drains.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use safeconduct_core::caller::Principal;
use safeconduct_core::mcp::filter::Filtered;
use safeconduct_core::mcp::{Era, Verb};
use safeconduct_core::refusal::Reason;
use safeconduct_core::time::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use crate::limits::Place;
use crate::revoked::{ENDED, Revoked};
use crate::upstream::ServerBody;

/// Why an answer was ended, as its record says it.
const TOKEN: &str = "the caller's token ended during the answer";
const TOTAL: &str = "the answer took longer than an answer may";
const IDLE: &str = "the server fell silent during its answer";
const DRAIN: &str = "the gateway drains";

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
    /// Whose answer it is: it ends with their token.
    pub caller: Arc<Principal>,
    /// And with their login.
    pub revoked: Revoked,
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
    /// Counts the times that lists changed because policies did.
    pub lists: watch::Receiver<u64>,
    /// The caller's place among its streams.
    pub place: Option<Place>,
}

/// An answer on its way to the caller.
pub struct Stream {
    body: Option<Filtered<ServerBody>>,
    terms: Terms,
    events: bool,
    started: Instant,
    /// Made at the first wait: most answers are there at once and need no timer.
    waits: Option<Box<Waits>>,
    /// The gateway drains or lists changed, and it was not acted on yet.
    signalled: bool,
    /// Revocations that it was held against.
    revocations: u64,
}

struct Waits {
    over: Pin<Box<Sleep>>,
    /// Until the caller is revoked.
    revoked: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Of streams that only listen, until the gateway drains or lists change.
    signal: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    beat: Pin<Box<Sleep>>,
    idle: Option<Pin<Box<Sleep>>>,
}

impl Terms {
    /// Nothing is owed on such a stream: it may be silent, and it can be ended at any time.
    fn only_listens(&self) -> bool {
        self.listens || self.verb == Verb::Get
    }
}

impl Stream {
    /// `events`: the answer is an event stream.
    pub fn new(body: Filtered<ServerBody>, events: bool, terms: Terms) -> Self {
        Self {
            body: Some(body),
            terms,
            events,
            started: Instant::now(),
            waits: None,
            signalled: false,
            revocations: 0,
        }
    }

    /// Whether the call's record is closed.
    pub fn is_recorded(&self) -> bool {
        self.body.as_ref().is_none_or(Filtered::is_recorded)
    }

    /// Whether it is an event stream on which nothing is owed.
    pub fn only_listens(&self) -> bool {
        self.events && self.terms.only_listens()
    }

    /// When it ends at the latest: an event stream with the caller's token.
    pub fn last(&self) -> Instant {
        let Terms { lifetimes, caller, now, .. } = &self.terms;
        let total = self.started + lifetimes.total;
        if self.events { total.min(self.started + caller.expires.since(*now)) } else { total }
    }

    /// Its time is over. Asked before each event, since a server that always has one never makes us wait.
    fn is_over(&self) -> bool {
        self.events && Instant::now() >= self.last()
    }

    /// Its caller was revoked. Asked before each piece, like the time.
    fn is_revoked(&mut self) -> bool {
        let count = self.terms.revoked.count();
        if self.revocations == count {
            return false;
        }
        self.revocations = count;
        self.terms.revoked.has_ended(&self.terms.caller)
    }

    /// A stream that answers a call is a call in flight: it ends by itself.
    fn is_drained(&self) -> bool {
        let between = self.body.as_ref().is_some_and(Filtered::between_events);
        self.only_listens() && between && *self.terms.drain.borrow()
    }

    /// The news that lists changed, between two events; then listens for the next.
    fn tell(&mut self) -> Option<Bytes> {
        if !self.signalled || !self.body.as_ref().is_some_and(Filtered::between_events) {
            return None;
        }
        self.signalled = false;
        let changed = self.terms.lists.has_changed().unwrap_or(false);
        self.terms.lists.mark_unchanged();
        let terms = &self.terms;
        if let Some(waits) = &mut self.waits {
            waits.signal = Some(signal(terms));
        }
        self.body.as_ref().filter(|_| changed)?.lists_changed()
    }

    fn waits(&mut self) -> &mut Waits {
        let last = self.last();
        let Self { terms, events, waits, .. } = self;
        waits.get_or_insert_with(|| Box::new(Waits::new(terms, *events, last)))
    }

    /// The server sent something: the silence starts anew.
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

    /// Ends the answer before the server does. Nothing is owed on a stream that only listens: it is completed.
    /// All else is given up: events may just stop, but half a body must not look like a whole one.
    fn end(&mut self, why: &'static str) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(body) = self.body.take() else { return Poll::Ready(None) };
        if self.only_listens() {
            return Poll::Ready(body.finish().map(|bytes| Ok(Frame::data(bytes))));
        }
        let reason = match why {
            TOKEN | ENDED => Reason::InvalidToken(why.into()),
            _ => Reason::BackendTimeout,
        };
        body.give_up(&reason, why);
        let cut = || Err(io::Error::new(io::ErrorKind::TimedOut, why));
        Poll::Ready((!self.events).then(cut))
    }

    /// Why its time was over.
    fn over(&self) -> &'static str {
        if Instant::now() < self.started + self.terms.lifetimes.total { TOKEN } else { TOTAL }
    }
}

impl Waits {
    fn new(terms: &Terms, events: bool, last: Instant) -> Self {
        let lifetimes = &terms.lifetimes;
        let listens = events && terms.only_listens();
        Self {
            over: Box::pin(tokio::time::sleep_until(last)),
            revoked: Box::pin(terms.revoked.ends(&terms.caller)),
            signal: listens.then(|| signal(terms)),
            beat: Box::pin(tokio::time::sleep(lifetimes.keep_alive)),
            idle: (!listens).then(|| Box::pin(tokio::time::sleep(lifetimes.idle))),
        }
    }

    /// Whether the gateway drains or lists changed; what it was is seen in the terms. Not asked again afterwards
    /// until it is armed anew.
    fn poll_signal(&mut self, cx: &mut Context<'_>) -> bool {
        let came = self.signal.as_mut().is_some_and(|signal| signal.as_mut().poll(cx).is_ready());
        if came {
            self.signal = None;
        }
        came
    }

    /// Whether its time is over; if not, whoever waits is woken when it is.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.over.as_mut().poll(cx).is_ready()
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> bool {
        self.idle.as_mut().is_some_and(|idle| idle.as_mut().poll(cx).is_ready())
    }
}

/// Resolves when the gateway drains or lists change.
fn signal(terms: &Terms) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let (mut drain, mut lists) = (terms.drain.clone(), terms.lists.clone());
    Box::pin(async move {
        let drained = async {
            // A sender that is gone means that nothing will drain this stream but its own end.
            if drain.wait_for(|draining| *draining).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let changed = async {
            if lists.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = drained => {}
            () = changed => {}
        }
    })
}

impl Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if this.body.is_some() && this.is_over() {
            return this.end(this.over());
        }
        if this.body.is_some() && this.is_revoked() {
            return this.end(ENDED);
        }
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            this.heard();
            if frame.is_none() {
                this.body = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)));
        }
        if this.waits().poll_over(cx) {
            return this.end(this.over());
        }
        if this.waits().revoked.as_mut().poll(cx).is_ready() {
            return this.end(ENDED);
        }
        if this.waits().poll_idle(cx) {
            return this.end(IDLE);
        }
        if this.waits().poll_signal(cx) {
            this.signalled = true;
        }
        if this.is_drained() {
            return this.end(DRAIN);
        }
        if let Some(told) = this.tell() {
            // Asked again at once by whoever sends, which arms the signal anew.
            return Poll::Ready(Some(Ok(Frame::data(told))));
        }
        if this.waits().poll_signal(cx) {
            this.signalled = true;
            cx.waker().wake_by_ref();
        }
        let keeps_alive = this.events && this.terms.era == Era::Modern;
        if keeps_alive && this.body.as_ref().is_some_and(Filtered::between_events) {
            let next = Instant::now() + this.terms.lifetimes.keep_alive;
            let beat = &mut this.waits().beat;
            if beat.as_mut().poll(cx).is_ready() {
                // The server's own silence goes on.
                beat.as_mut().reset(next);
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
        if self.events && self.terms.place.is_none() {
            // Beyond the caller's share of streams nobody reads on.
            return;
        }
        body.abandon();
        let revoked = self.terms.revoked.ends(&self.terms.caller);
        let (patience, last, place) = (self.terms.lifetimes.idle, self.last(), self.terms.place.take());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                use http_body_util::BodyExt;
                let read_on = async {
                    while let Ok(Some(Ok(_))) = tokio::time::timeout(patience, body.frame()).await {}
                };
                tokio::select! {
                    _ = tokio::time::timeout_at(last, read_on) => {}
                    () = revoked => {}
                }
                drop(place);
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
        while let Some(frame) = self.frame().await {
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
