//! From the plan's clients to the objects that authenticate at token endpoints.

use std::collections::HashMap;
use std::sync::Arc;

use safeconduct_identity::client_auth::{
    self, AssertionAudience, ClientAuth, ClientSecretBasic, ClientSecretPost, NoAuthentication, PrivateKeyJwt,
};

use super::Failed;
use super::credentials::source;
use crate::config::plan::{self, ClientAuthPlan, ClientPlan, Plan};

/// All clients of the plan, by name.
pub(super) type Clients = HashMap<String, Arc<dyn ClientAuth>>;

/// Makes the clients.
pub(super) fn clients(plan: &Plan) -> Result<Clients, Failed> {
    plan.clients.iter().map(|client| Ok((client.name.clone(), authenticates(client)?))).collect()
}

fn authenticates(plan: &ClientPlan) -> Result<Arc<dyn ClientAuth>, Failed> {
    let id: Box<str> = plan.client_id.as_str().into();
    let made: Result<Arc<dyn ClientAuth>, _> = match &plan.auth {
        ClientAuthPlan::SecretBasic { secret, encoding } => {
            let encoding = match encoding {
                plan::BasicEncoding::Form => client_auth::BasicEncoding::Form,
                plan::BasicEncoding::Raw => client_auth::BasicEncoding::Raw,
            };
            ClientSecretBasic::new(id, source(secret)?, encoding).map(|made| Arc::new(made) as _)
        }
        ClientAuthPlan::SecretPost { secret } => {
            ClientSecretPost::new(id, source(secret)?).map(|made| Arc::new(made) as _)
        }
        ClientAuthPlan::PrivateKeyJwt { private_key, key_id, algorithm, audience, .. } => {
            let audience = audience
                .as_deref()
                .map_or(AssertionAudience::TokenEndpoint, |issuer| AssertionAudience::Issuer(issuer.into()));
            let key_id = key_id.as_deref().map(Into::into);
            PrivateKeyJwt::new(id, source(private_key)?, algorithm.map(algorithm_of), key_id, audience)
                .map(|made| Arc::new(made) as _)
        }
        ClientAuthPlan::None => Ok(Arc::new(NoAuthentication::new(Some(id))) as _),
    };
    made.map_err(|error| Failed::of(format!("client {}", plan.name), error))
}

fn algorithm_of(plan: plan::SigningAlgorithm) -> client_auth::SigningAlgorithm {
    use client_auth::SigningAlgorithm as To;
    match plan {
        plan::SigningAlgorithm::Rs256 => To::Rs256,
        plan::SigningAlgorithm::Ps256 => To::Ps256,
        plan::SigningAlgorithm::Es256 => To::Es256,
        plan::SigningAlgorithm::Es384 => To::Es384,
        plan::SigningAlgorithm::EdDsa => To::EdDsa,
    }
}
