//! `aws_web_identity`: keys of a role, for the caller's token (`AssumeRoleWithWebIdentity`). Session tags and a source
//! identity come from the token's own claims (`https://aws.amazon.com/tags`, `https://aws.amazon.com/source_identity`).

use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::caller::Principal;
use safeconduct_core::credential::Warrant;
use safeconduct_core::time::Timestamp;

use super::answer::granted;
use super::config::{BadStep, RoleConfig};
use super::sts::{Asker, Sts};
use crate::cache::Fields;
use crate::provider::{Counterpart, Description, Exchanging, Preview, Provider, Subject};
use crate::template::MissingClaim;

const ACTION: &str = "AssumeRoleWithWebIdentity";

/// See the module.
pub struct WebIdentity {
    config: Arc<RoleConfig>,
    sts: Arc<Sts>,
}

impl WebIdentity {
    /// Checks the configuration.
    ///
    /// # Errors
    /// [`BadStep`]
    pub fn new(config: RoleConfig, sts: Sts) -> Result<Self, BadStep> {
        config.check(false)?;
        Ok(Self { config: Arc::new(config), sts: Arc::new(sts) })
    }
}

impl Provider for WebIdentity {
    fn name(&self) -> &'static str {
        "aws_web_identity"
    }

    fn description(&self) -> Description {
        self.config.description(self.name(), self.sts.url())
    }

    fn identify(&self, fields: &mut Fields) {
        fields.text(self.name()).text(self.sts.url());
        self.config.identify(fields);
    }

    fn inputs(&self, caller: &Principal, fields: &mut Fields) -> Result<(), MissingClaim> {
        self.config.inputs(caller, fields)
    }

    fn preview(&self, caller: &Principal, subject: &str) -> Result<Preview, MissingClaim> {
        let mut asked = self.config.asked(ACTION, &self.config.session(caller)?);
        asked.push(("WebIdentityToken".into(), subject.into()));
        Ok(asked)
    }

    fn counterpart(&self) -> Option<Counterpart<'_>> {
        Some(Counterpart { endpoint: self.sts.url(), client: "" })
    }

    fn max_lifetime(&self) -> Duration {
        self.config.max_lifetime
    }

    fn exchange(&self, warrant: &Warrant, subject: Subject, now: Timestamp) -> Exchanging {
        let (config, sts, warrant) = (self.config.clone(), self.sts.clone(), warrant.clone());
        Box::pin(async move {
            let session = config.session(warrant.principal())?;
            let asked = config.asked(ACTION, &session);
            let answer = sts.ask(&asked, Asker::Bearer(&subject), now).await?;
            granted(&answer, ACTION, &session, &config.policy_arns)
        })
    }
}
