//! `spiffe`: a JWT-SVID proves who the client is (draft-ietf-oauth-spiffe-client-auth §3.1).
//!
//! The SVID comes from a file, which spiffe-helper (or another client of the Workload API) keeps fresh; it is read
//! at each use. This program does not speak the Workload API itself: that is gRPC over a Unix socket, and its
//! client would be a second HTTP stack. With an X.509-SVID, `tls_client_auth` is the method.
//!
//! What an administrator must set up: spiffe-helper with `jwt_svids` for the authorization server's audience, and
//! the SPIFFE ID, or a pattern of it, in the client's registration.

use http::HeaderMap;
use safeconduct_core::credential::Form;
use safeconduct_core::time::Timestamp;

use super::{ClientAuth, ClientAuthError, assert};
use crate::secret_source::SecretSource;

/// Value of `client_assertion_type`.
const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// See the module.
pub struct Spiffe {
    client_id: Box<str>,
    svid: SecretSource,
}

impl Spiffe {
    /// For this client; the file holds a JWT-SVID and nothing else.
    pub fn new(client_id: Box<str>, svid: SecretSource) -> Self {
        Self { client_id, svid }
    }
}

impl ClientAuth for Spiffe {
    fn method(&self) -> &'static str {
        "spiffe_jwt"
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
        assert(form, &self.client_id, JWT_SPIFFE, &self.svid.current())
    }
}
