//! `client_credentials`: a token for this program itself (RFC 6749 §4.4), the same for every caller.
//!
//! - <https://www.rfc-editor.org/rfc/rfc6749#section-4.4>; resource indicators: RFC 8707
//! - The server behind it cannot tell callers apart: the audit record says `gateway`, `check` warns, and the
//!   gateway binds tasks and request state to the caller itself. As a first step it gives the token that the next
//!   step presents, as subject or (with `actor: step` of an exchange) as actor.
//! - The request is independent of who calls, unless the configuration says so by a template.
//!
//! What an administrator must set up: a confidential client with this grant, and the right to the scopes.

use std::sync::Arc;

use super::Whose;
use super::oauth::{Asked, BadTarget, Expected, Fieldset, Grant, Step, Targets, TokenEndpoint, fields};
use crate::wire::Wire;

/// What the step is told.
pub struct ClientCredentialsConfig {
    /// Where it asks, and as whom: the client is who the token is for.
    pub at: TokenEndpoint,
    /// What for.
    pub targets: Targets,
    /// What of an answer is accepted.
    pub expected: Expected,
}

/// See the module.
pub type ClientCredentials = Step<ClientCredentialsConfig>;

impl ClientCredentials {
    /// Checks the configuration.
    ///
    /// # Errors
    /// See [`BadTarget`].
    pub fn new(config: ClientCredentialsConfig, wire: Arc<Wire>) -> Result<Self, BadTarget> {
        config.targets.check()?;
        Ok(Self::of(config, wire))
    }
}

impl Grant for ClientCredentialsConfig {
    const NAME: &'static str = "client_credentials";

    fields!();

    fn request(&self, asked: &Asked) -> Fieldset {
        let mut request = Fieldset::of("client_credentials");
        asked.write(&mut request);
        request
    }

    fn whose(&self) -> Whose {
        Whose::Gateway
    }
}
