//! How this program reaches a server over HTTP that is in a namespace of its own: a listener on the host's loopback
//! interface whose connections go on inside. It is for this program alone: a connection of another user of the host is
//! closed unheard.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::way_out::Running;
use crate::inside::Inside;

/// How a server over HTTP is reached.
pub(super) enum Way {
    /// At its own address.
    Network(SocketAddr),
    /// Through a door of ours, which is open also while nobody listens inside.
    Door { at: SocketAddr, inside: Inside, to: SocketAddr },
}

impl Way {
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Network(at) | Self::Door { at, .. } => *at,
        }
    }

    /// Whether the server listens by now.
    pub(super) async fn leads_on(&self) -> bool {
        match self {
            Self::Network(at) => TcpStream::connect(at).await.is_ok(),
            Self::Door { inside, to, .. } => inside.connect(*to).await.is_ok(),
        }
    }
}

/// Opens the listener, and serves it for as long as `running` is held.
pub(super) async fn open(inside: Inside, port: u16, running: &Running) -> std::io::Result<Way> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let at = listener.local_addr()?;
    let to = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let within = Running::default();
    let beyond = inside.clone();
    running.run(async move {
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            };
            if !is_ours(peer, at) {
                tracing::warn!(%peer, "another user of this machine was turned away from a server");
                continue;
            }
            within.run(pass(stream, beyond.clone(), to));
        }
    });
    Ok(Way::Door { at, inside, to })
}

async fn pass(mut outer: TcpStream, inside: Inside, to: SocketAddr) {
    let _ = outer.set_nodelay(true);
    if let Ok(mut inner) = inside.connect(to).await {
        let _ = copy_bidirectional(&mut outer, &mut inner).await;
    }
}

/// Whether a connection was made by this user, as the kernel's table of connections says (proc(5): addresses in hex,
/// each group of four bytes with its little end first; then the state, and the eighth field is the user). Of a connection
/// whose maker has closed it the kernel writes root's number, whoever made it: only an established one (01) has an owner.
fn is_ours(peer: SocketAddr, at: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    owner(&table, peer, at) == Some(rustix::process::geteuid().as_raw())
}

fn owner(table: &str, from: SocketAddr, to: SocketAddr) -> Option<u32> {
    let (from, to) = (hex(from)?, hex(to)?);
    let line = table.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        (fields.next() == Some(&from) && fields.next() == Some(&to)).then_some(fields)
    });
    let mut rest = line?;
    rest.next().filter(|state| *state == "01")?;
    rest.nth(3)?.parse().ok()
}

fn hex(address: SocketAddr) -> Option<String> {
    match address.ip() {
        IpAddr::V4(ip) => Some(format!("{:08X}:{:04X}", u32::from(ip).swap_bytes(), address.port())),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{is_ours, owner};

    #[test]
    fn a_connection_of_this_user_is_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let stream = std::net::TcpStream::connect(at).unwrap();
        assert!(is_ours(stream.local_addr().unwrap(), at));
        drop(stream);
        assert!(!is_ours("127.0.0.1:1".parse().unwrap(), at));
    }

    #[test]
    fn the_user_stands_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 1 1\n";
        let (from, to) = ("127.0.0.1:40000".parse().unwrap(), "127.0.0.1:8080".parse().unwrap());
        assert_eq!(owner(table, from, to), Some(1000));
        assert_eq!(owner(table, to, from), None);
    }

    #[test]
    fn a_connection_that_its_maker_has_closed_is_nobodys() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:9C40 0100007F:1F90 05 00000000:00000000 00:00000000 00000000     0        0 0 1\n";
        let (from, to) = ("127.0.0.1:40000".parse().unwrap(), "127.0.0.1:8080".parse().unwrap());
        assert_eq!(owner(table, from, to), None);
    }
}
