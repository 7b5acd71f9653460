//! The engine `process`: programs of this machine, without a container. For development, and only when asked for by name.
//!
//! What it does: nothing of this program's environment is inherited; each instance has a directory of its own (home,
//! temporary files, in-memory files), is the leader of a process group and is ended with all of it; core dumps are off,
//! open files and the data segment are bounded. The bounds are set right after the start (a program that forks in its
//! first microseconds can outrun them), because setting them before takes unsafe code or a shell.
//!
//! What it does not do: the program runs as this user, reads and writes what this user may, and connects wherever it
//! wants. All share this machine's ports, so one port is one instance's: a second is refused, and does not find itself
//! answered by the first, which has another caller's credential. `network`, `read`, `write`, `cpus` and `pids` are not enforced. That is what the warning says.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use safeconduct_core::secret::Secret;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::scratch::Scratch;
use super::{Doing, Engine, EngineError, Exit, Instance, Listener, Pipes, Place};
use crate::launch::{Ladder, Launch, Program, Transport};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Where programs are found.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const OPEN_FILES: u64 = 4096;

/// See the module.
pub struct ProcessEngine(Ports);

impl ProcessEngine {
    /// The engine; says once what it does not do.
    #[expect(clippy::new_without_default, reason = "it is never the default")]
    pub fn new() -> Self {
        tracing::warn!(
            "engine `process`: servers run as this user, not confined: files and network are open to them; for development only"
        );
        let ended = Scratch::clear_orphans();
        if ended > 0 {
            tracing::warn!(processes = ended, "ended what an earlier run of this program left behind");
        }
        Self(Ports::default())
    }
}

impl Engine for ProcessEngine {
    fn name(&self) -> &'static str {
        "process"
    }

    fn prepare<'a>(&'a self, launch: &'a Launch) -> Doing<'a, Box<dyn Place>> {
        Box::pin(async move {
            if matches!(launch.program, Program::Image { .. }) {
                let what =
                    "the engine `process` runs programs of this machine; an image needs docker or podman";
                return Err(EngineError::Forbidden(what.into()));
            }
            let port = match launch.transport {
                Transport::Stdio => None,
                Transport::Http { port, .. } => Some(self.0.take(port).await?),
            };
            let scratch = Scratch::new(&launch.instance).map_err(failed("no directory for the instance"))?;
            Ok(Box::new(Prepared { scratch, port }) as Box<dyn Place>)
        })
    }
}

/// The ports of this machine that instances have.
#[derive(Clone, Default)]
struct Ports(Arc<Mutex<HashSet<u16>>>);

/// A port, until it is dropped.
struct Port {
    number: u16,
    all: Ports,
}

impl Ports {
    /// # Errors
    /// Another instance has it, or another program of this machine listens there.
    async fn take(&self, number: u16) -> Result<Port, EngineError> {
        if !self.lock().insert(number) {
            return Err(EngineError::Refused(format!(
                "port {number} is another instance's; with the engine `process` one instance at a time listens at a port: \
                 use a container engine, or stdio"
            )));
        }
        let port = Port { number, all: self.clone() };
        match TcpListener::bind((LOOPBACK, number)).await {
            Ok(_) => Ok(port),
            Err(error) => Err(EngineError::Refused(format!("port {number} is not free: {error}"))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<u16>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.all.lock().remove(&self.number);
    }
}

struct Prepared {
    scratch: Scratch,
    port: Option<Port>,
}

impl Place for Prepared {
    fn listen(&self, port: u16) -> Doing<'_, Listener> {
        Box::pin(async move {
            let bound = TcpListener::bind((LOOPBACK, port)).await.map_err(failed("cannot listen"))?;
            // Every program of this machine comes from there: what is served asks for a bearer.
            Listener::bound(bound, Some(LOOPBACK)).map_err(failed("cannot listen"))
        })
    }

    fn start<'a>(self: Box<Self>, launch: &'a Launch) -> Doing<'a, Arc<dyn Instance>> {
        Box::pin(async move {
            let (arguments, directory) = match &launch.program {
                Program::Command { arguments, directory } => (arguments.clone(), directory.clone()),
                Program::Package(package) => (package.command(), None),
                Program::Image { .. } => {
                    return Err(EngineError::Forbidden("not a program of this machine".into()));
                }
            };
            let Some((program, arguments)) = arguments.split_first() else {
                return Err(EngineError::Missing("there is no program to run".into()));
            };
            let Self { scratch, port } = *self;
            for (file, content) in &launch.files {
                scratch.write(file, content).map_err(failed("cannot write an in-memory file"))?;
            }
            let mut command = Command::new(program);
            command.args(arguments).env_clear().process_group(0).kill_on_drop(true);
            command.env("PATH", PATH).env("LANG", "C.UTF-8");
            command.env("HOME", scratch.home()).env("TMPDIR", scratch.temporary());
            for (name, value) in &launch.environment {
                command.env(name, variable(value, launch, &scratch));
            }
            command.current_dir(directory.as_deref().unwrap_or(scratch.home()));
            let address = match launch.transport {
                Transport::Stdio => None,
                Transport::Http { port, .. } => Some(SocketAddr::new(LOOPBACK, port)),
            };
            command.stdin(if address.is_none() { Stdio::piped() } else { Stdio::null() });
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child =
                command.spawn().map_err(|error| not_spawned(program, directory.as_deref(), &error))?;
            let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
            let Some(group) = group else {
                return Err(EngineError::Refused("the program has no process id".into()));
            };
            bounded(group, launch.permissions.memory);
            let pipes = pipes_of(&mut child);
            let (ended, _) = watch::channel(None);
            tokio::spawn(reap(child, group, port, ended.clone()));
            let instance = Running { group, scratch, ended, address, pipes: Mutex::new(pipes) };
            Ok(Arc::new(instance) as Arc<dyn Instance>)
        })
    }
}

struct Running {
    group: Pid,
    scratch: Scratch,
    ended: watch::Sender<Option<Exit>>,
    address: Option<SocketAddr>,
    pipes: Mutex<Option<Pipes>>,
}

impl Running {
    fn signal(&self, signal: Signal) {
        if self.ended.borrow().is_none() {
            // It may have ended in between.
            let _ = kill_process_group(self.group, signal);
        }
    }

    async fn ends_within(&self, time: Duration) -> bool {
        let mut ended = self.ended.subscribe();
        tokio::time::timeout(time, ended.wait_for(Option::is_some)).await.is_ok()
    }
}

impl Instance for Running {
    fn pipes(&self) -> Option<Pipes> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    fn source(&self) -> IpAddr {
        LOOPBACK
    }

    fn write<'a>(&'a self, file: &'a Path, content: &'a Secret) -> Doing<'a, ()> {
        Box::pin(async move {
            self.scratch.write(file, content).map_err(failed("cannot write an in-memory file"))
        })
    }

    fn ended(&self) -> Doing<'_, Exit> {
        let mut ended = self.ended.subscribe();
        Box::pin(async move {
            let exit = ended.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
            exit.ok_or_else(|| EngineError::Refused("the program's end was not seen".into()))
        })
    }

    fn stop(&self, ladder: Ladder) -> Doing<'_, ()> {
        Box::pin(async move {
            drop(self.pipes());
            if !self.ends_within(ladder.close).await {
                self.signal(Signal::TERM);
                if !self.ends_within(ladder.term).await {
                    self.signal(Signal::KILL);
                    self.ends_within(Duration::from_secs(5)).await;
                }
            }
            self.scratch.clear().map_err(failed("cannot remove the instance's directory"))
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Waits for the program; what it leaves behind in its group is ended, too.
async fn reap(mut child: Child, group: Pid, port: Option<Port>, ended: watch::Sender<Option<Exit>>) {
    let status = child.wait().await;
    // Without a member left there is no such group.
    let _ = kill_process_group(group, Signal::KILL);
    drop(port);
    let code = status.ok().and_then(|status| status.code()).map(i64::from);
    ended.send_replace(Some(Exit { code, out_of_memory: false }));
}

fn bounded(program: Pid, memory: u64) {
    let bounds =
        [(Resource::Core, 0), (Resource::Nofile, OPEN_FILES), (Resource::Data, memory.max(64 << 20))];
    for (resource, most) in bounds {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        if let Err(error) = prlimit(Some(program), resource, limit) {
            tracing::warn!(?resource, %error, "a bound was not set");
        }
    }
}

fn pipes_of(child: &mut Child) -> Option<Pipes> {
    let (stdout, stderr) = (child.stdout.take()?, child.stderr.take()?);
    let stdin: Box<dyn tokio::io::AsyncWrite + Send + Unpin> = match child.stdin.take() {
        Some(stdin) => Box::new(stdin),
        None => Box::new(tokio::io::sink()),
    };
    Some(Pipes { stdin, stdout: Box::new(stdout), stderr: Box::new(stderr) })
}

/// A variable's value. One that is the path of an in-memory file is the path at which it really is.
fn variable(value: &Secret, launch: &Launch, scratch: &Scratch) -> OsString {
    let named = launch.files.iter().find(|(file, _)| file.as_os_str().as_encoded_bytes() == value.expose());
    match named {
        Some((file, _)) => scratch.place(file).into_os_string(),
        None => OsString::from_vec(value.expose().to_vec()),
    }
}

fn not_spawned(program: &str, directory: Option<&Path>, error: &std::io::Error) -> EngineError {
    if error.kind() != ErrorKind::NotFound {
        return EngineError::Refused(format!("{program} did not start: {error}"));
    }
    match directory.filter(|directory| !directory.is_dir()) {
        Some(directory) => {
            EngineError::Missing(format!("the directory {} is not there", directory.display()))
        }
        None => EngineError::Missing(format!("{program} was not found (PATH is {PATH})")),
    }
}

fn failed(what: &'static str) -> impl Fn(std::io::Error) -> EngineError {
    move |error| EngineError::Refused(format!("{what}: {error}"))
}
