//! `exchange`.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_identity::provider::{
    ActorToken, AudienceCheck, BroaderScope, Exchange, ExchangeConfig, IssuedTypeCheck, Provider,
    RequestedType,
};

use super::{Workshop, endpoint, source};
use crate::app::Failed;
use crate::config::plan::{self, ExchangePlan};

impl Workshop<'_> {
    pub(super) fn exchange(&self, plan: &ExchangePlan) -> Result<Arc<dyn Provider>, Failed> {
        let endpoint = endpoint(&plan.token_endpoint, plan.allow_http)?;
        let client = self.client(plan.client.as_deref())?;
        let mut config = ExchangeConfig::new(endpoint, client);
        config.audience = self.templates(&plan.audiences)?;
        config.resource = self.templates(&plan.resources)?;
        config.scopes = self.templates(&plan.scopes)?;
        config.subject_token_type = plan.subject_token_type.as_str().into();
        config.requested_token_type = match plan.requested_token_type.as_deref() {
            None => RequestedType::Omitted,
            Some(uri) => RequestedType::Custom(uri.into()),
        };
        config.actor = match &plan.actor {
            None => None,
            Some((token, kind)) => {
                Some(ActorToken { token: source(token)?, token_type: kind.as_str().into() })
            }
        };
        config.issued_type_check = match plan.issued_token_type {
            plan::IssuedType::Strict => IssuedTypeCheck::Strict,
            plan::IssuedType::Lenient => IssuedTypeCheck::Lenient,
        };
        config.audience_check = match plan.issued_audience {
            plan::IssuedAudience::Exact => AudienceCheck::Exact,
            plan::IssuedAudience::Contains => AudienceCheck::Contains,
            plan::IssuedAudience::Any => AudienceCheck::Off,
        };
        config.expected_audience =
            plan.expected_audience.iter().map(|audience| audience.as_str().into()).collect();
        config.broader_scope = match plan.broader_scope {
            plan::BroaderScope::Refuse => BroaderScope::Refuse,
            plan::BroaderScope::Accept => BroaderScope::Accept,
        };
        config.parameters = plan
            .parameters
            .iter()
            .map(|(name, value)| {
                let value = self.template(value)?;
                Ok((name.as_str().into(), value))
            })
            .collect::<Result<_, Failed>>()?;
        if let Some(longest) = plan.max_lifetime {
            config.max_lifetime = longest;
        }
        config.attempt_timeout = plan.attempt_timeout.min(plan.timeout).max(Duration::from_millis(1));
        config.total_timeout = plan.timeout;
        let made = Exchange::new(config, self.wire.clone()).map_err(|error| Failed::of("exchange", error))?;
        Ok(Arc::new(made))
    }
}
