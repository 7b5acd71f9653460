//! `id_jag`: the caller's identity, asserted by their own provider for another domain's authorization server
//! (Identity Assertion JWT Authorization Grant). The first of two legs: the next step, `jwt_bearer`, presents the
//! assertion there.
//!
//! - <https://datatracker.ietf.org/doc/draft-ietf-oauth-identity-assertion-authz-grant/> §4 (request and answer),
//!   §3 (claims); MCP's profile of it: enterprise-managed authorization (SEP-990)
//! - The assertion is looked into before it is presented: its `typ`, that it is for the one server that was asked
//!   for, for our client there, and for the resource that was asked for. Known deviations of real providers have a
//!   name and are accepted only by it ([`Deviation`]).
//! - The provider wants an ID token of its own for this client as subject, or (Okta) an access token.
//!
//! What an administrator must set up: at the identity provider, this program as a client that may ask for
//! assertions for the other domain's server; there, trust in the provider's issuer, and this program as a client.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;
use serde_json::{Map, Value};
use thiserror::Error;

use super::answer::TokenAnswer;
use super::oauth::{
    Asked, BadTarget, Expected, Fieldset, Given, Grant, Step, Targets, TokenEndpoint, bad, end, fields,
    is_absolute_uri, presentable, token_type,
};
use super::{ExchangeError, Granted, Use};
use crate::cache::Fields;
use crate::provider::issued::{Issued, strings};
use crate::wire::Wire;

/// `grant_type` (RFC 8693 §2.1).
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// `typ` of the assertion's header.
const TYP: &str = "oauth-id-jag+jwt";

/// Something that a real provider does otherwise than the draft says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deviation {
    /// `token_type` is `Bearer`, not `N_A`.
    Bearer,
    /// The header has another `typ`, or none.
    Typ,
    /// There is no `client_id` claim.
    ClientId,
    /// There is no `resource` claim though a resource was asked for.
    Resource,
    /// There is no `issued_token_type`.
    IssuedType,
}

/// What the step is told.
pub struct IdJagConfig {
    /// The identity provider's token endpoint, and who we are there.
    pub at: TokenEndpoint,
    /// `audience`: the issuer identifier of the other domain's authorization server, one; `resource`, scopes and
    /// further parameters.
    pub targets: Targets,
    /// `subject_token_type`.
    pub subject_token_type: Box<str>,
    /// Our client identifier at the other domain's authorization server: the assertion must name it.
    pub client_there: Box<str>,
    /// What is accepted besides what the draft says.
    pub accept: Vec<Deviation>,
    /// Not used for assertions beyond the defaults.
    pub expected: Expected,
}

/// A step that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdJagConfigError {
    /// A target that cannot be asked for.
    #[error(transparent)]
    Target(#[from] BadTarget),
    /// A token type that is no URI.
    #[error("token type {0:?} must be an absolute URI (RFC 8693 §3)")]
    TokenType(String),
    /// An assertion is for one authorization server.
    #[error("an assertion is for one authorization server: exactly one audience, its issuer identifier")]
    Audience,
}

/// See the module.
pub type IdJag = Step<IdJagConfig>;

impl IdJag {
    /// Checks the configuration.
    ///
    /// # Errors
    /// See [`IdJagConfigError`].
    pub fn new(config: IdJagConfig, wire: Arc<Wire>) -> Result<Self, IdJagConfigError> {
        config.targets.check()?;
        if !is_absolute_uri(&config.subject_token_type) {
            return Err(IdJagConfigError::TokenType(config.subject_token_type.into()));
        }
        if config.targets.audience.len() != 1 {
            return Err(IdJagConfigError::Audience);
        }
        Ok(Self::of(config, wire))
    }
}

impl Grant for IdJagConfig {
    const NAME: &'static str = "id_jag";

    fields!();

    fn request(&self, asked: &Asked) -> Fieldset {
        let mut request = Fieldset::of(GRANT_TYPE);
        request.subject("subject_token");
        request.text("subject_token_type", &self.subject_token_type);
        request.text("requested_token_type", token_type::ID_JAG);
        asked.write(&mut request);
        request
    }

    fn identify(&self, fields: &mut Fields) {
        fields.text(&self.subject_token_type).text(&self.client_there);
        fields.set(self.accept.iter().map(|deviation| [*deviation as u8]));
    }

    /// The assertion, as a subject for the next step and for nothing else.
    fn read(&self, answer: TokenAnswer, asked: &Asked, given: &Given) -> Result<Granted, ExchangeError> {
        let lifetime = answer.lifetime();
        match answer.issued_token_type.as_deref() {
            Some(token_type::ID_JAG) => {}
            None if self.accepts(Deviation::IssuedType) => {}
            _ => return Err(bad("issued_token_type is not that of an ID-JAG")),
        }
        match answer.token_type.as_deref() {
            Some(kind) if kind.eq_ignore_ascii_case("n_a") => {}
            Some(kind) if kind.eq_ignore_ascii_case("bearer") && self.accepts(Deviation::Bearer) => {}
            Some(kind) if kind.eq_ignore_ascii_case("bearer") => {
                return Err(bad("token_type is Bearer, where an ID-JAG has N_A (accept: [bearer] takes it)"));
            }
            _ => return Err(bad("token_type is not N_A")),
        }
        let token = presentable(answer.access_token.map(|token| token.0))?;
        if given.subject.is(&token) || given.warrant.subject().is(&token) {
            return Err(bad("the subject token itself was handed back"));
        }
        let issued = Issued::read(&token).ok_or_else(|| bad("the ID-JAG is not a JWT"))?;
        self.check_claims(&Claims::read(&token)?, asked)?;
        if issued.expires.is_none() {
            return Err(bad("the ID-JAG has no exp"));
        }
        let scopes = answer.scope.map(|scope| scope.0).filter(|scopes| !scopes.is_empty());
        Ok(Granted {
            expires: Some(end(lifetime, Some(&issued), given.now)),
            material: Material::Token(token),
            usable: Use::SubjectOnly,
            audience: asked.targets(),
            scopes: scopes.map_or_else(|| asked.scopes.clone(), Into::into),
        })
    }
}

impl IdJagConfig {
    fn accepts(&self, deviation: Deviation) -> bool {
        self.accept.contains(&deviation)
    }

    fn check_claims(&self, claims: &Claims, asked: &Asked) -> Result<(), ExchangeError> {
        let typ = claims.header.get("typ").and_then(Value::as_str).unwrap_or_default();
        // RFC 7515 §4.1.9: without regard to case, `application/` may be left out.
        let typ = typ.to_ascii_lowercase();
        if typ.strip_prefix("application/").unwrap_or(&typ) != TYP && !self.accepts(Deviation::Typ) {
            return Err(bad("the ID-JAG's typ is not oauth-id-jag+jwt (accept: [typ] takes it)"));
        }
        // A string or an array of one: an assertion for two servers could be presented by one to the other.
        if claims.all("aud").iter().ne(&asked.audience) {
            return Err(bad("the ID-JAG is not for the authorization server that was asked for, alone"));
        }
        match claims.body.get("client_id").and_then(Value::as_str) {
            Some(client) if *client == *self.client_there => {}
            None if self.accepts(Deviation::ClientId) => {}
            _ => return Err(bad("the ID-JAG is not for our client at the other authorization server")),
        }
        let resources = claims.all("resource");
        if resources.is_empty() && !asked.resource.is_empty() && !self.accepts(Deviation::Resource) {
            return Err(bad("the ID-JAG names no resource (accept: [resource] takes it)"));
        }
        // Without one asked for, the provider may narrow it as it likes.
        if !asked.resource.is_empty() && resources.iter().any(|one| !asked.resource.contains(one)) {
            return Err(bad("the ID-JAG is for a resource that was not asked for"));
        }
        for name in ["iss", "sub", "jti"] {
            if claims.body.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(ExchangeError::BadAnswer { problem: format!("the ID-JAG has no {name}") });
            }
        }
        Ok(())
    }
}

/// Header and claims of an assertion, not verified: it came from the configured endpoint.
struct Claims {
    header: Map<String, Value>,
    body: Map<String, Value>,
}

impl Claims {
    fn read(token: &Secret) -> Result<Self, ExchangeError> {
        let mut parts = token
            .expose()
            .split(|byte| *byte == b'.')
            .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok());
        let mut next = || parts.next().flatten().ok_or_else(|| bad("the ID-JAG is not a JWT"));
        Ok(Self { header: next()?, body: next()? })
    }

    fn all(&self, name: &str) -> Vec<Box<str>> {
        strings(self.body.get(name)).into_iter().map(Into::into).collect()
    }
}
