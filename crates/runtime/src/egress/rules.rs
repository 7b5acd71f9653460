//! Where an instance may connect to: by name first, by the address that it leads to second.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::addresses::special;
use super::host::Host;
use super::log::Reason;
use crate::launch::{Destination, HostPattern, Network};

/// An instance's permissions, ready to be asked.
pub(crate) struct Rules {
    allow: Vec<Destination>,
    learn: bool,
}

impl Rules {
    pub(crate) fn new(network: &Network) -> Self {
        match network {
            Network::None => Self { allow: Vec::new(), learn: false },
            Network::Allow(allow) => Self { allow: allow.clone(), learn: false },
            Network::Learn => Self { allow: Vec::new(), learn: true },
        }
    }

    /// Whether it may ask for this host. That is not yet permission to connect: see [`Rules::address`].
    pub(crate) fn host(&self, host: &Host, port: u16) -> Result<(), Reason> {
        if self.learn {
            return Ok(());
        }
        let named =
            self.allow.iter().any(|allowed| port_matches(allowed, port) && host_matches(&allowed.host, host));
        if named { Ok(()) } else { Err(Reason::NotAllowed) }
    }

    /// Whether it may ask for this name at any port: what names are answered for.
    pub(crate) fn name(&self, name: &Host) -> bool {
        self.learn || self.allow.iter().any(|allowed| host_matches(&allowed.host, name))
    }

    /// Whether a host that it may ask for may be at this address: a public one, or one in a network that is named.
    pub(crate) fn address(&self, address: IpAddr, port: u16) -> Result<(), Reason> {
        match special(address) {
            Some(kind) if !self.names_network(address, port) => Err(Reason::Address { address, kind }),
            _ => Ok(()),
        }
    }

    /// Whether the address lies in a network that was named.
    pub(crate) fn names_network(&self, address: IpAddr, port: u16) -> bool {
        self.allow
            .iter()
            .any(|allowed| port_matches(allowed, port) && network_matches(&allowed.host, address))
    }

    /// Every destination is recorded, and everything public allowed.
    pub(crate) fn learns(&self) -> bool {
        self.learn
    }

    /// Names without a wildcard, each with the ports that are named with it (None: any).
    pub(crate) fn exact(&self) -> impl Iterator<Item = (&str, Option<u16>)> {
        self.allow.iter().filter_map(|allowed| match &allowed.host {
            HostPattern::Name(name) => Some((name.as_str(), allowed.port)),
            _ => None,
        })
    }

    /// The ports that names with a wildcard may be asked at (None: any).
    pub(crate) fn wildcard_ports(&self) -> BTreeSet<Option<u16>> {
        let wild = |allowed: &&Destination| matches!(allowed.host, HostPattern::AnyLabel(_));
        self.allow.iter().filter(wild).map(|allowed| allowed.port).collect()
    }

    /// The ports that this name may be asked at (None: any).
    pub(crate) fn ports_of(&self, name: &Host) -> BTreeSet<Option<u16>> {
        if self.learn {
            return BTreeSet::from([None]);
        }
        self.allow
            .iter()
            .filter(|allowed| host_matches(&allowed.host, name))
            .map(|allowed| allowed.port)
            .collect()
    }
}

fn port_matches(allowed: &Destination, port: u16) -> bool {
    allowed.port.is_none_or(|allowed| allowed == port)
}

fn host_matches(allowed: &HostPattern, host: &Host) -> bool {
    match (allowed, host) {
        (HostPattern::Name(allowed), Host::Name(name)) => allowed == name,
        (HostPattern::AnyLabel(rest), Host::Name(name)) => {
            name.split_once('.').is_some_and(|(label, after)| !label.is_empty() && after == rest)
        }
        (pattern, Host::Address(address)) => network_matches(pattern, *address),
        (HostPattern::Network(..), Host::Name(_)) => false,
    }
}

fn network_matches(allowed: &HostPattern, address: IpAddr) -> bool {
    match allowed {
        HostPattern::Network(first, prefix) => {
            IpNet::new(*first, *prefix).is_ok_and(|network| network.contains(&address.to_canonical()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::Host;
    use super::super::log::Reason;
    use super::Rules;
    use crate::launch::Network;

    fn rules(allow: &[&str]) -> Rules {
        Rules::new(&Network::Allow(allow.iter().map(|text| text.parse().unwrap()).collect()))
    }

    fn asks(rules: &Rules, host: &str, port: u16) -> bool {
        rules.host(&Host::parse(host).unwrap(), port).is_ok()
    }

    fn reaches(rules: &Rules, address: &str, port: u16) -> bool {
        rules.address(address.parse().unwrap(), port).is_ok()
    }

    #[test]
    fn a_name_is_allowed_at_its_port_only() {
        let rules = rules(&["api.example.com:443", "any.example.com:*"]);
        assert!(asks(&rules, "api.example.com", 443));
        assert!(asks(&rules, "API.EXAMPLE.COM.", 443));
        assert!(asks(&rules, "any.example.com", 1));
        assert!(!asks(&rules, "api.example.com", 80));
        assert!(!asks(&rules, "example.com", 443));
        assert!(!asks(&rules, "xapi.example.com", 443));
        assert!(!asks(&rules, "api.example.com.evil.test", 443));
    }

    #[test]
    fn a_star_is_one_label() {
        let rules = rules(&["*.example.com:443"]);
        assert!(asks(&rules, "a.example.com", 443));
        assert!(!asks(&rules, "example.com", 443));
        assert!(!asks(&rules, "a.b.example.com", 443));
        assert!(!asks(&rules, "aexample.com", 443));
    }

    #[test]
    fn an_allowed_name_may_be_public_or_in_a_network_that_is_named() {
        let rules = rules(&["api.example.com:443", "10.2.0.0/16:443", "[fd00::/8]:443"]);
        assert!(reaches(&rules, "93.184.216.34", 443));
        assert!(reaches(&rules, "10.2.3.4", 443));
        assert!(reaches(&rules, "::ffff:10.2.3.4", 443));
        assert!(reaches(&rules, "fd00::1", 443));
        assert!(!reaches(&rules, "10.2.3.4", 80));
        assert!(!reaches(&rules, "10.3.0.1", 443));
        assert!(!reaches(&rules, "169.254.169.254", 443));
        assert!(!reaches(&rules, "127.0.0.1", 443));
        assert!(asks(&rules, "10.2.3.4", 443));
        assert!(!asks(&rules, "93.184.216.34", 443), "an address is asked for by its network, not by a name");
    }

    #[test]
    fn without_permission_there_is_none() {
        let none = Rules::new(&Network::None);
        assert!(!asks(&none, "api.example.com", 443));
        let learns = Rules::new(&Network::Learn);
        assert!(asks(&learns, "api.example.com", 443));
        assert!(!reaches(&learns, "10.0.0.1", 443));
        assert!(matches!(
            learns.address("169.254.169.254".parse().unwrap(), 80),
            Err(Reason::Address { .. })
        ));
    }
}
