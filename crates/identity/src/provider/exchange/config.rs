//! What the step `exchange` is told, and what of it cannot be right.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::cache::Fields;
use crate::client_auth::ClientAuth;
use crate::secret_source::SecretSource;
use crate::template::Template;
use crate::wire::Endpoint;

/// Token type identifiers (RFC 8693 §3).
pub mod token_type {
    /// An OAuth access token, issued by the server that is asked.
    pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
    /// An OpenID Connect ID token.
    pub const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
    /// Any JWT (RFC 7519 §9).
    pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
}

/// `requested_token_type`: some servers refuse it, some require it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RequestedType {
    /// Not sent; the server decides.
    #[default]
    Omitted,
    /// `urn:ietf:params:oauth:token-type:access_token`.
    AccessToken,
    /// Another URI.
    Custom(Box<str>),
}

impl RequestedType {
    /// The URI that is sent.
    pub fn uri(&self) -> Option<&str> {
        match self {
            Self::Omitted => None,
            Self::AccessToken => Some(token_type::ACCESS_TOKEN),
            Self::Custom(uri) => Some(uri),
        }
    }
}

/// Who acts for the subject (RFC 8693 §2.1 `actor_token`).
pub struct ActorToken {
    /// The token.
    pub token: SecretSource,
    /// Its type: required with the token.
    pub token_type: Box<str>,
}

/// What must be said of the issued token's type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IssuedTypeCheck {
    /// `issued_token_type` and `token_type` must be there (RFC 8693 §2.2.1) and fit what was asked for.
    #[default]
    Strict,
    /// They may be missing; what is there must fit.
    Lenient,
}

/// What `aud` of an issued JWT must be, where an audience or resource was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AudienceCheck {
    /// Nothing but what was asked for.
    #[default]
    Exact,
    /// Something of what was asked for; more is accepted.
    Contains,
    /// Not looked at: for servers whose audience names are not what stands in the token.
    Off,
}

/// What to do when more scopes are granted than were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BroaderScope {
    /// Refuse the token.
    #[default]
    Refuse,
    /// Use it, and record the scopes: for servers that add default scopes (Keycloak).
    Accept,
}

/// The step `exchange`.
pub struct ExchangeConfig {
    /// Token endpoint.
    pub token_endpoint: Endpoint,
    /// Who we are there.
    pub client: Arc<dyn ClientAuth>,
    /// Logical names of the targets; may be several.
    pub audience: Vec<Template>,
    /// URIs of the targets, without fragment; may be several (RFC 8707).
    pub resource: Vec<Template>,
    /// Scopes at the target; none: the parameter is not sent.
    pub scopes: Vec<Template>,
    /// `subject_token_type`.
    pub subject_token_type: Box<str>,
    /// `requested_token_type`.
    pub requested_token_type: RequestedType,
    /// `actor_token` and its type.
    pub actor: Option<ActorToken>,
    /// Further parameters (`connector_id`, `organization` ...).
    pub parameters: Vec<(Box<str>, Template)>,
    /// `aud` that the issued token has, when it is not what is asked for (logical names).
    pub expected_audience: Vec<Box<str>>,
    /// How `aud` is checked.
    pub audience_check: AudienceCheck,
    /// How the issued type is checked.
    pub issued_type_check: IssuedTypeCheck,
    /// What happens to a broader scope.
    pub broader_scope: BroaderScope,
    /// Longest time that a token is kept, whatever the answer says.
    pub max_lifetime: Duration,
    /// Time for one attempt.
    pub attempt_timeout: Duration,
    /// Time for all attempts together.
    pub total_timeout: Duration,
}

/// A step that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExchangeConfigError {
    /// RFC 8693 §2.1: an absolute URI without fragment.
    #[error("resource {0:?} must be an absolute URI without a fragment (RFC 8693 §2.1)")]
    Resource(String),
    /// A token type that is no URI.
    #[error("token type {0:?} must be an absolute URI (RFC 8693 §3)")]
    TokenType(String),
    /// A further parameter that would take the place of one that the step itself sends.
    #[error("parameter {0:?} cannot be set by hand: the step sends it itself")]
    Parameter(String),
    /// A scope that is not one.
    #[error("scope {0:?} must be one word (RFC 6749 §3.3)")]
    Scope(String),
    /// Nothing is asked for: the answer could be good for anything.
    #[error(
        "an exchange needs an audience, a resource or scopes: without any, the token could be good for anything"
    )]
    NoTarget,
}

/// Parameters that are the step's own.
const OWN: [&str; 13] = [
    "grant_type",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
    "audience",
    "resource",
    "scope",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
];

impl ExchangeConfig {
    /// A step with everything as it usually is.
    pub fn new(token_endpoint: Endpoint, client: Arc<dyn ClientAuth>) -> Self {
        Self {
            token_endpoint,
            client,
            audience: Vec::new(),
            resource: Vec::new(),
            scopes: Vec::new(),
            subject_token_type: token_type::ACCESS_TOKEN.into(),
            requested_token_type: RequestedType::default(),
            actor: None,
            parameters: Vec::new(),
            expected_audience: Vec::new(),
            audience_check: AudienceCheck::default(),
            issued_type_check: IssuedTypeCheck::default(),
            broader_scope: BroaderScope::default(),
            max_lifetime: Duration::from_secs(24 * 3600),
            attempt_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
        }
    }

    pub(super) fn check(&self) -> Result<(), ExchangeConfigError> {
        for resource in self.resource.iter().filter_map(Template::as_fixed) {
            check_resource(resource).map_err(ExchangeConfigError::Resource)?;
        }
        let types = [Some(&*self.subject_token_type), self.requested_token_type.uri()];
        let actor = self.actor.as_ref().map(|actor| &*actor.token_type);
        for kind in types.into_iter().flatten().chain(actor) {
            if !is_absolute_uri(kind) {
                return Err(ExchangeConfigError::TokenType(kind.into()));
            }
        }
        if let Some((name, _)) = self.parameters.iter().find(|(name, _)| OWN.contains(&&**name)) {
            return Err(ExchangeConfigError::Parameter(name.to_string()));
        }
        for scope in self.scopes.iter().filter_map(Template::as_fixed) {
            if scope.is_empty() || scope.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return Err(ExchangeConfigError::Scope(scope.into()));
            }
        }
        if self.audience.is_empty() && self.resource.is_empty() && self.scopes.is_empty() {
            return Err(ExchangeConfigError::NoTarget);
        }
        Ok(())
    }

    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        let parameters = self.parameters.iter().map(|(_, template)| template);
        self.audience.iter().chain(&self.resource).chain(&self.scopes).chain(parameters)
    }

    /// Everything that shapes the answer, or whether it is accepted.
    pub(super) fn identify(&self, fields: &mut Fields) {
        self.client.identify(fields);
        fields
            .text(&self.token_endpoint.to_string())
            .text(&self.subject_token_type)
            .option(self.requested_token_type.uri())
            .option(self.actor.as_ref().map(|actor| &*actor.token_type));
        if let Some(actor) = &self.actor {
            let mut token = Fields::new();
            token.bytes(actor.token.current().expose());
            fields.bytes(&token.digest());
        }
        for set in [&self.audience, &self.resource, &self.scopes] {
            let mut digests: Vec<[u8; 32]> = Vec::new();
            for template in set {
                let mut one = Fields::new();
                template.identify(&mut one);
                digests.push(one.digest());
            }
            fields.set(digests);
        }
        fields.number(self.parameters.len() as u64);
        for (name, template) in &self.parameters {
            fields.text(name);
            template.identify(fields);
        }
        fields
            .set(self.expected_audience.iter().map(|audience| audience.as_bytes()))
            .number(self.audience_check as u64)
            .number(self.issued_type_check as u64)
            .number(self.broader_scope as u64)
            .number(self.max_lifetime.as_secs());
    }
}

/// An absolute URI without fragment, or the text that is none.
pub(super) fn check_resource(resource: &str) -> Result<(), String> {
    if is_absolute_uri(resource) && !resource.contains('#') { Ok(()) } else { Err(resource.into()) }
}

fn is_absolute_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut letters = scheme.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_graphic())
}
