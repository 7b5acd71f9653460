//! From a connection's requests to the path and back: routes, preflights, metadata, and the life of answers.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use safeconduct_core::audit::{Sink, Trail};
use safeconduct_core::mcp::Verb;
use safeconduct_core::mcp::filter::Asked;
use safeconduct_core::path::Released;
use safeconduct_core::refusal::Reason;
use tokio::sync::watch;

use crate::answer::{recorded, respond};
use crate::body::ResponseBody;
use crate::cors;
use crate::entrance::Route;
use crate::gateway::{From, Gateway, early};
use crate::logout::Logouts;
use crate::recorded::Recorded;
use crate::sink::{FileSink, Flush, NotDurable};
use crate::stream::{Stream, Terms};
use crate::upstream::{ServerBody, Upstream};

/// What all worker threads share.
pub struct Shared {
    /// The plan at work; swapped whole on reload.
    pub gateway: ArcSwap<Gateway>,
    /// The audit log: whether there is room for another record, and whether the last ones are on disk.
    pub audit: Arc<FileSink>,
    /// Where trails end: the log, and who else counts or shows records.
    pub sink: Arc<dyn Sink>,
    /// Turns true when the gateway drains.
    pub drain: watch::Receiver<bool>,
    /// Counts the times that lists changed because policies did.
    pub lists: watch::Receiver<u64>,
    /// Where issuers say that logins have ended.
    pub logouts: Logouts,
}

/// One worker thread's view.
pub struct Service {
    /// Common to all.
    pub shared: Arc<Shared>,
    /// This worker's connections to MCP servers.
    pub upstream: Upstream,
}

impl Service {
    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub async fn answer(&self, peer: SocketAddr, request: Request<Incoming>) -> Response<ResponseBody> {
        let shared = &self.shared;
        let id = crate::request_id::next(shared.sink.now());
        let trail = Trail::open(shared.sink.clone(), id);
        let gateway = shared.gateway.load_full();
        if let Err(reason) = gateway.entrance.host(request.headers(), request.uri()) {
            return respond(early(trail, reason), None);
        }
        let origin = match gateway.entrance.origin(request.headers()) {
            Ok(origin) => origin.cloned(),
            Err(reason) => return respond(early(trail, reason), None),
        };
        let mut response = self.route(&gateway, peer, request, trail).await;
        if let Some(origin) =
            origin.filter(|_| !response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN))
        {
            cors::actual(&origin, response.headers_mut());
        }
        if !response.headers().contains_key("x-request-id")
            && let Ok(id) = HeaderValue::from_bytes(&id)
        {
            response.headers_mut().insert("x-request-id", id);
        }
        response
    }

    async fn route(
        &self,
        gateway: &Gateway,
        peer: SocketAddr,
        request: Request<Incoming>,
        trail: Trail,
    ) -> Response<ResponseBody> {
        let preflight = request.method() == Method::OPTIONS;
        match gateway.entrance.route(request.uri().path()) {
            Route::None => respond(early(trail, Reason::NoSuchServer), None),
            Route::Server(_) if preflight => preflighted(&request, trail),
            Route::Metadata(_) if preflight => metadata_preflight(trail),
            Route::Metadata(document) => match *request.method() {
                Method::GET | Method::HEAD => metadata(document.clone(), trail),
                _ => respond(early(trail, Reason::MethodNotAllowed), None),
            },
            Route::Logout(issuer) => {
                let source = gateway.entrance.source(peer, request.headers());
                self.shared.logouts.answer(&gateway.verifier, issuer, source, request, trail).await
            }
            Route::Server(server) => {
                let server = server.clone();
                let source = gateway.entrance.source(peer, request.headers());
                match self.acceptable(&request) {
                    Ok(verb) => {
                        let from = From { source, verb, server };
                        self.call(gateway, from, request, trail).await
                    }
                    Err(reason) => {
                        let mut trail = trail;
                        trail.note(|record| {
                            record.server = Some(server);
                            record.source_ip = Some(source);
                        });
                        respond(early(trail, reason), None)
                    }
                }
            }
        }
    }

    /// What can be said of a request by its head alone.
    fn acceptable(&self, request: &Request<Incoming>) -> Result<Verb, Reason> {
        if *self.shared.drain.borrow() {
            return Err(Reason::ShuttingDown);
        }
        if !self.shared.audit.room() {
            return Err(Reason::AuditUnavailable);
        }
        let verb = match *request.method() {
            Method::POST => Verb::Post,
            Method::GET => Verb::Get,
            Method::DELETE => Verb::Delete,
            _ => return Err(Reason::MethodNotAllowed),
        };
        if request.uri().query().is_some_and(names_a_token) {
            return Err(Reason::BadHead("a token in the query is not accepted; send Authorization".into()));
        }
        let accepts_events = request.headers().get_all(header::ACCEPT).iter().any(|value| {
            let value = value.as_bytes();
            contains(value, b"text/event-stream") || contains(value, b"*/*") || contains(value, b"text/*")
        });
        if verb == Verb::Get && !accepts_events {
            return Err(Reason::BadHead("GET opens a stream: Accept must name text/event-stream".into()));
        }
        let json = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| is_json(kind.as_bytes()));
        if verb == Verb::Post && !json {
            return Err(Reason::BadHead("Content-Type must be application/json".into()));
        }
        if request.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(Reason::BadHead("compressed bodies are not accepted".into()));
        }
        Ok(verb)
    }

    async fn call(
        &self,
        gateway: &Gateway,
        from: From,
        request: Request<Incoming>,
        trail: Trail,
    ) -> Response<ResponseBody> {
        let verb = from.verb;
        match gateway.serve(from, request, &self.upstream, trail).await {
            Ok(released) => self.released(gateway, released, verb).await,
            Err(refusal) => {
                let asked =
                    Asked { id: refusal.id.clone(), modern: refusal.modern, request: refusal.trail.id() };
                let response = respond(refusal, Some(verb));
                match self.shared.audit.settle().await {
                    Ok(()) => response,
                    Err(NotDurable) => recorded(&Reason::AuditUnavailable, &asked),
                }
            }
        }
    }

    async fn released(
        &self,
        gateway: &Gateway,
        released: Released<ServerBody>,
        verb: Verb,
    ) -> Response<ResponseBody> {
        let caller = released.caller().clone();
        let (era, listens) = (released.era(), released.listens());
        let (parts, mut body) = released.into_response().into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let events = kind.is_some_and(|kind| contains(kind, b"text/event-stream"));
        let now = self.shared.sink.now();
        let place = match events.then(|| gateway.limits.stream(&caller, now)) {
            // Others took the last places since there was room for this one.
            Some(Err(reason)) if listens || verb == Verb::Get => {
                let asked = body.asked();
                return match body.into_refusal(reason.clone()) {
                    Some(refusal) => respond(refusal, Some(verb)),
                    None => recorded(&reason, &asked),
                };
            }
            // What was done is told, also to a caller with many streams: the place is only not counted.
            Some(taken) => taken.ok(),
            None => None,
        };
        let terms = Terms {
            lifetimes: gateway.lifetimes,
            caller,
            revoked: gateway.revoked.clone(),
            now,
            era,
            verb,
            listens,
            drain: self.shared.drain.clone(),
            lists: self.lists_from_now_on(),
            place,
        };
        let recorded_first = self.shared.audit.settings().flush == Flush::BeforeAnswer;
        if events && recorded_first {
            body.record_before_answer();
            let stream = Recorded::new(Stream::new(body, events, terms), self.shared.audit.clone());
            return Response::from_parts(parts, ResponseBody::Recorded(Box::new(stream)));
        }
        if !recorded_first {
            return Response::from_parts(
                parts,
                ResponseBody::Stream(Box::new(Stream::new(body, events, terms))),
            );
        }
        let asked = body.asked();
        let stream = Stream::new(body, events, terms);
        let Ok(whole) = Box::pin(stream.whole()).await else {
            return recorded(&Reason::BadBackendAnswer("the answer broke off".into()), &asked);
        };
        match self.shared.audit.settle().await {
            Ok(()) => Response::from_parts(parts, ResponseBody::whole(whole)),
            // What was to be on disk first is not: the answer stays here.
            Err(NotDurable) => recorded(&Reason::AuditUnavailable, &asked),
        }
    }

    fn lists_from_now_on(&self) -> watch::Receiver<u64> {
        let mut lists = self.shared.lists.clone();
        lists.mark_unchanged();
        lists
    }
}

fn metadata(document: bytes::Bytes, trail: Trail) -> Response<ResponseBody> {
    let length = document.len() as u64;
    let mut response = Response::new(ResponseBody::whole(document));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    aside(trail, "metadata", length);
    response
}

fn metadata_preflight(trail: Trail) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Whole(None));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("MCP-Protocol-Version"));
    aside(trail, "preflight", 0);
    response
}

/// The Origin was checked before; without one it is no preflight.
fn preflighted(request: &Request<Incoming>, trail: Trail) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Whole(None));
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        cors::preflight(origin, asked, response.headers_mut());
    }
    aside(trail, "preflight", 0);
    response
}

/// Records a request that is no call.
fn aside(mut trail: Trail, what: &str, bytes: u64) {
    trail.note(|record| record.method = Some(what.into()));
    trail.answered(bytes);
}

/// RFC 6750 §2.3 names it `access_token`; people also try others.
fn names_a_token(query: &str) -> bool {
    query.split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        ["access_token", "token", "bearer", "authorization"]
            .iter()
            .any(|token| name.eq_ignore_ascii_case(token))
    })
}

fn is_json(kind: &[u8]) -> bool {
    let kind = kind.split(|&byte| byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

fn contains(value: &[u8], wanted: &[u8]) -> bool {
    value.windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted))
}
