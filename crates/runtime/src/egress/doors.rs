//! Which listeners an instance's way out needs, so that software that knows of no proxy finds the names that it may
//! ask for.
//!
//! Inside its own namespace each name has a loopback address of its own: whatever protocol is spoken, it is known
//! where to. On a network there is one address of ours: where several names share a port, the first bytes must tell.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use super::Egress;
use super::host::Host;
use super::tunnel::Aim;

/// Ports that are opened for a name that is allowed at every port, and while learning. At others the proxy is needed.
const USUAL: [u16; 6] = [80, 443, 8080, 8443, 5432, 3306];
/// Addresses that are given to names of one instance. Each has listeners in this process, whose files are bounded.
const MOST: u16 = 128;

/// A listener: where it is, and where connections to it go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Door {
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) aim: Aim,
}

/// The addresses of names inside one instance's namespace.
#[derive(Default)]
pub(crate) struct Addresses(Mutex<HashMap<String, Ipv4Addr>>);

impl Addresses {
    /// The name's address; whether it is new. None when there are too many.
    pub(crate) fn of(&self, name: &str) -> Option<(Ipv4Addr, bool)> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = known.get(name) {
            return Some((*address, false));
        }
        let next = u16::try_from(known.len()).ok().filter(|count| *count < MOST)? + 1;
        let [high, low] = next.to_be_bytes();
        let address = Ipv4Addr::new(127, 64, high, low);
        known.insert(name.to_owned(), address);
        Some((address, true))
    }
}

impl Egress {
    /// The doors of one name at its address.
    pub(crate) fn doors_of(&self, name: &str, address: Ipv4Addr) -> Vec<Door> {
        let host = Host::Name(name.to_owned());
        let ports = usual(self.rules().ports_of(&host));
        ports.into_iter().map(|port| Door { address, port, aim: Aim::To(host.clone(), port) }).collect()
    }

    /// Names without a wildcard, each once.
    pub(crate) fn exact_names(&self) -> BTreeSet<String> {
        self.rules().exact().map(|(name, _)| name.to_owned()).collect()
    }

    /// The doors of all names at one address.
    pub(crate) fn doors_at(&self, address: Ipv4Addr) -> Vec<Door> {
        let mut names: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
        for (name, port) in self.rules().exact() {
            for port in usual([port].into()) {
                names.entry(port).or_default().insert(name);
            }
        }
        let mut several = usual(self.rules().wildcard_ports());
        if self.rules().learns() {
            several.extend(USUAL);
        }
        let ports: BTreeSet<u16> = names.keys().chain(&several).copied().collect();
        ports
            .into_iter()
            .map(|port| {
                let only = names.get(&port).filter(|names| names.len() == 1 && !several.contains(&port));
                let aim = match only.and_then(|names| names.first()) {
                    Some(name) => Aim::To(Host::Name((*name).to_owned()), port),
                    None => Aim::Told(port),
                };
                Door { address, port, aim }
            })
            .collect()
    }
}

fn usual(ports: BTreeSet<Option<u16>>) -> BTreeSet<u16> {
    ports
        .into_iter()
        .flat_map(|port| match port {
            Some(port) => vec![port],
            None => USUAL.to_vec(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::{Common, Egress, Who};
    use super::{Addresses, Aim, USUAL};
    use crate::launch::Network;

    const HERE: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 1);

    fn egress(allow: &[&str]) -> Egress {
        let network = Network::Allow(allow.iter().map(|text| text.parse().unwrap()).collect());
        let who = Who { server: "orders".into(), instance: "orders-1".into() };
        Egress::new(who, &network, Common::default())
    }

    #[test]
    fn each_name_has_an_address_of_its_own_inside() {
        let addresses = Addresses::default();
        assert_eq!(addresses.of("a.test"), Some((Ipv4Addr::new(127, 64, 0, 1), true)));
        assert_eq!(addresses.of("b.test"), Some((Ipv4Addr::new(127, 64, 0, 2), true)));
        assert_eq!(addresses.of("a.test"), Some((Ipv4Addr::new(127, 64, 0, 1), false)));
        for count in 0..2000 {
            addresses.of(&format!("{count}.test"));
        }
        assert_eq!(addresses.of("one-more.test"), None);
    }

    #[test]
    fn a_name_has_a_door_for_each_port_that_it_is_allowed_at() {
        let egress = egress(&["a.test:443", "a.test:8443", "b.test:*", "10.0.0.0/8:5432"]);
        let ports = |name| egress.doors_of(name, HERE).iter().map(|door| door.port).collect::<Vec<_>>();
        assert_eq!(ports("a.test"), [443, 8443]);
        assert_eq!(ports("b.test").len(), USUAL.len());
        assert!(ports("c.test").is_empty());
    }

    #[test]
    fn at_one_address_the_first_bytes_must_tell_where_names_share_a_port() {
        let egress = egress(&["db.test:5432", "a.test:443", "b.test:443", "c.test:8443", "*.d.test:8443"]);
        let aims: Vec<_> = egress.doors_at(HERE).into_iter().map(|door| (door.port, door.aim)).collect();
        let db = Aim::To(super::Host::Name("db.test".into()), 5432);
        assert_eq!(aims, [(443, Aim::Told(443)), (5432, db), (8443, Aim::Told(8443))]);
    }
}
