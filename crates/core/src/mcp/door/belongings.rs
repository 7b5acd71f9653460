//! What belongs to one caller only: sessions, state, tasks, and requests that a server sent them.

use http::HeaderValue;

use super::Door;
use super::envelope::Envelope;
use super::target::Named;
use crate::caller::Principal;
use crate::mcp::json::Edit;
use crate::mcp::seal::{Purpose, Sealed};
use crate::mcp::{Call, Era, Head, Target};
use crate::refusal::Reason;
use crate::revocation::Birth;
use crate::server::Server;
use crate::time::Timestamp;

/// A session as it was opened.
pub(super) struct Session {
    /// The server's own id.
    pub(super) id: HeaderValue,
    /// Its client opens pages that it is asked to.
    pub(super) opens_pages: bool,
}

impl Door {
    /// The session. The modern era has none: a header is ignored (2026-07-28). One from before a revocation of its
    /// caller is unknown.
    pub(super) fn session(
        &self,
        head: &Head,
        era: Era,
        who: &Principal,
        at: &Server,
    ) -> Result<Option<Session>, Reason> {
        let Some(sealed) = head.session.as_ref().filter(|_| era == Era::Legacy) else { return Ok(None) };
        let opened = self.seal.open(Purpose::Session, who, at, sealed.as_bytes());
        let living = opened.filter(|opened| !self.revocations.ended(who, opened.birth));
        let session = living.and_then(|opened| {
            let id = HeaderValue::from_bytes(&opened.value).ok()?;
            Some(Session { id, opens_pages: opened.opens_pages })
        });
        session.map(Some).ok_or(Reason::UnknownSession)
    }

    /// Seals the session id that a server gave to this caller, in answer to a call that came at `now`.
    pub(crate) fn sealed_session(
        &self,
        call: &Call,
        id: &HeaderValue,
        who: &Principal,
        at: &Server,
        now: Timestamp,
    ) -> Option<HeaderValue> {
        let value = id.as_bytes().into();
        let what = Sealed { value, birth: Birth::of(who, now), opens_pages: call.opens_pages };
        let sealed = self.seal.seal(Purpose::Session, who, at, &what)?;
        HeaderValue::try_from(sealed).ok()
    }

    /// Seals the `requestState` (as written between its quotes) that a server gave to this caller.
    pub(crate) fn sealed_state(
        &self,
        call: &Call,
        raw: &str,
        who: &Principal,
        at: &Server,
        now: Timestamp,
    ) -> Option<String> {
        let purpose = Purpose::State(call.method.name(), call.target.name().unwrap_or_default());
        let value = raw.as_bytes().into();
        let what = Sealed { value, birth: Birth::of(who, now), opens_pages: false };
        self.seal.seal(purpose, who, at, &what)
    }

    /// Where the server cannot tell callers apart, the state that it gave is opened only for the caller it was
    /// given to, for the method and target that it was given on. Elsewhere it passes as it is.
    pub(super) fn opened_state(
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
            .filter(|opened| !self.revocations.ended(who, opened.birth))
            .ok_or(Reason::ForeignState("requestState"))?;
        Ok(Some(Edit::new(state.range(), [b"\"", &*raw.value, b"\""].concat())))
    }

    /// Notes that the server sent the request with this id (its canonical text) to this caller.
    pub(crate) fn note_request(
        &self,
        id: &str,
        session: Option<&HeaderValue>,
        who: &Principal,
        at: &Server,
        now: Timestamp,
    ) {
        self.asked.note(stream(session, who, at), id, Birth::of(who, now));
    }

    /// A response must answer a request that the server sent to this caller, on this session if there is one.
    pub(super) fn check_response(
        &self,
        envelope: &Envelope<'_>,
        session: Option<&HeaderValue>,
        who: &Principal,
        at: &Server,
    ) -> Result<(), Reason> {
        let living = |id: &str| {
            let noted = self.asked.knows(stream(session, who, at), id);
            noted.is_some_and(|birth| !self.revocations.ended(who, birth))
        };
        match &envelope.answers {
            Some(id) if !living(id) => Err(Reason::UnexpectedResponse),
            _ => Ok(()),
        }
    }

    /// Notes that the task was made for this caller.
    pub(crate) fn note_task(&self, task: &str, who: &Principal, at: &Server, now: Timestamp) {
        self.tasks.note(owner(who, at), task, Birth::of(who, now));
    }

    /// Whether the task may be this caller's: always, where the server can tell callers apart itself.
    pub(crate) fn owns_task(&self, task: &str, who: &Principal, at: &Server) -> bool {
        let living = || {
            let noted = self.tasks.knows(owner(who, at), task);
            noted.is_some_and(|birth| !self.revocations.ended(who, birth))
        };
        !at.shared_credential || living()
    }

    pub(super) fn check_tasks(&self, named: &Named, who: &Principal, at: &Server) -> Result<(), Reason> {
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
