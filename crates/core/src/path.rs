//! The ages of a request, in order: what each proves, and the moves between them.
//!
//! `Arrived -> Authenticated -> Admitted -> Authorized -> Outbound -> Reply -> Released`
//!
//! The head comes first and the body after the caller is known, so that a stranger's four megabytes are
//! never read. There is no other way from one age to the next than the functions of this file.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};

use crate::audit::{DecisionRecord, Trail};
use crate::caller::{Bearer, Principal, SubjectToken, Verified};
use crate::credential::{Credential, Warrant};
use crate::mcp::methods::Method;
use crate::mcp::{Call, Era, Head, Target, Verb, door};
use crate::policy::{Decision, Effect, Policy, Query};
use crate::refusal::{Reason, Refusal};
use crate::server::Server;
use crate::time::Timestamp;

/// What a move gives: the next age, or a refusal with the record it closes.
pub type Moved<T> = Result<T, Box<Refusal>>;

/// A request whose head was read: the bearer is moved out of the headers, and of those only the allowed remain.
pub struct Arrived {
    server: Arc<Server>,
    head: Head,
    bearer: Bearer,
    source_ip: Option<IpAddr>,
    trail: Trail,
}

/// The caller is known and may talk to this server at all.
pub struct Authenticated {
    server: Arc<Server>,
    head: Head,
    principal: Arc<Principal>,
    subject: SubjectToken,
    source_ip: Option<IpAddr>,
    trail: Trail,
}

/// The message was parsed, once and without ambiguity.
pub struct Admitted {
    server: Arc<Server>,
    head: Head,
    call: Call,
    principal: Arc<Principal>,
    subject: SubjectToken,
    source_ip: Option<IpAddr>,
    trail: Trail,
}

/// The call was permitted.
pub struct Authorized {
    admitted: Admitted,
}

/// The call with the credential it leaves with.
pub struct Outbound {
    authorized: Authorized,
    credential: Credential,
}

/// What the server answered, not yet released. `B` is the body as it streams in.
pub struct Reply<B> {
    outbound: Outbound,
    head: http::response::Parts,
    body: B,
}

/// What the caller may see of it. The only thing that a listener sends.
pub struct Released<B> {
    response: http::Response<crate::mcp::filter::Filtered<B>>,
    caller: Arc<Principal>,
    era: Era,
    listens: bool,
}

impl Arrived {
    /// Takes a head apart: moves the bearer out, keeps the allowed headers, ends all others.
    ///
    /// # Errors
    /// `NoToken` without `Authorization`; `BadHead` for two of them, another scheme, an empty or oversized token.
    pub fn from_head(
        server: Arc<Server>,
        verb: Verb,
        mut headers: HeaderMap,
        source_ip: Option<IpAddr>,
        mut trail: Trail,
    ) -> Moved<Self> {
        trail.note(|record| {
            record.server = Some(server.clone());
            record.source_ip = source_ip;
        });
        let bearer = match take_bearer(&mut headers) {
            Ok(bearer) => bearer,
            Err(reason) => return Err(refuse(reason, Asking::default(), trail)),
        };
        let head = allowed(verb, headers);
        if let Some((_, value)) = head.trace.iter().find(|(name, _)| name == "traceparent") {
            trail.note(|record| record.note_traceparent(value.to_str().unwrap_or_default()));
        }
        Ok(Self { server, head, bearer, source_ip, trail })
    }

    /// The token, to be verified.
    pub fn bearer(&self) -> &Bearer {
        &self.bearer
    }

    /// The server it is for.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The caller is who `verified` says, if that is proof for this very token and for this server.
    ///
    /// # Errors
    /// `InvalidToken` when the issuer is not this server's or the token has ended; `WrongAudience`.
    pub fn authenticated(
        self,
        verified: &Verified,
        accepted_audiences: &[Box<str>],
        now: Timestamp,
    ) -> Moved<Authenticated> {
        let principal = verified.principal();
        let reason = if *verified.digest() != self.bearer.digest() {
            Some(Reason::Internal("verified token does not match the presented one".into()))
        } else if now >= principal.expires {
            Some(Reason::InvalidToken("the token has expired".into()))
        } else if !self.server.issuers.contains(&principal.issuer) {
            Some(Reason::InvalidToken("the issuer is not among this server's issuers".into()))
        } else if !audience_fits(verified.audiences(), &self.server.resource, accepted_audiences) {
            Some(Reason::WrongAudience)
        } else {
            None
        };
        let Self { server, head, bearer, source_ip, mut trail } = self;
        if let Some(reason) = reason {
            return Err(refuse(reason, Asking::default(), trail));
        }
        trail.note(|record| record.principal = Some(principal.clone()));
        Ok(Authenticated {
            server,
            head,
            principal: principal.clone(),
            subject: bearer.into_subject(),
            source_ip,
            trail,
        })
    }

    /// Refuses.
    pub fn refuse(self, reason: Reason) -> Box<Refusal> {
        refuse(reason, Asking::default(), self.trail)
    }

    /// Refuses a caller whose login has ended, although the token says otherwise.
    pub fn revoked(mut self, verified: &Verified) -> Box<Refusal> {
        self.trail.note(|record| record.principal = Some(verified.principal().clone()));
        self.refuse(Reason::InvalidToken("the login that it is of was ended".into()))
    }
}

impl Authenticated {
    /// The caller.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// HTTP method of the request.
    pub fn verb(&self) -> Verb {
        self.head.verb
    }

    /// Parses the body, once.
    ///
    /// # Errors
    /// Everything that [`door::Door::parse`] refuses.
    pub fn admit(self, body: Bytes, door: &door::Door) -> Moved<Admitted> {
        let Self { server, head, principal, subject, source_ip, mut trail } = self;
        trail.note(|record| record.bytes_in = body.len() as u64);
        match door.parse(&head, body, &principal, &server) {
            Ok(call) => {
                trail.note(|record| note_call(record, &call, &head));
                Ok(Admitted { server, head, call, principal, subject, source_ip, trail })
            }
            Err(refused) => {
                let modern = refused.era == Some(Era::Modern);
                Err(refuse(refused.reason, Asking { id: refused.id, modern, pages: false }, trail))
            }
        }
    }

    /// Refuses.
    pub fn refuse(self, reason: Reason) -> Box<Refusal> {
        refuse(reason, Asking::default(), self.trail)
    }
}

impl Admitted {
    /// The call.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.trail.now()
    }

    /// The caller.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Refuses.
    pub fn refuse(self, reason: Reason) -> Box<Refusal> {
        let call = &self.call;
        let asking = Asking {
            id: call.id().map(Into::into),
            modern: call.era == Era::Modern,
            pages: call.takes_pages(),
        };
        refuse(reason, asking, self.trail)
    }
}

impl Policy {
    /// May they: scopes first (a step-up can mend those), then the policies.
    ///
    /// # Errors
    /// `UnknownMethod`, `InsufficientScope`, `Denied`, `PolicyError`, `AmbiguousArgument`, `Quarantined`.
    pub fn authorize(&self, mut admitted: Admitted, now: Timestamp) -> Moved<Authorized> {
        if let Method::Other(name) = &admitted.call.method
            && !self.names_method(name)
        {
            let reason = Reason::UnknownMethod(name.to_string());
            return Err(admitted.refuse(reason));
        }
        if let Some(needed) = missing_scopes(&admitted) {
            return Err(admitted.refuse(Reason::InsufficientScope(needed)));
        }
        let before = admitted.trail.now();
        let decision = self.decide(&admitted.query(now, &admitted.call.target));
        let micros = admitted.trail.now().since(before).as_micros() as u64;
        admitted.trail.note(|record| {
            record.decision = Some(DecisionRecord {
                permit: decision.effect == Effect::Permit,
                policies: decision.policies.clone(),
                micros: if decision.cached { 0 } else { micros },
            });
        });
        match self.reason(&admitted, decision, now) {
            None => {
                // After the policy: who may not call a tool does not hear of its quarantine.
                if let Some(why) = admitted.server.quarantined(&admitted.call.target, now) {
                    return Err(admitted.refuse(Reason::Quarantined(why)));
                }
                self.narrow(&mut admitted, now);
                Ok(Authorized { admitted })
            }
            Some(reason) => Err(admitted.refuse(reason)),
        }
    }

    /// Whether deciding about this call needs the tool's own hints.
    pub fn reads_hints(&self, admitted: &Admitted) -> bool {
        self.looks_at_hints(&admitted.query(Timestamp::default(), &admitted.call.target))
    }

    /// Takes the items that the caller may not use out of a call that names several (`subscriptions/listen`).
    fn narrow(&self, admitted: &mut Admitted, now: Timestamp) {
        if admitted.call.items.is_empty() {
            return;
        }
        let refused: Vec<Target> = admitted
            .call
            .items
            .iter()
            .filter(|item| self.decide(&admitted.query(now, item)).effect != Effect::Permit)
            .cloned()
            .collect();
        admitted.call.without_items(&refused);
    }

    fn reason(&self, admitted: &Admitted, decision: Decision, now: Timestamp) -> Option<Reason> {
        let hidden = || {
            let by_name =
                matches!(admitted.call.target, Target::Tool(_) | Target::Prompt(_) | Target::Resource(_));
            by_name && !self.may_see(&admitted.query(now, &admitted.call.target))
        };
        match decision.effect {
            Effect::Permit => None,
            Effect::Deny(remedy) => Some(Reason::Denied { hidden: hidden(), remedy }),
            Effect::Error(error) => Some(Reason::PolicyError { hidden: hidden(), error }),
            Effect::Ambiguous(name) => Some(Reason::AmbiguousArgument(name)),
        }
    }
}

impl Admitted {
    /// A question of the gateway's own, asked in the same caller's name and session, with a record of its own.
    /// It goes the same path as any call.
    ///
    /// # Errors
    /// Everything that [`Authenticated::admit`] refuses.
    pub fn aside(&self, method: &'static str, body: Bytes, door: &door::Door, id: [u8; 26]) -> Moved<Self> {
        let modern = self.call.era == Era::Modern;
        let head = Head {
            verb: Verb::Post,
            accept: None,
            protocol_version: self.head.protocol_version.clone(),
            mcp_method: modern.then(|| HeaderValue::from_static(method)),
            mcp_name: None,
            mcp_params: Vec::new(),
            session: self.head.session.clone(),
            last_event_id: None,
            trace: self.head.trace.clone(),
        };
        let mut trail = self.trail.beside(id);
        trail.note(|record| {
            record.server = Some(self.server.clone());
            record.source_ip = self.source_ip;
            record.principal = Some(self.principal.clone());
        });
        let asking = Authenticated {
            server: self.server.clone(),
            head,
            principal: self.principal.clone(),
            subject: self.subject.clone(),
            source_ip: self.source_ip,
            trail,
        };
        asking.admit(body, door)
    }

    fn query<'a>(&'a self, now: Timestamp, target: &'a Target) -> Query<'a> {
        let arguments = self.call.arguments.clone().and_then(|range| self.call.body.get(range));
        Query {
            principal: &self.principal,
            server: &self.server,
            action: self.call.method.name(),
            target,
            arguments,
            now,
            source_ip: self.source_ip,
            era: self.call.era,
        }
    }
}

impl Authorized {
    /// What providers take: proof that this caller was permitted this call.
    pub fn warrant(&self) -> Warrant {
        let Admitted { principal, subject, server, .. } = &self.admitted;
        Warrant::new(principal.clone(), subject.clone(), server.clone())
    }

    /// The caller.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.admitted.principal
    }

    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        &self.admitted.server
    }

    /// The call.
    pub fn call(&self) -> &Call {
        &self.admitted.call
    }

    /// HTTP method of the request.
    pub fn verb(&self) -> Verb {
        self.admitted.head.verb
    }

    /// Joins the call with the credential that it leaves with.
    pub fn with(mut self, credential: Credential) -> Outbound {
        self.admitted.trail.note(|record| record.credential = Some(credential.record().clone()));
        Outbound { authorized: self, credential }
    }

    /// Refuses.
    pub fn refuse(self, reason: Reason) -> Box<Refusal> {
        self.admitted.refuse(reason)
    }
}

impl Outbound {
    /// The request as it leaves: built from the decision, never by deleting from the inbound one.
    pub fn request(&self) -> Request<Bytes> {
        let Admitted { server, head, call, trail, .. } = &self.authorized.admitted;
        let mut request = Request::new(call.body.clone());
        *request.uri_mut() = server.url.clone();
        *request.method_mut() = match head.verb {
            Verb::Post => http::Method::POST,
            Verb::Get => http::Method::GET,
            Verb::Delete => http::Method::DELETE,
        };
        let headers = request.headers_mut();
        // RFC 9112 §3.2: as it stands in the URL. Set here, because it is part of what may be signed.
        let authority = server.url.authority().map_or("", http::uri::Authority::as_str);
        if let Ok(host) = HeaderValue::from_str(authority) {
            headers.insert(header::HOST, host);
        }
        if head.verb == Verb::Post {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        call.write_headers(head, headers);
        if let Some(parent) = trail.traceparent().and_then(|parent| HeaderValue::try_from(parent).ok()) {
            headers.insert(HeaderName::from_static("traceparent"), parent);
        }
        self.credential.apply(&mut request, &server.delivery, self.now());
        request
    }

    /// True when the server wants the very same call again, with a proof that holds what this answer says (RFC 9449
    /// §9). It has acted on nothing yet.
    pub fn is_challenged(&self, status: http::StatusCode, headers: &http::HeaderMap) -> bool {
        self.credential.is_challenged(&self.authorized.admitted.server.url, status, headers)
    }

    /// The same call with another credential, after the server refused the first.
    #[must_use]
    pub fn renewed(self, credential: Credential) -> Self {
        self.authorized.with(credential)
    }

    /// The permitted call.
    pub fn authorized(&self) -> &Authorized {
        &self.authorized
    }

    /// The credential in use.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.authorized.admitted.trail.now()
    }

    /// Notes the backend's answer, asked for at `started`, on the record.
    pub fn note_backend(&mut self, status: u16, started: Timestamp) {
        let micros = self.now().since(started).as_micros() as u64;
        self.authorized.admitted.trail.note(|record| {
            record.backend_status = Some(status);
            record.backend_started = Some(started);
            record.backend_micros = Some(micros);
        });
    }

    /// Joins the call with its answer.
    pub fn answered<B>(self, response: http::Response<B>) -> Reply<B> {
        let (head, body) = response.into_parts();
        Reply { outbound: self, head, body }
    }

    /// Refuses.
    pub fn refuse(self, reason: Reason) -> Box<Refusal> {
        self.authorized.refuse(reason)
    }
}

/// The policy, door and stores that a reply is released under.
pub struct Release {
    /// Decides what a list shows.
    pub policy: Arc<Policy>,
    /// Seals session ids and state.
    pub door: Arc<door::Door>,
}

impl Release {
    /// What they may see: lists filtered by the same decision, sessions sealed, foreign headers ended.
    pub fn release<B: http_body::Body<Data = Bytes>>(&self, reply: Reply<B>, now: Timestamp) -> Released<B> {
        let Reply { outbound, head, body } = reply;
        let Admitted { server, head: asked, mut call, principal, source_ip, trail, .. } =
            outbound.authorized.admitted;
        let (caller, era) = (principal.clone(), call.era);
        let listens = call.method.name() == "subscriptions/listen";
        if listens {
            // It may last for hours, and must not hold the buffer that it was read into.
            call.body = Bytes::copy_from_slice(&call.body);
        }
        let sight = crate::mcp::filter::Sight {
            policy: self.policy.clone(),
            door: self.door.clone(),
            principal,
            server,
            source_ip,
            era: call.era,
            now,
        };
        let response = crate::mcp::filter::filtered(sight, &asked, call, head, body, trail);
        Released { response, caller, era, listens }
    }
}

impl<B> Released<B> {
    /// Whom it is released to; a stream ends with the caller's token.
    pub fn caller(&self) -> &Arc<Principal> {
        &self.caller
    }

    /// Protocol era.
    pub fn era(&self) -> Era {
        self.era
    }

    /// True for the answer to `subscriptions/listen`.
    pub fn listens(&self) -> bool {
        self.listens
    }

    /// The response to send.
    pub fn into_response(self) -> http::Response<crate::mcp::filter::Filtered<B>> {
        self.response
    }
}

/// What a refusal's answer must know of the request.
#[derive(Default)]
struct Asking {
    id: Option<Box<str>>,
    modern: bool,
    pages: bool,
}

fn refuse(reason: Reason, asking: Asking, trail: Trail) -> Box<Refusal> {
    let Asking { id, modern, pages } = asking;
    Box::new(Refusal { reason, id, modern, pages, trail })
}

fn note_call(record: &mut crate::audit::Record, call: &Call, head: &Head) {
    record.era = Some(match call.era {
        // The revision, where the caller names it: `initialize` and some clients do not.
        Era::Legacy => {
            let named = head.protocol_version.as_ref().map(HeaderValue::as_bytes);
            door::LEGACY_VERSIONS
                .iter()
                .find(|version| Some(version.as_bytes()) == named)
                .copied()
                .unwrap_or("legacy")
        }
        Era::Modern => "2026-07-28",
    });
    record.method = Some(short(call.method.name()));
    record.target = call.target.name().map(short);
    record.arguments = call.arguments();
    // SEP-414: `_meta.traceparent` outranks the header, which was noted with the head.
    if let Some(traceparent) = call.traceparent() {
        record.note_traceparent(traceparent);
    }
}

/// Names are the caller's choice and may be megabytes; what is kept of them for the record may not.
fn short(name: &str) -> Box<str> {
    const LONGEST: usize = 2048;
    let end = (0..=name.len().min(LONGEST)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    name.get(..end).unwrap_or_default().into()
}

fn audience_fits(token: &[Box<str>], resource: &str, accepted: &[Box<str>]) -> bool {
    token.iter().any(|audience| **audience == *resource || accepted.contains(audience))
}

fn missing_scopes(admitted: &Admitted) -> Option<Vec<String>> {
    let needed = admitted.server.scopes.get(admitted.call.method.name())?;
    let held = &admitted.principal.scopes;
    (!needed.iter().all(|scope| held.contains(scope)))
        .then(|| needed.iter().map(ToString::to_string).collect())
}

const MAX_TOKEN: usize = 16 * 1024;

fn take_bearer(headers: &mut HeaderMap) -> Result<Bearer, Reason> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(Reason::NoToken) };
    if values.next().is_some() {
        return Err(Reason::BadHead("more than one Authorization header".into()));
    }
    let token = match value.as_bytes().split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
        _ => return Err(Reason::InvalidToken("Authorization is not of the Bearer scheme".into())),
    };
    if token.is_empty() || token.len() > MAX_TOKEN {
        return Err(Reason::InvalidToken("the token is empty or longer than 16 KiB".into()));
    }
    let bearer = Bearer::new(token.to_vec());
    headers.remove(header::AUTHORIZATION);
    Ok(bearer)
}

fn allowed(verb: Verb, headers: HeaderMap) -> Head {
    let mut head = Head {
        verb,
        accept: None,
        protocol_version: None,
        mcp_method: None,
        mcp_name: None,
        mcp_params: Vec::new(),
        session: None,
        last_event_id: None,
        trace: Vec::new(),
    };
    let mut current = None;
    for (name, value) in headers {
        if name.is_some() {
            current = name;
        }
        let Some(name) = &current else { continue };
        match name.as_str() {
            "accept" => head.accept = Some(value),
            "mcp-protocol-version" => head.protocol_version = Some(value),
            "mcp-method" => head.mcp_method = Some(value),
            "mcp-name" => head.mcp_name = Some(value),
            "mcp-session-id" => head.session = Some(value),
            "last-event-id" => head.last_event_id = Some(value),
            "traceparent" | "tracestate" | "baggage" => head.trace.push((name.clone(), value)),
            other if other.starts_with("mcp-param-") => head.mcp_params.push((name.clone(), value)),
            _ => {}
        }
    }
    head
}
