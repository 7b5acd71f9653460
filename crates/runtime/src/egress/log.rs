//! What is told about each connection that an instance makes or tries to make.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::addresses::Kind;
use super::host::Host;

/// Told of every connection: when it is refused, when it is opened and when it has ended. Called on the path of the connection: hand it
/// on, do not write it down here.
pub trait EgressLog: Send + Sync {
    /// One connection, or one question for a name that was refused.
    fn record(&self, event: &Event<'_>);
}

/// One connection, or one question for a name.
#[derive(Debug)]
pub struct Event<'a> {
    /// Who asked.
    pub who: &'a Who,
    /// How.
    pub way: Way,
    /// For which host, as far as it was said: not verified when it is refused, and cut to the length of a name.
    pub host: &'a str,
    /// At which port; None for a question for a name.
    pub port: Option<u16>,
    /// What came of it.
    pub outcome: Outcome,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The server's name in the configuration.
    pub server: Box<str>,
    /// The instance.
    pub instance: Box<str>,
}

/// How an instance asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `CONNECT` to the proxy.
    Connect,
    /// Plain HTTP through the proxy.
    Http,
    /// By a connection to the name's own address inside, knowing of no proxy.
    Direct,
    /// By a question for a name.
    Name,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was connected.
    Opened {
        /// Where to.
        to: SocketAddr,
    },
    /// It has ended.
    Closed {
        /// Where to.
        to: SocketAddr,
        /// Bytes from the instance.
        sent: u64,
        /// Bytes to the instance.
        received: u64,
        /// How long it lasted.
        lasted: Duration,
    },
    /// It was not connected.
    Refused(Reason),
}

/// Why a connection was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The host is not in `network.allow` at this port.
    #[error("not in network.allow")]
    NotAllowed,
    /// The host is allowed, but leads to an address that is not public and not named.
    #[error("{address} is {kind}; name its network in network.allow if that is meant")]
    Address {
        /// The address.
        address: IpAddr,
        /// What it is.
        kind: Kind,
    },
    /// The name leads nowhere.
    #[error("the name does not resolve")]
    Unresolved,
    /// Nobody answered there.
    #[error("nobody answers there: {0}")]
    Unreachable(std::io::ErrorKind),
    /// The TLS greeting asks for another name than the connection was made for.
    #[error("the TLS greeting asks for {}", .0.as_deref().unwrap_or("no name"))]
    OtherName(Option<String>),
    /// The HTTP request is for another host than the connection was made for.
    #[error("the request is for {0}")]
    OtherHost(String),
    /// It did not say for which host.
    #[error("it was not said for which host")]
    Nameless,
    /// It is not what a proxy can read.
    #[error("malformed")]
    Malformed,
    /// It took too long, or nothing passed for too long.
    #[error("timed out")]
    TimedOut,
}

impl Reason {
    /// A stable word for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::Address { .. } => "address",
            Self::Unresolved => "unresolved",
            Self::Unreachable(_) => "unreachable",
            Self::OtherName(_) => "other_name",
            Self::OtherHost(_) => "other_host",
            Self::Nameless => "nameless",
            Self::Malformed => "malformed",
            Self::TimedOut => "timed_out",
        }
    }

    /// True when it was decided so; false when the network or the other side failed.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Unresolved | Self::Unreachable(_) | Self::TimedOut)
    }
}

impl Way {
    /// A stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Http => "http",
            Self::Direct => "direct",
            Self::Name => "name",
        }
    }
}

/// Tells the program's log.
pub struct Traced;

impl EgressLog for Traced {
    fn record(&self, event: &Event<'_>) {
        let Event { who, way, host, port, outcome } = event;
        let (server, instance, way) = (&*who.server, &*who.instance, way.word());
        match outcome {
            Outcome::Refused(reason) if reason.is_refusal() => {
                tracing::warn!(server, instance, way, host, port, reason = %reason, "a connection was refused");
            }
            Outcome::Refused(reason) => {
                tracing::info!(server, instance, way, host, port, reason = %reason, "a connection failed");
            }
            Outcome::Opened { to } => {
                tracing::debug!(server, instance, way, host, port, %to, "a connection was opened");
            }
            Outcome::Closed { to, sent, received, .. } => {
                tracing::debug!(server, instance, way, host, port, %to, sent, received, "a connection ended");
            }
        }
    }
}

/// Collects what each server asks for, for `network: learn`, and passes everything on.
pub struct Learned {
    next: Arc<dyn EgressLog>,
    asked: Mutex<BTreeMap<Box<str>, BTreeSet<Asked>>>,
}

type Asked = (Host, u16, Option<IpAddr>);

/// Destinations that are remembered for one server.
const MOST: usize = 1024;

impl Learned {
    /// Collects, and passes on to `next`.
    pub fn new(next: Arc<dyn EgressLog>) -> Self {
        Self { next, asked: Mutex::default() }
    }

    /// What a server asked for, as lines of YAML for `network: { allow: [...] }`; a network that an allowed name leads
    /// to and that is not public stands behind a remark, for a person to decide.
    pub fn lines(&self, server: &str) -> String {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = String::new();
        for (host, port, private) in asked.get(server).into_iter().flatten() {
            let _ = match private {
                None => writeln!(lines, "- \"{host}:{port}\""),
                Some(address) => {
                    let network = Host::Address(*address);
                    writeln!(
                        lines,
                        "# leads to {address}, which is not public:\n# - \"{host}:{port}\"\n# - \"{network}:{port}\""
                    )
                }
            };
        }
        lines
    }
}

impl EgressLog for Learned {
    fn record(&self, event: &Event<'_>) {
        let private = match &event.outcome {
            Outcome::Opened { .. } => Some(None),
            Outcome::Refused(Reason::Address { address, .. }) => Some(Some(*address)),
            Outcome::Refused(_) | Outcome::Closed { .. } => None,
        };
        if let (Some(private), Some(port), Some(host)) = (private, event.port, Host::parse(event.host)) {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let asked = asked.entry(event.who.server.clone()).or_default();
            if asked.len() < MOST {
                asked.insert((host, port, private));
            }
        }
        self.next.record(event);
    }
}

impl fmt::Debug for dyn EgressLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EgressLog")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::addresses::Kind;
    use super::{EgressLog, Event, Learned, Outcome, Reason, Traced, Way, Who};

    #[test]
    fn what_was_learned_is_a_list_to_paste() {
        let learned = Learned::new(Arc::new(Traced));
        let who = Who { server: "orders".into(), instance: "orders-1".into() };
        let passed = Outcome::Opened { to: "93.184.216.34:443".parse().unwrap() };
        let address = "10.1.2.3".parse().unwrap();
        let private = Outcome::Refused(Reason::Address { address, kind: Kind::Private });
        for (host, port, outcome) in [
            ("b.example.com", 443, passed.clone()),
            ("a.example.com", 443, passed.clone()),
            ("a.example.com", 443, passed),
            ("db.corp.example", 5432, private),
            ("nowhere.example", 443, Outcome::Refused(Reason::Unresolved)),
        ] {
            learned.record(&Event { who: &who, way: Way::Connect, host, port: Some(port), outcome });
        }
        assert_eq!(
            learned.lines("orders"),
            "- \"a.example.com:443\"\n- \"b.example.com:443\"\n# leads to 10.1.2.3, which is not public:\n\
             # - \"db.corp.example:5432\"\n# - \"10.1.2.3:5432\"\n"
        );
        assert_eq!(learned.lines("another"), "");
    }
}
