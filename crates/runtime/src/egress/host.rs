//! A host as it is asked for.

use std::fmt;
use std::net::IpAddr;

use crate::destination::name;

/// A name or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// In lower case, without the dot at its end.
    Name(String),
    /// Never an address of IPv4 in the clothes of one of IPv6.
    Address(IpAddr),
}

impl Host {
    /// Reads it; None for what is neither. Addresses of IPv6 may stand in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        match bare.parse::<IpAddr>() {
            Ok(address) => Some(Self::Address(address.to_canonical())),
            Err(_) => name(text).map(Self::Name),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Host;

    #[test]
    fn names_and_addresses_have_one_form_each() {
        for (text, one) in [
            ("API.example.com.", "api.example.com"),
            ("1.2.3.4", "1.2.3.4"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[::ffff:10.0.0.1]", "10.0.0.1"),
        ] {
            assert_eq!(Host::parse(text).unwrap().to_string(), one);
        }
        for text in ["", "a b", "127.1", "[::1", "2130706433", "0x7f.0.0.1x:"] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }
}
