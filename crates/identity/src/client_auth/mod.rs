//! Who this program is at a token endpoint: one file a method. A new method is one file and one line here.
//!
//! Most methods change the form or the headers ([`ClientAuth::apply`]). What needs more says so by the provided
//! functions: a certificate for the connection (RFC 8705), something to be fetched first. [`Errand`] does all of it
//! in order, and is the way to ask as a client.

mod aliases;
mod assertion_file;
mod basic;
mod dpop;
mod errand;
mod key_certificate;
mod managed_identity;
mod none;
mod post;
mod private_key_jwt;
mod rotating;
mod signing_key;
mod tls_client_auth;

pub use aliases::Aliases;
pub use assertion_file::AssertionFile;
pub use basic::{BasicEncoding, ClientSecretBasic};
pub use dpop::{DpopKey, KeyBound};
pub use errand::Errand;
pub use managed_identity::{AUDIENCE, IMDS, IdentityService, ManagedIdentity};
pub use none::NoAuthentication;
pub use post::ClientSecretPost;
pub use private_key_jwt::{AssertionAudience, KeyCertificate, PrivateKeyJwt};
pub use signing_key::SigningAlgorithm;
pub use tls_client_auth::{CertificateKind, TlsClientAuth};

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;
use safeconduct_core::credential::Form;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;
use thiserror::Error;

use crate::cache::Fields;
use crate::secret_source::SecretError;
use crate::wire::{Endpoint, Via, Wire};

/// What is done before a client can authenticate.
pub type Preparing<'a> = Pin<Box<dyn Future<Output = Result<(), ClientAuthError>> + Send + 'a>>;

/// Value of `client_assertion_type` (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// One way of authenticating at a token or introspection endpoint.
pub trait ClientAuth: Send + Sync {
    /// The method's registered name (`token_endpoint_auth_method`, RFC 7591 §2), or our own word where there is none.
    fn method(&self) -> &'static str;

    /// The client's identifier; None for an endpoint that knows no clients.
    fn client_id(&self) -> Option<&str>;

    /// Adds what the method sends. Called anew for every attempt: an assertion's `jti` is never used twice.
    ///
    /// # Errors
    /// When the secret or the key is, by now, not usable.
    fn apply(
        &self,
        form: &mut Form,
        headers: &mut HeaderMap,
        endpoint: &str,
        now: Timestamp,
    ) -> Result<(), ClientAuthError>;

    /// Fetches what [`ClientAuth::apply`] needs and does not have; None when there is nothing to fetch.
    fn ready<'a>(&'a self, _wire: &'a Wire, _now: Timestamp) -> Option<Preparing<'a>> {
        None
    }

    /// The endpoint says that what this client proved itself with has ended: whatever is kept of it is to be had
    /// anew before the next attempt.
    fn forget_proof(&self) {}

    /// How the endpoint is connected to.
    ///
    /// # Errors
    /// When the certificate is, by now, not usable.
    fn via(&self) -> Result<Via, ClientAuthError> {
        Ok(Via::Network)
    }

    /// Where this client finds the endpoint (`mtls_endpoint_aliases`, RFC 8705 §5).
    fn endpoint<'a>(&self, named: &'a Endpoint) -> Cow<'a, Endpoint> {
        Cow::Borrowed(named)
    }

    /// The key that its tokens are bound to (RFC 9449); None for tokens that are good without one.
    fn dpop(&self) -> Option<&Arc<DpopKey>> {
        None
    }

    /// Adds what shapes a token endpoint's answer: part of the keys that credentials are cached by.
    fn identify(&self, fields: &mut Fields) {
        fields.option(self.client_id()).text(self.method());
    }
}

/// A client cannot authenticate. The text is for the operator and holds no secret.
#[derive(Debug, Error)]
pub enum ClientAuthError {
    /// The secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// RFC 6749 appendix A.2: a client secret is made of the printable ASCII characters (0x20 to 0x7E).
    #[error("the client secret of {0} holds a character outside 0x20-0x7E (RFC 6749 A.2)")]
    SecretAlphabet(String),
    /// Not a private key of a supported form.
    #[error("the key of client {client} is not usable: {problem}")]
    Key {
        /// `client_id`.
        client: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The signature could not be made.
    #[error("the assertion of client {0} could not be signed")]
    Signing(String),
    /// What the method needs cannot be had now; later it may.
    #[error("{0}")]
    Unavailable(String),
    /// The machine has no identity that could be used.
    #[error("the machine's identity service refuses: {0}")]
    Identity(String),
    /// What the platform put into a file is no token.
    #[error("the assertion of client {0} is not a token: it must be one word of visible characters")]
    Assertion(String),
    /// A DPoP proof could not be made.
    #[error("the DPoP proof of client {0} could not be signed")]
    Proof(String),
    /// A client certificate, and an endpoint without TLS.
    #[error("{0} is plain http: a client certificate cannot be shown there")]
    NoTls(String),
    /// The header could not be made.
    #[error("the credentials of client {0} cannot stand in a header")]
    Header(String),
}

/// A client secret that may go on the wire (edge case 7).
fn check_alphabet(client: &str, secret: &Secret) -> Result<(), ClientAuthError> {
    if secret.expose().iter().all(|byte| (0x20..=0x7e).contains(byte)) {
        Ok(())
    } else {
        Err(ClientAuthError::SecretAlphabet(client.into()))
    }
}

/// Adds an assertion that was made elsewhere.
fn assert(form: &mut Form, client: &str, kind: &str, assertion: &Secret) -> Result<(), ClientAuthError> {
    // A file that is half written, or of another program, is not sent to anybody.
    if assertion.is_empty() || !assertion.expose().iter().all(u8::is_ascii_graphic) {
        return Err(ClientAuthError::Assertion(client.into()));
    }
    form.field("client_id", client)
        .field("client_assertion_type", kind)
        .secret("client_assertion", assertion);
    Ok(())
}
