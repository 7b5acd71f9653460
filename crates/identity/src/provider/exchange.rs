//! `exchange`: OAuth 2.0 token exchange (RFC 8693) with the caller's own identity provider or another one.
//!
//! - <https://www.rfc-editor.org/rfc/rfc8693>; resource indicators: RFC 8707; errors: RFC 6749 §5.2
//! - Keycloak: switch "Standard token exchange" on for the client; the client must be in the subject token's
//!   `aud`; `audience` is a client id. Okta: a service app with the grant, an access policy rule that names client,
//!   grant and scopes; `scopes` are required. Auth0: client of type `resource_server`; `requested_token_type`
//!   must be sent. Dex: parameter `connector_id`. ZITADEL: feature `oidcTokenExchange`.
//!
//! What an administrator must set up: a confidential client for this program at the token endpoint, the right to
//! exchange into the audience, and (mostly) that client in the audience of the callers' tokens.

mod config;

pub use config::{Actor, ExchangeConfig, ExchangeConfigError, RequestedType};

use std::sync::Arc;

use super::Whose;
use super::oauth::{Asked, Expected, Fieldset, Grant, Step, Targets, TokenEndpoint, Types};
use crate::cache::Fields;
use crate::wire::Wire;

/// See the module.
pub type Exchange = Step<ExchangeConfig>;

impl Exchange {
    /// Checks the configuration.
    ///
    /// # Errors
    /// See [`ExchangeConfigError`].
    pub fn new(config: ExchangeConfig, wire: Arc<Wire>) -> Result<Self, ExchangeConfigError> {
        config.check()?;
        Ok(Self::of(config, wire))
    }
}

impl Grant for ExchangeConfig {
    const NAME: &'static str = "exchange";

    fn at(&self) -> &TokenEndpoint {
        &self.at
    }

    fn targets(&self) -> &Targets {
        &self.targets
    }

    fn expected(&self) -> &Expected {
        &self.expected
    }

    fn request(&self, asked: &Asked) -> Fieldset {
        self.fields(asked)
    }

    fn identify(&self, fields: &mut Fields) {
        self.identify_types(fields);
    }

    fn types(&self) -> Types<'_> {
        Types::Exchanged(self.requested_token_type.uri())
    }

    fn whose(&self) -> Whose {
        match self.actor {
            Some(Actor::Step { .. }) => Whose::Caller,
            Some(Actor::Configured { .. }) | None => Whose::Subject,
        }
    }
}
