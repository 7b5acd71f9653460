//! Bytes passed through untouched, once their beginning was looked at: a TLS greeting must ask for the name that the
//! connection was made for, and a plain request must be for it.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::time::timeout;

use super::Inner;
use super::hello::{First, first};
use super::host::Host;
use super::http::{self, For};
use super::log::{Reason, Way};
use super::reach::Reached;

/// One side of a connection.
pub(crate) type Io = Box<dyn Duplex>;

/// What can be read and written.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// Where a connection is meant to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// There.
    To(Host, u16),
    /// To the host that its first bytes name, at this port.
    Told(u16),
}

impl Inner {
    /// A connection of software that knows of no proxy.
    pub(crate) async fn direct(self: &Arc<Self>, mut client: Io, aim: Aim) {
        let port = match aim {
            Aim::To(host, port) => {
                if let Ok(reached) = self.reach(Way::Direct, &host, port).await {
                    self.tunnel(Way::Direct, client, &host, port, reached).await;
                }
                return;
            }
            Aim::Told(port) => port,
        };
        let mut bytes = Vec::new();
        let told = timeout(self.limits.head, gather(&mut client, &mut bytes)).await;
        let refused = match told {
            Ok(Ok(First::Http)) => {
                http::serve(self, prefixed(bytes, client), For::Port(port), None).await;
                return;
            }
            Ok(Ok(First::Tls(Some(name)))) => match Host::parse(&name) {
                Some(host) => {
                    if let Ok(reached) = self.reach(Way::Direct, &host, port).await {
                        self.splice(client, reached, &bytes, &[]).await;
                    }
                    return;
                }
                None => Reason::Malformed,
            },
            Ok(Ok(First::Broken)) => Reason::Malformed,
            Ok(Ok(_)) => Reason::Nameless,
            Ok(Err(_)) => return,
            Err(_) => Reason::TimedOut,
        };
        self.refuse(Way::Direct, "", Some(port), refused).await;
    }

    /// A connection to `host`, which was reached. Whoever speaks first shows what it is.
    pub(crate) async fn tunnel(
        self: &Arc<Self>,
        way: Way,
        mut client: Io,
        host: &Host,
        port: u16,
        mut reached: Reached,
    ) {
        let mut bytes = Vec::new();
        let mut early = Vec::new();
        let spoke = tokio::select! {
            read = client.read_buf(&mut bytes) => read,
            read = reached.stream.read_buf(&mut early) => read,
            () = reached.open.meter.run_out(self.limits.idle, self.limits.total) => return,
        };
        if spoke.is_err() {
            return;
        }
        // An address was allowed by its network: there are no names that could be confused.
        let Host::Name(name) = host else {
            self.splice(client, reached, &bytes, &early).await;
            return;
        };
        // The other side spoke first, or nobody does any more.
        if bytes.is_empty() {
            self.splice(client, reached, &bytes, &early).await;
            return;
        }
        let told = timeout(self.limits.head, gather(&mut client, &mut bytes)).await;
        let refused = match told {
            Ok(Ok(First::Tls(Some(asked)))) if asked == *name => {
                self.splice(client, reached, &bytes, &early).await;
                return;
            }
            Ok(Ok(First::Tls(asked))) => Reason::OtherName(asked),
            Ok(Ok(First::Http)) => {
                let serving =
                    http::serve(self, prefixed(bytes, client), For::Host(host.clone(), port), Some(reached));
                Box::pin(serving).await;
                return;
            }
            Ok(Ok(First::Broken)) => Reason::Malformed,
            Ok(Ok(First::Other | First::More)) => {
                self.splice(client, reached, &bytes, &early).await;
                return;
            }
            Ok(Err(_)) => return,
            Err(_) => Reason::TimedOut,
        };
        self.refuse(way, name, Some(port), refused).await;
    }

    /// Passes everything on in both directions until both have ended, or nothing passes any more.
    async fn splice(&self, mut client: Io, reached: Reached, sent: &[u8], received: &[u8]) {
        let Reached { mut stream, open } = reached;
        let passing = async {
            stream.write_all(sent).await?;
            client.write_all(received).await?;
            copy_bidirectional(&mut client, &mut stream).await
        };
        tokio::select! {
            _ = passing => {}
            () = open.meter.run_out(self.limits.idle, self.limits.total) => {}
        }
    }
}

/// Reads until it is plain what the bytes are. [`First::More`] when they ended before.
async fn gather(client: &mut Io, bytes: &mut Vec<u8>) -> io::Result<First> {
    loop {
        match first(bytes) {
            First::More if client.read_buf(bytes).await? == 0 => return Ok(First::More),
            First::More => {}
            told => return Ok(told),
        }
    }
}

/// The connection, as if the bytes that were read had not been.
fn prefixed(bytes: Vec<u8>, client: Io) -> Io {
    let (read, write) = tokio::io::split(client);
    Box::new(tokio::io::join(io::Cursor::new(bytes).chain(read), write))
}
