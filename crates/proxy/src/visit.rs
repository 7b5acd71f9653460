//! A connection of a caller, from its first byte to its end: TLS, HTTP/1.1 or HTTP/2, and draining.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Version};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::handover::{Handover, give};
use crate::service::Service;
use crate::watchdog::watched;

/// Largest head, in bytes (a 16 KiB token and its company).
const HEAD_BYTES: usize = 64 * 1024;

/// One connection of a caller.
pub(crate) struct Visit {
    /// Its address.
    pub(crate) peer: SocketAddr,
    /// What answers.
    pub(crate) service: Arc<Service>,
    /// Turns true when the gateway drains.
    pub(crate) drain: watch::Receiver<bool>,
    /// Time for a head.
    pub(crate) head: Duration,
    /// Time for a piece of an answer to be taken.
    pub(crate) patience: Duration,
    /// It counts among all connections and among those of its worker.
    pub(crate) counted: (Counted, Counted),
}

impl Visit {
    /// Without TLS.
    pub(crate) async fn plain(self, stream: TcpStream) {
        self.serve_http1(stream).await;
    }

    /// Behind TLS, which says whether it is HTTP/2.
    pub(crate) async fn secure(self, stream: TcpStream, tls: Arc<rustls::ServerConfig>) {
        let accepted = tokio::time::timeout(self.head, TlsAcceptor::from(tls).accept(stream)).await;
        let Ok(Ok(stream)) = accepted else { return };
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            self.serve_http2(stream).await;
        } else {
            self.serve_http1(stream).await;
        }
    }

    async fn serve_http1<I>(mut self, io: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (handover, io) = Handover::of(io);
        let (peer, service, passing) = (self.peer, self.service.clone(), handover.clone());
        // Boxed: what a call needs is given back as soon as its answer begins. A stream keeps its connection for hours.
        let answer = service_fn(move |request: Request<Incoming>| {
            let (service, passing) = (service.clone(), passing.clone());
            Box::pin(async move {
                let chunks = request.version() == Version::HTTP_11;
                let response = service.answer(peer, request).await;
                Ok::<_, Infallible>(if chunks { passing.pass(response).await } else { response })
            })
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head)
            .max_header_size(HEAD_BYTES)
            .max_headers(100)
            .serve_connection(TokioIo::new(io), answer);
        let answer = tokio::select! {
            // What breaks a connection is seen by the trail of its request.
            answer = handover.drive(&mut connection) => answer,
            () = drained(&mut self.drain) => {
                Pin::new(&mut connection).graceful_shutdown();
                handover.drive(&mut connection).await
            }
        };
        if let Some(answer) = answer {
            let io = connection.into_parts().io.into_inner().into_inner();
            // A task of its own, since this one has room for all that a call needs.
            tokio::spawn(async move {
                let _counted = self.counted;
                let _ = watched(self.patience, give(io, answer)).await;
            });
        }
    }

    /// HTTP/2 has no time for a head: a connection without a new request for as long is asked to end. Answers in
    /// flight go on, and a peer that does not answer our pings is gone.
    async fn serve_http2<I>(mut self, io: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (peer, service, head) = (self.peer, self.service.clone(), self.head);
        let seen = Arc::new(AtomicUsize::new(0));
        let count = seen.clone();
        let answer = service_fn(move |request| {
            count.fetch_add(1, Ordering::Relaxed);
            let service = service.clone();
            Box::pin(async move { Ok::<_, Infallible>(service.answer(peer, request).await) })
        });
        let connection = http2::Builder::new(Watching { patience: self.patience })
            .timer(TokioTimer::new())
            .keep_alive_interval(head)
            .keep_alive_timeout(head)
            .max_concurrent_streams(100)
            .max_header_list_size(HEAD_BYTES as u32)
            .serve_connection(TokioIo::new(io), answer);
        let quiet = async {
            let mut before = usize::MAX;
            loop {
                let now = seen.load(Ordering::Relaxed);
                if now == before {
                    break;
                }
                before = now;
                tokio::time::sleep(head).await;
            }
        };
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            () = quiet => {}
            () = drained(&mut self.drain) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// Spawns what sends the answers of an HTTP/2 connection, and watches each.
#[derive(Clone)]
struct Watching {
    patience: Duration,
}

impl<F> Executor<F> for Watching
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, sending: F) {
        tokio::spawn(watched(self.patience, sending));
    }
}

/// Resolves when the gateway drains, or is gone.
pub(crate) async fn drained(drain: &mut watch::Receiver<bool>) {
    let _ = drain.wait_for(|draining| *draining).await;
}

/// One more, for as long as it lives.
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
