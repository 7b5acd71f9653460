//! Asks the MCP server. Takes an [`Outbound`] and nothing else: there is no way here without a decision.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use safeconduct_core::mcp::{Call, Era, Verb};
use safeconduct_core::path::{Moved, Outbound, Reply};
use safeconduct_core::refusal::Reason;
use safeconduct_identity::acquire::Credentials;

use crate::pool::{Lease, Pool};

/// The MCP servers, as one worker thread reaches them.
#[derive(Clone)]
pub struct Upstream {
    pool: Arc<Pool>,
}

impl Upstream {
    /// Over this worker's connections.
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool }
    }

    /// Sends; a refused credential is renewed and the call resent once, and so is one whose proof lacks the server's
    /// nonce, with that. `patience` bounds the wait for the
    /// answer's head.
    ///
    /// # Errors
    /// Those of the backend (`SC-B..`), and of the renewal (`SC-C..`).
    pub async fn send(
        &self,
        mut outbound: Outbound,
        credentials: &Credentials,
        patience: Duration,
    ) -> Moved<Reply<ServerBody>> {
        let (mut renewed, mut proven_again) = (false, false);
        loop {
            let started = outbound.now();
            let response = match self.ask(&outbound, patience).await {
                Ok(response) => response,
                Err(reason) => return Err(outbound.refuse(reason)),
            };
            let status = response.status();
            outbound.note_backend(status.as_u16(), started);
            if outbound.is_challenged(status, response.headers()) && !proven_again {
                proven_again = true;
                continue;
            }
            if status == StatusCode::UNAUTHORIZED && !renewed {
                renewed = true;
                let now = outbound.now();
                outbound = Box::pin(credentials.renew(outbound, now)).await?;
                continue;
            }
            return match unusable(&response, outbound.authorized().call(), outbound.authorized().verb()) {
                Some(reason) => Err(outbound.refuse(reason)),
                None => Ok(outbound.answered(response)),
            };
        }
    }

    async fn ask(&self, outbound: &Outbound, patience: Duration) -> Result<Response<ServerBody>, Reason> {
        let answer = tokio::time::timeout(patience, self.exchange(outbound)).await;
        answer.unwrap_or(Err(Reason::BackendTimeout))
    }

    /// One request, one answer. A pooled connection that turns out to be closed is replaced: silently when
    /// nothing was written to it, and else only for calls that may be repeated (checklist D4).
    async fn exchange(&self, outbound: &Outbound) -> Result<Response<ServerBody>, Reason> {
        let url = outbound.authorized().server().url.clone();
        let mut lease = self.pool.lease(&url).await?;
        loop {
            let request = addressed(outbound.request(), &url)?;
            let error = match lease.sender.try_send_request(request).await {
                Ok(response) => return Ok(response.map(|body| self.body(body, lease))),
                Err(error) => error,
            };
            let unsent = error.message().is_some();
            let repeatable = unsent || may_repeat(outbound.authorized().call());
            if !lease.used || !repeatable {
                return Err(Reason::BackendUnreachable(error.error().to_string()));
            }
            lease = self.pool.fresh(&url).await?;
        }
    }

    fn body(&self, incoming: Incoming, lease: Lease) -> ServerBody {
        let mut body = ServerBody { incoming, lease: Some((self.pool.clone(), lease)) };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }
}

/// What may be sent twice without harm: it reads, or only opens.
fn may_repeat(call: &Call) -> bool {
    matches!(call.method().name(), "server/discover" | "initialize" | "ping" | "stream/open")
        || call.method().name().ends_with("/list")
}

/// The server's answers that do not reach the caller, as reasons.
fn unusable(response: &Response<ServerBody>, call: &Call, verb: Verb) -> Option<Reason> {
    let status = response.status();
    match status.as_u16() {
        200..=299 => None,
        401 | 403 => Some(Reason::BackendRefusedCredential(status.as_u16())),
        405 if verb != Verb::Post => None,
        404 if call.era() == Era::Legacy && call.session().is_some() => Some(Reason::UnknownSession),
        400..=499 if is_json(response) => None,
        other => Some(Reason::BackendStatus(other)),
    }
}

fn is_json(response: &Response<ServerBody>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(b"application/json"))
}

/// Origin form and Host, as a connection wants it (RFC 9112 §3.2).
fn addressed(request: Request<Bytes>, url: &http::Uri) -> Result<Request<Full<Bytes>>, Reason> {
    let (mut parts, body) = request.into_parts();
    let path = url.path_and_query().cloned();
    parts.uri = path.map_or_else(|| http::Uri::from_static("/"), http::Uri::from);
    let authority = url.authority().map_or("", http::uri::Authority::as_str);
    let host = HeaderValue::from_str(authority)
        .map_err(|_| Reason::Internal("the server's url has no usable authority".into()))?;
    parts.headers.insert(header::HOST, host);
    Ok(Request::from_parts(parts, Full::new(body)))
}

/// The server's answer as it streams in. Read to its end, its connection goes back to the pool; dropped
/// before, the connection is closed, which the server sees at once.
pub struct ServerBody {
    incoming: Incoming,
    lease: Option<(Arc<Pool>, Lease)>,
}

impl ServerBody {
    fn give_back(&mut self) {
        if let Some((pool, lease)) = self.lease.take() {
            pool.give_back(lease);
        }
    }
}

impl Body for ServerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            Some(Err(_)) => self.lease = None,
            Some(Ok(_)) if !self.incoming.is_end_stream() => {}
            _ => self.give_back(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
