//! A small network for one instance, out of a pool.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Six addresses: the host's, this program's, the instance's.
const PREFIX: u8 = 29;

/// A network of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnet(Ipv4Net);

impl Subnet {
    /// Some of the pool's networks, in no order that another gateway would choose too, and none of them where this
    /// machine already has a route.
    pub(super) fn some(pool: Ipv4Net, how_many: usize) -> Vec<Self> {
        let routes = routes(&std::fs::read_to_string("/proc/net/route").unwrap_or_default());
        let count = 1_u64 << PREFIX.saturating_sub(pool.prefix_len()).min(24);
        let mut found = Vec::new();
        for _ in 0..how_many * 4 {
            let index = RandomState::new().build_hasher().finish() % count;
            let first = u64::from(u32::from(pool.network())) + (index << (32 - PREFIX));
            let Some(net) =
                u32::try_from(first).ok().and_then(|first| Ipv4Net::new(first.into(), PREFIX).ok())
            else {
                continue;
            };
            let taken = routes.iter().any(|route| route.contains(&net) || net.contains(route));
            if !taken && found.len() < how_many {
                found.push(Self(net));
            }
        }
        found
    }

    /// The host's address on it.
    pub(super) fn host(self) -> Ipv4Addr {
        self.nth(1)
    }

    /// The address of this program's own container on it.
    pub(super) fn own(self) -> Ipv4Addr {
        self.nth(2)
    }

    /// The instance's.
    pub(super) fn instance(self) -> Ipv4Addr {
        self.nth(3)
    }

    fn nth(self, n: u32) -> Ipv4Addr {
        (u32::from(self.0.network()) | n).into()
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Networks that this machine has routes to, without the default one (proc(5): numbers in hex, little end first).
fn routes(table: &str) -> Vec<Ipv4Net> {
    let number =
        |field: Option<&&str>| field.and_then(|hex| u32::from_str_radix(hex, 16).ok()).map(u32::swap_bytes);
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (net, mask) = (number(fields.get(1))?, number(fields.get(7))?);
            Ipv4Net::with_netmask(net.into(), mask.into()).ok().filter(|net| net.prefix_len() > 0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Subnet, routes};

    #[test]
    fn networks_are_of_the_pool_and_have_room_for_three() {
        let pool = "10.213.0.0/16".parse().unwrap();
        let some = Subnet::some(pool, 8);
        assert_eq!(some.len(), 8);
        for net in some {
            assert!(pool.contains(&net.0));
            for address in [net.host(), net.own(), net.instance()] {
                assert!(net.0.hosts().any(|host| host == address));
            }
        }
    }

    #[test]
    fn routes_are_read_as_the_kernel_writes_them() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(routes(table), ["172.17.0.0/16".parse().unwrap()]);
    }
}
