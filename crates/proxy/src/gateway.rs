//! The path: one value, seven moves. Read [`Gateway::serve`] aloud.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use safeconduct_core::audit::Trail;
use safeconduct_core::mcp::{Era, Verb};
use safeconduct_core::path::{Admitted, Arrived, Authenticated, Moved, Outbound, Release, Released, Reply};
use safeconduct_core::policy::Policy;
use safeconduct_core::refusal::Reason;
use safeconduct_core::server::Server;
use safeconduct_core::time::Timestamp;
use safeconduct_identity::acquire::Credentials;
use safeconduct_identity::verifier::Verifier;
use std::net::IpAddr;

use crate::berth::Berths;
use crate::body;
use crate::catalogue::Asked;
use crate::detach::Detach;
use crate::entrance::Entrance;
use crate::limits::Limits;
use crate::revoked::Revoked;
use crate::stream::Lifetimes;
use crate::upstream::{ServerBody, Upstream};

/// One plan at work. Immutable: a reload makes another one, and calls in flight keep theirs.
pub struct Gateway {
    /// Hosts, origins and routes.
    pub entrance: Entrance,
    /// Who.
    pub verifier: Arc<Verifier>,
    /// May they.
    pub policy: Arc<Policy>,
    /// As whom.
    pub credentials: Arc<Credentials>,
    /// Where the servers are that are started here.
    pub berths: Arc<dyn Berths>,
    /// What they may see.
    pub release: Release,
    /// Which servers were asked for their tools.
    pub asked: Asked,
    /// How often.
    pub limits: Arc<Limits>,
    /// Whose login ended meanwhile.
    pub revoked: Revoked,
    /// How long.
    pub lifetimes: Lifetimes,
    /// Largest body, in bytes.
    pub body_limit: u64,
    /// Longest wait for a body.
    pub body_time: Duration,
}

/// Where a request came from.
pub struct From {
    /// The caller's address.
    pub source: IpAddr,
    /// HTTP method.
    pub verb: Verb,
    /// The server that its path names.
    pub server: Arc<Server>,
}

impl Gateway {
    /// From the socket to what the caller may see.
    ///
    /// # Errors
    /// A refusal, with the record that it closes.
    pub async fn serve(
        &self,
        from: From,
        request: Request<Incoming>,
        upstream: &Upstream,
        trail: Trail,
    ) -> Moved<Released<ServerBody>> {
        let now = trail.now();
        let (head, body) = request.into_parts();
        let arrived = Arrived::from_head(from.server, from.verb, head.headers, Some(from.source), trail)?;
        let authenticated = self.verifier.authenticate(arrived, now).await?; // who
        let admitted = self.admit(authenticated, body, now).await?; //          parse, once, without ambiguity
        self.inform(&admitted, upstream).await; //                              what the tool says of itself
        let authorized = self.policy.authorize(admitted, now)?; //              may they
        let outbound = self.credentials.acquire(authorized, now).await?; //     as whom
        let reply = self.send(outbound, upstream).await?; //                    ask
        Ok(self.release.release(reply, now)) //                                 what they may see
    } //                                                                        the record ends with the value

    /// Every message of a caller counts, also one that is refused here.
    async fn admit(&self, authenticated: Authenticated, body: Incoming, now: Timestamp) -> Moved<Admitted> {
        let counted = self.limits.call(authenticated.principal(), now);
        let bytes = match body::read(body, self.body_limit, self.body_time).await {
            Ok(bytes) => bytes,
            Err(reason) => return Err(authenticated.refuse(reason)),
        };
        let admitted = match (authenticated.admit(bytes, &self.release.door), &counted) {
            (Ok(admitted), _) => admitted,
            (Err(refusal), Ok(())) => return Err(refusal),
            (Err(mut refusal), Err(reason)) => {
                refusal.reason = reason.clone();
                return Err(refusal);
            }
        };
        let listens = matches!(admitted.call().method().name(), "stream/open" | "subscriptions/listen");
        let room = || if listens { self.limits.room(admitted.principal(), now) } else { Ok(()) };
        match counted.and_then(|()| room()) {
            Ok(()) => Ok(admitted),
            Err(reason) => Err(admitted.refuse(reason)),
        }
    }

    /// A legacy call goes on when its caller's connection ends; a modern one ends with it.
    async fn send(&self, outbound: Outbound, upstream: &Upstream) -> Moved<Reply<ServerBody>> {
        let call = outbound.authorized().call();
        let patience = self.lifetimes.answer;
        if call.era() == Era::Modern || call.id().is_none() {
            return upstream.send(outbound, &self.credentials, &*self.berths, &self.revoked, patience).await;
        }
        let Some(place) = self.limits.outlive(outbound.authorized().principal(), outbound.now()) else {
            return upstream.send(outbound, &self.credentials, &*self.berths, &self.revoked, patience).await;
        };
        let (upstream, credentials) = (upstream.clone(), self.credentials.clone());
        let (berths, revoked) = (self.berths.clone(), self.revoked.clone());
        Detach::new(async move {
            let _place = place;
            upstream.send(outbound, &credentials, &*berths, &revoked, patience).await
        })
        .await
    }
}

/// A reason to refuse before anything of the path has begun.
pub fn early(trail: Trail, reason: Reason) -> Box<safeconduct_core::refusal::Refusal> {
    Box::new(safeconduct_core::refusal::Refusal { reason, id: None, modern: false, pages: false, trail })
}
