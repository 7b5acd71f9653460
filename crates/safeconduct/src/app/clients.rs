//! From the plan's clients to the objects that authenticate at token endpoints.

use std::collections::HashMap;
use std::sync::Arc;

use safeconduct_identity::client_auth::{
    self, Aliases, AssertionAudience, AssertionFile, CertificateKind, ClientAuth, ClientAuthError,
    ClientSecretBasic, ClientSecretPost, DpopKey, IdentityService, KeyBound, KeyCertificate, ManagedIdentity,
    NoAuthentication, PrivateKeyJwt, TlsClientAuth,
};

use super::Failed;
use super::credentials::source;
use crate::config::plan::{self, ClientAuthPlan, ClientPlan, DpopPlan, Plan};

/// All clients of the plan, by name.
pub(super) type Clients = HashMap<String, Arc<dyn ClientAuth>>;

/// Makes the clients.
pub(super) fn clients(plan: &Plan) -> Result<Clients, Failed> {
    plan.clients.iter().map(|client| Ok((client.name.clone(), made(client)?))).collect()
}

fn made(plan: &ClientPlan) -> Result<Arc<dyn ClientAuth>, Failed> {
    let client = authenticates(plan)?;
    let Some(DpopPlan { key }) = &plan.dpop else { return Ok(client) };
    let key = match key {
        Some(key) => DpopKey::read(&key.value),
        None => DpopKey::generate(),
    };
    let key = key.map_err(|problem| Failed::of(format!("client {}: dpop_key", plan.name), problem))?;
    Ok(Arc::new(KeyBound::new(client, key)))
}

fn authenticates(plan: &ClientPlan) -> Result<Arc<dyn ClientAuth>, Failed> {
    let id: Box<str> = plan.client_id.as_str().into();
    let failed = |error: ClientAuthError| Failed::of(format!("client {}", plan.name), error);
    Ok(match &plan.auth {
        ClientAuthPlan::SecretBasic { secret, encoding } => {
            let encoding = match encoding {
                plan::BasicEncoding::Form => client_auth::BasicEncoding::Form,
                plan::BasicEncoding::Raw => client_auth::BasicEncoding::Raw,
            };
            Arc::new(ClientSecretBasic::new(id, source(secret)?, encoding).map_err(failed)?)
        }
        ClientAuthPlan::SecretPost { secret } => {
            Arc::new(ClientSecretPost::new(id, source(secret)?).map_err(failed)?)
        }
        ClientAuthPlan::PrivateKeyJwt { private_key, certificate, key_id, algorithm, audience } => {
            let audience = audience
                .as_deref()
                .map_or(AssertionAudience::TokenEndpoint, |issuer| AssertionAudience::Issuer(issuer.into()));
            let key_id = key_id.as_deref().map(Into::into);
            let certificate = match certificate {
                Some(certificate) => {
                    Some(KeyCertificate { chain: source(&certificate.chain)?, sent: certificate.sent })
                }
                None => None,
            };
            let (key, algorithm) = (source(private_key)?, algorithm.map(Into::into));
            let made = PrivateKeyJwt::certified(id, key, algorithm, key_id, audience, certificate);
            Arc::new(made.map_err(failed)?)
        }
        ClientAuthPlan::Certificate { self_signed, chain, private_key, issuer } => {
            let kind = if *self_signed { CertificateKind::SelfSigned } else { CertificateKind::Issued };
            let aliases = issuer.as_deref().map(|issuer| Aliases::of_issuer(issuer.into(), false));
            let made = TlsClientAuth::new(id, kind, source(chain)?, source(private_key)?, aliases);
            Arc::new(made.map_err(failed)?)
        }
        ClientAuthPlan::AssertionFile { assertion } => Arc::new(AssertionFile::new(id, source(assertion)?)),
        ClientAuthPlan::Spiffe { svid } => Arc::new(AssertionFile::spiffe(id, source(svid)?)),
        ClientAuthPlan::ManagedIdentity { endpoint, audience, identity, header } => {
            let header = header.as_ref().map(|header| source(header)).transpose()?;
            let service = IdentityService::new(endpoint, audience, identity.as_deref(), header)
                .map_err(|error| Failed::of(format!("client {}: {endpoint}", plan.name), error))?;
            Arc::new(ManagedIdentity::new(id, service))
        }
        ClientAuthPlan::None => Arc::new(NoAuthentication::new(Some(id))),
    })
}
