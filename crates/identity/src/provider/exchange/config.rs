//! What the step `exchange` is told, what of it cannot be right, and the request that is made of it.

use thiserror::Error;

use crate::cache::Fields;
use crate::provider::Pick;
use crate::provider::oauth::{
    Asked, BadTarget, Expected, Fieldset, Targets, TokenEndpoint, is_absolute_uri, token_type,
};
use crate::secret_source::SecretSource;

/// `grant_type` (RFC 8693 §2.1).
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

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
pub enum Actor {
    /// A token of the configuration, and its type, which is required with it.
    Configured {
        /// The token.
        token: SecretSource,
        /// Its type.
        token_type: Box<str>,
    },
    /// What the step before gave, of this type; the subject is the caller's own token then.
    Step {
        /// Its type.
        token_type: Box<str>,
    },
}

impl Actor {
    pub(super) fn token_type(&self) -> &str {
        match self {
            Self::Configured { token_type, .. } | Self::Step { token_type } => token_type,
        }
    }
}

/// The step `exchange`.
pub struct ExchangeConfig {
    /// Where it asks, and as whom.
    pub at: TokenEndpoint,
    /// What for.
    pub targets: Targets,
    /// `subject_token_type`.
    pub subject_token_type: Box<str>,
    /// `requested_token_type`.
    pub requested_token_type: RequestedType,
    /// `actor_token` and its type.
    pub actor: Option<Actor>,
    /// What of an answer is accepted.
    pub expected: Expected,
    /// The answer holds an object of secrets in place of a token (Okta): which member of it is the credential.
    pub pick: Option<Pick>,
}

/// A step that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExchangeConfigError {
    /// A target that cannot be asked for.
    #[error(transparent)]
    Target(#[from] BadTarget),
    /// A token type that is no URI.
    #[error("token type {0:?} must be an absolute URI (RFC 8693 §3)")]
    TokenType(String),
    /// Nothing is asked for: the answer could be good for anything.
    #[error(
        "an exchange needs an audience, a resource or scopes: without any, the token could be good for anything"
    )]
    NoTarget,
}

impl ExchangeConfig {
    /// A step with everything as it usually is.
    pub fn new(at: TokenEndpoint) -> Self {
        Self {
            at,
            targets: Targets::default(),
            subject_token_type: token_type::ACCESS_TOKEN.into(),
            requested_token_type: RequestedType::default(),
            actor: None,
            expected: Expected::default(),
            pick: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), ExchangeConfigError> {
        self.targets.check()?;
        let types = [Some(&*self.subject_token_type), self.requested_token_type.uri()];
        let actor = self.actor.as_ref().map(Actor::token_type);
        for kind in types.into_iter().flatten().chain(actor) {
            if !is_absolute_uri(kind) {
                return Err(ExchangeConfigError::TokenType(kind.into()));
            }
        }
        if self.targets.is_empty() {
            return Err(ExchangeConfigError::NoTarget);
        }
        Ok(())
    }

    /// What of the types shapes the answer.
    pub(super) fn identify_types(&self, fields: &mut Fields) {
        fields
            .text(&self.subject_token_type)
            .option(self.requested_token_type.uri())
            .option(self.actor.as_ref().map(Actor::token_type));
        if let Some(Actor::Configured { token, .. }) = &self.actor {
            let mut digest = Fields::new();
            digest.bytes(token.current().expose());
            fields.bytes(&digest.digest());
        }
        if let Some(pick) = &self.pick {
            pick.identify(fields);
        }
    }

    /// The request, for targets that are filled in.
    pub(super) fn fields(&self, asked: &Asked) -> Fieldset {
        let mut request = Fieldset::of(GRANT_TYPE);
        match self.actor {
            Some(Actor::Step { .. }) => request.caller("subject_token"),
            Some(Actor::Configured { .. }) | None => request.subject("subject_token"),
        }
        request.text("subject_token_type", &self.subject_token_type);
        if let Some(actor) = &self.actor {
            match actor {
                Actor::Configured { token, .. } => request.secret("actor_token", token.current()),
                Actor::Step { .. } => request.subject("actor_token"),
            }
            request.text("actor_token_type", actor.token_type());
        }
        if let Some(kind) = self.requested_token_type.uri() {
            request.text("requested_token_type", kind);
        }
        asked.write(&mut request);
        request
    }
}
