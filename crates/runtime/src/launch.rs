//! What is to be run, and what it may do. Plain data, made by the configuration.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use safeconduct_core::secret::Secret;

use crate::package::Package;

/// Where the in-memory files of a container are.
pub const FILES: &str = "/run/safeconduct";

/// One instance to be started.
pub struct Launch {
    /// Name of the server in the configuration.
    pub server: Box<str>,
    /// Unique name of the instance: letters, digits and `-`; stands in labels and names.
    pub instance: Box<str>,
    /// What is run.
    pub program: Program,
    /// How it is spoken to.
    pub transport: Transport,
    /// What it may do.
    pub permissions: Permissions,
    /// Variables; nothing else is in its environment but what the image itself sets.
    pub environment: Vec<(String, Secret)>,
    /// Files that exist in memory only (tmpfs), readable by the process's user alone. In a container they stand below
    /// [`FILES`]; nothing else may be there.
    pub files: Vec<(PathBuf, Secret)>,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A container image: by digest, unless tags were allowed by name. Empty `command` runs the image's own.
    Image {
        /// `name@sha256:...`, `sha256:...` (an image that is here already) or, where allowed, `name:tag`.
        reference: String,
        /// Replaces the image's command.
        command: Vec<String>,
        /// A tag may stand for an image, although whoever owns the name can make it another image at any time.
        allow_tag: bool,
        /// Whether it is fetched.
        pull: Pull,
    },
    /// A package, which a container engine makes an image of, once; the engine `process` runs it with `uvx` or `npx`.
    Package(Package),
    /// A program of this machine, for the engine `process` only.
    Command {
        /// Program and arguments.
        arguments: Vec<String>,
        /// Where it runs.
        directory: Option<PathBuf>,
    },
}

/// Whether an image is fetched before it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pull {
    /// When it is not here.
    #[default]
    Missing,
    /// Each time.
    Always,
    /// Never: it must be here.
    Never,
}

/// How an instance is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Standard input and output (MCP stdio).
    Stdio,
    /// Streamable HTTP on this port, at this path.
    Http {
        /// Port that the server listens on.
        port: u16,
        /// Path of its endpoint: `/mcp`.
        path: String,
    },
}

/// What an instance may do. The default is the least: no network, no files, little memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Where it may connect to.
    pub network: Network,
    /// Paths of the host that it may read, at the same place inside unless said otherwise.
    pub read: Vec<Mount>,
    /// Paths of the host that it may write.
    pub write: Vec<Mount>,
    /// Bytes of memory.
    pub memory: u64,
    /// Processors, in thousandths.
    pub cpus: u32,
    /// Processes and threads.
    pub pids: u32,
    /// Bytes of `/tmp` (a tmpfs).
    pub tmp: u64,
    /// User and group inside (`uid[:gid]`); None: the image's, which must not be root unless `root` says so.
    pub user: Option<String>,
    /// The image may run as root.
    pub root: bool,
}

impl Default for Permissions {
    fn default() -> Self {
        Self {
            network: Network::None,
            read: Vec::new(),
            write: Vec::new(),
            memory: 512 << 20,
            cpus: 1000,
            pids: 128,
            tmp: 64 << 20,
            user: None,
            root: false,
        }
    }
}

/// A path of the host and where it is inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// On the host; canonical.
    pub host: PathBuf,
    /// Inside.
    pub inside: PathBuf,
}

/// Where an instance may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// Nowhere.
    None,
    /// These only.
    Allow(Vec<Destination>),
    /// Anywhere public, and every destination is recorded: for finding out what to allow.
    Learn,
}

/// `host:port`, `*.example.com:443` (one label), or a network in CIDR form with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Which hosts.
    pub host: HostPattern,
    /// Which port; None for any.
    pub port: Option<u16>,
}

/// Which hosts a destination means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This name, in lower case.
    Name(String),
    /// Names with one more label in front of this one.
    AnyLabel(String),
    /// Addresses: first address of the network and length of its prefix.
    Network(IpAddr, u8),
}

/// How an instance is ended: asked, then told, then killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// After its input was closed.
    pub close: Duration,
    /// After SIGTERM.
    pub term: Duration,
}

impl Default for Ladder {
    fn default() -> Self {
        Self { close: Duration::from_secs(2), term: Duration::from_secs(3) }
    }
}
