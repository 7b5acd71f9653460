//! The place of one instance: where it and this program meet, and what was made for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::{OnceCell, oneshot};

use super::Docker;
use super::image::Image;
use super::instance;
use super::made::{Made, to_its_end};
use super::meeting::{INSIDE, Meeting};
use super::network::Network;
use crate::engine::{Doing, EngineError, Instance, Listener, Place};
use crate::inside::Inside;
use crate::launch::Launch;

/// The first port that is given to a listener of ours inside an instance's namespace.
const FIRST_PORT: u16 = 9001;

/// A prepared instance.
pub(super) struct Prepared {
    pub(super) docker: Docker,
    pub(super) image: Image,
    pub(super) made: Arc<Made>,
    /// Where we meet, if that was needed so far.
    spot: OnceCell<Spot>,
    names: (Box<str>, Box<str>, &'static str),
}

/// Where this program and one instance meet.
pub(super) enum Spot {
    /// In the instance's namespace: listeners are promised until it is there.
    Inside(Promises),
    /// On a network of the instance.
    Network(Network),
}

/// Listeners that come into being with the instance.
#[derive(Default)]
pub(super) struct Promises {
    promised: Mutex<Vec<(SocketAddr, oneshot::Sender<TcpListener>)>>,
    ports: AtomicU16,
}

impl Prepared {
    pub(super) fn new(docker: Docker, image: Image, launch: &Launch) -> Self {
        let made = Arc::new(Made::new(docker.clone()));
        let transport = instance::word(&launch.transport);
        let names = (launch.server.clone(), launch.instance.clone(), transport);
        Self { docker, image, made, spot: OnceCell::new(), names }
    }

    /// The spot, made when it is first needed.
    pub(super) async fn spot(&self) -> Result<&Spot, EngineError> {
        self.spot
            .get_or_try_init(|| async {
                match self.docker.meeting() {
                    Meeting::Nowhere(why) => Err(Meeting::nowhere(why)),
                    Meeting::Inside(_) => Ok(Spot::Inside(Promises::default())),
                    Meeting::Bridge => self.network(None).await.map(Spot::Network),
                    Meeting::Joined(own) => self.network(Some(own.clone())).await.map(Spot::Network),
                }
            })
            .await
    }

    async fn network(&self, own: Option<String>) -> Result<Network, EngineError> {
        let (docker, made) = (self.docker.clone(), Arc::clone(&self.made));
        let (server, instance, transport) = self.names.clone();
        to_its_end(async move {
            Network::make(&docker, &made, &server, &instance, transport, own.as_deref()).await
        })
        .await
    }

    /// The spot, if there is one.
    pub(super) fn spot_made(&self) -> Option<&Spot> {
        self.spot.get()
    }
}

impl Place for Prepared {
    fn listen(&self, port: u16) -> Doing<'_, Listener> {
        Box::pin(async move {
            let spot = self.spot().await?;
            spot.listen_at(SocketAddr::new(spot.gateway(), port)).await
        })
    }

    fn start<'a>(self: Box<Self>, launch: &'a Launch) -> Doing<'a, Arc<dyn Instance>> {
        Box::pin(instance::start(*self, launch))
    }
}

impl Spot {
    /// This program's address there.
    pub(super) fn gateway(&self) -> IpAddr {
        match self {
            Self::Inside(_) => INSIDE,
            Self::Network(network) => network.gateway().into(),
        }
    }

    /// The address that the instance's connections come from.
    pub(super) fn source(&self) -> IpAddr {
        match self {
            Self::Inside(_) => Ipv4Addr::LOCALHOST.into(),
            Self::Network(network) => network.instance().into(),
        }
    }

    /// A listener for the instance alone; port 0 for any.
    pub(super) async fn listen_at(&self, at: SocketAddr) -> Result<Listener, EngineError> {
        let failed = |error| EngineError::Refused(format!("cannot listen on {at}: {error}"));
        match self {
            Self::Inside(promises) => promises.promise(at).map_err(failed),
            Self::Network(_) => {
                let listener = TcpListener::bind(at).await.map_err(|error| {
                    let hint = match error.kind() {
                        std::io::ErrorKind::AddrNotAvailable => {
                            " (the engine's networks are not on this machine: a virtual machine, or a rootless engine)"
                        }
                        _ => "",
                    };
                    EngineError::Refused(format!("cannot listen on {at}: {error}{hint}"))
                })?;
                Listener::bound(listener, Some(self.source())).map_err(failed)
            }
        }
    }

    /// Binds what was promised, in the instance's namespace.
    pub(super) async fn keep_promises(&self, inside: &Inside) -> Result<(), EngineError> {
        let Self::Inside(promises) = self else { return Ok(()) };
        let promised = std::mem::take(&mut *promises.promised.lock().unwrap_or_else(PoisonError::into_inner));
        for (at, promise) in promised {
            let listener = inside.listen(at).await.map_err(|error| {
                EngineError::Refused(format!("cannot listen on {at} inside the container: {error}"))
            })?;
            let _ = promise.send(listener);
        }
        Ok(())
    }
}

impl Promises {
    fn promise(&self, mut at: SocketAddr) -> std::io::Result<Listener> {
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        if at.port() == 0 {
            at.set_port(FIRST_PORT + self.ports.fetch_add(1, Ordering::Relaxed));
        }
        if promised.iter().any(|(taken, _)| *taken == at) {
            return Err(std::io::ErrorKind::AddrInUse.into());
        }
        let (keep, promise) = oneshot::channel();
        promised.push((at, keep));
        Ok(Listener::promised(at, promise))
    }
}
