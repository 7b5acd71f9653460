//! Questions by network, and what it means when there is no answer.

use http::HeaderMap;
use safeconduct_identity::wire::{Answer, BadEndpoint, Endpoint, Request, Wire, WireError};
use serde_json::Value;

use super::check::Finding;

/// Reads a document.
///
/// # Errors
/// As a failed check.
pub(super) async fn read(wire: &Wire, url: &str, allow_http: bool) -> Result<Answer, Finding> {
    let endpoint = endpoint(url, allow_http)?;
    wire.send(Request::read(endpoint)).await.map_err(|error| unanswered(url, &error))
}

/// The URL, as this program may ask it.
///
/// # Errors
/// As a failed check.
pub(super) fn endpoint(url: &str, allow_http: bool) -> Result<Endpoint, Finding> {
    Endpoint::parse(url, allow_http).map_err(|error| {
        let remedy = match error {
            BadEndpoint::PlainHttp => "use https; `allow_http: true` accepts plain http beyond this machine",
            _ => "correct the URL",
        };
        Finding::fail(format!("{url}: {error}"), remedy)
    })
}

/// Scheme and host of a URL.
pub(in crate::commands) fn origin(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    format!("{scheme}://{}", rest.split('/').next().unwrap_or_default())
}

/// The body of a success, as JSON.
pub(super) fn json(answer: &Answer) -> Option<Value> {
    answer.status.is_success().then(|| serde_json::from_slice(&answer.body).ok()).flatten()
}

/// A header as text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// No answer: a failed check.
pub(super) fn unanswered(url: &str, error: &WireError) -> Finding {
    Finding::fail(format!("{url}: {error}"), remedy(error))
}

fn remedy(error: &WireError) -> &'static str {
    match error {
        WireError::Connect { cause, .. } => connect(&cause.to_lowercase()),
        WireError::Timeout { .. } => {
            "does a firewall drop what this machine sends? Is the server overloaded?"
        }
        WireError::Broken { .. } => {
            "is something else than HTTP listening there, or http where https is wanted (or the other way round)?"
        }
        WireError::AddressRefused { .. } => {
            "the name leads to an address that is never spoken to (link-local, where clouds keep their metadata servers): correct DNS or the URL"
        }
        WireError::Redirected { .. } => {
            "redirects are never followed: write the URL that it leads to (curl -sI URL shows it)"
        }
        WireError::TooLarge { .. } | WireError::Encoded { .. } => {
            "this is not the document that is wanted: correct the URL"
        }
        WireError::CertificateRefused { .. } => {
            "the server does not accept this client's certificate: compare `certificate` with what is registered there"
        }
        WireError::ShuttingDown => "try again",
    }
}

fn connect(cause: &str) -> &'static str {
    if cause.contains("certificate") || cause.contains("unknownissuer") {
        "the server's certificate is not believed: name the authority in `ca_file`; or its name or time is wrong"
    } else if cause.contains("refused") {
        "nothing listens there: does it run, is the port right, does a firewall refuse?"
    } else if cause.contains("lookup") || cause.contains("resolve") || cause.contains("name or service") {
        "the name is not known: is it spelled right, and does this machine's DNS know it?"
    } else {
        "can this machine reach it (DNS, proxy, firewall)? Is the port right?"
    }
}
