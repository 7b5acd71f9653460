//! Where clients come in, and under which name.

use std::net::{Ipv4Addr, SocketAddr};

use http::Uri;

use super::{Resolver, url};
use crate::config::decode::{At, Field};
use crate::config::plan::TlsPlan;
use crate::config::values::Many;

/// The listener, resolved.
pub(super) struct Listener {
    pub(super) listen: SocketAddr,
    pub(super) tls: Option<TlsPlan>,
    pub(super) public_url: String,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) allowed_origins: Vec<String>,
    pub(super) trusted_proxies: Vec<String>,
}

impl Resolver<'_> {
    pub(super) fn listener(&mut self) -> Option<Listener> {
        let file = self.file;
        let listen = match &file.listen {
            Field::Given(address) => address.value.0,
            Field::Absent => SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            Field::Broken => return None,
        };
        let tls = self.tls();
        let encrypted = !file.tls.is_absent();
        if let Some(address) = &file.listen.given()
            && !listen.ip().is_loopback()
            && !encrypted
            && file.plaintext.is_absent()
        {
            self.problems
                .error(address.span.clone(), "others can reach this listener, and tokens would arrive in the clear")
                .label("not a loopback address")
                .help(
                    "add `tls: { cert: FILE, key: FILE }`; or, when something in front of it ends TLS, `plaintext: accepted`",
                );
        }
        if let Some(admin) = file.admin.given()
            && admin.value.0 == listen
            && listen.port() != 0
        {
            self.problems
                .error(admin.span.clone(), "`admin` and `listen` are the same address")
                .label("already taken by `listen`")
                .help("metrics and status are not for clients: give them another port");
        }
        let public = self.public_url(listen, encrypted);
        let allowed_hosts = self.hosts(public.as_ref(), listen);
        let allowed_origins = self.origins(public.as_ref());
        let trusted_proxies = self.proxies();
        let public = public?;
        Some(Listener {
            listen,
            tls,
            allowed_hosts,
            allowed_origins,
            trusted_proxies,
            public_url: bare(&public),
        })
    }

    fn tls(&mut self) -> Option<TlsPlan> {
        let tls = self.file.tls.value()?;
        let cert = tls.cert.given().map(|path| self.readable(path));
        let key = tls.key.given().map(|path| self.readable(path));
        Some(TlsPlan { cert: cert?, key: key? })
    }

    fn public_url(&mut self, listen: SocketAddr, encrypted: bool) -> Option<Uri> {
        let written = match &self.file.public_url {
            Field::Given(written) => written,
            Field::Broken => return None,
            Field::Absent if listen.ip().is_loopback() => {
                let scheme = if encrypted { "https" } else { "http" };
                return format!("{scheme}://{listen}").parse().ok();
            }
            Field::Absent => {
                let place = self.file.listen.given().map_or(0..0, |address| address.site.clone());
                self.problems
                    .error(place, "`public_url` is missing")
                    .label("reachable by others under a name that is not known here")
                    .help("say what clients type: `public_url: https://mcp.example.com`; tokens are issued for it");
                return None;
            }
        };
        let uri = match url::parse(&written.value) {
            Ok(uri) => uri,
            Err(why) => {
                self.problems
                    .error(written.span.clone(), format!("`public_url` cannot be used: {why}"))
                    .label("cannot be used")
                    .help("expected `https://host[:port]`");
                return None;
            }
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            self.problems
                .error(written.span.clone(), "`public_url` has a path")
                .label("only scheme, host and port")
                .help("metadata is served below `/.well-known/`, which a path would hide from clients: give the gateway a host name of its own");
            return None;
        }
        if uri.scheme_str() == Some("http") && !url::is_loopback(&uri) && self.file.plaintext.is_absent() {
            self.problems
                .error(written.span.clone(), "clients would send their tokens to this URL in the clear")
                .label("plain http, and not on this machine")
                .help("use https; `plaintext: accepted` says that the network in between is trusted");
        }
        Some(uri)
    }

    fn hosts(&mut self, public: Option<&Uri>, listen: SocketAddr) -> Vec<String> {
        let own = public.and_then(Uri::authority).map(|authority| authority.as_str().to_ascii_lowercase());
        let mut hosts: Vec<String> = own.into_iter().collect();
        if listen.ip().is_loopback() {
            hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
        }
        let written = self.file.allowed_hosts.value();
        for host in written.map(|many: &Many<String>| many.0.as_slice()).unwrap_or_default() {
            if host.value.contains(['/', '*', '@', ' '])
                || host.value.parse::<http::uri::Authority>().is_err()
            {
                self.problems
                    .error(host.span.clone(), format!("`{}` is not a host name", host.value))
                    .label("expected `name` or `name:port`")
                    .help("each name is listed: wildcards would let any page's rebound name in");
            } else {
                hosts.push(host.value.to_ascii_lowercase());
            }
        }
        distinct(hosts)
    }

    fn origins(&mut self, public: Option<&Uri>) -> Vec<String> {
        let mut origins: Vec<String> = public.map(bare).into_iter().collect();
        let written = self.file.allowed_origins.value();
        for origin in written.map(|many: &Many<String>| many.0.as_slice()).unwrap_or_default() {
            match url::parse(&origin.value) {
                Ok(uri) if matches!(uri.path(), "" | "/") && uri.query().is_none() => {
                    origins.push(bare(&uri))
                }
                _ => {
                    self.problems
                        .error(origin.span.clone(), format!("`{}` is not an origin", origin.value))
                        .label("expected scheme, host and port")
                        .help("such as `https://app.example.com` or `http://localhost:6274`; each one is listed");
                }
            }
        }
        distinct(origins)
    }

    fn proxies(&mut self) -> Vec<String> {
        let written = self.file.trusted_proxies.value();
        let written = written.map(|many: &Many<String>| many.0.as_slice()).unwrap_or_default();
        written.iter().filter_map(|proxy| self.network(proxy)).collect()
    }

    fn network(&mut self, written: &At<String>) -> Option<String> {
        let (address, bits) = match written.value.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (written.value.as_str(), None),
        };
        let parsed = address.parse::<std::net::IpAddr>().ok().and_then(|address| {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(most), |bits| bits.parse::<u8>().ok())?;
            (bits <= most).then(|| format!("{address}/{bits}"))
        });
        if parsed.is_none() {
            self.problems
                .error(written.span.clone(), format!("`{}` is not a network", written.value))
                .label("expected an address or `10.0.0.0/8`")
                .help("a network of the proxies, not their names: names can be made to point elsewhere");
        }
        parsed
    }
}

// Scheme, host and port in lower case, without the default port and a slash at the end (RFC 6454 §6.2).
fn bare(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    match (scheme.as_str(), uri.port_u16()) {
        (_, None) | ("https", Some(443)) | ("http", Some(80)) => format!("{scheme}://{host}"),
        (_, Some(port)) => format!("{scheme}://{host}:{port}"),
    }
}

fn distinct(values: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}
