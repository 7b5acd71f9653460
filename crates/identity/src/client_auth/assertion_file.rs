//! A token that the platform puts into a file proves who the client is (RFC 7521 §4.2). The platform rotates the
//! file; it is read at each use. Two methods present one:
//!
//! - `assertion_file` (RFC 7523 §2.2): a Kubernetes service account token, or another workload token that the
//!   authorization server trusts (Keycloak's federated clients, Entra's federated identity credentials).
//! - `spiffe` (draft-ietf-oauth-spiffe-client-auth §3.1): a JWT-SVID, which spiffe-helper (or another client of the
//!   Workload API) keeps fresh. This program does not speak the Workload API itself: that is gRPC over a Unix
//!   socket, and its client would be a second HTTP stack. With an X.509-SVID, `tls_client_auth` is the method.
//!
//! What an administrator must set up: the token's audience must be the authorization server (in Kubernetes:
//! `serviceAccountToken.audience` of a projected volume; for Entra `api://AzureADTokenExchange`; in spiffe-helper
//! `jwt_svids`), and the server must know the issuer and subject of the token, or the SPIFFE ID, for this client.

use http::HeaderMap;
use safeconduct_core::credential::Form;
use safeconduct_core::time::Timestamp;

use super::{ClientAuth, ClientAuthError, JWT_BEARER, assert};
use crate::secret_source::SecretSource;

/// Value of `client_assertion_type` for a JWT-SVID.
const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// See the module.
pub struct AssertionFile {
    method: &'static str,
    assertion_type: &'static str,
    client_id: Box<str>,
    assertion: SecretSource,
}

impl AssertionFile {
    /// `assertion_file` for this client; the file holds a token and nothing else.
    pub fn new(client_id: Box<str>, assertion: SecretSource) -> Self {
        Self { method: "assertion_file", assertion_type: JWT_BEARER, client_id, assertion }
    }

    /// `spiffe` for this client; the file holds a JWT-SVID and nothing else.
    pub fn spiffe(client_id: Box<str>, svid: SecretSource) -> Self {
        Self { method: "spiffe_jwt", assertion_type: JWT_SPIFFE, client_id, assertion: svid }
    }
}

impl ClientAuth for AssertionFile {
    fn method(&self) -> &'static str {
        self.method
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
        assert(form, &self.client_id, self.assertion_type, &self.assertion.current())
    }
}
