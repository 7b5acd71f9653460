//! From the plan's clients and steps to the objects that ask token endpoints.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::secret::Secret;
use safeconduct_identity::acquire::CredentialPlan;
use safeconduct_identity::client_auth::{
    self, AssertionAudience, ClientAuth, ClientSecretBasic, ClientSecretPost, NoAuthentication, PrivateKeyJwt,
};
use safeconduct_identity::provider::{
    ActorToken, AudienceCheck, BroaderScope, Exchange, ExchangeConfig, IssuedTypeCheck, Provider,
    RequestedType, StaticSecret,
};
use safeconduct_identity::secret_source::SecretSource;
use safeconduct_identity::template::{GroupMap, Template};
use safeconduct_identity::wire::{Endpoint, Wire};

use super::Failed;
use crate::config::plan::{
    self, ClientAuthPlan, ClientPlan, ExchangePlan, Plan, SecretOrigin, SecretValue, ServerPlan, StepPlan,
};

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

/// A secret of a file is read again when the file changes; any other is what it was at start.
pub(super) fn source(secret: &SecretValue) -> Result<SecretSource, Failed> {
    let made = match &secret.origin {
        SecretOrigin::File(path) => SecretSource::file(path.clone()),
        SecretOrigin::Env(_) | SecretOrigin::Inline => {
            SecretSource::given(Secret::new(secret.value.expose().to_vec()))
        }
    };
    made.map_err(|error| Failed::of(format!("secret {}", secret.origin), error))
}

/// Makes one server's chain.
pub(super) fn chain(
    server: &ServerPlan,
    plan: &Plan,
    clients: &Clients,
    wire: &Arc<Wire>,
) -> Result<CredentialPlan, Failed> {
    if let [StepPlan::Static(secret)] = server.credential.as_slice() {
        return Ok(CredentialPlan::Static(StaticSecret::new(source(secret)?)));
    }
    if server.credential.is_empty() {
        return Ok(CredentialPlan::None);
    }
    let maps = group_maps(plan);
    let step = |step: &StepPlan| -> Result<Arc<dyn Provider>, Failed> {
        match step {
            StepPlan::Static(secret) => Ok(Arc::new(StaticSecret::new(source(secret)?))),
            StepPlan::Exchange(exchange) => {
                let failed = |error: &dyn std::fmt::Display| {
                    Failed::of(format!("servers.{}.credential", server.name), error.to_string())
                };
                let config = exchange_config(exchange, clients, &maps).map_err(|error| failed(&error))?;
                let made = Exchange::new(config, wire.clone()).map_err(|error| failed(&error))?;
                Ok(Arc::new(made))
            }
        }
    };
    Ok(CredentialPlan::Chain(server.credential.iter().map(step).collect::<Result<_, _>>()?))
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

fn exchange_config(
    plan: &ExchangePlan,
    clients: &Clients,
    maps: &[Arc<GroupMap>],
) -> Result<ExchangeConfig, Failed> {
    let templates = |texts: &[String]| -> Result<Vec<Template>, Failed> {
        texts
            .iter()
            .map(|text| Template::parse(text, maps).map_err(|error| Failed::of(text, error)))
            .collect()
    };
    let endpoint = Endpoint::parse(&plan.token_endpoint, plan.allow_http)
        .map_err(|error| Failed::of(&plan.token_endpoint, error))?;
    let client: Arc<dyn ClientAuth> = match &plan.client {
        Some(name) => clients.get(name).cloned().ok_or_else(|| Failed::of(name, "no such client"))?,
        None => Arc::new(NoAuthentication::new(None)),
    };
    let mut config = ExchangeConfig::new(endpoint, client);
    config.audience = templates(&plan.audiences)?;
    config.resource = templates(&plan.resources)?;
    config.scopes = templates(&plan.scopes)?;
    config.subject_token_type = plan.subject_token_type.as_str().into();
    config.requested_token_type = match plan.requested_token_type.as_deref() {
        None => RequestedType::Omitted,
        Some(uri) => RequestedType::Custom(uri.into()),
    };
    config.actor = match &plan.actor {
        None => None,
        Some((token, kind)) => Some(ActorToken { token: source(token)?, token_type: kind.as_str().into() }),
    };
    config.issued_type_check = match plan.issued_token_type {
        plan::IssuedType::Strict => IssuedTypeCheck::Strict,
        plan::IssuedType::Lenient => IssuedTypeCheck::Lenient,
    };
    config.audience_check = match plan.issued_audience {
        plan::IssuedAudience::Exact => AudienceCheck::Exact,
        plan::IssuedAudience::Contains => AudienceCheck::Contains,
        plan::IssuedAudience::Any => AudienceCheck::Off,
    };
    config.expected_audience =
        plan.expected_audience.iter().map(|audience| audience.as_str().into()).collect();
    config.broader_scope = match plan.broader_scope {
        plan::BroaderScope::Refuse => BroaderScope::Refuse,
        plan::BroaderScope::Accept => BroaderScope::Accept,
    };
    config.parameters = plan
        .parameters
        .iter()
        .map(|(name, value)| {
            let value = Template::parse(value, maps).map_err(|error| Failed::of(name, error))?;
            Ok((name.as_str().into(), value))
        })
        .collect::<Result<_, Failed>>()?;
    if let Some(longest) = plan.max_lifetime {
        config.max_lifetime = longest;
    }
    config.attempt_timeout = plan.attempt_timeout.min(plan.timeout).max(Duration::from_millis(1));
    config.total_timeout = plan.timeout;
    Ok(config)
}
