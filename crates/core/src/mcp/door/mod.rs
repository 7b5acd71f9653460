//! From bytes to a [`Call`], once and without ambiguity.

mod belongings;
mod envelope;
mod era;
mod mirror;
mod pages;
#[cfg(test)]
mod readers;
mod target;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::bounded::Bounded;
use super::json::{self, Object, edited};
use super::methods::{self, Method};
use super::seal::{KeyRefused, Seal};
use super::{Call, Era, Head, Kind, Target, Verb};
use crate::caller::Principal;
use crate::refusal::Reason;
use crate::revocation::Revocations;
use crate::server::Server;
use envelope::Envelope;
pub(crate) use envelope::canonical_id;
pub use era::{LEGACY_VERSIONS, MODERN_VERSIONS};
pub use pages::PAGE;
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
    /// What is older than a revocation of its caller has ended.
    revocations: Arc<Revocations>,
    limits: Limits,
}

impl Door {
    /// A door whose first key seals; the retired ones only open what they sealed.
    ///
    /// # Errors
    /// [`KeyRefused`] if the cipher does not take a key.
    pub fn new(first: &[u8; 32], retired: &[[u8; 32]]) -> Result<Self, KeyRefused> {
        let seal = Seal::new(first, retired)?;
        Ok(Self {
            seal,
            asked: Bounded::default(),
            tasks: Bounded::default(),
            revocations: Arc::default(),
            limits: Limits::default(),
        })
    }

    /// The same door under this ledger of revocations.
    #[must_use]
    pub fn with_revocations(mut self, revocations: Arc<Revocations>) -> Self {
        self.revocations = revocations;
        self
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
            opens_pages: session.as_ref().is_some_and(|session| session.opens_pages),
            page_refused: false,
            session: session.map(|session| session.id),
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
        // What is no message at all is refused in the words of the era that its header names.
        let envelope = Envelope::read(&message).map_err(known(era::of_head(head).ok()))?;
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
        if era == Era::Modern && envelope.method.is_removed() && matches!(envelope.kind, Kind::Request(_)) {
            return Err(Reason::UnknownMethod(envelope.method.name().to_owned()));
        }
        let named = target::named(envelope)?;
        if era == Era::Modern {
            mirror::check(head, envelope, &named, at)?;
        }
        let session = self.session(head, era, who, at)?;
        self.check_response(envelope, session.as_ref().map(|session| &session.id), who, at)?;
        self.check_tasks(&named, who, at)?;
        let mut edits = Vec::new();
        if era == Era::Legacy {
            edits.extend(envelope.per_hop_cuts());
        }
        edits.extend(self.opened_state(envelope, era, &named, who, at)?);
        let page = pages::Answer::read(envelope, era);
        edits.extend(page.cuts);
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
            opens_pages: pages::declared(envelope, era)
                || session.as_ref().is_some_and(|session| session.opens_pages),
            page_refused: page.refused,
            session: session.map(|session| session.id),
            traceparent: envelope.traceparent(),
        })
    }
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
