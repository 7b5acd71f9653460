//! A listener on loopback that records every request, plays the planned faults, and asks its service for the rest.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Fault, Faults, Log, Reply, ReplyBody, Seen};

/// Longest request body that an edge reads, in bytes.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// What stands behind a listener.
pub trait Serve: Send + Sync + 'static {
    /// Answers one request.
    fn serve(self: Arc<Self>, seen: Seen) -> impl Future<Output = Reply> + Send;
}

/// A running listener. It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Edge {
    address: SocketAddr,
    log: Log,
    faults: Faults,
    stop: watch::Sender<bool>,
}

impl Edge {
    /// A socket on a free port of 127.0.0.1: bound first, so that the service can know its own address.
    ///
    /// # Errors
    /// When loopback cannot be bound.
    pub async fn bind() -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    /// Starts to serve on the socket.
    pub fn start<S: Serve>(listener: TcpListener, address: SocketAddr, service: Arc<S>) -> Self {
        let stop = watch::Sender::new(false);
        let edge = Self { address, log: Log::default(), faults: Faults::default(), stop };
        tokio::spawn(accept(listener, service, edge.log.clone(), edge.faults.clone(), edge.stop.subscribe()));
        edge
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it received.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What it is made to do wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Closes the listener and cuts all connections, as a crash does.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept<S: Serve>(
    listener: TcpListener,
    service: Arc<S>,
    log: Log,
    faults: Faults,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            () = stopped(&mut stop) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(connection(stream, service.clone(), log.clone(), faults.clone(), stop.clone()));
                }
                // Out of file descriptors: give others a moment to close theirs.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            },
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A dropped sender is an edge that is gone: the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection<S: Serve>(
    stream: TcpStream,
    service: Arc<S>,
    log: Log,
    faults: Faults,
    mut stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    if faults.next_is_not_http() {
        return babble(stream).await;
    }
    let answer = service_fn(|request: http::Request<Incoming>| {
        answer(request, service.clone(), log.clone(), faults.clone())
    });
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
    tokio::select! {
        () = stopped(&mut stop) => {}
        // An error here is a peer that went away or a planned fault; the log and the peer know more about it.
        _ = serving => {}
    }
}

/// Waits for the question, so that the answer is not lost in a reset, and answers in another tongue.
async fn babble(mut stream: TcpStream) {
    let mut question = [0; 4096];
    let _ = stream.read(&mut question).await;
    let _ = stream.write_all(b"SSH-2.0-not-what-you-asked-for\r\n\r\n").await;
    let _ = stream.shutdown().await;
}

async fn answer<S: Serve>(
    request: http::Request<Incoming>,
    service: Arc<S>,
    log: Log,
    faults: Faults,
) -> Result<http::Response<ReplyBody>, io::Error> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(io::Error::other)?.to_bytes();
    let seen = Seen { method: head.method, uri: head.uri, headers: head.headers, body };
    log.push(seen.clone());
    let Some(fault) = faults.next(seen.path()) else { return Ok(service.serve(seen).await.into_response()) };
    match &fault {
        Fault::Close => return Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
        Fault::Hang => std::future::pending::<()>().await,
        Fault::Delay(pause) => tokio::time::sleep(*pause).await,
        _ => {}
    }
    Ok(match fault.instead() {
        Some(reply) => reply.into_response(),
        None => fault.bend(service.serve(seen).await).into_response(),
    })
}
