//! What a URL in the file must be: absolute, without user, password and fragment, and https unless it stays on
//! this machine.

use http::Uri;

use super::Resolver;
use crate::config::decode::{At, Field};

impl Resolver<'_> {
    /// The URL of `what`, or None after noting why it cannot be used.
    pub(super) fn url(&mut self, what: &str, written: &At<String>, allow_http: &Field<bool>) -> Option<Uri> {
        let problem = match parse(&written.value) {
            Ok(uri) if uri.scheme_str() == Some("http") && !is_loopback(&uri) && !allow_http.or(false) => {
                self.problems
                    .error(
                        written.span.clone(),
                        format!("plain http carries {what} over the network in the clear"),
                    )
                    .label("not on this machine")
                    .help(
                        "use https; if the network in between is trusted, put `allow_http: true` beside it",
                    );
                return None;
            }
            Ok(uri) => return Some(uri),
            Err(problem) => problem,
        };
        self.problems
            .error(written.span.clone(), format!("this URL cannot be used: {problem}"))
            .label("cannot be used")
            .help("expected a URL such as `https://host.example/path`");
        None
    }
}

/// Reads an absolute http or https URL.
pub(super) fn parse(text: &str) -> Result<Uri, &'static str> {
    if text.contains('#') {
        return Err("it has a fragment");
    }
    let uri: Uri = text.parse().map_err(|_| "it is not a URL")?;
    let authority = uri.authority().ok_or("it has no host")?;
    match uri.scheme_str() {
        Some("https" | "http") => {}
        Some(_) => return Err("only https and http are spoken"),
        None => return Err("it does not begin with https://"),
    }
    if authority.as_str().contains('@') {
        return Err("it has a user name in it");
    }
    if authority.host().is_empty() {
        return Err("it has no host");
    }
    if authority.as_str().rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'))
        && uri.port_u16().is_none()
    {
        return Err("its port is not a number up to 65535");
    }
    Ok(uri)
}

/// True for hosts that never leave this machine.
pub(super) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{is_loopback, parse};

    #[test]
    fn loopback_is_an_address_or_localhost_and_nothing_that_looks_like_it() {
        for url in ["http://127.0.0.1:1/", "http://[::1]/x", "http://localhost:8", "http://idp.localhost/"] {
            assert!(is_loopback(&parse(url).unwrap()), "{url}");
        }
        for url in ["http://127.0.0.1.example/", "http://localhost.example/", "http://10.0.0.1/"] {
            assert!(!is_loopback(&parse(url).unwrap()), "{url}");
        }
    }

    #[test]
    fn users_fragments_and_other_schemes_are_refused() {
        assert!(parse("https://host.example/path?x=1").is_ok());
        for url in
            ["https://a:b@host/", "https://host/#x", "ftp://host/", "host.example", "https://host:99999/"]
        {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
