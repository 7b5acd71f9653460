//! Where requests go: a URL checked once, when the configuration or a metadata document names it.

use std::fmt;
use std::net::IpAddr;

use http::Uri;

use super::connect::is_of_machine;

/// A URL that this program may speak to: https, or http where it cannot leave the machine or was allowed by name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint(Uri);

/// Why a URL is not an [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// Not an absolute URL.
    #[error("not an absolute http(s) URL")]
    NotUrl,
    /// Plain http to another machine.
    #[error("plain http is accepted only for loopback addresses (or with allow_http: true)")]
    PlainHttp,
    /// `user:password@` in it.
    #[error("a URL with user information is not accepted")]
    UserInfo,
    /// `#...` in it.
    #[error("a URL with a fragment is not accepted")]
    Fragment,
}

impl Endpoint {
    /// Checks a URL (R13). `allow_http` accepts plain http to any host: it stands in the configuration beside the URL.
    ///
    /// # Errors
    /// See [`BadEndpoint`].
    pub fn parse(url: &str, allow_http: bool) -> Result<Self, BadEndpoint> {
        if url.contains('#') {
            return Err(BadEndpoint::Fragment);
        }
        let uri: Uri = url.parse().map_err(|_| BadEndpoint::NotUrl)?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(BadEndpoint::NotUrl)?;
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(BadEndpoint::UserInfo);
        }
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if allow_http || is_loopback_host(host) => {}
            Some("http") => return Err(BadEndpoint::PlainHttp),
            _ => return Err(BadEndpoint::NotUrl),
        }
        Ok(Self(uri))
    }

    /// A service of this machine itself: plain http to a loopback or link-local address, by number, or https.
    /// To be asked by [`super::Via::Machine`], which connects to no other addresses.
    ///
    /// # Errors
    /// See [`BadEndpoint`].
    pub fn of_machine(url: &str) -> Result<Self, BadEndpoint> {
        let endpoint = Self::parse(url, true)?;
        let own = literal(endpoint.host()).is_some_and(|address| is_of_machine(address.to_canonical()));
        if own || endpoint.is_https() || is_localhost_name(endpoint.host()) {
            Ok(endpoint)
        } else {
            Err(BadEndpoint::PlainHttp)
        }
    }

    /// The URL.
    pub fn uri(&self) -> &Uri {
        &self.0
    }

    /// Host, as it stands in the URL.
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    /// True for https.
    pub fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// `localhost`, names under it (RFC 6761 §6.3), or a loopback address literal.
pub fn is_loopback_host(host: &str) -> bool {
    is_localhost_name(host) || literal(host).is_some_and(|address| address.to_canonical().is_loopback())
}

/// `localhost` or a name under it: its addresses must be loopback when it is resolved.
pub(super) fn is_localhost_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// The address that a host part of a URL is, if it is one.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{BadEndpoint, Endpoint};

    fn refused(url: &str) -> BadEndpoint {
        Endpoint::parse(url, false).unwrap_err()
    }

    /// Row: R13
    #[test]
    fn https_anywhere_and_http_on_this_machine_are_accepted() {
        for url in
            ["https://idp.example.com/token", "http://127.0.0.1:1/x", "http://[::1]:9/", "http://localhost/x"]
        {
            assert!(Endpoint::parse(url, false).is_ok(), "{url}");
        }
        assert!(Endpoint::parse("http://idp.internal/token", true).is_ok());
    }

    /// Row: R13
    #[test]
    fn a_service_of_the_machine_is_at_an_address_of_the_machine() {
        for url in ["http://169.254.169.254/metadata", "http://127.0.0.1:41741/msi/token"] {
            assert!(Endpoint::of_machine(url).is_ok(), "{url}");
        }
        for url in ["http://10.0.0.1/metadata", "http://metadata.example/", "http://169.254.169.254.nip.io/"]
        {
            assert_eq!(Endpoint::of_machine(url), Err(BadEndpoint::PlainHttp), "{url}");
        }
    }

    /// Row: R13
    #[test]
    fn plain_http_user_information_fragments_and_other_schemes_are_refused() {
        assert_eq!(refused("http://idp.example.com/token"), BadEndpoint::PlainHttp);
        assert_eq!(refused("http://127.0.0.1.nip.io/token"), BadEndpoint::PlainHttp);
        assert_eq!(refused("https://idp@evil.example/token"), BadEndpoint::UserInfo);
        assert_eq!(refused("https://idp.example.com/token#x"), BadEndpoint::Fragment);
        assert_eq!(refused("file:///etc/passwd"), BadEndpoint::NotUrl);
        assert_eq!(refused("/token"), BadEndpoint::NotUrl);
    }
}
