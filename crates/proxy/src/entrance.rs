//! Before the path: is this request for us at all? Host, Origin and the route, all without reading the body.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri, header};
use ipnet::IpNet;
use safeconduct_core::refusal::Reason;
use safeconduct_core::server::Server;

/// Where requests may come from and what they may name.
#[derive(Debug, Default)]
pub struct Entrance {
    /// Accepted Host values, lower case, with or without port. Loopback names are accepted besides when
    /// `local` is set.
    pub hosts: Vec<String>,
    /// Accepted Origin values (`https://app.example`), or `*`.
    pub origins: Vec<String>,
    /// The listener is on loopback: accept loopback Hosts and Origins of any port.
    pub local: bool,
    /// Peers whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Servers by path (`/orders/mcp`).
    pub servers: HashMap<Box<str>, Arc<Server>>,
    /// Metadata documents by path.
    pub metadata: HashMap<Box<str>, Bytes>,
    /// Names of the issuers whose logouts are received, by path.
    pub logouts: HashMap<Box<str>, Box<str>>,
}

/// What a path stands for.
pub enum Route<'a> {
    /// An MCP endpoint.
    Server(&'a Arc<Server>),
    /// A metadata document.
    Metadata(&'a Bytes),
    /// Where this issuer's logouts are received.
    Logout(&'a str),
    /// Nothing.
    None,
}

impl Entrance {
    /// What the path stands for.
    pub fn route(&self, path: &str) -> Route<'_> {
        if let Some(server) = self.servers.get(path) {
            return Route::Server(server);
        }
        if let Some(issuer) = self.logouts.get(path) {
            return Route::Logout(issuer);
        }
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        self.metadata.get(trimmed).map_or(Route::None, Route::Metadata)
    }

    /// DNS rebinding: the Host must be one of ours.
    ///
    /// # Errors
    /// `HostNotAllowed`.
    pub fn host(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Reason> {
        let named = headers.get(header::HOST).map(HeaderValue::as_bytes);
        let host = named.or_else(|| uri.authority().map(|authority| authority.as_str().as_bytes()));
        let text = host.and_then(|host| std::str::from_utf8(host).ok()).unwrap_or_default();
        let lower = text.to_ascii_lowercase();
        let bare = without_port(&lower);
        let known = self.hosts.iter().any(|host| *host == lower || *host == bare);
        if known || (self.local && is_loopback_name(bare)) {
            return Ok(());
        }
        Err(Reason::HostNotAllowed(short(text)))
    }

    /// A page of another site must not reach us: the Origin, if there is one, must be allowed.
    ///
    /// # Errors
    /// `OriginNotAllowed`.
    pub fn origin<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a HeaderValue>, Reason> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(None) };
        let text = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        let listed = self.origins.iter().any(|allowed| allowed == "*" || *allowed == text);
        let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let local = self.local && host.is_some_and(|host| is_loopback_name(without_port(host)));
        if listed || local { Ok(Some(origin)) } else { Err(Reason::OriginNotAllowed(short(&text))) }
    }

    /// The caller's address: the peer's, or what a trusted proxy says it is. Read from the end, where our own
    /// proxies wrote: before the first address that is none of theirs, anybody may have written anything.
    pub fn source(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let mut source = peer.ip().to_canonical();
        let trusted = |ip: &IpAddr| self.trusted_proxies.iter().any(|net| net.contains(ip));
        let forwarded: Vec<&[u8]> =
            headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes).collect();
        for hop in forwarded.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b',')) {
            if !trusted(&source) {
                break;
            }
            // What cannot be read leaves the proxy that wrote it as the last one known.
            let Some(hop) = address(hop) else { break };
            source = hop;
        }
        source
    }
}

/// An address of X-Forwarded-For, with or without a port.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let ip = bare.parse().ok().or_else(|| hop.parse().ok().map(|hop: SocketAddr| hop.ip()));
    ip.map(|ip: IpAddr| ip.to_canonical())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

fn is_loopback_name(name: &str) -> bool {
    matches!(name, "localhost" | "127.0.0.1" | "[::1]") || name.ends_with(".localhost")
}

fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::{Entrance, HeaderMap, HeaderValue, Uri, header};

    fn entrance(local: bool) -> Entrance {
        Entrance {
            hosts: vec!["mcp.example.com".into()],
            origins: vec!["https://app.example".into()],
            local,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            ..Entrance::default()
        }
    }

    fn with(name: header::HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    /// Row: T13
    #[test]
    fn only_our_own_hosts_are_answered() {
        let uri = Uri::from_static("/orders/mcp");
        for good in ["mcp.example.com", "MCP.example.com:8443"] {
            assert!(entrance(false).host(&with(header::HOST, good), &uri).is_ok(), "{good}");
        }
        for bad in ["evil.example", "localhost", "mcp.example.com.evil.example", "", "[::1]:8080"] {
            assert!(entrance(false).host(&with(header::HOST, bad), &uri).is_err(), "{bad}");
        }
        for good in ["localhost:8080", "127.0.0.1", "[::1]:8080"] {
            assert!(entrance(true).host(&with(header::HOST, good), &uri).is_ok(), "{good}");
        }
    }

    /// Row: T13
    #[test]
    fn only_allowed_origins_are_answered() {
        let origin = |value| entrance(false).origin(&with(header::ORIGIN, value)).is_ok();
        assert!(entrance(false).origin(&HeaderMap::new()).is_ok());
        assert!(origin("https://app.example"));
        for bad in ["https://app.example.evil", "null", "http://localhost:6274", "https://evil.example"] {
            assert!(!origin(bad), "{bad}");
        }
        assert!(entrance(true).origin(&with(header::ORIGIN, "http://localhost:6274")).is_ok());
        assert!(entrance(true).origin(&with(header::ORIGIN, "http://localhost.evil.example")).is_err());
    }

    #[test]
    fn a_forwarded_address_is_believed_from_trusted_proxies_only() {
        let headers =
            with(header::HeaderName::from_static("x-forwarded-for"), "6.6.6.6, 203.0.113.9, 10.1.1.1");
        let from = |peer: &str| entrance(false).source(peer.parse().unwrap(), &headers).to_string();
        assert_eq!(from("10.0.0.1:1"), "203.0.113.9");
        assert_eq!(from("198.51.100.7:1"), "198.51.100.7");
    }

    #[test]
    fn an_address_before_one_that_is_not_trusted_or_not_readable_counts_for_nothing() {
        let source = |value| {
            let headers = with(header::HeaderName::from_static("x-forwarded-for"), value);
            entrance(false).source("10.0.0.1:1".parse().unwrap(), &headers).to_string()
        };
        assert_eq!(source("203.0.113.9"), "203.0.113.9");
        assert_eq!(source("203.0.113.9:4711"), "203.0.113.9");
        assert_eq!(source("[2001:db8::1]:4711, 10.1.1.1"), "2001:db8::1");
        assert_eq!(source("::ffff:203.0.113.9"), "203.0.113.9");
        assert_eq!(source("10.2.2.2, 10.1.1.1"), "10.2.2.2");
        assert_eq!(source("203.0.113.9, 6.6.6.6"), "6.6.6.6");
        assert_eq!(source("203.0.113.9, unknown, 10.1.1.1"), "10.1.1.1");
        assert_eq!(source("203.0.113.9, "), "10.0.0.1");
    }
}
