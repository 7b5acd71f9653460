//! Docker and Podman, over the API that both speak.
//!
//! Each instance is a container with nothing: no capabilities, no way to gain any, a root that cannot be written, no
//! network but a namespace of its own that leads nowhere, no more memory, processes or processors than it was given,
//! nothing of the host but what was named. `create` is where that stands.
//!
//! How an instance and this program meet depends on what this program may do; [`Link`] says what to choose from:
//!
//! - as root on the host, or beside a rootless engine: **inside** the instance's own network namespace. Nothing of the
//!   host can be reached from there, and each name that is allowed has an address of its own.
//! - in a container of the engine: on an internal network of the instance that this program's container **joins**.
//! - as an ordinary user who may speak to Docker: at the host's address on a **bridge** of the instance. What listens
//!   there on all addresses can be reached by the instance; a rootless engine does not have that.

mod ask;
mod attach;
mod build;
mod create;
mod door;
mod error;
mod facts;
mod find;
mod image;
mod instance;
mod labels;
mod made;
mod mark;
mod meeting;
mod mounts;
mod network;
mod oom;
mod own;
mod place;
mod reference;
mod registries;
mod seccomp;
mod settings;
mod shelf;
mod subnet;
mod tenants;
mod user;
mod way_out;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bollard::Docker as Api;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

use self::facts::Facts;
use self::find::{Address, Connected};
pub use self::find::{Surroundings, Wanted};
use self::mark::Mark;
use self::meeting::Meeting;
use self::mounts::Keep;
use self::own::Own;
use self::place::Prepared;
use self::reference::Reference;
use self::registries::Registries;
pub use self::settings::{AnyImage, Images, Link, Progress, Settings, Silent, Step};
use self::shelf::Shelves;
pub use self::tenants::{Line, Swept, Tenant};
use self::user::{User, check};
use super::{Doing, Engine, EngineError, Place};
use crate::launch::{Launch, Mount, Program};

/// A container engine. Cheap to clone.
#[derive(Clone)]
pub struct Docker(Arc<Inner>);

struct Inner {
    api: Api,
    address: Address,
    facts: Facts,
    settings: Settings,
    meeting: Meeting,
    own: Option<Own>,
    mark: Mark,
    keep: Keep,
    registries: Registries,
    around: Surroundings,
    turns: Semaphore,
    /// Held while an image is built.
    building: Mutex<()>,
}

/// Containers that are made or removed at the same time: more only hold each other up.
const TURNS: usize = 8;

impl Docker {
    /// Finds an engine and asks what it can do.
    ///
    /// # Errors
    /// [`EngineError::Absent`] when there is none, saying where it was looked for and what to do.
    pub async fn find(
        wanted: &Wanted,
        around: Surroundings,
        settings: Settings,
    ) -> Result<Self, EngineError> {
        let Connected { api, address } = find::find(wanted, &around).await?;
        let facts = Facts::of(&api, &address).await?;
        let own = Own::find(&api).await?;
        let meeting = Meeting::decide(&settings, &facts, &address, own.as_ref());
        let mark = Mark::new(&settings.owner, own.as_ref());
        if !facts.lacking().is_empty() {
            tracing::warn!("this engine cannot limit {}", facts.lacking().join(", "));
        }
        if meeting == Meeting::Bridge {
            tracing::warn!(
                "servers with a network can reach what listens on all addresses of this machine: run this program as \
                 root, in a container, or with a rootless engine"
            );
        }
        let mut kept = settings.state.clone();
        kept.extend(find::sockets(&Wanted::Any, &around));
        if let Address::Socket(path) = &address {
            kept.push(path.clone());
        }
        kept.extend(settings.memory.clone());
        let (keep, registries) = (Keep::new(kept), Registries::of(&around));
        Ok(Self(Arc::new(Inner {
            api,
            address,
            facts,
            settings,
            meeting,
            own,
            mark,
            keep,
            registries,
            around,
            turns: Semaphore::new(TURNS),
            building: Mutex::default(),
        })))
    }

    /// The engine's version, as it says it.
    pub fn version(&self) -> &str {
        &self.0.facts.version
    }

    /// What this engine cannot enforce, in words; nothing is started by one that filters no system calls, nor, unless
    /// [`Settings::unlimited`] says so, by one that limits neither memory nor processes.
    pub fn lacking(&self) -> Vec<&'static str> {
        self.facts().lacking()
    }

    /// Whether a connection to this program from there comes from an instance: one that came to a listener which was
    /// not meant for it, because that listens on all addresses. It should be closed unheard.
    pub fn is_instance(&self, peer: IpAddr) -> bool {
        match (peer.to_canonical(), &self.0.meeting) {
            (IpAddr::V4(peer), Meeting::Bridge | Meeting::Joined(_)) => self.settings().pool.contains(&peer),
            _ => false,
        }
    }

    /// How instances and this program meet, as a word: `inside`, `bridge`, `joined`, `nowhere`.
    pub fn link(&self) -> &'static str {
        match self.0.meeting {
            Meeting::Inside(_) => "inside",
            Meeting::Bridge => "bridge",
            Meeting::Joined(_) => "joined",
            Meeting::Nowhere(_) => "nowhere",
        }
    }

    /// Waits for a turn to make or remove something. None never happens: nobody closes the line.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.0.turns.acquire().await.ok()
    }

    fn api(&self) -> &Api {
        &self.0.api
    }

    fn address(&self) -> &Address {
        &self.0.address
    }

    fn facts(&self) -> &Facts {
        &self.0.facts
    }

    fn settings(&self) -> &Settings {
        &self.0.settings
    }

    fn mark(&self) -> &Mark {
        &self.0.mark
    }

    fn meeting(&self) -> &Meeting {
        &self.0.meeting
    }

    fn registries(&self) -> &Registries {
        &self.0.registries
    }

    fn own_container(&self) -> Option<&str> {
        match &self.0.meeting {
            Meeting::Joined(own) => Some(own),
            _ => None,
        }
    }

    /// Where the engine finds a path of ours.
    fn on_host(&self, path: &std::path::Path) -> Option<PathBuf> {
        match &self.0.own {
            Some(own) => own.on_host(path),
            None => Some(path.to_owned()),
        }
    }

    fn shelves(&self) -> Result<Shelves, EngineError> {
        let settings = self.settings();
        Shelves::open(
            settings.memory.as_deref(),
            &settings.owner,
            self.0.around.runtime_dir.as_deref(),
            |path| self.on_host(path),
        )
    }

    /// A mount as the engine gets it, if it is allowed.
    fn mount(&self, mount: &Mount) -> Result<Mount, EngineError> {
        let Mount { host, inside } = self.0.keep.check(mount)?;
        let found = self.on_host(&host).ok_or_else(|| {
            EngineError::Forbidden(format!(
                "cannot mount {}: it is not of the host (mount it into this program's container first)",
                host.display()
            ))
        })?;
        Ok(Mount { host: found, inside })
    }
}

impl Engine for Docker {
    fn name(&self) -> &'static str {
        if self.facts().podman { "podman" } else { "docker" }
    }

    fn prepare<'a>(&'a self, launch: &'a Launch) -> Doing<'a, Box<dyn Place>> {
        Box::pin(async move {
            self.facts().enough(self.settings().unlimited)?;
            let plain =
                |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if !plain(&launch.instance) {
                return Err(EngineError::Forbidden(format!(
                    "`{}` is no name of an instance",
                    launch.instance
                )));
            }
            if let Program::Command { .. } = &launch.program {
                return Err(no_container());
            }
            let permissions = &launch.permissions;
            for mount in permissions.read.iter().chain(&permissions.write) {
                self.mount(mount)?;
            }
            let image = match &launch.program {
                Program::Image { reference, allow_tag, pull, .. } => {
                    let image = self.image(reference, *allow_tag, *pull).await?;
                    let moves = matches!(Reference::read(reference)?, Reference::Tag { .. });
                    let admitted = self.settings().images.admit(&launch.server, reference, moves, &image.id);
                    admitted.map_err(EngineError::Forbidden)?;
                    image
                }
                Program::Package(package) => self.package(package).await?,
                Program::Command { .. } => return Err(no_container()),
            };
            let user = permissions.user.as_deref().or(image.config.user.as_deref()).unwrap_or_default();
            if let User::Id(id) = User::read(user) {
                check(id, user, permissions.root)?;
            }
            if permissions.root {
                tracing::warn!(
                    server = &*launch.server,
                    "may run as root inside its container (`root: true`)"
                );
            }
            Ok(Box::new(Prepared::new(self.clone(), image, launch)) as Box<dyn Place>)
        })
    }

    fn make_ready<'a>(&'a self, program: &'a Program) -> Doing<'a, ()> {
        Box::pin(async move {
            match program {
                Program::Package(package) => self.package(package).await.map(drop),
                Program::Image { .. } | Program::Command { .. } => Ok(()),
            }
        })
    }
}

fn no_container() -> EngineError {
    EngineError::Forbidden("a command of this machine runs in no container".to_owned())
}
