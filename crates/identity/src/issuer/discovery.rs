//! Where an issuer's keys are: OpenID Connect Discovery 1.0 §4 and RFC 8414 §3.

use serde::Deserialize;

use super::source::Unavailable;
use crate::wire::{Answer, Endpoint, Request, Wire};

/// What of a metadata document is read (RFC 8414 §2, RFC 8705 §5). A member named twice is an error.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    issuer: String,
    jwks_uri: Option<String>,
    /// Where clients are answered.
    #[serde(flatten)]
    pub(crate) endpoints: Endpoints,
    /// The same for clients with a certificate, where it is elsewhere.
    #[serde(default)]
    pub(crate) mtls_endpoint_aliases: Endpoints,
}

/// The endpoints that this program asks as a client.
#[derive(Default, Deserialize)]
pub(crate) struct Endpoints {
    pub(crate) token_endpoint: Option<String>,
    pub(crate) introspection_endpoint: Option<String>,
}

/// Asks the issuer where its keys are. They must be on its own host, or on one that is known to belong to it (R13).
pub(super) async fn jwks_uri(
    wire: &Wire,
    issuer: &str,
    allow_http: bool,
    key_hosts: &[&str],
) -> Result<Endpoint, Unavailable> {
    first(wire, issuer, allow_http, |url, host, metadata| {
        let uri = metadata.jwks_uri.ok_or_else(|| Unavailable::new(url, "has no jwks_uri"))?;
        let keys = Endpoint::parse(&uri, allow_http).map_err(|error| Unavailable::new(&uri, error))?;
        let at = |host: &str| keys.host().eq_ignore_ascii_case(host);
        if at(host) || key_hosts.iter().any(|host| at(host)) {
            return Ok(keys);
        }
        let problem = format_args!("names keys on another host, {uri}: set jwks_uri if that is right");
        Err(Unavailable::new(url, problem))
    })
    .await
}

/// The issuer's metadata document, whole.
pub(crate) async fn metadata(wire: &Wire, issuer: &str, allow_http: bool) -> Result<Metadata, Unavailable> {
    first(wire, issuer, allow_http, |_, _, metadata| Ok(metadata)).await
}

/// What `take` finds in the first document that has it and is the issuer's own: its `issuer` is compared byte for byte, so that
/// nobody is mistaken for another (R5). `take` is given the document's URL and that URL's host.
async fn first<T>(
    wire: &Wire,
    issuer: &str,
    allow_http: bool,
    take: impl Fn(&str, &str, Metadata) -> Result<T, Unavailable>,
) -> Result<T, Unavailable> {
    let mut first = None;
    for url in places(issuer) {
        let endpoint = Endpoint::parse(&url, allow_http).map_err(|error| Unavailable::new(&url, error))?;
        let host = endpoint.host().to_owned();
        let found = wire.send(Request::read(endpoint)).await.map_err(|error| Unavailable::new(&url, error));
        let read = found.and_then(|answer| read(&url, &answer, issuer));
        match read.and_then(|metadata| take(&url, &host, metadata)) {
            Ok(taken) => return Ok(taken),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| Unavailable::new(issuer, "not an absolute URL")))
}

/// OIDC appends to the issuer's path, RFC 8414 inserts before it.
fn places(issuer: &str) -> Vec<String> {
    let trimmed = issuer.trim_end_matches('/');
    let mut places = vec![format!("{trimmed}/.well-known/openid-configuration")];
    let Some((scheme, rest)) = trimmed.split_once("://") else { return places };
    let (authority, path) =
        rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
    places.push(format!("{scheme}://{authority}/.well-known/oauth-authorization-server{path}"));
    places
}

fn read(url: &str, answer: &Answer, issuer: &str) -> Result<Metadata, Unavailable> {
    if !answer.status.is_success() {
        return Err(Unavailable::new(url, format_args!("HTTP {}", answer.status.as_u16())));
    }
    let metadata: Metadata =
        serde_json::from_slice(&answer.body).map_err(|_| Unavailable::new(url, "not a metadata document"))?;
    if metadata.issuer != issuer {
        return Err(Unavailable::new(url, format_args!("is of another issuer, {:?}", metadata.issuer)));
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn metadata_is_looked_for_where_both_specifications_say() {
        assert_eq!(
            places("https://idp.example/oauth2/default"),
            [
                "https://idp.example/oauth2/default/.well-known/openid-configuration",
                "https://idp.example/.well-known/oauth-authorization-server/oauth2/default",
            ]
        );
        assert_eq!(
            places("https://idp.example/").last().unwrap(),
            "https://idp.example/.well-known/oauth-authorization-server"
        );
    }
}
