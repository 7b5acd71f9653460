//! Addresses that a name has no business to lead to: those of this machine, of its networks, and of the metadata
//! services that give credentials to whoever asks.
//!
//! Sources: the IANA registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890, RFC 8190).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `127.0.0.0/8`, `::1`.
    Loopback,
    /// `169.254.0.0/16`, `fe80::/10`, `168.63.129.16`: where clouds keep their metadata services and platforms.
    LinkLocal,
    /// RFC 1918, `fc00::/7`, `fec0::/10`: the networks of this site.
    Private,
    /// `100.64.0.0/10` (RFC 6598): the provider's network, also used for metadata services.
    Shared,
    /// Multicast and broadcast.
    Multicast,
    /// No host has it: unspecified, documentation, benchmarks, future use.
    Reserved,
    /// One of this machine's own.
    Own,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address (metadata services are there)",
            Self::Private => "a private address",
            Self::Shared => "an address of the provider's network",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
            Self::Own => "an address of this machine",
        })
    }
}

/// The kind of an address that is not public; None for a public one. An address of IPv4 that hides in one of IPv6 is
/// judged as what it is.
pub(crate) fn special(address: IpAddr) -> Option<Kind> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => match hidden(address) {
            Some(inner) => special_v4(inner),
            None => special_v6(address),
        },
    }
}

fn special_v4(address: Ipv4Addr) -> Option<Kind> {
    Some(match address.octets() {
        [127, ..] => Kind::Loopback,
        // The second is Azure's platform, which tells a machine's secrets as the first do.
        [169, 254, ..] | [168, 63, 129, 16] => Kind::LinkLocal,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Private,
        [100, 64..=127, ..] => Kind::Shared,
        [224..=239, ..] | [255, 255, 255, 255] => Kind::Multicast,
        [0, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [240..=255, ..] => Kind::Reserved,
        _ => return None,
    })
}

fn special_v6(address: Ipv6Addr) -> Option<Kind> {
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Loopback,
        [0xfe80..=0xfebf, ..] => Kind::LinkLocal,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Kind::Private,
        [0xff00..=0xffff, ..] => Kind::Multicast,
        // Protocol assignments (Teredo hides an address behind a stranger's relay), documentation.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Kind::Reserved,
        // What is not global unicast is nothing yet.
        [0x2000..=0x3fff, ..] => return None,
        _ => Kind::Reserved,
    })
}

/// The address of IPv4 that a translator or a tunnel would make of it: mapped and compatible (RFC 4291 §2.5.5), NAT64
/// (RFC 6052, RFC 8215), 6to4 (RFC 3056).
fn hidden(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(v4(high, low)),
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        // A network's own NAT64 prefix: where the address stands depends on the prefix, so it cannot be judged.
        [0x64, 0xff9b, 1, ..] => Some(Ipv4Addr::UNSPECIFIED),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, special};

    fn kind(text: &str) -> Option<Kind> {
        special(text.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_public() {
        for text in
            ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1"]
        {
            assert_eq!(kind(text), None, "{text}");
        }
        for text in ["2606:4700:4700::1111", "2a00:1450:4001::1", "64:ff9b::8.8.8.8", "2002:0808:0808::1"] {
            assert_eq!(kind(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_public_is_told_apart() {
        for (text, expected) in [
            ("127.0.0.1", Kind::Loopback),
            ("127.9.9.9", Kind::Loopback),
            ("::1", Kind::Loopback),
            ("169.254.169.254", Kind::LinkLocal),
            ("169.254.170.2", Kind::LinkLocal),
            ("168.63.129.16", Kind::LinkLocal),
            ("fe80::1", Kind::LinkLocal),
            ("10.1.2.3", Kind::Private),
            ("172.16.0.1", Kind::Private),
            ("172.31.255.255", Kind::Private),
            ("192.168.1.1", Kind::Private),
            ("fd00:ec2::254", Kind::Private),
            ("fc00::1", Kind::Private),
            ("fec0::1", Kind::Private),
            ("100.100.100.200", Kind::Shared),
            ("100.64.0.1", Kind::Shared),
            ("224.0.0.1", Kind::Multicast),
            ("255.255.255.255", Kind::Multicast),
            ("ff02::1", Kind::Multicast),
            ("0.0.0.0", Kind::Reserved),
            ("0.1.2.3", Kind::Reserved),
            ("192.0.0.192", Kind::Reserved),
            ("192.0.2.1", Kind::Reserved),
            ("198.18.0.1", Kind::Reserved),
            ("240.0.0.1", Kind::Reserved),
            ("::", Kind::Reserved),
            ("2001:db8::1", Kind::Reserved),
            ("2001:0:4136:e378::1", Kind::Reserved),
            ("100::1", Kind::Reserved),
            ("4000::1", Kind::Reserved),
        ] {
            assert_eq!(kind(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn an_address_that_hides_in_another_is_judged_as_what_it_is() {
        for (text, expected) in [
            ("::ffff:169.254.169.254", Kind::LinkLocal),
            ("::ffff:127.0.0.1", Kind::Loopback),
            ("::127.0.0.1", Kind::Loopback),
            ("::ffff:0:10.0.0.1", Kind::Private),
            ("64:ff9b::10.0.0.1", Kind::Private),
            ("64:ff9b:1::a9fe:a9fe", Kind::Reserved),
            ("2002:7f00:1::", Kind::Loopback),
        ] {
            assert_eq!(kind(text), Some(expected), "{text}");
        }
    }
}
