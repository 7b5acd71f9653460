//! What a reply may carry: lists filtered by the decision function, sessions sealed, foreign headers ended.

mod body;
mod eyes;
mod head;
mod items;
mod own;
#[cfg(test)]
mod pinned;
#[cfg(test)]
mod recording;
mod sse;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header, response::Parts};
use http_body::Body;

use crate::audit::Trail;
use crate::caller::Principal;
use crate::mcp::door::Door;
use crate::mcp::{Call, Era, Head};
use crate::policy::Policy;
use crate::refusal::{Reason, Refusal};
use crate::server::Server;
use crate::time::Timestamp;
use eyes::{Eyes, Work};
use head::Media;
use sse::{Events, Grip};

/// Whose eyes a reply is filtered for.
pub struct Sight {
    pub(crate) policy: Arc<Policy>,
    pub(crate) door: Arc<Door>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) server: Arc<Server>,
    pub(crate) source_ip: Option<IpAddr>,
    pub(crate) era: Era,
    pub(crate) now: Timestamp,
}

/// Why a reply broke off after its head was sent. Its connection or stream must be reset, not ended.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The server's own stream broke.
    #[error("the MCP server's answer broke off")]
    Upstream(#[source] Box<dyn Error + Send + Sync>),
    /// What the server sent may not pass: the reason.
    #[error("the MCP server's answer cannot be released: {0}")]
    Unreleasable(&'static str),
}

/// Which request an answer is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// JSON text of its id.
    pub id: Option<Box<str>>,
    /// Whether it is of 2026-07-28.
    pub modern: bool,
    /// The gateway's id of it.
    pub request: [u8; 26],
}

/// A filtered body; closes the trail when it ends. Dropped before that, the trail says `abandoned`.
pub struct Filtered<B> {
    /// None once nothing more is wanted of the server.
    body: Option<B>,
    way: Way,
    eyes: Eyes,
    out: VecDeque<Bytes>,
    /// Bytes given to the caller.
    sent: u64,
    trail: Option<Trail>,
    /// Pieces of `out` before the one that answers the call, with which the record is closed.
    before_answer: Option<usize>,
    /// The record was closed as answered, although more may follow.
    answered: bool,
    /// Why it ends, once the bytes of `out` are sent, if it is not the server's own end.
    broken: Option<Broken>,
    /// The end was reported.
    done: bool,
}

enum Way {
    /// Untouched.
    Pass,
    /// Read as a whole, then looked at.
    Whole(BytesMut),
    /// Looked at event by event.
    Stream(Events),
}

pub(crate) fn filtered<B: Body<Data = Bytes>>(
    sight: Sight,
    asked: &Head,
    call: Call,
    came: Parts,
    body: B,
    trail: Trail,
) -> http::Response<Filtered<B>> {
    let (mut response, ()) = head::released(&sight, asked, &call, &came).into_parts();
    let work = Work::of(&call, &sight);
    let limits = sight.door.limits();
    let session = came.headers.get(head::SESSION).or(call.session.as_ref()).cloned();
    let eyes = Eyes { sight, call, work, session, awaits: false, answers: false };
    let way = match Media::of(&came.headers) {
        Media::Events => {
            let grip = match work {
                Work::Pass if !eyes.learns() => Grip::Track,
                Work::Pass | Work::Capabilities => Grip::Observe,
                _ => Grip::Hold,
            };
            Way::Stream(Events::new(grip, limits.event, work != Work::State))
        }
        _ if work == Work::Pass => Way::Pass,
        // A refusal in words: no client reads a result out of it.
        Media::Other if !came.status.is_success() => Way::Pass,
        _ => Way::Whole(BytesMut::new()),
    };
    let mut filtered = Filtered {
        body: Some(body),
        way,
        eyes,
        out: VecDeque::new(),
        sent: 0,
        trail: Some(trail),
        before_answer: None,
        answered: false,
        broken: None,
        done: false,
    };
    if filtered.body.as_ref().is_some_and(Body::is_end_stream) {
        // A body that has nothing in it may never be asked for its end.
        filtered.ended();
        filtered.close_if_given();
    } else if head::is_encoded(&came.headers) {
        filtered.refuse("an encoded body");
    }
    if matches!(filtered.way, Way::Whole(_)) && Media::of(&came.headers) == Media::Other {
        response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    http::Response::from_parts(response, filtered)
}

impl<B> Filtered<B> {
    /// Whether this is an event stream, which may last and can be ended early.
    pub fn is_stream(&self) -> bool {
        matches!(self.way, Way::Stream(_))
    }

    /// True where an event of the gateway's own may be sent: all that came was given out, and nothing of an
    /// unfinished event was. A body that is no stream has no such place.
    pub fn between_events(&self) -> bool {
        let between = matches!(&self.way, Way::Stream(events) if events.between());
        between && self.out.is_empty()
    }

    /// Of a stream that answers a call: from now on the record is closed with the event that carries the response,
    /// and not with the stream's end, so that whoever gives the events can wait for the record before this one.
    /// That costs a look at each event.
    pub fn record_before_answer(&mut self) {
        if let (Way::Stream(events), Some(_)) = (&mut self.way, self.eyes.call.id()) {
            events.hold();
            self.eyes.awaits = true;
        }
    }

    /// Whether the record is closed.
    pub fn is_recorded(&self) -> bool {
        self.trail.is_none()
    }

    /// Ends a stream before the server does, and its record with it. Gives the event that the protocol has for
    /// this (of `subscriptions/listen`: 2026-07-28 basic/patterns/subscriptions), to be sent as the last bytes if
    /// [`Self::between_events`].
    pub fn finish(mut self) -> Option<Bytes> {
        let last = own::closing_event(&self.eyes.call).filter(|_| self.between_events());
        self.sent += last.as_ref().map_or(0, |last| last.len() as u64);
        self.close();
        last
    }

    /// What a refusal in the place of this answer must say, its record open or not.
    pub fn asked(&self) -> Asked {
        Asked {
            id: self.eyes.call.id().map(Into::into),
            modern: self.eyes.sight.era == Era::Modern,
            request: self.trail.as_ref().map_or([b'0'; 26], Trail::id),
        }
    }

    /// Refuses in the place of this answer, of which nothing was given yet: with its own record, while that is open.
    pub fn into_refusal(mut self, reason: Reason) -> Option<Box<Refusal>> {
        let Asked { id, modern, .. } = self.asked();
        self.done = true;
        self.trail.take().map(|trail| Box::new(Refusal { reason, id, modern, pages: false, trail }))
    }

    /// Gives an answer up before its end. The reason goes to its record; the caller sees that it broke off.
    pub fn give_up(mut self, reason: &Reason, detail: &str) {
        self.done = true;
        if let Some(trail) = self.trail.take() {
            trail.refused(reason, detail.into(), self.sent);
        }
    }

    /// The events that tell this listener that its lists have changed, to be sent [`Self::between_events`] after the
    /// policy has (checklist P12). None where there is nobody to tell.
    pub fn lists_changed(&self) -> Option<Bytes> {
        own::lists_changed(&self.eyes.call, &self.eyes.sight.server)
    }

    /// The caller is gone: its record ends as abandoned, but the body can be read on, and teaches.
    pub fn abandon(&mut self) {
        self.trail = None;
    }

    /// Ends because of what the server sent. Of a request that has an answer of its own, that answer is an error.
    fn refuse(&mut self, wrong: &'static str) {
        self.body = None;
        let whole = !self.is_stream();
        match self.error_answer() {
            Some(error) if whole => self.out.push_back(error),
            Some(error) => self.out.push_back(own::event_of(&error)),
            None => {}
        }
        self.broken = Some(Broken::Unreleasable(wrong));
    }

    fn error_answer(&self) -> Option<Bytes> {
        if self.answered {
            return None;
        }
        let request = self.trail.as_ref().map_or([b'0'; 26], Trail::id);
        self.eyes.call.id().map(|id| own::unreleasable(id, &request))
    }

    /// Takes the next data of the server.
    fn take(&mut self, data: Bytes) {
        let limit = self.eyes.sight.door.limits().body;
        let fed = match &mut self.way {
            Way::Pass => {
                self.out.push_back(data);
                Ok(())
            }
            Way::Whole(whole) if whole.len() + data.len() > limit && self.eyes.work == Work::State => {
                // Nothing in it has to be kept from the caller; see `Eyes::message`.
                self.out.extend([whole.split().freeze(), data]);
                self.way = Way::Pass;
                Ok(())
            }
            Way::Whole(whole) if whole.len() + data.len() > limit => Err("a body over the limit"),
            Way::Whole(whole) => {
                whole.extend_from_slice(&data);
                Ok(())
            }
            Way::Stream(events) => events.feed(data, &mut self.eyes),
        };
        self.drain();
        if let Err(wrong) = fed {
            self.refuse(wrong);
        }
    }

    /// The server's body ended.
    fn ended(&mut self) {
        self.body = None;
        let ended = match &mut self.way {
            Way::Pass => Ok(()),
            Way::Whole(whole) if whole.is_empty() => Ok(()),
            Way::Whole(whole) => {
                let text = whole.split().freeze();
                self.eyes
                    .message(&text)
                    .map(|edits| self.out.push_back(crate::mcp::json::edited(&text, edits)))
            }
            Way::Stream(events) => events.end(&mut self.eyes),
        };
        self.drain();
        if let Err(wrong) = ended {
            self.refuse(wrong);
        }
    }

    /// The server's stream broke. Nothing of an answer that is read whole was sent: it becomes an error.
    fn broke(&mut self, error: Box<dyn Error + Send + Sync>) {
        if matches!(self.way, Way::Whole(_)) && self.eyes.call.id().is_some() {
            self.refuse("the answer broke off");
        } else {
            self.broken = Some(Broken::Upstream(error));
        }
    }

    fn drain(&mut self) {
        if let Way::Stream(events) = &mut self.way {
            let waiting = self.out.len();
            if let Some(before) = events.before_answer().filter(|_| self.eyes.awaits) {
                self.before_answer.get_or_insert(waiting + before);
            }
            self.out.extend(std::iter::from_fn(|| events.next()));
        }
    }
}
