//! A chain run for real, by hand (`token exchange`, `doctor`): the moves of the gateway's own path, from a token to the
//! credential, for a `ping`. Whoever may not even ping a server gets no credential of it here either.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use safeconduct_core::audit::{Record, Sink, Trail};
use safeconduct_core::caller::{Bearer, looks_signed, peek_issuer};
use safeconduct_core::mcp::Verb;
use safeconduct_core::mcp::door::Door;
use safeconduct_core::path::{Arrived, Authorized};
use safeconduct_core::policy::Policy;
use safeconduct_core::refusal::{Reason, Refusal};
use safeconduct_core::server::Server;
use safeconduct_core::time::Timestamp;
use safeconduct_identity::acquire::{CredentialLimits, CredentialStore, Credentials, Walk};
use safeconduct_identity::clock::{Clock as _, SystemClock};
use safeconduct_identity::provider::Description;

use super::Rehearsal;
use crate::app::Failed;
use crate::app::issuers::Issuers;
use crate::config::Plan;
use crate::config::plan::ServerPlan;

/// What a chain is run for.
const PING: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

impl Rehearsal<'_> {
    /// The gateway's own verification and decision, for a ping of this server with this token.
    ///
    /// # Errors
    /// What cannot be put to work; within it, the gateway's refusal.
    pub(crate) async fn permitted(
        &self,
        server: &ServerPlan,
        policy: &Policy,
        token: &[u8],
    ) -> Result<Result<Authorized, Reason>, Failed> {
        let Ok(bearer) = HeaderValue::from_bytes(&[b"Bearer ", token].concat()) else {
            return Ok(Err(Reason::BadHead("the token holds characters that no header may hold".into())));
        };
        let (made, _) = self.server(server)?;
        let door = Door::new(&[0; 32], &[]).map_err(|error| Failed::of("door", error))?;
        let now = SystemClock::new().wall();
        let arrived = match arrive(Arc::new(made), bearer) {
            Ok(arrived) => arrived,
            Err(refusal) => return Ok(Err(refusal.reason)),
        };
        let believed = Plan { issuers: self.believed(server, arrived.bearer()), ..self.plan.clone() };
        let issuers = Issuers::new(Arc::new(SystemClock::new()));
        let verifier = issuers.verifier(&believed, &self.clients, &self.wire, &Arc::default())?;
        let moved = verifier.authenticate(arrived, now).await;
        let moved = moved.and_then(|known| known.admit(Bytes::from_static(PING), &door));
        let moved = moved.and_then(|admitted| policy.authorize(admitted, now));
        Ok(moved.map_err(|refusal| refusal.reason))
    }

    /// Runs the chain of the call's server, past every cache; beside it, what its steps are.
    ///
    /// # Errors
    /// What cannot be put to work.
    pub(crate) async fn walk(
        &self,
        server: &ServerPlan,
        call: &Authorized,
    ) -> Result<(Vec<Description>, Walk), Failed> {
        let (made, chain) = self.server(server)?;
        let limits = CredentialLimits::default();
        let store = CredentialStore::new(limits, Arc::new(SystemClock::new()), self.runtime.handle().clone())
            .map_err(|error| Failed::of("credentials", error))?;
        let credentials = Credentials::new(store, [(Arc::new(made), chain)]);
        let steps = credentials.describe(&server.name).unwrap_or_default();
        Ok((steps, credentials.walk(&call.warrant()).await))
    }

    /// The issuers that can know the token: keys of others need not be fetched.
    fn believed(&self, server: &ServerPlan, token: &Bearer) -> Vec<crate::config::plan::IssuerPlan> {
        let signer = if looks_signed(token) { peek_issuer(token).ok() } else { None };
        let fits = |name: &&String| {
            let issuer = self.plan.issuer(name);
            issuer.is_some_and(|issuer| signer.as_ref().is_none_or(|it| *it.issuer == *issuer.issuer))
        };
        server.issuers.iter().filter(fits).filter_map(|name| self.plan.issuer(name)).cloned().collect()
    }
}

fn arrive(server: Arc<Server>, bearer: HeaderValue) -> Result<Arrived, Box<Refusal>> {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, bearer);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert("mcp-protocol-version", HeaderValue::from_static("2025-06-18"));
    Arrived::from_head(server, Verb::Post, headers, None, Trail::open(Arc::new(Nowhere), [b'0'; 26]))
}

/// No call came, so there is no record of one.
struct Nowhere;

impl Sink for Nowhere {
    fn now(&self) -> Timestamp {
        SystemClock::new().wall()
    }

    fn write(&self, _: &Record) {}
}
