//! `entra_obo`: a token for another API in the caller's name, from Microsoft Entra ID (OAuth 2.0 on-behalf-of flow).
//! Not RFC 8693: an RFC 7523 grant with a parameter of Microsoft's.
//!
//! - <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-on-behalf-of-flow>; claims challenges:
//!   <https://learn.microsoft.com/entra/identity-platform/claims-challenge>; error codes:
//!   <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
//! - Sovereign clouds have another authority: <https://login.microsoftonline.us> (US government),
//!   <https://login.partner.microsoftonline.cn> (China).
//! - The assertion is the caller's access token for this very application (its `aud`); ID tokens, application tokens
//!   and tokens for Graph are refused. Consent must exist beforehand: nobody can be asked here.
//! - Entra grants all scopes of the API that were consented to, so more than were asked for is normal.
//!
//! What an administrator must set up: an application that exposes an API (what the callers' tokens are for), with
//! delegated permissions for the API behind and consent to them (admin consent, `knownClientApplications`, or
//! `preAuthorizedApplications`); and a secret, a certificate or a federated credential for it.

mod aadsts;
mod claims;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::ExchangeError;
use super::classify::Refusal;
use super::oauth::{
    Again, Asked, AudienceCheck, BadTarget, BroaderScope, Expected, Fieldset, Grant, Step, Targets,
    TokenEndpoint, fields,
};
use crate::cache::Fields;
use crate::wire::Wire;
use aadsts::Class;

/// `grant_type` (RFC 7523 §2.1).
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The authority of the public cloud.
pub const PUBLIC_CLOUD: &str = "https://login.microsoftonline.com";
/// How often a federated credential that is not known yet is tried again: it takes minutes to be known everywhere.
const PROPAGATION: u32 = 3;

/// What the step is told.
pub struct EntraOboConfig {
    /// The tenant's token endpoint, and who we are there.
    pub at: TokenEndpoint,
    /// Scopes of one API; further parameters.
    pub targets: Targets,
    /// The `aud` that the new token must have; not looked at where none is said: Entra names some APIs by identifiers
    /// that differ from their scopes.
    pub expected_audience: Vec<Box<str>>,
    /// The server behind hands its API's claims challenges on: Entra may give tokens that live longer, and that the
    /// API ends earlier (continuous access evaluation).
    pub challenged: bool,
    /// A page where a user can consent, https; without it a missing consent is a refusal.
    pub consent_page: Option<Box<str>>,
    expected: Expected,
}

/// A step that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EntraOboConfigError {
    /// A target that cannot be asked for.
    #[error(transparent)]
    Target(#[from] BadTarget),
    /// Nothing is asked for.
    #[error("entra_obo needs scopes of one API, such as https://graph.microsoft.com/User.Read")]
    NoScopes,
    /// Entra knows no other targets.
    #[error("entra_obo asks for scopes only: the API is part of them")]
    OtherTargets,
    /// Nobody is sent to it.
    #[error("the consent page must be an https URL")]
    ConsentPage,
}

/// See the module.
pub type EntraObo = Step<EntraOboConfig>;

impl EntraObo {
    /// Checks the configuration.
    ///
    /// # Errors
    /// See [`EntraOboConfigError`].
    pub fn new(mut config: EntraOboConfig, wire: Arc<Wire>) -> Result<Self, EntraOboConfigError> {
        config.targets.check()?;
        if config.targets.scopes.is_empty() {
            return Err(EntraOboConfigError::NoScopes);
        }
        if !config.targets.audience.is_empty() || !config.targets.resource.is_empty() {
            return Err(EntraOboConfigError::OtherTargets);
        }
        if config.consent_page.as_deref().is_some_and(|page| !page.starts_with("https://")) {
            return Err(EntraOboConfigError::ConsentPage);
        }
        config.expected = Expected {
            audience: config.expected_audience.clone(),
            audience_check: AudienceCheck::Exact,
            broader_scope: BroaderScope::Accept,
            ..Expected::default()
        };
        Ok(Self::of(config, wire))
    }
}

impl EntraOboConfig {
    /// A step with everything as it usually is.
    pub fn new(at: TokenEndpoint, targets: Targets) -> Self {
        Self {
            at,
            targets,
            expected_audience: Vec::new(),
            challenged: false,
            consent_page: None,
            expected: Expected::default(),
        }
    }

    /// The tenant's token endpoint under an authority.
    pub fn token_endpoint(authority: &str, tenant: &str) -> String {
        format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/'))
    }
}

impl Grant for EntraOboConfig {
    const NAME: &'static str = "entra_obo";

    fields!();

    fn request(&self, asked: &Asked) -> Fieldset {
        let mut request = Fieldset::of(GRANT_TYPE);
        request.subject("assertion");
        request.text("requested_token_use", "on_behalf_of");
        asked.write(&mut request);
        request
    }

    fn challenged(&self, request: &mut Fieldset, claims: Option<&str>) {
        if let Some(claims) = claims::parameter(self.challenged, claims) {
            request.text("claims", &claims);
        }
    }

    fn heeds_claims(&self) -> bool {
        true
    }

    fn identify(&self, fields: &mut Fields) {
        fields.number(u64::from(self.challenged)).option(self.consent_page.as_deref());
    }

    fn refused(&self, refusal: &Refusal) -> ExchangeError {
        aadsts::classified(refusal, self.consent_page.as_deref())
    }

    fn again(&self, refusal: &Refusal, made: u32) -> Option<Again> {
        match aadsts::class(refusal.answer.codes()) {
            Some(Class::StaleProof) if made == 1 => Some(Again { after: Duration::ZERO, stale_proof: true }),
            Some(Class::NotKnownYet) if made <= PROPAGATION => {
                Some(Again { after: Duration::from_millis(500) * made, stale_proof: false })
            }
            _ => None,
        }
    }
}
