//! Who this program is at a token endpoint: one file a method. A new method is one file and one line here.
//!
//! What needs the connection itself (a client certificate, RFC 8705) will say so by a further, provided
//! function of [`ClientAuth`]; everything else is a change to the form or to the headers.

mod basic;
mod none;
mod post;
mod private_key_jwt;
mod signing_key;

pub use basic::{BasicEncoding, ClientSecretBasic};
pub use none::NoAuthentication;
pub use post::ClientSecretPost;
pub use private_key_jwt::{AssertionAudience, PrivateKeyJwt};
pub use signing_key::SigningAlgorithm;

use http::HeaderMap;
use safeconduct_core::credential::Form;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;
use thiserror::Error;

use crate::secret_source::SecretError;

/// One way of authenticating at a token or introspection endpoint.
pub trait ClientAuth: Send + Sync {
    /// The method's registered name (`token_endpoint_auth_method`, RFC 7591 §2).
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
