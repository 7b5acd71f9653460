//! The connections of the one client: a pool for the network, one for each client certificate, and one for what
//! belongs to this machine. A connection that was opened with one certificate never serves another, and neither
//! does a resumed TLS session.
#![expect(clippy::disallowed_types, reason = "this is the one client to issuers and token endpoints")]

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::client::Resumption;

use super::certificate::ClientCertificate;
use super::connect::Connector;
use super::{Addresses, BadRoots, WireConfig, tls};

/// TLS sessions that are kept for a client certificate: it is used at one endpoint, or few.
const SESSIONS: usize = 8;

pub(super) type Client = legacy::Client<Connector, Full<Bytes>>;

/// How a request is connected.
#[derive(Clone, Default)]
pub enum Via {
    /// Over the network, without a client certificate.
    #[default]
    Network,
    /// With this client certificate (RFC 8705 §2).
    Certificate(Arc<ClientCertificate>),
    /// To this machine's own services: loopback and link-local addresses, and no others.
    Machine,
}

pub(super) struct Pools {
    tls: ClientConfig,
    connect: Duration,
    addresses: Addresses,
    network: Client,
    machine: Client,
    certified: Mutex<Vec<(Weak<ClientCertificate>, Client)>>,
}

impl Pools {
    pub(super) fn new(config: &WireConfig) -> Result<Self, BadRoots> {
        let tls = tls::client_config(config)?;
        let shared = Arc::new(tls.clone());
        let pool = |addresses| client(Connector::new(shared.clone(), config.connect, addresses));
        Ok(Self {
            network: pool(config.addresses),
            machine: pool(Addresses::OnlyMachine),
            tls,
            connect: config.connect,
            addresses: config.addresses,
            certified: Mutex::default(),
        })
    }

    pub(super) fn of(&self, via: &Via) -> Client {
        match via {
            Via::Network => self.network.clone(),
            Via::Machine => self.machine.clone(),
            Via::Certificate(certificate) => self.certified(certificate),
        }
    }

    /// The pool of a certificate. Those of certificates that nobody uses any more end here, with their connections.
    fn certified(&self, certificate: &Arc<ClientCertificate>) -> Client {
        let mut pools = self.certified.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|(of, _)| of.strong_count() > 0);
        if let Some((_, client)) = pools.iter().find(|(of, _)| Weak::as_ptr(of) == Arc::as_ptr(certificate)) {
            return client.clone();
        }
        let mut tls = self.tls.clone();
        tls.client_auth_cert_resolver = certificate.resolver();
        tls.resumption = Resumption::in_memory_sessions(SESSIONS);
        let made = client(Connector::new(Arc::new(tls), self.connect, self.addresses));
        pools.push((Arc::downgrade(certificate), made.clone()));
        made
    }
}

fn client(connector: Connector) -> Client {
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(8)
        .http1_max_buf_size(64 * 1024)
        .http2_max_header_list_size(64 * 1024)
        .http2_initial_stream_window_size(256 * 1024)
        .build(connector)
}
