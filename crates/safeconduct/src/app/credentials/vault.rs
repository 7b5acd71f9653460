//! `vault`.

use std::sync::Arc;

use safeconduct_identity::provider::{Pick, Provider, Vault, VaultConfig};

use super::{Workshop, endpoint};
use crate::app::Failed;
use crate::config::plan::{PickPlan, VaultPlan};

impl Workshop<'_> {
    pub(super) fn vault(&self, plan: &VaultPlan) -> Result<Arc<dyn Provider>, Failed> {
        let address = endpoint(&plan.address, plan.allow_http)?;
        let mut config = VaultConfig::new(address, self.template(&plan.role)?, self.template(&plan.read)?);
        config.namespace = plan.namespace.as_deref().map(Into::into);
        config.mount = plan.mount.as_str().into();
        config.pick = pick(&plan.pick);
        config.refresh = plan.refresh;
        if let Some(longest) = plan.max_lifetime {
            config.max_lifetime = longest;
        }
        config.attempt_timeout = plan.attempt_timeout;
        config.total_timeout = plan.timeout;
        let made = Vault::new(config, self.leases.clone(), self.wire.clone());
        Ok(Arc::new(made.map_err(|error| Failed::of("vault", error))?))
    }
}

pub(super) fn pick(plan: &PickPlan) -> Pick {
    match plan {
        PickPlan::Only => Pick::Only,
        PickPlan::Member(name) => Pick::Member(name.as_str().into()),
        PickPlan::Basic => Pick::Basic,
    }
}
