//! `google_sts`, `google_impersonate`, `google_id_token`.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_identity::provider::{
    AccessBoundary, AccessCondition, AccessRule, GoogleIdToken, GoogleIdTokenConfig, GoogleImpersonate,
    GoogleImpersonateConfig, GoogleSts, GoogleStsConfig, GoogleStsOptions, Provider, ServiceAccounts,
};

use super::{Workshop, endpoint};
use crate::app::Failed;
use crate::config::plan::{
    BoundaryPlan, GoogleIdTokenPlan, GoogleImpersonatePlan, GoogleStsPlan, ServiceAccountPlan,
};

impl Workshop<'_> {
    pub(super) fn google_sts(&self, plan: &GoogleStsPlan) -> Result<Arc<dyn Provider>, Failed> {
        let rules: Vec<AccessRule> = plan.access_boundary.iter().map(rule).collect();
        let config = GoogleStsConfig {
            at: self.at(&plan.at)?,
            targets: self.targets(&plan.targets)?,
            subject_token_type: plan.subject_token_type.as_str().into(),
            options: GoogleStsOptions {
                user_project: plan.user_project.as_deref().map(Into::into),
                access_boundary: (!rules.is_empty())
                    .then_some(AccessBoundary { access_boundary_rules: rules }),
            },
        };
        let made = GoogleSts::new(config, self.wire.clone());
        Ok(Arc::new(made.map_err(|error| Failed::of("google_sts", error))?))
    }

    pub(super) fn google_impersonate(
        &self,
        plan: &GoogleImpersonatePlan,
    ) -> Result<Arc<dyn Provider>, Failed> {
        let config = GoogleImpersonateConfig {
            at: self.service_account(&plan.at)?,
            scopes: plan.scopes.iter().map(|scope| scope.as_str().into()).collect(),
            lifetime: plan.lifetime,
        };
        Ok(Arc::new(GoogleImpersonate::new(config, self.wire.clone())))
    }

    pub(super) fn google_id_token(&self, plan: &GoogleIdTokenPlan) -> Result<Arc<dyn Provider>, Failed> {
        let config = GoogleIdTokenConfig {
            at: self.service_account(&plan.at)?,
            audience: self.template(&plan.audience)?,
            include_email: plan.include_email,
        };
        Ok(Arc::new(GoogleIdToken::new(config, self.wire.clone())))
    }

    fn service_account(&self, plan: &ServiceAccountPlan) -> Result<ServiceAccounts, Failed> {
        let base = endpoint(&plan.endpoint, plan.allow_http)?;
        let mut at = ServiceAccounts::new(base, self.template(&plan.account)?);
        at.delegates = plan.delegates.iter().map(|account| account.as_str().into()).collect();
        if let Some(longest) = plan.max_lifetime {
            at.max_lifetime = longest;
        }
        at.attempt_timeout = plan.attempt_timeout.min(plan.timeout).max(Duration::from_millis(1));
        at.total_timeout = plan.timeout;
        Ok(at)
    }
}

fn rule(plan: &BoundaryPlan) -> AccessRule {
    AccessRule {
        available_resource: plan.resource.as_str().into(),
        available_permissions: plan.permissions.iter().map(|one| one.as_str().into()).collect(),
        availability_condition: plan
            .condition
            .as_deref()
            .map(|expression| AccessCondition { expression: expression.into() }),
    }
}
