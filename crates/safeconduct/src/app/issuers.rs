//! From the plan's issuers to the verifier.

use std::sync::{Arc, Mutex};

use safeconduct_core::caller::{IssuerRules, Preset};
use safeconduct_identity::clock::Clock;
use safeconduct_identity::verifier::Verifier;
use safeconduct_identity::wire::{Endpoint, Wire};
use tokio::runtime::Handle;

use super::Failed;
use super::credentials::Clients;
use crate::config::Plan;

/// What outlives a reload.
pub(super) struct Issuers {}

impl Issuers {
    pub(super) fn new(_clock: Arc<dyn Clock>, _runtime: Handle) -> Self {
        Self {}
    }

    pub(super) fn verifier(&self, plan: &Plan, _clients: &Clients, wire: &Arc<Wire>) -> Result<Arc<Verifier>, Failed> {
        let mut issuers = Vec::new();
        for issuer in &plan.issuers {
            let mut rules = IssuerRules::new(&issuer.name, &issuer.issuer, Preset::Oidc);
            rules.audiences = issuer.audiences.iter().map(|audience| audience.as_str().into()).collect();
            let url = format!("{}/.well-known/openid-configuration", issuer.issuer);
            issuers.push((rules, Endpoint::parse(&url, true).map_err(|e| Failed::of(&url, e))?));
        }
        Ok(Arc::new(Verifier { wire: wire.clone(), issuers, keys: Mutex::default(), known: Mutex::default() }))
    }
}
