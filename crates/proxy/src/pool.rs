//! Connections to MCP servers, kept per worker thread: no lock is ever contended.
#![expect(clippy::disallowed_types, reason = "this is the one way to MCP servers")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use safeconduct_core::refusal::Reason;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::berth::{Berth, Io};

/// Where a server is.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// At the origin of this URL.
    Url(&'a http::Uri),
    /// In an instance that was started here.
    Berth(&'a dyn Berth),
}

/// A ready or soon ready connection.
pub type Sender = SendRequest<Full<Bytes>>;

const IDLE: Duration = Duration::from_secs(50);
const PER_ORIGIN: usize = 128;

/// One worker's connections.
pub struct Pool {
    tls: Arc<ArcSwap<rustls::ClientConfig>>,
    patience: Duration,
    idle: Mutex<HashMap<Box<str>, Vec<Idle>>>,
}

/// A connection that nobody uses, and since when.
type Idle = (Sender, Instant);

/// A connection on loan, and whether it had been used before (so that it may turn out to be stale).
pub struct Lease {
    /// To send on.
    pub sender: Sender,
    /// It came from the pool.
    pub used: bool,
    origin: Box<str>,
}

/// A connection that is not HTTP's yet.
enum Reached {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
    Berth(Box<dyn Io>),
}

impl Pool {
    /// `tls` is used for https origins, as it is when connecting; `patience` bounds connecting.
    pub fn new(tls: Arc<ArcSwap<rustls::ClientConfig>>, patience: Duration) -> Self {
        Self { tls, patience, idle: Mutex::default() }
    }

    /// A connection to this place: an idle one, or a new one.
    ///
    /// # Errors
    /// `BackendUnreachable`.
    pub async fn lease(&self, place: Place<'_>) -> Result<Lease, Reason> {
        let origin = place.origin();
        while let Some(mut sender) = self.take(&origin) {
            if sender.ready().await.is_ok() {
                return Ok(Lease { sender, used: true, origin });
            }
        }
        self.fresh(place).await
    }

    /// A new connection.
    ///
    /// # Errors
    /// `BackendUnreachable`.
    pub async fn fresh(&self, place: Place<'_>) -> Result<Lease, Reason> {
        let connect = async {
            match self.reach(place).await? {
                Reached::Plain(io) => handshake(io).await,
                Reached::Secure(io) => handshake(io).await,
                Reached::Berth(io) => handshake(io).await,
            }
        };
        // Boxed: most calls find a connection and need no room for making one.
        let sender = Box::pin(connect).await?;
        Ok(Lease { sender, used: false, origin: place.origin() })
    }

    /// A new connection that never comes back, for whoever speaks HTTP on it.
    ///
    /// # Errors
    /// `BackendUnreachable`.
    pub async fn own(&self, place: Place<'_>) -> Result<Box<dyn Io>, Reason> {
        Ok(match self.reach(place).await? {
            Reached::Plain(io) => Box::new(io),
            Reached::Secure(io) => io,
            Reached::Berth(io) => io,
        })
    }

    /// Gives a connection back after its answer was read to the end.
    pub fn give_back(&self, lease: Lease) {
        let Ok(mut idle) = self.idle.lock() else { return };
        if lease.sender.is_closed() {
            return;
        }
        let now = Instant::now();
        match idle.get_mut(&lease.origin) {
            Some(senders) => {
                if senders.len() >= PER_ORIGIN {
                    senders.retain(|(sender, since)| !sender.is_closed() && now - *since < IDLE);
                }
                if senders.len() < PER_ORIGIN {
                    senders.push((lease.sender, now));
                }
            }
            None => {
                idle.insert(lease.origin, vec![(lease.sender, now)]);
            }
        }
    }

    /// Closes connections that nobody used for a while.
    pub fn sweep(&self) {
        let Ok(mut idle) = self.idle.lock() else { return };
        let now = Instant::now();
        idle.retain(|_, senders| {
            senders.retain(|(sender, since)| !sender.is_closed() && now - *since < IDLE);
            !senders.is_empty()
        });
    }

    fn take(&self, origin: &str) -> Option<Sender> {
        let mut idle = self.idle.lock().ok()?;
        let senders = idle.get_mut(origin)?;
        while let Some((sender, since)) = senders.pop() {
            if !sender.is_closed() && since.elapsed() < IDLE {
                return Some(sender);
            }
        }
        None
    }

    async fn reach(&self, place: Place<'_>) -> Result<Reached, Reason> {
        tokio::time::timeout(self.patience, self.connect(place)).await.unwrap_or_else(|_| {
            Err(Reason::BackendUnreachable(format!("no connection within {:?}", self.patience)))
        })
    }

    async fn connect(&self, place: Place<'_>) -> Result<Reached, Reason> {
        let failed = |error: &dyn std::fmt::Display| Reason::BackendUnreachable(error.to_string());
        let url = match place {
            Place::Url(url) => url,
            Place::Berth(berth) => {
                return berth.connect().await.map(Reached::Berth).map_err(|error| failed(&error));
            }
        };
        let host = url.host().ok_or_else(|| failed(&"the url has no host"))?;
        let secure = url.scheme() == Some(&http::uri::Scheme::HTTPS);
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let tcp = TcpStream::connect((bare, port)).await.map_err(|error| failed(&error))?;
        let _ = tcp.set_nodelay(true);
        if !secure {
            return Ok(Reached::Plain(tcp));
        }
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| failed(&error))?;
        let tls = TlsConnector::from(self.tls.load_full());
        let stream = tls.connect(name, tcp).await.map_err(|error| failed(&error))?;
        Ok(Reached::Secure(Box::new(stream)))
    }
}

async fn handshake<I>(io: I) -> Result<Sender, Reason>
where
    I: Io + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_headers(128)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|error| Reason::BackendUnreachable(error.to_string()))?;
    tokio::spawn(async move {
        // A broken connection is seen by whoever waits for its answer.
        let _ = connection.await;
    });
    Ok(sender)
}

impl Place<'_> {
    /// What connections are kept by.
    fn origin(self) -> Box<str> {
        match self {
            Self::Url(url) => origin(url),
            Self::Berth(berth) => format!("b{}", berth.number()).into(),
        }
    }
}

fn origin(url: &http::Uri) -> Box<str> {
    let secure = url.scheme() == Some(&http::uri::Scheme::HTTPS);
    let authority = url.authority().map_or("", http::uri::Authority::as_str);
    let mut text = String::with_capacity(authority.len() + 1);
    text.push(if secure { 's' } else { 'p' });
    text.push_str(authority);
    text.into()
}
