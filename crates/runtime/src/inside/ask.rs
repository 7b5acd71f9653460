//! What is asked of whoever is inside, as a line of text between two processes of this program.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::time::Duration;

/// A connection inside is to the loopback interface: it is there at once or not at all.
const CONNECT: Duration = Duration::from_secs(2);

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Listen(SocketAddr),
    Datagrams(SocketAddr),
    Connect(SocketAddr),
}

impl Ask {
    /// Makes it, in the namespace of the calling thread.
    pub(super) fn perform(self) -> io::Result<OwnedFd> {
        match self {
            Self::Listen(at) => {
                let listener = TcpListener::bind(at)?;
                listener.set_nonblocking(true)?;
                Ok(listener.into())
            }
            Self::Datagrams(at) => {
                let socket = UdpSocket::bind(at)?;
                socket.set_nonblocking(true)?;
                Ok(socket.into())
            }
            Self::Connect(to) => {
                let stream = TcpStream::connect_timeout(&to, CONNECT)?;
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                Ok(stream.into())
            }
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(at) => write!(f, "listen {at}"),
            Self::Datagrams(at) => write!(f, "datagrams {at}"),
            Self::Connect(to) => write!(f, "connect {to}"),
        }
    }
}

impl FromStr for Ask {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (what, address) = text.split_once(' ').ok_or(())?;
        let address = address.parse().map_err(|_| ())?;
        match what {
            "listen" => Ok(Self::Listen(address)),
            "datagrams" => Ok(Self::Datagrams(address)),
            "connect" => Ok(Self::Connect(address)),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ask;

    #[test]
    fn what_is_asked_is_what_arrives() {
        for ask in [
            Ask::Listen("127.0.0.1:80".parse().unwrap()),
            Ask::Datagrams("127.0.0.1:53".parse().unwrap()),
            Ask::Connect("[::1]:1".parse().unwrap()),
        ] {
            assert_eq!(ask.to_string().parse(), Ok(ask));
        }
        assert_eq!("listen".parse::<Ask>(), Err(()));
        assert_eq!("exec 127.0.0.1:1".parse::<Ask>(), Err(()));
    }
}
