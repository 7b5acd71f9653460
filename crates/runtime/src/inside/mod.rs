//! Sockets of this program inside a container's network namespace.
//!
//! A container whose namespace has nothing but a loopback interface can reach nothing and be reached by nobody: no
//! bridge, no address of the host, no neighbour. What it may talk to, this program puts there: a socket belongs to the
//! namespace in which it was made, whoever holds it.
//!
//! Making one there needs the right to enter. With CAP_SYS_ADMIN a thread of our own enters, makes the socket and
//! ends. The containers of a rootless engine are in a user namespace of the user who runs it; only a process with a
//! single thread can enter that, so a child of this program does, and hands the sockets over.

mod ask;
mod child;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;

use self::ask::Ask;
use self::child::Child;
pub use self::child::serve_if_asked;

/// How a namespace is entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// By a thread of this process.
    Thread,
    /// By a child process: this program, started with an argument that [`serve_if_asked`] knows.
    Child {
        /// The program.
        program: PathBuf,
    },
}

/// A container's network namespace. It is kept for as long as this is, or any socket made in it.
#[derive(Clone)]
pub(crate) enum Inside {
    Thread(Arc<OwnedFd>),
    Child(Arc<Child>),
}

impl Inside {
    /// The namespace of a process.
    pub(crate) fn of(pid: u32, how: &How) -> io::Result<Self> {
        match how {
            How::Thread => Ok(Self::Thread(Arc::new(File::open(namespace(pid, "net"))?.into()))),
            How::Child { program } => Ok(Self::Child(Arc::new(Child::start(program, pid)?))),
        }
    }

    /// A listener there.
    pub(crate) async fn listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::from_std(self.ask(Ask::Listen(at)).await?.into())
    }

    /// A socket for datagrams there.
    pub(crate) async fn datagrams(&self, at: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::from_std(self.ask(Ask::Datagrams(at)).await?.into())
    }

    /// A connection made there.
    pub(crate) async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::from_std(self.ask(Ask::Connect(to)).await?.into())
    }

    async fn ask(&self, ask: Ask) -> io::Result<OwnedFd> {
        match self {
            Self::Thread(namespace) => {
                let namespace = Arc::clone(namespace);
                let (tell, told) = oneshot::channel();
                // A thread of its own, which ends: it never comes back to where it came from.
                std::thread::Builder::new().name("inside".to_owned()).spawn(move || {
                    let entered =
                        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
                    let _ = tell.send(entered.map_err(io::Error::from).and_then(|()| ask.perform()));
                })?;
                told.await.map_err(io::Error::other)?
            }
            Self::Child(child) => {
                let child = Arc::clone(child);
                tokio::task::spawn_blocking(move || child.ask(&ask)).await.map_err(io::Error::other)?
            }
        }
    }
}

fn namespace(pid: u32, kind: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join("ns").join(kind)
}
