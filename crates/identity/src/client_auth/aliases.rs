//! Where a server wants to be asked by clients with a certificate: `mtls_endpoint_aliases` of its metadata
//! (RFC 8705 §5, RFC 8414 §2).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use safeconduct_core::time::Timestamp;

use super::{ClientAuthError, Preparing};
use crate::issuer::{Endpoints, Metadata, metadata};
use crate::wire::{Endpoint, Wire};

/// How long the metadata is believed.
const FRESH: Duration = Duration::from_secs(3600);
/// How long after a failure it is asked for again; what was learned before goes on serving.
const AGAIN: Duration = Duration::from_secs(30);

/// See the module.
pub struct Aliases {
    issuer: Box<str>,
    allow_http: bool,
    learned: Mutex<Learned>,
    /// One question at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Learned {
    again: Timestamp,
    /// None: the metadata was never had.
    pairs: Option<Arc<[(Endpoint, Endpoint)]>>,
}

impl Aliases {
    /// Of the authorization server with this issuer identifier.
    pub fn of_issuer(issuer: Box<str>, allow_http: bool) -> Self {
        Self { issuer, allow_http, learned: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// The address for clients with a certificate, where it is another one.
    pub(super) fn of(&self, named: &Endpoint) -> Option<Endpoint> {
        let pairs = self.learned.lock().unwrap_or_else(PoisonError::into_inner).pairs.clone()?;
        pairs.iter().find(|(endpoint, _)| endpoint == named).map(|(_, alias)| alias.clone())
    }

    /// Asks for the metadata, when it is time. Without any there is no address to go to: nothing is guessed.
    pub(super) fn ready<'a>(&'a self, wire: &'a Wire, now: Timestamp) -> Option<Preparing<'a>> {
        self.is_due(now).then(|| Box::pin(self.learn(wire, now)) as Preparing<'a>)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).again <= now
    }

    async fn learn(&self, wire: &Wire, now: Timestamp) -> Result<(), ClientAuthError> {
        let _one = self.asking.lock().await;
        if !self.is_due(now) {
            return self.known();
        }
        let found = metadata(wire, &self.issuer, self.allow_http).await;
        let found = found.map(|document| pairs(&document, self.allow_http));
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(pairs) => *learned = Learned { again: now.plus(FRESH), pairs: Some(pairs) },
            Err(error) => {
                tracing::warn!(issuer = %self.issuer, %error, "no metadata of the authorization server");
                learned.again = now.plus(AGAIN);
            }
        }
        drop(learned);
        self.known()
    }

    fn known(&self) -> Result<(), ClientAuthError> {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        match learned.pairs {
            Some(_) => Ok(()),
            None => Err(ClientAuthError::Unavailable(format!("no metadata of {}", self.issuer))),
        }
    }
}

/// Each endpoint of the document that has an alias, with it. An alias that may not be spoken to is left out, and
/// the endpoint itself is asked.
fn pairs(document: &Metadata, allow_http: bool) -> Arc<[(Endpoint, Endpoint)]> {
    let url = |value: Option<&String>| Endpoint::parse(value?, allow_http).ok();
    let both = |of: fn(&Endpoints) -> Option<&String>| {
        Some((url(of(&document.endpoints))?, url(of(&document.mtls_endpoint_aliases))?))
    };
    let token = both(|endpoints| endpoints.token_endpoint.as_ref());
    let introspection = both(|endpoints| endpoints.introspection_endpoint.as_ref());
    token.into_iter().chain(introspection).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Edge: 10
    #[test]
    fn an_endpoint_with_an_alias_is_asked_there_and_one_without_where_it_is() {
        let document = json!({
            "issuer": "https://as.example",
            "token_endpoint": "https://as.example/token",
            "introspection_endpoint": "https://as.example/introspect",
            "mtls_endpoint_aliases": {
                "token_endpoint": "https://mtls.as.example/token",
                "introspection_endpoint": "http://plain.example/introspect",
                "revocation_endpoint": "https://mtls.as.example/revoke",
            },
        });
        let pairs = pairs(&serde_json::from_value(document).unwrap(), false);
        let endpoint = |url: &str| Endpoint::parse(url, false).unwrap();
        assert_eq!(
            &*pairs,
            [(endpoint("https://as.example/token"), endpoint("https://mtls.as.example/token"))]
        );
    }
}
