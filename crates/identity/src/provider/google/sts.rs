//! `google_sts`: the caller's token, or that of the step before, becomes a federated token of Google.
//!
//! The answer is opaque, good for an hour at most, and speaks for `principal://iam.googleapis.com/.../subject/SUBJECT`.
//! No client authentication is sent: Google refuses an `Authorization` header here, but for workforce OAuth clients.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::caller::Principal;
use safeconduct_core::credential::Warrant;
use safeconduct_core::time::Timestamp;
use serde::Serialize;

use crate::cache::Fields;
use crate::provider::oauth::{
    Asked, BadTarget, Expected, Fieldset, Grant, Step, Targets, TokenEndpoint, Types, token_type,
};
use crate::provider::{
    Counterpart, Description, ExchangeError, Exchanging, Preview, Provider, Subject, SubjectUse, Whose,
};
use crate::template::MissingClaim;
use crate::wire::Wire;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// Pause before Google is asked again when it could not reach the issuer's keys.
const ISSUER_AGAIN: Duration = Duration::from_millis(300);

/// What the step is told.
pub struct GoogleStsConfig {
    /// Where it asks; a client only for workforce OAuth clients.
    pub at: TokenEndpoint,
    /// `audience`: the full resource name of the pool's provider, and the scopes.
    pub targets: Targets,
    /// `subject_token_type`: a JWT for workload pools, an ID token for workforce pools.
    pub subject_token_type: Box<str>,
    /// What stands in `options`.
    pub options: GoogleStsOptions,
}

/// The JSON of the parameter `options`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GoogleStsOptions {
    /// Project that quota and billing go to: for workforce pools without a client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_project: Option<Box<str>>,
    /// Narrows a token to Cloud Storage objects (credential access boundary).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_boundary: Option<AccessBoundary>,
}

/// A credential access boundary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessBoundary {
    /// At most ten rules.
    pub access_boundary_rules: Vec<AccessRule>,
}

/// What may be reached, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessRule {
    /// `//storage.googleapis.com/projects/_/buckets/NAME`
    pub available_resource: Box<str>,
    /// `inRole:roles/storage.objectViewer`
    pub available_permissions: Vec<Box<str>>,
    /// A condition (CEL).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_condition: Option<AccessCondition>,
}

/// A condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccessCondition {
    /// CEL.
    pub expression: Box<str>,
}

/// See the module.
pub struct GoogleSts {
    step: Step<GoogleStsConfig>,
    wire: Arc<Wire>,
}

impl GoogleSts {
    /// Checks the configuration.
    ///
    /// # Errors
    /// See [`BadTarget`].
    pub fn new(config: GoogleStsConfig, wire: Arc<Wire>) -> Result<Self, BadTarget> {
        config.targets.check()?;
        Ok(Self { step: Step::of(config, wire.clone()), wire })
    }
}

impl Grant for GoogleStsConfig {
    const NAME: &'static str = "google_sts";

    fn at(&self) -> &TokenEndpoint {
        &self.at
    }

    fn targets(&self) -> &Targets {
        &self.targets
    }

    fn expected(&self) -> &Expected {
        const EXPECTED: &Expected = &Expected {
            audience: Vec::new(),
            // The answer is opaque, and its audience is all of Google.
            audience_check: crate::provider::oauth::AudienceCheck::Off,
            type_check: crate::provider::oauth::IssuedTypeCheck::Strict,
            broader_scope: crate::provider::oauth::BroaderScope::Refuse,
        };
        EXPECTED
    }

    fn request(&self, asked: &Asked) -> Fieldset {
        let mut request = Fieldset::of(GRANT_TYPE);
        asked.write(&mut request);
        request.text("requested_token_type", token_type::ACCESS_TOKEN);
        request.subject("subject_token");
        request.text("subject_token_type", &self.subject_token_type);
        if self.options != GoogleStsOptions::default()
            && let Ok(options) = serde_json::to_string(&self.options)
        {
            request.text("options", &options);
        }
        request
    }

    fn identify(&self, fields: &mut Fields) {
        fields.text(&self.subject_token_type);
        fields.text(&serde_json::to_string(&self.options).unwrap_or_default());
    }

    fn types(&self) -> Types<'_> {
        Types::Exchanged(Some(token_type::ACCESS_TOKEN))
    }
}

impl Provider for GoogleSts {
    fn name(&self) -> &'static str {
        self.step.name()
    }

    fn description(&self) -> Description {
        self.step.description()
    }

    fn identify(&self, fields: &mut Fields) {
        self.step.identify(fields);
    }

    fn inputs(&self, caller: &Principal, fields: &mut Fields) -> Result<(), MissingClaim> {
        self.step.inputs(caller, fields)
    }

    fn preview(&self, caller: &Principal, subject: &str) -> Result<Preview, MissingClaim> {
        self.step.preview(caller, subject)
    }

    fn counterpart(&self) -> Option<Counterpart<'_>> {
        self.step.counterpart()
    }

    fn max_lifetime(&self) -> Duration {
        self.step.max_lifetime()
    }

    fn whose(&self) -> Whose {
        self.step.whose()
    }

    fn subject_use(&self) -> SubjectUse {
        self.step.subject_use()
    }

    /// Google fetches the issuer's keys itself; when it could not, it says `invalid_grant`, and a moment later it can.
    fn exchange(&self, warrant: &Warrant, subject: Subject, now: Timestamp) -> Exchanging {
        let first = self.step.exchange(warrant, subject.clone(), now);
        let again = self.step.exchange(warrant, subject, now);
        let wire = self.wire.clone();
        Box::pin(async move {
            match first.await {
                Err(ExchangeError::Unavailable { problem, .. }) if super::error::is_issuer(&problem) => {
                    wire.sleep(ISSUER_AGAIN).await;
                    again.await
                }
                outcome => outcome,
            }
        })
    }
}
