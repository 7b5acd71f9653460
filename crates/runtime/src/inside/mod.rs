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

#[cfg(test)]
#[cfg(feature = "engine-tests")]
mod tests {
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::{How, Inside};

    /// A process in namespaces of its own, as a rootless engine's are.
    struct Apart(Child);

    impl Apart {
        async fn new() -> Self {
            let script = "ip link set lo up && echo there && exec sleep 600";
            let mut child = Command::new("unshare")
                .args(["--user", "--map-root-user", "--net", "sh", "-c", script])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdout = tokio::process::ChildStdout::from_std(child.stdout.take().unwrap()).unwrap();
            let mut there = [0; 6];
            stdout.read_exact(&mut there).await.unwrap();
            Self(child)
        }
    }

    impl Drop for Apart {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    async fn a_socket_made_inside_is_inside(how: How) {
        let apart = Apart::new().await;
        let inside = Inside::of(apart.0.id(), &how).unwrap();
        // A port that needs a privilege here, and an address that is free there.
        let at = "127.83.67.1:80".parse().unwrap();
        let listener = inside.listen(at).await.unwrap();
        assert_eq!(listener.local_addr().unwrap(), at);
        assert!(inside.listen(at).await.is_err(), "it is taken");
        let datagrams = inside.datagrams("127.83.67.1:53".parse().unwrap()).await.unwrap();
        assert_eq!(datagrams.local_addr().unwrap().port(), 53);
        let (accepted, connected) = tokio::join!(listener.accept(), inside.connect(at));
        let (mut accepted, mut connected) = (accepted.unwrap().0, connected.unwrap());
        connected.write_all(b"from inside").await.unwrap();
        let mut got = [0; 11];
        accepted.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"from inside");
        // From outside nobody gets there.
        assert!(TcpStream::connect(at).await.is_err());
    }

    #[tokio::test]
    async fn a_thread_makes_sockets_inside() {
        a_socket_made_inside_is_inside(How::Thread).await;
    }

    #[tokio::test]
    async fn a_child_makes_sockets_inside() {
        let program =
            std::env::var_os("SAFECONDUCT_TEST_INSIDE").expect("this test is run by interop/engine.sh");
        a_socket_made_inside_is_inside(How::Child { program: PathBuf::from(program) }).await;
    }

    #[tokio::test]
    async fn who_is_gone_cannot_be_entered() {
        assert!(Inside::of(u32::MAX >> 1, &How::Thread).is_err());
        let program = PathBuf::from(std::env::var_os("SAFECONDUCT_TEST_INSIDE").unwrap());
        assert!(Inside::of(u32::MAX >> 1, &How::Child { program }).is_err());
    }
}
