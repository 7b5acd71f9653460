//! How instances and this program meet, decided once for an engine.

use std::net::{IpAddr, Ipv4Addr};

use super::facts::Facts;
use super::find::Address;
use super::own::Own;
use super::settings::{Link, Settings};
use crate::engine::EngineError;
use crate::inside::How;

/// This program's address in an instance's own namespace: a loopback one that no server takes for itself.
pub(super) const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 83, 67, 1));

/// How they meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// In the instance's own network namespace, which leads nowhere.
    Inside(How),
    /// At the host's address on a network of the instance.
    Bridge,
    /// At the address of this container, which joins a network of the instance.
    Joined(String),
    /// Nowhere: only instances without a network and with standard streams can run.
    Nowhere(&'static str),
}

impl Meeting {
    pub(super) fn decide(settings: &Settings, facts: &Facts, address: &Address, own: Option<&Own>) -> Self {
        let joined = own.filter(|own| !own.host_network).map(|own| Self::Joined(own.id.clone()));
        let child = || match &settings.program {
            Some(program) => Self::Inside(How::Child { program: program.clone() }),
            None => Self::Nowhere(
                "the networks of a rootless engine are not this program's, and it cannot enter them",
            ),
        };
        let local = matches!(address, Address::Socket(_));
        match settings.link {
            Link::Bridge => Self::Bridge,
            Link::Joined => {
                joined.unwrap_or(Self::Nowhere("this program runs in no container of the engine"))
            }
            Link::Inside if facts.rootless && !is_privileged() => child(),
            Link::Inside => Self::Inside(How::Thread),
            Link::Auto => match joined {
                Some(joined) => joined,
                None if own.is_none() && local && is_privileged() => Self::Inside(How::Thread),
                None if own.is_none() && local && facts.rootless => child(),
                None => Self::Bridge,
            },
        }
    }

    /// Why they meet nowhere, as an error.
    pub(super) fn nowhere(why: &str) -> EngineError {
        EngineError::Forbidden(format!(
            "only servers without a network that speak over standard streams can run here: {why}"
        ))
    }
}

/// True when this process may enter namespaces (CAP_SYS_ADMIN) and look at the processes in them (CAP_SYS_PTRACE).
fn is_privileged() -> bool {
    const SYS_PTRACE: u64 = 1 << 19;
    const SYS_ADMIN: u64 = 1 << 21;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective =
        effective.and_then(|value| u64::from_str_radix(value.trim(), 16).ok()).unwrap_or_default();
    effective & (SYS_ADMIN | SYS_PTRACE) == SYS_ADMIN | SYS_PTRACE
}
