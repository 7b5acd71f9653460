//! The parts of a plan, for whoever looks at them one by one (`doctor`).

use std::sync::Arc;

use safeconduct_identity::client_auth::ClientAuth;
use safeconduct_identity::clock::SystemClock;
use safeconduct_identity::issuer::{IssuerKeys, Keys, Unavailable};
use safeconduct_identity::provider::aws::Sts;
use safeconduct_identity::wire::Wire;

use super::Rehearsal;
use crate::app::{Failed, credentials, issuers};
use crate::config::plan::{AwsRolePlan, IssuerPlan, Plan};

impl<'p> Rehearsal<'p> {
    /// What everything is asked with.
    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Who this program is at token endpoints, by name.
    pub(crate) fn client(&self, name: &str) -> Option<&Arc<dyn ClientAuth>> {
        self.clients.get(name)
    }

    /// The plan.
    pub(crate) fn plan(&self) -> &'p Plan {
        self.plan
    }

    /// The token service of AWS that a step asks.
    ///
    /// # Errors
    /// What cannot be put to work.
    pub(crate) fn sts(&self, role: &AwsRolePlan) -> Result<Sts, Failed> {
        credentials::sts(role, &self.wire)
    }

    /// An issuer of the plan.
    pub(crate) fn issuer(&self, name: &str) -> Option<&'p IssuerPlan> {
        self.plan.issuer(name)
    }

    /// An issuer's keys, fetched as the gateway fetches them.
    ///
    /// # Errors
    /// What cannot be put to work; within it, why there are no keys.
    pub(crate) async fn keys(&self, issuer: &IssuerPlan) -> Result<Result<Arc<Keys>, Unavailable>, Failed> {
        let (source, clock) = (issuers::source(issuer)?, Arc::new(SystemClock::new()));
        let keys = IssuerKeys::start(&issuer.issuer, source, self.wire().clone(), clock);
        Ok(keys.first().await)
    }
}
