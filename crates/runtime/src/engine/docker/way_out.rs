//! Puts an instance's way out where the instance finds it.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use super::meeting::INSIDE;
use super::place::Spot;
use crate::egress::{Addresses, Book, Door, Egress};
use crate::engine::{EngineError, Listener};
use crate::inside::Inside;

/// The port at which the proxy listens inside an instance's own namespace.
const PROXY: u16 = 3128;
/// Port of questions for names.
const NAMES: u16 = 53;

/// What an instance must be told of its way out.
#[derive(Default)]
pub(super) struct Signs {
    pub(super) variables: Vec<(&'static str, String)>,
    pub(super) hosts: Vec<(String, Ipv4Addr)>,
}

/// A way out whose listeners are known, and that serves once it is opened. Dropped, it is closed with all that goes
/// through it.
pub(super) struct WayOut {
    egress: Egress,
    waiting: Vec<(Listener, Option<Door>)>,
    names: Option<UdpSocket>,
    addresses: Arc<Addresses>,
    running: Running,
}

/// Tasks that end with whoever holds this.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Tasks>);

#[derive(Default)]
struct Tasks(Mutex<Vec<AbortHandle>>);

impl Running {
    pub(super) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        let handle = tokio::spawn(task).abort_handle();
        let mut tasks = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(handle);
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

impl WayOut {
    /// Opens the listeners where the instance will find them, or promises them.
    pub(super) async fn prepare(egress: Egress, spot: &Spot) -> Result<(Self, Signs), EngineError> {
        let mut way = Self {
            egress,
            waiting: Vec::new(),
            names: None,
            addresses: Arc::default(),
            running: Running::default(),
        };
        let mut signs = Signs::default();
        let proxy = match spot {
            Spot::Inside(_) => {
                for name in way.egress.exact_names() {
                    let Some((address, _)) = way.addresses.of(&name) else { continue };
                    for door in way.egress.doors_of(&name, address) {
                        let listener = spot.listen_at(SocketAddr::new(address.into(), door.port)).await?;
                        way.waiting.push((listener, Some(door)));
                    }
                    signs.hosts.push((name, address));
                }
                spot.listen_at(SocketAddr::new(INSIDE, PROXY)).await?
            }
            Spot::Network(network) => {
                let here = network.gateway();
                let mut all = true;
                for door in way.egress.doors_at(here) {
                    match spot.listen_at(SocketAddr::new(here.into(), door.port)).await {
                        Ok(listener) => way.waiting.push((listener, Some(door))),
                        Err(error) => {
                            all = false;
                            tracing::warn!(port = door.port, %error, "only software that knows proxies gets out here");
                        }
                    }
                }
                // Without all the doors a name would lead to whoever has the missing one's port.
                if all {
                    signs.hosts.extend(way.egress.exact_names().into_iter().map(|name| (name, here)));
                    way.names = UdpSocket::bind((here, NAMES)).await.ok();
                }
                spot.listen_at(SocketAddr::new(here.into(), 0)).await?
            }
        };
        signs.variables = variables(proxy.address());
        way.waiting.push((proxy, None));
        Ok((way, signs))
    }

    /// Serves. `inside` is the instance's namespace, where it has one of its own.
    pub(super) async fn open(&mut self, inside: Option<&Inside>) -> std::io::Result<()> {
        for (listener, door) in self.waiting.drain(..) {
            match door {
                Some(door) => serve_door(&self.running, &self.egress, listener, door),
                None => {
                    let egress = self.egress.clone();
                    self.running.run(async move { egress.proxy(listener).await });
                }
            }
        }
        let (book, socket): (Arc<dyn Book>, _) = match inside {
            Some(inside) => {
                let book = Inner {
                    egress: self.egress.clone(),
                    addresses: Arc::clone(&self.addresses),
                    inside: inside.clone(),
                    running: self.running.clone(),
                };
                (Arc::new(book), Some(inside.datagrams(SocketAddr::new(INSIDE, NAMES)).await?))
            }
            None => match self.names.take() {
                Some(socket) => (Arc::new(One(socket.local_addr()?.ip())), Some(socket)),
                None => return Ok(()),
            },
        };
        if let Some(socket) = socket {
            let egress = self.egress.clone();
            self.running.run(async move { egress.names(socket, book).await });
        }
        Ok(())
    }
}

fn serve_door(running: &Running, egress: &Egress, listener: Listener, door: Door) {
    let egress = egress.clone();
    running.run(async move { egress.door(listener, door).await });
}

/// Variables that software which knows proxies reads, in both spellings.
fn variables(proxy: SocketAddr) -> Vec<(&'static str, String)> {
    let url = format!("http://{proxy}");
    let direct = format!("localhost,127.0.0.1,::1,{}", proxy.ip());
    vec![
        ("HTTP_PROXY", url.clone()),
        ("HTTPS_PROXY", url.clone()),
        ("ALL_PROXY", url.clone()),
        ("NO_PROXY", direct.clone()),
        ("http_proxy", url.clone()),
        ("https_proxy", url.clone()),
        ("all_proxy", url),
        ("no_proxy", direct),
    ]
}

type Looking<'a> = Pin<Box<dyn Future<Output = Option<Ipv4Addr>> + Send + 'a>>;

/// Names inside an instance's own namespace: one that is asked for the first time gets an address, and doors there.
struct Inner {
    egress: Egress,
    addresses: Arc<Addresses>,
    inside: Inside,
    running: Running,
}

impl Book for Inner {
    fn address<'a>(&'a self, name: &'a str) -> Looking<'a> {
        Box::pin(async move {
            let (address, new) = self.addresses.of(name)?;
            if new {
                for door in self.egress.doors_of(name, address) {
                    let at = SocketAddr::new(address.into(), door.port);
                    let Ok(listener) = self.inside.listen(at).await else { continue };
                    if let Ok(listener) = Listener::bound(listener, None) {
                        serve_door(&self.running, &self.egress, listener, door);
                    }
                }
            }
            Some(address)
        })
    }
}

/// All names are at one address.
struct One(IpAddr);

impl Book for One {
    fn address<'a>(&'a self, _: &'a str) -> Looking<'a> {
        Box::pin(async move {
            match self.0 {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            }
        })
    }
}
