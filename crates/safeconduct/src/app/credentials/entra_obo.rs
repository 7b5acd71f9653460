//! `entra_obo`.

use std::sync::Arc;

use safeconduct_identity::provider::{EntraObo, EntraOboConfig, Provider};

use super::Workshop;
use crate::app::Failed;
use crate::config::plan::EntraOboPlan;

impl Workshop<'_> {
    pub(super) fn entra_obo(&self, plan: &EntraOboPlan) -> Result<Arc<dyn Provider>, Failed> {
        let mut config = EntraOboConfig::new(self.at(&plan.at)?, self.targets(&plan.targets)?);
        config.expected_audience =
            plan.expected_audience.iter().map(|audience| audience.as_str().into()).collect();
        config.challenged = plan.claims_challenges;
        config.consent_page = plan.consent_page.as_deref().map(Into::into);
        let made = EntraObo::new(config, self.wire.clone());
        Ok(Arc::new(made.map_err(|error| Failed::of("entra_obo", error))?))
    }
}
