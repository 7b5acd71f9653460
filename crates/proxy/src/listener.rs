//! Worker threads, one current-thread runtime each, that share a port (SO_REUSEPORT): a connection stays on
//! its thread, and so do its connections to the MCP server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::pool::Pool;
use crate::service::{Service, Shared};
use crate::upstream::Upstream;
use crate::visit::{Counted, Visit, drained};

/// A worker's stack. Cedar refuses to evaluate with little of it left, and only touched pages cost memory.
const STACK: usize = 4 * 1024 * 1024;

/// How to listen.
pub struct Listen {
    /// Address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Number of worker threads; at least one.
    pub workers: usize,
    /// TLS, swappable on reload. None: plaintext.
    pub tls: Arc<ArcSwapOption<rustls::ServerConfig>>,
    /// TLS towards MCP servers.
    pub upstream_tls: Arc<ArcSwap<rustls::ClientConfig>>,
    /// Longest wait for a connection to an MCP server.
    pub connect: Duration,
    /// Time for a head to arrive, and for a TLS handshake.
    pub head: Duration,
    /// Most connections at once, over all workers.
    pub connections: usize,
    /// Longest wait for streams and calls to end when draining.
    pub grace: Duration,
}

/// The listener at work.
pub struct Listening {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Open connections.
    pub connections: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Listening {
    /// Waits for all workers to end; they do after the drain signal.
    pub fn join(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// Binds and starts the workers.
///
/// # Errors
/// Those of binding, and of starting threads.
pub fn listen(listen: Listen, shared: &Arc<Shared>) -> io::Result<Listening> {
    claim(listen.address)?;
    let first = bind(listen.address)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..listen.workers.max(1) {
        sockets.push(bind(address)?);
    }
    let connections = Arc::new(AtomicUsize::new(0));
    let listen = Arc::new(listen);
    let mut threads = Vec::new();
    for (number, socket) in sockets.into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let worker = Worker {
            listen: listen.clone(),
            shared: shared.clone(),
            all: connections.clone(),
            own: Arc::default(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("worker-{number}"))
            .stack_size(STACK)
            .spawn(move || runtime.block_on(worker.run(socket)))?;
        threads.push(thread);
    }
    Ok(Listening { address, connections, threads })
}

/// Sockets that share a port share it with whoever else does: a second gateway there would take every other
/// connection, and must be told instead. This one does not share, and is refused while another listens.
fn claim(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

struct Worker {
    listen: Arc<Listen>,
    shared: Arc<Shared>,
    all: Arc<AtomicUsize>,
    own: Arc<AtomicUsize>,
}

impl Worker {
    async fn run(self, socket: std::net::TcpListener) {
        let listener = match TcpListener::from_std(socket) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "cannot listen");
                return;
            }
        };
        let pool = Arc::new(Pool::new(self.listen.upstream_tls.clone(), self.listen.connect));
        let service =
            Arc::new(Service { shared: self.shared.clone(), upstream: Upstream::new(pool.clone()) });
        let mut drain = self.shared.drain.clone();
        let mut sweep = tokio::time::interval(Duration::from_secs(30));
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.take(stream, peer, &service),
                    // Out of descriptors: wait for some to be given back.
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                _ = sweep.tick() => pool.sweep(),
                () = drained(&mut drain) => break,
            }
        }
        drop(listener);
        let _ = tokio::time::timeout(self.listen.grace, self.idle()).await;
    }

    async fn idle(&self) {
        while self.own.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr, service: &Arc<Service>) {
        if self.all.load(Ordering::Relaxed) >= self.listen.connections {
            tracing::warn!("too many connections; closing a new one");
            return;
        }
        let counted = (Counted::new(&self.all), Counted::new(&self.own));
        let _ = stream.set_nodelay(true);
        let patience = self.shared.gateway.load().lifetimes.idle;
        cut_unread(&stream, patience);
        let tls = self.listen.tls.load_full();
        let visit = Visit {
            peer,
            service: service.clone(),
            drain: self.shared.drain.clone(),
            head: self.listen.head,
            patience,
            counted,
        };
        tokio::spawn(async move {
            match tls {
                None => visit.plain(stream).await,
                // Boxed, so that plain connections do not carry the room for it.
                Some(tls) => Box::pin(visit.secure(stream, tls)).await,
            }
        });
    }
}

/// Has the kernel cut a connection whose caller leaves what it was sent unread for so long (TCP_USER_TIMEOUT):
/// nothing is asked of an answer while it cannot be written, not even whether its time is over.
fn cut_unread(stream: &TcpStream, patience: Duration) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(patience));
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, patience);
}
