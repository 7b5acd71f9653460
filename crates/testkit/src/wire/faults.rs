//! What can be made to go wrong at any edge: one request, some requests, or all of them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::StatusCode;

use super::{Reply, ReplyBody};

/// One way to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answer this status and body (JSON) instead.
    Status(StatusCode, String),
    /// 429 or 503 with `Retry-After` in seconds.
    RetryAfter(StatusCode, u64),
    /// Answer rightly, but later.
    Delay(Duration),
    /// Announce the whole body, send this many bytes of it, cut the connection.
    Truncate(usize),
    /// 200 and a body that is not JSON, although it says so.
    Garbage,
    /// 200 and a body of this many bytes.
    Huge(usize),
    /// The right body, one byte at a time with this pause between.
    Drip(Duration),
    /// 307 to this place.
    Redirect(String),
    /// Cut the connection without an answer.
    Close,
    /// Never answer.
    Hang,
    /// Speak another protocol: the next new connection answers with bytes that are not HTTP.
    NotHttp,
}

#[derive(Debug)]
struct Planned {
    path: Option<String>,
    left: usize,
    fault: Fault,
}

/// The faults that an edge has before it. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Planned>>>);

impl Faults {
    /// The next request fails.
    pub fn once(&self, fault: Fault) {
        self.times(1, fault);
    }

    /// The next `count` requests fail.
    pub fn times(&self, count: usize, fault: Fault) {
        self.plan(Planned { path: None, left: count, fault });
    }

    /// All requests fail until [`Faults::clear`].
    pub fn always(&self, fault: Fault) {
        self.times(usize::MAX, fault);
    }

    /// Requests to this path fail, `count` times.
    pub fn at(&self, path: &str, count: usize, fault: Fault) {
        self.plan(Planned { path: Some(path.to_owned()), left: count, fault });
    }

    /// No more faults.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn plan(&self, planned: Planned) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(planned);
    }

    /// True when the next thing to happen is a connection that is not HTTP; then it is taken.
    pub(crate) fn next_is_not_http(&self) -> bool {
        let mut planned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = planned.front_mut().filter(|first| first.fault == Fault::NotHttp) else {
            return false;
        };
        first.left = first.left.saturating_sub(1);
        planned.retain(|plan| plan.left > 0);
        true
    }

    pub(crate) fn next(&self, path: &str) -> Option<Fault> {
        let mut planned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = planned.iter_mut().find(|plan| {
            plan.fault != Fault::NotHttp && plan.path.as_deref().is_none_or(|only| only == path)
        })?;
        let fault = first.fault.clone();
        first.left = first.left.saturating_sub(1);
        planned.retain(|plan| plan.left > 0);
        Some(fault)
    }
}

impl Fault {
    /// What is answered in place of the right answer; None where the right answer is only bent.
    pub(crate) fn instead(&self) -> Option<Reply> {
        match self {
            Self::Status(status, body) => Some(Reply::of(*status, "application/json", body.clone())),
            Self::RetryAfter(status, seconds) => {
                Some(Reply::empty(*status).header("retry-after", seconds.to_string()))
            }
            Self::Garbage => Some(Reply::of(
                StatusCode::OK,
                "application/json",
                Bytes::from_static(b"<html>\xff\xfe not JSON"),
            )),
            Self::Huge(length) => Some(huge(*length)),
            Self::Redirect(to) => Some(Reply::empty(StatusCode::TEMPORARY_REDIRECT).header("location", to)),
            Self::Delay(_) | Self::Truncate(_) | Self::Drip(_) | Self::Close | Self::Hang | Self::NotHttp => {
                None
            }
        }
    }

    /// The right answer, bent.
    pub(crate) fn bend(&self, mut reply: Reply) -> Reply {
        let ReplyBody::Whole(bytes) = &reply.body else { return reply };
        let bytes = bytes.clone();
        match self {
            Self::Truncate(kept) => {
                let cut = || Err(io::Error::from(io::ErrorKind::ConnectionAborted));
                let pieces = [Ok(bytes.slice(..bytes.len().min(*kept))), cut()];
                reply = reply.header("content-length", bytes.len().to_string());
                reply.body = ReplyBody::Pieces(stream::iter(pieces).boxed());
            }
            Self::Drip(pause) => {
                let pause = *pause;
                let single = bytes.into_iter().map(|byte| Bytes::copy_from_slice(&[byte]));
                let pieces = stream::iter(single).then(move |byte| async move {
                    tokio::time::sleep(pause).await;
                    Ok(byte)
                });
                reply.body = ReplyBody::Pieces(pieces.boxed());
            }
            _ => {}
        }
        reply
    }
}

fn huge(length: usize) -> Reply {
    const PIECE: usize = 64 * 1024;
    let piece = Bytes::from(vec![b' '; PIECE]);
    let pieces = (0..length.div_ceil(PIECE)).map(move |at| Ok(piece.slice(..PIECE.min(length - at * PIECE))));
    let mut reply = Reply::of(StatusCode::OK, "application/json", Bytes::new());
    reply.body = ReplyBody::Pieces(stream::iter(pieces).boxed());
    reply
}
