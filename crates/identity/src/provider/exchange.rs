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

mod checks;
mod config;
mod request;

pub use config::{
    ActorToken, AudienceCheck, BroaderScope, ExchangeConfig, ExchangeConfigError, IssuedTypeCheck,
    RequestedType, token_type,
};

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use safeconduct_core::caller::Principal;
use safeconduct_core::credential::Warrant;
use safeconduct_core::time::Timestamp;

use super::answer::{ErrorAnswer, TokenAnswer};
use super::classify::classify;
use super::{Counterpart, Description, ExchangeError, Exchanging, Granted, Preview, Provider, Subject};
use crate::cache::Fields;
use crate::client_auth::Errand;
use crate::template::MissingClaim;
use crate::wire::{Answer, Retry, Wire, retry_after};

/// See the module.
pub struct Exchange {
    config: Arc<ExchangeConfig>,
    endpoint: Box<str>,
    client: Box<str>,
    wire: Arc<Wire>,
}

impl Exchange {
    /// Checks the configuration.
    ///
    /// # Errors
    /// See [`ExchangeConfigError`].
    pub fn new(config: ExchangeConfig, wire: Arc<Wire>) -> Result<Self, ExchangeConfigError> {
        config.check()?;
        Ok(Self {
            endpoint: config.token_endpoint.to_string().into(),
            client: config.client.client_id().unwrap_or_default().into(),
            config: Arc::new(config),
            wire,
        })
    }
}

impl Provider for Exchange {
    fn name(&self) -> &'static str {
        "exchange"
    }

    fn description(&self) -> Description {
        let texts =
            |templates: &[crate::template::Template]| templates.iter().map(|one| one.text().into()).collect();
        let mut audience: Vec<Box<str>> = texts(&self.config.audience);
        audience.extend::<Vec<Box<str>>>(texts(&self.config.resource));
        Description {
            step: self.name().into(),
            endpoint: Some(self.endpoint.clone()),
            client: self.config.client.client_id().map(Into::into),
            authentication: Some(self.config.client.method()),
            audience,
            scopes: texts(&self.config.scopes),
        }
    }

    fn identify(&self, fields: &mut Fields) {
        fields.text(self.name());
        self.config.identify(fields);
    }

    fn inputs(&self, caller: &Principal, fields: &mut Fields) -> Result<(), MissingClaim> {
        self.config.templates().try_for_each(|template| template.input(caller, fields))
    }

    fn preview(&self, caller: &Principal, subject: &str) -> Result<Preview, MissingClaim> {
        Ok(self.config.preview(&self.config.asked(caller)?, subject))
    }

    fn counterpart(&self) -> Option<Counterpart<'_>> {
        Some(Counterpart { endpoint: &self.endpoint, client: &self.client })
    }

    fn max_lifetime(&self) -> Duration {
        self.config.max_lifetime
    }

    fn exchange(&self, warrant: &Warrant, subject: Subject, now: Timestamp) -> Exchanging {
        let (config, wire, warrant) = (self.config.clone(), self.wire.clone(), warrant.clone());
        Box::pin(async move {
            let asked = config.asked(warrant.principal())?;
            let errand = Errand {
                client: &*config.client,
                endpoint: &config.token_endpoint,
                retry: Retry { total: config.total_timeout, ..Retry::default() },
                timeout: config.attempt_timeout,
                now,
            };
            let answer = errand.run(&wire, || config.form(&asked, &subject)).await?;
            read(&config, &answer, &asked, &subject, &warrant, now)
        })
    }
}

/// What the answer grants, if it does.
fn read(
    config: &ExchangeConfig,
    answer: &Answer,
    asked: &request::Asked,
    subject: &Subject,
    warrant: &Warrant,
    now: Timestamp,
) -> Result<Granted, ExchangeError> {
    let status = answer.status.as_u16();
    let refused = ErrorAnswer::read(&answer.body);
    // Some servers put the error into a 200 (against RFC 6749 §5.2).
    if !answer.status.is_success() || refused.error().is_some() {
        let status = if answer.status.is_success() { 400 } else { status };
        let pause = retry_after(&answer.headers, SystemTime::now());
        let description = refused.description();
        if !description.is_empty() {
            tracing::info!(endpoint = %config.token_endpoint, status, description, "the token endpoint says");
        }
        return Err(classify(status, &refused, pause));
    }
    let bad = |problem: &str| ExchangeError::BadAnswer { problem: problem.into() };
    if !answer.is_json() {
        return Err(bad("the content type is not JSON"));
    }
    let token = TokenAnswer::read(&answer.body)
        .ok_or_else(|| bad("not a JSON object with a token, or a member twice"))?;
    checks::grant(config, token, asked, subject, warrant, now)
}
