//! `jwt_bearer`: a JWT is presented as an authorization grant (RFC 7523 §2.1).
//!
//! - <https://www.rfc-editor.org/rfc/rfc7523>; identity and authorization chaining across domains:
//!   <https://datatracker.ietf.org/doc/draft-ietf-oauth-identity-chaining/> §2.4
//! - Alone it presents the caller's own token (workload identity federation: MCP SEP-1933); behind `exchange` or
//!   `id_jag` it presents what that step gave, at the authorization server of the other domain.
//! - A grant may be good for one use. What a step before gave is never presented again after a request whose
//!   answer was lost: a new one is got first (once). With `single_use` it is not kept either. A refusal is not
//!   followed by another grant type.
//!
//! What an administrator must set up: the other domain's server must trust the issuer of the assertion (its keys,
//! its `iss`, and the audience: the server's issuer identifier or token endpoint), and know this program as a
//! client where it wants one.

use std::sync::Arc;

use super::oauth::{
    Asked, BadTarget, Expected, Fieldset, Grant, Repeat, Step, Targets, TokenEndpoint, fields,
};
use super::{Subject, SubjectUse};
use crate::cache::Fields;
use crate::wire::Wire;

/// `grant_type` (RFC 7523 §2.1).
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What the step is told.
pub struct JwtBearerConfig {
    /// Where it asks, and as whom.
    pub at: TokenEndpoint,
    /// What for.
    pub targets: Targets,
    /// What of an answer is accepted.
    pub expected: Expected,
    /// The server takes an assertion once.
    pub single_use: bool,
}

/// See the module.
pub type JwtBearer = Step<JwtBearerConfig>;

impl JwtBearer {
    /// Checks the configuration.
    ///
    /// # Errors
    /// See [`BadTarget`].
    pub fn new(config: JwtBearerConfig, wire: Arc<Wire>) -> Result<Self, BadTarget> {
        config.targets.check()?;
        Ok(Self::of(config, wire))
    }
}

impl Grant for JwtBearerConfig {
    const NAME: &'static str = "jwt_bearer";

    fields!();

    fn request(&self, asked: &Asked) -> Fieldset {
        let mut request = Fieldset::of(GRANT_TYPE);
        request.subject("assertion");
        asked.write(&mut request);
        request
    }

    fn identify(&self, fields: &mut Fields) {
        fields.number(u64::from(self.single_use));
    }

    fn subject_use(&self) -> SubjectUse {
        if self.single_use { SubjectUse::Once } else { SubjectUse::Answered }
    }

    /// The caller's token is presented many times in its life anyway, unless the server says otherwise.
    fn repeat(&self, subject: &Subject) -> Repeat {
        match subject {
            Subject::Caller(_) if !self.single_use => Repeat::Safely,
            Subject::Caller(_) | Subject::Step(_) => Repeat::Unsent,
        }
    }
}
