//! `client_credentials`, `jwt_bearer`, `id_jag`.

use std::sync::Arc;

use safeconduct_identity::provider::{
    ClientCredentials, ClientCredentialsConfig, Deviation, Expected, IdJag, IdJagConfig, JwtBearer,
    JwtBearerConfig, Provider,
};

use super::Workshop;
use super::common::expected;
use crate::app::Failed;
use crate::config::plan::{self, ClientCredentialsPlan, IdJagPlan, JwtBearerPlan};

impl Workshop<'_> {
    pub(super) fn client_credentials(
        &self,
        plan: &ClientCredentialsPlan,
    ) -> Result<Arc<dyn Provider>, Failed> {
        let (at, targets) = (self.at(&plan.at)?, self.targets(&plan.targets)?);
        let config = ClientCredentialsConfig { at, targets, expected: expected(&plan.expected) };
        let made = ClientCredentials::new(config, self.wire.clone());
        Ok(Arc::new(made.map_err(|error| Failed::of("client_credentials", error))?))
    }

    pub(super) fn jwt_bearer(&self, plan: &JwtBearerPlan) -> Result<Arc<dyn Provider>, Failed> {
        let (at, targets, expected) =
            (self.at(&plan.at)?, self.targets(&plan.targets)?, expected(&plan.expected));
        let config = JwtBearerConfig { at, targets, expected, single_use: plan.single_use };
        let made = JwtBearer::new(config, self.wire.clone());
        Ok(Arc::new(made.map_err(|error| Failed::of("jwt_bearer", error))?))
    }

    pub(super) fn id_jag(&self, plan: &IdJagPlan) -> Result<Arc<dyn Provider>, Failed> {
        let config = IdJagConfig {
            at: self.at(&plan.at)?,
            targets: self.targets(&plan.targets)?,
            subject_token_type: plan.subject_token_type.as_str().into(),
            client_there: plan.client_there.as_str().into(),
            accept: plan.accept.iter().copied().map(deviation).collect(),
            expected: Expected::default(),
        };
        let made = IdJag::new(config, self.wire.clone());
        Ok(Arc::new(made.map_err(|error| Failed::of("id_jag", error))?))
    }
}

fn deviation(plan: plan::Deviation) -> Deviation {
    match plan {
        plan::Deviation::Bearer => Deviation::Bearer,
        plan::Deviation::Typ => Deviation::Typ,
        plan::Deviation::ClientId => Deviation::ClientId,
        plan::Deviation::Resource => Deviation::Resource,
        plan::Deviation::IssuedTokenType => Deviation::IssuedType,
    }
}
