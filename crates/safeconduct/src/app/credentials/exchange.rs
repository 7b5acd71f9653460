//! `exchange`.

use std::sync::Arc;

use safeconduct_identity::provider::{
    Actor, Exchange, ExchangeConfig, IssuedTypeCheck, Provider, RequestedType,
};

use super::common::expected;
use super::vault::pick;
use super::{Workshop, source};
use crate::app::Failed;
use crate::config::plan::{self, ActorPlan, ExchangePlan};

impl Workshop<'_> {
    pub(super) fn exchange(&self, plan: &ExchangePlan) -> Result<Arc<dyn Provider>, Failed> {
        let mut config = ExchangeConfig::new(self.at(&plan.at)?);
        config.targets = self.targets(&plan.targets)?;
        config.subject_token_type = plan.subject_token_type.as_str().into();
        config.requested_token_type = match plan.requested_token_type.as_deref() {
            None => RequestedType::Omitted,
            Some(uri) => RequestedType::Custom(uri.into()),
        };
        config.actor = match &plan.actor {
            None => None,
            Some(ActorPlan::Step(kind)) => Some(Actor::Step { token_type: kind.as_str().into() }),
            Some(ActorPlan::Configured(token, kind)) => {
                Some(Actor::Configured { token: source(token)?, token_type: kind.as_str().into() })
            }
        };
        config.expected = expected(&plan.expected);
        config.pick = plan.pick.as_ref().map(pick);
        config.expected.type_check = match plan.issued_token_type {
            plan::IssuedType::Strict => IssuedTypeCheck::Strict,
            plan::IssuedType::Lenient => IssuedTypeCheck::Lenient,
        };
        let made = Exchange::new(config, self.wire.clone()).map_err(|error| Failed::of("exchange", error))?;
        Ok(Arc::new(made))
    }
}
