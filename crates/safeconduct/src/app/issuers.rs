//! From the plan's issuers to the verifier.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use safeconduct_core::caller::{self, ClaimPath, ClaimPaths, IssuerRules, LogoutRules};
use safeconduct_core::revocation::Revocations;
use safeconduct_identity::clock::Clock;
use safeconduct_identity::introspection::Introspection;
use safeconduct_identity::issuer::{IssuerKeys, KeySource};
use safeconduct_identity::verifier::{Issuer, KnownTokens, Verifier};
use safeconduct_identity::wire::{Endpoint, Wire};

use super::Failed;
use super::clients::Clients;
use crate::config::Plan;
use crate::config::plan::{self, IssuerPlan, KeysPlan, LogoutTokenType, TokenType};

/// Tokens that are remembered as verified.
const TOKENS: usize = 65_536;

/// What outlives a reload: keys, and the tokens that they verified.
pub(super) struct Issuers {
    clock: Arc<dyn Clock>,
    known: Arc<KnownTokens>,
    keys: Mutex<HashMap<String, Arc<IssuerKeys>>>,
}

impl Issuers {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, known: KnownTokens::new(TOKENS), keys: Mutex::default() }
    }

    /// The tokens that were verified.
    pub(super) fn known(&self) -> &Arc<KnownTokens> {
        &self.known
    }

    /// The verifier of a plan. An issuer whose keys are where they were keeps them.
    pub(super) fn verifier(
        &self,
        plan: &Plan,
        clients: &Clients,
        wire: &Wire,
        revocations: &Arc<Revocations>,
    ) -> Result<Arc<Verifier>, Failed> {
        let mut before = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = HashMap::new();
        let mut issuers = Vec::new();
        for issuer in &plan.issuers {
            let source = source(issuer)?;
            // A file is read anew; keys from the network stay, and are fetched with the certificates of this plan.
            let kept = before
                .remove(&issuer.issuer)
                .filter(|keys| *keys.source() == source && !matches!(source, KeySource::File(_)));
            if let Some(keys) = &kept {
                keys.rewire(wire.clone());
            }
            let keys = kept.unwrap_or_else(|| {
                IssuerKeys::start(&issuer.issuer, source, wire.clone(), self.clock.clone())
            });
            now.insert(issuer.issuer.clone(), keys.clone());
            issuers.push(Issuer {
                rules: rules(issuer),
                keys,
                introspection: introspection(issuer, clients, wire)?,
                logout: issuer.logout.as_ref().map(|logout| LogoutRules {
                    audiences: logout.audiences.iter().map(|audience| audience.as_str().into()).collect(),
                    strict_typ: logout.token_type == LogoutTokenType::Logout,
                }),
            });
        }
        *before = now;
        Ok(Arc::new(Verifier::new(issuers, self.known.clone()).under(revocations.clone())))
    }
}

/// What an issuer's tokens must be like.
pub(crate) fn rules(plan: &IssuerPlan) -> IssuerRules {
    let mut rules = IssuerRules::new(&plan.name, &plan.issuer, preset(plan.preset));
    rules.audiences = plan.audiences.iter().map(|audience| audience.as_str().into()).collect();
    rules.single_audience = plan.single_audience;
    rules.algorithms = plan.algorithms.iter().map(|algorithm| self::algorithm(*algorithm)).collect();
    rules.leeway = plan.leeway;
    rules.max_age = plan.max_age;
    rules.strict_typ = plan.token_type == TokenType::AccessToken;
    let ClaimPaths { scopes, groups, client, email } = &mut rules.claims;
    let named = [
        (&plan.claims.scopes, scopes),
        (&plan.claims.groups, groups),
        (&plan.claims.client, client),
        (&plan.claims.email, email),
    ];
    for (name, paths) in named {
        if let Some(path) = name.as_deref().and_then(ClaimPath::parse) {
            *paths = vec![path];
        }
    }
    rules
}

/// Where an issuer's keys are.
pub(super) fn source(plan: &IssuerPlan) -> Result<KeySource, Failed> {
    Ok(match &plan.keys {
        KeysPlan::Discovery => KeySource::Discovery {
            allow_http: plan.allow_http,
            key_hosts: preset(plan.preset).quirks().key_hosts,
        },
        KeysPlan::JwksUri(uri) => {
            KeySource::Uri(Endpoint::parse(uri, plan.allow_http).map_err(|error| Failed::of(uri, error))?)
        }
        KeysPlan::JwksFile(path) => KeySource::File(path.clone()),
    })
}

fn introspection(plan: &IssuerPlan, clients: &Clients, wire: &Wire) -> Result<Option<Introspection>, Failed> {
    let Some(introspection) = &plan.introspection else { return Ok(None) };
    let failed = |error: &dyn std::fmt::Display| Failed::of(&introspection.endpoint, error.to_string());
    let endpoint =
        Endpoint::parse(&introspection.endpoint, plan.allow_http).map_err(|error| failed(&error))?;
    let client = clients.get(&introspection.client).cloned().ok_or_else(|| failed(&"no such client"))?;
    Ok(Some(Introspection::new(endpoint, client, introspection.cache, wire.clone())))
}

fn preset(plan: plan::Preset) -> caller::Preset {
    match plan {
        plan::Preset::Oidc => caller::Preset::Oidc,
        plan::Preset::Okta => caller::Preset::Okta,
        plan::Preset::Entra => caller::Preset::Entra,
        plan::Preset::Keycloak => caller::Preset::Keycloak,
        plan::Preset::Auth0 => caller::Preset::Auth0,
        plan::Preset::Google => caller::Preset::Google,
    }
}

fn algorithm(plan: plan::Algorithm) -> caller::Algorithm {
    use caller::Algorithm as To;
    match plan {
        plan::Algorithm::Rs256 => To::RS256,
        plan::Algorithm::Rs384 => To::RS384,
        plan::Algorithm::Rs512 => To::RS512,
        plan::Algorithm::Ps256 => To::PS256,
        plan::Algorithm::Ps384 => To::PS384,
        plan::Algorithm::Ps512 => To::PS512,
        plan::Algorithm::Es256 => To::ES256,
        plan::Algorithm::Es384 => To::ES384,
        plan::Algorithm::EdDsa => To::EdDSA,
    }
}
