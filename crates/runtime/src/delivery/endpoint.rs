//! What answers one instance's SDKs, over a listener that this instance alone reaches.
//!
//! Three things keep others out. The listener is inside the instance's own network, or on one that only this instance
//! is on. A connection from any other address is closed unheard ([`Listener`]). And where the SDKs' protocol has a
//! place for it, the instance shows a secret of its own. Under the engine `process`, which has no networks, every
//! process of the machine comes from the same address: there only the last one stands, and Google's protocol has no
//! place for it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use super::reply::{Reply, text};
use super::slot::Slot;
use crate::engine::Listener;

/// Connections at once; a further one waits to be accepted.
const CONNECTIONS: usize = 32;
/// Time for a head to arrive, and for the next one on a connection that is kept.
const HEAD: Duration = Duration::from_secs(10);
/// Largest head, in bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// Most headers of a request.
const HEADERS: usize = 64;

/// What one cloud's SDKs ask, and what they are answered.
pub(crate) trait Protocol: Send + Sync + 'static {
    /// Answers a request of the instance. Only heads come here: no SDK sends a body.
    fn answer<'a>(&'a self, asked: &'a Parts, slot: &'a Slot) -> Answering<'a>;
}

/// An answer in the making.
pub(crate) type Answering<'a> = Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

/// An endpoint at work; closed when dropped, with every connection of it.
pub(crate) struct Endpoint(AbortHandle);

impl Endpoint {
    /// Answers on the current runtime.
    pub(crate) fn open(listener: Listener, protocol: Arc<dyn Protocol>, slot: Arc<Slot>) -> Self {
        Self(tokio::spawn(serve(listener, protocol, slot)).abort_handle())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(mut listener: Listener, protocol: Arc<dyn Protocol>, slot: Arc<Slot>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // Owned here: connections end with the endpoint.
    let mut connections = JoinSet::new();
    while let Ok(permit) = room.clone().acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let Some(stream) = listener.accept().await else { return };
        let (protocol, slot) = (protocol.clone(), slot.clone());
        connections.spawn(async move {
            converse(stream, &*protocol, &slot).await;
            drop(permit);
        });
    }
}

async fn converse(stream: TcpStream, protocol: &dyn Protocol, slot: &Slot) {
    let answer = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
        let (asked, _) = request.into_parts();
        let reply = checked(&asked, protocol, slot).await;
        // Not the path: what stands there is the asker's.
        tracing::debug!(method = %asked.method, status = reply.status().as_u16(), "asked for a credential");
        Ok::<_, Infallible>(reply)
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

/// A request that came by way of a proxy is not the instance's own: somebody makes the server fetch for them.
async fn checked(asked: &Parts, protocol: &dyn Protocol, slot: &Slot) -> Reply {
    if asked.headers.contains_key("x-forwarded-for") || asked.headers.contains_key("forwarded") {
        return text(StatusCode::FORBIDDEN, "Requests by way of a proxy are refused.\n");
    }
    protocol.answer(asked, slot).await
}
