//! `assertion_file`: a token that the platform puts into a file proves who the client is (RFC 7523 §2.2): a
//! Kubernetes service account token, or another workload token that the authorization server trusts (Keycloak's
//! federated clients, Entra's federated identity credentials).
//!
//! What an administrator must set up: the token's audience must be the authorization server (in Kubernetes:
//! `serviceAccountToken.audience` of a projected volume; for Entra `api://AzureADTokenExchange`), and the server
//! must know the issuer and subject of the token for this client. The platform rotates the file; it is read at
//! each use.

use http::HeaderMap;
use safeconduct_core::credential::Form;
use safeconduct_core::time::Timestamp;

use super::{ClientAuth, ClientAuthError, JWT_BEARER, assert};
use crate::secret_source::SecretSource;

/// See the module.
pub struct AssertionFile {
    client_id: Box<str>,
    assertion: SecretSource,
}

impl AssertionFile {
    /// For this client; the file holds a token and nothing else.
    pub fn new(client_id: Box<str>, assertion: SecretSource) -> Self {
        Self { client_id, assertion }
    }
}

impl ClientAuth for AssertionFile {
    fn method(&self) -> &'static str {
        "assertion_file"
    }

    fn client_id(&self) -> Option<&str> {
        Some(&self.client_id)
    }

    fn apply(
        &self,
        form: &mut Form,
        _: &mut HeaderMap,
        _: &str,
        _: Timestamp,
    ) -> Result<(), ClientAuthError> {
        assert(form, &self.client_id, JWT_BEARER, &self.assertion.current())
    }
}
