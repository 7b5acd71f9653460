//! Where an issuer's keys are: OpenID Connect Discovery 1.0 §4 and RFC 8414 §3.

use serde::Deserialize;

use super::source::Unavailable;
use crate::wire::{Answer, Endpoint, Request, Wire};

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Option<String>,
}

/// Asks the issuer where its keys are. The document must be the issuer's own: its `issuer` is compared byte for
/// byte, so that nobody is mistaken for another (R5), and the keys must be on its own host, or on one that is
/// known to belong to it (R13).
pub(super) async fn jwks_uri(
    wire: &Wire,
    issuer: &str,
    allow_http: bool,
    key_hosts: &[&str],
) -> Result<Endpoint, Unavailable> {
    let mut first = None;
    for url in places(issuer) {
        let endpoint = Endpoint::parse(&url, allow_http).map_err(|error| Unavailable::new(&url, error))?;
        let host = endpoint.host().to_owned();
        let found = wire.send(Request::read(endpoint)).await.map_err(|error| Unavailable::new(&url, error));
        match found.and_then(|answer| read(&url, &answer, issuer)) {
            Ok(uri) => {
                let keys =
                    Endpoint::parse(&uri, allow_http).map_err(|error| Unavailable::new(&uri, error))?;
                let at = |host: &str| keys.host().eq_ignore_ascii_case(host);
                let own = at(&host) || key_hosts.iter().any(|host| at(host));
                return own.then_some(keys).ok_or_else(|| {
                    Unavailable::new(
                        &url,
                        format_args!("names keys on another host, {uri}: set jwks_uri if that is right"),
                    )
                });
            }
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

fn read(url: &str, answer: &Answer, issuer: &str) -> Result<String, Unavailable> {
    if !answer.status.is_success() {
        return Err(Unavailable::new(url, format_args!("HTTP {}", answer.status.as_u16())));
    }
    let metadata: Metadata =
        serde_json::from_slice(&answer.body).map_err(|_| Unavailable::new(url, "not a metadata document"))?;
    if metadata.issuer != issuer {
        return Err(Unavailable::new(url, format_args!("is of another issuer, {:?}", metadata.issuer)));
    }
    metadata.jwks_uri.ok_or_else(|| Unavailable::new(url, "has no jwks_uri"))
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
