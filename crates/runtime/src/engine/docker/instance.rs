//! A running instance.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, KillContainerOptions, StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use safeconduct_core::secret::Secret;
use tokio::sync::watch;

use super::Docker;
use super::ask;
use super::attach::{Attached, attach};
use super::create::Outfit;
use super::door::{self, Way};
use super::error::told;
use super::made::{Made, to_its_end};
use super::meeting::{INSIDE, Meeting};
use super::oom::{self, RanOut};
use super::place::{Prepared, Spot};
use super::seccomp::PROFILE;
use super::shelf::{Shelf, below};
use super::user::{User, check, look_up};
use super::way_out::{Running, Signs, WayOut};
use crate::egress::{Egress, Who};
use crate::engine::{Doing, EngineError, Exit, Instance, Pipes};
use crate::inside::{How, Inside};
use crate::launch::{FILES, Ladder, Launch, Network, Transport};

/// The engine may note a moment after the end why it came.
const AFTERMATH: Duration = Duration::from_millis(500);

/// `stdio` or `http`.
pub(super) fn word(transport: &Transport) -> &'static str {
    match transport {
        Transport::Stdio => "stdio",
        Transport::Http { .. } => "http",
    }
}

struct Started {
    docker: Docker,
    made: Arc<Made>,
    container: String,
    pipes: Mutex<Option<Pipes>>,
    close: Mutex<Option<watch::Sender<bool>>>,
    way: Option<Way>,
    source: IpAddr,
    shelf: Option<Arc<Shelf>>,
    files: Vec<PathBuf>,
    ended: watch::Receiver<Option<Result<Exit, EngineError>>>,
    /// Its way out and its door, which close with it.
    open: Mutex<Option<(Option<WayOut>, Running)>>,
    stopping: tokio::sync::Mutex<bool>,
}

/// What is asked of the engine to start an instance, with everything that belongs to it.
struct Beginning {
    docker: Docker,
    made: Arc<Made>,
    place: Prepared,
    name: String,
    body: ContainerCreateBody,
    user: User,
    user_said: String,
    root: bool,
    shelf: Option<Arc<Shelf>>,
    files: Vec<PathBuf>,
    way_out: Option<WayOut>,
    http: Option<u16>,
}

/// Starts what was prepared.
pub(super) async fn start(place: Prepared, launch: &Launch) -> Result<Arc<dyn Instance>, EngineError> {
    let http = match &launch.transport {
        Transport::Http { port, .. } => Some(*port),
        Transport::Stdio => None,
    };
    if http.is_some() || launch.permissions.network != Network::None {
        place.spot().await?;
    }
    let (way_out, signs) = way_out(&place, launch).await?;
    let user_said = user_said(&place, launch).to_owned();
    let shelf = shelf(&place, launch)?;
    let body = outfit(&place, launch, shelf.as_deref(), signs)?.body()?;
    let beginning = Beginning {
        docker: place.docker.clone(),
        made: Arc::clone(&place.made),
        place,
        name: format!("safeconduct-{}", launch.instance),
        body,
        user: User::read(&user_said),
        user_said,
        root: launch.permissions.root,
        shelf,
        files: launch.files.iter().map(|(path, _)| path.clone()).collect(),
        way_out,
        http,
    };
    // It goes on when nobody waits any more: only then is it known what there is to be taken away.
    to_its_end(async move {
        let made = Arc::clone(&beginning.made);
        match beginning.begin().await {
            Ok(started) => Ok(Arc::new(started) as Arc<dyn Instance>),
            Err(error) => {
                // What cannot be taken away now is found by its label later.
                let _ = made.take_away().await;
                Err(error)
            }
        }
    })
    .await
}

impl Beginning {
    async fn begin(mut self) -> Result<Started, EngineError> {
        let docker = self.docker.clone();
        let api = docker.api();
        let turn = docker.turn().await;
        if ask::state(docker.address(), &self.name).await.is_ok() {
            return Err(EngineError::Refused(format!("there is already a container named {}", self.name)));
        }
        self.made.container(&self.name);
        let options =
            CreateContainerOptions { name: Some(self.name.clone()), ..CreateContainerOptions::default() };
        let body = std::mem::take(&mut self.body);
        let container = api.create_container(Some(options), body).await.map_err(told)?.id;
        let id = match &self.user {
            User::Id(id) => *id,
            User::Name(name) => look_up(api, &container, name).await?,
        };
        check(id, &self.user_said, self.root)?;
        if let Some(shelf) = &self.shelf {
            shelf.belongs_to(id).map_err(in_memory)?;
        }
        let attached = match self.http {
            None => Some(attach(api, &container).await?),
            Some(_) => None,
        };
        let (running, ran_out) = (Running::default(), RanOut::default());
        if self.http.is_none() {
            self.watch_memory(&container, &ran_out, &running).await;
        }
        api.start_container(&container, None::<StartContainerOptions>).await.map_err(told)?;
        if self.http.is_some() {
            self.watch_memory(&container, &ran_out, &running).await;
        }
        drop(turn);
        let ended = watch_end(docker.clone(), container.clone(), ran_out);
        let way = match meet(&self.place, &container, self.way_out.as_mut(), self.http, &running).await {
            // A program that ended at once is no failure of ours: whoever waits for it is told how.
            Err(error) if docker.is_running(&container).await => return Err(error),
            Err(_) => None,
            Ok(way) => way,
        };
        let (pipes, close) = match attached {
            Some(Attached { pipes, close }) => (Some(pipes), Some(close)),
            None => (None, None),
        };
        Ok(Started {
            docker: self.docker,
            made: self.made,
            container,
            pipes: Mutex::new(pipes),
            close: Mutex::new(close),
            way,
            source: self.place.spot_made().map_or(INSIDE, Spot::source),
            shelf: self.shelf,
            files: self.files,
            ended,
            open: Mutex::new(Some((self.way_out, running))),
            stopping: tokio::sync::Mutex::new(false),
        })
    }
}

impl Beginning {
    /// Podman has made the process of a container that was attached to, before it is started.
    async fn watch_memory(&self, container: &str, ran_out: &RanOut, running: &Running) {
        let ours = matches!(self.docker.meeting(), Meeting::Inside(How::Thread));
        if self.docker.facts().podman
            && ours
            && let Ok(pid) = self.docker.pid(container).await
            && let Err(error) = oom::watch(pid, Arc::clone(ran_out), running)
        {
            tracing::debug!(%error, "it will not be noticed when this container runs out of memory");
        }
    }
}

fn user_said<'a>(place: &'a Prepared, launch: &'a Launch) -> &'a str {
    launch.permissions.user.as_deref().or(place.image.config.user.as_deref()).unwrap_or_default()
}

fn in_memory(error: std::io::Error) -> EngineError {
    EngineError::Refused(format!("cannot write the in-memory files: {error}"))
}

async fn way_out(place: &Prepared, launch: &Launch) -> Result<(Option<WayOut>, Signs), EngineError> {
    if launch.permissions.network == Network::None {
        return Ok((None, Signs::default()));
    }
    let who = Who { server: launch.server.clone(), instance: launch.instance.clone() };
    let egress = Egress::new(who, &launch.permissions.network, place.docker.settings().egress.clone());
    let (way, signs) = WayOut::prepare(egress, place.spot().await?).await?;
    Ok((Some(way), signs))
}

/// The place of the in-memory files, if there are any, and of what Podman needs besides: a filter of system calls, and
/// a `resolv.conf`, which it does not write for a container without a network.
fn shelf(place: &Prepared, launch: &Launch) -> Result<Option<Arc<Shelf>>, EngineError> {
    if let Some((path, _)) = launch.files.iter().find(|(path, _)| below(path).is_none()) {
        return Err(EngineError::Forbidden(format!(
            "an in-memory file stands below {FILES}, not at {}",
            path.display()
        )));
    }
    let needed = !launch.files.is_empty() || needs_resolv_conf(place);
    if !needed && !place.docker.facts().podman {
        return Ok(None);
    }
    let shelves = match place.docker.shelves() {
        Err(error) if !needed => {
            tracing::warn!(%error, "system calls are filtered as Podman does by default, which is less");
            return Ok(None);
        }
        other => other?,
    };
    let facts = place.docker.facts();
    let gives = !facts.rootless && !facts.remapped;
    let shelf = Arc::new(shelves.shelf(&launch.instance, gives).map_err(in_memory)?);
    place.made.shelf(Arc::clone(&shelf));
    for (file, content) in &launch.files {
        shelf.put(file, content).map_err(in_memory)?;
    }
    Ok(Some(shelf))
}

fn needs_resolv_conf(place: &Prepared) -> bool {
    place.docker.facts().podman && matches!(place.spot_made(), Some(Spot::Inside(_)))
}

fn outfit<'a>(
    place: &'a Prepared,
    launch: &'a Launch,
    shelf: Option<&Shelf>,
    signs: Signs,
) -> Result<Outfit<'a>, EngineError> {
    let docker = &place.docker;
    let permissions = &launch.permissions;
    let mut mounts = Vec::new();
    for (mount, write) in permissions
        .read
        .iter()
        .map(|mount| (mount, false))
        .chain(permissions.write.iter().map(|mount| (mount, true)))
    {
        mounts.push((docker.mount(mount)?, write));
    }
    let resolv_conf = match shelf.filter(|_| needs_resolv_conf(place)) {
        Some(shelf) => {
            Some(shelf.aside("resolv.conf", &format!("nameserver {INSIDE}\n")).map_err(in_memory)?)
        }
        None => None,
    };
    let seccomp = match shelf.filter(|_| docker.facts().podman) {
        Some(shelf) => Some(shelf.aside("seccomp.json", PROFILE).map_err(in_memory)?),
        None => None,
    };
    let network = match place.spot_made() {
        Some(Spot::Network(network)) => Some((network.name.clone(), network.instance())),
        _ => None,
    };
    let mut variables = signs.variables;
    if variables.is_empty() && docker.facts().podman {
        // It would hand on its own.
        let none = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"];
        let lower = ["http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"];
        variables.extend(none.into_iter().chain(lower).map(|name| (name, String::new())));
    }
    Ok(Outfit {
        mark: docker.mark(),
        launch,
        image: &place.image,
        facts: docker.facts(),
        mounts,
        files: shelf.filter(|_| !launch.files.is_empty()).map(Shelf::host_files),
        resolv_conf,
        seccomp,
        network,
        names: place.spot_made().map_or(INSIDE, Spot::gateway),
        hosts: signs.hosts,
        variables,
    })
}

/// Meets the instance that has just started: puts into its namespace what belongs there, opens its way out, and says
/// how it is reached over HTTP.
async fn meet(
    place: &Prepared,
    container: &str,
    way_out: Option<&mut WayOut>,
    http: Option<u16>,
    running: &Running,
) -> Result<Option<Way>, EngineError> {
    let Some(spot) = place.spot_made() else { return Ok(None) };
    let failed = |error: std::io::Error| {
        EngineError::Refused(format!("cannot enter the container's network: {error}"))
    };
    let inside = match place.docker.meeting() {
        Meeting::Inside(how) => {
            let pid = place.docker.pid(container).await?;
            let inside = Inside::of(pid, how).map_err(failed)?;
            // The number could have passed to another process meanwhile.
            if place.docker.pid(container).await? != pid {
                return Err(EngineError::Refused("the container ended while it was entered".to_owned()));
            }
            spot.keep_promises(&inside).await?;
            Some(inside)
        }
        _ => None,
    };
    if let Some(way_out) = way_out {
        way_out.open(inside.as_ref()).await.map_err(failed)?;
    }
    Ok(match (http, spot, inside) {
        (Some(port), Spot::Network(network), _) => {
            Some(Way::Network(SocketAddr::new(network.instance().into(), port)))
        }
        (Some(port), Spot::Inside(_), Some(inside)) => {
            Some(door::open(inside, port, running).await.map_err(failed)?)
        }
        _ => None,
    })
}

/// Waits for the end once, for all who ask.
fn watch_end(
    docker: Docker,
    container: String,
    ran_out: RanOut,
) -> watch::Receiver<Option<Result<Exit, EngineError>>> {
    let (tell, told_end) = watch::channel(None);
    tokio::spawn(async move {
        let mut end = docker.end(&container).await;
        if let Ok(exit) = &mut end {
            exit.out_of_memory |= exit.code.is_none() && ran_out.load(Ordering::Acquire);
        }
        tell.send_replace(Some(end));
    });
    told_end
}

impl Docker {
    async fn end(&self, container: &str) -> Result<Exit, EngineError> {
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        let waited = self.api().wait_container(container, Some(options)).next().await;
        match waited {
            Some(Err(bollard::errors::Error::DockerContainerWaitError { .. }) | Ok(_)) => {}
            Some(Err(error)) => return Err(told(error)),
            None => return Err(EngineError::Absent("it went away while the server ran".to_owned())),
        }
        let mut exit = self.exit(container).await?;
        if exit.code.is_none() && !exit.out_of_memory {
            tokio::time::sleep(AFTERMATH).await;
            exit = self.exit(container).await.unwrap_or(exit);
        }
        Ok(exit)
    }

    async fn exit(&self, container: &str) -> Result<Exit, EngineError> {
        let state = ask::state(self.address(), container).await?;
        // A process that a signal ended has 128 and the signal's number as its code.
        let code = Some(state.exit_code).filter(|code| !(129..=192).contains(code));
        Ok(Exit { code, out_of_memory: code.is_none() && state.out_of_memory })
    }

    async fn pid(&self, container: &str) -> Result<u32, EngineError> {
        let pid = ask::state(self.address(), container).await?.pid;
        u32::try_from(pid)
            .ok()
            .filter(|pid| *pid > 0)
            .ok_or_else(|| EngineError::Refused("the container has ended".to_owned()))
    }

    async fn is_running(&self, container: &str) -> bool {
        ask::state(self.address(), container).await.is_ok_and(|state| state.running)
    }

    pub(super) async fn signal(&self, container: &str, signal: &str) -> Result<(), EngineError> {
        let options = KillContainerOptions { signal: signal.to_owned() };
        self.api().kill_container(container, Some(options)).await.map_err(told)
    }
}

impl Instance for Started {
    fn pipes(&self) -> Option<Pipes> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn address(&self) -> Option<SocketAddr> {
        self.way.as_ref().map(Way::address)
    }

    fn listens(&self) -> Doing<'_, bool> {
        Box::pin(async move {
            match &self.way {
                Some(way) => Ok(way.leads_on().await),
                None => Ok(false),
            }
        })
    }

    fn source(&self) -> IpAddr {
        self.source
    }

    fn write<'a>(&'a self, file: &'a Path, content: &'a Secret) -> Doing<'a, ()> {
        Box::pin(async move {
            let shelf = self.shelf.as_ref().filter(|_| self.files.iter().any(|known| known == file));
            let shelf = shelf.ok_or_else(|| {
                EngineError::Missing(format!("{} is none of the instance's in-memory files", file.display()))
            })?;
            shelf.put(file, content).map_err(in_memory)
        })
    }

    fn ended(&self) -> Doing<'_, Exit> {
        Box::pin(async move {
            let mut ended = self.ended.clone();
            let end = ended.wait_for(Option::is_some).await;
            let gone = || Err(EngineError::Absent("nobody waits for the server's end any more".to_owned()));
            end.map_or_else(|_| gone(), |end| end.clone().unwrap_or_else(gone))
        })
    }

    fn stop(&self, ladder: Ladder) -> Doing<'_, ()> {
        Box::pin(async move {
            let mut stopped = self.stopping.lock().await;
            if *stopped {
                return Ok(());
            }
            if let Some(close) = self.close.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
                close.send_replace(true);
            }
            let ended = |within| tokio::time::timeout(within, self.ended());
            // A server over HTTP has no input whose end it could notice.
            let noticed = self.way.is_none() && ended(ladder.close).await.is_ok();
            if !noticed && self.docker.signal(&self.container, "SIGTERM").await.is_ok() {
                let _ = ended(ladder.term).await;
            }
            // The way out stays open until it has ended: it may have something to finish.
            self.made.take_away().await?;
            self.close.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
            *stopped = true;
            Ok(())
        })
    }
}
