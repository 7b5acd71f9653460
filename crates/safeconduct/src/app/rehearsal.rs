//! What a call would be made with, without making one (`explain`): the same servers, rules, chains and keys as the
//! gateway's, from the same functions.

mod parts;
mod walk;

use std::future::Future;
use std::sync::Arc;

use safeconduct_core::caller::{IssuerRules, Principal};
use safeconduct_core::pins::Pins;
use safeconduct_core::refusal::Reason;
use safeconduct_core::server::Server;
use safeconduct_core::time::Timestamp;
use safeconduct_identity::acquire::CredentialPlan;
use safeconduct_identity::clock::SystemClock;
use safeconduct_identity::wire::{Wire, WireConfig};
use tokio::runtime::{Builder, Runtime};

use super::clients::{self, Clients};
use super::issuers::{self, Issuers};
use super::{Failed, assemble, credentials, keeper, tls};
use crate::config::Plan;
use crate::config::plan::{IssuerPlan, ServerPlan};
use crate::lock::Store;

/// Whom a token speaks for, and its audiences; or why it is not believed.
pub(crate) type Examined = Result<(Principal, Vec<Box<str>>), Reason>;

/// See the module.
pub(crate) struct Rehearsal<'p> {
    plan: &'p Plan,
    clients: Clients,
    wire: Arc<Wire>,
    runtime: Runtime,
}

/// Everything of a plan that could not be put to work, without asking anyone: certificates, keys, steps.
pub(crate) fn rehearse(plan: &Plan) -> Vec<Failed> {
    let mut failed: Vec<Failed> = plan.tls.iter().filter_map(|paths| tls::server(paths).err()).collect();
    failed.extend(Store::at(&plan.lock).read().err().map(|error| Failed::of("lock", error)));
    match Rehearsal::of(plan) {
        Ok(rehearsal) => {
            failed.extend(plan.servers.iter().filter_map(|server| rehearsal.server(server).err()))
        }
        Err(error) => failed.push(error),
    }
    failed
}

impl<'p> Rehearsal<'p> {
    /// Of this plan. Nothing is asked of anyone.
    pub(crate) fn of(plan: &'p Plan) -> Result<Self, Failed> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failed::of("runtime", error))?;
        let config = WireConfig { extra_roots: tls::extra_roots(plan)?, ..WireConfig::default() };
        let wire =
            Wire::new(&config, runtime.handle().clone()).map_err(|error| Failed::of("ca_file", error))?;
        Ok(Self { plan, clients: clients::clients(plan)?, wire: Arc::new(wire), runtime })
    }

    /// Waits for something that asks by network; everything of this rehearsal does.
    pub(crate) fn wait<T>(&self, asking: impl Future<Output = T>) -> T {
        self.runtime.block_on(asking)
    }

    /// What an issuer's tokens must be like.
    pub(crate) fn rules(issuer: &IssuerPlan) -> IssuerRules {
        issuers::rules(issuer)
    }

    /// A server, and how its credential is got.
    pub(crate) fn server(&self, server: &ServerPlan) -> Result<(Server, CredentialPlan), Failed> {
        let chain = credentials::chain(server, self.plan, &self.clients, &Arc::default(), &self.wire)?;
        Ok((assemble::server_of(server, &chain, None)?, chain))
    }

    /// What the tools of a server are pinned to, as it is written down.
    ///
    /// # Errors
    /// A lock file that is of no use.
    pub(crate) fn pins(&self, server: &ServerPlan) -> Result<Option<Arc<Pins>>, Failed> {
        keeper::as_written(&self.plan.lock, server)
    }

    /// Verifies a token of this issuer, whose keys are read or fetched for it.
    pub(crate) fn examine(
        &self,
        issuer: &IssuerPlan,
        token: &[u8],
        now: Timestamp,
    ) -> Result<Examined, Failed> {
        // The other issuers' keys are none of this token's business: they are not asked.
        let alone = Plan { issuers: vec![issuer.clone()], ..self.plan.clone() };
        let issuers = Issuers::new(Arc::new(SystemClock::new()));
        let verifier = {
            let _entered = self.runtime.enter();
            issuers.verifier(&alone, &self.clients, &self.wire, &Arc::default())?
        };
        Ok(self.runtime.block_on(verifier.examine(token, now)))
    }
}
