//! From an allowed name to a connection: resolved once, each address checked, and only a checked one connected to.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Inner;
use super::addresses::Kind;
use super::counted::{Counted, Meter};
use super::host::Host;
use super::log::{Outcome, Reason, Way};

/// A connection to where an instance asked to go. Its end is recorded when the last part of it is let go.
pub(crate) struct Reached {
    pub(crate) stream: Counted<TcpStream>,
    pub(crate) open: Open,
}

/// Records the end of a connection.
pub(crate) struct Open {
    pub(crate) meter: Arc<Meter>,
    egress: Arc<Inner>,
    way: Way,
    host: Host,
    to: SocketAddr,
}

impl Drop for Open {
    fn drop(&mut self) {
        let outcome = Outcome::Closed {
            to: self.to,
            sent: self.meter.written(),
            received: self.meter.read(),
            lasted: self.meter.lasted(),
        };
        self.egress.record(self.way, &self.host.to_string(), Some(self.to.port()), outcome);
    }
}

impl Inner {
    /// Connects to a host, if it may. A refusal is recorded, and held up when there were many.
    pub(crate) async fn reach(self: &Arc<Self>, way: Way, host: &Host, port: u16) -> Result<Reached, Reason> {
        match self.connect(host, port).await {
            Ok((stream, to)) => {
                self.record(way, &host.to_string(), Some(port), Outcome::Opened { to });
                let meter = Meter::new();
                let stream = Counted::new(stream, Arc::clone(&meter));
                let open = Open { meter, egress: Arc::clone(self), way, host: host.clone(), to };
                Ok(Reached { stream, open })
            }
            Err(reason) => {
                self.refuse(way, &host.to_string(), Some(port), reason.clone()).await;
                Err(reason)
            }
        }
    }

    async fn connect(&self, host: &Host, port: u16) -> Result<(TcpStream, SocketAddr), Reason> {
        self.rules.host(host, port)?;
        let found = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let found = timeout(self.limits.resolve, self.resolver.resolve(name)).await;
                found.map_err(|_| Reason::TimedOut)?.map_err(|_| Reason::Unresolved)?
            }
        };
        let mut refused = Reason::Unresolved;
        for address in found {
            let address = address.to_canonical();
            if let Err(reason) = self.check(address, port) {
                refused = reason;
                continue;
            }
            let to = SocketAddr::new(address, port);
            match timeout(self.limits.connect, TcpStream::connect(to)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, to));
                }
                Ok(Err(error)) => refused = Reason::Unreachable(error.kind()),
                Err(_) => refused = Reason::TimedOut,
            }
        }
        Err(refused)
    }

    fn check(&self, address: IpAddr, port: u16) -> Result<(), Reason> {
        self.rules.address(address, port)?;
        if is_own(address) && !self.rules.names_network(address, port) {
            return Err(Reason::Address { address, kind: Kind::Own });
        }
        Ok(())
    }
}

/// True for an address of this machine, also a public one: what listens there is often meant for this machine alone.
/// Such an address is the one that the kernel would speak from, to itself. Nothing is sent.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let spoken_from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    spoken_from.is_ok_and(|from| from.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn this_machines_addresses_are_its_own() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("192.0.2.77".parse().unwrap()));
    }
}
