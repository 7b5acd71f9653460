//! The container engine, as it knows what was started.

use std::sync::Arc;

use safeconduct_runtime::egress::Traced;
use safeconduct_runtime::engine::EngineError;
use safeconduct_runtime::engine::docker::{AnyImage, Docker, Tenant};

use super::Place;
use crate::app;
use crate::config::{self, plan::RuntimePlan};

/// The engine, and the name that the gateway of this place has there; None where the file cannot be read.
pub(super) async fn find(place: &Place) -> Result<(Docker, Option<String>), EngineError> {
    let plan = config::load(&place.config).plan.map(|plan| plan.runtime);
    let owner = plan.as_ref().map(|runtime| runtime.owner.clone());
    let runtime = plan.unwrap_or_else(RuntimePlan::usual);
    let docker =
        app::container_engine(&runtime, runtime.engine, Arc::new(Traced), Arc::new(AnyImage)).await?;
    Ok((docker, owner))
}

/// What it runs of this gateway, or with `all` of every gateway.
pub(super) async fn tenants(place: &Place, all: bool) -> Result<(Docker, Vec<Tenant>), EngineError> {
    let (docker, owner) = find(place).await?;
    let owner = if all { None } else { owner };
    let tenants = docker.list(owner.as_deref()).await?;
    Ok((docker, tenants))
}
