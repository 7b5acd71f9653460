//! What an operator may say about the engine.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::Ipv4Net;

use crate::egress::Common;

/// Settings of a container engine.
#[derive(Clone)]
pub struct Settings {
    /// Name of this gateway, the same after a restart: stands in the labels of all that it makes, so that what a
    /// crashed one left behind is found.
    pub owner: Box<str>,
    /// This program's own files, which no server may see.
    pub state: Vec<PathBuf>,
    /// A directory in memory (tmpfs) for the files of instances; None: one is found. A gateway in a container needs
    /// one that the host has too, mounted into its container.
    pub memory: Option<PathBuf>,
    /// How instances and this program meet.
    pub link: Link,
    /// Servers run although the engine can limit neither their memory nor the number of their processes.
    pub unlimited: bool,
    /// This program, to be started again inside a rootless container's namespaces: its `main` begins with
    /// [`crate::inside::serve_if_asked`].
    pub program: Option<PathBuf>,
    /// Where the networks of instances are taken from, if networks are needed.
    pub pool: Ipv4Net,
    /// The ways out.
    pub egress: Common,
    /// Is told how far a pull is.
    pub progress: Arc<dyn Progress>,
    /// Says whether an image may run that is there.
    pub images: Arc<dyn Images>,
}

impl Settings {
    /// The defaults, for a gateway of this name.
    pub fn new(owner: impl Into<Box<str>>) -> Self {
        let pool = Ipv4Net::new_assert(Ipv4Addr::new(10, 213, 0, 0), 16);
        Self {
            owner: owner.into(),
            state: Vec::new(),
            memory: None,
            link: Link::Auto,
            unlimited: false,
            program: None,
            pool,
            egress: Common::default(),
            progress: Arc::new(Silent),
            images: Arc::new(AnyImage),
        }
    }
}

/// How an instance and this program meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// The strictest that is possible here.
    #[default]
    Auto,
    /// Inside the instance's own network namespace, which leads nowhere.
    Inside,
    /// On an internal network of the instance, at the host's address there. Programs of the host that listen on all
    /// addresses can be reached by the instance.
    Bridge,
    /// On an internal network of the instance, which this program's own container joins. What this program, or another
    /// in its container, listens to on all addresses can be reached by the instance.
    Joined,
}

/// Told how far the pull of an image is.
pub trait Progress: Send + Sync {
    /// A step: of which image, what happens, and how many bytes of how many, where that is known.
    fn step(&self, image: &str, step: &Step<'_>);
}

/// One step of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// The layer; empty for the image as a whole.
    pub layer: &'a str,
    /// What happens: `Downloading`.
    pub status: &'a str,
    /// Bytes so far and altogether.
    pub bytes: Option<(u64, u64)>,
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _: &str, _: &Step<'_>) {}
}

/// Says whether a server may run what its reference stands for now.
pub trait Images: Send + Sync {
    /// `reference` as it is configured; `moves` when it is a tag, which may stand for another image the next time; `id` is
    /// what it stands for now: `sha256:...`.
    ///
    /// # Errors
    /// Why not, for the operator.
    fn admit(&self, server: &str, reference: &str, moves: bool, id: &str) -> Result<(), String>;
}

/// Whatever the reference stands for.
pub struct AnyImage;

impl Images for AnyImage {
    fn admit(&self, _: &str, _: &str, _: bool, _: &str) -> Result<(), String> {
        Ok(())
    }
}
