//! The only way out of a confined instance.
//!
//! An instance's network leads nowhere but to the listeners here. They let it connect to hosts that it may ask for, at
//! addresses that such a host may have: the name is resolved once, each address is checked, and a checked address is
//! what is connected to, so that a name cannot mean one thing when it is checked and another when it is used.
//!
//! - [`Egress::proxy`] for software that knows proxies: CONNECT and plain HTTP.
//! - [`Egress::direct`] for software that does not: it finds an allowed name at an address of ours, and the connection
//!   is passed on to where the name really is.
//! - [`Egress::names`] for questions for names.
//!
//! TLS is passed through untouched. Its greeting must ask for the name that the connection was made for, and a plain
//! request must be for it: an allowed name is no way to another one at the same address. What is said inside TLS is
//! not seen.

mod addresses;
mod counted;
mod dns;
mod doors;
mod hello;
mod host;
mod http;
mod limits;
mod log;
mod pace;
mod reach;
mod resolve;
mod rules;
mod tunnel;

use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use self::addresses::Kind;
use self::dns::{Known, Question};
pub(crate) use self::doors::{Addresses, Door};
pub use self::host::Host;
use self::http::For;
pub use self::limits::Limits;
pub use self::log::{EgressLog, Event, Learned, Outcome, Reason, Traced, Way, Who};
use self::pace::Pace;
pub use self::resolve::{Resolve, Resolving, System};
use self::rules::Rules;
use self::tunnel::Aim;
pub(crate) use self::tunnel::Io;
use crate::destination::LONGEST_NAME;
use crate::engine::Listener;
use crate::launch::Network;

/// What every instance's way out has in common.
#[derive(Clone)]
pub struct Common {
    /// Finds addresses.
    pub resolver: Arc<dyn Resolve>,
    /// Is told.
    pub log: Arc<dyn EgressLog>,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Common {
    fn default() -> Self {
        Self { resolver: Arc::new(System), log: Arc::new(Traced), limits: Limits::default() }
    }
}

/// After an error, the next question is waited for only after this long.
const PAUSE: Duration = Duration::from_millis(10);

/// One instance's way out. Cheap to clone; its listeners serve for as long as the futures that it gives are polled,
/// and with such a future all connections of its listener end.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

pub(crate) struct Inner {
    who: Who,
    rules: Rules,
    resolver: Arc<dyn Resolve>,
    log: Arc<dyn EgressLog>,
    limits: Limits,
    slots: Arc<Semaphore>,
    pace: Pace,
}

/// Finds, or makes, the address at which an allowed name is found inside. None when there is no more room.
pub trait Book: Send + Sync {
    /// Looks it up.
    fn address<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = Option<Ipv4Addr>> + Send + 'a>>;
}

impl Egress {
    /// The way out of one instance.
    pub fn new(who: Who, network: &Network, common: Common) -> Self {
        let Common { resolver, log, limits } = common;
        let slots = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        let (rules, pace) = (Rules::new(network), Pace::new(limits.refusals));
        Self(Arc::new(Inner { who, rules, resolver, log, limits, slots, pace }))
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// Serves software that knows proxies.
    pub async fn proxy(&self, listener: Listener) {
        self.serve(listener, |egress, stream| async move {
            http::serve(&egress, stream, For::Anyone, None).await
        })
        .await;
    }

    /// Serves software that does not: connections to a listener that stands for `host` at `port`.
    pub async fn direct(&self, listener: Listener, host: Host, port: u16) {
        let aim = Aim::To(host, port);
        self.serve(listener, move |egress, stream| {
            let aim = aim.clone();
            async move { egress.direct(stream, aim).await }
        })
        .await;
    }

    /// As [`Egress::direct`], for a listener that stands for every host at `port`: the first bytes must name one.
    pub async fn direct_as_told(&self, listener: Listener, port: u16) {
        self.serve(
            listener,
            move |egress, stream| async move { egress.direct(stream, Aim::Told(port)).await },
        )
        .await;
    }

    /// Serves a door.
    pub(crate) async fn door(&self, listener: Listener, door: Door) {
        match door.aim {
            Aim::To(host, port) => self.direct(listener, host, port).await,
            Aim::Told(port) => self.direct_as_told(listener, port).await,
        }
    }

    /// Answers questions for names.
    pub async fn names(&self, socket: UdpSocket, book: Arc<dyn Book>) {
        let mut message = [0; 1500];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut message).await else {
                // An error of an earlier answer (nobody listens any more): the next one is as good as before.
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Some(question) = message.get(..length).and_then(Question::read) else { continue };
            let known = match Host::parse(&question.name) {
                Some(name @ Host::Name(_)) if self.0.rules.name(&name) => {
                    book.address(&name.to_string()).await.map_or(Known::Failed, Known::At)
                }
                _ => {
                    self.0.refuse(Way::Name, &question.name, None, Reason::NotAllowed).await;
                    Known::Nowhere
                }
            };
            let _ = socket.send_to(&question.answer(known), from).await;
        }
    }

    async fn serve<F, S>(&self, mut listener: Listener, each: F)
    where
        F: Fn(Arc<Inner>, Io) -> S,
        S: Future<Output = ()> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        loop {
            let Ok(slot) = Arc::clone(&self.0.slots).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // A slot that is free lets ended ones be forgotten.
                Some(_) = connections.join_next() => continue,
            };
            let Some(stream) = accepted else { break };
            let _ = stream.set_nodelay(true);
            let serving = each(Arc::clone(&self.0), Box::new(stream));
            connections.spawn(async move {
                serving.await;
                drop(slot);
            });
        }
        while connections.join_next().await.is_some() {}
    }
}

impl Inner {
    /// Tells that something was refused, at a bearable rate.
    pub(crate) async fn refuse(&self, way: Way, host: &str, port: Option<u16>, reason: Reason) {
        self.pace.take().await;
        self.record(way, host, port, Outcome::Refused(reason));
    }

    pub(crate) fn record(&self, way: Way, host: &str, port: Option<u16>, outcome: Outcome) {
        let host = host.get(..LONGEST_NAME).unwrap_or(host);
        self.log.record(&Event { who: &self.who, way, host, port, outcome });
    }
}
