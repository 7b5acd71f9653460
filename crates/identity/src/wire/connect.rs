//! Connections: resolve, check the address, connect in time, speak TLS.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::endpoint::{is_localhost_name, literal};
use super::error::AddressNotAllowed;

/// Which addresses a name may resolve to (R13). Checked at connect time, so that a name cannot be rebound in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Addresses {
    /// All but link-local (where clouds keep their metadata servers), unspecified and multicast ones.
    #[default]
    NoLinkLocal,
    /// Globally routable ones only: nothing on this machine or in a private network.
    PublicOnly,
    /// Loopback and link-local ones only: what a platform gives each machine for itself (its identity endpoint).
    OnlyMachine,
}

impl Addresses {
    fn permits(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if self == Self::OnlyMachine {
            return is_of_machine(address);
        }
        let link_local = match address {
            IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
            IpAddr::V6(v6) => {
                v6.is_unicast_link_local() || v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
            }
        };
        if link_local || address.is_unspecified() || address.is_multicast() {
            return false;
        }
        self == Self::NoLinkLocal || !is_private(address)
    }
}

/// Loopback, or link-local: never routed to another machine.
pub(super) fn is_of_machine(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (18..20).contains(&b))
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            // 64:ff9b::/96 carries an IPv4 address, which may be any; 2000::/3 is what is routed.
            v6.is_loopback()
                || v6.is_unique_local()
                || (first & 0xe000) != 0x2000
                || (first, second) == (0x2001, 0xdb8)
        }
    }
}

/// Resolves names, and keeps only the addresses that may be spoken to.
#[derive(Clone)]
pub(super) struct Resolver {
    inner: GaiResolver,
    addresses: Addresses,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let addresses = self.addresses;
        let localhost = is_localhost_name(name.as_str());
        let found = self.inner.call(name);
        Box::pin(async move {
            let found: Vec<SocketAddr> = found.await?.collect();
            // One bad address spoils the name: a mixed answer is what rebinding looks like.
            let bad = found.iter().map(SocketAddr::ip).find(|address| {
                !addresses.permits(*address) || (localhost && !address.to_canonical().is_loopback())
            });
            match bad {
                Some(address) => Err(io::Error::other(AddressNotAllowed(address))),
                None => Ok(found.into_iter()),
            }
        })
    }
}

/// Makes connections for the client.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector<Resolver>,
    tls: Arc<ClientConfig>,
    tls_timeout: Duration,
    addresses: Addresses,
}

impl Connector {
    pub(super) fn new(tls: Arc<ClientConfig>, connect: Duration, addresses: Addresses) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver { inner: GaiResolver::new(), addresses });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect));
        Self { tcp, tls, tls_timeout: connect.saturating_mul(3) / 2, addresses }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.poll_ready(cx).map_err(io::Error::other)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let host = uri.host().unwrap_or_default().to_owned();
        // An address in the URL does not pass through the resolver.
        if let Some(address) = literal(&host).filter(|address| !self.addresses.permits(*address)) {
            return Box::pin(async move { Err(io::Error::other(AddressNotAllowed(address))) });
        }
        let secure = uri.scheme_str() == Some("https");
        let connecting = self.tcp.call(uri);
        let (tls, limit) = (TlsConnector::from(self.tls.clone()), self.tls_timeout);
        Box::pin(async move {
            let tcp = connecting.await.map_err(io::Error::other)?.into_inner();
            if !secure {
                return Ok(TokioIo::new(Stream::Plain(tcp)));
            }
            let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(bare).map_err(io::Error::other)?;
            let stream = tokio::time::timeout(limit, tls.connect(name, tcp)).await??;
            Ok(TokioIo::new(Stream::Tls(Box::new(stream))))
        })
    }
}

/// A connection, with or without TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain(_) => Connected::new(),
            Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            Self::Tls(_) => Connected::new(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Addresses;

    /// Row: R13
    #[test]
    fn a_metadata_server_is_never_spoken_to() {
        assert!(Addresses::NoLinkLocal.permits("10.1.2.3".parse().unwrap()));
        assert!(Addresses::NoLinkLocal.permits("127.0.0.1".parse().unwrap()));
        for address in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0", "fd00:ec2::254"] {
            assert!(!Addresses::NoLinkLocal.permits(address.parse().unwrap()), "{address}");
        }
    }

    /// Row: R13
    #[test]
    fn what_is_meant_for_this_machine_goes_nowhere_else() {
        for address in ["127.0.0.1", "::1", "169.254.169.254", "::ffff:169.254.130.2"] {
            assert!(Addresses::OnlyMachine.permits(address.parse().unwrap()), "{address}");
        }
        for address in ["10.0.0.1", "93.184.216.34", "::ffff:10.0.0.1", "fd00:ec2::254", "0.0.0.0"] {
            assert!(!Addresses::OnlyMachine.permits(address.parse().unwrap()), "{address}");
        }
    }

    /// Row: R13
    #[test]
    fn where_only_public_addresses_are_allowed_private_ones_in_any_spelling_are_refused() {
        for address in ["93.184.216.34", "2606:4700::1111"] {
            assert!(Addresses::PublicOnly.permits(address.parse().unwrap()), "{address}");
        }
        for address in
            ["127.0.0.1", "::1", "10.0.0.1", "::ffff:10.0.0.1", "100.64.0.1", "fd12::1", "64:ff9b::a00:1"]
        {
            assert!(!Addresses::PublicOnly.permits(address.parse().unwrap()), "{address}");
        }
    }
}
