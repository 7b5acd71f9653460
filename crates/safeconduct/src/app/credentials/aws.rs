//! `aws_web_identity` and `aws_assume_role`.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_identity::provider::Provider;
use safeconduct_identity::provider::aws::{AssumeRole, AssumeRoleConfig, RoleConfig, Sts, Tag, WebIdentity};
use safeconduct_identity::wire::Wire;

use super::{Workshop, endpoint};
use crate::app::Failed;
use crate::config::plan::{AwsAssumeRolePlan, AwsRolePlan, AwsTagPlan};

impl Workshop<'_> {
    pub(super) fn aws_web_identity(&self, plan: &AwsRolePlan) -> Result<Arc<dyn Provider>, Failed> {
        let made = WebIdentity::new(self.aws_role(plan)?, sts(plan, self.wire)?);
        Ok(Arc::new(made.map_err(|error| Failed::of("aws_web_identity", error))?))
    }

    pub(super) fn aws_assume_role(&self, plan: &AwsAssumeRolePlan) -> Result<Arc<dyn Provider>, Failed> {
        let tag = |tag: &AwsTagPlan| {
            let value = self.template(&tag.value)?;
            let AwsTagPlan { ref key, transitive, optional, .. } = *tag;
            Ok(Tag { key: key.as_str().into(), value, transitive, optional })
        };
        let config = AssumeRoleConfig {
            role: self.aws_role(&plan.role)?,
            external_id: plan.external_id.as_deref().map(Into::into),
            source_identity: plan.source_identity.as_deref().map(|text| self.template(text)).transpose()?,
            tags: plan.tags.iter().map(tag).collect::<Result<_, Failed>>()?,
        };
        let made = AssumeRole::new(config, sts(&plan.role, self.wire)?);
        Ok(Arc::new(made.map_err(|error| Failed::of("aws_assume_role", error))?))
    }

    fn aws_role(&self, plan: &AwsRolePlan) -> Result<RoleConfig, Failed> {
        let mut config = RoleConfig::new(self.template(&plan.role)?, self.template(&plan.session_name)?);
        config.several_issuers = self.server.issuers.len() > 1;
        config.duration = plan.duration;
        config.policy = plan.policy.as_deref().map(Into::into);
        config.policy_arns = plan.policy_arns.iter().map(|arn| arn.as_str().into()).collect();
        if let Some(longest) = plan.max_lifetime {
            config.max_lifetime = longest;
        }
        Ok(config)
    }
}

/// The token service of a region.
pub(in crate::app) fn sts(plan: &AwsRolePlan, wire: &Arc<Wire>) -> Result<Sts, Failed> {
    let endpoint = endpoint(&plan.endpoint, plan.allow_http)?;
    let sts = Sts::new(endpoint, &plan.region, wire.clone());
    let mut sts = sts.map_err(|error| Failed::of(&plan.region, error))?;
    sts.attempt_timeout = plan.attempt_timeout.min(plan.timeout).max(Duration::from_millis(1));
    sts.total_timeout = plan.timeout;
    Ok(sts)
}
