//! Destinations as people write them: `api.example.com:443`, `*.example.com:443`, `10.2.0.0/16:5432`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::launch::{Destination, HostPattern};

/// Longest name that DNS can hold (RFC 1035 §2.3.4), without the dot at its end.
pub(crate) const LONGEST_NAME: usize = 253;
/// Longest label of a name (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

/// What is wrong with a destination, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// No port.
    #[error("`{0}` has no port: write `{0}:443`, or `{0}:*` for every port")]
    NoPort(String),
    /// A port that is none.
    #[error("`{0}` is no port: write a number from 1 to 65535, or `*` for every port")]
    Port(String),
    /// An URL.
    #[error("`{0}` is a URL: write only the host and the port, such as `{1}`")]
    Url(String, String),
    /// Everything.
    #[error("`*` would allow every host: name them, or find out with `network: learn` which are asked for")]
    Everything,
    /// A star at another place than in front, or more than one.
    #[error("`{0}`: a star stands for one whole label, the first: `*.example.com`")]
    Star(String),
    /// A star in front of a top-level domain.
    #[error("`{0}` would allow names of strangers: leave at least two labels after the star")]
    TooWide(String),
    /// Neither a name nor an address.
    #[error(
        "`{0}` is neither a name nor an address (names in ASCII, `xn--...` for others; addresses of IPv6 in brackets)"
    )]
    Host(String),
    /// A network with bits after its prefix.
    #[error("`{0}` has bits after its prefix: write `{1}`")]
    HostBits(String, String),
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let text = text.trim();
        if let Some((_, rest)) = text.split_once("://") {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = if host.contains(':') { host.to_owned() } else { format!("{host}:443") };
            return Err(DestinationError::Url(text.to_owned(), host));
        }
        let (host, port) = split(text).ok_or_else(|| DestinationError::NoPort(text.to_owned()))?;
        let port = match port {
            "*" => None,
            port => Some(
                port.parse()
                    .ok()
                    .filter(|parsed: &u16| *parsed != 0 && port.bytes().all(|b| b.is_ascii_digit()))
                    .ok_or_else(|| DestinationError::Port(port.to_owned()))?,
            ),
        };
        Ok(Self { host: host.parse()?, port })
    }
}

impl FromStr for HostPattern {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Network(address, if address.is_ipv4() { 32 } else { 128 }));
        }
        if bare.contains('/') {
            let network: IpNet = bare.parse().map_err(|_| DestinationError::Host(text.to_owned()))?;
            if network.network() != network.addr() {
                return Err(DestinationError::HostBits(text.to_owned(), network.trunc().to_string()));
            }
            return Ok(Self::Network(network.addr(), network.prefix_len()));
        }
        if text == "*" {
            return Err(DestinationError::Everything);
        }
        match text.strip_prefix("*.") {
            Some(rest) if rest.contains('*') => Err(DestinationError::Star(text.to_owned())),
            Some(rest) => {
                let name = name(rest).ok_or_else(|| DestinationError::Host(text.to_owned()))?;
                if !name.contains('.') {
                    return Err(DestinationError::TooWide(text.to_owned()));
                }
                Ok(Self::AnyLabel(name))
            }
            None if text.contains('*') => Err(DestinationError::Star(text.to_owned())),
            None => name(text).map(Self::Name).ok_or_else(|| DestinationError::Host(text.to_owned())),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostPattern::Name(name) => f.write_str(name)?,
            HostPattern::AnyLabel(rest) => write!(f, "*.{rest}")?,
            HostPattern::Network(address, prefix) => match (address, prefix) {
                (IpAddr::V4(_), 32) => write!(f, "{address}")?,
                (IpAddr::V4(_), _) => write!(f, "{address}/{prefix}")?,
                (IpAddr::V6(_), 128) => write!(f, "[{address}]")?,
                (IpAddr::V6(_), _) => write!(f, "[{address}/{prefix}]")?,
            },
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => f.write_str(":*"),
        }
    }
}

/// A name as it is compared: lower case, without the dot at its end. None for what is no name, such as what the C
/// library would take for an address (`127.1`, `0x7f000001`).
pub(crate) fn name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let labels = text.split('.').all(|label| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    });
    let last = text.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|b| b.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .or_else(|| last.strip_prefix("0X"))
            .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    (labels && !number && text.len() <= LONGEST_NAME).then(|| text.to_ascii_lowercase())
}

/// Host and port. An address of IPv6 without brackets has no port.
fn split(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('[') {
        let end = text.find(']')? + 1;
        let (host, port) = text.split_at_checked(end)?;
        // `[fd00::]/8:443` is meant as `[fd00::/8]:443`, and is told to be no host.
        return port.strip_prefix(':').map(|port| (host, port)).or_else(|| text.rsplit_once(':'));
    }
    let (host, port) = text.rsplit_once(':')?;
    (!host.contains(':')).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::DestinationError as E;
    use crate::launch::{Destination, HostPattern};

    fn parse(text: &str) -> Result<Destination, E> {
        text.parse()
    }

    #[test]
    fn names_wildcards_and_networks_are_read_and_written_back_the_same() {
        for text in [
            "api.example.com:443",
            "*.example.com:443",
            "api.example.com:*",
            "10.2.0.0/16:5432",
            "10.2.3.4:5432",
            "[fd00::/8]:443",
            "[2001:db8::1]:443",
            "_srv.example.com:1",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            parse("10.0.0.0/8:*").unwrap(),
            Destination { host: HostPattern::Network(Ipv4Addr::new(10, 0, 0, 0).into(), 8), port: None }
        );
    }

    #[test]
    fn names_are_compared_in_lower_case_and_without_the_dot_at_the_end() {
        assert_eq!(parse("API.Example.COM.:443").unwrap().to_string(), "api.example.com:443");
    }

    #[test]
    fn each_mistake_is_told_with_what_to_write_instead() {
        for (text, told) in [
            ("api.example.com", "`api.example.com` has no port: write `api.example.com:443`"),
            ("fd00::1", "`fd00::1` has no port"),
            ("api.example.com:https", "`https` is no port"),
            ("api.example.com:0", "`0` is no port"),
            ("api.example.com:+443", "`+443` is no port"),
            ("api.example.com:99999", "`99999` is no port"),
            (
                "https://api.example.com/v1",
                "is a URL: write only the host and the port, such as `api.example.com:443`",
            ),
            ("http://api.example.com:8080/", "such as `api.example.com:8080`"),
            ("*:443", "`*` would allow every host"),
            ("*.com:443", "would allow names of strangers"),
            ("api.*.com:443", "a star stands for one whole label, the first"),
            ("*.*.example.com:443", "a star stands for one whole label, the first"),
            ("*api.example.com:443", "a star stands for one whole label, the first"),
            ("bücher.example:443", "neither a name nor an address"),
            ("127.1:443", "neither a name nor an address"),
            ("0x7f000001:443", "neither a name nor an address"),
            ("a..b:443", "neither a name nor an address"),
            (":443", "neither a name nor an address"),
            ("[fd00::]/8:443", "neither a name nor an address"),
            ("10.0.0.1/8:443", "`10.0.0.1/8` has bits after its prefix: write `10.0.0.0/8`"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
