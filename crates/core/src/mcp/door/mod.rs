//! From bytes to a [`Call`], once and without ambiguity.

mod envelope;
mod era;
mod mirror;
#[cfg(test)]
mod readers;
mod target;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;

use super::bounded::Bounded;
use super::json::{self, Edit, Object, edited};
use super::methods::{self, Method};
use super::seal::{KeyRefused, Purpose, Seal};
use super::{Call, Era, Head, Kind, Target, Verb};
use crate::caller::Principal;
use crate::refusal::Reason;
use crate::server::Server;
use envelope::Envelope;
pub(crate) use envelope::canonical_id;
pub use era::{LEGACY_VERSIONS, MODERN_VERSIONS};
use target::Named;
pub(crate) use target::subscribed_elements;

/// A message that was not admitted, with what could be read of it.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// JSON text of the id, where one was read without doubt.
    pub id: Option<Box<str>>,
    /// Era, where it was clear.
    pub era: Option<Era>,
}

/// How much of a reply is held in memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A JSON body that must be read as a whole: a list, or an answer whose state is sealed. 16 MiB by default.
    pub body: usize,
    /// One SSE event. 4 MiB by default.
    pub event: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: 16 << 20, event: 4 << 20 }
    }
}

/// Reads messages; seals and opens sessions and state; knows which requests a server sent to whom, and whose
/// the tasks of a shared credential are.
///
/// Sessions and state are good at every replica that has the key. The two tables are this process's own: a
/// server's request must be answered, and a task of a shared-credential server asked for, at the replica
/// that passed them on (route by `Mcp-Session-Id` or by caller). What a table lost is refused, never let in.
pub struct Door {
    seal: Seal,
    /// Requests of servers, by the stream they were sent on.
    asked: Bounded,
    /// Tasks of servers with a shared credential, by caller.
    tasks: Bounded,
    limits: Limits,
}

impl Door {
    /// A door whose first key seals; the retired ones only open what they sealed.
    ///
    /// # Errors
    /// [`KeyRefused`] if the cipher does not take a key.
    pub fn new(first: &[u8; 32], retired: &[[u8; 32]]) -> Result<Self, KeyRefused> {
        let seal = Seal::new(first, retired)?;
        Ok(Self { seal, asked: Bounded::default(), tasks: Bounded::default(), limits: Limits::default() })
    }

    /// The same door with other limits on replies.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Parses one message.
    ///
    /// # Errors
    /// Whatever is not one unambiguous message of a supported revision.
    pub fn parse(&self, head: &Head, body: Bytes, who: &Principal, at: &Server) -> Result<Call, Refused> {
        match head.verb {
            Verb::Post => self.message(head, &body, who, at),
            Verb::Get => self.bare(head, Kind::OpenStream, "stream/open", who, at),
            Verb::Delete => self.bare(head, Kind::EndSession, "session/end", who, at),
        }
    }

    /// GET and DELETE: no message, only a head. A modern one passes, without a session: the server answers
    /// 405 (2026-07-28 basic/transports/streamable-http).
    fn bare(
        &self,
        head: &Head,
        kind: Kind,
        name: &str,
        who: &Principal,
        at: &Server,
    ) -> Result<Call, Refused> {
        let era = era::of_head(head).map_err(|reason| Refused { reason, id: None, era: None })?;
        let session = self.session(head, era, who, at).map_err(|reason| Refused {
            reason,
            id: None,
            era: Some(era),
        })?;
        Ok(Call {
            kind,
            era,
            method: methods::method(name),
            target: Target::Server,
            items: Vec::new(),
            body: Bytes::new(),
            arguments: None,
            session,
            traceparent: None,
        })
    }

    fn message(&self, head: &Head, body: &Bytes, who: &Principal, at: &Server) -> Result<Call, Refused> {
        let unread = |reason| Refused { reason, id: None, era: None };
        if body.trim_ascii_start().first() == Some(&b'[') {
            return Err(unread(Reason::Batch));
        }
        let value =
            json::checked(body).map_err(|error| unread(Reason::Malformed(Cow::Owned(error.to_string()))))?;
        let message =
            Object::of(value).ok_or_else(|| unread(envelope::invalid("the message is not an object")))?;
        let id = envelope::id(&message).map_err(unread)?;
        let known = |era: Option<Era>| {
            let id = id.clone();
            move |reason| Refused { reason, id, era }
        };
        let envelope = Envelope::read(&message).map_err(known(None))?;
        let (era, doubt) = era::of_message(head, &envelope);
        if let Some(reason) = doubt {
            return Err(known(Some(era))(reason));
        }
        self.call(head, body, &envelope, era, who, at).map_err(known(Some(era)))
    }

    fn call(
        &self,
        head: &Head,
        body: &Bytes,
        envelope: &Envelope<'_>,
        era: Era,
        who: &Principal,
        at: &Server,
    ) -> Result<Call, Reason> {
        let named = target::named(envelope)?;
        if era == Era::Modern {
            mirror::check(head, envelope, &named, at)?;
        }
        let session = self.session(head, era, who, at)?;
        self.check_response(envelope, session.as_ref(), who, at)?;
        self.check_tasks(&named, who, at)?;
        let mut edits = Vec::new();
        if era == Era::Legacy {
            edits.extend(envelope.per_hop_cuts());
        }
        edits.extend(self.opened_state(envelope, era, &named, who, at)?);
        let arguments = named.arguments.map(|range| {
            let before = edits.iter().filter(|edit| edit.range.end <= range.start);
            let (cut, put) =
                before.fold((0, 0), |(cut, put), edit| (cut + edit.range.len(), put + edit.with.len()));
            range.start + put - cut..range.end + put - cut
        });
        Ok(Call {
            kind: envelope.kind.clone(),
            era,
            method: envelope.method.clone(),
            target: named.target,
            items: named.items,
            body: edited(body, edits),
            arguments,
            session,
            traceparent: envelope.traceparent(),
        })
    }

    /// The server's own session id. The modern era has no sessions: a header is ignored (2026-07-28).
    fn session(
        &self,
        head: &Head,
        era: Era,
        who: &Principal,
        at: &Server,
    ) -> Result<Option<HeaderValue>, Reason> {
        let Some(sealed) = head.session.as_ref().filter(|_| era == Era::Legacy) else { return Ok(None) };
        self.seal
            .open(Purpose::Session, who, at, sealed.as_bytes())
            .and_then(|id| HeaderValue::from_bytes(&id).ok())
            .map(Some)
            .ok_or(Reason::UnknownSession)
    }

    /// Seals the session id that a server gave to this caller.
    pub(crate) fn sealed_session(
        &self,
        id: &HeaderValue,
        who: &Principal,
        at: &Server,
    ) -> Option<HeaderValue> {
        let sealed = self.seal.seal(Purpose::Session, who, at, id.as_bytes())?;
        HeaderValue::try_from(sealed).ok()
    }

    /// Seals the `requestState` (as written between its quotes) that a server gave to this caller.
    pub(crate) fn sealed_state(
        &self,
        call: &Call,
        raw: &str,
        who: &Principal,
        at: &Server,
    ) -> Option<String> {
        let purpose = Purpose::State(call.method.name(), call.target.name().unwrap_or_default());
        self.seal.seal(purpose, who, at, raw.as_bytes())
    }

    /// Where the server cannot tell callers apart, the state that it gave is opened only for the caller it was
    /// given to, for the method and target that it was given on. Elsewhere it passes as it is.
    fn opened_state(
        &self,
        envelope: &Envelope<'_>,
        era: Era,
        named: &Named,
        who: &Principal,
        at: &Server,
    ) -> Result<Option<Edit>, Reason> {
        if era == Era::Legacy || !at.shared_credential {
            return Ok(None);
        }
        let Some(state) = envelope.param("requestState") else {
            return Ok(None);
        };
        let purpose = Purpose::State(envelope.method.name(), named.target.name().unwrap_or_default());
        let raw = state
            .string()
            .and_then(|sealed| self.seal.open(purpose, who, at, sealed.as_bytes()))
            .ok_or(Reason::ForeignState("requestState"))?;
        Ok(Some(Edit::new(state.range(), [b"\"", &raw[..], b"\""].concat())))
    }

    /// Notes that the server sent the request with this id (its canonical text) to this caller.
    pub(crate) fn note_request(&self, id: &str, session: Option<&HeaderValue>, who: &Principal, at: &Server) {
        self.asked.note(stream(session, who, at), id);
    }

    /// A response must answer a request that the server sent to this caller, on this session if there is one.
    fn check_response(
        &self,
        envelope: &Envelope<'_>,
        session: Option<&HeaderValue>,
        who: &Principal,
        at: &Server,
    ) -> Result<(), Reason> {
        match &envelope.answers {
            Some(id) if !self.asked.knows(stream(session, who, at), &**id) => Err(Reason::UnexpectedResponse),
            _ => Ok(()),
        }
    }

    /// Notes that the task was made for this caller.
    pub(crate) fn note_task(&self, task: &str, who: &Principal, at: &Server) {
        self.tasks.note(owner(who, at), task);
    }

    /// Whether the task may be this caller's: always, where the server can tell callers apart itself.
    pub(crate) fn owns_task(&self, task: &str, who: &Principal, at: &Server) -> bool {
        !at.shared_credential || self.tasks.knows(owner(who, at), task)
    }

    fn check_tasks(&self, named: &Named, who: &Principal, at: &Server) -> Result<(), Reason> {
        let all = std::iter::once(&named.target).chain(&named.items);
        for target in all {
            if let Target::Task(task) = target
                && !self.owns_task(task, who, at)
            {
                return Err(Reason::ForeignState("task"));
            }
        }
        Ok(())
    }
}

fn stream<'a>(
    session: Option<&'a HeaderValue>,
    who: &'a Principal,
    at: &'a Server,
) -> impl std::hash::Hash + use<'a> {
    (session.map(HeaderValue::as_bytes), owner(who, at))
}

fn owner<'a>(who: &'a Principal, at: &'a Server) -> (&'a str, &'a str, &'a str) {
    (&at.name, &who.issuer_url, &who.subject)
}

impl Method {
    /// The method of a message. The names that stand for HTTP methods and responses are not methods of messages.
    fn of_message(name: &str) -> Result<Self, Reason> {
        if matches!(name, "stream/open" | "session/end" | "response") {
            return Err(Reason::UnknownMethod(name.to_owned()));
        }
        Ok(methods::method(name))
    }
}
