//! `exchange`: OAuth 2.0 token exchange (RFC 8693) with the caller's own identity provider or another one.
//!
//! - <https://www.rfc-editor.org/rfc/rfc8693>; resource indicators: RFC 8707; errors: RFC 6749 §5.2
//! - What real services want otherwise is data: `crates/safeconduct/src/config/presets.yaml`
//!
//! What an administrator must set up: a confidential client for this program at the token endpoint, the right to
//! exchange into the audience, and (mostly) that client in the audience of the callers' tokens.

mod config;

pub use config::{Actor, ExchangeConfig, ExchangeConfigError, RequestedType};

use std::sync::Arc;

use safeconduct_core::material::Material;

use super::answer::TokenAnswer;
use super::oauth::{Asked, Fieldset, Given, Grant, Step, Types, bad, end, fields, grant};
use super::{ExchangeError, Granted, Pick, Use, Whose};
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

    fields!();

    fn request(&self, asked: &Asked) -> Fieldset {
        self.fields(asked)
    }

    fn identify(&self, fields: &mut Fields) {
        self.identify_types(fields);
    }

    fn types(&self) -> Types<'_> {
        Types::Exchanged(self.requested_token_type.uri())
    }

    fn read(&self, answer: TokenAnswer, asked: &Asked, given: &Given) -> Result<Granted, ExchangeError> {
        match &self.pick {
            Some(pick) => self.picked(pick, answer, asked, given),
            None => grant(self.expected(), self.types(), &*self.at.client, answer, asked, given),
        }
    }

    fn whose(&self) -> Whose {
        match self.actor {
            Some(Actor::Step { .. }) => Whose::Caller,
            Some(Actor::Configured { .. }) | None => Whose::Subject,
        }
    }
}

impl ExchangeConfig {
    /// A secret that the provider keeps, out of an object in place of a token. It is good for the server although the
    /// answer calls it no access token (`N_A`).
    fn picked(
        &self,
        pick: &Pick,
        answer: TokenAnswer,
        asked: &Asked,
        given: &Given,
    ) -> Result<Granted, ExchangeError> {
        let lifetime = answer.lifetime();
        if answer.issued_token_type.as_deref() != self.requested_token_type.uri() {
            return Err(bad("issued_token_type is not the requested one"));
        }
        if answer.access_token.is_some() {
            return Err(bad("a token, where an object of secrets was asked for (field, basic)"));
        }
        let members = answer.vaulted_secret.or(answer.service_account);
        let members = members.ok_or_else(|| bad("no vaulted_secret and no service_account"))?;
        Ok(Granted {
            material: Material::Token(pick.from(&members)?),
            usable: Use::Bearer,
            expires: Some(end(lifetime, None, given.now)),
            audience: asked.targets(),
            scopes: asked.scopes.clone(),
        })
    }
}
