//! From the plan's steps to the objects that ask token endpoints. Each step has a file here.

mod aws;
mod common;
mod entra_obo;
mod exchange;
mod google;
mod grants;
mod vault;

pub(super) use aws::sts;

use std::sync::Arc;

use safeconduct_core::secret::Secret;
use safeconduct_identity::acquire::CredentialPlan;
use safeconduct_identity::client_auth::{ClientAuth, NoAuthentication};
use safeconduct_identity::provider::{Leases, Provider, StaticSecret};
use safeconduct_identity::secret_source::SecretSource;
use safeconduct_identity::template::{GroupMap, Template};
use safeconduct_identity::wire::{Endpoint, Wire};

use super::Failed;
use super::clients::Clients;
use crate::config::plan::{Plan, SecretOrigin, SecretValue, ServerPlan, StepPlan};

/// Makes one server's chain.
pub(super) fn chain(
    server: &ServerPlan,
    plan: &Plan,
    clients: &Clients,
    leases: &Arc<Leases>,
    wire: &Arc<Wire>,
) -> Result<CredentialPlan, Failed> {
    if let [StepPlan::Static(secret)] = server.credential.as_slice() {
        return Ok(CredentialPlan::Static(StaticSecret::new(source(secret)?)));
    }
    if server.credential.is_empty() {
        return Ok(CredentialPlan::None);
    }
    let workshop = Workshop { server, clients, maps: group_maps(plan), leases, wire };
    let made = |step| workshop.provider(step).map_err(|error| at(server, &error));
    Ok(CredentialPlan::Chain(server.credential.iter().map(made).collect::<Result<_, _>>()?))
}

fn at(server: &ServerPlan, error: &Failed) -> Failed {
    Failed::of(format!("servers.{}.credential", server.name), error)
}

/// What the steps are made with.
struct Workshop<'a> {
    server: &'a ServerPlan,
    clients: &'a Clients,
    maps: Vec<Arc<GroupMap>>,
    leases: &'a Arc<Leases>,
    wire: &'a Arc<Wire>,
}

impl Workshop<'_> {
    fn provider(&self, step: &StepPlan) -> Result<Arc<dyn Provider>, Failed> {
        match step {
            StepPlan::Static(secret) => Ok(Arc::new(StaticSecret::new(source(secret)?))),
            StepPlan::ClientCredentials(plan) => self.client_credentials(plan),
            StepPlan::Vault(plan) => self.vault(plan),
            StepPlan::EntraObo(plan) => self.entra_obo(plan),
            StepPlan::Exchange(plan) => self.exchange(plan),
            StepPlan::AwsWebIdentity(plan) => self.aws_web_identity(plan),
            StepPlan::AwsAssumeRole(plan) => self.aws_assume_role(plan),
            StepPlan::GoogleIdToken(plan) => self.google_id_token(plan),
            StepPlan::GoogleImpersonate(plan) => self.google_impersonate(plan),
            StepPlan::GoogleSts(plan) => self.google_sts(plan),
            StepPlan::IdJag(plan) => self.id_jag(plan),
            StepPlan::JwtBearer(plan) => self.jwt_bearer(plan),
        }
    }

    /// The client that a step names; no client authentication where it names none.
    fn client(&self, name: Option<&str>) -> Result<Arc<dyn ClientAuth>, Failed> {
        match name {
            Some(name) => self.clients.get(name).cloned().ok_or_else(|| Failed::of(name, "no such client")),
            None => Ok(Arc::new(NoAuthentication::new(None))),
        }
    }

    fn template(&self, text: &str) -> Result<Template, Failed> {
        Template::parse(text, &self.maps).map_err(|error| Failed::of(text, error))
    }

    fn templates(&self, texts: &[String]) -> Result<Vec<Template>, Failed> {
        texts.iter().map(|text| self.template(text)).collect()
    }
}

fn endpoint(url: &str, allow_http: bool) -> Result<Endpoint, Failed> {
    Endpoint::parse(url, allow_http).map_err(|error| Failed::of(url, error))
}

/// A secret of a file is read again when the file changes; any other is what it was at start.
pub(super) fn source(secret: &SecretValue) -> Result<SecretSource, Failed> {
    let made = match &secret.origin {
        SecretOrigin::File(path) => SecretSource::file(path.clone()),
        SecretOrigin::Env(_)
        | SecretOrigin::Keyring(_)
        | SecretOrigin::Encrypted(_)
        | SecretOrigin::Inline => SecretSource::given(Secret::new(secret.value.expose().to_vec())),
    };
    made.map_err(|error| Failed::of(format!("secret {}", secret.origin), error))
}

/// What `{group:MAP}` stands for.
pub(super) fn group_maps(plan: &Plan) -> Vec<Arc<GroupMap>> {
    let rows = |rows: &[(String, String)]| {
        rows.iter().map(|(group, value)| (group.as_str().into(), value.as_str().into())).collect()
    };
    let map = |(name, pairs): &(String, Vec<(String, String)>)| {
        Arc::new(GroupMap { name: name.as_str().into(), rows: rows(pairs) })
    };
    plan.group_maps.iter().map(map).collect()
}
