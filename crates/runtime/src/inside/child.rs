//! A child of this program that stands in a rootless container's namespaces and hands out sockets made there.
//!
//! It is this program again, with an argument of its own, an empty environment, and nothing open but one end of a
//! socket as its standard input. It ends when the other end is closed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::ask::Ask;
use super::namespace;

/// The argument that makes this program such a child.
const ARGUMENT: &str = "__inside";
/// An answer that takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than any line between the two.
const LINE: usize = 128;

/// The child, as its parent sees it.
pub(crate) struct Child {
    line: Mutex<OwnedFd>,
    process: Mutex<std::process::Child>,
}

impl Child {
    /// Starts one that enters the namespaces of the process.
    pub(super) fn start(program: &Path, pid: u32) -> io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_timeout(&ours, sockopt::Timeout::Recv, Some(PATIENCE))?;
        let process = Command::new(program)
            .args([ARGUMENT, &pid.to_string()])
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let child = Self { line: Mutex::new(ours), process: Mutex::new(process) };
        // Its first word says whether it is inside.
        let line = child.line.lock().unwrap_or_else(PoisonError::into_inner);
        receive(line.as_fd())?;
        drop(line);
        Ok(child)
    }

    /// Asks, and waits.
    pub(super) fn ask(&self, ask: &Ask) -> io::Result<OwnedFd> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        send(line.as_fd(), ask.to_string().as_bytes(), None)?;
        receive(line.as_fd())?.ok_or_else(|| io::Error::other("the answer holds no socket"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// For the program's `main`, before it starts a thread: when the program was started as such a child, serves as one
/// and gives the code to end with.
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return None;
    }
    let pid = arguments.next().and_then(|pid| pid.to_str()?.parse().ok());
    let served = pid.ok_or_else(|| io::Error::other("no process was named")).and_then(serve);
    Some(if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn serve(pid: u32) -> io::Result<()> {
    let line = io::stdin();
    let entered = enter(pid);
    answer(
        line.as_fd(),
        entered.as_ref().map(|()| None).map_err(|error| error.raw_os_error().unwrap_or(EIO)),
    )?;
    entered?;
    loop {
        let mut bytes = [0; LINE];
        let mut no_room = RecvAncillaryBuffer::default();
        let got =
            recvmsg(line.as_fd(), &mut [IoSliceMut::new(&mut bytes)], &mut no_room, RecvFlags::empty())?;
        let asked = bytes.get(..got.bytes).and_then(|bytes| std::str::from_utf8(bytes).ok());
        match asked {
            None | Some("") => return Ok(()),
            Some(text) => {
                let made = text
                    .parse::<Ask>()
                    .map_err(|()| EIO)
                    .and_then(|ask| ask.perform().map_err(|error| error.raw_os_error().unwrap_or(EIO)));
                answer(line.as_fd(), made.as_ref().map(Some).map_err(|code| *code))?;
            }
        }
    }
}

/// The number of an error that has none (errno.h).
const EIO: i32 = 5;

/// The user namespace first: it is what gives the right to enter the other. Both are opened before, from outside.
fn enter(pid: u32) -> io::Result<()> {
    let (user, net) = (File::open(namespace(pid, "user"))?, File::open(namespace(pid, "net"))?);
    let own = std::fs::metadata("/proc/self/ns/user")?;
    let theirs = user.metadata()?;
    if (own.st_dev(), own.st_ino()) != (theirs.st_dev(), theirs.st_ino()) {
        move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))?;
    }
    Ok(move_into_link_name_space(net.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// An error's number, 0 for none, and a socket with it.
fn answer(line: impl AsFd, made: Result<Option<&OwnedFd>, i32>) -> io::Result<()> {
    match made {
        Ok(socket) => send(line, &0_i32.to_ne_bytes(), socket),
        Err(code) => send(line, &code.to_ne_bytes(), None),
    }
}

fn send(line: impl AsFd, bytes: &[u8], socket: Option<&OwnedFd>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets: Vec<_> = socket.iter().map(|socket| socket.as_fd()).collect();
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other("no room for a socket"));
    }
    sendmsg(line, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(line: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut code = [0; 4];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(line, &mut [IoSliceMut::new(&mut code)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes != code.len() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the child has ended"));
    }
    match i32::from_ne_bytes(code) {
        0 => Ok(control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        })),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}
