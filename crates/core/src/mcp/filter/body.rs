//! How a filtered reply is given out, piece by piece, and how its record is closed.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{Broken, Filtered, Way};
use crate::refusal::Reason;

impl<B> Filtered<B> {
    /// Closes the trail with the last bytes: whoever sends them may not ask for more, once it has as many as
    /// were announced.
    pub(super) fn close_if_given(&mut self) {
        if self.body.is_none() && self.out.is_empty() && (self.broken.is_none() || self.is_replaced()) {
            self.close();
        }
    }

    /// An error was put in the place of what may not pass: that is a proper end, all else is reset.
    fn is_replaced(&self) -> bool {
        matches!(self.broken, Some(Broken::Unreleasable(_)))
            && self.eyes.call.id().is_some()
            && !self.answered
    }

    /// Closes the trail with the piece that answers the call, when that is wanted.
    fn close_if_answer(&mut self) {
        match self.before_answer {
            None => {}
            Some(0) => {
                self.before_answer = None;
                self.answered = true;
                if let Some(trail) = self.trail.take() {
                    trail.answered(self.sent);
                }
            }
            Some(before) => self.before_answer = Some(before - 1),
        }
    }

    /// Nothing more will be sent: closes the trail.
    pub(super) fn close(&mut self) -> Option<Broken> {
        self.done = true;
        let replaced = self.is_replaced();
        let trail = self.trail.take();
        let Some(broken) = self.broken.take() else {
            if let Some(trail) = trail {
                trail.answered(self.sent);
            }
            return None;
        };
        if let Some(trail) = trail {
            let wrong = match &broken {
                Broken::Upstream(error) => format!("the answer broke off: {error}"),
                Broken::Unreleasable(wrong) => (*wrong).to_owned(),
            };
            trail.refused(&Reason::BadBackendAnswer("".into()), wrong, self.sent);
        }
        if replaced { None } else { Some(broken) }
    }
}

impl<B> Body for Filtered<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        loop {
            if let Some(data) = this.out.pop_front() {
                this.sent += data.len() as u64;
                this.close_if_answer();
                this.close_if_given();
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            let Some(body) = this.body.as_mut() else {
                return Poll::Ready(if this.done { None } else { this.close().map(Err) });
            };
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers end here, with the other headers that are not allowed.
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        this.take(data);
                    }
                    if this.body.as_ref().is_some_and(Body::is_end_stream) {
                        this.ended();
                    }
                }
                Some(Err(error)) => {
                    this.body = None;
                    this.broke(error.into());
                }
                None => this.ended(),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // The record must be closed by the poll that sees the end.
        self.done
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.way, &self.body) {
            _ if self.done => SizeHint::with_exact(0),
            (Way::Pass, Some(body)) if self.out.is_empty() => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}
