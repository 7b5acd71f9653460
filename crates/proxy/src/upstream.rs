//! Asks the MCP server. Takes an [`Outbound`] and nothing else: there is no way here without a decision.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use safeconduct_core::challenge::Refused;
use safeconduct_core::mcp::{Call, Era, Verb};
use safeconduct_core::path::{Moved, Outbound, Reply};
use safeconduct_core::refusal::Reason;
use safeconduct_core::server::Delivery;
use safeconduct_identity::acquire::Credentials;

use crate::berth::Berths;
use crate::listening::{self, Listening};
use crate::pool::{Lease, Place, Pool};
use crate::revoked::{ENDED, Revoked};
use crate::signed::{self, Then, Tried};

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
    /// nonce, with that, and one that was signed by the wrong clock. Where the server wants a better login, one is asked
    /// for once. `patience` bounds the wait for the answer's head, and
    /// so does a revocation of the caller.
    ///
    /// # Errors
    /// Those of the backend (`SC-B..`), of a refused signature (`SC-G05`), and of the renewal (`SC-C..`); `InvalidToken`
    /// for a revoked caller.
    pub async fn send(
        &self,
        mut outbound: Outbound,
        credentials: &Credentials,
        berths: &dyn Berths,
        revoked: &Revoked,
        patience: Duration,
    ) -> Moved<Reply<ServerBody>> {
        let (mut renewed, mut resent, mut met) = (false, false, false);
        loop {
            let started = outbound.now();
            let response = match self.ask(&outbound, berths, revoked, patience).await {
                Ok(response) => response,
                Err(reason) => return Err(outbound.refuse(reason)),
            };
            outbound.note_backend(response.status().as_u16(), started);
            if outbound.is_challenged(response.status(), response.headers()) && !resent {
                resent = true;
                continue;
            }
            match refused(&outbound, &response) {
                Refused::Challenge(challenge) if !met => {
                    met = true;
                    let now = outbound.now();
                    outbound = Box::pin(credentials.meet(outbound, challenge, now)).await?;
                    continue;
                }
                Refused::Challenge(challenge) => return Err(outbound.refuse(challenge.into())),
                // Another credential would be the same: this one stays (edge case 66).
                Refused::Scope | Refused::Other => {
                    let status = response.status().as_u16();
                    return Err(outbound.refuse(Reason::BackendRefusedCredential(status)));
                }
                Refused::Credential => {}
            }
            let response = match signed::then(&outbound, response, started, Tried { renewed, resent }).await {
                Then::Keep(response) => response,
                Then::Renew => {
                    renewed = true;
                    let now = outbound.now();
                    outbound = Box::pin(credentials.renew(outbound, now)).await?;
                    continue;
                }
                Then::Resend => {
                    resent = true;
                    continue;
                }
                Then::Refuse(reason) => return Err(outbound.refuse(reason)),
            };
            return match unusable(&response, outbound.authorized().call(), outbound.authorized().verb()) {
                Some(reason) => Err(outbound.refuse(reason)),
                None => Ok(outbound.answered(response)),
            };
        }
    }

    async fn ask(
        &self,
        outbound: &Outbound,
        berths: &dyn Berths,
        revoked: &Revoked,
        patience: Duration,
    ) -> Result<Response<ServerBody>, Reason> {
        tokio::select! {
            biased;
            // First: a login that ended since its credential was acquired sends nothing, and what the server says to it
            // is nobody's to hear.
            () = revoked.ends(outbound.authorized().principal()) => Err(Reason::InvalidToken(ENDED.into())),
            answer = tokio::time::timeout(patience, self.exchange(outbound, berths)) => {
                answer.unwrap_or(Err(Reason::BackendTimeout))
            }
        }
    }

    /// One request, one answer. A pooled connection that turns out to be closed is replaced: silently when
    /// nothing was written to it, and else only for calls that may be repeated (checklist D4).
    async fn exchange(
        &self,
        outbound: &Outbound,
        berths: &dyn Berths,
    ) -> Result<Response<ServerBody>, Reason> {
        let server = outbound.authorized().server();
        let url = &server.url;
        // Boxed: servers that run elsewhere need no room for it.
        let berth = if server.started { Some(Box::pin(berths.reach(outbound)).await?) } else { None };
        let place = berth.as_deref().map_or(Place::Url(url), Place::Berth);
        if listens(outbound.authorized().call()) {
            return Box::pin(self.listen(outbound, place)).await;
        }
        let mut lease = self.pool.lease(place).await?;
        loop {
            let request = in_origin_form(outbound.request()).map(Full::new);
            let error = match lease.sender.try_send_request(request).await {
                Ok(response) => return Ok(response.map(|body| self.body(body, lease))),
                Err(error) => error,
            };
            let unsent = error.message().is_some();
            let repeatable = unsent || may_repeat(outbound.authorized().call());
            if !lease.used || !repeatable {
                return Err(Reason::BackendUnreachable(error.error().to_string()));
            }
            lease = self.pool.fresh(place).await?;
        }
    }

    /// The connection is new, so there is none that may turn out to be closed.
    async fn listen(&self, outbound: &Outbound, place: Place<'_>) -> Result<Response<ServerBody>, Reason> {
        let request = in_origin_form(outbound.request());
        let answer = listening::ask(self.pool.own(place).await?, request).await?;
        Ok(answer.map(ServerBody::Listening))
    }

    fn body(&self, incoming: Incoming, lease: Lease) -> ServerBody {
        if incoming.is_end_stream() {
            self.pool.give_back(lease);
            return ServerBody::Kept { incoming, lease: None };
        }
        ServerBody::Kept { incoming, lease: Some((self.pool.clone(), lease)) }
    }
}

/// What a 401 or 403 means, as far as its head says it.
fn refused(outbound: &Outbound, response: &Response<ServerBody>) -> Refused {
    let refused = matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let signed = matches!(outbound.authorized().server().delivery, Delivery::SigV4(_));
    if refused && !signed { Refused::read(response.headers()) } else { Refused::Credential }
}

/// What asks for a stream on which nothing is owed.
fn listens(call: &Call) -> bool {
    matches!(call.method().name(), "stream/open" | "subscriptions/listen")
}

/// What may be sent twice without harm: it reads, or only opens.
fn may_repeat(call: &Call) -> bool {
    matches!(call.method().name(), "server/discover" | "initialize" | "ping")
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
        400..=499 if is_of(response, b"application/json") => None,
        other => Some(Reason::BackendStatus(other)),
    }
}

/// Whether an answer is of this media type.
fn is_of<B>(response: &Response<B>, media: &[u8]) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(media))
}

/// As a connection wants it (RFC 9112 §3.2.1). Nothing else is changed: the request may be signed.
fn in_origin_form(mut request: Request<Bytes>) -> Request<Bytes> {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(|| http::Uri::from_static("/"), http::Uri::from);
    request
}

/// The server's answer as it streams in.
pub enum ServerBody {
    /// Read to its end, its connection goes back to the pool; dropped before, the connection is closed, which the
    /// server sees at once.
    Kept {
        /// The body.
        incoming: Incoming,
        /// The connection, as long as it may go back.
        lease: Option<(Arc<Pool>, Lease)>,
    },
    /// On a connection of its own.
    Listening(Listening),
    /// Its beginning was looked at.
    Peeked {
        /// The beginning, until it is given out.
        begin: Option<Bytes>,
        /// How reading it failed: what follows the beginning.
        broken: Option<Box<dyn Error + Send + Sync>>,
        /// What follows it.
        rest: Box<Self>,
    },
}

impl ServerBody {
    /// The beginning, up to about `most` bytes and as far as it comes within `patience`; and the whole again.
    pub(crate) async fn peeked(mut self, most: usize, patience: Duration) -> (Bytes, Self) {
        let (mut read, mut broken) = (Vec::new(), None);
        let reading = async {
            while read.len() < most {
                match self.frame().await {
                    Some(Ok(frame)) => read.extend_from_slice(&frame.into_data().unwrap_or_default()),
                    Some(Err(error)) => {
                        broken = Some(error);
                        return;
                    }
                    None => return,
                }
            }
        };
        let _ = tokio::time::timeout(patience, reading).await;
        let begin = Bytes::from(read);
        let whole = Self::Peeked { begin: Some(begin.clone()), broken, rest: Box::new(self) };
        (begin, whole)
    }
}

impl Body for ServerBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let (incoming, lease) = match self.get_mut() {
            Self::Kept { incoming, lease } => (incoming, lease),
            Self::Listening(body) => {
                return Pin::new(body).poll_frame(cx).map_err(Into::into);
            }
            Self::Peeked { begin, broken, rest } => {
                return match (begin.take(), broken.take()) {
                    (Some(begin), error) => {
                        *broken = error;
                        Poll::Ready(Some(Ok(Frame::data(begin))))
                    }
                    (None, Some(error)) => Poll::Ready(Some(Err(error))),
                    (None, None) => Pin::new(&mut **rest).poll_frame(cx),
                };
            }
        };
        let frame = std::task::ready!(Pin::new(&mut *incoming).poll_frame(cx));
        match &frame {
            Some(Err(_)) => *lease = None,
            Some(Ok(_)) if !incoming.is_end_stream() => {}
            _ => {
                if let Some((pool, lease)) = lease.take() {
                    pool.give_back(lease);
                }
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Kept { incoming, .. } => incoming.is_end_stream(),
            Self::Listening(body) => body.is_end_stream(),
            Self::Peeked { begin, broken, rest } => {
                begin.is_none() && broken.is_none() && rest.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Kept { incoming, .. } => incoming.size_hint(),
            Self::Listening(body) => body.size_hint(),
            Self::Peeked { begin, rest, .. } => {
                let begin = begin.as_ref().map_or(0, |begin| begin.len() as u64);
                let (rest, mut whole) = (rest.size_hint(), SizeHint::new());
                whole.set_lower(rest.lower().saturating_add(begin));
                if let Some(upper) = rest.upper() {
                    whole.set_upper(upper.saturating_add(begin));
                }
                whole
            }
        }
    }
}
