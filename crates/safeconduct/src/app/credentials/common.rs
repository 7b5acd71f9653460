//! What all steps at an OAuth token endpoint have in common.

use std::time::Duration;

use safeconduct_identity::provider::{
    AudienceCheck, BroaderScope, Expected, IssuedTypeCheck, Targets, TokenEndpoint,
};

use super::{Workshop, endpoint};
use crate::app::Failed;
use crate::config::plan::{self, AtPlan, ExpectedPlan, TargetsPlan};

impl Workshop<'_> {
    pub(super) fn at(&self, plan: &AtPlan) -> Result<TokenEndpoint, Failed> {
        let url = endpoint(&plan.token_endpoint, plan.allow_http)?;
        let mut at = TokenEndpoint::new(url, self.client(plan.client.as_deref())?);
        if let Some(longest) = plan.max_lifetime {
            at.max_lifetime = longest;
        }
        if let Some(pause) = plan.pause_after_refusal {
            at.pause_after_refusal = pause;
        }
        at.attempt_timeout = plan.attempt_timeout.min(plan.timeout).max(Duration::from_millis(1));
        at.total_timeout = plan.timeout;
        Ok(at)
    }

    pub(super) fn targets(&self, plan: &TargetsPlan) -> Result<Targets, Failed> {
        let parameter = |(name, value): &(String, String)| Ok((name.as_str().into(), self.template(value)?));
        Ok(Targets {
            audience: self.templates(&plan.audiences)?,
            resource: self.templates(&plan.resources)?,
            scopes: self.templates(&plan.scopes)?,
            parameters: plan.parameters.iter().map(parameter).collect::<Result<_, Failed>>()?,
        })
    }
}

pub(super) fn expected(plan: &ExpectedPlan) -> Expected {
    Expected {
        audience: plan.expected_audience.iter().map(|audience| audience.as_str().into()).collect(),
        audience_check: match plan.issued_audience {
            plan::IssuedAudience::Exact => AudienceCheck::Exact,
            plan::IssuedAudience::Contains => AudienceCheck::Contains,
            plan::IssuedAudience::Any => AudienceCheck::Off,
        },
        type_check: IssuedTypeCheck::Strict,
        broader_scope: match plan.broader_scope {
            plan::BroaderScope::Refuse => BroaderScope::Refuse,
            plan::BroaderScope::Accept => BroaderScope::Accept,
        },
    }
}
