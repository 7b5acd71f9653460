//! A listener of this program that one instance alone reaches.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// After an error of the machine (no descriptors, say), the next attempt waits for this long.
const PAUSE: Duration = Duration::from_millis(50);

/// A listener whose address is known before the instance runs, so that variables can name it, although it may come
/// into being only with the instance: inside a container's own network namespace, where nobody else is.
pub struct Listener {
    address: SocketAddr,
    source: Option<IpAddr>,
    state: State,
}

enum State {
    Bound(TcpListener),
    Promised(oneshot::Receiver<TcpListener>),
    Gone,
}

impl Listener {
    /// One that is bound. With `source`, connections from any other address are closed unheard.
    ///
    /// # Errors
    /// When its address cannot be read.
    pub fn bound(listener: TcpListener, source: Option<IpAddr>) -> io::Result<Self> {
        Ok(Self { address: listener.local_addr()?, source, state: State::Bound(listener) })
    }

    /// One that will be bound to `address`.
    pub fn promised(address: SocketAddr, listener: oneshot::Receiver<TcpListener>) -> Self {
        Self { address, source: None, state: State::Promised(listener) }
    }

    /// Where the instance finds it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The instance's next connection; None when there will be none: it never ran. May be dropped and asked again.
    pub async fn accept(&mut self) -> Option<TcpStream> {
        loop {
            match &mut self.state {
                State::Promised(promise) => {
                    self.state = promise.await.map_or(State::Gone, State::Bound);
                }
                State::Gone => return None,
                State::Bound(listener) => match listener.accept().await {
                    Ok((stream, peer))
                        if self.source.is_none_or(|source| source == peer.ip().to_canonical()) =>
                    {
                        return Some(stream);
                    }
                    Ok((_, peer)) => {
                        tracing::warn!(%peer, at = %self.address, "a stranger's connection was closed")
                    }
                    Err(error) => {
                        tracing::warn!(%error, at = %self.address, "cannot accept");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::oneshot;

    use super::Listener;

    const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[tokio::test]
    async fn the_instance_is_heard_and_a_stranger_is_not() {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let mut listener = Listener::bound(listener, Some(Ipv4Addr::LOCALHOST.into())).unwrap();
        let at = listener.address();
        let (accepted, _ours) = tokio::join!(listener.accept(), TcpStream::connect(at));
        assert!(accepted.is_some());

        listener.source = Some(Ipv4Addr::new(127, 0, 0, 9).into());
        let mut theirs = TcpStream::connect(at).await.unwrap();
        let mut byte = [0];
        tokio::select! {
            accepted = listener.accept() => panic!("accepted {accepted:?}"),
            read = theirs.read(&mut byte) => assert!(matches!(read, Ok(0) | Err(_))),
        }
    }

    #[tokio::test]
    async fn one_that_was_promised_is_waited_for_and_ends_with_the_promise() {
        let bound = TcpListener::bind(LOOPBACK).await.unwrap();
        let at = bound.local_addr().unwrap();
        let (keep, promise) = oneshot::channel();
        let mut listener = Listener::promised(at, promise);
        keep.send(bound).unwrap();
        let (accepted, _ours) = tokio::join!(listener.accept(), TcpStream::connect(at));
        assert!(accepted.is_some());

        let (never, promise) = oneshot::channel();
        drop(never);
        assert!(Listener::promised(at, promise).accept().await.is_none());
    }
}
